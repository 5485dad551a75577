/* verb_eval.c -- nib eval MODEL: the loss of text, and answers to questions (eval_items.c). */
#include "cli/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "model/adapter.h"
#include "model/hub.h"

#define FIELD(name) #name, .offset = offsetof(struct eval_options, name)
static const struct option table[] = {
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "what to evaluate on", .help = "a folder that nib data, nanoGPT or llm.c has prepared, its name under data/, or one of llm.c's token files: the loss of a split" },
    { FIELD(text), .kind = OPTION_TEXT, .initial = NULL, .group = "what to evaluate on", .help = "a file or folder of text or JSON lines, plain or .gz: the loss of all of it, document by document" },
    { FIELD(items), .kind = OPTION_TEXT, .initial = NULL, .group = "what to evaluate on", .help = "JSON lines (.gz) of HellaSwag, PIQA, WinoGrande, ARC, LAMBADA or your own {\"question\", \"choices\", \"answer\"} or {\"prompt\", \"completion\"}, or llm.c's hellaswag_val.bin: how many answers are right" },
    { FIELD(split), .kind = OPTION_TEXT, .initial = "val", .choices = "val|train", .group = "data", .help = "dataset: which part of it" },
    { FIELD(field), .kind = OPTION_TEXT, .initial = "text", .group = "data", .help = "text: which field of JSON lines is the text" },
    { FIELD(block_size), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 20, .group = "data", .help = "tokens of a window; 0: the model's context (items: at most 4096)" },
    { FIELD(stride), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 20, .group = "data", .help = "windows begin so many tokens apart, and of each what is new counts; half the block_size is usual for perplexities; 0: windows do not overlap" },
    { FIELD(prompts), .kind = OPTION_TEXT, .initial = "harness", .choices = "harness|plain", .group = "items", .help = "harness: contexts as lm-evaluation-harness makes them; plain: texts as they stand, as in llm.c" },
    { FIELD(shots), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 10, .group = "items", .help = "the first so many items stand, answered, before each of the others" },
    { FIELD(limit), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 30, .group = "items", .help = "only so many of them; 0: all" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1LL << 53, .group = "items", .help = "which of them --limit leaves: a random choice; 0: the first" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "machine", .help = "text, items: auto: the model folder's own; else gpt2, or a file" },
    { FIELD(batch_size), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 16, .group = "machine", .help = "windows at a time; 0: about 4096 tokens" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "float32", .choices = "float32|bfloat16", .group = "machine", .help = "of activations" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object on standard output" },
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "items: a file for the answers, a JSON line each" },
};
enum { MOST_BLOCK_OF_ITEMS = 4096 };

/* ---- the model ---- */

/* The window, and the rows of a run. */
static int choose_sizes(const struct eval_options *o, const char *folder, struct config *c, int64_t *block, int64_t *rows)
{
    const struct model *m;
    TRY(model_describe(&m, c, folder, o->base));
    *block = o->block_size ? o->block_size : o->items && c->context > MOST_BLOCK_OF_ITEMS ? MOST_BLOCK_OF_ITEMS : c->context;
    *rows = o->batch_size ? o->batch_size * *block : *block > 4096 ? *block : 4096 / *block * *block;
    FAIL_IF(*block > c->context, E_USAGE, "block_size %lld is more than the %lld positions of %s", (long long)*block, (long long)c->context, folder);
    FAIL_IF(o->stride > *block, E_USAGE, "stride %lld is more than the block_size of %lld: tokens between windows would not count", (long long)o->stride, (long long)*block);
    return 0;
}

/* The tokenizer for texts: the model's, or GPT-2's where a model has its vocabulary and none. */
static int need_tokenizer(struct engine *e, const char *folder)
{
    if (!e->tokenizer && e->config.vocab >= 50257) TRY(tokenizer_find(&e->tokenizer, "gpt2", folder));
    FAIL_IF(!e->tokenizer, E_DATA, "%s has no tokenizer; give one with --tokenizer", folder);
    return 0;
}

static struct engine_options options_for(const struct eval_options *o)
{
    return (struct engine_options){ .type = strcmp(o->dtype, "bfloat16") ? F32 : BF16, .base = o->base, .tokenizer = strcmp(o->tokenizer, "auto") ? o->tokenizer : NULL };
}

/* ---- the loss of text ---- */

static void on_window(void *context, size_t now, size_t all)
{
    const struct evaluator *v = context;
    char line[80];
    if (v->texts > 1) snprintf(line, sizeof line, "text %zu, window %zu of %zu", v->texts, now, all);
    else snprintf(line, sizeof line, "window %zu of %zu", now, all);
    screen_line(line, 0);
}

