/* step.c -- the speed of training steps and of decoding, against this machine's own peak.
 *
 *   step tiny|baby|124m [--steps=N] [--batch=B] [--block=T] [--dtype=float32|bfloat16] [--recompute=N]
 *
 * Prints one CSV row a kind of work: best and median of the steps, on random tokens (speed does not depend on them).  FLOPs a token
 * as nanoGPT counts: 6 N + 12 L C T, causal attention counted whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/error.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "train/trainer.h"

static const struct shape { const char *name; int64_t layers, heads, width, block, batch, vocab; double dropout; } shapes[] = {
    { "tiny", 4, 4, 128, 64, 12, 65, 0 },                    /* nanoGPT's README, for a laptop */
    { "baby", 6, 6, 384, 256, 12, 65, 0.2 },                 /* its recipe for tiny shakespeare, a smaller batch */
    { "124m", 12, 12, 768, 256, 4, 50304, 0 },
};

struct given { struct shape s; int64_t steps, recompute; enum dtype type; };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fill(void *context, int64_t micro, struct batch *b)
{
    const struct given *g = context;
    int32_t ids[1 << 14];
    for (int64_t s = 0; s < g->s.batch; s++) {
        for (int64_t i = 0; i < g->s.block; i++) ids[i] = (int32_t)rng_below(7, (uint64_t)((micro * g->s.batch + s) * g->s.block + i), (uint64_t)g->s.vocab);
        batch_add_ids(b, ids, NULL, g->s.block, s);
    }
    return 0;
}

static void row(const struct given *g, const char *work, double *seconds, int n, double tokens, double flops)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    double best = seconds[0], median = seconds[n / 2], peak = cpu_peak(F32);
    printf("%s,%s,%s,%s,%d,%s,%lld,%lld,%lld,%.2f,%.2f,%.1f,%.1f,%.1f,%.1f,%.3f,%.0f\n", cpu_model(), cpu_isa(), g->s.name, work, cpu_threads(), dtype_name(g->type), (long long)g->s.batch,
           (long long)g->s.block, (long long)g->recompute, best * 1e3, median * 1e3, tokens / best, tokens / median, flops * tokens / best / 1e9, peak / 1e9, flops * tokens / best / peak,
           (double)use.ru_maxrss / 1024);
    fflush(stdout);
}

static int train(struct given *g, struct trainer *t, double *seconds)
{
    struct adam_options a = { 1e-3, 0.9, 0.99, 0.1, 1 };
    struct step_result r;
    for (int64_t i = -2; i < g->steps; i++) {                /* two to warm up */
        double start = now();
        TRY(trainer_step_on(t, 1, fill, g, 1, &a, &r));
        if (i >= 0) seconds[i] = now() - start;
    }
    row(g, "train", seconds, (int)g->steps, (double)r.tokens, trainer_flops(t));
    return 0;
}

/* One stream, token by token, from position 0 on. */
static int decode(struct given *g, struct trainer *t, double *seconds)
{
    struct stream st = { 0 }, *const streams[] = { &st };
    const float *logits;
    const int *whose;
    int got;
    int64_t n = g->steps * 8 < g->s.block ? g->steps * 8 : g->s.block;
    for (int64_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)rng_below(9, (uint64_t)i, (uint64_t)g->s.vocab);
        TRY(ids_add(&st.ids, &id, 1));
        double start = now();
        TRY(session_step(&t->session, streams, &logits, &whose, &got));
        seconds[i] = now() - start;
    }
    ids_free(&st.ids);
    row(g, "decode", seconds, (int)n, 1, trainer_flops(t) / 3);
    return 0;
}

static int run(struct given *g)
{
    struct trainer t;
    struct trainer_options o = { .model = &model_gpt2, .type = g->type, .batch = g->s.batch, .block = g->s.block, .recompute = (int)g->recompute, .sample_streams = 1,
                                 .config = { .layers = g->s.layers, .heads = g->s.heads, .width = g->s.width, .vocab = g->s.vocab, .context = g->s.block, .tied = 1, .eps = 1e-5, .dropout = g->s.dropout } };
    double *seconds = calloc((size_t)g->steps * 8, sizeof *seconds);
    config_fill_in(&o.config);
    TRY(trainer_open(&t, &o));
    TRY(model_init_weights(t.weights, o.model, &o.config, 1));
    TRY(train(g, &t, seconds));
    TRY(decode(g, &t, seconds));
    trainer_close(&t);
    free(seconds);
    return 0;
}

int main(int argc, char **argv)
{
    struct given g = { .steps = 10, .type = F32 };
    for (int i = 1; i < argc; i++) {
        long long n;
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            if (!strcmp(argv[i], shapes[k].name)) g.s = shapes[k];
        if (sscanf(argv[i], "--steps=%lld", &n) == 1) g.steps = n;
        if (sscanf(argv[i], "--batch=%lld", &n) == 1) g.s.batch = n;
        if (sscanf(argv[i], "--block=%lld", &n) == 1) g.s.block = n;
        if (sscanf(argv[i], "--recompute=%lld", &n) == 1) g.recompute = n;
        if (!strcmp(argv[i], "--dtype=bfloat16")) g.type = BF16;
    }
    if (!g.s.name) return fprintf(stderr, "usage: step tiny|baby|124m [--steps=N] [--batch=B] [--block=T] [--dtype=bfloat16] [--recompute=N]\n"), 2;
    int code = cpu_init(NULL, 0);
    if (!code) code = run(&g);
    if (code) fprintf(stderr, "%s\n", error_text());
    return code;
}
