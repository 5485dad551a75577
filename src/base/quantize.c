/* quantize.c -- a function a format; bytes as they lie in the file, so nothing is assumed of their alignment. */
#include "base/quantize.h"

#include <assert.h>
#include <math.h>

#include "base/bytes.h"

static float half(const uint8_t *at) { return f16_to_f32(little_u16(at)); }

static void put_half(uint8_t *at, float f)
{
    uint16_t h = f32_to_f16(f);
    at[0] = (uint8_t)h;
    at[1] = (uint8_t)(h >> 8);
}

/* ---- 32 values ---- */

static void widen_q8_0(const uint8_t *b, float *y)
{
    float d = half(b);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(int8_t)b[2 + i];
}

static void widen_q4_0(const uint8_t *b, float *y)
{
    float d = half(b);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b[2 + i] & 15) - 8);
        y[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

/* Value i of 32: four bits of a byte, and a fifth from a number of 32 bits. */
static int five(const uint8_t *q, uint32_t fifth, int i)
{
    int low = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    return low | (int)(fifth >> i & 1) << 4;
}

static void widen_q5_0(const uint8_t *b, float *y)
{
    float d = half(b);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(five(b + 6, little_u32(b + 2), i) - 16);
}

static void widen_q5_1(const uint8_t *b, float *y)
{
    float d = half(b), m = half(b + 2);
    for (int i = 0; i < 32; i++) y[i] = d * (float)five(b + 8, little_u32(b + 4), i) + m;
}

/* ---- 256 values ---- */

/* Pair j of eight, six bits each, in twelve bytes: the first four as they are, the others' upper bits above those of the first. */
static void pair_of(const uint8_t *b, int j, float *s, float *t)
{
    *s = (float)(j < 4 ? b[j] & 63 : (b[j + 4] & 15) | b[j - 4] >> 6 << 4);
    *t = (float)(j < 4 ? b[j + 4] & 63 : b[j + 4] >> 4 | b[j] >> 6 << 4);
}

/* fifth: NULL, or 32 bytes whose bit j belongs to values 32 j on. */
static void widen_pairs(const uint8_t *b, const uint8_t *fifth, const uint8_t *q, float *y)
{
    for (int j = 0; j < 8; j++) {
        float s, t, d = half(b), m = half(b + 2);
        pair_of(b + 4, j, &s, &t);
        for (int i = 0; i < 32; i++) {
            int low = j % 2 ? q[j / 2 * 32 + i] >> 4 : q[j / 2 * 32 + i] & 15;
            y[32 * j + i] = d * s * (float)(low | (fifth ? (fifth[i] >> j & 1) << 4 : 0)) - m * t;
        }
    }
}

static void widen_q4_k(const uint8_t *b, float *y) { widen_pairs(b, NULL, b + 16, y); }
static void widen_q5_k(const uint8_t *b, float *y) { widen_pairs(b, b + 16, b + 48, y); }

/* Halves of 128: four bits in 64 bytes, two more in 32, each byte's of the values 32 apart. */
static void widen_q6_k(const uint8_t *b, float *y)
{
    const uint8_t *low = b, *high = b + 128, *s = b + 192;
    float d = half(b + 208);
    for (int i = 0; i < 256; i++) {
        int part = i / 32 % 4, l = i % 32, byte = low[i / 128 * 64 + part % 2 * 32 + l];
        int q = (part < 2 ? byte & 15 : byte >> 4) | (high[i / 128 * 32 + l] >> 2 * part & 3) << 4;
        y[i] = d * (float)(int8_t)s[i / 16] * (float)(q - 32);
    }
}

/* ---- narrowing ---- */

static void narrow_q8_0(const float *x, uint8_t *b)
{
    float most = 0;
    for (int i = 0; i < 32; i++) most = fmaxf(most, fabsf(x[i]));
    float d = most / 127, by = d != 0 ? 1 / d : 0;
    put_half(b, d);
    for (int i = 0; i < 32; i++) b[2 + i] = (uint8_t)(int8_t)roundf(x[i] * by);
}

static void narrow_q4_0(const float *x, uint8_t *b)
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

/* ---- all ---- */

static const struct format {
    void (*widen)(const uint8_t *b, float *y);
    void (*narrow)(const float *x, uint8_t *b);
} formats[DTYPE_COUNT] = {
    [Q8_0] = { widen_q8_0, narrow_q8_0 }, [Q4_0] = { widen_q4_0, narrow_q4_0 }, [Q5_0] = { widen_q5_0, NULL }, [Q5_1] = { widen_q5_1, NULL },
    [Q4_K] = { widen_q4_k, NULL },        [Q5_K] = { widen_q5_k, NULL },        [Q6_K] = { widen_q6_k, NULL },
};

void dequantize(enum dtype t, const void *from, float *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert(formats[t].widen && n % values == 0);
    for (size_t i = 0; i < n / values; i++) formats[t].widen((const uint8_t *)from + i * bytes, to + i * values);
}

void quantize(enum dtype t, const float *from, void *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert(formats[t].narrow && n % values == 0);
    for (size_t i = 0; i < n / values; i++) formats[t].narrow(from + i * values, (uint8_t *)to + i * bytes);
}