const char *eval_number(char out[NUMBER_SIZE], int digits, double value)
{
    if (isfinite(value)) snprintf(out, NUMBER_SIZE, "%.*f", digits, value);
    else strcpy(out, "null");
    return out;
}

/* What is not known is left out. */
static void print_number(const char *key, int digits, double value)
{
    char number[NUMBER_SIZE];
    if (isfinite(value)) printf(", \"%s\": %s", key, eval_number(number, digits, value));
}

static void print_json(const struct eval_options *o, const struct evaluation *e, int64_t block, double floor)
{
    char loss[NUMBER_SIZE], perplexity[NUMBER_SIZE];
    printf("{\"loss\": %s, \"perplexity\": %s, \"tokens\": %lld", eval_number(loss, 6, e->loss), eval_number(perplexity, 4, exp(e->loss)), (long long)e->tokens);
    print_number("loss_stderr", 6, e->error);
    print_number("perplexity_stderr", 4, exp(e->loss) * e->error);
    print_number("bits_per_byte", 6, evaluation_bits(e));
    print_number("bits_per_byte_stderr", 6, evaluation_bits(e) * e->error / e->loss);
    if (e->bytes) printf(", \"bytes\": %lld", (long long)e->bytes);
    if (o->dataset) printf(", \"split\": \"%s\"", o->split);
    printf(", \"windows\": %lld, \"block_size\": %lld, \"stride\": %lld", (long long)e->windows, (long long)block, (long long)(o->stride ? o->stride : block));
    if (floor > 0) printf(", \"floor\": %.6f", floor);
    printf("}\n");
}

/* The standard error stands behind a number with as many digits. */
static void print_text(const struct eval_options *o, const struct evaluation *e, int64_t block, double floor, const char *what)
{
    double bits = evaluation_bits(e);
    printf("loss %.4f", e->loss);
    if (isfinite(e->error)) printf(" +- %.4f", e->error);
    printf("  perplexity %.2f", exp(e->loss));
    if (isfinite(e->error)) printf(" +- %.2f", exp(e->loss) * e->error);
    if (isfinite(bits)) printf("  bits per byte %.4f", bits);
    if (isfinite(bits) && isfinite(e->error)) printf(" +- %.4f", bits * e->error / e->loss);
    printf("\nover %lld tokens", (long long)e->tokens);
    if (e->bytes) printf(" (%lld bytes)", (long long)e->bytes);
    printf(" of %s, block_size %lld", what, (long long)block);
    if (o->stride) printf(", stride %lld", (long long)o->stride);
    printf("\n");
    if (floor > 0) printf("no model can do better than %.4f on this text\n", floor);
}

static int tell(struct evaluator *v, const struct eval_options *o, double floor, const char *what)
{
    struct evaluation e;
    TRY(evaluator_finish(v, &e, what));
    screen_clear();
    if (o->json) print_json(o, &e, v->block, floor);
    else print_text(o, &e, v->block, floor, what);
    return 0;
}

static struct evaluator evaluator_for(struct engine *e, const struct eval_options *o, int64_t block)
{
    return (struct evaluator){ .plan = e->eval, .batch = &e->batch, .block = block, .stride = o->stride };
}

/* What the ids of a set stand for: the set's own tokenizer says it, or the model's, which suits; else GPT-2's, if the set is of its ids. */
static int tokenizer_of_set(struct tokenizer **t, const struct dataset *d)
{
    *t = NULL;
    TRY(tokenizer_open_in(t, d->folder));
    if (!*t && d->vocab == 50257) *t = tokenizer_gpt2_at_hand();
    return 0;
}

static int run_on_set(const struct eval_options *o, struct engine *e, const struct dataset *d, int64_t block)
{
    struct evaluator v = evaluator_for(e, o, block);
    struct tokenizer *t;
    char what[PATH_SIZE + 8];
    enum split s = strcmp(o->split, "train") ? SPLIT_VAL : SPLIT_TRAIN;
    snprintf(what, sizeof what, "%s%s%s", dataset_name(d), *d->file ? "" : "/", *d->file ? "" : o->split);
    TRY(tokenizer_of_set(&t, d));
    v.tokenizer = t ? t : e->tokenizer;
    v.progress = on_window;
    v.context = &v;
    int code = evaluator_add_split(&v, d, s);
    if (!code) code = tell(&v, o, o->json || s == SPLIT_VAL ? d->floor : 0, what);
    tokenizer_free(t);
    return code;
}

