/* grow.c -- a larger vocabulary for a model that is there: rows for tokens that its files do not know. */
#include "base/checked.h"
#include "base/error.h"
#include "base/quantize.h"
#include "file/tensors.h"
#include "model/model.h"

/* The new rows are the mean of the others: then each new token is about as likely as all others are in the mean, and what the model says
 * hardly changes (Hewitt 2021, "Initializing new word embeddings for pretrained language models"). */
static int grow_table(struct tensors *set, const struct file_tensor *t, int64_t vocab)
{
    struct file_tensor grown = *t;
    size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1], all = (size_t)vocab, n;
    FAIL_IF(!size_mul(all, cols, &n) || !size_mul(n, sizeof(float), &grown.size), E_MEMORY, "%.200s of %lld rows is too large", t->name, (long long)vocab);
    float *to = arena_take(tensors_memory(set), grown.size);
    FAIL_IF(!to, E_MEMORY, "no memory for %.200s of %lld rows", t->name, (long long)vocab);
    numbers_widen(t->type, t->data, to, rows * cols);
    for (size_t c = 0; c < cols; c++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) sum += to[r * cols + c];
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
        int is_table = t->n_dims == 2 && !t->turned && t->dim[0] == f->config.vocab && t->dim[1] == f->config.width;
        FAIL_IF(!is_table || t->type == I32 || t->type == I64 || t->type == U16 || t->type == U8, E_MODEL, "%.200s is no table to which rows can be added", t->name);
        TRY(grow_table(f->tensors, t, vocab));
    }
    f->config.vocab = vocab;
    return 0;
}
