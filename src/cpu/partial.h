/* partial.h -- sums over rows, for the gradients of a norm's gain and bias: a task sums a block of rows into its own part
 * of the step's workspace, and a second phase adds the parts in the order of blocks. */
#ifndef CPU_PARTIAL_H
#define CPU_PARTIAL_H
#include "cpu/row.h"

enum { MAX_PARTS = 64, LEAST_PART_ROWS = 16 };

static inline int64_t part_rows(int64_t rows) { return at_least(ceil_div(rows, MAX_PARTS), LEAST_PART_ROWS); }
static inline int n_parts(int64_t rows) { return (int)ceil_div(rows, part_rows(rows)); }

static inline float *part(const struct step *s, int i, int64_t width) { return (float *)s->work.p + i * width; }

/* d[i] (a vector of n) gets the sum of all parts, columns at .. at + n of each. */
static inline void add_parts(const struct step *s, int i, int64_t width, int64_t at, int64_t n)
{
    float *d = s->d[i].p;
    int parts = n_parts(step_rows(s, s->node));
    for (int64_t c = 0; c < n; c += VW) {
        vf sum = step_adds(s, i) ? v_load_n(d + c, n - c) : v_set(0);
        for (int p = 0; p < parts; p++) sum += v_load_n(part(s, p, width) + at + c, n - c);
        v_store_n(d + c, sum, n - c);
    }
}

#endif
