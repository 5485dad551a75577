/* skinny.c -- a few rows times a matrix.  Every weight is read once: a few rows of W side by side, for all rows of x. */
#include "cpu/skinny.h"

#include "cpu/row.h"

enum { SIDE = 4, TOGETHER = 4 };                             /* rows of W side by side; rows of x that share them */

/* Outputs j .. j + SIDE (fewer: n) of so many rows. */
static inline __attribute__((always_inline)) void dots(const struct matrix *w, const float *x, int64_t x_ld, int64_t k, int64_t j, int64_t n, float *y, int64_t ld, const enum dtype type, const int rows)
{
    vf sum[TOGETHER][SIDE];
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < SIDE; d++) sum[r][d] = v_set(0);
    for (int64_t c = 0; c < k; c += VW) {
        vf weights[SIDE];
        for (int d = 0; d < SIDE; d++) {
            weights[d] = vector_at(w->p, (j + (d < n ? d : 0)) * w->col + c, k - c, type);
            vector_soon(w->p, (j + SIDE + d) * w->col + c, type);   /* where the next few rows are read */
        }
        for (int r = 0; r < rows; r++) {
            vf left = v_load_n(x + r * x_ld + c, k - c);
            for (int d = 0; d < SIDE; d++) sum[r][d] = v_fma(left, weights[d], sum[r][d]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < SIDE && d < n; d++) y[r * ld + d] = v_sum(sum[r][d]);
}

#define DOTS(rows) (w->type == F32 ? dots(w, x, x_ld, k, from + j, n - j, y + j, ld, F32, rows) : dots(w, x, x_ld, k, from + j, n - j, y + j, ld, BF16, rows))

void NAME(skinny_dots)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t k, int64_t from, int64_t n, float *y, int64_t ld)
{
    for (; rows >= TOGETHER; rows -= TOGETHER, x += TOGETHER * x_ld, y += TOGETHER * ld)
        for (int64_t j = 0; j < n; j += SIDE) DOTS(TOGETHER);
    for (; rows; rows--, x += x_ld, y += ld)
        for (int64_t j = 0; j < n; j += SIDE) DOTS(1);
}

/* Adds x[r][i .. i + side] W[i .. i + side] to y of all rows. */
static inline __attribute__((always_inline)) void part(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t i, int64_t n, float *y, const enum dtype type, const int side)
{
    for (int64_t c = 0; c < n; c += VW) {
        vf weights[SIDE];
        for (int d = 0; d < side; d++) {
            weights[d] = vector_at(w->p, (i + d) * w->row + c, n - c, type);
            vector_soon(w->p, (i + side + d) * w->row + c, type);
        }
        for (int64_t r = 0; r < rows; r++) {
            vf sum = v_load_n(y + r * n + c, n - c);
            for (int d = 0; d < side; d++) sum = v_fma(v_set(x[r * x_ld + i + d]), weights[d], sum);
            v_store_n(y + r * n + c, sum, n - c);
        }
    }
}

void NAME(skinny_part)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t from, int64_t to, int64_t n, float *y)
{
    memset(y, 0, (size_t)(rows * n) * sizeof *y);
    for (int64_t i = from; i < to; i += i + SIDE <= to ? SIDE : 1)
        if (i + SIDE > to) w->type == F32 ? part(w, x, x_ld, rows, i, n, y, F32, 1) : part(w, x, x_ld, rows, i, n, y, BF16, 1);
        else w->type == F32 ? part(w, x, x_ld, rows, i, n, y, F32, SIDE) : part(w, x, x_ld, rows, i, n, y, BF16, SIDE);
}
