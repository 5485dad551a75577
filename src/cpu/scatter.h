/* scatter.h -- adding rows of dy to the rows they came from: the gradients of embed and rows.
 *
 * A task owns a strip of columns and walks all rows in order, so that rows picked twice add in a fixed order and no two
 * tasks write the same place. */
#ifndef CPU_SCATTER_H
#define CPU_SCATTER_H
#include "cpu/row.h"

enum { STRIP = 64 };

static inline int strip_tasks(int64_t cols) { return (int)ceil_div(cols, STRIP); }

/* d (n rows) gets dy's rows r with first <= id[r] < first + n, at id[r] - first: what lies there, or 0, plus them. */
static inline void scatter_strip(const struct step *s, int i, const int32_t *id, int64_t first, int64_t n, int task, float *scratch)
{
    const struct operand *d = &s->d[i];
    int64_t col = task * STRIP, cols = at_most(STRIP, d->cols - col), rows = step_rows(s, s->node);
    for (int64_t r = 0; r < n && !step_adds(s, i); r++) row_clear(d, r, col, cols);
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = id[r] - first;
        if (at < 0 || at >= n) continue;
        float *v = scratch, *sum = scratch + STRIP;
        const float *dy = row_in(&s->dy, r, col, cols, v), *old = row_in(d, at, col, cols, sum);
        for (int64_t c = 0; c < cols; c++) sum[c] = old[c] + dy[c];
        row_out(d, at, col, cols, sum);
    }
}

static inline size_t strip_scratch(const struct step *s)
{
    (void)s;
    return 2 * STRIP * sizeof(float);
}

#endif
