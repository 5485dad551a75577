/* verb_bench.c -- nib bench PART: the speed of what nib does, against what this machine can do, measured in the same process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "cli/bench.h"
#include "cli/cli.h"

static const struct { const char *name; int (*run)(int argc, char **argv); const char *help; } parts[] = {
    { "train", bench_train, "training steps: nib bench train --model=tiny" },
    { "decode", bench_decode, "reading a prompt and writing behind it: nib bench decode 124m" },
    { "gemm", bench_gemm, "the products of matrices in a training step: nib bench gemm --model=124m" },
    { "tokenizer", bench_tokenizer, "text to ids and back: nib bench tokenizer gpt2 my.txt" },
};
enum { PARTS = sizeof parts / sizeof *parts };

/* ---- what the parts share ---- */

static const struct shape shapes[] = {
    { "tiny", 4, 4, 128, 64, 12, 65, 0 },                    /* nanoGPT's README, for a laptop */
    { "baby", 6, 6, 384, 256, 12, 65, 0.2 },                 /* its recipe for tiny shakespeare, a smaller batch */
    { "124m", 12, 12, 768, 256, 4, 50304, 0 },               /* GPT-2, its vocabulary padded */
};

const struct shape *bench_shape_at(int i) { return i < (int)(sizeof shapes / sizeof *shapes) ? &shapes[i] : NULL; }

const struct shape *bench_shape(const char *name)
{
    const struct shape *s;
    for (int i = 0; (s = bench_shape_at(i)); i++)
        if (!strcmp(name, s->name)) return s;
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *seconds, int64_t n) { qsort(seconds, (size_t)n, sizeof *seconds, ascending); }

double bench_resident(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_maxrss / 1024;
}

/* ---- the verb ---- */

static int help(void)
{
    printf("nib bench PART [--key=value ...]\n\nMeasures speed, against the peak of this machine measured beside it.\n\n");
    for (int i = 0; i < PARTS; i++) printf("  nib bench %-9s %s\n", parts[i].name, parts[i].help);
    printf("\nnib bench PART --help lists the options of a part.\n");
    return 0;
}

static int no_part(const char *name)
{
    char names[128] = "";
    for (int i = 0; i < PARTS; i++) snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", parts[i].name);
    FAIL_IF(!name, E_USAGE, "nib bench PART: which part? One of %s", names);
    FAIL(E_USAGE, "nib bench has no part %s; it has %s", name, names);
}

int verb_bench(int argc, char **argv)
{
    if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) return help();
    for (int i = 0; i < PARTS && argc; i++)
        if (!strcmp(argv[0], parts[i].name)) return parts[i].run(argc - 1, argv + 1);
    return no_part(argc ? argv[0] : NULL);
}
