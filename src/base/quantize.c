/* quantize.c -- blocks to numbers, and numbers to blocks. */
#include "base/quantize.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"

/* ---- to numbers ---- */

static float half_at(const uint8_t *at) { return f16_to_f32(little_u16(at)); }

static void dequantize_q8_0(const uint8_t *b, float *x)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) x[i] = d * (float)(int8_t)b[2 + i];
}

/* Value i of nibbles: the lower ones, then the upper ones; and its fifth bit above it. */
static int four(const uint8_t *q, int i) { return q[i % 16] >> (i < 16 ? 0 : 4) & 15; }
static int five(const uint8_t *q, const uint8_t *fifth, int i) { return four(q, i) | (fifth[i / 8] >> i % 8 & 1) << 4; }

static void dequantize_q4_0(const uint8_t *b, float *x)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) x[i] = d * (float)(four(b + 2, i) - 8);
}

static void dequantize_q5_0(const uint8_t *b, float *x)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) x[i] = d * (float)(five(b + 6, b + 2, i) - 16);
}

static void dequantize_q5_1(const uint8_t *b, float *x)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 32; i++) x[i] = d * (float)five(b + 8, b + 4, i) + m;
}

/* Pair j of eight in twelve bytes: the first four as they are; of the others four bits, and two more above the bits of the first. */
static int pair_s(const uint8_t *b, int j) { return j < 4 ? b[j] & 63 : (b[j + 4] & 15) | b[j - 4] >> 6 << 4; }
static int pair_t(const uint8_t *b, int j) { return j < 4 ? b[j + 4] & 63 : b[j + 4] >> 4 | b[j] >> 6 << 4; }

/* 32 bytes have 64 values: the lower nibbles, then the upper ones.  Bit j of fifth[i] is of value 32 j + i. */
static void dequantize_pairs(const uint8_t *b, const uint8_t *fifth, const uint8_t *q, float *x)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale = d * (float)pair_s(b + 4, j), offset = m * (float)pair_t(b + 4, j);
        for (int i = 0; i < 32; i++) {
            int value = (q[j / 2 * 32 + i] >> j % 2 * 4 & 15) | (fifth ? fifth[i] >> j & 1 : 0) << 4;
            x[32 * j + i] = scale * (float)value - offset;
        }
    }
}

static void dequantize_q4_k(const uint8_t *b, float *x) { dequantize_pairs(b, NULL, b + 16, x); }
static void dequantize_q5_k(const uint8_t *b, float *x) { dequantize_pairs(b, b + 16, b + 48, x); }

/* Halves of 128 values: four bits of each in 64 bytes, two more in 32. */
static void dequantize_q6_k(const uint8_t *b, float *x)
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, part = i / 32 % 4, l = i % 32;
        int value = (b[half * 64 + part % 2 * 32 + l] >> part / 2 * 4 & 15) | (b[128 + half * 32 + l] >> 2 * part & 3) << 4;
        x[i] = d * (float)(int8_t)b[192 + i / 16] * (float)(value - 32);
    }
}

/* ---- to blocks ---- */

static void put_half(uint8_t *at, float f)
{
    uint16_t h = f32_to_f16(f);
    at[0] = (uint8_t)h;
    at[1] = (uint8_t)(h >> 8);
}

static void quantize_q8_0(const float *x, uint8_t *b)
{
    float most = 0;
    for (int i = 0; i < 32; i++) most = fmaxf(most, fabsf(x[i]));
    float d = most / 127, by = d != 0 ? 1 / d : 0;
    put_half(b, d);
    for (int i = 0; i < 32; i++) b[2 + i] = (uint8_t)(int8_t)roundf(x[i] * by);
}

static void quantize_q4_0(const float *x, uint8_t *b)
{
    float most = 0;                                          /* the one farthest from 0, with its sign: it becomes -8 */
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    float d = most / -8, by = d != 0 ? 1 / d : 0;
    put_half(b, d);
    for (int i = 0; i < 16; i++) {
        int low = (int)(x[i] * by + 8.5f), high = (int)(x[i + 16] * by + 8.5f);
        b[2 + i] = (uint8_t)((low < 15 ? low : 15) | (high < 15 ? high : 15) << 4);
    }
}

/* Value i's four lower bits and its fifth, into bytes that were zero. */
static void put_five(uint8_t *q, uint8_t *fifth, int i, int value)
{
    q[i % 16] |= (uint8_t)((value & 15) << (i < 16 ? 0 : 4));
    fifth[i / 8] |= (uint8_t)(value >> 4 << i % 8);
}

