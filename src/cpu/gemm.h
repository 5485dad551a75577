/* gemm.h -- products of matrices: C (m, n) = A (m, k) B (k, n), or C += A B.  Each element is summed over k in the same
 * order whatever part of C a call computes, so how C is cut into tasks changes no bit. */
#ifndef CPU_GEMM_H
#define CPU_GEMM_H
#include "cpu/cpu.h"
#include "cpu/vec.h"

enum { TILE_COLS = TILE_VECTORS * VW };  /* columns that are computed together */

/* Element (i, j) lies at p + i * row + j * col, counted in elements; row or col is 1.  Type F32, BF16, or
 * (B alone, whole blocks in the direction of 1) quantized. */
struct matrix { const void *p; int64_t row, col; enum dtype type; };
static inline struct matrix transposed(struct matrix m) { return (struct matrix){ m.p, m.col, m.row, m.type }; }

/* panels: B packed by pack_panels, for all tasks; NULL: each task packs what it needs, if it needs to. */
struct gemm { int64_t m, n, k; struct matrix a, b; float *panels; };

enum { GRID_ROWS = 36 * TILE_ROWS, GRID_COLS = 512 };        /* of a task, at most */

/* Rows i .. i + m and columns j .. j + n of the product, to c (f32, ld elements a row). */
void NAME(gemm)(const struct gemm *g, int64_t i, int64_t m, int64_t j, int64_t n, float *c, int64_t ld, int add, void *scratch);
size_t NAME(gemm_scratch)(void);

/* B into its panels, in tasks, none if there are no panels; the size of all panels, 0 if tiles read B where it lies, or if they
 * were too large. */
int NAME(pack_tasks)(const struct gemm *g);
void NAME(pack_panels)(const struct gemm *g, int task);
size_t NAME(panel_floats)(const struct gemm *g);

/* A small product on f32 that lies at hand, nothing packed, of at most TILE_ROWS rows: c (m, n) = or += A B.  Element (i, k) of A at a + i * row + k * col.
 * Rows of B and c are padded: b_ld and c_ld are at least n rounded up to TILE_COLS, and what lies in the padding of B is finite. */
struct small { const float *a; int64_t row, col; const float *b; int64_t b_ld; float *c; int64_t c_ld; };
void NAME(small_product)(int64_t m, int64_t n, int64_t k, struct small s, int add);

/* How a product is cut into tasks of about equal work: by sizes and layout alone.  Tasks go from the first rows to the last. */
struct grid { int64_t rows, cols; int down, across; };      /* of one task; number of tasks */
struct grid NAME(gemm_grid)(const struct gemm *g);
static inline int grid_tasks(struct grid g) { return g.down * g.across; }
struct area { int64_t i, m, j, n; };                         /* rows i .. i + m, columns j .. j + n of C */
struct area NAME(grid_area)(const struct gemm *g, struct grid grid, int task);

/* Scratch for a task's area in f32, before it is rounded or finished: the area, a row, what gemm needs. */
enum { AREA = GRID_ROWS * GRID_COLS };
static inline size_t area_scratch(void) { return (AREA + GRID_COLS) * sizeof(float) + NAME(gemm_scratch)(); }
static inline float *area_row(float *scratch) { return scratch + AREA; }
static inline void *area_rest(float *scratch) { return scratch + AREA + GRID_COLS; }

#endif
