/* places.h -- a hash table of numbers 0, 1, 2 ... whose keys are their owner's.
 *
 * A number's place follows from the hash of its key.  Whoever finds it taken goes to one of the next few; who finds those taken, too,
 * stands in a sorted list of the owner's.  So no choice of keys makes a look-up slower than that list's, and no secret is needed.
 * Beside the number a place holds eight more bits of the hash, by which nearly all other keys that are looked up there are told. */
#ifndef TOKEN_PLACES_H
#define TOKEN_PLACES_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/wraps.h"

enum { PLACES_BITS = 24, PLACES_NEAR = 8 };
#define PLACES_MASK ((1u << PLACES_BITS) - 1)                /* of what stands in a place: a number and 1, so that 0 is free */
#define PLACES_MOST (PLACES_MASK - 1)                        /* the largest number */
#define PLACES_NONE UINT32_MAX                               /* no such key */
#define PLACES_CROWDED (UINT32_MAX - 1)                      /* none here, perhaps in the list */

struct places { uint32_t *at; int bits; };                   /* 2^bits places and PLACES_NEAR behind them, zeros at first */

/* Bits for n keys: two to four places each. */
static inline int places_bits(size_t n)
{
    int bits = 8;
    while ((size_t)1 << bits < 2 * n) bits++;
    return bits;
}
static inline size_t places_room(int bits) { return ((size_t)1 << bits) + PLACES_NEAR; }

WRAPS static inline uint64_t places_mix(uint64_t x)
{
    x *= 0x9e3779b97f4a7c15u;
    return (x ^ x >> 32) * 0xd6e8feb86659fd93u;
}

static inline uint64_t places_hash(const char *bytes, size_t n)
{
    uint64_t h = n, eight;
    for (; n >= sizeof eight; bytes += sizeof eight, n -= sizeof eight) {
        memcpy(&eight, bytes, sizeof eight);
        h = places_mix(h ^ eight);
    }
    eight = 0;
    if (n) memcpy(&eight, bytes, n);
    return places_mix(h ^ eight);
}

static inline uint32_t *places_first(const struct places *p, uint64_t hash) { return p->at + (hash >> (64 - p->bits)); }

/* The number whose key is `same` as this one. */
static inline __attribute__((always_inline)) uint32_t places_find(const struct places *p, uint64_t hash, int (*same)(const void *owner, uint32_t number, const void *key), const void *owner, const void *key)
{
    const uint32_t *at = places_first(p, hash);
    for (int i = 0; i < PLACES_NEAR; i++) {
        if (!at[i]) return PLACES_NONE;
        uint32_t number = (at[i] & PLACES_MASK) - 1;
        if (at[i] >> PLACES_BITS == (hash & 0xff) && same(owner, number, key)) return number;
    }
    return PLACES_CROWDED;
}

/* Gives a number a place, unless all near it are taken; then 0 comes back. */
static inline int places_give(const struct places *p, uint64_t hash, uint32_t number)
{
    uint32_t *at = places_first(p, hash);
    for (int i = 0; i < PLACES_NEAR; i++)
        if (!at[i]) {
            at[i] = (number + 1) | (uint32_t)(hash & 0xff) << PLACES_BITS;
            return 1;
        }
    return 0;
}

#endif
