/* vec_avx2.h -- 8 lanes, AVX2 and FMA. */
#include <immintrin.h>
enum { VW = 8 };
enum { TILE_ROWS = 6, TILE_VECTORS = 2 };                   /* of gemm.c: 12 accumulators, 2 of B, of 16 registers */
typedef float vf __attribute__((vector_size(4 * VW)));

static inline vf v_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf v_lost(vf a, vf b, vf p) { return v_fma(a, b, -p); }
static inline vf v_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf v_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
static inline vf v_sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }

static inline float v_sum(vf a)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
#define V_SUM

/* The 8 x 8 matrix of 8 vectors, transposed: pairs, pairs of pairs, halves. */
static inline void v_transpose(vf m[VW])
{
    __m256 a[VW], b[VW];
    for (int i = 0; i < VW; i += 2) {
        a[i] = _mm256_unpacklo_ps((__m256)m[i], (__m256)m[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps((__m256)m[i], (__m256)m[i + 1]);
    }
    for (int i = 0; i < VW; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + 2 * k] = (__m256)_mm256_unpacklo_pd((__m256d)a[i + k], (__m256d)a[i + 2 + k]);
            b[i + 2 * k + 1] = (__m256)_mm256_unpackhi_pd((__m256d)a[i + k], (__m256d)a[i + 2 + k]);
        }
    for (int k = 0; k < 4; k++) {
        m[k] = (vf)_mm256_permute2f128_ps(b[k], b[4 + k], 0x20);
        m[4 + k] = (vf)_mm256_permute2f128_ps(b[k], b[4 + k], 0x31);
    }
}

static inline __m256i v_first(int64_t n)                    /* a mask of the first n lanes */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < VW ? (int)n : VW), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_load_n(const float *p, int64_t n) { return (vf)_mm256_maskload_ps(p, v_first(n)); }
static inline void v_store_n(float *p, vf a, int64_t n) { _mm256_maskstore_ps(p, v_first(n), (__m256)a); }
