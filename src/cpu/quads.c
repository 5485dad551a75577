/* quads.c -- rows of x against W in blocks, by instructions that multiply bytes four at a time and add them to a sum of 32 bits (AVX-512's
 * VNNI; the Makefile builds this file with it, and has_quads says whether the processor has it).  One side of such a product has no sign: that is
 * q + 128 of W, and 128 times the sum of x comes off.
 *
 * For many rows of x, 32 rows of W are spread out so that a lane has an output of its own:
 *
 *     bytes    [unit][quad, 8][output, 32][4]     q + 128
 *     scale    [unit][half, 1 or 2][output]
 *     offset   [unit][output]
 *
 * Then each six rows of x run over them, their sums in registers. */
#include "cpu/quants.h"

#include "cpu/blocks.h"

#ifdef __AVX512VNNI__
enum { X_ROWS = 6, ACROSS = 2, OUTPUTS = ACROSS * VW, QUADS = UNIT / 4 };        /* 12 sums, 12 of a unit, 2 of W, 1 of x, of 32 registers */

int NAME(has_quads)(void) { return __builtin_cpu_supports("avx512vnni"); }

size_t NAME(quads_scratch)(int64_t k) { return (size_t)k * OUTPUTS + 3 * (size_t)(k / UNIT) * OUTPUTS * sizeof(float); }

/* ---- many rows ---- */

struct spread { uint8_t *bytes; float *scale, *offset; };

static struct spread spread_in(void *scratch, int64_t k)
{
    uint8_t *bytes = scratch;
    float *scale = (float *)(bytes + k * OUTPUTS);
    return (struct spread){ bytes, scale, scale + 2 * k / UNIT * OUTPUTS };
}

/* Rows j .. j + OUTPUTS of W; the last one stands for those behind it. */
INLINE void spread_rows(struct spread to, const struct quants *q, int64_t j, const enum dtype type)
{
    const int scales = unit_scales(type);
    int64_t bytes = (int64_t)dtype_size(type);
    for (int output = 0; output < OUTPUTS; output++) {
        const uint8_t *b = (const uint8_t *)q->w + at_most(j + output, q->n - 1) * (int64_t)dtype_bytes(type, (size_t)q->k);
        for (int64_t at = 0; at < q->k / UNIT; b += bytes) {
            struct scales s;
            block_scales(type, b, &s);
#pragma GCC unroll 8
            for (int u = 0; u < block_units(type); u++, at++) {
                vi8 quads = (vi8)unit_bytes(type, b, u) ^ (int32_t)0x80808080;
                for (int quad = 0; quad < QUADS; quad++) memcpy(to.bytes + ((at * QUADS + quad) * OUTPUTS + output) * 4, (char *)&quads + 4 * quad, 4);
                for (int i = 0; i < scales; i++) to.scale[(at * scales + i) * OUTPUTS + output] = s.scale[u * scales + i];
                if (has_offsets(type)) to.offset[at * OUTPUTS + output] = s.offset[u];
            }
        }
    }
}

static inline vi dot_quads(vi sum, const uint8_t *w, const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, _mm512_loadu_si512(w), _mm512_set1_epi32(four));
}

/* rows of x from q->x on, against what is spread, to c.  rows, halves and offsets are constants. */
INLINE void tile(struct spread s, const struct pair *x, int64_t k, float *c, int64_t ld, const int rows, const int halves, const int offsets)
{
    vf sum[X_ROWS][ACROSS];
    const struct unit *unit[X_ROWS];
    const int8_t *q[X_ROWS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < ACROSS; v++) sum[r][v] = v_set(0);
    const uint8_t *w = s.bytes;
    const float *scale = s.scale, *offset = s.offset;
    for (int64_t u = 0; u < k / UNIT; u++) {
        for (int r = 0; r < rows; r++) unit[r] = unit_at(x + r * pairs_of(k), u), q[r] = bytes_at(x + r * pairs_of(k), u);
        for (int h = 0; h < halves; h++, scale += OUTPUTS) {
            vi part[X_ROWS][ACROSS];
            for (int r = 0; r < rows; r++) {
                int32_t less = -128 * (halves > 1 ? unit[r]->sum[h] : unit[r]->sum[0] + unit[r]->sum[1]);
                for (int v = 0; v < ACROSS; v++) part[r][v] = less - (vi){ 0 };
            }
            for (int quad = 0; quad < QUADS / halves; quad++, w += 4 * OUTPUTS)
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < ACROSS; v++) part[r][v] = dot_quads(part[r][v], w + v * 4 * VW, q[r] + (h * QUADS / halves + quad) * 4);
            for (int v = 0; v < ACROSS; v++) {
                vf by = v_load(scale + v * VW);
                for (int r = 0; r < rows; r++) sum[r][v] = v_fma(__builtin_convertvector(part[r][v], vf), by * unit[r]->scale, sum[r][v]);
            }
        }
        for (int v = 0; v < ACROSS && offsets; v++)
            for (int r = 0; r < rows; r++)
                sum[r][v] = v_fma(v_load(offset + u * OUTPUTS + v * VW), v_set(unit[r]->scale * (float)(unit[r]->sum[0] + unit[r]->sum[1])), sum[r][v]);
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < ACROSS; v++) v_store(c + r * ld + v * VW, sum[r][v]);
}

