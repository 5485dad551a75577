/* bench_train.c -- nib bench train: the trainer's own step, batch to update and loss read, on random tokens or a dataset.
 *
 * FLOPs a token are counted as nanoGPT counts them: 6 N + 12 L C T, causal attention whole, the position table not in N.
 * What is really computed is less, since tiles of attention that the mask hides are skipped; it is reported beside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "train/machine.h"
#include "train/train.h"

struct bench_options {
    const char *model, *dtype, *dataset;
    int64_t batch, block, threads, recompute, steps, warmup, seed;
    double dropout;
    int losses, json;
};

enum { LARGE = 1 << 30 };
#define FIELD(name) #name, .offset = offsetof(struct bench_options, name)
static const struct option table[] = {
    { FIELD(model), .kind = OPTION_TEXT, .initial = "tiny", .choices = SHAPE_NAMES, .group = "model", .help = "4 layers, 128 wide; 6 layers, 384 wide; or GPT-2's 12 layers, 768 wide" },
    { FIELD(batch), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 16, .group = "model", .help = "sequences of a step; 0: the model's, 12, 12 or 4" },
    { FIELD(block), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1 << 20, .group = "model", .help = "tokens of a sequence; 0: the model's, 64, 256 or 256" },
    { FIELD(dropout), .kind = OPTION_REAL, .initial = "0.0", .least = 0, .most = 0.99, .group = "model", .help = "if it is not given the model's, 0, 0.2 or 0" },
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "data", .help = "train on windows of this data, as nib train draws them; by default on random tokens" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "1337", .least = 0, .most = 1LL << 53, .group = "data", .help = "of initial weights, batches and dropout" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "float32", .choices = "auto|float32|bfloat16", .group = "machine", .help = "of activations; auto: what nib train takes" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(recompute), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 3, .group = "machine", .help = "level of nib train" },
    { FIELD(warmup), .kind = OPTION_INT, .initial = "3", .least = 0, .most = LARGE, .group = "steps", .help = "steps before the first that is timed" },
    { FIELD(steps), .kind = OPTION_INT, .initial = "10", .least = 1, .most = LARGE, .group = "steps", .help = "steps that are timed" },
    { FIELD(losses), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "the losses of all steps too, to the last bit" },
    { FIELD(json), .kind = OPTION_BOOL, .initial = "false", .group = "output", .help = "one JSON object on standard output" },
};

static const char USAGE[] =
    "nib bench train [--model=" SHAPE_NAMES "] [--key=value ...]\n\n"
    "Times training steps; best and median of them. They are those of\n"
    "nib train --bias=False --learning_rate=1e-3 --decay_lr=False --beta2=0.99 --gradient_accumulation_steps=1\n\n";

struct job {
    const struct bench_options *o;
    struct settings settings;            /* of a nib train that does the same */
    struct dataset data;                 /* with --dataset */
    struct trainer trainer;
    double *seconds, *losses;            /* (steps), (warmup + steps) */
    double peak;                         /* FLOP/s */
};

/* ---- a step ---- */

static int fill_random(void *context, int64_t micro, struct batch *b)
{
    const struct job *j = context;
    const struct settings *s = &j->settings;
    (void)micro;
    for (int64_t i = 0; i < s->batch_size; i++) batch_add_random(b, s->vocab_size, s->block_size, (uint64_t)s->seed, j->trainer.progress.iteration * s->batch_size + i);
    return 0;
}

static int step(struct job *j, struct step_result *r)
{
    static const struct adam_options a = { 1e-3, 0.9, 0.99, 0.1, 1, 0 };
    uint64_t seed = (uint64_t)j->o->seed;
    if (j->o->dataset) return trainer_step(&j->trainer, &j->data, 1, seed, &a, r);
    return trainer_step_on(&j->trainer, 1, fill_random, j, seed, &a, r);
}

/* The higher of what was seen before and of five measurements now. */
static void measure_peak(struct job *j)
{
    enum dtype type = j->trainer.o.type == BF16 && cpu_peak(BF16) > 0 ? BF16 : F32;  /* builds without products of bf16 compute in f32 */
    for (int i = 0; i < 5; i++) {
        double now = cpu_peak_now(type);
        j->peak = now > j->peak ? now : j->peak;
    }
}

static int run_steps(struct job *j)
{
    const struct bench_options *o = j->o;
    struct step_result r;
    char line[80];
    measure_peak(j);
    for (int64_t i = 0; i < o->warmup + o->steps; i++) {
        double start = clock_seconds();
        TRY(step(j, &r));
        if (i >= o->warmup) j->seconds[i - o->warmup] = clock_seconds() - start;
        j->losses[i] = r.loss;
        FAIL_IF(r.skipped, E_DIVERGED, "step %lld: %s", (long long)i, r.why);
        snprintf(line, sizeof line, "step %lld of %lld", (long long)i + 1, (long long)(o->warmup + o->steps));
        screen_line(line, 0);
    }
    screen_clear();
    measure_peak(j);
    return 0;
}

/* ---- what came out ---- */

/* Of one token, forward and backward: a product of 2 * TILE * TILE * width of a head for each tile of attention at or below
 * the diagonal (counted whole, though products there leave out some of what is hidden), two forward and five backward; and 6 N. */
static double flops_done(const struct job *j)
{
    enum { TILE = 64, PRODUCTS = 2 + 5 };                    /* src/cpu/attention.c's */
    const struct settings *s = &j->settings;
    double whole = 12.0 * (double)(s->n_layer * s->n_embd * s->block_size), across = (double)((s->block_size + TILE - 1) / TILE), tiles = across * (across + 1) / 2;
    return trainer_flops(&j->trainer) - whole + PRODUCTS * tiles * 2 * TILE * TILE * (double)(s->n_layer * s->n_embd) / (double)s->block_size;
}

