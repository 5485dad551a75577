/* swiglu.c -- y = g s u, s = sigmoid(g) (Shazeer 2020): the gate g and the value u come from two halves of one product.
 * du = dy g s,  dg = dy u (s + g s (1 - s)). */
#include "cpu/row.h"

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->y.cols;
    float *a = scratch, *b = a + cols + VW, *y = b + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *gate = row_in(&s->in[0], row, 0, cols, a), *up = row_in(&s->in[1], row, 0, cols, b);
        for (int64_t c = 0; c < cols; c += VW) {
            vf g = v_load_n(gate + c, cols - c);
            v_store_n(y + c, g * v_sigmoid(g) * v_load_n(up + c, cols - c), cols - c);
        }
        row_out(&s->y, row, 0, cols, y);
    }
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->dy.cols;
    float *a = scratch, *b = a + cols + VW, *e = b + cols + VW, *d = e + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *gate = row_in(&s->in[0], row, 0, cols, a), *dy = row_in(&s->dy, row, 0, cols, e);
        const float *up = s->d[0].p ? row_in(&s->in[1], row, 0, cols, b) : NULL;
        for (int i = 0; i < 2; i++) {
            if (!s->d[i].p) continue;
            for (int64_t c = 0; c < cols; c += VW) {
                vf g = v_load_n(gate + c, cols - c), k = v_sigmoid(g), slope = g * k;
                if (i == 0) slope = v_load_n(up + c, cols - c) * (k + slope * (1.0f - k));
                v_store_n(d + c, v_load_n(dy + c, cols - c) * slope, cols - c);
            }
            gradient_out(s, i, row, 0, cols, d, d + cols + VW);
        }
    }
}

static size_t scratch(const struct step *s) { return 5 * ((size_t)s->node->cols + VW) * sizeof(float); }
static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 30; }

const struct cpu_op NAME(cpu_swiglu) = {
    .forward = { .base = { .name = "swiglu" }, .tasks = plain_tasks, .run = forward, .scratch = scratch, .cost = cost },
    .backward = { .base = { .name = "swiglu'" }, .tasks = plain_tasks, .run = backward, .scratch = scratch, .cost = cost },
};
