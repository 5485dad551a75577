/* skinny.c -- a few rows times a matrix.  Every weight is read once: a few rows of W side by side, for all rows of x. */
#include "cpu/skinny.h"

#include "cpu/row.h"

enum { MANY = TILE_ROWS * TILE_VECTORS < 16 ? 4 : 8, WIDE = 2 };     /* rows that registers hold beside sums; vectors of them */

/* Outputs j .. j + side (fewer: n) of so many rows.  Where the next rows of W are read is asked for. */
static inline __attribute__((always_inline)) void dots(const struct matrix *w, const float *x, int64_t x_ld, int64_t k, int64_t j, int64_t n, float *y, int64_t ld, const enum dtype type, const int rows, const int side)
{
    vf sum[MANY][4];
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side; d++) sum[r][d] = v_set(0);
    for (int64_t c = 0; c < k; c += VW) {
        vf weights[4];
        for (int d = 0; d < side; d++) {
            weights[d] = vector_at(w->p, (j + (d < n ? d : 0)) * w->col + c, k - c, type);
            vector_soon(w->p, (j + side + d) * w->col + c, type);
        }
        for (int r = 0; r < rows; r++) {
            vf left = v_load_n(x + r * x_ld + c, k - c);
            for (int d = 0; d < side; d++) sum[r][d] = v_fma(left, weights[d], sum[r][d]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side && d < n; d++) y[r * ld + d] = v_sum(sum[r][d]);
}

#define DOTS(many, side)                                                                                \
    for (; rows >= many; rows -= many, x += many * x_ld, y += many * ld)                                \
        for (int64_t j = 0; j < n; j += side)                                                           \
            if (w->type == F32) dots(w, x, x_ld, k, from + j, n - j, y + j, ld, F32, many, side);       \
            else dots(w, x, x_ld, k, from + j, n - j, y + j, ld, BF16, many, side);

void NAME(skinny_dots)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t k, int64_t from, int64_t n, float *y, int64_t ld)
{
    DOTS(MANY, 2)
    DOTS(4, MANY / 2)
    DOTS(1, 4)
}

/* Adds x[r][i .. i + deep] W[i .. i + deep] to y of all rows, at columns c .. c + n, at most WIDE vectors of them. */
static inline __attribute__((always_inline)) void add_strip(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t i, int64_t c, int64_t n, float *y, int64_t ld, const enum dtype type, const int deep)
{
    vf weights[MANY][WIDE];
    for (int d = 0; d < deep; d++)
        for (int v = 0; v < WIDE; v++) {
            weights[d][v] = vector_at(w->p, (i + d) * w->row + c + v * VW, n - v * VW, type);
            vector_soon(w->p, (i + deep + d) * w->row + c + v * VW, type);
        }
    for (int64_t r = 0; r < rows; r++) {
        vf sum[WIDE];
        for (int v = 0; v < WIDE; v++) sum[v] = v_load_n(y + r * ld + c + v * VW, n - v * VW);
        for (int d = 0; d < deep; d++)
            for (int v = 0; v < WIDE; v++) sum[v] = v_fma(v_set(x[r * x_ld + i + d]), weights[d][v], sum[v]);
        for (int v = 0; v < WIDE; v++) v_store_n(y + r * ld + c + v * VW, sum[v], n - v * VW);
    }
}

static inline __attribute__((always_inline)) void part(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t i, int64_t n, float *y, const enum dtype type, const int deep)
{
    int64_t c = 0;
    for (; c + WIDE * VW <= n; c += WIDE * VW) add_strip(w, x, x_ld, rows, i, c, WIDE * VW, y, n, type, deep);
    if (c < n) add_strip(w, x, x_ld, rows, i, c, n - c, y, n, type, deep);
}

#define PART(deep)                                                                                      \
    for (; i + deep <= to; i += deep)                                                                   \
        if (w->type == F32) part(w, x, x_ld, rows, i, n, y, F32, deep);                                 \
        else part(w, x, x_ld, rows, i, n, y, BF16, deep);

void NAME(skinny_part)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t from, int64_t to, int64_t n, float *y)
{
    int64_t i = from;
    memset(y, 0, (size_t)(rows * n) * sizeof *y);
    PART(MANY)
    PART(1)
}
