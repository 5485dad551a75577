/* vec_random.h -- dropout's random numbers, VW counters at once: base/rng.h's Philox.
 *
 * Element (key of the row, extra, column) of a stream: columns come in groups of 64.  Counter (16 g + i, extra, key) yields
 * four words, for columns 64 g + i, + 16, + 32 and + 48, so that a vector of counters yields vectors of columns. */
#ifndef CPU_VEC_RANDOM_H
#define CPU_VEC_RANDOM_H
#include "base/rng.h"
#include "cpu/vec.h"
#include "graph/graph.h"

static inline void v_multiply(vu a, uint32_t by, vu *high, vu *low)      /* the two halves of the 64-bit products */
{
    vw p = __builtin_convertvector(a, vw) * by;
    *high = __builtin_convertvector(p >> 32, vu);
    *low = a * by;
}

WRAPS static inline void v_philox(uint64_t key, vu c0, uint32_t c1, uint32_t c2, uint32_t c3, vu out[4])
{
    vu a = c0, b = (vu){ 0 } + c1, c = (vu){ 0 } + c2, d = (vu){ 0 } + c3;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int r = 0; r < PHILOX_ROUNDS; r++) {
        vu high0, low0, high1, low1;
        v_multiply(a, PHILOX_M0, &high0, &low0);
        v_multiply(c, PHILOX_M1, &high1, &low1);
        a = high1 ^ b ^ k0;
        b = low1;
        c = high0 ^ d ^ k1;
        d = low0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

enum { DROP_GROUP = 64, DROP_WORD = DROP_GROUP / 4 };

/* v[0 .. n), columns col .. col + n of a row, times 0 or 1 / (1 - p). */
static inline void drop_columns(struct chance chance, uint64_t seed, int64_t row_key, uint32_t extra, int64_t col, int64_t n, float *v)
{
    const uint64_t key = rng_key(seed, chance.stream);
    const uint32_t threshold = (uint32_t)((double)chance.p * 0x1p32);
    const vf scale = v_set(1 / (1 - chance.p));
    vu lanes;
    for (int i = 0; i < VW; i++) lanes[i] = (uint32_t)i;
    for (int64_t g = col / DROP_GROUP; g * DROP_GROUP < col + n; g++) {
        float factor[DROP_GROUP];
        for (int i = 0; i < DROP_WORD; i += VW) {
            vu word[4];
            v_philox(key, lanes + (uint32_t)(g * DROP_WORD + i), extra, (uint32_t)row_key, (uint32_t)(row_key >> 32), word);
            for (int w = 0; w < 4; w++) v_store(factor + w * DROP_WORD + i, v_select(word[w] >= threshold, scale, v_set(0)));
        }
        int64_t first = g * DROP_GROUP, from = first > col ? first : col, to = first + DROP_GROUP < col + n ? first + DROP_GROUP : col + n;
        for (int64_t c = from; c < to; c++) v[c - col] *= factor[c - first];
    }
}

#endif
