/* skinny.h -- products of a few rows (decoding): the weights are read once, in the order they lie, and nothing is packed. */
#ifndef CPU_SKINNY_H
#define CPU_SKINNY_H
#include "cpu/gemm.h"

enum { SKINNY_ROWS = 8, SKINNY_PARTS = 8, SKINNY_STRIP = 64 };   /* parts: read and added once more; fewer would leave cores idle */

/* W as (out, in): y[r][j] = x[r] . W[j] for j in from .. from + n; rows of x are x_ld elements apart, y has ld elements a row. */
void NAME(skinny_dots)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t k, int64_t from, int64_t n, float *y, int64_t ld);

/* W as (in, out): y[r] = sum over k in from .. to of x[r][k] W[k], a part of the sum over all k; y is (rows, n). */
void NAME(skinny_part)(const struct matrix *w, const float *x, int64_t x_ld, int64_t rows, int64_t from, int64_t to, int64_t n, float *y);

#endif
