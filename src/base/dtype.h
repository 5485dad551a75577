/* dtype.h -- the number formats that files, graphs and kernels share.  Some hold numbers in blocks (base/quantize.h). */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* values of a block, 1 for numbers that lie alone; bytes of a block; name */
#define QUANTIZED_DTYPES(X)     \
    X(Q8_0, 32, 34, "q8_0")     \
    X(Q4_0, 32, 18, "q4_0")     \
    X(Q5_0, 32, 22, "q5_0")     \
    X(Q5_1, 32, 24, "q5_1")     \
    X(Q4_K, 256, 144, "q4_k")   \
    X(Q5_K, 256, 176, "q5_k")   \
    X(Q6_K, 256, 210, "q6_k")
#define DTYPES(X)               \
    X(F32, 1, 4, "f32")         \
    X(BF16, 1, 2, "bf16")       \
    X(F16, 1, 2, "f16")         \
    X(F64, 1, 8, "f64")         \
    X(I32, 1, 4, "i32")         \
    X(I64, 1, 8, "i64")         \
    X(U16, 1, 2, "u16")         \
    X(U8, 1, 1, "u8")           \
    QUANTIZED_DTYPES(X)

enum dtype {
#define X(name, values, size, text) name,
    DTYPES(X)
#undef X
    DTYPE_COUNT
};

static inline size_t dtype_size(enum dtype t)               /* bytes of a number, or of a block */
{
    static const uint8_t size[] = {
#define X(name, values, size, text) size,
        DTYPES(X)
#undef X
    };
    return size[t];
}

static inline size_t dtype_values(enum dtype t)             /* of a block; 1: numbers lie alone */
{
    static const uint16_t values[] = {
#define X(name, values, size, text) values,
        DTYPES(X)
#undef X
    };
    return values[t];
}

/* Bytes of n numbers, whole blocks. */
static inline size_t dtype_bytes(enum dtype t, size_t n) { return n / dtype_values(t) * dtype_size(t); }

static inline const char *dtype_name(enum dtype t)
{
    static const char *const name[] = {
#define X(name, values, size, text) text,
        DTYPES(X)
#undef X
    };
    return name[t];
}

/* bf16 is the upper half of an f32.  Rounding is to nearest, ties to even; a NaN stays a (quiet) NaN. */
static inline float bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* IEEE half precision, as files hold it: 1 sign, 5 exponent, 10 fraction bits. */
static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    float f;
    if (exponent == 0) {                                    /* zero and subnormals: fraction * 2^-24, exact in f32 */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest, ties to even; what is too large becomes infinite, a NaN stays one. */
static inline uint16_t f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);           /* 65520 and more */
    if (magnitude < 0x38800000) {                           /* subnormal: in units of 2^-24, by the rounding of a sum */
        float small;
        memcpy(&small, &magnitude, sizeof small);
        small += 0.5f;                                      /* whose last bit is 2^-24 */
        memcpy(&magnitude, &small, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3f000000));
    }
    magnitude += 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (magnitude - 0x38000000) >> 13);
}

#endif
