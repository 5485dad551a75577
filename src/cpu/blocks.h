/* blocks.h -- numbers in blocks (base/quantize.h says the formats), in registers: each format for every instruction set, said once.  A block is
 * one or eight units of 32 values:
 *
 *     value i of unit u = scale q[i] + offset      a scale and an offset for a unit; of Q6_K a scale for 16 values
 *
 * Bytes as they lie in files, so nothing is assumed of their alignment.  Types, and numbers of units, are constants where these are called. */
#ifndef CPU_BLOCKS_H
#define CPU_BLOCKS_H
#include "base/dtype.h"
#include "cpu/quants.h"
#include "cpu/vec_bytes.h"

enum { UNITS_MOST = 8 };

/* Of a block; the first ones of a smaller block. */
struct scales { float scale[2 * UNITS_MOST], offset[UNITS_MOST]; };

static inline int64_t block_units(const enum dtype t) { return (int64_t)dtype_values(t) / UNIT; }
static inline int has_offsets(const enum dtype t) { return t == Q5_1 || t == Q4_K || t == Q5_K; }   /* else they are not there */
static inline int unit_scales(const enum dtype t) { return t == Q6_K ? 2 : 1; }

/* Of unit u, for its eight fours of bytes. */
INLINE vf8 unit_scale(const enum dtype t, const struct scales *s, int u)
{
    return unit_scales(t) == 2 ? v_halves8(s->scale[2 * u], s->scale[2 * u + 1]) : v_set8(s->scale[u]);
}

/* Eight pairs of six bits in twelve bytes: the first four as they are, of the others four bits in one byte and two above those of the first. */
static inline void pairs_of_scales(const uint8_t *b, struct scales *s)
{
    uint32_t in[3];
    memcpy(in, b + 4, sizeof in);
    uint32_t scale[2] = { in[0] & 0x3f3f3f3f, (in[2] & 0x0f0f0f0f) | (in[0] >> 2 & 0x30303030) };
    uint32_t offset[2] = { in[1] & 0x3f3f3f3f, (in[2] >> 4 & 0x0f0f0f0f) | (in[1] >> 2 & 0x30303030) };
    v_store8(s->scale, v_half8(b) * v_small8(scale));
    v_store8(s->offset, -(v_half8(b + 2) * v_small8(offset)));
}

INLINE void block_scales(const enum dtype t, const uint8_t *b, struct scales *s)
{
    switch ((int)t) {
    case Q8_0: case Q4_0: case Q5_0: s->scale[0] = v_half8(b)[0]; break;
    case Q5_1: s->scale[0] = v_half8(b)[0], s->offset[0] = v_half8(b + 2)[0]; break;
    case Q4_K: case Q5_K: pairs_of_scales(b, s); break;
    case Q6_K: for (int i = 0; i < 2; i++) v_store8(s->scale + 8 * i, v_half8(b + 208) * v_small8(b + 192 + 8 * i)); break;
    }
}

/* The 32 q of unit u. */
INLINE vq unit_bytes(const enum dtype t, const uint8_t *b, const int u)
{
    int half = u / 4, part = u % 4;                          /* Q6_K: 128 values, of whose 32 each byte of two bits has one */
    switch ((int)t) {
    case Q8_0: return v_load_bytes(b + 2);
    case Q4_0: return v_nibbles(b + 2) - 8;
    case Q5_0: return (v_nibbles(b + 6) | v_fifths(b + 2)) - 16;
    case Q5_1: return v_nibbles(b + 8) | v_fifths(b + 4);
    case Q4_K: return v_up(v_load_bytes(b + 16 + u / 2 * 32), u % 2 * -4) & 15;
    case Q5_K: return (v_up(v_load_bytes(b + 48 + u / 2 * 32), u % 2 * -4) & 15) | (v_up(v_load_bytes(b + 16), 4 - u) & 16);
    case Q6_K: return ((v_up(v_load_bytes(b + half * 64 + part % 2 * 32), part / 2 * -4) & 15) | (v_up(v_load_bytes(b + 128 + half * 32), 4 - 2 * part) & 48)) - 32;
    }
    return (vq){ 0 };
}

/* Unit u as 32 numbers. */
INLINE void unit_numbers(const enum dtype t, const uint8_t *b, const struct scales *s, const int u, float *to)
{
    vq q = unit_bytes(t, b, u);
    int8_t byte[UNIT];
    memcpy(byte, &q, sizeof byte);
    for (int i = 0; i < UNIT; i += 8) {
        vf8 x = v_small8(byte + i) * v_set8(s->scale[unit_scales(t) == 2 ? 2 * u + i / 16 : u]);
        v_store8(to + i, has_offsets(t) ? x + v_set8(s->offset[u]) : x);
    }
}

#endif
