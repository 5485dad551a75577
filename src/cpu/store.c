/* store.c -- k and v to their rows of a state, without a query: an encoder's graph ends so. */
#include "cpu/row.h"

static int tasks(const struct step *s, int phase)
{
    (void)phase;
    return (int)step_seqs(s, s->node->in[2]);
}

static void run(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase, (void)scratch;
    struct seq q = ((const struct seq *)s->in[2].p)[task];
    for (int64_t r = 0; r < q.rows; r++)
        for (int i = 0; i < 2; i++) row_copy(&s->in[3], (int64_t)q.base + q.past + r, i ? s->in[0].cols : 0, &s->in[i], q.row + r);
}

const struct cpu_op NAME(cpu_store) = { .forward = { .base = { .name = "store" }, .tasks = tasks, .run = run } };
