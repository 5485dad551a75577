/* evaluate.c -- losses summed in double, in row order.
 *
 * How far a mean loss L can be trusted is estimated from its windows: w_i, the summed loss of window i, would be n_i L, n_i being its
 * targets.  The variance of L is  k / (k - 1) sum_i (w_i - n_i L)^2 / (sum_i n_i)^2  for k windows (Cochran 1977, section 6.3: the error
 * of a ratio).  Targets of one window are not independent, and a count of them would promise too much. */
#include "infer/evaluate.h"

#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "cpu/cpu.h"

/* ---- sums ---- */

static void add_window(struct loss_sums *s, const struct batch *b, const struct seq *q, const float *losses)
{
    double nats = 0, n = 0;
    for (int32_t i = q->row; i < q->row + q->rows; i++) {
        nats += losses[i];
        n += b->targets[i] != NO_TARGET;
    }
    s->squares += nats * nats;
    s->products += nats * n;
    s->sizes += n * n;
    s->windows++;
}

static int run(struct plan *p, struct batch *b, struct loss_sums *s)
{
    if (!b->rows) return 0;
    TRY(batch_bind(b, p));
    TRY(plan_run(p, &(struct run_scalars){ .last_micro = 1 }));
    const float *losses = plan_result(p, 0);
    for (int64_t i = 0; i < b->rows; i++) s->nats += losses[i];
    for (int64_t i = 0; i < b->seqs; i++) add_window(s, b, &b->seq[i], losses);
    s->tokens += b->valid;
    batch_clear(b);
    return 0;
}

static int finish(const struct loss_sums *s, struct evaluation *e, const char *what)
{
    FAIL_IF(!s->tokens, E_DATA, "%s: too short to be evaluated, or the block for its conversations", what);
    double n = (double)s->tokens, k = (double)s->windows, loss = s->nats / n, off = s->squares - 2 * loss * s->products + loss * loss * s->sizes;
    *e = (struct evaluation){ .loss = loss, .error = k > 1 ? sqrt((off < 0 ? 0 : off) * k / (k - 1)) / n : NAN, .tokens = s->tokens, .windows = s->windows, .bytes = s->bytes };
    return 0;
}

double evaluation_bits(const struct evaluation *e) { return e->bytes ? e->loss * (double)e->tokens / (double)e->bytes / log(2) : NAN; }

int evaluate_batch(struct plan *p, struct batch *b, double *sum, int64_t *tokens)
{
    struct loss_sums s = { .nats = *sum, .tokens = *tokens };
    TRY(run(p, b, &s));
    *sum = s.nats;
    *tokens = s.tokens;
    return 0;
}

/* ---- random windows ---- */

/* Where document i ends, its end token included. */
static size_t document_end(const struct split_tokens *t, size_t i) { return i + 1 < t->n_starts ? t->start[i + 1] : t->n - 1; }

static int64_t at_most(size_t n, int64_t most) { return n < (size_t)most ? (int64_t)n : most; }

/* So many of a split's conversations, or each once; those that are too long have no answer that can be asked for. */
static int add_conversations(struct evaluator *v, const struct dataset *d, enum split s, size_t count, uint64_t key)
{
    size_t n = d->split[s].n_starts, all = count < n ? count : n;
    struct excerpt x;
    for (size_t i = 0; i < all; i++) {
        if (v->progress) v->progress(v->context, i + 1, all);
        if (dataset_excerpt(d, s, all < n ? rng_below(key, i, n) : i, v->block, &x) == EXCERPT_NONE) continue;
        if (!batch_holds(v->batch, x.rows)) TRY(run(v->plan, v->batch, &v->sums));
        batch_add_excerpt(v->batch, d, s, &x, v->batch->seqs);
    }
    return 0;
}

static int random_conversations(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, size_t count, uint64_t key, struct evaluation *e)
{
    struct evaluator v = { .plan = p, .batch = b, .block = block };
    batch_clear(b);
    TRY(add_conversations(&v, d, s, count, key));
    return evaluator_finish(&v, e, d->folder);
}

int evaluate_random(struct plan *p, struct batch *b, const struct dataset *d, enum split s, int64_t block, int64_t count, uint64_t key, struct evaluation *e)
{
    const struct split_tokens *t = &d->split[s];
    struct loss_sums sums = { 0 };
    if (*d->chat) return random_conversations(p, b, d, s, block, (size_t)count, key, e);
    batch_clear(b);
    for (int64_t i = 0; i < count; i++) {
        size_t at = 0;
        int64_t n = block;
        if (d->by_document) {
            size_t document = rng_below(key, (uint64_t)i, t->n_starts);
            at = t->start[document];
            n = at_most(document_end(t, document) - at, block);
        } else {
            TRY(dataset_draw(d, s, block, key, (uint64_t)i, &at));
        }
        if (n <= 0) continue;
        if (!batch_holds(b, n)) TRY(run(p, b, &sums));
        batch_add(b, d, s, at, n, b->seqs);
    }
    TRY(run(p, b, &sums));
    return finish(&sums, e, d->folder);
}

/* ---- all of a text ---- */

struct source { const struct dataset *d; enum split split; const uint32_t *ids; };       /* of a split, or of a text */

