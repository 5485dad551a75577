/* vec.h -- vectors of f32, one source for every instruction set.  VW floats make a vf, VW integers a vi.
 *
 * Arithmetic is written with operators (GNU vector extensions).  What those cannot say comes from one small file per ISA:
 *     VW   v_fma(a, b, c) = a b + c   v_sqrt   v_max, v_min (b if either is NaN)
 *     v_lost(a, b, p) = a b - p, exactly, for p = a * b   v_load_n, v_store_n: the first n lanes; the others load as 0
 * The functions below are ours because libm's differ from machine to machine: the same bits from gcc and clang, the error
 * stated at each and measured by tests/test_vec.c.  All lanes are computed alike, so a result does not depend on where in
 * a row an element stands.  The coefficients are made by tests/twin/make_polynomials.py. */
#ifndef CPU_VEC_H
#define CPU_VEC_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined ISA_avx512 || defined ISA_avx512bf16
#include "cpu/vec_avx512.h"
#elif defined ISA_avx2
#include "cpu/vec_avx2.h"
#elif defined ISA_neon || defined ISA_dotprod
#include "cpu/vec_neon.h"
#else
#include "cpu/vec_scalar.h"
#endif

#ifndef V_DOT                                               /* no products of bf16 pairs here: gemm.c never asks */
enum { HAS_DOT = 0 };
#define V_DOT v_fma
#endif

typedef int32_t  vi __attribute__((vector_size(4 * VW)));
typedef uint32_t vu __attribute__((vector_size(4 * VW)));
typedef uint16_t vh __attribute__((vector_size(2 * VW)));
typedef uint64_t vw __attribute__((vector_size(8 * VW)));
typedef double   vd __attribute__((vector_size(8 * VW)));

/* ---- moving ---- */

static inline vf v_set(float x) { return x - (vf){ 0 }; }     /* x - 0 is x, of -0 too: this costs nothing */
static inline vf v_load(const float *p) { vf a; memcpy(&a, p, sizeof a); return a; }
static inline void v_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
static inline vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

#ifndef V_LONG
#define V_LONG(h) __builtin_convertvector(h, vu)             /* 16 bits a lane to 32, and back */
#define V_SHORT(a) __builtin_convertvector(a, vh)
#endif
static inline vf v_widen(vh h) { return (vf)(V_LONG(h) << 16); }
static inline vh v_narrow(vf a)                             /* base/dtype.h's f32_to_bf16, lane by lane */
{
    vu bits = (vu)a, rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, nan = bits >> 16 | 0x40;
    vu is_nan = (vu)((bits & 0x7fffffff) > 0x7f800000);
    return V_SHORT((is_nan & nan) | (~is_nan & rounded));
}
static inline vf v_load_bf16(const uint16_t *p) { vh h; memcpy(&h, p, sizeof h); return v_widen(h); }
static inline vf v_load_bf16_n(const uint16_t *p, int64_t n)    /* the first n lanes; the others are 0 */
{
    uint16_t lane[VW] = { 0 };
    for (int i = 0; i < VW && i < n; i++) lane[i] = p[i];
    return v_load_bf16(lane);
}
static inline void v_store_bf16(uint16_t *p, vf a) { vh h = v_narrow(a); memcpy(p, &h, sizeof h); }
static inline vf v_round_bf16(vf a) { return v_widen(v_narrow(a)); }

/* ---- across lanes: always in the same order ---- */

#ifndef V_SUM
static inline float v_sum(vf a)
{
    float lane[VW];
    memcpy(lane, &a, sizeof lane);
    for (int w = VW / 2; w; w /= 2)
        for (int i = 0; i < w; i++) lane[i] += lane[i + w];
    return lane[0];
}
#endif

static inline float v_most(vf a)                            /* the largest lane */
{
    float lane[VW];
    memcpy(lane, &a, sizeof lane);
    for (int w = VW / 2; w; w /= 2)
        for (int i = 0; i < w; i++) lane[i] = lane[i] > lane[i + w] ? lane[i] : lane[i + w];
    return lane[0];
}

/* ---- functions ---- */