static void print_json(const struct job *j, double best, double median, double tokens, double flops)
{
    const struct settings *s = &j->settings;
    printf("{\"model\": \"%s\", \"dtype\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"batch\": %lld, \"block\": %lld, \"dropout\": %g, \"recompute\": %lld, ", j->o->model,
           dtype_name(j->trainer.o.type), cpu_isa(), cpu_threads(), (long long)s->batch_size, (long long)s->block_size, s->dropout, (long long)s->recompute);
    printf("\"ms_best\": %.6g, \"ms_median\": %.6g, \"tok_s_best\": %.6g, \"tok_s_median\": %.6g, \"gflops_best\": %.6g, \"gflops_median\": %.6g, \"flops_done\": %.0f, ",
           best * 1e3, median * 1e3, tokens / best, tokens / median, flops * tokens / best / 1e9, flops * tokens / median / 1e9, flops_done(j));
    printf("\"rss_mib\": %.1f, \"peak_gflops\": %.6g, \"share_of_peak\": %.4g", bench_resident(), j->peak / 1e9, flops * tokens / best / j->peak);
    for (int64_t i = 0; i < j->o->warmup + j->o->steps && j->o->losses; i++) printf("%s\"%a\"", i ? ", " : ", \"losses\": [", j->losses[i]);
    printf(j->o->losses ? "]}\n" : "}\n");
}

static void print_line(const struct job *j, double best, double median, double tokens, double flops)
{
    const struct settings *s = &j->settings;
    for (int64_t i = 0; i < j->o->warmup + j->o->steps && j->o->losses; i++) printf("step %lld  loss %.6f  %a\n", (long long)i, j->losses[i], j->losses[i]);
    printf("%-4s  %s  %s, %d thread%s  %lld x %lld  dropout %g  %.2f ms (median %.2f)  %.0f tok/s (%.0f)  %.1f GFLOP/s  %.1f%% of the peak of %.0f  %.0f MiB\n", j->o->model,
           dtype_name(j->trainer.o.type), cpu_isa(), cpu_threads(), cpu_threads() > 1 ? "s" : "", (long long)s->batch_size, (long long)s->block_size, s->dropout, best * 1e3, median * 1e3,
           tokens / best, tokens / median, flops * tokens / best / 1e9, 100 * flops * tokens / best / j->peak, j->peak / 1e9, bench_resident());
}

static void print(const struct job *j)
{
    size_t n = (size_t)j->o->steps;
    bench_sort(j->seconds, j->o->steps);
    (j->o->json ? print_json : print_line)(j, j->seconds[0], j->seconds[n / 2], (double)(j->settings.batch_size * j->settings.block_size), trainer_flops(&j->trainer));
}

/* ---- the whole ---- */

static void settle(struct job *j, int dropout_given)
{
    const struct bench_options *o = j->o;
    const struct shape *s = bench_shape(o->model);
    j->settings = (struct settings){ .model = "gpt2", .tie_word_embeddings = 1, .n_layer = s->layers, .n_head = s->heads, .n_embd = s->width, .vocab_size = o->dataset ? 0 : s->vocab, .pad_vocab = 64, .gelu = "erf",
                                     .batch_size = o->batch ? o->batch : s->batch, .block_size = o->block ? o->block : s->block, .dropout = dropout_given ? o->dropout : s->dropout,
                                     .device = "cpu", .dtype = o->dtype, .threads = o->threads, .recompute = o->recompute, .seed = o->seed };
}

static int open_job(struct job *j, struct text *notices)
{
    const struct settings *s = &j->settings;
    struct trainer_options o = { .batch = s->batch_size, .block = s->block_size, .recompute = (int)s->recompute };
    if (j->o->dataset) TRY(dataset_open(&j->data, j->o->dataset));
    TRY(machine_choose(s, "", "", &o.type, notices));
    train_config(s, j->data.vocab, &o.model, &o.config);
    FAIL_IF(j->data.needs > o.config.vocab, E_DATA, "%s has ids up to %lld, the model's vocabulary is %lld", j->data.folder, (long long)j->data.needs - 1, (long long)o.config.vocab);
    TRY(trainer_open(&j->trainer, &o));
    j->seconds = calloc((size_t)j->o->steps, sizeof *j->seconds);
    j->losses = calloc((size_t)(j->o->warmup + j->o->steps), sizeof *j->losses);
    FAIL_IF(!j->seconds || !j->losses, E_MEMORY, "no memory for %lld steps", (long long)(j->o->warmup + j->o->steps));
    return model_init_weights(j->trainer.weights, o.model, &o.config, (uint64_t)s->seed);
}

static int measure(struct job *j, struct text *notices)
{
    int code = open_job(j, notices);
    cli_notices(notices);
    if (!code) code = run_steps(j);
    if (!code) print(j);
    trainer_close(&j->trainer);
    dataset_close(&j->data);
    free(j->seconds);
    free(j->losses);
    return code;
}

static int bench(struct options *options, int argc, char **argv)
{
    struct job j = { .o = options->values };
    (void)argc;
    (void)argv;
    settle(&j, options_origin(options, "dropout") != NULL);
    return measure(&j, options->notices);
}

int bench_train(int argc, char **argv)
{
    struct bench_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 0, 0, USAGE, bench }, &o, argc, argv);
}
