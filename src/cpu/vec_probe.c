/* vec_probe.c -- see vec_probe.h. */
#include "cpu/vec_probe.h"

#include "cpu/cpu.h"
#include "cpu/vec_random.h"

#define OVER(name, in, out, load, f, store)                      \
    static void name(const in *x, out *y, int64_t n)             \
    {                                                            \
        for (int64_t i = 0; i < n; i += VW) store(y + i, f(load(x + i))); \
    }
OVER(over_exp, float, float, v_load, v_exp, v_store)
OVER(over_log, float, float, v_load, v_log, v_store)
OVER(over_sigmoid, float, float, v_load, v_sigmoid, v_store)
static inline vf phi(vf x) { vf bell; return v_phi(x, &bell); }
OVER(over_phi, float, float, v_load, phi, v_store)
OVER(over_root, float, float, v_load, v_sqrt, v_store)
OVER(over_widen, uint16_t, float, v_load_bf16, , v_store)
OVER(over_narrow, float, uint16_t, v_load, , v_store_bf16)

WRAPS static void over_philox(uint64_t key, const uint32_t first[4], uint32_t (*y)[4], int64_t n)
{
    for (int64_t at = 0; at < n; at += VW) {
        vu counter, word[4];
        for (int i = 0; i < VW; i++) counter[i] = first[0] + (uint32_t)(at + i);
        v_philox(key, counter, first[1], first[2], first[3], word);
        for (int i = 0; i < VW; i++)
            for (int w = 0; w < 4; w++) y[at + i][w] = word[w][i];
    }
}

static void max(const float *a, const float *b, float *y) { v_store(y, v_max(v_load(a), v_load(b))); }
static void min(const float *a, const float *b, float *y) { v_store(y, v_min(v_load(a), v_load(b))); }
static void load_n(const float *x, int64_t n, float *y) { v_store(y, v_load_n(x, n)); }
static void store_n(const float *x, int64_t n, float *y) { v_store_n(y, v_load(x), n); }
static float sum(const float *x) { return v_sum(v_load(x)); }
static float most(const float *x) { return v_most(v_load(x)); }

static void transpose(float *x)
{
    vf m[VW];
    memcpy(m, x, sizeof m);
    v_transpose(m);
    memcpy(x, m, sizeof m);
}

extern const struct vec_probe NAME(vec_probe);
const struct vec_probe NAME(vec_probe) = {
    .width = VW, .exp = over_exp, .log = over_log, .sigmoid = over_sigmoid, .phi = over_phi, .root = over_root,
    .widen = over_widen, .narrow = over_narrow, .philox = over_philox, .max = max, .min = min, .load_n = load_n,
    .store_n = store_n, .transpose = transpose, .sum = sum, .most = most,
};
