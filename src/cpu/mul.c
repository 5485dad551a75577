/* mul.c -- y = a b, element by element; da = dy b, db = dy a. */
#include "cpu/row.h"

static void product(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t c = 0; c < n; c += VW) v_store_n(y + c, v_load_n(a + c, n - c) * v_load_n(b + c, n - c), n - c);
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->y.cols;
    float *a = scratch, *b = a + cols + VW, *y = b + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *x = row_in(&s->in[0], row, 0, cols, a), *z = row_in(&s->in[1], row, 0, cols, b);
        product(y, x, z, cols);
        row_out(&s->y, row, 0, cols, y);
    }
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->dy.cols;
    float *a = scratch, *b = a + cols + VW, *d = b + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++)
        for (int i = 0; i < 2; i++) {
            if (!s->d[i].p) continue;
            const float *dy = row_in(&s->dy, row, 0, cols, a), *other = row_in(&s->in[1 - i], row, 0, cols, b);
            product(d, dy, other, cols);
            gradient_out(s, i, row, 0, cols, d, b);
        }
}

const struct cpu_op NAME(cpu_mul) = {
    .forward = { .base = { .name = "mul" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = plain_cost },
    .backward = { .base = { .name = "mul'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = plain_cost },
};
