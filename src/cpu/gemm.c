/* gemm.c -- the blocked product (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for columns of C, N_BLOCK at a time
 *         for k, K_BLOCK at a time              that block of B, where it lies or packed: strips of TILE_COLS columns, stays in L2
 *             for rows of C, TILE_ROWS at a time        A straight from its rows, or a packed panel, stays in L1
 *                 for strips of B               the tile: TILE_ROWS x TILE_VECTORS accumulators in registers
 *
 * What is packed are units of four bytes: an f32, or (where the ISA multiplies them) a pair of bf16 that are neighbours in
 * k.  Everything but packing and the multiply-add itself is the same for both. */
#include "cpu/gemm.h"

#include "base/quantize.h"
#include "cpu/quants.h"
#include "cpu/row.h"

enum { K_BLOCK = 256, N_BLOCK = GRID_COLS };                /* K_BLOCK in units */
enum { SMALL = 1 << 17 };                                   /* elements of B that caches hold however they lie */
enum { PANELS_MOST = 1 << 22 };                             /* floats in the panels of one product; where they were more, tasks pack for themselves */
enum { FEW = 4 };                                           /* columns that are not worth a strip of their own */
enum { SOON = 24 };                                         /* rows of B that are asked for ahead where it lies strewn */
enum { LEFT = (TILE_ROWS + VW - 1) / VW * VW };             /* rows of a packed panel of A: whole vectors */

/* ---- the tile ---- */

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

struct panel { const char *p; int64_t row, step; };         /* unit (i, k) of A at p + i * row + k * step, in bytes */
struct strip { const float *p; int64_t ld, ahead; };        /* unit k of B at p + k * ld; `ahead` further on is what will soon be read */

/* Lines of memory that will soon be read, in as many parts as a tile has rows: part i is the n lines from p + i * outer on,
 * `inner` bytes apart, and m times the same `again` bytes apart.  Parts are asked for one by one, since a core waits for at
 * most a dozen lines at once and the tile needs its own. */
struct lines { const char *p; int64_t outer, inner, again; int n, m; };

static inline void ask(const struct lines *l, int64_t part)
{
    for (int y = 0; y < l->m; y++)
        for (int x = 0; x < l->n; x++) __builtin_prefetch(l->p + part * l->outer + y * l->again + x * l->inner, 0, 2);
}

/* c (rows x TILE_COLS) = or += A B over k units.  next: what to ask for, besides C; NULL: all is at hand.  rows and dot
 * are constants where this is inlined.  Every fifth row of A has a pointer of its own and the rest are offsets, so that all of it stays in registers. */
static inline __attribute__((always_inline)) void tile(int64_t k, struct panel a, struct strip b, const struct lines *next, float *c, int64_t ld, int add, const int rows, const int dot)
{
    enum { STEP = 5, BASES = (TILE_ROWS + STEP - 1) / STEP };
    vf sum[TILE_ROWS][TILE_VECTORS];
    const char *base[BASES];
    int64_t offset[STEP];
    UNROLL
    for (int i = 0; i < BASES; i++) base[i] = a.p + i * STEP * a.row;
    UNROLL
    for (int i = 0; i < STEP; i++) offset[i] = i * a.row;
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int j = 0; j < TILE_VECTORS; j++) sum[i][j] = v_set(0);
    const float *end = b.p + k * b.ld, *soon = c;
    int64_t part = 0, some = next ? (k / rows + 1) * b.ld : k * b.ld;
    for (; b.p != end; soon += ld, part++) {
        for (int j = 0; j < TILE_VECTORS && next; j++) __builtin_prefetch(soon + j * VW, 1);
        if (next) ask(next, part);
        const float *stop = end - b.p > some ? b.p + some : end;
        for (; b.p != stop; b.p += b.ld) {
            vf right[TILE_VECTORS];
            UNROLL
            for (int j = 0; j < TILE_VECTORS; j++) {
                right[j] = v_load(b.p + j * VW);
                __builtin_prefetch(b.p + b.ahead + j * VW);
            }
            UNROLL
            for (int i = 0; i < rows; i++) {
                float unit;
                memcpy(&unit, base[i / STEP] + offset[i % STEP], sizeof unit);
                vf left = v_set(unit);
                UNROLL
                for (int j = 0; j < TILE_VECTORS; j++) sum[i][j] = dot ? V_DOT(left, right[j], sum[i][j]) : v_fma(left, right[j], sum[i][j]);
            }
            UNROLL
            for (int i = 0; i < BASES; i++) base[i] += a.step;
        }
    }
    float *to = c;
    __asm__("" : "+r"(to));                                  /* addresses of C are not to be kept in registers until now */
    UNROLL
    for (int i = 0; i < rows; i++, to += ld)
        UNROLL
        for (int j = 0; j < TILE_VECTORS; j++) v_store(to + j * VW, add ? v_load(to + j * VW) + sum[i][j] : sum[i][j]);
}

