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

#include "base/unpack.h"

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

/* Unit i of a block, as unit u of an output. */
static inline void spread_unit(struct spread s, const struct unpacked *from, int i, int64_t u, int output, int halves, int offsets)
{
    for (int quad = 0; quad < QUADS; quad++) {
        uint32_t four;
        memcpy(&four, from->q + i * UNIT + 4 * quad, sizeof four);
        four ^= 0x80808080;
        memcpy(s.bytes + ((u * QUADS + quad) * OUTPUTS + output) * 4, &four, sizeof four);
    }
    for (int h = 0; h < halves; h++) s.scale[(u * halves + h) * OUTPUTS + output] = from->scale[2 * i + h];
    if (offsets) s.offset[u * OUTPUTS + output] = from->offset[i];
}

/* Rows j .. j + OUTPUTS of W; the last one stands for those behind it. */
static inline __attribute__((always_inline)) void spread_rows(struct spread s, const struct quants *q, int64_t j, const enum dtype type)
{
    int64_t block = (int64_t)dtype_values(type), bytes = (int64_t)dtype_size(type);
    for (int output = 0; output < OUTPUTS; output++) {
        const uint8_t *b = (const uint8_t *)q->w + at_most(j + output, q->n - 1) * (q->k / block * bytes);
        for (int64_t u = 0; u < q->k / UNIT; b += bytes) {
            struct unpacked from;
            unpack(type, b, &from);
            for (int i = 0; i < block / UNIT; i++, u++) spread_unit(s, &from, i, u, output, 1 + has_half_scales(type), has_offsets(type));
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
static inline __attribute__((always_inline)) void tile(struct spread s, const struct pair *x, int64_t k, float *c, int64_t ld, const int rows, const int halves, const int offsets)
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
static inline __attribute__((always_inline)) void tiles(struct spread s, const struct quants *q, int64_t j, const int halves, const int offsets)
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

static inline __attribute__((always_inline)) void tiles_of(const struct quants *q, struct spread s, const enum dtype type)
{
    for (int64_t j = 0; j < q->n; j += OUTPUTS) {
        spread_rows(s, q, j, type);
        tiles(s, q, j, 1 + has_half_scales(type), has_offsets(type));
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

/* 64 bytes of W, q + 128 of each, and their scales, in lanes of four; of Q4_0 sixteen times q, and so is its scale.  units: 1, the last of
 * an odd number: the second one is not there.  type and units are constants. */
struct weights64 { __m512i bytes; __m512 scale; };

static inline __attribute__((always_inline)) struct weights64 of_q8_0(const uint8_t *b, const int units)
{
    int16_t d[2] = { 0 };
    __m512i q = _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)(b + 2)));
    memcpy(&d[0], b, 2);
    if (units == 2) {
        memcpy(&d[1], b + 34, 2);
        q = _mm512_inserti64x4(q, _mm256_loadu_si256((const void *)(b + 36)), 1);
    }
    __m256i halves = _mm256_mask_set1_epi16(_mm256_set1_epi16(d[0]), 0xff00, d[1]);
    return (struct weights64){ _mm512_xor_si512(q, _mm512_set1_epi8(-128)), _mm512_cvtph_ps(halves) };
}

/* Eighteen numbers of 16 bits: a scale, eight with its nibbles, and once more.  Lower nibbles go up by four bits, upper ones stay. */
static inline __attribute__((always_inline)) struct weights64 of_q4_0(const uint8_t *b, const int units)
{
    static const uint16_t nibbles[32] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 10, 11, 12, 13, 14, 15, 16, 17 };
    static const uint16_t scales[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9 };
    const __m512i up = _mm512_set_epi64(0, 0, 0x4000400040004, 0x4000400040004, 0, 0, 0x4000400040004, 0x4000400040004);
    __m512i words = _mm512_maskz_loadu_epi16(units == 2 ? 0x3ffff : 0x1ff, b);
    __m512i q = _mm512_permutexvar_epi16(_mm512_loadu_si512(nibbles), words);
    __m256i halves = _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_zextsi256_si512(_mm256_loadu_si256((const void *)scales)), words));
    return (struct weights64){ _mm512_and_si512(_mm512_sllv_epi16(q, up), _mm512_set1_epi8(-16)), _mm512_cvtph_ps(halves) };
}

