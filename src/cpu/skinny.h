/* skinny.h -- products of a few rows (decoding): W is read once, where it lies, and nothing is packed. */
#ifndef CPU_SKINNY_H
#define CPU_SKINNY_H
#include "cpu/gemm.h"

enum { SKINNY_ROWS = 8, SKINNY_STRIP = 64 };
enum { SKINNY_PARTS = 8 };               /* read and added once more; fewer would leave cores idle */
enum { SKINNY_AHEAD = 8 };               /* rows ahead where W is read from end to end */

/* Rows of W are w_ld elements apart, rows of x and y x_ld and y_ld.  Whoever reads a row of W asks for the one `ahead` rows on. */
struct skinny { const void *w; int64_t w_ld; enum dtype type; int64_t ahead; const float *x; int64_t x_ld, rows; float *y; int64_t y_ld; };

void NAME(skinny_dots)(const struct skinny *s, int64_t k, int64_t n);    /* y[r][j] = x[r] . W[j]: n rows of W, k columns */
void NAME(skinny_part)(const struct skinny *s, int64_t k, int64_t n);    /* y[r] += sum over i of x[r][i] W[i]: k rows of W, n columns */

#endif
