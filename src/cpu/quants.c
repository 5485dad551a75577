/* quants.c -- rounding rows of x, dots of a few of them with rows of W, and W as numbers where those are wanted. */
#include "cpu/quants.h"

#include "cpu/blocks.h"

/* ---- x ---- */

typedef int8_t vb __attribute__((vector_size(VW)));

static inline void round_unit(const float *x, int8_t *q, struct unit *u, int32_t *lane, float *scale)
{
    enum { PARTS = UNIT / VW };
    vf part[PARTS], top = v_set(0), bad = v_set(0), sum[2] = { v_set(0), v_set(0) };
    for (int i = 0; i < PARTS; i++) {
        part[i] = v_load(x + i * VW);
        top = v_max((vf)((vi)part[i] & 0x7fffffff), top);
        bad += part[i] * 0;                                  /* NaN if one of them is not finite */
    }
    float most = v_most(top), by = 127 / most;
    u->scale = v_sum(bad) == 0 ? most / 127 : NAN;
    if (!(u->scale >= 0 && by <= 0x1p126f)) {                /* not finite; or so small that the inverse is not */
        by = 0;
        if (u->scale >= 0) u->scale = 0;
    }
    for (int i = 0; i < PARTS; i++) {
        vf whole = v_nearest(by > 0 ? part[i] * by : v_set(0));
        vb bytes = __builtin_convertvector(__builtin_convertvector(whole, vi), vb);
        memcpy(q + i * VW, &bytes, sizeof bytes);
        sum[2 * i / PARTS] += whole;
    }
    for (int h = 0; h < 2; h++) u->sum[h] = (int32_t)v_sum(sum[h]);
    vi8 sums = v_dot_bytes(v_load_bytes(q), (vq){ 0 } + 1) * -128;
    vf8 scales = v_set8(u->scale);
    memcpy(lane, &sums, sizeof sums);
    memcpy(scale, &scales, sizeof scales);
}

void NAME(round_row)(const float *x, int64_t k, struct pair *row)
{
    if (k % PAIR) row[k / PAIR] = (struct pair){ 0 };
    for (int64_t u = 0; u < k / UNIT; u++) {
        struct pair *p = &row[u / 2];
        int i = (int)(u % 2);
        round_unit(x + u * UNIT, p->q + i * UNIT, &p->unit[i], p->lane + 8 * i, p->scale + 8 * i);
    }
}

/* ---- dots ---- */

/* rows of x against `side` rows of W from row j on.  All but q and j are constants. */
INLINE void dots(const struct quants *q, int64_t row, int64_t j, const enum dtype type, const int rows, const int side)
{
    int64_t block = (int64_t)dtype_values(type), bytes = (int64_t)dtype_size(type), ld = q->k / block * bytes;
    const uint8_t *w[DOT_ROWS];
    const struct pair *x[DOT_ROWS];
    vf8 sum[DOT_ROWS][DOT_ROWS];
    for (int d = 0; d < side; d++) w[d] = (const uint8_t *)q->w + at_most(j + d, q->n - 1) * ld;
    for (int r = 0; r < rows; r++) {
        x[r] = q->x + (row + r) * pairs_of(q->k);
        for (int d = 0; d < side; d++) sum[r][d] = v_set8(0);
    }
    for (int64_t b = 0, at = 0; b < q->k / block; b++) {
        struct scales s[DOT_ROWS];
        for (int d = 0; d < side; d++) {
            __builtin_prefetch(w[d] + side * ld, 0, 2);
            block_scales(type, w[d], &s[d]);
        }
#pragma GCC unroll 8
        for (int u = 0; u < block_units(type); u++, at++)
            for (int d = 0; d < side; d++) {
                vq weights = unit_bytes(type, w[d], u);
                vf8 scale = unit_scale(type, &s[d], u);
                for (int r = 0; r < rows; r++) {
                    float by = unit_at(x[r], at)->scale;
                    vi8 lanes;
                    memcpy(&lanes, x[r][at / 2].lane + at % 2 * 8, sizeof lanes);
                    sum[r][d] = v_fma8(v_floats8(v_dot_bytes(weights, v_load_bytes(bytes_at(x[r], at)))), scale * by, sum[r][d]);
                    if (has_offsets(type)) sum[r][d] = v_fma8(v_floats8(lanes), v_set8(s[d].offset[u] * by * (-1.0f / 128)), sum[r][d]);
                }
            }
        for (int d = 0; d < side; d++) w[d] += bytes;
    }
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < side && j + d < q->n; d++) q->y[(row + r) * q->y_ld + j + d] = v_sum8(sum[r][d]);
}

INLINE void dots_of(const struct quants *q, const enum dtype type)
{
    int64_t r = 0;
    for (; r + 4 <= q->rows; r += 4)
        for (int64_t j = 0; j < q->n; j += 2) dots(q, r, j, type, 4, 2);
    for (; r < q->rows; r++)
        for (int64_t j = 0; j < q->n; j += 4) dots(q, r, j, type, 1, 4);
}

void NAME(quant_dots)(const struct quants *q)
{
    if (NAME(has_quads)()) {
        NAME(quad_dots)(q);
        return;
    }
    switch ((int)q->type) {
#define X(name, values, size, text) case name: dots_of(q, name); break;
        QUANTIZED_DTYPES(X)
#undef X
    }
}

/* ---- as numbers ---- */

/* Values `skip` to `skip` + n of a unit. */
INLINE void some_numbers(const enum dtype type, const uint8_t *b, const struct scales *s, const int u, int64_t skip, int64_t n, float *to)
{
    float all[UNIT];
    unit_numbers(type, b, s, u, n == UNIT ? to : all);
    if (n < UNIT) memcpy(to, all + skip, (size_t)n * sizeof *to);
}

INLINE void dequantize_of(const enum dtype type, const uint8_t *b, int64_t at, int64_t n, float *to)
{
    const int64_t block = (int64_t)dtype_values(type);
    b += at / block * (int64_t)dtype_size(type);
    at %= block;
    for (; n > 0; b += dtype_size(type)) {
        struct scales s;
        block_scales(type, b, &s);
#pragma GCC unroll 8
        for (int u = 0; u < block_units(type); u++) {
            int64_t skip = at - u * UNIT, some = at_most(UNIT - skip, n);
            if (skip >= UNIT || n <= 0) continue;
            some_numbers(type, b, &s, u, skip, some, to);
            to += some, n -= some, at += some;
        }
        at = 0;
    }
}

void NAME(dequantize)(enum dtype type, const void *row, int64_t at, int64_t n, float *to)
{
    switch ((int)type) {
#define X(name, values, size, text) case name: dequantize_of(name, row, at, n, to); break;
        QUANTIZED_DTYPES(X)
#undef X
    }
}
