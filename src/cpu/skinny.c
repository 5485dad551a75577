/* skinny.c -- a few rows times a matrix.
 *
 *     dots: y[r][j] = sum over c of x[r][c] W[j][c]       part: y[r] += sum over i of x[r][i] W[i]
 * Some rows of W lie side by side in registers, for all rows of x; each sum is in the order of W, whatever rows share it. */
#include "cpu/skinny.h"

#include "cpu/row.h"

enum { MANY = TILE_ROWS * TILE_VECTORS < 16 ? 4 : 8, WIDE = 2 };     /* rows that registers hold beside sums; vectors of them */

static inline __attribute__((always_inline)) const char *row_of(const struct skinny *s, int64_t row, const enum dtype type)
{
    return (const char *)s->w + row * s->w_ld * (int64_t)dtype_size(type);
}

/* ---- rows of W against rows of x ---- */

/* Outputs j .. j + side, or up to n. */
static inline __attribute__((always_inline)) void dots(const struct skinny *s, const float *x, float *y, int64_t k, int64_t j, int64_t n, const enum dtype type, const int rows, const int side)
{
    const char *w[4];
    vf sum[MANY][4];
    for (int d = 0; d < side; d++) w[d] = row_of(s, j + d < n ? j + d : j, type);
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side; d++) sum[r][d] = v_set(0);
    for (int64_t c = 0, soon = s->ahead * s->w_ld; c < k; c += VW, soon += VW) {
        vf weights[4];
        for (int d = 0; d < side; d++) {
            weights[d] = vector_at(w[d], c, k - c, type);
            vector_soon(w[d], soon, type);
        }
        for (int r = 0; r < rows; r++) {
            vf left = v_load_n(x + r * s->x_ld + c, k - c);
            for (int d = 0; d < side; d++) sum[r][d] = v_fma(left, weights[d], sum[r][d]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side && j + d < n; d++) y[r * s->y_ld + j + d] = v_sum(sum[r][d]);
}

#define DOTS(many, side)                                                                                                 \
    for (; rows >= many; rows -= many, x += many * s->x_ld, y += many * s->y_ld)                                         \
        for (int64_t j = 0; j < n; j += side)                                                                            \
            if (s->type == F32) dots(s, x, y, k, j, n, F32, many, side);                                                 \
            else dots(s, x, y, k, j, n, BF16, many, side);

void NAME(skinny_dots)(const struct skinny *s, int64_t k, int64_t n)
{
    const float *x = s->x;
    float *y = s->y;
    int64_t rows = s->rows;
    DOTS(MANY, 2)
    DOTS(4, MANY / 2)
    DOTS(1, 4)
}

/* ---- rows of W times numbers of x ---- */

/* Columns c .. c + n, `wide` vectors, of the rows of W that go with x on, to y. */
static inline __attribute__((always_inline)) void add_strip(const struct skinny *s, const char *const *w, const float *x, int64_t c, int64_t n, const enum dtype type, const int deep, const int wide)
{
    vf weights[MANY][WIDE];
    for (int d = 0; d < deep; d++)
        for (int v = 0; v < wide; v++) {
            weights[d][v] = vector_at(w[d], c + v * VW, n - v * VW, type);
            vector_soon(w[d], s->ahead * s->w_ld + c + v * VW, type);
        }
    float *y = s->y + c;
    for (int64_t r = 0; r < s->rows; r++, x += s->x_ld, y += s->y_ld) {
        vf sum[WIDE];
        for (int v = 0; v < wide; v++) sum[v] = v_load_n(y + v * VW, n - v * VW);
        for (int d = 0; d < deep; d++)
            for (int v = 0; v < wide; v++) sum[v] = v_fma(v_set(x[d]), weights[d][v], sum[v]);
        for (int v = 0; v < wide; v++) v_store_n(y + v * VW, sum[v], n - v * VW);
    }
}

static inline __attribute__((always_inline)) void add_rows(const struct skinny *s, int64_t i, int64_t n, const enum dtype type, const int deep)
{
    const char *w[MANY];
    int64_t c = 0;
    for (int d = 0; d < deep; d++) w[d] = row_of(s, i + d, type);
    for (; c + WIDE * VW <= n; c += WIDE * VW) add_strip(s, w, s->x + i, c, WIDE * VW, type, deep, WIDE);
    for (; c < n; c += VW) add_strip(s, w, s->x + i, c, at_most(VW, n - c), type, deep, 1);
}

#define ADD_ROWS(deep)                                                                                                   \
    for (; i + deep <= k; i += deep)                                                                                     \
        if (s->type == F32) add_rows(s, i, n, F32, deep);                                                                \
        else add_rows(s, i, n, BF16, deep);

void NAME(skinny_part)(const struct skinny *s, int64_t k, int64_t n)
{
    int64_t i = 0;
    ADD_ROWS(MANY)
    ADD_ROWS(1)
}
