/* gelu.c -- y = x Phi(x), Phi the normal distribution (Hendrycks & Gimpel 2016).
 *
 *     tanh form   y = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3), which is x/2 (1 + tanh u)
 *                 y' = s + x s (1 - s) 2u',  s = sigmoid(2u)
 *     erf form    y = x Phi(x),  y' = Phi(x) + x e^(-x^2/2) / sqrt(2 pi) */
#include "cpu/row.h"

static const float SLOPE = 1.5957691f, CUBE = 0.044715f;              /* 2 sqrt(2/pi) */
static const float DENSITY = 0.39894228f;                            /* 1 / sqrt(2 pi) */

static vf gelu(vf x, int tanh)
{
    vf bell;
    if (!tanh) return x * v_phi(x, &bell);
    return x * v_sigmoid(SLOPE * (x + CUBE * (x * x * x)));
}

static vf slope(vf x, int tanh)
{
    vf x2 = x * x, bell, phi;
    if (!tanh) {
        phi = v_phi(x, &bell);
        return v_fma(x * DENSITY, bell, phi);
    }
    vf s = v_sigmoid(SLOPE * (x + CUBE * (x2 * x)));
    return s + x * s * (1.0f - s) * (SLOPE * (1.0f + 3 * CUBE * x2));
}

static void flow(const struct step *s, int64_t row, int64_t col, int64_t n, float *v)
{
    (void)row, (void)col;
    int tanh = ATTR(s, int);
    for (int64_t c = 0; c < n; c += VW) v_store_n(v + c, gelu(v_load_n(v + c, n - c), tanh), n - c);
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
    int tanh = ATTR(s, int);
    float *a = scratch, *b = a + cols + VW, *d = b + cols + VW;
    struct range r = row_range(s, task, cols);
    for (int64_t row = r.from; row < r.to; row++) {
        const float *x = row_in(&s->in[0], row, 0, cols, a), *dy = row_in(&s->dy, row, 0, cols, b);
        for (int64_t c = 0; c < cols; c += VW) v_store_n(d + c, v_load_n(dy + c, cols - c) * slope(v_load_n(x + c, cols - c), tanh), cols - c);
        gradient_out(s, 0, row, 0, cols, d, a);
    }
}

static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 40; }

const struct cpu_op NAME(cpu_gelu) = {
    .forward = { .base = { .name = "gelu" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = cost },
    .backward = { .base = { .name = "gelu'" }, .tasks = plain_tasks, .run = backward, .scratch = plain_scratch, .cost = cost },
    .flow = flow,
};
