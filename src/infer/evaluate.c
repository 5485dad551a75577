/* evaluate.c -- losses summed in double, in row order. */
#include "infer/evaluate.h"

#include "base/error.h"
#include "base/rng.h"

int evaluate_batch(struct plan *p, struct batch *b, double *sum, int64_t *tokens)
{
    if (!b->rows) return 0;
    TRY(batch_bind(b, p));
    TRY(plan_run(p, &(struct run_scalars){ .last_micro = 1 }));
    const float *losses = plan_result(p, 0);
    for (int64_t i = 0; i < b->rows; i++) *sum += losses[i];
    *tokens += b->valid;
    batch_clear(b);
    return 0;
}

/* Windows are gathered until the batch is full, then run. */
static int gather(struct plan *p, struct batch *b, const struct dataset *d, enum split s, size_t at, int64_t n, double *sum, int64_t *tokens)
{
    if (b->rows + n > b->max_rows || b->seqs == b->max_seqs) TRY(evaluate_batch(p, b, sum, tokens));
    batch_add(b, d, s, at, n, b->seqs);
    return 0;
}

/* How many ids document i has, its end token included, cut at `most`. */
static int64_t document_size(const struct split_tokens *t, size_t i, int64_t most)
{
    size_t end = i + 1 < t->n_starts ? t->start[i + 1] : t->n - 1, n = end - t->start[i];
    return n < (size_t)most ? (int64_t)n : most;
}

static int finish(struct plan *p, struct batch *b, const struct dataset *d, double *sum, struct evaluation *e)
{
    TRY(evaluate_batch(p, b, sum, &e->tokens));
    FAIL_IF(!e->tokens, E_DATA, "%s: the split is too short to be evaluated, or the block for its conversations", d->folder);
    e->loss = *sum / (double)e->tokens;
    return 0;
}

/* So many of a split's conversations, or each once; those that are too long have no answer that can be asked for. */
static int evaluate_conversations(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, size_t count, uint64_t key, struct evaluation *e,
                                  void (*progress)(void *context, size_t now, size_t all), void *context)
{
    size_t n = d->split[s].n_starts, all = count < n ? count : n;
    struct excerpt x;
    double sum = 0;
    *e = (struct evaluation){ 0 };
    batch_clear(b);
    for (size_t i = 0; i < all; i++) {
        if (progress) progress(context, i + 1, all);
        if (dataset_excerpt(d, s, all < n ? rng_below(key, i, n) : i, block, &x) == EXCERPT_NONE) continue;
        if (b->rows + x.rows > b->max_rows || b->seqs == b->max_seqs) TRY(evaluate_batch(p, b, &sum, &e->tokens));
        batch_add_excerpt(b, d, s, &x, b->seqs);
    }
    return finish(p, b, d, &sum, e);
}

int evaluate_random(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, int64_t count, uint64_t key, struct evaluation *e)
{
    const struct split_tokens *t = &d->split[s];
    double sum = 0;
    if (*d->chat) return evaluate_conversations(p, b, d, s, block, (size_t)count, key, e, NULL, NULL);
    *e = (struct evaluation){ 0 };
    batch_clear(b);
    for (int64_t i = 0; i < count; i++) {
        size_t at = 0;
        int64_t n = block;
        if (d->by_document) {
            size_t document = rng_below(key, (uint64_t)i, t->n_starts);
            at = t->start[document];
            n = document_size(t, document, block);
        } else {
            TRY(dataset_draw(d, s, block, key, (uint64_t)i, &at));
        }
        if (n > 0) TRY(gather(p, b, d, s, at, n, &sum, &e->tokens));
    }
    return finish(p, b, d, &sum, e);
}

int evaluate_all(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, struct evaluation *e,
                 void (*progress)(void *context, size_t now, size_t all), void *context)
{
    const struct split_tokens *t = &d->split[s];
    size_t windows = d->by_document ? t->n_starts : (t->n - 1) / (size_t)block;
    double sum = 0;
    if (*d->chat) return evaluate_conversations(p, b, d, s, block, t->n_starts, 0, e, progress, context);
    *e = (struct evaluation){ 0 };
    batch_clear(b);
    for (size_t i = 0; i < windows; i++) {
        size_t at = d->by_document ? t->start[i] : i * (size_t)block;
        int64_t n = d->by_document ? document_size(t, i, block) : block;
        if (n > 0) TRY(gather(p, b, d, s, at, n, &sum, &e->tokens));
        if (progress) progress(context, i + 1, windows);
    }
    return finish(p, b, d, &sum, e);
}
