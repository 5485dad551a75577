/* layernorm.c -- y = h w + b, h = (x - mean) / sqrt(variance + eps), over each row (Ba, Kiros & Hinton 2016).  aux: mean, 1 / sqrt.
 *
 *     g = dy w,   dx = r (g - mean(g) - h mean(g h)),   r = 1 / sqrt(variance + eps)
 *     dw = sum over rows of dy h,   db = sum over rows of dy */
#include "cpu/partial.h"

static vf shifted(const float *x, int64_t c, int64_t n, float mean)     /* x - mean; 0 beyond the row */
{
    vf v = v_load_n(x + c, n - c) - mean;
    for (int i = 0; i < VW && n - c < VW; i++)
        if (i >= n - c) v[i] = 0;
    return v;
}

static void statistics(const float *x, int64_t n, float eps, float *mean, float *r)
{
    vf sum = v_set(0), square = v_set(0);
    for (int64_t c = 0; c < n; c += VW) sum += v_load_n(x + c, n - c);
    *mean = v_sum(sum) / (float)n;
    for (int64_t c = 0; c < n; c += VW) {
        vf v = shifted(x, c, n, *mean);
        square = v_fma(v, v, square);
    }
    *r = 1 / sqrtf(v_sum(square) / (float)n + eps);
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    int64_t n = s->y.cols;
    const float *w = s->in[1].p, *b = s->in[2].p;
    float *buffer = scratch, *y = buffer + n + VW;
    struct range range = row_range(s, task, n);
    for (int64_t row = range.from; row < range.to; row++) {
        const float *x = row_in(&s->in[0], row, 0, n, buffer);
        float mean, r;
        statistics(x, n, ATTR(s, float), &mean, &r);
        for (int64_t c = 0; c < n; c += VW) {
            vf h = (v_load_n(x + c, n - c) - mean) * r;
            v_store_n(y + c, v_fma(h, v_load_n(w + c, n - c), b ? v_load_n(b + c, n - c) : v_set(0)), n - c);
        }
        row_out(&s->y, row, 0, n, y);
        if (!s->aux.p) continue;
        float *aux = cell(&s->aux, row, 0);
        aux[0] = mean;
        aux[1] = r;
    }
}

/* One row: dx into d, dy h and dy added to dw and db. */
static void backward_row(const float *x, const float *dy, const float *w, const float *aux, int64_t n, float *d, float *dw, float *db)
{
    float mean = aux[0], r = aux[1];
    vf sum = v_set(0), dot = v_set(0);
    for (int64_t c = 0; c < n; c += VW) {
        vf h = shifted(x, c, n, mean) * r, g = v_load_n(dy + c, n - c), gw = w ? g * v_load_n(w + c, n - c) : g;
        sum += gw;
        dot = v_fma(gw, h, dot);
        if (dw) v_store_n(dw + c, v_fma(g, h, v_load_n(dw + c, n - c)), n - c);
        if (db) v_store_n(db + c, g + v_load_n(db + c, n - c), n - c);
    }
    if (!d) return;
    float mean_g = v_sum(sum) / (float)n, mean_gh = v_sum(dot) / (float)n;
    for (int64_t c = 0; c < n; c += VW) {
        vf h = shifted(x, c, n, mean) * r, gw = v_load_n(dy + c, n - c) * v_load_n(w + c, n - c);
        v_store_n(d + c, (gw - mean_g - h * mean_gh) * r, n - c);
    }
}

static void backward_rows(const struct step *s, int task, float *scratch)
{
    int64_t n = s->dy.cols, rows = step_rows(s, s->node), per = part_rows(rows);
    float *a = scratch, *b = a + n + VW, *d = b + n + VW;
    float *dw = s->d[1].p ? part(s, task, 2 * n) : NULL, *db = s->d[2].p ? part(s, task, 2 * n) + n : NULL;
    if (dw || db) memset(part(s, task, 2 * n), 0, (size_t)(2 * n) * sizeof *d);
    for (int64_t row = task * per; row < rows && row < (task + 1) * per; row++) {
        const float *dy = row_in(&s->dy, row, 0, n, b), *x = s->in[0].p ? row_in(&s->in[0], row, 0, n, a) : dy;
        const float zero[2] = { 0, 0 }, *aux = s->aux.p ? cell(&s->aux, row, 0) : zero;
        backward_row(x, dy, s->in[1].p, aux, n, s->d[0].p ? d : NULL, dw, db);
        if (s->d[0].p) gradient_out(s, 0, row, 0, n, d, a);
    }
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    int64_t n = s->dy.cols;
    if (phase == 0) backward_rows(s, task, scratch);
    else if (task == 0 && s->d[1].p) add_parts(s, 1, 2 * n, 0, n);
    else if (task == 1 && s->d[2].p) add_parts(s, 2, 2 * n, n, n);
}

static int phases(const struct step *s) { return s->d[1].p || s->d[2].p ? 2 : 1; }
static int backward_tasks(const struct step *s, int phase) { return phase ? 2 : n_parts(step_rows(s, s->node)); }
static size_t work(const struct step *s) { return MAX_PARTS * 2 * (size_t)s->node->cols * sizeof(float); }
static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 12; }

const struct cpu_op NAME(cpu_layernorm) = {
    .forward = { .base = { .name = "layernorm" }, .tasks = plain_tasks, .run = forward, .scratch = plain_scratch, .cost = cost },
    .backward = { .base = { .name = "layernorm'", .work = work }, .phases = phases, .tasks = backward_tasks, .run = backward, .scratch = plain_scratch, .cost = cost },
};
