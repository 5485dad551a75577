/* unpack.h -- one block of numbers (base/quantize.h) as whole numbers, scales and offsets: the formats, said once for all who read them.
 *
 *     value i = scale[i / 16] q[i] + offset[i / 32]
 *
 * Bytes as they lie in files, so nothing is assumed of their alignment. */
#ifndef BASE_UNPACK_H
#define BASE_UNPACK_H
#include "base/bytes.h"
#include "base/dtype.h"

enum { BLOCK_MOST = 256 };                                   /* values of a block */
struct unpacked { int8_t q[BLOCK_MOST]; float scale[BLOCK_MOST / 16], offset[BLOCK_MOST / 32]; };       /* the first ones, of a smaller block */

static inline int has_offsets(enum dtype t) { return t == Q5_1 || t == Q4_K || t == Q5_K; }   /* else they are 0 */
static inline int has_half_scales(enum dtype t) { return t == Q6_K; }                         /* else scales of 32 values are the same */

static inline float unpack_half(const uint8_t *at) { return f16_to_f32(little_u16(at)); }

static inline void unpack_scale(struct unpacked *u, float d, float m)        /* of a block of 32 */
{
    u->scale[0] = u->scale[1] = d;
    u->offset[0] = m;
}

static inline void unpack_q8_0(const uint8_t *b, struct unpacked *u)
{
    unpack_scale(u, unpack_half(b), 0);
    memcpy(u->q, b + 2, 32);
}

/* The lower halves of 16 bytes, then their upper ones. */
static inline void unpack_nibbles(const uint8_t *b, int8_t *q, int less)
{
    uint8_t pair[16];                                        /* a copy, for q might be b as far as a compiler knows */
    memcpy(pair, b, sizeof pair);
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((pair[i] & 15) - less);
        q[i + 16] = (int8_t)((pair[i] >> 4) - less);
    }
}

static inline void unpack_q4_0(const uint8_t *b, struct unpacked *u)
{
    unpack_scale(u, unpack_half(b), 0);
    unpack_nibbles(b + 2, u->q, 8);
}

/* Values of five bits: nibbles, and 32 fifth bits in four bytes. */
static inline void unpack_fives(const uint8_t *nibbles, const uint8_t *fifth, int8_t *q, int less)
{
    unpack_nibbles(nibbles, q, 0);
    for (int k = 0; k < 4; k++) {                            /* bit j of a byte becomes 16 in byte j of eight; no sum goes over a byte */
        uint64_t bits = ((uint64_t)fifth[k] * 0x0101010101010101) & 0x8040201008040201, eight;
        memcpy(&eight, q + 8 * k, sizeof eight);
        eight |= ((bits + 0x7f7f7f7f7f7f7f7f) & 0x8080808080808080) >> 3;
        memcpy(q + 8 * k, &eight, sizeof eight);
    }
    for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] - less);
}

static inline void unpack_q5_0(const uint8_t *b, struct unpacked *u)
{
    unpack_scale(u, unpack_half(b), 0);
    unpack_fives(b + 6, b + 2, u->q, 16);
}

static inline void unpack_q5_1(const uint8_t *b, struct unpacked *u)
{
    unpack_scale(u, unpack_half(b), unpack_half(b + 2));
    unpack_fives(b + 8, b + 4, u->q, 0);
}

/* Eight pairs (s, t) of six bits in twelve bytes: the first four as they are, the others' upper bits above those of the first. */
static inline void unpack_pairs(const uint8_t *b, struct unpacked *u)
{
    float d = unpack_half(b), m = unpack_half(b + 2);
    b += 4;
    for (int j = 0; j < 8; j++) {
        int s = j < 4 ? b[j] & 63 : (b[j + 4] & 15) | b[j - 4] >> 6 << 4;
        int t = j < 4 ? b[j + 4] & 63 : b[j + 4] >> 4 | b[j] >> 6 << 4;
        u->scale[2 * j] = u->scale[2 * j + 1] = d * (float)s;
        u->offset[j] = -(m * (float)t);
    }
}

/* 64 values in 32 bytes: the lower halves, then the upper ones. */
static inline void unpack_wide_nibbles(const uint8_t *b, int8_t *q)
{
    for (int k = 0; k < 4; k++, b += 32, q += 64)
        for (int i = 0; i < 32; i++) {
            q[i] = (int8_t)(b[i] & 15);
            q[i + 32] = (int8_t)(b[i] >> 4);
        }
}

static inline void unpack_q4_k(const uint8_t *b, struct unpacked *u)
{
    unpack_pairs(b, u);
    unpack_wide_nibbles(b + 16, u->q);
}

static inline void unpack_q5_k(const uint8_t *b, struct unpacked *u)         /* bit j of byte i is the fifth of value 32 j + i */
{
    unpack_pairs(b, u);
    unpack_wide_nibbles(b + 48, u->q);
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 32; i++) u->q[32 * j + i] = (int8_t)(u->q[32 * j + i] + (b[16 + i] >> j & 1) * 16);
}

/* Halves of 128: four bits in 64 bytes, two more in 32, each byte's of the values 32 apart. */
static inline void unpack_q6_k(const uint8_t *b, struct unpacked *u)
{
    float d = unpack_half(b + 208);
    for (int i = 0; i < 16; i++) u->scale[i] = d * (float)(int8_t)b[192 + i];
    for (int j = 0; j < 8; j++) u->offset[j] = 0;
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *low = b + 64 * h + i, high = b[128 + 32 * h + i];
            int8_t *q = u->q + 128 * h + i;
            q[0] = (int8_t)(((low[0] & 15) | (high & 3) << 4) - 32);
            q[32] = (int8_t)(((low[32] & 15) | (high >> 2 & 3) << 4) - 32);
            q[64] = (int8_t)((low[0] >> 4 | (high >> 4 & 3) << 4) - 32);
            q[96] = (int8_t)((low[32] >> 4 | high >> 6 << 4) - 32);
        }
}

static inline __attribute__((always_inline)) void unpack(const enum dtype t, const uint8_t *b, struct unpacked *u)
{
    switch ((int)t) {
    case Q8_0: unpack_q8_0(b, u); break;
    case Q4_0: unpack_q4_0(b, u); break;
    case Q5_0: unpack_q5_0(b, u); break;
    case Q5_1: unpack_q5_1(b, u); break;
    case Q4_K: unpack_q4_k(b, u); break;
    case Q5_K: unpack_q5_k(b, u); break;
    case Q6_K: unpack_q6_k(b, u); break;
    }
}

/* A block's values. */
static inline __attribute__((always_inline)) void unpacked_numbers(const enum dtype t, const struct unpacked *u, float *to)
{
    for (size_t i = 0; i < dtype_values(t); i++) to[i] = u->scale[i / 16] * (float)u->q[i];
    for (size_t i = 0; i < dtype_values(t) && has_offsets(t); i++) to[i] += u->offset[i / 32];
}

#endif
