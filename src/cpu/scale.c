/* scale.c -- y = x by a constant; dx = dy by the same. */
#include "cpu/row.h"

static void flow(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    (void)row, (void)col;
    float by = ATTR(s, float);
    for (int64_t c = 0; c < n; c += VW) v_store_n(v + c, v_load_n(v + c, n - c) * by, n - c);
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    flow_forward(s, task, scratch, flow);
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->dy.cols;
    float *d = scratch, *buffer = d + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *dy = row_in(&s->dy, row, 0, cols, d);
        if (dy != d) memcpy(d, dy, (size_t)cols * sizeof *d);
        flow(s, row, 0, cols, d);
        gradient_out(s, 0, row, 0, cols, d, buffer);
    }
}

const struct cpu_op NAME(cpu_scale) = {
    .forward = { .base = { .name = "scale" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "scale'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = plain_cost },
    .flow = flow,
};