static void fetch(const struct source *s, size_t at, int64_t n, int32_t *ids, int32_t *targets)
{
    if (s->d) dataset_window(s->d, s->split, at, n, ids, targets);
    for (int64_t i = 0; i < n && s->ids; i++) {
        ids[i] = (int32_t)s->ids[at + (size_t)i];
        targets[i] = (int32_t)s->ids[at + (size_t)i + 1];
    }
}

static int64_t text_bytes_of(const struct tokenizer *t, const int32_t *ids, int64_t n)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t size;
        tokenizer_bytes(t, (uint32_t)ids[i], &size);
        if (!tokenizer_is_special(t, (uint32_t)ids[i])) bytes += (int64_t)size;
    }
    return bytes;
}

/* A window of n ids from `at` on, of which the first `known` targets do not count. */
static int add(struct evaluator *v, const struct source *s, size_t at, int64_t n, int64_t known)
{
    struct batch *b = v->batch;
    if (!batch_holds(b, n)) TRY(run(v->plan, b, &v->sums));
    int32_t *targets = b->targets + b->rows;
    fetch(s, at, n, b->ids + b->rows, targets);
    if (v->tokenizer && s->d) v->sums.bytes += text_bytes_of(v->tokenizer, targets + known, n - known);
    for (int64_t i = 0; i < known; i++) targets[i] = NO_TARGET;
    batch_place(b, n, b->seqs);
    return 0;
}

/* Ids from .. last of a source: each behind the first is a target once. */
static int read_through(struct evaluator *v, const struct source *s, size_t from, size_t last)
{
    size_t block = (size_t)v->block, step = v->stride ? (size_t)v->stride : block, i = 0;
    v->texts++;
    size_t windows = 1 + (last - from > block ? (last - from - block + step - 1) / step : 0);
    for (size_t at = from, done = from; done < last; at += step) {
        int64_t n = at_most(last - at, v->block);
        TRY(add(v, s, at, n, (int64_t)(done - at)));
        done = at + (size_t)n;
        if (v->progress) v->progress(v->context, ++i, windows);
    }
    return 0;
}

int evaluator_add_split(struct evaluator *v, const struct dataset *d, enum split s)
{
    const struct split_tokens *t = &d->split[s];
    const struct source source = { .d = d, .split = s };
    struct evaluator one = *v;
    int code = 0;
    if (*d->chat) return add_conversations(v, d, s, t->n_starts, 0);
    size_t all = t->n - 1, whole = all / (size_t)v->block * (size_t)v->block;
    if (!d->by_document) return read_through(v, &source, 0, v->stride ? all : whole);
    one.progress = NULL;
    for (size_t i = 0; i < t->n_starts && !code; i++) {
        size_t from = t->start[i], last = document_end(t, i);
        code = read_through(&one, &source, from, v->stride ? last : from + (size_t)at_most(last - from, v->block));
        if (v->progress) v->progress(v->context, i + 1, t->n_starts);
    }
    v->sums = one.sums;
    return code;
}

int evaluator_add_ids(struct evaluator *v, const uint32_t *ids, size_t n, size_t bytes)
{
    if (n < 2) return 0;
    v->sums.bytes += (int64_t)bytes;
    return read_through(v, &(struct source){ .ids = ids }, 0, n - 1);
}

/* ---- documents ---- */

struct reading { struct evaluator *v; const struct tokenizer *t; struct encoders *encoders; struct ids ids; size_t front, bytes; };       /* front: ids before the text */

static size_t apart(void *context, const char *text, size_t n, size_t most) { return tokenizer_apart(((const struct reading *)context)->t, text, n, most); }

/* What a text begins with, so that its first token can be foretold. */
static int begin_text(struct reading *r)
{
    size_t n;
    const uint32_t *front = tokenizer_template(r->t, 0, &n);
    int64_t end = tokenizer_end(r->t);
    r->ids.n = r->bytes = 0;
    if (n) TRY(ids_add(&r->ids, front, n));
    else if (end >= 0) TRY(ids_add(&r->ids, &(uint32_t){ (uint32_t)end }, 1));
    r->front = r->ids.n;
    return 0;
}

static int end_text(struct reading *r)
{
    size_t first = 0;
    if (!r->front && r->ids.n) tokenizer_bytes(r->t, r->ids.at[0], &first);
    TRY(evaluator_add_ids(r->v, r->ids.at, r->ids.n, r->bytes - (first < r->bytes ? first : r->bytes)));
    return begin_text(r);
}

/* All ids of a document are held, at four bytes each. */
static int read_document(void *context, const struct document *doc)
{
    struct reading *r = context;
    int failed = encoders_add(r->encoders, doc->text, doc->n, &r->ids);
    if (failed) return document_error(failed, doc);
    r->bytes += doc->n;
    return doc->more ? 0 : end_text(r);
}

int evaluator_add_documents(struct evaluator *v, const struct documents *d, const struct tokenizer *t)
{
    struct reading r = { .v = v, .t = t };
    TRY(encoders_open(&r.encoders, t, SPECIALS_AS_TEXT, cpu_threads(), documents_size(d)));
    int failed = begin_text(&r);
    if (!failed) failed = documents_each(d, NULL, apart, read_document, &r);
    encoders_close(r.encoders);
    ids_free(&r.ids);
    return failed;
}

int evaluator_finish(struct evaluator *v, struct evaluation *e, const char *what)
{
    TRY(run(v->plan, v->batch, &v->sums));
    return finish(&v->sums, e, what);
}
