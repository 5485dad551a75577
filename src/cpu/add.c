/* add.c -- y = a + b.  Its gradient is an alias, or a copy step (copy.c). */
#include "cpu/row.h"

static void flow(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    const struct operand *other = &s->in[s->flow == 1 ? 0 : 1];
    const float *f = (const float *)cell(other, row, col);
    const uint16_t *h = (const uint16_t *)f;
    int64_t c = 0;
    if (other->type == F32)
        for (; c < n; c += VW) v_store_n(v + c, v_load_n(f + c, n - c) + v_load_n(v + c, n - c), n - c);
    for (; c + VW <= n; c += VW) v_store(v + c, v_load_bf16(h + c) + v_load(v + c));
    for (; c < n; c++) v[c] += bf16_to_f32(h[c]);
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    flow_forward(s, task, scratch, flow);
}

const struct cpu_op NAME(cpu_add) = {
    .forward = { .base = { .name = "add" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .flow = flow,
};
