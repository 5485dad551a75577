/* vec_bytes.h -- 32 bytes and 8 numbers side by side, for products in whole numbers (quants.c).  The same width everywhere: it is that
 * of the blocks that scales belong to.
 *
 *     v_dot_bytes(a, b)       lane i is the sum of the products of bytes 4 i .. 4 i + 3; no b is -128
 *     v_nibbles(p)            the lower halves of 16 bytes, then their upper ones
 *     v_fifths(p)             16 where a bit of four bytes is set, else 0
 *     v_half8(p)              a number of 16 bits, in all lanes
 *     v_small8(p)             8 bytes as numbers
 *     v_fma8(a, b, c)         a b + c */
#ifndef CPU_VEC_BYTES_H
#define CPU_VEC_BYTES_H
#include "cpu/vec.h"

/* Where registers are narrower there is no agreed way to hand such a vector over: none is. */
#define INLINE static inline __attribute__((always_inline))
#pragma GCC diagnostic ignored "-Wpsabi"

typedef int8_t  vq __attribute__((vector_size(32)));
typedef uint16_t vs __attribute__((vector_size(32)));
typedef int32_t vi8 __attribute__((vector_size(32)));
typedef float   vf8 __attribute__((vector_size(32)));

INLINE vq v_load_bytes(const void *p) { vq a; memcpy(&a, p, sizeof a); return a; }
INLINE vq v_up(vq a, const int bits)                  /* bytes moved by so many bits, or down if it is negative; those of a neighbour come in */
{
    vs s = (vs)a;
    return (vq)(bits < 0 ? s >> -bits : s << bits);
}
INLINE vf8 v_set8(float x) { return x - (vf8){ 0 }; }
INLINE vf8 v_halves8(float low, float high) { return (vf8){ low, low, low, low, high, high, high, high }; }
static inline void v_store8(float *p, vf8 a) { memcpy(p, &a, sizeof a); }
INLINE vf8 v_floats8(vi8 a) { return __builtin_convertvector(a, vf8); }
static inline float v_sum8(vf8 a)
{
    float lane[8];
    memcpy(lane, &a, sizeof lane);
    for (int w = 4; w; w /= 2)
        for (int i = 0; i < w; i++) lane[i] += lane[i + w];
    return lane[0];
}

#if defined ISA_avx2 || defined ISA_avx512 || defined ISA_avx512bf16
/* Bytes without and with a sign: |a| times b with a's sign.  Two products of at most 128 * 127 fit into 16 bits. */
INLINE vi8 v_dot_bytes(vq a, vq b)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)a), _mm256_sign_epi8((__m256i)b, (__m256i)a));
    return (vi8)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
INLINE vq v_nibbles(const void *p)
{
    __m128i b = _mm_loadu_si128(p);
    return (vq)_mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(b, 4), b), _mm256_set1_epi8(15));
}
INLINE vq v_fifths(const void *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
#ifdef __AVX512BW__
    return (vq)_mm256_maskz_set1_epi8(bits, 16);
#else
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303), bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i mine = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte);
    return (vq)_mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(mine, bit), bit), _mm256_set1_epi8(16));
#endif
}
INLINE vf8 v_small8(const void *p) { return (vf8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p))); }
INLINE vf8 v_fma8(vf8 a, vf8 b, vf8 c) { return (vf8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE vf8 v_half8(const void *p) { int16_t h; memcpy(&h, p, sizeof h); return (vf8)_mm256_cvtph_ps(_mm_set1_epi16(h)); }
#else
#if defined ISA_neon || defined ISA_dotprod
INLINE vi8 v_dot_bytes(vq a, vq b)
{
    int8x16_t x[2], y[2];
    int32x4_t sum[2];
    vi8 all;
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
    for (int i = 0; i < 2; i++) {
#ifdef ISA_dotprod
        sum[i] = vdotq_s32(vdupq_n_s32(0), x[i], y[i]);
#else
        int16x8_t low = vmull_s8(vget_low_s8(x[i]), vget_low_s8(y[i])), high = vmull_high_s8(x[i], y[i]);
        sum[i] = vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
#endif
    }
    memcpy(&all, sum, sizeof all);
    return all;
}
#else
INLINE vi8 v_dot_bytes(vq a, vq b)
{
    vi8 sum = { 0 };
    for (int i = 0; i < 32; i++) sum[i / 4] += a[i] * b[i];
    return sum;
}
#endif
INLINE vq v_nibbles(const void *p)
{
    uint8_t b[32];
    memcpy(b + 16, p, 16);
    for (int i = 0; i < 16; i++) b[i] = b[i + 16] & 15, b[i + 16] >>= 4;
    return v_load_bytes(b);
}
INLINE vq v_fifths(const void *p)
{
    uint8_t bits[4];
    uint64_t to[4];
    memcpy(bits, p, sizeof bits);
    for (int i = 0; i < 4; i++)                              /* bit j into byte j, where a sum makes the uppermost of it; no sum goes over a byte */
        to[i] = (((bits[i] * (uint64_t)0x0101010101010101 & 0x8040201008040201) + 0x7f7f7f7f7f7f7f7f) & 0x8080808080808080) >> 3;
    return v_load_bytes(to);
}
INLINE vf8 v_small8(const void *p)
{
    int8_t b[8];
    vf8 a;
    memcpy(b, p, sizeof b);
    for (int i = 0; i < 8; i++) a[i] = b[i];
    return a;
}
INLINE vf8 v_fma8(vf8 a, vf8 b, vf8 c) { return a * b + c; }
INLINE vf8 v_half8(const void *p) { uint16_t h; memcpy(&h, p, sizeof h); return v_set8(f16_to_f32(h)); }
#endif

#endif
