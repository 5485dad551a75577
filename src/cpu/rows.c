/* rows.c -- y[n] = (a over b)[pick[n]]: the rows that want logits, class tokens, prefixes.  b may be a parameter. */
#include "cpu/scatter.h"

static int64_t rows_of(const struct step *s, const tensor *t) { return t->rows ? step_rows(s, t) : t->out; }

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    const int32_t *pick = s->in[1].p;
    int64_t above = rows_of(s, s->node->in[0]);
    struct range r = row_range(s, task, s->y.cols);
    for (int64_t row = r.from; row < r.to; row++) {
        int64_t at = pick[row];
        const struct operand *from = at < above ? &s->in[0] : &s->in[2];
        row_out(&s->y, row, 0, s->y.cols, row_in(from, at < above ? at : at - above, 0, s->y.cols, scratch));
    }
}

static int backward_tasks(const struct step *s, int phase)
{
    (void)phase;
    return strip_tasks(s->dy.cols);
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t above = rows_of(s, s->node->in[0]);
    if (s->d[0].p) scatter_strip(s, 0, s->in[1].p, 0, above, task, scratch);
    if (s->d[2].p) scatter_strip(s, 2, s->in[1].p, above, rows_of(s, s->node->in[2]), task, scratch);
}

const struct cpu_op NAME(cpu_rows) = {
    .forward = { .base = { .name = "rows" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "rows'" }, .tasks = backward_tasks, .run = backward, .scratch = strip_scratch },
};
