/* embed.c -- y[n] = table[ids[n]]; dtable[ids[n]] += dy[n]. */
#include "base/quantize.h"
#include "cpu/quants.h"
#include "cpu/scatter.h"

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    const int32_t *ids = s->in[0].p;
    struct range r = row_range(s, task, s->y.cols);
    const struct operand *table = &s->in[1];
    for (int64_t row = r.from; row < r.to; row++) {
        const float *from = scratch;
        if (is_quantized(table->type)) NAME(dequantize)(table->type, (const char *)table->p + dtype_bytes(table->type, (size_t)(ids[row] * table->ld)), 0, s->y.cols, scratch);
        else from = row_in(table, ids[row], 0, s->y.cols, scratch);
        row_out(&s->y, row, 0, s->y.cols, from);
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
    scatter_strip(s, 1, s->in[0].p, 0, s->node->in[1]->out, task, scratch);
}

const struct cpu_op NAME(cpu_embed) = {
    .forward = { .base = { .name = "embed" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "embed'" }, .tasks = backward_tasks, .run = backward, .scratch = strip_scratch },
    .quantized = 1,
};
