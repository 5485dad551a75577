/* quantize.c -- blocks to numbers, and numbers to the formats that need no search for their scale. */
#include "base/quantize.h"

#include <assert.h>
#include <math.h>

#include "base/unpack.h"

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

void dequantize(enum dtype t, const void *from, float *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert(is_quantized(t) && n % values == 0);
    for (size_t i = 0; i < n / values; i++, to += values) {
        struct unpacked u;
        unpack(t, (const uint8_t *)from + i * bytes, &u);
        for (size_t k = 0; k < values; k++) to[k] = u.scale[k / 16] * (float)u.q[k];
        for (size_t k = 0; k < values && has_offsets(t); k++) to[k] += u.offset[k / 32];
    }
}

void quantize(enum dtype t, const float *from, void *to, size_t n)
{
    size_t values = dtype_values(t), bytes = dtype_size(t);
    assert((t == Q8_0 || t == Q4_0) && n % values == 0);
    for (size_t i = 0; i < n / values; i++) (t == Q8_0 ? quantize_q8_0 : quantize_q4_0)(from + i * values, (uint8_t *)to + i * bytes);
}
