/* vec_avx512.h -- 16 lanes, AVX-512 F, BW, DQ, VL. */
#include <immintrin.h>
enum { VW = 16 };
enum { TILE_ROWS = 14, TILE_VECTORS = 2 };                  /* of gemm.c: 28 accumulators, 2 of B, of 32 registers */
typedef float vf __attribute__((vector_size(4 * VW)));

static inline vf v_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vf v_lost(vf a, vf b, vf p) { return v_fma(a, b, -p); }
static inline vf v_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vf v_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
static inline vf v_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }

static inline vf v_times_power(vf a, vf n) { return (vf)_mm512_scalef_ps((__m512)a, (__m512)n); }      /* a 2^n */
#define V_TIMES_POWER

#define V_LONG(h) ((vu)_mm512_cvtepu16_epi32((__m256i)(h)))            /* what compilers make of __builtin_convertvector is in halves */
#define V_SHORT(a) ((vh)_mm512_cvtepi32_epi16((__m512i)(a)))

static inline float v_sum(vf a)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)a), _mm512_extractf32x8_ps((__m512)a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
#define V_SUM

/* The 16 x 16 matrix of 16 vectors, transposed: pairs, then pairs of pairs, then quarters. */
static inline void v_transpose(vf m[VW])
{
    __m512 a[VW], b[VW];
    for (int i = 0; i < VW; i += 2) {
        a[i] = _mm512_unpacklo_ps((__m512)m[i], (__m512)m[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps((__m512)m[i], (__m512)m[i + 1]);
    }
    for (int i = 0; i < VW; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + 2 * k] = (__m512)_mm512_unpacklo_pd((__m512d)a[i + k], (__m512d)a[i + 2 + k]);
            b[i + 2 * k + 1] = (__m512)_mm512_unpackhi_pd((__m512d)a[i + k], (__m512d)a[i + 2 + k]);
        }
    for (int k = 0; k < 4; k++) {                           /* b[4 r + k] has columns k, 4 + k, 8 + k, 12 + k of rows 4 r .. */
        __m512 even = _mm512_shuffle_f32x4(b[k], b[4 + k], 0x88), odd = _mm512_shuffle_f32x4(b[k], b[4 + k], 0xdd);
        __m512 even2 = _mm512_shuffle_f32x4(b[8 + k], b[12 + k], 0x88), odd2 = _mm512_shuffle_f32x4(b[8 + k], b[12 + k], 0xdd);
        m[k] = (vf)_mm512_shuffle_f32x4(even, even2, 0x88);
        m[8 + k] = (vf)_mm512_shuffle_f32x4(even, even2, 0xdd);
        m[4 + k] = (vf)_mm512_shuffle_f32x4(odd, odd2, 0x88);
        m[12 + k] = (vf)_mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
}

static inline __mmask16 v_first(int64_t n) { return (__mmask16)(n < VW ? (1u << n) - 1 : 0xffff); }
static inline vf v_load_n(const float *p, int64_t n) { return (vf)_mm512_maskz_loadu_ps(v_first(n), p); }
static inline void v_store_n(float *p, vf a, int64_t n) { _mm512_mask_storeu_ps(p, v_first(n), (__m512)a); }

#ifdef ISA_avx512bf16
/* c + a b, where a and b hold pairs of bf16 in each lane and c gets the sum of the two products. */
static inline vf v_dot(vf a, vf b, vf c) { return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
enum { HAS_DOT = 1 };
#define V_DOT v_dot
#endif
