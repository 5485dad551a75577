/* copy.c -- the steps without an op: C adds dy to a gradient or puts it there, Z clears one. */
#include "cpu/row.h"

static void copy(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->d[0].cols;
    float *v = scratch, *buffer = v + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *dy = row_in(&s->dy, row, 0, cols, v);
        if (dy != v) memcpy(v, dy, (size_t)cols * sizeof *v);
        gradient_out(s, 0, row, 0, cols, v, buffer);
    }
}

static void clear(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase, (void)scratch;
    struct range r = row_range(s, task, s->d[0].cols);
    for (int64_t row = r.from; row < r.to; row++) row_clear(&s->d[0], row, 0, s->d[0].cols);
}

static int tasks(const struct step *s, int phase) { (void)phase; return row_tasks(s, s->d[0].cols); }
static size_t scratch(const struct step *s) { return 2 * ((size_t)s->d[0].cols + VW) * sizeof(float); }
static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->d[0].cols; }

const struct cpu_kernel NAME(cpu_copy) = { .base = { .name = "copy" }, .tasks = tasks, .run = copy, .scratch = scratch, .cost = cost };
const struct cpu_kernel NAME(cpu_clear) = { .base = { .name = "clear" }, .tasks = tasks, .run = clear, .cost = cost };
