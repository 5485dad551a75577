/* embed.c -- y[n] = table[ids[n]]; dtable[ids[n]] += dy[n]. */
#include "cpu/scatter.h"

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    const int32_t *ids = s->in[0].p;
    struct range r = row_range(s, task, s->y.cols);
    for (int64_t row = r.from; row < r.to; row++)
        row_out(&s->y, row, 0, s->y.cols, row_in(&s->in[1], ids[row], 0, s->y.cols, scratch));
}

static int backward_tasks(const struct step *s, int phase)
{
    (void)phase;
    return strip_tasks(s->dy.cols);
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    scatter_strip(s, 1, s->in[0].p, 0, s->node->in[1]->out, task, scratch);
}

const struct cpu_op NAME(cpu_embed) = {
    .forward = { .base = { .name = "embed" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "embed'" }, .tasks = backward_tasks, .run = backward, .scratch = strip_scratch },
};
