/* skinny.c -- a few rows times a matrix. */
#include "cpu/skinny.h"

#include "cpu/row.h"

enum { DOTS = 4 };                                           /* rows of W that are read side by side */

static inline __attribute__((always_inline)) vf weights_at(const void *p, int64_t at, int64_t n, const enum dtype type)
{
    if (type == F32) return v_load_n((const float *)p + at, n);
    if (n >= VW) return v_load_bf16((const uint16_t *)p + at);
    uint16_t lane[VW] = { 0 };
    memcpy(lane, (const uint16_t *)p + at, (size_t)n * sizeof *lane);
    return v_load_bf16(lane);
}

static inline __attribute__((always_inline)) void dots(const struct matrix *w, const float *x, int64_t k, int64_t j, int64_t n, float *y, const enum dtype type)
{
    vf sum[DOTS];
    for (int d = 0; d < DOTS; d++) sum[d] = v_set(0);
    for (int64_t c = 0; c < k; c += VW) {
        vf left = v_load_n(x + c, k - c);
        for (int d = 0; d < DOTS; d++) sum[d] = v_fma(left, weights_at(w->p, (j + (d < n ? d : 0)) * w->col + c, k - c, type), sum[d]);
    }
    for (int d = 0; d < DOTS && d < n; d++) y[d] = v_sum(sum[d]);
}

void NAME(skinny_dots)(const struct matrix *w, const float *x, int64_t rows, int64_t k, int64_t from, int64_t n, float *y, int64_t ld)
{
    for (int64_t j = 0; j < n; j += DOTS)
        for (int64_t r = 0; r < rows; r++)
            if (w->type == F32) dots(w, x + r * k, k, from + j, n - j, y + r * ld + j, F32);
            else dots(w, x + r * k, k, from + j, n - j, y + r * ld + j, BF16);
}

static inline __attribute__((always_inline)) void part(const struct matrix *w, const float *x, int64_t k, int64_t n, float *y, const enum dtype type)
{
    for (int64_t c = 0; c < n; c += VW) {
        vf sum = v_load_n(y + c, n - c);
        for (int d = 0; d < DOTS; d++) sum = v_fma(v_set(x[k + d]), weights_at(w->p, (k + d) * w->row + c, n - c, type), sum);
        v_store_n(y + c, sum, n - c);
    }
}

static inline __attribute__((always_inline)) void last_part(const struct matrix *w, float x, int64_t k, int64_t n, float *y, const enum dtype type)
{
    for (int64_t c = 0; c < n; c += VW) v_store_n(y + c, v_fma(v_set(x), weights_at(w->p, k * w->row + c, n - c, type), v_load_n(y + c, n - c)), n - c);
}

void NAME(skinny_part)(const struct matrix *w, const float *x, int64_t rows, int64_t k, int64_t from, int64_t to, int64_t n, float *y)
{
    memset(y, 0, (size_t)(rows * n) * sizeof *y);
    int64_t i = from;
    for (; i + DOTS <= to; i += DOTS)
        for (int64_t r = 0; r < rows; r++)
            if (w->type == F32) part(w, x + r * k, i, n, y + r * n, F32);
            else part(w, x + r * k, i, n, y + r * n, BF16);
    for (; i < to; i++)
        for (int64_t r = 0; r < rows; r++)
            if (w->type == F32) last_part(w, x[r * k + i], i, n, y + r * n, F32);
            else last_part(w, x[r * k + i], i, n, y + r * n, BF16);
}
