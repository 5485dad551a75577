/* rng.h -- counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers:
 * as easy as 1, 2, 3", section 3.2).
 *
 * A number is a function of a key and a counter and of nothing else: no state, no order.  So dropout masks need not
 * be stored, batches can be drawn again on resume, and neither threads nor ranks change a bit.
 * A key is made of the run's seed and a stream: what the numbers are for, by name. */
#ifndef BASE_RNG_H
#define BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

#include "base/wraps.h"

enum { PHILOX_ROUNDS = 10 };
#define PHILOX_M0 0xD2511F53u              /* the multipliers of a round */
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u              /* what a round adds to the key */
#define PHILOX_W1 0xBB67AE85u

/* FNV-1a */
WRAPS static inline uint64_t rng_hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}
uint64_t rng_hash(const char *text);                       /* the number of a name */
uint64_t rng_key(uint64_t seed, uint64_t stream);          /* well mixed (splitmix64) */

/* out = Philox(key, counter), both little end first.  src/cpu/vec_random.h is the same, many counters at once. */
WRAPS static inline void philox(uint64_t key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int r = 0; r < PHILOX_ROUNDS; r++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

uint64_t rng_u64(uint64_t key, uint64_t index, uint32_t salt);      /* 64 random bits */
uint64_t rng_below(uint64_t key, uint64_t index, uint64_t n);       /* uniform in [0, n), without bias; n > 0 */
/* The same, but each index sees the others: 0, 1, 2 ... fall evenly over [0, n), after any number of them (Weyl 1916: the
 * fractional parts of u + index * golden ratio). */
uint64_t rng_spread(uint64_t key, uint64_t index, uint64_t n);
uint64_t rng_stride(uint64_t from, uint64_t n);                     /* the first number from `from` > 0 on that has no divisor in common with n: steps of it, modulo n, visit all */
double   rng_unit(uint64_t key, uint64_t index);                    /* uniform in [0, 1), 53 bits */
double   rng_normal(uint64_t key, uint64_t index);                  /* mean 0, variance 1; the same bits on every machine */

#endif
