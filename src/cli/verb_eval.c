/* verb_eval.c -- nib eval MODEL --dataset=DIR: the loss of a whole split. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "infer/engine.h"
#include "model/adapter.h"
#include "model/hub.h"

struct eval_options { const char *dataset, *split, *dtype, *base; int64_t block_size, batch_size, threads; int json; };

#define FIELD(name) #name, .offset = offsetof(struct eval_options, name)
static const struct option table[] = {
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "data", .help = "a folder that nib data, nanoGPT or llm.c has prepared, its name under data/, or one of llm.c's token files" },
    { FIELD(split), .kind = OPTION_TEXT, .initial = "val", .choices = "val|train", .group = "data", .help = "which part of it" },
    { FIELD(block_size), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 20, .group = "data", .help = "tokens of a window; 0: the model's context" },
    { FIELD(batch_size), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 16, .group = "machine", .help = "windows at a time; 0: about 4096 tokens" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "float32", .choices = "float32|bfloat16", .group = "machine", .help = "of activations" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object on standard output" },
};

static void on_window(void *context, size_t now, size_t all)
{
    char line[80];
    (void)context;
    snprintf(line, sizeof line, "window %zu of %zu", now, all);
    screen_line(line, 0);
}

static void print(const struct eval_options *o, const struct evaluation *e, const struct dataset *d, int64_t block)
{
    screen_clear();
    if (o->json) {
        printf("{\"loss\": %.6f, \"perplexity\": %.4f, \"tokens\": %lld, \"split\": \"%s\", \"block_size\": %lld", e->loss, exp(e->loss), (long long)e->tokens, o->split, (long long)block);
        if (d->floor > 0) printf(", \"floor\": %.6f", d->floor);
        printf("}\n");
        return;
    }
    printf("loss %.4f  perplexity %.2f  over %lld tokens of %s%s%s, block_size %lld\n", e->loss, exp(e->loss), (long long)e->tokens, dataset_name(d), *d->file ? "" : "/", *d->file ? "" : o->split,
           (long long)block);
    if (d->floor > 0 && !strcmp(o->split, "val")) printf("no model can do better than %.4f on this text\n", d->floor);
}

static int evaluate(const struct eval_options *o, const char *folder, const struct dataset *d)
{
    const struct model *m;
    struct config c;
    struct engine e;
    struct evaluation result;
    TRY(model_describe(&m, &c, folder, o->base));
    int64_t block = o->block_size ? o->block_size : c.context, rows = o->batch_size ? o->batch_size * block : block > 4096 ? block : 4096 / block * block;
    FAIL_IF(block > c.context, E_USAGE, "block_size %lld is more than the %lld positions of %s", (long long)block, (long long)c.context, folder);
    FAIL_IF(d->needs > c.vocab, E_DATA, "%s has ids up to %lld, the model's vocabulary is %lld: they do not belong together", d->folder, (long long)d->needs - 1, (long long)c.vocab);
    TRY(dataset_suits(d, folder));
    TRY(engine_open(&e, folder, &(struct engine_options){ .type = strcmp(o->dtype, "bfloat16") ? F32 : BF16, .rows = rows, .base = o->base }));
    int code = e.files.adapter ? dataset_suits(d, e.files.adapter->home) : 0;
    if (!code) code = evaluate_all(e.eval, &e.batch, d, strcmp(o->split, "train") ? SPLIT_VAL : SPLIT_TRAIN, block, &result, on_window, NULL);
    engine_close(&e);
    if (!code) print(o, &result, d, block);
    return code;
}

static int eval(struct options *options, int argc, char **argv)
{
    const struct eval_options *o = options->values;
    struct dataset d;
    char folder[PATH_SIZE];
    FAIL_IF(!argc, E_USAGE, "nib eval MODEL --dataset=DIR: which model?");
    FAIL_IF(!o->dataset, E_USAGE, "nib eval %s --dataset=DIR: which data?", argv[0]);
    TRY(cpu_init(NULL, (int)o->threads));
    TRY(hub_find(folder, argv[0], screen_transfer, argv[0]));
    TRY(dataset_open(&d, o->dataset));
    int code = evaluate(o, folder, &d);
    dataset_close(&d);
    return code;
}

int verb_eval(int argc, char **argv)
{
    struct eval_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1, 0, "nib eval MODEL --dataset=DIR [--key=value ...]\n\nThe mean loss over a whole split, in nats a token: disjoint windows of block_size, every position counted,\nthe last partial window dropped; data of separate documents (tales) document by document.\n\n", eval }, &o, argc, argv);
}
