/* bench_decode.c -- nib bench decode MODEL: reading a prompt, then writing behind it token by token, against the rate at which
 * this machine reads memory: each token reads every matrix once.
 *
 * The ids are given, not sampled, so that others can be measured on the same: id i of the prompt is i * 7919 % 50000, of what is
 * written i + 11, both modulo the vocabulary.  first_token_ms is the first prompt's time to its logits, everything still cold;
 * gb_s the bytes of weights that a token reads, as often as tokens are written a second by one stream. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "infer/engine.h"
#include "model/hub.h"

struct bench_options { const char *dtype; int64_t threads, prompt, tokens, streams; int json; };

enum { MOST_STREAMS = 64, ROUNDS = 3 };
#define FIELD(name) #name, .offset = offsetof(struct bench_options, name)
static const struct option table[] = {
    { FIELD(prompt), .kind = OPTION_INT, .initial = "512", .least = 1, .most = 1 << 20, .group = "text", .help = "tokens that are read at once" },
    { FIELD(tokens), .kind = OPTION_INT, .initial = "128", .least = 1, .most = 1 << 20, .group = "text", .help = "tokens that are written behind them, one at a time" },
    { FIELD(streams), .kind = OPTION_INT, .initial = "1", .least = 1, .most = MOST_STREAMS, .group = "text", .help = "texts side by side, measured besides one alone" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "float32", .choices = "float32|bfloat16", .group = "machine", .help = "bfloat16: of activations and matrices" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object on standard output" },
};

static const char USAGE[] =
    "nib bench decode MODEL [--key=value ...]\n\n"
    "Times how fast a model reads and writes; the best of three rounds. MODEL is " SHAPE_NAMES ", made with random weights,\n"
    "or as in nib sample a run folder, any model folder, or gpt2 ... gpt2-xl.\n\n";

struct speed { double prompt, decode, together, first; };    /* tokens/s, three times; seconds */

/* ---- measuring ---- */

/* Runs until each of the first n streams has shown all of its ids and has its logits. */
static int show_all(struct session *s, struct stream *const *streams, int n)
{
    const float *logits;
    const int *whose;
    for (int got, ready = 0; ready < n; ready += got) TRY(session_step(s, streams, &logits, &whose, &got));
    return 0;
}

static int append(struct stream *const *streams, int n, uint64_t id)
{
    for (int i = 0; i < n; i++) TRY(ids_add(&streams[i]->ids, &(uint32_t){ (uint32_t)id }, 1));
    return 0;
}

/* One round of n streams side by side: seconds of the prompts and of what is written. */
static int play(const struct bench_options *o, struct session *s, struct stream *const *streams, int n, double *prompt, double *decode)
{
    uint64_t vocab = (uint64_t)s->vocab;
    for (int i = 0; i < n; i++) streams[i]->ids.n = streams[i]->shown = 0;
    for (uint64_t i = 0; i < (uint64_t)o->prompt; i++) TRY(append(streams, n, i * 7919 % 50000 % vocab));
    double start = clock_seconds();
    TRY(show_all(s, streams, n));
    *prompt = clock_seconds() - start;
    start = clock_seconds();
    for (uint64_t i = 0; i < (uint64_t)o->tokens; i++) {
        TRY(append(streams, n, (i + 11) % vocab));
        TRY(show_all(s, streams, n));
    }
    *decode = clock_seconds() - start;
    return 0;
}

static double higher(double a, double b) { return a > b ? a : b; }

static int play_rounds(const struct bench_options *o, struct session *s, struct stream *stream, struct speed *v)
{
    struct stream *all[MOST_STREAMS], *one[MOST_STREAMS] = { stream };
    double prompt, decode;
    int n = (int)o->streams;
    for (int i = 0; i < n; i++) all[i] = &stream[i];
    for (int r = 0; r < ROUNDS; r++) {
        TRY(play(o, s, one, 1, &prompt, &decode));
        if (r == 0) v->first = prompt;
        v->prompt = higher(v->prompt, (double)o->prompt / prompt);
        v->decode = higher(v->decode, (double)o->tokens / decode);
    }
    for (int r = 0; r < ROUNDS && n > 1; r++) {
        TRY(play(o, s, all, n, &prompt, &decode));
        v->together = higher(v->together, (double)(n * o->tokens) / decode);
    }
    return 0;
}

/* ---- bytes ---- */

static double bytes_of(const struct param *p)
{
    double bytes = 0;
    for (int i = 0; i < p->n_block; i++) bytes += (double)dtype_bytes(p->use == MAPPED ? p->block_type[i] : p->type, (size_t)(p->block[i].out * p->in));
    return bytes;
}

