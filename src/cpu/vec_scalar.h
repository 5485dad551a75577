/* vec_scalar.h -- vectors of one lane: the specification.  A multiply-add rounds twice here. */
enum { VW = 1 };
enum { TILE_ROWS = 4, TILE_VECTORS = 4 };                   /* of gemm.c */
typedef float vf __attribute__((vector_size(4 * VW)));

static inline vf v_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf v_lost(vf a, vf b, vf p) { return (vf){ (float)((double)a[0] * b[0] - p[0]) }; }
static inline vf v_max(vf a, vf b) { return a[0] > b[0] ? a : b; }
static inline vf v_min(vf a, vf b) { return a[0] < b[0] ? a : b; }
static inline vf v_sqrt(vf a) { return (vf){ sqrtf(a[0]) }; }
static inline vf v_load_n(const float *p, int64_t n) { return (vf){ n > 0 ? *p : 0 }; }
static inline void v_store_n(float *p, vf a, int64_t n) { if (n > 0) *p = a[0]; }
static inline void v_transpose(vf m[VW]) { (void)m; }
