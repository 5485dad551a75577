/* grow.c -- a larger vocabulary for a model that is there: rows for tokens that its files do not know. */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "file/tensors.h"
#include "model/model.h"

static float value_at(const struct file_tensor *t, size_t i)
{
    const char *at = (const char *)t->data + i * dtype_size(t->type);        /* perhaps unaligned */
    uint16_t half;
    double wide;
    float f;
    switch (t->type) {
    case F64: return memcpy(&wide, at, sizeof wide), (float)wide;
    case F32: return memcpy(&f, at, sizeof f), f;
    case BF16: return memcpy(&half, at, sizeof half), bf16_to_f32(half);
    default: return memcpy(&half, at, sizeof half), f16_to_f32(half);
    }
}

/* The new rows are the mean of the others: then each new token is about as likely as all others are in the mean, and what the model says
 * hardly changes (Hewitt 2021, "Initializing new word embeddings for pretrained language models"). */
static int grow_table(struct tensors *set, const struct file_tensor *t, int64_t vocab)
{
    struct file_tensor grown = *t;
    size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1], all = (size_t)vocab, n;
    FAIL_IF(!size_mul(all, cols, &n) || !size_mul(n, sizeof(float), &grown.size), E_MEMORY, "%.200s of %lld rows is too large", t->name, (long long)vocab);
    float *to = arena_take(tensors_memory(set), grown.size);
    FAIL_IF(!to, E_MEMORY, "no memory for %.200s of %lld rows", t->name, (long long)vocab);
    for (size_t c = 0; c < cols; c++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) sum += to[r * cols + c] = value_at(t, r * cols + c);
        for (size_t r = rows; r < all; r++) to[r * cols + c] = (float)(sum / (double)rows);
    }
    grown.type = F32;
    grown.dim[0] = vocab;
    grown.data = to;
    tensors_replace(set, &grown);
    return 0;
}

int model_grow(struct model_files *f, int64_t vocab)
{
    const char *const tables[] = { f->model->table, "lm_head.weight" };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const struct file_tensor *t = model_find_tensor(f->model, f->tensors, tables[i]);
        if (!t) continue;
        int is_plain = t->type == F32 || t->type == BF16 || t->type == F16 || t->type == F64;
        FAIL_IF(!is_plain || t->n_dims != 2 || t->dim[0] < 1 || t->dim[0] > vocab, E_MODEL, "%.200s is no table to which rows can be added", t->name);
        TRY(grow_table(f->tensors, t, vocab));
    }
    f->config.vocab = vocab;
    return 0;
}
