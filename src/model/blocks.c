/* blocks.c -- the values of parameters, block by block, in and out, with conversion where types differ. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/model.h"

static size_t block_start(const struct param *p, int block)          /* elements before block i (OUT_IN; IN_OUT has one block) */
{
    int64_t rows = 0;
    for (int i = 0; i < block; i++) rows += p->block[i].out;
    return (size_t)(rows * p->in);
}

static float element(enum dtype type, const void *data, size_t i)
{
    uint16_t half;
    float f;
    double d;
    switch (type) {
    case F32:
        memcpy(&f, (const char *)data + i * sizeof f, sizeof f);
        return f;
    case F64:
        memcpy(&d, (const char *)data + i * sizeof d, sizeof d);
        return (float)d;
    case BF16:
    case F16:
        memcpy(&half, (const char *)data + i * sizeof half, sizeof half);
        return type == BF16 ? bf16_to_f32(half) : f16_to_f32(half);
    default: return NAN;
    }
}

int weights_set(struct weights *w, struct param *p, int i, enum dtype type, const void *data)
{
    size_t n = (size_t)(p->block[i].out * p->in), start = block_start(p, i);
    FAIL_IF(p->use == MAPPED, E_MODEL, "parameter %s lies in a file", p->name);
    FAIL_IF(type != F32 && type != BF16 && type != F16 && type != F64, E_DATA, "%s: weights of type %s", p->block[i].name, dtype_name(type));
    if (p->type == type) {
        char *to = p->use == TRAINED ? (char *)(w->master + p->at + start) : w->frozen + p->at + start * dtype_size(type);
        w->backend->copy(to, data, n * dtype_size(type));
        return 0;
    }
    char *converted = malloc(n * dtype_size(p->type));
    FAIL_IF(!converted, E_MEMORY, "no memory to convert %s", p->block[i].name);
    for (size_t k = 0; k < n; k++) {
        float f = element(type, data, k);
        uint16_t half = f32_to_bf16(f);
        if (p->type == F32) memcpy(converted + k * sizeof f, &f, sizeof f);
        else memcpy(converted + k * sizeof half, &half, sizeof half);
    }
    int code = weights_set(w, p, i, p->type, converted);
    free(converted);
    return code;
}

void weights_get(const struct weights *w, const struct param *p, int i, const float *from_range, float *data)
{
    assert(p->use == TRAINED);
    w->backend->copy(data, from_range + p->at + block_start(p, i), (size_t)(p->block[i].out * p->in) * sizeof *data);
}