static int evaluate_set(const struct eval_options *o, const char *folder, const struct dataset *d)
{
    struct config c;
    struct engine e;
    struct engine_options eo = options_for(o);
    int64_t block;
    TRY(choose_sizes(o, folder, &c, &block, &eo.rows));
    FAIL_IF(d->needs > c.vocab, E_DATA, "%s has ids up to %lld, the model's vocabulary is %lld: they do not belong together", d->folder, (long long)d->needs - 1, (long long)c.vocab);
    TRY(dataset_suits(d, folder));
    TRY(engine_open(&e, folder, &eo));
    int code = e.files.adapter ? dataset_suits(d, e.files.adapter->home) : 0;
    if (!code) code = run_on_set(o, &e, d, block);
    engine_close(&e);
    return code;
}

static int on_dataset(const struct eval_options *o, const char *folder, struct text *notices)
{
    struct dataset d;
    (void)notices;
    TRY(dataset_open(&d, o->dataset));
    int code = evaluate_set(o, folder, &d);
    dataset_close(&d);
    return code;
}

static int run_on_text(const struct eval_options *o, struct engine *e, const char *folder, int64_t block, const struct documents *d)
{
    struct evaluator v = evaluator_for(e, o, block);
    v.progress = on_window;
    v.context = &v;
    TRY(need_tokenizer(e, folder));
    TRY(evaluator_add_documents(&v, d, e->tokenizer));
    return tell(&v, o, 0, o->text);
}

static int on_text(const struct eval_options *o, const char *folder, struct text *notices)
{
    struct config c;
    struct engine e;
    struct engine_options eo = options_for(o);
    struct documents *d;
    int64_t block;
    TRY(choose_sizes(o, folder, &c, &block, &eo.rows));
    TRY(documents_open(&d, &o->text, 1, o->field, notices));
    cli_notices(notices);
    int code = engine_open(&e, folder, &eo);
    if (!code) code = run_on_text(o, &e, folder, block, d);
    engine_close(&e);
    documents_close(d);
    return code;
}

/* ---- items ---- */

static int run_on_items(const struct eval_options *o, struct engine *e, const char *folder, int64_t block, const struct items *items)
{
    if (!items->at->choice->context.ids) TRY(need_tokenizer(e, folder));
    return eval_items(o, e, items, block);
}

static int open_and_ask(const struct eval_options *o, const char *folder, const struct engine_options *eo, const struct items *items)
{
    struct engine e;
    TRY(engine_open(&e, folder, eo));
    int code = run_on_items(o, &e, folder, eo->context, items);
    engine_close(&e);
    return code;
}

static int on_items(const struct eval_options *o, const char *folder, struct text *notices)
{
    struct config c;
    struct engine_options eo = options_for(o);
    struct items items;
    (void)notices;
    TRY(choose_sizes(o, folder, &c, &eo.context, &eo.scores));
    TRY(items_read(&items, o->items, strcmp(o->prompts, "plain") ? PROMPTS_HARNESS : PROMPTS_PLAIN));
    int code = o->shots ? items_show(&items, (size_t)o->shots) : 0;
    if (o->limit) items_limit(&items, (size_t)o->limit, (uint64_t)o->seed);
    if (!code) code = open_and_ask(o, folder, &eo, &items);
    items_free(&items);
    return code;
}

/* ---- the verb ---- */

static int eval(struct options *options, int argc, char **argv)
{
    const struct eval_options *o = options->values;
    char folder[PATH_SIZE];
    FAIL_IF(!argc, E_USAGE, "nib eval MODEL --dataset=DIR: which model?");
    FAIL_IF(!o->dataset + !o->text + !o->items != 2, E_USAGE, "nib eval %s --dataset=DIR, --text=FILE or --items=FILE: one of the three says on which data", argv[0]);
    FAIL_IF(!o->items && (o->out || o->limit || o->shots), E_USAGE, "--out, --limit and --shots are for --items");
    FAIL_IF(o->items && o->stride, E_USAGE, "--stride is for --text and --dataset");
    TRY(cpu_init(NULL, (int)o->threads));
    TRY(hub_find(folder, argv[0], screen_transfer, argv[0]));
    return (o->dataset ? on_dataset : o->text ? on_text : on_items)(o, folder, options->notices);
}

int verb_eval(int argc, char **argv)
{
    struct eval_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1, 0, "nib eval MODEL --dataset=DIR|--text=FILE|--items=FILE [--key=value ...]\n\n"
                                      "The loss of text, in nats a token, perplexity and bits a byte; or how many answers to questions are right. Of a prepared split\n"
                                      "without --stride: disjoint windows of block_size, every position counted, the last partial window dropped; data of separate\n"
                                      "documents (tales) document by document. +- is a standard error.\n\n", eval }, &o, argc, argv);
}
