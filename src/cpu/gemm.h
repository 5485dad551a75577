/* gemm.h -- products of matrices: C (m, n) = A (m, k) B (k, n), or C += A B.  Each element is summed over k in the same
 * order whatever part of C a call computes, so how C is cut into tasks changes no bit. */
#ifndef CPU_GEMM_H
#define CPU_GEMM_H
#include "cpu/cpu.h"
#include "cpu/vec.h"

enum { TILE_COLS = TILE_VECTORS * VW };  /* columns that are computed together */

/* Element (i, j) lies at p + i * row + j * col, counted in elements; row or col is 1.  Type F32 or BF16. */
struct matrix { const void *p; int64_t row, col; enum dtype type; };
struct gemm { int64_t m, n, k; struct matrix a, b; };

enum { GRID_COLS = 512 };                /* columns of a task, at most */

/* Rows i .. i + m and columns j .. j + n of the product, to c (f32, ld elements a row). */
void NAME(gemm)(const struct gemm *g, int64_t i, int64_t m, int64_t j, int64_t n, float *c, int64_t ld, int add, void *scratch);
size_t NAME(gemm_scratch)(void);

/* A small product on f32 that lies at hand, nothing packed: c (m, n) = or += A B.  Element (i, k) of A at a + i * row + k * col.
 * Rows of B and c are padded: b_ld and c_ld are at least n rounded up to TILE_COLS, and what lies in the padding of B is finite. */
struct small { const float *a; int64_t row, col; const float *b; int64_t b_ld; float *c; int64_t c_ld; };
void NAME(small_product)(int64_t m, int64_t n, int64_t k, struct small s, int add);

/* How a product of this size is cut into tasks of about equal work: by the sizes alone. */
struct grid { int64_t rows, cols; int down, across; };      /* of one task; number of tasks */
struct grid NAME(gemm_grid)(int64_t m, int64_t n);

/* Scratch for a block of such a task in f32, before it is rounded or finished: the block, a row, what gemm needs. */
static inline size_t grid_floats(struct grid g) { return ((size_t)(g.rows * g.cols) + 15) & ~(size_t)15; }
static inline size_t grid_scratch(struct grid g) { return (grid_floats(g) + GRID_COLS) * sizeof(float) + NAME(gemm_scratch)(); }
static inline float *grid_row(struct grid g, float *scratch) { return scratch + grid_floats(g); }
static inline void *grid_rest(struct grid g, float *scratch) { return scratch + grid_floats(g) + GRID_COLS; }

#endif
