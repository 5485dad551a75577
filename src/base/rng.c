/* rng.c -- what host code draws: batch offsets, initial weights, samples. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

uint64_t rng_hash(const char *text) { return rng_hash_bytes(text, strlen(text)); }

WRAPS static uint64_t mix(uint64_t x)                       /* the finisher of splitmix64 */
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

WRAPS uint64_t rng_key(uint64_t seed, uint64_t stream)
{
    return mix(mix(seed + 0x9e3779b97f4a7c15u) ^ stream);
}

uint64_t rng_u64(uint64_t key, uint64_t index, uint32_t salt)
{
    uint32_t counter[4] = { (uint32_t)index, (uint32_t)(index >> 32), salt, 0 }, out[4];
    philox(key, counter, out);
    return (uint64_t)out[1] << 32 | out[0];
}

WRAPS uint64_t rng_below(uint64_t key, uint64_t index, uint64_t n)
{
    /* Lemire 2019: the high half of a product is uniform once the few low halves that would bias it are refused. */
    uint64_t least = -n % n;
    for (uint32_t salt = 0;; salt++) {
        __extension__ unsigned __int128 product = (unsigned __int128)rng_u64(key, index, salt) * n;
        if ((uint64_t)product >= least) return (uint64_t)(product >> 64);
    }
}

WRAPS uint64_t rng_spread(uint64_t key, uint64_t index, uint64_t n)
{
    uint64_t fraction = rng_u64(key, 0, 0) + index * 0x9e3779b97f4a7c15u;    /* the golden ratio in 2^-64 */
    return (uint64_t)((__extension__ (unsigned __int128)fraction * n) >> 64);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

uint64_t rng_stride(uint64_t from, uint64_t n)
{
    while (common_divisor(from, n) > 1) from++;
    return from;
}

double rng_unit(uint64_t key, uint64_t index)
{
    return (double)(rng_u64(key, index, 0) >> 11) * 0x1p-53;
}

/* log(x) for x in (0, 1), error under 2 ulp.  libm's own last bit differs between versions, and an initial weight
 * must not: log(x) = e log 2 + 2 artanh(z), z = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt 2). */
static double natural_log(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) m *= 2, e--;
    double z = (m - 1) / (m + 1), z2 = z * z, sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
    return e * 0.69314718055994531 + 2 * z * sum;
}

double rng_normal(uint64_t key, uint64_t index)
{
    /* Marsaglia's polar method; elements 2i and 2i + 1 share a point of the unit disc. */
    for (uint32_t salt = 1;; salt++) {
        uint64_t bits = rng_u64(key, index / 2, salt);
        double a = ((double)(uint32_t)bits + 0.5) * 0x1p-31 - 1, b = ((double)(bits >> 32) + 0.5) * 0x1p-31 - 1;
        double s = a * a + b * b;
        if (s < 1) return (index % 2 ? b : a) * sqrt(-2 * natural_log(s) / s);
    }
}
