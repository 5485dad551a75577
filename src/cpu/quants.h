/* quants.h -- products with matrices in blocks (blocks.h), x W^T, in whole numbers: rows of x are rounded to eight bits on their way in,
 * 32 values at a time with a scale of their own, and W is never widened.
 *
 *     y[r][j] = sum over units u of 32 values   x.scale[u] (W.scale[u] sum of x.q W.q + W.offset[u] sum of x.q)
 *
 * The sums of a unit are exact.  Rounding x costs at most 1/254 of the largest of its 32 values, at each of them. */
#ifndef CPU_QUANTS_H
#define CPU_QUANTS_H
#include "cpu/cpu.h"
#include "cpu/row.h"

enum { UNIT = 32, PAIR = 2 * UNIT };
struct unit { float scale; int32_t sum[2]; };                /* of x; sums of q, of the first and the last 16 */

/* A rounded row of x lies in pairs of units, the last one padded with zeros: 64 bytes; -128 times the sum of each four of them; the scale
 * that belongs to each four; both units.  Rows lie one behind the other. */
struct pair { int8_t q[PAIR]; int32_t lane[PAIR / 4]; float scale[PAIR / 4]; struct unit unit[2]; };
static inline int64_t pairs_of(int64_t k) { return ceil_div(k, PAIR); }
static inline size_t rounded_bytes(int64_t k) { return (size_t)pairs_of(k) * sizeof(struct pair); }
static inline const struct unit *unit_at(const struct pair *x, int64_t u) { return &x[u / 2].unit[u % 2]; }
static inline const int8_t *bytes_at(const struct pair *x, int64_t u) { return x[u / 2].q + u % 2 * UNIT; }
void NAME(round_row)(const float *x, int64_t k, struct pair *row);

/* W: n rows of k values from w on; x: rounded rows, one behind the other; y: y_ld apart. */
struct quants { enum dtype type; const void *w; const struct pair *x; int64_t rows, k, n; float *y; int64_t y_ld; };

enum { DOT_ROWS = 4 };                                      /* of x, or of W, that registers hold side by side */
void NAME(quant_dots)(const struct quants *q);               /* a few rows of x: W is read once, where it lies */

/* Where the processor multiplies bytes four at a time (quads.c): a few rows of x, and many, for which W is spread out for 32 outputs at a time. */
int  NAME(has_quads)(void);
void NAME(quad_dots)(const struct quants *q);
void NAME(quant_tiles)(const struct quants *q, void *scratch);
size_t NAME(quads_scratch)(int64_t k);                       /* bytes */

/* Values at .. at + n of a row of W, anywhere in it. */
void NAME(dequantize)(enum dtype type, const void *row, int64_t at, int64_t n, float *to);

#endif
