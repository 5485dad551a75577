/* relu.c -- y = max(x, 0); dx = dy where y > 0. */
#include "cpu/row.h"

static void flow(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    (void)s, (void)row, (void)col;
    for (int64_t c = 0; c < n; c += VW) v_store_n(v + c, v_max(v_set(0), v_load_n(v + c, n - c)), n - c);
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
    float *a = scratch, *b = a + cols + VW, *d = b + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *y = row_in(&s->y, row, 0, cols, a), *dy = row_in(&s->dy, row, 0, cols, b);
        for (int64_t c = 0; c < cols; c += VW) {
            vf g = v_load_n(dy + c, cols - c);
            v_store_n(d + c, v_select(v_load_n(y + c, cols - c) > 0.0f, g, v_set(0)), cols - c);
        }
        gradient_out(s, 0, row, 0, cols, d, a);
    }
}

const struct cpu_op NAME(cpu_relu) = {
    .forward = { .base = { .name = "relu" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "relu'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = plain_cost },
    .flow = flow,
};
