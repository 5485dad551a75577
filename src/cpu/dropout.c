/* dropout.c -- y = x / (1 - p) where a random number says keep, else 0; dx = dy treated the same (Srivastava et al. 2014).
 * The mask is a function of the stream, the row's key and the column, so it is computed again and never stored. */
#include "cpu/row.h"
#include "cpu/vec_random.h"

static void flow(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    const int64_t *key = cell(&s->in[1], row, 0);
    drop_columns(ATTR(s, struct chance), s->run->seed, *key, 0, col, n, v);
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

static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 20; }

const struct cpu_op NAME(cpu_dropout) = {
    .forward = { .base = { .name = "dropout" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = cost },
    .backward = { .base = { .name = "dropout'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = cost },
    .flow = flow,
};
