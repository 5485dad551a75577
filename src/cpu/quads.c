/* quads.c -- many rows of x against W in blocks, by instructions that multiply bytes four at a time and add them to a sum of 32 bits (AVX-512's
 * VNNI; the Makefile builds this file with it, and has_quads says whether the processor has it).
 *
 * 32 rows of W are spread out so that a lane has an output of its own:
 *
 *     bytes    [unit][quad, 8][output, 32][4]     q + 128: one side of such a product has no sign, and 128 times the sum of x comes off
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
static inline __attribute__((always_inline)) void tile(struct spread s, const char *x, int64_t k, float *c, int64_t ld, const int rows, const int halves, const int offsets)
{
    vf sum[X_ROWS][ACROSS];
    const int8_t *q[X_ROWS];
    const struct unit *unit[X_ROWS];
    for (int r = 0; r < rows; r++) {
        q[r] = (const int8_t *)x + (size_t)r * rounded_bytes(k);
        unit[r] = (const struct unit *)(q[r] + k);
        for (int v = 0; v < ACROSS; v++) sum[r][v] = v_set(0);
    }
    const uint8_t *w = s.bytes;
    const float *scale = s.scale, *offset = s.offset;
    for (int64_t u = 0; u < k / UNIT; u++) {
        for (int h = 0; h < halves; h++, scale += OUTPUTS) {
            vi part[X_ROWS][ACROSS];
            for (int r = 0; r < rows; r++) {
                int32_t less = -128 * (halves > 1 ? unit[r][u].sum[h] : unit[r][u].sum[0] + unit[r][u].sum[1]);
                for (int v = 0; v < ACROSS; v++) part[r][v] = less - (vi){ 0 };
            }
            for (int quad = 0; quad < QUADS / halves; quad++, w += 4 * OUTPUTS)
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < ACROSS; v++) part[r][v] = dot_quads(part[r][v], w + v * 4 * VW, q[r] + u * UNIT + (h * QUADS / halves + quad) * 4);
            for (int v = 0; v < ACROSS; v++) {
                vf by = v_load(scale + v * VW);
                for (int r = 0; r < rows; r++) sum[r][v] = v_fma(__builtin_convertvector(part[r][v], vf), by * unit[r][u].scale, sum[r][v]);
            }
        }
        for (int v = 0; v < ACROSS && offsets; v++)
            for (int r = 0; r < rows; r++)
                sum[r][v] = v_fma(v_load(offset + u * OUTPUTS + v * VW), v_set(unit[r][u].scale * (float)(unit[r][u].sum[0] + unit[r][u].sum[1])), sum[r][v]);
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < ACROSS; v++) v_store(c + r * ld + v * VW, sum[r][v]);
}

/* Tiles of X_ROWS rows, then the rest row by row. */
static inline __attribute__((always_inline)) void tiles(struct spread s, const struct quants *q, int64_t j, const int halves, const int offsets)
{
    const char *x = q->x;
    float whole[X_ROWS * OUTPUTS];
    int64_t step = (int64_t)rounded_bytes(q->k), cols = at_most(OUTPUTS, q->n - j);
    for (int64_t r = 0, n; r < q->rows; r += n) {
        n = q->rows - r < X_ROWS ? 1 : X_ROWS;
        float *to = q->y + r * q->y_ld + j, *c = cols < OUTPUTS ? whole : to;
        int64_t ld = cols < OUTPUTS ? OUTPUTS : q->y_ld;
        if (n == X_ROWS) tile(s, x + r * step, q->k, c, ld, X_ROWS, halves, offsets);
        else tile(s, x + r * step, q->k, c, ld, 1, halves, offsets);
        for (int64_t i = 0; i < n && cols < OUTPUTS; i++) memcpy(to + i * q->y_ld, c + i * ld, (size_t)cols * sizeof *to);
    }
}

#define OF(t)                                                                                      \
    case t:                                                                                        \
        spread_rows(s, q, j, t);                                                                   \
        tiles(s, q, j, 1 + has_half_scales(t), has_offsets(t));                                    \
        break;

void NAME(quant_tiles)(const struct quants *q, void *scratch)
{
    struct spread s = spread_in(scratch, q->k);
    for (int64_t j = 0; j < q->n; j += OUTPUTS)
        switch ((int)q->type) {
            OF(Q8_0) OF(Q4_0) OF(Q5_0) OF(Q5_1) OF(Q4_K) OF(Q5_K) OF(Q6_K)
        }
}
#else
int NAME(has_quads)(void) { return 0; }
size_t NAME(quads_scratch)(int64_t k) { (void)k; return 0; }
void NAME(quant_tiles)(const struct quants *q, void *scratch) { (void)q, (void)scratch; }
#endif
