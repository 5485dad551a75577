/* gemm.c -- the blocked product (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for columns of C, N_BLOCK at a time
 *         for k, K_BLOCK at a time              pack that block of B: panels of TILE_COLS columns, stays in L2
 *             for rows of C, TILE_ROWS at a time        A straight from its rows, or a packed panel, stays in L1
 *                 for panels of B               the tile: TILE_ROWS x TILE_VECTORS accumulators in registers
 *
 * What is packed are units of four bytes: an f32, or (where the ISA multiplies them) a pair of bf16 that are neighbours in
 * k.  Everything but packing and the multiply-add itself is the same for both. */
#include "cpu/gemm.h"

#include "cpu/row.h"

enum { K_BLOCK = 256, N_BLOCK = GRID_COLS };                /* K_BLOCK in units */

/* ---- the tile ---- */

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

struct panel { const char *p; int64_t row, step; };         /* unit (i, k) of A at p + i * row + k * step, in bytes */

/* c (rows x TILE_COLS) = or += A B over k units; row k of B is b + k * b_ld.  rows and dot are constants where this is inlined. */
static inline __attribute__((always_inline)) void tile(int64_t k, struct panel a, const float *b, int64_t b_ld, float *c, int64_t ld, int add, const int rows, const int dot)
{
    vf sum[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int j = 0; j < TILE_VECTORS; j++) sum[i][j] = v_set(0);
    for (int64_t u = 0; u < k; u++, b += b_ld, a.p += a.step) {
        vf right[TILE_VECTORS];
        UNROLL
        for (int j = 0; j < TILE_VECTORS; j++) right[j] = v_load(b + j * VW);
        UNROLL
        for (int i = 0; i < rows; i++) {
            float unit;
            memcpy(&unit, a.p + i * a.row, sizeof unit);
            vf left = v_set(unit);
            UNROLL
            for (int j = 0; j < TILE_VECTORS; j++) sum[i][j] = dot ? V_DOT(left, right[j], sum[i][j]) : v_fma(left, right[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int j = 0; j < TILE_VECTORS; j++) {
            float *to = c + i * ld + j * VW;
            v_store(to, add ? v_load(to) + sum[i][j] : sum[i][j]);
        }
}

typedef void tile_function(int64_t k, struct panel a, const float *b, int64_t b_ld, float *c, int64_t ld, int add);
#define TILE(n)                                                                                                      \
    static void tile_##n(int64_t k, struct panel a, const float *b, int64_t b_ld, float *c, int64_t ld, int add)     \
    {                                                                                                                \
        tile(k, a, b, b_ld, c, ld, add, n < TILE_ROWS ? n : TILE_ROWS, 0);                                           \
    }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
static tile_function *const tile_of_rows[] = { NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14 };
_Static_assert(TILE_ROWS < sizeof tile_of_rows / sizeof *tile_of_rows, "a tile function for every number of rows");

static void tile_dot(int64_t k, struct panel a, const float *b, int64_t b_ld, float *c, int64_t ld, int add)
{
    tile(k, a, b, b_ld, c, ld, add, TILE_ROWS, HAS_DOT);
}

/* A tile that leaves C on the right, or (of pairs, whose A is padded) at the bottom, is computed beside it. */
static void tile_at_edge(int64_t k, struct panel a, const float *b, int64_t b_ld, float *c, int64_t ld, int add, tile_function *f, int64_t rows, int64_t cols)
{
    float whole[TILE_ROWS * TILE_COLS];
    f(k, a, b, b_ld, whole, TILE_COLS, 0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            float *to = c + i * ld + j;
            *to = add ? *to + whole[i * TILE_COLS + j] : whole[i * TILE_COLS + j];
        }
}

/* ---- packing ---- */

static float get(const struct matrix *m, int64_t i, int64_t j)
{
    int64_t at = i * m->row + j * m->col;
    return m->type == BF16 ? bf16_to_f32(((const uint16_t *)m->p)[at]) : ((const float *)m->p)[at];
}

static uint16_t get_bf16(const struct matrix *m, int64_t i, int64_t j)
{
    int64_t at = i * m->row + j * m->col;
    return m->type == BF16 ? ((const uint16_t *)m->p)[at] : f32_to_bf16(((const float *)m->p)[at]);
}

static vf load_vector(const struct matrix *m, int64_t i, int64_t j)          /* VW elements in the direction of stride 1 */
{
    int64_t at = i * m->row + j * m->col;
    return m->type == BF16 ? v_load_bf16((const uint16_t *)m->p + at) : v_load((const float *)m->p + at);
}

static struct matrix transposed(const struct matrix *m) { return (struct matrix){ m->p, m->col, m->row, m->type }; }

/* f32 units of m, rows i .. i + k of columns j .. j + n, to panels `wide` columns wide: to[panel][row][column], padded with 0.
 * B is packed so, and A transposed. */
static void pack_f32(const struct matrix *m, int64_t i, int64_t k, int64_t j, int64_t n, int wide, float *to)
{
    for (int64_t p = 0; p < n; p += wide, to += k * wide) {
        int64_t cols = at_most(wide, n - p), r = 0;
        if (cols < wide) memset(to, 0, (size_t)(k * wide) * sizeof *to);
        for (; m->col == 1 && r < k; r++) {
            int64_t c = 0;
            for (; c + VW <= cols; c += VW) v_store(to + r * wide + c, load_vector(m, i + r, j + p + c));
            for (; c < cols; c++) to[r * wide + c] = get(m, i + r, j + p + c);
        }
        for (; r + VW <= k && cols == wide && wide % VW == 0; r += VW)
            for (int64_t c = 0; c < cols; c += VW) {
                vf block[VW];
                for (int x = 0; x < VW; x++) block[x] = load_vector(m, i + r, j + p + c + x);
                v_transpose(block);
                for (int x = 0; x < VW; x++) v_store(to + (r + x) * wide + c, block[x]);
            }
        for (; r < k; r++)
            for (int64_t c = 0; c < cols; c++) to[r * wide + c] = get(m, i + r, j + p + c);
    }
}

/* The same in pairs: unit r holds rows i + 2r and i + 2r + 1; k counts rows. */
static void pack_bf16(const struct matrix *m, int64_t i, int64_t k, int64_t j, int64_t n, int wide, float *to)
{
    for (int64_t p = 0; p < n; p += wide)
        for (int64_t r = 0; r < k; r += 2, to += wide)
            for (int64_t c = 0; c < wide; c++) {
                uint32_t pair = 0;
                if (p + c < n) pair = get_bf16(m, i + r, j + p + c) | (r + 1 < k ? (uint32_t)get_bf16(m, i + r + 1, j + p + c) << 16 : 0);
                memcpy(to + c, &pair, sizeof pair);
            }
}

/* ---- the loops ---- */

/* Rows i .. i + rows of A, k .. k + n in k: straight from memory if the tile can read them there, else packed. */
static struct panel left_panel(const struct matrix *a, int64_t i, int64_t rows, int64_t k, int64_t n, int dot, float *packed)
{
    if (a->col == 1 && (dot ? a->type == BF16 && n % 2 == 0 && rows == TILE_ROWS : a->type == F32)) {
        int64_t size = (int64_t)dtype_size(a->type);
        return (struct panel){ (const char *)a->p + (i * a->row + k) * size, a->row * size, 4 };
    }
    struct matrix t = transposed(a);
    (dot ? pack_bf16 : pack_f32)(&t, k, n, i, rows, TILE_ROWS, packed);
    return (struct panel){ (const char *)packed, 4, 4 * TILE_ROWS };
}

/* One block of B, packed, against rows i .. i + m of A. */
static void multiply_block(const struct gemm *g, int64_t i, int64_t m, int64_t k, int64_t kn, const float *right, int64_t n, float *c, int64_t ld, int add, int dot, float *packed)
{
    int64_t units = dot ? (kn + 1) / 2 : kn;
    for (int64_t r = 0; r < m; r += TILE_ROWS) {
        int64_t rows = at_most(TILE_ROWS, m - r);
        struct panel left = left_panel(&g->a, i + r, rows, k, kn, dot, packed);
        tile_function *f = dot ? tile_dot : tile_of_rows[rows];
        for (int64_t p = 0; p < n; p += TILE_COLS) {
            const float *b = right + p * units;
            float *to = c + r * ld + p;
            if (n - p < TILE_COLS || (dot && rows < TILE_ROWS)) tile_at_edge(units, left, b, TILE_COLS, to, ld, add, f, rows, at_most(TILE_COLS, n - p));
            else f(units, left, b, TILE_COLS, to, ld, add);
        }
    }
}

void NAME(gemm)(const struct gemm *g, int64_t i, int64_t m, int64_t j, int64_t n, float *c, int64_t ld, int add, void *scratch)
{
    int dot = HAS_DOT && g->a.type == BF16 && g->b.type == BF16;
    int64_t step = dot ? 2 * K_BLOCK : K_BLOCK;
    float *right = scratch, *left = right + K_BLOCK * N_BLOCK;
    for (int64_t r = 0; r < m && !g->k && !add; r++) memset(c + r * ld, 0, (size_t)n * sizeof *c);       /* a sum over no rows */
    for (int64_t jb = 0; jb < n; jb += N_BLOCK)
        for (int64_t k = 0; k < g->k; k += step) {
            int64_t kn = at_most(step, g->k - k), cols = at_most(N_BLOCK, n - jb);
            (dot ? pack_bf16 : pack_f32)(&g->b, k, kn, j + jb, cols, TILE_COLS, right);
            multiply_block(g, i, m, k, kn, right, cols, c + jb, ld, add || k, dot, left);
        }
}

size_t NAME(gemm_scratch)(void) { return K_BLOCK * (N_BLOCK + TILE_COLS + TILE_ROWS) * sizeof(float); }

void NAME(small_product)(int64_t m, int64_t n, int64_t k, struct small s, int add)
{
    for (int64_t i = 0; i < m; i += TILE_ROWS) {
        struct panel a = { (const char *)(s.a + i * s.row), 4 * s.row, 4 * s.col };
        tile_function *f = tile_of_rows[at_most(TILE_ROWS, m - i)];
        for (int64_t j = 0; j < n; j += TILE_COLS) f(k, a, s.b + j, s.b_ld, s.c + i * s.c_ld + j, s.c_ld, add);
    }
}

/* ---- tasks ---- */

enum { GRID_ROWS = 36 * TILE_ROWS, GRID_TASKS = 16 };

struct grid NAME(gemm_grid)(int64_t m, int64_t n)
{
    struct grid g = { at_most(GRID_ROWS, at_least(m, 1)), at_most(N_BLOCK, n), 0, 0 };      /* m may be 0: nothing is live */
    while (ceil_div(m, g.rows) * ceil_div(n, g.cols) < GRID_TASKS && (g.rows > 4 * TILE_ROWS || g.cols > 2 * TILE_COLS)) {
        if (g.cols > 2 * TILE_COLS && g.cols >= g.rows / 2) g.cols = ceil_div(ceil_div(g.cols, 2), TILE_COLS) * TILE_COLS;
        else if (g.rows > 4 * TILE_ROWS) g.rows = ceil_div(ceil_div(g.rows, 2), TILE_ROWS) * TILE_ROWS;
        else g.cols = ceil_div(ceil_div(g.cols, 2), TILE_COLS) * TILE_COLS;
    }
    g.down = (int)ceil_div(m, g.rows);
    g.across = (int)ceil_div(n, g.cols);
    return g;
}