/* Of the weights; `read`: of those that a token reads whole, so without tables of which it takes a row. */
static double weight_bytes(const struct engine *e, int read)
{
    const struct model *m = e->model;
    double bytes = 0;
    for (const struct param *p = e->weights->param; p; p = p->next) {
        int is_table = (m->positions && !strcmp(p->name, m->positions)) || (!e->config.tied && !strcmp(p->name, m->table));
        if (!read || !is_table) bytes += bytes_of(p);
    }
    return bytes;
}

/* ---- what came out ---- */

static void print(const struct bench_options *o, const struct engine *e, const char *model, const struct speed *v)
{
    double rss = bench_resident(), weights = weight_bytes(e, 0) / 1048576, rate = weight_bytes(e, 1) * v->decode / 1e9, most = cpu_bandwidth() / 1e9;
    const char *dtype = strcmp(o->dtype, "bfloat16") ? "f32" : "bf16";
    struct text name = { 0 };
    json_quote(&name, model);
    if (o->json) {
        printf("{\"model\": %s, \"dtype\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"prompt\": %lld, \"tokens\": %lld, \"streams\": %lld, ", name.failed ? "null" : name.at, dtype, cpu_isa(),
               cpu_threads(), (long long)o->prompt, (long long)o->tokens, (long long)o->streams);
        printf("\"prompt_tok_s\": %.6g, \"decode_tok_s\": %.6g, ", v->prompt, v->decode);
        if (o->streams > 1) printf("\"streams_tok_s\": %.6g, ", v->together);
        printf("\"first_token_ms\": %.6g, \"rss_mib\": %.1f, \"weights_mib\": %.6g, \"gb_s\": %.4g, \"read_gb_s\": %.4g}\n", v->first * 1e3, rss, weights, rate, most);
    } else {
        printf("%s  %s  %s, %d thread%s  prompt of %lld %.0f tok/s  writing %.1f tok/s", model, dtype, cpu_isa(), cpu_threads(), cpu_threads() > 1 ? "s" : "", (long long)o->prompt, v->prompt, v->decode);
        if (o->streams > 1) printf(", %lld together %.1f", (long long)o->streams, v->together);
        printf("  %.1f GB/s of %.1f  first token %.0f ms  %.0f MiB, weights %.0f\n", rate, most, v->first * 1e3, rss, weights);
    }
    text_free(&name);
}

/* ---- the whole ---- */

static int open_engine(const struct bench_options *o, const char *model, struct engine *e)
{
    const struct shape *s = bench_shape(model);
    struct engine_options eo = { .type = strcmp(o->dtype, "bfloat16") ? F32 : BF16, .streams = (int)o->streams, .context = o->prompt + o->tokens };
    char folder[PATH_SIZE];
    if (s) {
        struct config c = { .layers = s->layers, .heads = s->heads, .width = s->width, .vocab = s->vocab, .context = eo.context, .tied = 1, .eps = 1e-5 };
        config_fill_in(&c);
        return engine_make(e, &model_gpt2, &c, 1337, &eo);
    }
    TRY(hub_find(folder, model, screen_transfer, (void *)(uintptr_t)model));
    screen_clear();
    return engine_open(e, folder, &eo);
}

static int measure(const struct bench_options *o, const char *model)
{
    struct engine e;
    struct stream stream[MOST_STREAMS] = { 0 };
    struct speed v = { 0 };
    TRY(open_engine(o, model, &e));
    int code = 0;
    if (e.config.context < o->prompt + o->tokens)
        code = error_set(E_USAGE, __FILE__, __LINE__, "%s has %lld positions, too few for a prompt of %lld and %lld tokens; give less with --prompt and --tokens", model,
                         (long long)e.config.context, (long long)o->prompt, (long long)o->tokens);
    if (!code) code = play_rounds(o, &e.session, stream, &v);
    if (!code) print(o, &e, model, &v);
    for (int i = 0; i < MOST_STREAMS; i++) ids_free(&stream[i].ids);
    engine_close(&e);
    return code;
}

static int bench(struct options *options, int argc, char **argv)
{
    const struct bench_options *o = options->values;
    FAIL_IF(!argc, E_USAGE, "nib bench decode MODEL: which model? " SHAPE_NAMES ", or a folder");
    TRY(cpu_init(NULL, (int)o->threads));
    return measure(o, argv[0]);
}

int bench_decode(int argc, char **argv)
{
    struct bench_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1, 0, USAGE, bench }, &o, argc, argv);
}