static void quantize_q5_0(const float *x, uint8_t *b)
{
    float most = 0;                                          /* it becomes -16 */
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    float d = most / -16, by = d != 0 ? 1 / d : 0;
    put_half(b, d);
    memset(b + 2, 0, 20);
    for (int i = 0; i < 32; i++) {
        int q = (int)(x[i] * by + 16.5f);
        put_five(b + 6, b + 2, i, q < 31 ? q : 31);
    }
}

static void quantize_q5_1(const float *x, uint8_t *b)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; i++) low = fminf(low, x[i]), high = fmaxf(high, x[i]);
    float d = (high - low) / 31, by = d != 0 ? 1 / d : 0;
    put_half(b, d);
    put_half(b + 2, low);
    memset(b + 4, 0, 20);
    for (int i = 0; i < 32; i++) put_five(b + 8, b + 4, i, (int)((x[i] - low) * by + 0.5f));
}

/* ---- by search: of some ways to round, each with the scales that are best for what it gives, the best ---- */

enum { STEPS = 10 };                                         /* tenths of a step by which the largest value may lie within or beyond the last q */

/* To the nearest, of equals to the even. */
static int nearest(float x, int least, int most) { return x > (float)least ? x < (float)most ? (int)lrintf(x) : most : least; }

/* The d for which d q, q of -most to most - 1, is nearest to x, squares weighted by w.  For given q that is d = sum(w x q) / sum(w q q), and what
 * remains is sum(w x x) - sum(w x q)^2 / sum(w q q). */
static float fit_scale(const float *x, const float *w, int n, int most)
{
    float largest = 0, best = 0, gain = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    for (int step = -STEPS; step <= STEPS && largest != 0; step++) {
        float by = -((float)most + 0.1f * (float)step) / largest, xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            float q = (float)nearest(x[i] * by, -most, most - 1);
            xq += w[i] * x[i] * q;
            qq += w[i] * q * q;
        }
        if (qq > 0 && xq * xq > gain * qq) gain = xq * xq / qq, best = xq / qq;
    }
    return best;
}

struct line { float s, t; };                                 /* s q - t */

/* The same for s q - t, q of 0 to most and t not below 0: for given q a straight line through points (q, x). */
static struct line fit_line(const float *x, const float *w, int n, int most)
{
    float low = 0, high = x[0], all = 0, sx = 0, least = INFINITY;
    struct line best = { 0 };
    for (int i = 0; i < n; i++) low = fminf(low, x[i]), high = fmaxf(high, x[i]), all += w[i], sx += w[i] * x[i];
    if (!(high > low)) return (struct line){ 0, -low };
    for (int step = -STEPS; step <= STEPS; step++) {
        float by = ((float)most + 0.1f * (float)step) / (high - low), sq = 0, qq = 0, xq = 0;
        for (int i = 0; i < n; i++) {
            float q = (float)nearest((x[i] - low) * by, 0, most);
            sq += w[i] * q, qq += w[i] * q * q, xq += w[i] * x[i] * q;
        }
        float det = all * qq - sq * sq, s = (all * xq - sq * sx) / det, t = (sq * xq - qq * sx) / det;
        if (!(det > 0) || t < 0) s = xq / qq, t = 0;
        float error = s * (s * qq - 2 * (t * sq + xq)) + t * (t * all + 2 * sx);         /* less sum(w x x), which is the same for all */
        if (s >= 0 && error < least) least = error, best = (struct line){ s, t };
    }
    return best;
}

/* A d whose half, times -most to most or 0 to most, spans what lies up to `largest`; as it is read. */
static float put_scale(uint8_t *at, float largest, float most)
{
    put_half(at, largest / most);
    return half_at(at);
}

static int over(float x, float d, int least, int most) { return d != 0 ? nearest(x / d, least, most) : 0; }

static void put_pair(uint8_t *b, int j, int s, int t)
{
    b[j < 4 ? j : j + 4] |= (uint8_t)(j < 4 ? s : (s & 15) | (t & 15) << 4);
    b[j < 4 ? j + 4 : j] |= (uint8_t)(j < 4 ? t : t >> 4 << 6);
    if (j >= 4) b[j - 4] |= (uint8_t)(s >> 4 << 6);
}