/* Tiles of X_ROWS rows, then the rest row by row. */
INLINE void tiles(struct spread s, const struct quants *q, int64_t j, const int halves, const int offsets)
{
    float whole[X_ROWS * OUTPUTS];
    int64_t cols = at_most(OUTPUTS, q->n - j);
    for (int64_t r = 0, n; r < q->rows; r += n) {
        n = q->rows - r < X_ROWS ? 1 : X_ROWS;
        float *to = q->y + r * q->y_ld + j, *c = cols < OUTPUTS ? whole : to;
        int64_t ld = cols < OUTPUTS ? OUTPUTS : q->y_ld;
        if (n == X_ROWS) tile(s, q->x + r * pairs_of(q->k), q->k, c, ld, X_ROWS, halves, offsets);
        else tile(s, q->x + r * pairs_of(q->k), q->k, c, ld, 1, halves, offsets);
        for (int64_t i = 0; i < n && cols < OUTPUTS; i++) memcpy(to + i * q->y_ld, c + i * ld, (size_t)cols * sizeof *to);
    }
}

INLINE void tiles_of(const struct quants *q, struct spread s, const enum dtype type)
{
    for (int64_t j = 0; j < q->n; j += OUTPUTS) {
        spread_rows(s, q, j, type);
        tiles(s, q, j, unit_scales(type), has_offsets(type));
    }
}

void NAME(quant_tiles)(const struct quants *q, void *scratch)
{
    struct spread s = spread_in(scratch, q->k);
    switch ((int)q->type) {
#define X(name, values, size, text) case name: tiles_of(q, s, name); break;
        QUANTIZED_DTYPES(X)
#undef X
    }
}

/* ---- a few rows: a pair of units in a register ---- */

enum { AHEAD = 2048 };                                      /* bytes of W that are asked for: it is read from end to end */

/* Units u and v of blocks at b and c: q + 128, their scales and their offsets, in lanes of four. */
struct weights64 { __m512i bytes; __m512 scale, offset; };

static inline __m512 both(vf8 a, vf8 b) { return _mm512_insertf32x8(_mm512_castps256_ps512((__m256)a), (__m256)b, 1); }

/* What v_nibbles makes of b and of c. */
static inline __m512i two_nibbles(const uint8_t *b, const uint8_t *c)
{
    const __m512i twice = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0), down = _mm512_set_epi64(0x4000400040004, 0x4000400040004, 0, 0, 0x4000400040004, 0x4000400040004, 0, 0);
    __m256i nibbles = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)b)), _mm_loadu_si128((const void *)c), 1);
    return _mm512_and_si512(_mm512_srlv_epi16(_mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(nibbles)), down), _mm512_set1_epi8(15));
}

INLINE __m512i two_bytes(const enum dtype type, const uint8_t *b, const int u, const uint8_t *c, const int v)
{
    if (type == Q4_0) return _mm512_add_epi8(two_nibbles(b + 2, c + 2), _mm512_set1_epi8(128 - 8));
    __m512i q = _mm512_inserti64x4(_mm512_castsi256_si512((__m256i)unit_bytes(type, b, u)), (__m256i)unit_bytes(type, c, v), 1);
    return _mm512_xor_si512(q, _mm512_set1_epi8(-128));
}

INLINE struct weights64 two_units(const enum dtype type, const uint8_t *b, const struct scales *s, const int u, const uint8_t *c, const struct scales *t, const int v)
{
    struct weights64 w = { .bytes = two_bytes(type, b, u, c, v), .offset = _mm512_setzero_ps() };
    if (block_units(type) == 1) {                            /* a half at the beginning of each */
        int16_t d, e;
        memcpy(&d, b, sizeof d), memcpy(&e, c, sizeof e);
        w.scale = _mm512_cvtph_ps(_mm256_mask_set1_epi16(_mm256_set1_epi16(d), 0xff00, e));
    } else w.scale = both(unit_scale(type, s, u), unit_scale(type, t, v));
    if (has_offsets(type)) w.offset = both(v_set8(s->offset[u]), v_set8(t->offset[v]));
    return w;
}

