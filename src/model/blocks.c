/* blocks.c -- the values of parameters, block by block, in and out, with conversion where types differ. */
#include <assert.h>
#include <string.h>

#include "base/quantize.h"
#include "base/error.h"
#include "model/model.h"

static size_t block_start(const struct param *p, int block)          /* elements before block i (OUT_IN; IN_OUT has one block) */
{
    int64_t rows = 0;
    for (int i = 0; i < block; i++) rows += p->block[i].out;
    return (size_t)(rows * p->in);
}

void weights_widen(float *to, enum dtype type, const void *data, size_t at, size_t n)
{
    const char *from = (const char *)data + dtype_bytes(type, at);
    uint16_t half;
    double d;
    if (is_quantized(type)) dequantize(type, from, to, n);
    if (type == F32) memcpy(to, from, n * sizeof *to);
    for (size_t i = 0; i < n && type == F64; i++) memcpy(&d, from + i * sizeof d, sizeof d), to[i] = (float)d;
    for (size_t i = 0; i < n && type == BF16; i++) memcpy(&half, from + i * sizeof half, sizeof half), to[i] = bf16_to_f32(half);
    for (size_t i = 0; i < n && type == F16; i++) memcpy(&half, from + i * sizeof half, sizeof half), to[i] = f16_to_f32(half);
}

enum { PIECE = 4096 };                                       /* elements converted at a time */

int weights_set(struct weights *w, struct param *p, int i, enum dtype type, const void *data)
{
    size_t n = (size_t)(p->block[i].out * p->in), start = block_start(p, i), size = dtype_size(p->type);
    FAIL_IF(p->use == MAPPED, E_MODEL, "parameter %s lies in a file", p->name);
    FAIL_IF(type != F32 && type != BF16 && type != F16 && type != F64 && !is_quantized(type), E_DATA, "%s: weights of type %s", p->block[i].name, dtype_name(type));
    char *to = p->use == TRAINED ? (char *)(w->master + p->at + start) : w->frozen + p->at + start * size;
    if (p->type == type) w->backend->copy(to, data, n * size);
    for (size_t at = 0; at < n && p->type != type; at += PIECE) {
        float wide[PIECE];
        uint16_t narrow[PIECE];
        size_t m = n - at < PIECE ? n - at : PIECE;
        weights_widen(wide, type, data, at, m);
        for (size_t k = 0; k < m && p->type == BF16; k++) narrow[k] = f32_to_bf16(wide[k]);
        w->backend->copy(to + at * size, p->type == BF16 ? (void *)narrow : wide, m * size);
    }
    return 0;
}

void weights_get(const struct weights *w, const struct param *p, int i, const float *from_range, float *data)
{
    assert(p->use == TRAINED);
    w->backend->copy(data, from_range + p->at + block_start(p, i), (size_t)(p->block[i].out * p->in) * sizeof *data);
}
