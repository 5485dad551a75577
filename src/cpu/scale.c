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
    flow_backward(s, task, scratch, flow);
}

const struct cpu_op NAME(cpu_scale) = {
    .forward = { .base = { .name = "scale" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "scale'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = plain_cost },
    .flow = flow,
};