/* As dequantize_pairs reads them.  A value counts by its size and by that of those around it. */
static void quantize_pairs(const float *x, uint8_t *b, uint8_t *fifth, uint8_t *q)
{
    struct line fit[8];
    float largest_s = 0, largest_t = 0, w[32];
    int most = fifth ? 31 : 15;
    for (int j = 0; j < 8; j++) {
        float squares = 0;
        for (int i = 0; i < 32; i++) squares += x[32 * j + i] * x[32 * j + i];
        for (int i = 0; i < 32; i++) w[i] = sqrtf(squares / 32) + fabsf(x[32 * j + i]);
        fit[j] = fit_line(x + 32 * j, w, 32, most);
        largest_s = fmaxf(largest_s, fit[j].s), largest_t = fmaxf(largest_t, fit[j].t);
    }
    float d = put_scale(b, largest_s, 63), m = put_scale(b + 2, largest_t, 63);
    memset(b + 4, 0, 12);
    for (int j = 0; j < 8; j++) {
        int s = over(fit[j].s, d, 0, 63), t = over(fit[j].t, m, 0, 63);
        put_pair(b + 4, j, s, t);
        for (int i = 0; i < 32; i++) {
            int value = over(x[32 * j + i] + m * (float)t, d * (float)s, 0, most);
            q[j / 2 * 32 + i] |= (uint8_t)((value & 15) << (j % 2 ? 4 : 0));
            if (fifth) fifth[i] |= (uint8_t)(value >> 4 << j);
        }
    }
}

static void quantize_q4_k(const float *x, uint8_t *b)
{
    memset(b + 16, 0, 128);
    quantize_pairs(x, b, NULL, b + 16);
}

static void quantize_q5_k(const float *x, uint8_t *b)
{
    memset(b + 16, 0, 160);
    quantize_pairs(x, b, b + 16, b + 48);
}

/* The scale that is largest becomes -128. */
static void quantize_q6_k(const float *x, uint8_t *b)
{
    float fit[16], largest = 0, w[16];
    for (int k = 0; k < 16; k++) {
        for (int i = 0; i < 16; i++) w[i] = x[16 * k + i] * x[16 * k + i];
        fit[k] = fit_scale(x + 16 * k, w, 16, 32);
        if (fabsf(fit[k]) > fabsf(largest)) largest = fit[k];
    }
    memset(b, 0, 192);
    float d = put_scale(b + 208, largest, -128);
    for (int k = 0; k < 16; k++) b[192 + k] = (uint8_t)(int8_t)over(fit[k], d, -128, 127);
    for (int i = 0; i < 256; i++) {
        int part = i / 32 % 4, l = i % 32, q = over(x[i], d * (float)(int8_t)b[192 + i / 16], -32, 31) + 32;
        b[i / 128 * 64 + part % 2 * 32 + l] |= (uint8_t)((q & 15) << (part < 2 ? 0 : 4));
        b[128 + i / 128 * 32 + l] |= (uint8_t)(q >> 4 << 2 * part);
    }
}

/* ---- all ---- */

static const struct kind { void (*widen)(const uint8_t *b, float *x), (*narrow)(const float *x, uint8_t *b); } kinds[DTYPE_COUNT] = {
    [Q8_0] = { dequantize_q8_0, quantize_q8_0 }, [Q4_0] = { dequantize_q4_0, quantize_q4_0 }, [Q5_0] = { dequantize_q5_0, quantize_q5_0 }, [Q5_1] = { dequantize_q5_1, quantize_q5_1 },
    [Q4_K] = { dequantize_q4_k, quantize_q4_k }, [Q5_K] = { dequantize_q5_k, quantize_q5_k }, [Q6_K] = { dequantize_q6_k, quantize_q6_k },
};

void dequantize(enum dtype t, const void *from, float *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert(is_quantized(t) && n % values == 0);
    for (size_t i = 0; i < n / values; i++) kinds[t].widen((const uint8_t *)from + i * bytes, to + i * values);
}

void quantize(enum dtype t, const float *from, void *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert(is_quantized(t) && n % values == 0);
    for (size_t i = 0; i < n / values; i++) kinds[t].narrow(from + i * values, (uint8_t *)to + i * bytes);
}

/* ---- numbers of any type ---- */

void numbers_widen(enum dtype t, const void *from, float *to, size_t n)
{
    const char *at = from;
    uint16_t h;
    double d;
    if (is_quantized(t)) dequantize(t, from, to, n);
    if (t == F32) memcpy(to, from, n * sizeof *to);
    for (size_t i = 0; i < n && t == F64; i++) memcpy(&d, at + i * sizeof d, sizeof d), to[i] = (float)d;
    for (size_t i = 0; i < n && t == BF16; i++) memcpy(&h, at + i * sizeof h, sizeof h), to[i] = bf16_to_f32(h);
    for (size_t i = 0; i < n && t == F16; i++) memcpy(&h, at + i * sizeof h, sizeof h), to[i] = f16_to_f32(h);
}

void numbers_narrow(enum dtype t, const float *from, void *to, size_t n)
{
    char *at = to;
    if (is_quantized(t)) quantize(t, from, to, n);
    if (t == F32) memcpy(to, from, n * sizeof *from);
    for (size_t i = 0; i < n && (t == BF16 || t == F16); i++) {
        uint16_t h = t == BF16 ? f32_to_bf16(from[i]) : f32_to_f16(from[i]);
        memcpy(at + i * sizeof h, &h, sizeof h);
    }
}