typedef void tile_function(int64_t k, struct panel a, struct strip b, const struct lines *next, float *c, int64_t ld, int add);
#define TILE(n)                                                                                                              \
    static void tile_##n(int64_t k, struct panel a, struct strip b, const struct lines *next, float *c, int64_t ld, int add) \
    {                                                                                                                        \
        tile(k, a, b, next, c, ld, add, n < TILE_ROWS ? n : TILE_ROWS, 0);                                                   \
    }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
static tile_function *const tile_of_rows[] = { NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14 };
_Static_assert(TILE_ROWS < sizeof tile_of_rows / sizeof *tile_of_rows, "a tile function for every number of rows");

static void tile_dot(int64_t k, struct panel a, struct strip b, const struct lines *next, float *c, int64_t ld, int add)
{
    tile(k, a, b, next, c, ld, add, TILE_ROWS, HAS_DOT);
}

/* A tile that leaves C on the right, or (of pairs, whose A is padded) at the bottom, is computed beside it. */
static void tile_at_edge(int64_t k, struct panel a, struct strip b, const struct lines *next, float *c, int64_t ld, int add, tile_function *f, int64_t rows, int64_t cols)
{
    float whole[TILE_ROWS * TILE_COLS];
    f(k, a, b, next, whole, TILE_COLS, 0);
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

static inline __attribute__((always_inline)) vf load_vector(const struct matrix *m, int64_t i, int64_t j, int64_t n)     /* n elements in the direction of stride 1 */
{
    return vector_at(m->p, i * m->row + j * m->col, n, m->type);
}

/* f32 units of m, rows i .. i + k of columns j .. j + n, to panels `wide` columns wide: to[panel][row][column], padded with 0.
 * B is packed so, and A transposed.  wide is a constant of whole vectors. */
static inline __attribute__((always_inline)) void pack_f32(const struct matrix *m, int64_t i, int64_t k, int64_t j, int64_t n, const int wide, float *to)
{
    for (int64_t p = 0; p < n; p += wide, to += k * wide) {
        int64_t cols = at_most(wide, n - p), r = 0;
        for (; m->col == 1 && r < k; r++)
            for (int c = 0; c < wide; c += VW) v_store(to + r * wide + c, load_vector(m, i + r, j + p + c, at_least(cols - c, 0)));
        for (; r + VW <= k && cols == wide; r += VW)
            for (int64_t c = 0; c < cols; c += VW) {
                vf block[VW];
                for (int x = 0; x < VW; x++) block[x] = load_vector(m, i + r, j + p + c + x, VW);
                v_transpose(block);
                for (int x = 0; x < VW; x++) v_store(to + (r + x) * wide + c, block[x]);
            }
        for (; r < k; r++)
            for (int64_t c = 0; c < wide; c++) to[r * wide + c] = c < cols ? get(m, i + r, j + p + c) : 0;
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

/* The same of a matrix in blocks: some lines of it become numbers first. */
static void pack_quantized(const struct matrix *m, int64_t i, int64_t k, int64_t j, int64_t n, float *to)
{
    enum { LINES = 32, LONG = 256 };
    float lines[LINES * LONG];
    int by_rows = m->col == 1;
    int64_t high = by_rows ? LINES : LONG, across = by_rows ? LONG : LINES, step = by_rows ? m->row : m->col;
    struct matrix part = { lines, by_rows ? LONG : 1, by_rows ? 1 : LONG, F32 };
    for (int64_t r = 0; r < k; r += high)
        for (int64_t p = 0; p < n; p += across) {
            int64_t rows = at_most(high, k - r), cols = at_most(across, n - p), first = by_rows ? i + r : j + p;
            for (int64_t x = 0; x < (by_rows ? rows : cols); x++)
                NAME(dequantize)(m->type, (const char *)m->p + dtype_bytes(m->type, (size_t)((first + x) * step)), by_rows ? j + p : i + r, by_rows ? cols : rows, lines + x * LONG);
            for (int64_t c = 0; c < cols; c += TILE_COLS) pack_f32(&part, 0, rows, c, at_most(TILE_COLS, cols - c), TILE_COLS, to + (p + c) * k + r * TILE_COLS);
        }
}

/* ---- the loops ---- */

/* Whether tiles read m rows of A where they lie: f32, or (whole tiles alone) bf16 pairs. */
static int lies_left(const struct matrix *a, int64_t m, int64_t n, int dot) { return a->col == 1 && (dot ? a->type == BF16 && n % 2 == 0 && m % TILE_ROWS == 0 : a->type == F32); }

/* Rows i .. i + m of A, k .. k + n in k, to panels `high` rows high, one behind the other. */
static void pack_left(const struct matrix *a, int64_t i, int64_t m, int64_t high, int64_t k, int64_t n, int dot, float *to)
{
    struct matrix t = transposed(*a);
    int64_t size = LEFT * (dot ? (n + 1) / 2 : n);
    for (int64_t r = 0; r < m; r += high, to += size) {
        int64_t rows = at_most(high, m - r);
        if (dot) pack_bf16(&t, k, n, i + r, rows, LEFT, to);
        else if (a->col != 1) pack_f32(&t, k, n, i + r, rows, LEFT, to);
        else for (int64_t u = 0; u < rows; u++) widen(to + u * n, (const uint16_t *)a->p + (i + r + u) * a->row + k, n);
    }
}

/* Piece `part` of `parts` of rows i .. i + rows, columns j .. j + n of m. */
static struct lines piece(const struct matrix *m, int64_t i, int64_t rows, int64_t j, int64_t n, int64_t part, int64_t parts)
{
    enum { LINE = 64 };
    struct matrix t = transposed(*m);
    if (m->col != 1) return piece(&t, j, n, i, rows, part, parts);
    int64_t size = (int64_t)dtype_size(m->type), row = m->row * size, each = ceil_div(rows, parts), from = at_most(part * each, rows);
    int64_t lines = ceil_div(n * size, LINE) + 1, some = ceil_div(lines, TILE_ROWS), few = ceil_div(each, TILE_ROWS);
    const char *p = (const char *)m->p + ((i + from) * m->row + j) * size;
    each = at_most(each, rows - from);
    if (each < TILE_ROWS) return (struct lines){ p, some * LINE, LINE, row, (int)some, (int)each };
    return (struct lines){ p, few * row, LINE, row, (int)lines, (int)few };
}

struct left { int64_t i, m, high, k, n; };                   /* rows i .. i + m of A in panels `high` high, k .. k + n in k */

/* What will be read of A after the panel at row r, piece by piece: the next panel, or the first of the next block in k. */
static struct lines next_left(const struct gemm *g, const struct left *l, int64_t r, int64_t part, int64_t parts)
{
    int64_t k = l->k + l->n, n = at_most(l->n, g->k - k);
    if (r + l->high < l->m) return g->a.col == 1 ? piece(&g->a, l->i + r + l->high, l->high, l->k, l->n, part, parts) : (struct lines){ 0 };
    return n > 0 ? piece(&g->a, l->i, g->a.col == 1 ? l->high : l->m, k, n, part, parts) : (struct lines){ 0 };
}

struct right { struct strip first; int64_t panel; };         /* a block of B: its first strip, floats from one to the next */

/* A block of B, n columns, against rows of A, in panels of about equal height. */
static void multiply_block(const struct gemm *g, const struct left *l, struct right b, int64_t n, float *c, int64_t ld, int add, int dot, float *packed)
{
    const struct matrix *a = &g->a;
    int64_t units = dot ? (l->n + 1) / 2 : l->n, parts = ceil_div(n, TILE_COLS), size = (int64_t)dtype_size(a->type);
    int straight = lies_left(a, l->m, l->n, dot), by_rows = a->col == 1 && !dot;
    if (!straight) pack_left(a, l->i, l->m, l->high, l->k, l->n, dot, packed);
    for (int64_t r = 0; r < l->m; r += l->high) {
        int64_t rows = at_most(l->high, l->m - r);
        struct panel left = { (const char *)(packed + r / l->high * LEFT * units), by_rows ? 4 * l->n : 4, by_rows ? 4 : 4 * LEFT };
        if (straight) left = (struct panel){ (const char *)a->p + ((l->i + r) * a->row + l->k) * size, a->row * size, 4 };
        tile_function *f = dot ? tile_dot : tile_of_rows[rows];
        struct strip right = b.first;
        for (int64_t p = 0; p < n; p += TILE_COLS, right.p += b.panel) {
            struct lines next = next_left(g, l, r, p / TILE_COLS, parts);
            float *to = c + r * ld + p;
            if (n - p < TILE_COLS || (dot && rows < TILE_ROWS)) tile_at_edge(units, left, right, &next, to, ld, add, f, rows, at_most(TILE_COLS, n - p));
            else f(units, left, right, &next, to, ld, add);
        }
    }
}

/* Columns behind the last whole strip, if they are so few that a strip of them would be mostly padding. */
static int64_t few_behind(const struct gemm *g, int dot)
{
    int64_t n = g->n % TILE_COLS;
    return n <= FEW && !dot && g->a.col == 1 && !is_quantized(g->b.type) ? n : 0;
}

/* Columns j .. j + n of B, few of them, against rows of A, which lie across the vectors here. */
static void multiply_few(const struct gemm *g, const struct left *l, int64_t j, int64_t n, float *c, int64_t ld, int add)
{
    float column[FEW][K_BLOCK] = { 0 }, sums[VW];
    for (int64_t p = 0; p < n; p++)
        for (int64_t u = 0; u < l->n; u++) column[p][u] = get(&g->b, l->k + u, j + p);
    for (int64_t r = 0; r < l->m; r += VW, c += VW * ld) {
        int64_t rows = at_most(VW, l->m - r);
        vf sum[FEW], block[VW];
        for (int p = 0; p < FEW; p++) sum[p] = v_set(0);
        for (int64_t u = 0; u < l->n; u += VW) {
            for (int x = 0; x < VW; x++) block[x] = load_vector(&g->a, l->i + r + at_most(x, rows - 1), l->k + u, l->n - u);
            v_transpose(block);
            for (int x = 0; x < VW && u + x < l->n; x++)
                for (int p = 0; p < FEW; p++) sum[p] = v_fma(block[x], v_set(column[p][u + x]), sum[p]);
        }
        for (int64_t p = 0; p < n; p++) {
            v_store(sums, sum[p]);
            for (int64_t i = 0; i < rows; i++) c[i * ld + p] = add ? c[i * ld + p] + sums[i] : sums[i];
        }
    }
}

static void pack_right(const struct matrix *b, int64_t k, int64_t kn, int64_t j, int64_t n, int dot, float *to)
{
    if (is_quantized(b->type)) pack_quantized(b, k, kn, j, n, to);
    else if (dot) pack_bf16(b, k, kn, j, n, TILE_COLS, to);
    else pack_f32(b, k, kn, j, n, TILE_COLS, to);
}

static int in_pairs(const struct gemm *g) { return HAS_DOT && g->a.type == BF16 && g->b.type == BF16; }

/* Whether tiles read B where it lies: whole strips of f32 rows, which do not all fall into the same few lines of the caches. */
static int lies_right(const struct gemm *g)
{
    return !in_pairs(g) && g->b.col == 1 && g->b.type == F32 && g->n % TILE_COLS == 0 && (g->b.row % 1024 || g->k * g->n <= SMALL);
}

/* A block of B: from the panels that a phase before has packed, or where it lies if the tiles can read it there, or packed now. */
static struct right right_block(const struct gemm *g, int64_t k, int64_t kn, int64_t j, int64_t n, int dot, float *packed)
{
    const struct matrix *b = &g->b;
    int64_t unit = dot ? 2 : 1, all = ceil_div(g->k, unit);
    if (g->panels) return (struct right){ { g->panels + j * all + k / unit * TILE_COLS, TILE_COLS, TILE_COLS }, TILE_COLS * all };
    if (lies_right(g)) return (struct right){ { (const float *)b->p + k * b->row + j, b->row, SOON * b->row }, TILE_COLS };
    pack_right(b, k, kn, j, n, dot, packed);
    int64_t panel = ceil_div(kn, unit) * TILE_COLS;
    return (struct right){ { packed, TILE_COLS, TILE_COLS }, panel };
}

void NAME(gemm)(const struct gemm *g, int64_t i, int64_t m, int64_t j, int64_t n, float *c, int64_t ld, int add, void *scratch)
{
    int dot = in_pairs(g);
    int64_t step = dot ? 2 * K_BLOCK : K_BLOCK;
    float *right = scratch, *left = right + K_BLOCK * N_BLOCK;
    for (int64_t r = 0; r < m && !g->k && !add; r++) memset(c + r * ld, 0, (size_t)n * sizeof *c);       /* a sum over no rows */
    for (int64_t jb = 0; jb < n; jb += N_BLOCK)
        for (int64_t k = 0; k < g->k; k += step) {
            int64_t kn = at_most(step, g->k - k), cols = at_most(N_BLOCK, n - jb);
            struct left l = { i, m, dot ? TILE_ROWS : ceil_div(m, ceil_div(m, TILE_ROWS)), k, kn };
            int64_t few = j + jb + cols == g->n ? few_behind(g, dot) : 0;
            cols -= few;
            multiply_block(g, &l, right_block(g, k, kn, j + jb, cols, dot, right), cols, c + jb, ld, add || k, dot, left);
            if (few) multiply_few(g, &l, g->n - few, few, c + jb + cols, ld, add || k);
        }
}

size_t NAME(panel_floats)(const struct gemm *g)
{
    int64_t all = ceil_div(g->k, in_pairs(g) ? 2 : 1) * ceil_div(g->n, TILE_COLS) * TILE_COLS;
    return lies_right(g) || all > PANELS_MOST ? 0 : (size_t)all;
}

enum { PACK_COLS = 2 * TILE_COLS };                         /* columns that a task packs */

int NAME(pack_tasks)(const struct gemm *g) { return g->panels ? (int)ceil_div(g->n, PACK_COLS) : 0; }

void NAME(pack_panels)(const struct gemm *g, int task)
{
    int dot = in_pairs(g);
    int64_t j = (int64_t)task * PACK_COLS;
    pack_right(&g->b, 0, g->k, j, at_most(PACK_COLS, g->n - j), dot, g->panels + j * ceil_div(g->k, dot ? 2 : 1));
}

size_t NAME(gemm_scratch)(void) { return K_BLOCK * (N_BLOCK + TILE_COLS + LEFT * (GRID_ROWS / TILE_ROWS + 2)) * sizeof(float); }

void NAME(small_product)(int64_t m, int64_t n, int64_t k, struct small s, int add)
{
    struct panel a = { (const char *)s.a, 4 * s.row, 4 * s.col };
    for (int64_t j = 0; j < n; j += TILE_COLS) tile_of_rows[m](k, a, (struct strip){ s.b + j, s.b_ld, TILE_COLS }, NULL, s.c + j, s.c_ld, add);
}

/* ---- tasks ---- */

enum { GRID_TASKS = 14 };

/* About so many tasks, of nearly one size.  Rows are shared out first: a task packs what it needs of A for all of its
 * columns.  least: tiles of rows below which packing or fetching B would weigh too much. */
struct grid NAME(gemm_grid)(const struct gemm *g)
{
    int64_t tiles = ceil_div(at_least(g->m, 1), TILE_ROWS);                                     /* m may be 0: nothing is live */
    int64_t least = !g->panels && !lies_right(g) ? GRID_ROWS / TILE_ROWS / 2 : g->a.col == 1 ? 3 : 1;
    int64_t across = ceil_div(g->n, N_BLOCK), down = at_least(ceil_div(g->m, GRID_ROWS), at_most(ceil_div(GRID_TASKS, across), tiles / least));
    down = ceil_div(tiles, ceil_div(tiles, at_least(down, 1)));
    while (across * down < GRID_TASKS * 2 / 3 && across * 2 * TILE_COLS < g->n) across *= 2;
    struct grid grid = { ceil_div(at_least(g->m, 1), down), ceil_div(ceil_div(g->n, across), TILE_COLS) * TILE_COLS, 0, 0 };
    grid.down = (int)ceil_div(g->m, grid.rows);
    grid.across = (int)ceil_div(g->n, grid.cols);
    return grid;
}

struct area NAME(grid_area)(const struct gemm *g, struct grid grid, int task)
{
    int64_t i = task / grid.across * grid.rows, j = task % grid.across * grid.cols;
    return (struct area){ i, at_most(grid.rows, g->m - i), j, at_most(grid.cols, g->n - j) };
}
