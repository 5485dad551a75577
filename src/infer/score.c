/* score.c -- pairs are packed until rows or logits are full. */
#include "infer/score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum { LOGITS_BYTES = 64 << 20 };

static int take_memory(struct scorer *s, int64_t rows)
{
    TRY(batch_open(&s->batch, rows, rows));
    s->row = malloc((size_t)s->max_wanted * sizeof *s->row);
    s->wanted = malloc((size_t)s->max_wanted * sizeof *s->wanted);
    FAIL_IF(!s->row || !s->wanted, E_MEMORY, "no memory for %lld rows of logits", (long long)s->max_wanted);
    return 0;
}

int scorer_plan(struct scorer *s, struct weights *w, const struct model *m, const struct config *c, enum dtype type, int64_t rows)
{
    int64_t fit = LOGITS_BYTES / (int64_t)sizeof(float) / c->vocab;
    *s = (struct scorer){ .context = c->context < rows ? c->context : rows, .vocab = c->vocab, .max_wanted = fit < 1 ? 1 : fit < rows ? fit : rows };
    const struct space spaces[] = { { "text", rows, rows }, { "wanted", s->max_wanted, 0 } };
    graph *g;
    TRY(take_memory(s, rows));
    TRY(graph_open(&g, w, EVAL, type, spaces, 2));
    tensor *logits = m->build(g, c);
    return plan_new(&s->plan, g, &logits, 1, &(struct plan_options){ .fuse = 1 });
}

void scorer_free(struct scorer *s)
{
    batch_close(&s->batch);
    free(s->row);
    free(s->wanted);
    *s = (struct scorer){ 0 };
}

/* log softmax(logits)[target]; the sum of a hundred thousand exponentials in double. */
static double log_p_of(const float *logits, int64_t n, int32_t target, int *is_top)
{
    int64_t top = 0;
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[top]) top = i;
    for (int64_t i = 0; i < n; i++) sum += expf(logits[i] - logits[top]);
    *is_top = top == target;
    return (double)logits[target] - logits[top] - log(sum);
}

int scorer_finish(struct scorer *s)
{
    if (!s->n_wanted) return 0;
    TRY(batch_bind(&s->batch, s->plan));
    TRY(plan_bind(s->plan, "wanted.wanted", s->row, s->n_wanted));
    TRY(plan_run(s->plan, &(struct run_scalars){ .last_micro = 1 }));
    const float *logits = plan_result(s->plan, 0);
    for (int64_t i = 0; i < s->n_wanted; i++) {
        struct score *score = s->wanted[i].score;
        int is_top;
        score->log_p += log_p_of(logits + i * s->vocab, s->vocab, s->wanted[i].target, &is_top);
        FAIL_IF(isnan(score->log_p), E_MODEL, "the model's logits are not numbers: its weights are damaged");
        score->greedy &= is_top;
        score->left--;
    }
    batch_clear(&s->batch);
    s->n_wanted = 0;
    return 0;
}

/* Ids 0 .. to - 1 as a sequence, the last of which is only foretold; logits are wanted for those from `from` on. */
static int add_part(struct scorer *s, const int32_t *ids, int64_t from, int64_t to, struct score *out)
{
    if (!batch_holds(&s->batch, to - 1) || to - from > s->max_wanted - s->n_wanted) TRY(scorer_finish(s));
    int32_t row = (int32_t)s->batch.rows;
    batch_add_ids(&s->batch, ids, NULL, to - 1, s->batch.seqs);
    for (int64_t i = from; i < to; i++) {
        s->row[s->n_wanted] = row + (int32_t)(i - 1);
        s->wanted[s->n_wanted++] = (struct wanted){ out, ids[i] };
    }
    return 0;
}

int scorer_add(struct scorer *s, const uint32_t *ids, size_t n, size_t from, struct score *out)
{
    size_t most = (size_t)s->context + 1, cut = n > most ? n - most : 0;
    assert(0 < from && from < n);
    FAIL_IF(cut >= from, E_DATA, "its %zu tokens and one before them do not fit into %lld positions; give it a larger --block_size, or leave it out", n - from, (long long)s->context);
    *out = (struct score){ .tokens = (int64_t)(n - from), .left = (int64_t)(n - from), .greedy = 1, .cut = (int64_t)cut };
    for (size_t i = 0; i < n; i++) FAIL_IF(ids[i] >= (size_t)s->vocab, E_DATA, "id %u is outside of the model's vocabulary of %lld", ids[i], (long long)s->vocab);
    for (size_t at = from, to; at < n; at = to) {
        to = n - at > (size_t)s->max_wanted ? at + (size_t)s->max_wanted : n;
        TRY(add_part(s, (const int32_t *)ids + cut, (int64_t)(at - cut), (int64_t)(to - cut), out));
    }
    return 0;
}
