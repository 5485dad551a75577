/* vec_neon.h -- 4 lanes, arm64's Advanced SIMD. */
#include <arm_neon.h>
enum { VW = 4 };
enum { TILE_ROWS = 6, TILE_VECTORS = 4 };                   /* of gemm.c: 24 accumulators, 4 of B, of 32 registers */
typedef float vf __attribute__((vector_size(4 * VW)));

static inline vf v_fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
static inline vf v_lost(vf a, vf b, vf p) { return v_fma(a, b, -p); }
static inline vf v_max(vf a, vf b) { return (vf)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b); }
static inline vf v_min(vf a, vf b) { return (vf)vbslq_f32(vcltq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b); }
static inline vf v_sqrt(vf a) { return (vf)vsqrtq_f32((float32x4_t)a); }
static inline vf v_load_n(const float *p, int64_t n)
{
    float lane[VW] = { 0 };
    for (int i = 0; i < VW && i < n; i++) lane[i] = p[i];
    return (vf)vld1q_f32(lane);
}
static inline void v_store_n(float *p, vf a, int64_t n)
{
    for (int i = 0; i < VW && i < n; i++) p[i] = a[i];
}
static inline void v_transpose(vf m[VW])
{
    float32x4x2_t a = vtrnq_f32((float32x4_t)m[0], (float32x4_t)m[1]), b = vtrnq_f32((float32x4_t)m[2], (float32x4_t)m[3]);
    for (int k = 0; k < 2; k++) {
        m[k] = (vf)vcombine_f32(vget_low_f32(a.val[k]), vget_low_f32(b.val[k]));
        m[2 + k] = (vf)vcombine_f32(vget_high_f32(a.val[k]), vget_high_f32(b.val[k]));
    }
}
