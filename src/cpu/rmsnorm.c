/* rmsnorm.c -- y = h w, h = x / sqrt(mean(x^2) + eps), over each group of w's width (Zhang & Sennrich 2019): the whole row, or
 * each head of it.  aux: 1 / sqrt, a group.
 *
 *     g = dy w,   dx = r (g - h mean(g h)),   r = 1 / sqrt(mean(x^2) + eps),   dw = sum over rows and groups of dy h */
#include "cpu/partial.h"

static float inverse_rms(const float *x, int64_t n, float eps)
{
    vf square = v_set(0);
    for (int64_t c = 0; c < n; c += VW) {
        vf v = v_load_n(x + c, n - c);
        square = v_fma(v, v, square);
    }
    return 1 / sqrtf(v_sum(square) / (float)n + eps);
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t cols = s->y.cols, n = s->node->in[1]->out;
    const float *w = s->in[1].p;
    float *buffer = scratch, *y = buffer + cols + VW;
    struct range range = row_range(s, task, cols);
    for (int64_t row = range.from; row < range.to; row++) {
        const float *x = row_in(&s->in[0], row, 0, cols, buffer);
        float *aux = s->aux.p ? cell(&s->aux, row, 0) : NULL;
        for (int64_t g = 0; g < cols / n; g++) {
            const float *xg = x + g * n, r = inverse_rms(xg, n, ATTR(s, float));
            for (int64_t c = 0; c < n; c += VW) v_store_n(y + g * n + c, v_load_n(xg + c, n - c) * r * v_load_n(w + c, n - c), n - c);
            if (aux) aux[g] = r;
        }
        row_out(&s->y, row, 0, cols, y);
    }
}

/* One group: dx into d (or NULL), dy h added to dw (or NULL). */
static void backward_group(const float *x, const float *dy, const float *w, float r, int64_t n, float *d, float *dw)
{
    vf dot = v_set(0);
    for (int64_t c = 0; c < n; c += VW) {
        vf h = v_load_n(x + c, n - c) * r, g = v_load_n(dy + c, n - c);
        if (w) dot = v_fma(g * v_load_n(w + c, n - c), h, dot);
        if (dw) v_store_n(dw + c, v_fma(g, h, v_load_n(dw + c, n - c)), n - c);
    }
    if (!d) return;
    float mean_gh = v_sum(dot) / (float)n;
    for (int64_t c = 0; c < n; c += VW) {
        vf h = v_load_n(x + c, n - c) * r, gw = v_load_n(dy + c, n - c) * v_load_n(w + c, n - c);
        v_store_n(d + c, (gw - h * mean_gh) * r, n - c);
    }
}

static void backward_rows(const struct step *s, int task, float *scratch)
{
    int64_t cols = s->dy.cols, n = s->node->in[1]->out, rows = step_rows(s, s->node), per = part_rows(rows);
    float *a = scratch, *b = a + cols + VW, *d = b + cols + VW, *dw = s->d[1].p ? part(s, task, n) : NULL;
    if (dw) memset(dw, 0, (size_t)n * sizeof *dw);
    for (int64_t row = task * per; row < rows && row < (task + 1) * per; row++) {
        const float *x = row_in(&s->in[0], row, 0, cols, a), *dy = row_in(&s->dy, row, 0, cols, b), *aux = cell(&s->aux, row, 0);
        for (int64_t g = 0; g < cols / n; g++)
            backward_group(x + g * n, dy + g * n, s->in[1].p, aux[g], n, s->d[0].p ? d + g * n : NULL, dw);
        if (s->d[0].p) gradient_out(s, 0, row, 0, cols, d, a);
    }
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    int64_t n = s->node->in[1]->out;
    if (phase == 0) backward_rows(s, task, scratch);
    else add_parts(s, 1, n, 0, n);
}

static int phases(const struct step *s) { return s->d[1].p ? 2 : 1; }
static int backward_tasks(const struct step *s, int phase) { return phase ? 1 : n_parts(step_rows(s, s->node)); }
static size_t work(const struct step *s) { return MAX_PARTS * (size_t)s->node->in[1]->out * sizeof(float); }
static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 10; }

const struct cpu_op NAME(cpu_rmsnorm) = {
    .forward = { .base = { .name = "rmsnorm" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = cost },
    .backward = { .base = { .name = "rmsnorm'", .work = work }, .phases = phases, .tasks = backward_tasks, .run = backward, .scratch = plain_scratch, .cost = cost },
};
