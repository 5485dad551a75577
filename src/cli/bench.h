/* bench.h -- what the parts of nib bench share: models that need no file, and memory. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H
#include "model/model.h"

/* A GPT without biases, as nanoGPT makes them, and a batch to train it on. */
struct shape { const char *name; int64_t layers, heads, width, block, batch, vocab; double dropout; };
#define SHAPE_NAMES "tiny|baby|124m"
const struct shape *bench_shape(const char *name);           /* NULL: none has this name */
const struct shape *bench_shape_at(int i);                   /* NULL: past the last */

/* The parts: as verbs (cli.h). */
int bench_train(int argc, char **argv);
int bench_decode(int argc, char **argv);
int bench_gemm(int argc, char **argv);
int bench_tokenizer(int argc, char **argv);

void bench_sort(double *seconds, int64_t n);                 /* ascending */
double bench_resident(void);                                 /* MiB of memory that this process had at its most */

#endif
