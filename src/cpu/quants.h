/* quants.h -- products with matrices in blocks (base/unpack.h), x W^T, in whole numbers: rows of x are rounded to eight bits on their way in,
 * 32 values at a time with a scale of their own, and W is never widened.
 *
 *     y[r][j] = sum over units u of 32 values   x.scale[u] (W.scale[u] sum of x.q W.q + W.offset[u] sum of x.q)
 *
 * The sums of a unit are exact.  Rounding x costs at most 1/254 of the largest of its 32 values, at each of them. */
#ifndef CPU_QUANTS_H
#define CPU_QUANTS_H
#include "cpu/cpu.h"
#include "cpu/row.h"

enum { UNIT = 32 };
struct unit { float scale; int32_t sum[2]; };                /* of x; sums of q, of the first and the last 16 */

/* A rounded row of x: k bytes, then its units. */
static inline size_t rounded_bytes(int64_t k) { return (size_t)k + (size_t)(k / UNIT) * sizeof(struct unit); }
void NAME(round_row)(const float *x, int64_t k, void *row);

/* W: n rows of k values from w on; x: rounded rows, one behind the other; y: y_ld apart. */
struct quants { enum dtype type; const void *w; const void *x; int64_t rows, k, n; float *y; int64_t y_ld; };

void NAME(quant_dots)(const struct quants *q);               /* a few rows of x: W is read once, where it lies */

/* Many rows of x, where the processor multiplies bytes four at a time: W is spread out for 32 outputs at a time. */
int  NAME(has_quads)(void);
void NAME(quant_tiles)(const struct quants *q, void *scratch);
size_t NAME(quads_scratch)(int64_t k);                       /* bytes */

/* Values at .. at + n of a row of W, anywhere in it. */
void NAME(dequantize)(enum dtype type, const void *row, int64_t at, int64_t n, float *to);

#endif