/* Of what has been unpacked, pair i. */
static inline struct weights64 of_unpacked(const struct unpacked *u, int i)
{
    const __m512i quarters = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    __m512 scale = _mm512_permutexvar_ps(quarters, _mm512_castps128_ps512(_mm_loadu_ps(u->scale + 4 * i)));
    return (struct weights64){ _mm512_xor_si512(_mm512_loadu_si512(u->q + i * PAIR), _mm512_set1_epi8(-128)), scale };
}

static inline __m512 dot64(struct weights64 w, const struct pair *x, __m512 sum)
{
    __m512i whole = _mm512_dpbusd_epi32(_mm512_loadu_si512(x->lane), w.bytes, _mm512_loadu_si512(x->q));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_mul_ps(w.scale, _mm512_loadu_ps(x->scale)), sum);
}

/* An offset belongs to every value of x: to the sums of four. */
static inline __m512 offset64(const struct unpacked *u, int i, const struct pair *x, __m512 sum)
{
    __m512 offset = _mm512_insertf32x8(_mm512_set1_ps(u->offset[2 * i]), _mm256_set1_ps(u->offset[2 * i + 1]), 1);
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(x->scale), _mm512_set1_ps(-1.0f / 128));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(x->lane)), _mm512_mul_ps(offset, scale), sum);
}

/* The second unit of a pair of blocks of 32; 0 if it is not there. */
static inline __attribute__((always_inline)) void unpack_second(const enum dtype type, const uint8_t *b, struct unpacked *u, const int units)
{
    struct unpacked second;
    unpack_scale(&second, 0, 0);
    if (units == 2) unpack(type, b + dtype_size(type), &second);
    else memset(second.q, 0, UNIT);
    memcpy(u->q + UNIT, second.q, UNIT);
    u->scale[2] = u->scale[3] = second.scale[0];
    u->offset[1] = second.offset[0];
}

/* One block, or a pair of them where they have 32 values, of `side` rows of W at w, against rows of x at x. */
static inline __attribute__((always_inline)) void dot_blocks(const uint8_t *const *w, const struct pair *const *x, __m512 sum[DOT_ROWS][DOT_ROWS], const enum dtype type, const int rows, const int side, const int units)
{
    for (int d = 0; d < side; d++) {
        struct unpacked u;
        const int pairs = dtype_values(type) == BLOCK_MOST ? BLOCK_MOST / PAIR : 1;
        __builtin_prefetch(w[d] + AHEAD, 0, 3);
        if (type != Q8_0 && type != Q4_0) unpack(type, w[d], &u);
        if (type == Q5_0 || type == Q5_1) unpack_second(type, w[d], &u, units);
        for (int i = 0; i < pairs; i++) {
            struct weights64 weights = type == Q8_0 ? of_q8_0(w[d], units) : type == Q4_0 ? of_q4_0(w[d], units) : of_unpacked(&u, i);
            for (int r = 0; r < rows; r++) {
                sum[r][d] = dot64(weights, x[r] + i, sum[r][d]);
                if (has_offsets(type)) sum[r][d] = offset64(&u, i, x[r] + i, sum[r][d]);
            }
        }
    }
}

static inline __attribute__((always_inline)) void quad_block(const struct quants *q, int64_t row, int64_t j, const enum dtype type, const int rows, const int side)
{
    int64_t values = (int64_t)dtype_values(type), bytes = (int64_t)dtype_size(type), ld = q->k / values * bytes, step = values == UNIT ? 2 * bytes : bytes, pairs = values == UNIT ? 1 : values / PAIR;
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
        for (int d = 0; d < side; d++) w[d] += step;
        for (int r = 0; r < rows; r++) x[r] += pairs;
    }
    if (q->k % PAIR) dot_blocks(w, x, sum, type, rows, side, 1);
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side && j + d < q->n; d++) q->y[(row + r) * q->y_ld + j + d] = v_sum((vf)sum[r][d]) * (type == Q4_0 ? 1.0f / 16 : 1);
}

static inline __attribute__((always_inline)) void quad_rows(const struct quants *q, const enum dtype type)
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
