/* batch.c -- packing and binding. */
#include "infer/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"

int batch_open(struct batch *b, int64_t max_rows, int64_t max_seqs)
{
    size_t rows = (size_t)max_rows;
    *b = (struct batch){ .max_rows = max_rows, .max_seqs = max_seqs };
    b->ids = malloc(rows * sizeof *b->ids);
    b->pos = malloc(rows * sizeof *b->pos);
    b->targets = malloc(rows * sizeof *b->targets);
    b->key = malloc(rows * sizeof *b->key);
    b->seq = malloc((size_t)max_seqs * sizeof *b->seq);
    if (b->ids && b->pos && b->targets && b->key && b->seq) return 0;
    batch_close(b);
    FAIL(E_MEMORY, "no memory for a batch of %lld rows", (long long)max_rows);
}

void batch_close(struct batch *b)
{
    free(b->ids);
    free(b->pos);
    free(b->targets);
    free(b->key);
    free(b->seq);
    *b = (struct batch){ 0 };
}

void batch_clear(struct batch *b) { b->rows = b->seqs = b->valid = 0; }
int batch_holds(const struct batch *b, int64_t n) { return n <= b->max_rows - b->rows && b->seqs < b->max_seqs; }

void batch_place(struct batch *b, int64_t n, int64_t number)
{
    int64_t row = b->rows;
    for (int64_t i = 0; i < n; i++) {
        b->pos[row + i] = (int32_t)i;
        b->key[row + i] = number << 32 | i;
        b->valid += b->targets[row + i] != NO_TARGET;
    }
    b->seq[b->seqs++] = (struct seq){ .row = (int32_t)row, .rows = (int32_t)n, .key = (int32_t)row, .keys = (int32_t)n };
    b->rows += n;
}

void batch_add(struct batch *b, const struct dataset *d, enum split s, size_t at, int64_t n, int64_t number)
{
    assert(batch_holds(b, n));
    dataset_window(d, s, at, n, b->ids + b->rows, b->targets + b->rows);
    batch_place(b, n, number);
}

void batch_add_excerpt(struct batch *b, const struct dataset *d, enum split s, const struct excerpt *e, int64_t number)
{
    assert(batch_holds(b, e->rows));
    dataset_read_excerpt(d, s, e, b->ids + b->rows, b->targets + b->rows);
    batch_place(b, e->rows, number);
}

void batch_add_ids(struct batch *b, const int32_t *ids, const int32_t *targets, int64_t n, int64_t number)
{
    assert(n > 0 && batch_holds(b, n));
    memcpy(b->ids + b->rows, ids, (size_t)n * sizeof *ids);
    if (targets) memcpy(b->targets + b->rows, targets, (size_t)n * sizeof *targets);
    else memcpy(b->targets + b->rows, ids + 1, (size_t)(n - 1) * sizeof *ids);
    if (!targets) b->targets[b->rows + n - 1] = NO_TARGET;
    batch_place(b, n, number);
}

void batch_add_random(struct batch *b, int64_t vocab, int64_t n, uint64_t key, int64_t number)
{
    assert(batch_holds(b, n));
    for (int64_t k = 0; k <= n; k++) {
        int32_t id = (int32_t)rng_below(key, (uint64_t)(number * (n + 1) + k), (uint64_t)vocab);
        if (k < n) b->ids[b->rows + k] = id;
        if (k > 0) b->targets[b->rows + k - 1] = id;
    }
    batch_place(b, n, number & INT32_MAX);
}

int batch_bind(const struct batch *b, struct plan *p)
{
    const struct { const char *name; const void *data; int64_t n; } inputs[] = {
        { "text.ids", b->ids, b->rows }, { "text.pos", b->pos, b->rows }, { "text.targets", b->targets, b->rows },
        { "text.key", b->key, b->rows }, { "text.seqs", b->seq, b->seqs },
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (plan_wants(p, inputs[i].name)) TRY(plan_bind(p, inputs[i].name, inputs[i].data, inputs[i].n));
    return 0;
}