/* An offset belongs to every value of x: to the sums of four. */
INLINE __m512 dot64(struct weights64 w, const struct pair *x, __m512 sum, const int offsets)
{
    __m512i lane = _mm512_loadu_si512(x->lane), whole = _mm512_dpbusd_epi32(lane, w.bytes, _mm512_loadu_si512(x->q));
    __m512 scale = _mm512_loadu_ps(x->scale);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_mul_ps(w.scale, scale), sum);
    return offsets ? _mm512_fmadd_ps(_mm512_cvtepi32_ps(lane), _mm512_mul_ps(w.offset, _mm512_mul_ps(scale, _mm512_set1_ps(-1.0f / 128))), sum) : sum;
}

/* What is taken at once, a block or two of 32 values: pairs of units, and bytes. */
static inline int pairs_at_once(const enum dtype type) { return block_units(type) == 1 ? 1 : (int)block_units(type) / 2; }
static inline int bytes_at_once(const enum dtype type) { return (int)dtype_size(type) * (block_units(type) == 1 ? 2 : 1); }

/* One block, or a pair of them where they have 32 values, of `side` rows of W at w, against rows of x at x.  units: 1, the last of an odd number:
 * nothing is read behind it, and it is its own second one, whose x is zeros. */
INLINE void dot_blocks(const uint8_t *const *w, const struct pair *const *x, __m512 sum[DOT_ROWS][DOT_ROWS], const enum dtype type, const int rows, const int side, const int units)
{
    const int lines = (bytes_at_once(type) + 32) / 64;
    for (int d = 0; d < side; d++) {
        struct scales s, t;
        const uint8_t *second = units == 2 ? w[d] + dtype_size(type) : w[d];
        for (int line = 0; line < lines; line++) __builtin_prefetch(w[d] + AHEAD + 64 * line, 0, 3);
        block_scales(type, w[d], &s);
        if (block_units(type) == 1) block_scales(type, second, &t);
#pragma GCC unroll 4
        for (int i = 0; i < pairs_at_once(type); i++) {
            struct weights64 weights = block_units(type) == 1 ? two_units(type, w[d], &s, 0, second, &t, 0) : two_units(type, w[d], &s, 2 * i, w[d], &s, 2 * i + 1);
            for (int r = 0; r < rows; r++) sum[r][d] = dot64(weights, x[r] + i, sum[r][d], has_offsets(type));
        }
    }
}

INLINE void quad_block(const struct quants *q, int64_t row, int64_t j, const enum dtype type, const int rows, const int side)
{
    const int pairs = pairs_at_once(type);
    int64_t ld = (int64_t)dtype_bytes(type, (size_t)q->k);
    const uint8_t *w[DOT_ROWS];
    const struct pair *x[DOT_ROWS];
    __m512 sum[DOT_ROWS][DOT_ROWS];
    for (int d = 0; d < side; d++) w[d] = (const uint8_t *)q->w + at_most(j + d, q->n - 1) * ld;
    for (int r = 0; r < rows; r++) {
        x[r] = q->x + (row + r) * pairs_of(q->k);
        for (int d = 0; d < side; d++) sum[r][d] = _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < q->k / PAIR; p += pairs) {
        dot_blocks(w, x, sum, type, rows, side, 2);
        for (int d = 0; d < side; d++) w[d] += bytes_at_once(type);
        for (int r = 0; r < rows; r++) x[r] += pairs;
    }
    if (q->k % PAIR) dot_blocks(w, x, sum, type, rows, side, 1);
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side && j + d < q->n; d++) q->y[(row + r) * q->y_ld + j + d] = v_sum((vf)sum[r][d]);
}

INLINE void quad_rows(const struct quants *q, const enum dtype type)
{
    int64_t r = 0;
    for (; r + DOT_ROWS <= q->rows; r += DOT_ROWS)
        for (int64_t j = 0; j < q->n; j += 2) quad_block(q, r, j, type, DOT_ROWS, 2);
    for (; r < q->rows; r++)
        for (int64_t j = 0; j < q->n; j++) quad_block(q, r, j, type, 1, 1);
}

void NAME(quad_dots)(const struct quants *q)
{
    switch ((int)q->type) {
#define X(name, values, size, text) case name: quad_rows(q, name); break;
        QUANTIZED_DTYPES(X)
#undef X
    }
}
#else
void NAME(quad_dots)(const struct quants *q) { (void)q; }
int NAME(has_quads)(void) { return 0; }
size_t NAME(quads_scratch)(int64_t k) { (void)k; return 0; }
void NAME(quant_tiles)(const struct quants *q, void *scratch) { (void)q, (void)scratch; }
#endif