static inline vf v_poly(vf x, const float *c, int degree)
{
    vf y = v_set(c[degree]);
    for (int i = degree - 1; i >= 0; i--) y = v_fma(y, x, v_set(c[i]));
    return y;
}

/* The nearest integer, ties to even, for |x| < 2^22: what is added pushes the fraction out of the significand. */
static inline vf v_nearest(vf x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
#ifndef V_TIMES_POWER
static inline vf v_times_power(vf a, vf n)                  /* a 2^n for whole n of at most 252 */
{
    vi whole = __builtin_convertvector(n, vi), half = whole >> 1;                    /* 2^n may lie outside of f32's exponents */
    return a * (vf)((half + 127) << 23) * (vf)((whole - half + 127) << 23);
}
#endif

/* e^x.  Error under 1.5 ulp (1.2 with FMA); 0 below -104, inf above 88.73; NaN for NaN.
 * x = n log 2 + r; log 2 in two parts, the first with so few bits that n times it is exact.  Where e^x is 0, as of what attention
 * hides, nothing is computed that underflows: an underflow takes a core a hundred cycles. */
static inline vf v_exp(vf x)
{
    static const float c[] = { 0x1p+0f, 0x1p+0f, 0x1.fffffap-2f, 0x1.55540ap-3f, 0x1.55589ap-5f, 0x1.126d1ep-7f, 0x1.6ab95ep-10f };
    vi far = x < -104;
    x = v_min(v_set(120), v_select(far, v_set(0), x));
    vf n = v_nearest(x * 0x1.715476p+0f);
    vf r = v_fma(n, v_set(-0x1.62e4p-1f), x);
    r = v_fma(n, v_set(-0x1.7f7d1cp-20f), r);
    return v_select(far, v_set(0), v_times_power(v_poly(r, c, 6), n));
}

/* log x for finite x > 0 that is not subnormal.  Error under 1.5 ulp.
 * x = 2^e m, m in [sqrt(1/2), sqrt 2); log m = f - f^2/2 + f^3 P(f), f = m - 1. */
static inline vf v_log(vf x)
{
    static const float c[] = { 0x1.555554p-2f, -0x1.fffff8p-3f, 0x1.999d58p-3f, -0x1.555c9ep-3f, 0x1.23d37cp-3f, -0x1.fcbadp-4f, 0x1.de4a7cp-4f, -0x1.d7a238p-4f, 0x1.20413p-4f };
    vi bits = (vi)x, e = (bits - 0x3f3504f3) >> 23;                  /* 0x3f3504f3 is sqrt(1/2) */
    vf f = (vf)(bits - (e << 23)) - 1, f2 = f * f, n = __builtin_convertvector(e, vf);
    vf y = v_fma(f2 * f, v_poly(f, c, 8), n * 0x1.7f7d1cp-20f);
    return v_fma(n, v_set(0x1.62e4p-1f), y - 0.5f * f2 + f);
}

/* 1 / (1 + e^-x).  Error under 2.5 ulp; 0 below -88.73. */
static inline vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

/* Phi(x), the normal distribution: the probability of less than x; *bell = e^(-x^2/2).  Error under 8 ulp (6.6 with FMA).
 * The upper tail 1 - Phi(u) is e^(-u^2/2) A(u) / B(u), all of whose coefficients are positive; what rounding u^2 lost is put back. */
static inline vf v_phi(vf x, vf *bell)
{
    static const float A[] = { 0x1p-1f, 0x1.c0cf82p-2f, 0x1.774298p-3f, 0x1.4cdc1p-5f, 0x1.0dc194p-8f };
    static const float B[] = { 0x1p+0f, 0x1.aca9f2p+0f, 0x1.33d68cp+0f, 0x1.e0bb0ep-2f, 0x1.a1343ep-4f, 0x1.5215d6p-7f };
    vf u = v_min(v_set(14.5f), (vf)((vi)x & 0x7fffffff)), square = u * u, e = v_exp(-0.5f * square);
    e = v_fma(e, -0.5f * v_lost(u, u, square), e);
    vf tail = e * v_poly(u, A, 4) / v_poly(u, B, 5);
    *bell = e;
    return v_select(x < 0, tail, 1.0f - tail);
}

#endif
