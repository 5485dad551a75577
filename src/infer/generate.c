/* generate.c -- the loop, and what lies between ids and text: characters cut in two, stop strings. */
#include "infer/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct writer {                                             /* of one stream */
    struct decoder decoder;
    struct text text;                                       /* decoded, not yet emitted: may be the beginning of a stop string */
    int64_t written;
    int done;
};

/* ---- stop strings ---- */

static const char *find_stop(const struct generation *g, const struct text *t)
{
    const char *first = NULL;
    for (int i = 0; i < g->n_stop; i++) {
        const char *at = t->size ? strstr(t->at, g->stop[i]) : NULL;
        if (at && (!first || at < first)) first = at;
    }
    return first;
}

/* How many bytes at the end of the text may yet become a stop string. */
static size_t held_back(const struct generation *g, const struct text *t)
{
    size_t most = 0;
    for (int i = 0; i < g->n_stop; i++) {
        size_t n = strlen(g->stop[i]);
        for (size_t k = n - 1 < t->size ? n - 1 : t->size; k > most; k--)
            if (!memcmp(t->at + t->size - k, g->stop[i], k)) most = k;
    }
    return most;
}

static int emit(const struct generation *g, struct writer *w, int stream, size_t n)
{
    int code = g->emit(g->context, stream, n ? w->text.at : "", n, w->done);
    if (code || !n) return code;
    memmove(w->text.at, w->text.at + n, w->text.size - n + 1);
    w->text.size -= n;
    return 0;
}

/* What is certain goes out.  Done: all of it. */
static int write_out(const struct generation *g, struct writer *w, int stream)
{
    if (w->done) TRY(tokenizer_stream(g->tokenizer, &w->decoder, -1, &w->text));
    const char *stop = find_stop(g, &w->text);
    if (stop) w->done = 1;
    size_t n = stop ? (size_t)(stop - w->text.at) : w->done ? w->text.size : w->text.size - held_back(g, &w->text);
    FAIL_IF(w->text.failed, E_MEMORY, "no memory for the text");
    return n || w->done ? emit(g, w, stream, n) : 0;
}

/* ---- one id ---- */

/* The end-of-text token; or the one that stands before every text: so a story ends for models of llama2.c's. */
static int ends(const struct generation *g, uint32_t id)
{
    size_t n;
    const uint32_t *first = tokenizer_template(g->tokenizer, 0, &n);
    return !g->past_end && (id == tokenizer_end(g->tokenizer) || (n && id == *first));
}

static int extend(const struct session *s, const struct generation *g, struct sampler *sampler, struct stream *st, struct writer *w, const float *logits, int stream, uint64_t number)
{
    int64_t allowed = tokenizer_vocab(g->tokenizer);
    uint32_t id = sampler_pick(sampler, &g->sampling, logits, allowed, st->ids.at + st->from, st->ids.n - st->from, number, (uint64_t)w->written);
    int end = ends(g, id);
    w->done = end || ++w->written >= g->max_new;
    if (!end) {
        TRY(ids_add(&st->ids, &id, 1));
        TRY(tokenizer_stream(g->tokenizer, &w->decoder, id, &w->text));
    }
    size_t context = (size_t)s->context;
    if (g->crop == CROP_EXACT && st->ids.n - st->from > context) stream_crop(st, context);
    if (g->crop == CROP_HALF && st->ids.n - st->from > context) stream_crop(st, context > 1 ? context / 2 : 1);
    return write_out(g, w, stream);
}

static int run(struct session *s, const struct generation *g, struct sampler *sampler, struct stream *const *streams, struct stream **live, struct writer *w, int n, uint64_t first)
{
    for (int left = n; left > 0;) {
        const float *logits;
        const int *whose;
        int got;
        if (g->interrupted && *g->interrupted) FAIL(E_STOPPED, "interrupted");
        for (int i = 0; i < s->streams; i++) live[i] = i < n && !w[i].done ? streams[i] : NULL;
        TRY(session_step(s, live, &logits, &whose, &got));
        for (int k = 0; k < got; k++) {
            int i = whose[k];
            TRY(extend(s, g, sampler, streams[i], &w[i], logits + k * s->vocab, i, first + (uint64_t)i));
            left -= w[i].done;
        }
    }
    return 0;
}

int generate(struct session *s, const struct generation *g, struct stream *const *streams, int n, uint64_t first)
{
    struct writer *w = calloc((size_t)n, sizeof *w);
    struct stream **live = calloc((size_t)s->streams, sizeof *live);
    struct sampler sampler = { 0 };
    int code = w && live ? sampler_open(&sampler, s->vocab) : error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %d streams", n);
    for (int i = 0; i < n && !code; i++) {
        size_t all = streams[i]->ids.n, context = (size_t)s->context;
        for (size_t k = 0; k < all; k++) w[i].decoder.goes_on |= !tokenizer_is_special(g->tokenizer, streams[i]->ids.at[k]);
        if (all - streams[i]->from > context) stream_crop(streams[i], g->crop == CROP_EXACT ? context : context > 1 ? context / 2 : 1);
    }
    if (!code) code = run(s, g, &sampler, streams, live, w, n, first);
    for (int i = 0; i < n && w; i++) text_free(&w[i].text);
    sampler_close(&sampler);
    free(live);
    free(w);
    return code;
}
