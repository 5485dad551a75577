/* adamw.c -- one AdamW step (Loshchilov & Hutter 2019) on a range of a parameter, in one pass over memory.
 *
 *     g' = scale g,  m = b1 m + (1 - b1) g',  v = b2 v + (1 - b2) g'^2
 *     w -= lr (decay w + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps))
 * as PyTorch computes it: w (1 - lr decay) first, then the step; sqrt(v) / sqrt(1 - b2^t) + eps below the line. */
#include "cpu/cpu.h"
#include "cpu/vec.h"

/* b^t by squaring: the same bits everywhere. */
static double power(double b, int64_t t)
{
    double p = 1;
    for (; t; t >>= 1, b *= b)
        if (t & 1) p *= b;
    return p;
}

void NAME(narrow_range)(struct weights *w, const struct param *p, size_t begin, size_t end);
void NAME(adamw)(struct weights *w, const struct param *p, const struct adamw *a, size_t begin, size_t end);

void NAME(narrow_range)(struct weights *w, const struct param *p, size_t begin, size_t end)
{
    const float *x = w->master + p->at;
    uint16_t *form = w->form + p->form_at;
    for (size_t i = begin; i < end; i++) form[i] = f32_to_bf16(x[i]);
}

void NAME(adamw)(struct weights *w, const struct param *p, const struct adamw *a, size_t begin, size_t end)
{
    float *x = w->master + p->at, *m = w->moment1 + p->at, *v = w->moment2 + p->at;
    const float *g = w->grad + p->at;
    double lr = a->lr * p->lr_scale, correction1 = 1 - power(a->beta1, a->t), correction2 = 1 - power(a->beta2, a->t);
    const vf keep = v_set((float)(1 - lr * (p->decay ? a->weight_decay : 0))), scale = v_set((float)a->grad_scale);
    const vf b1 = v_set((float)a->beta1), b2 = v_set((float)a->beta2), c1 = v_set((float)(1 - a->beta1)), c2 = v_set((float)(1 - a->beta2));
    const vf step = v_set((float)(lr / correction1)), root = v_set((float)sqrt(correction2)), eps = v_set((float)a->eps);
    for (size_t i = begin; i < end; i += VW) {
        int64_t n = (int64_t)(end - i);
        vf gi = v_load_n(g + i, n) * scale;
        vf mi = v_fma(b1, v_load_n(m + i, n), c1 * gi), vi_ = v_fma(b2, v_load_n(v + i, n), c2 * gi * gi);
        vf xi = v_load_n(x + i, n) * keep - step * mi / (v_sqrt(vi_) / root + eps);
        v_store_n(m + i, mi, n);
        v_store_n(v + i, vi_, n);
        v_store_n(x + i, xi, n);
    }
    if (p->form) NAME(narrow_range)(w, p, begin, end);
}
