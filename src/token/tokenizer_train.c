/* tokenizer_train.c -- each thread counts the pieces of its parts of the text; the counts are put together, and merges are learnt
 * from them. */
#include "token/tokenizer_train.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "token/crew.h"
#include "token/learn.h"
#include "token/tokenizer_core.h"

struct training {
    const struct tokenizer_training *o;
    struct documents *texts;
    struct parts parts;                  /* of the tokenizer to be: where text is cut, special tokens */
    struct splitter *splitter;
    struct added specials;
    struct crew *crew;
    struct tally *tally;                 /* one a thread */
    struct learnt learnt;
    struct tokenizer *t;
    struct tokenizer_trained done;
};

/* ---- counting ---- */

static int count_piece(void *tally, const char *piece, size_t n) { return tally_add(tally, piece, n, 1, NULL); }

static int count_part(void *context, int thread, const struct part *p, struct ids *unused)
{
    const struct training *r = context;
    struct tally *tally = &r->tally[thread];
    const struct token *special;
    size_t from = 0, at = 0;
    (void)unused;
    while ((special = added_next(&r->specials, p->doc.text, p->doc.n, &at))) {
        TRY(split_text(r->splitter, p->doc.text + from, at - from, count_piece, tally));
        from = at += special->size;
    }
    return split_text(r->splitter, p->doc.text + from, p->doc.n - from, count_piece, tally);
}

static size_t apart(void *context, const char *text, size_t n, size_t most)
{
    const struct training *r = context;
    return r->specials.crosses ? 0 : split_apart(r->splitter, text, n, most);
}

static int read_document(void *context, const struct document *doc)
{
    struct training *r = context;
    r->done.documents += !doc->more;
    r->done.bytes += doc->n;
    TRY(crew_add(r->crew, doc));
    if (r->o->reading) r->o->reading(r->o->context, doc->read, documents_size(r->texts));
    return 0;
}

/* What all threads have counted, in the first tally. */
static int count_all(struct training *r)
{
    int threads = crew_threads(r->crew);
    r->tally = calloc((size_t)threads, sizeof *r->tally);
    FAIL_IF(!r->tally, E_MEMORY, "no memory to count pieces of text");
    TRY(documents_each(r->texts, NULL, apart, read_document, r));
    TRY(crew_finish(r->crew));
    for (int i = 1; i < threads; i++) {
        TRY(tally_merge(&r->tally[0], &r->tally[i]));
        tally_free(&r->tally[i]);
    }
    r->done.kinds = r->tally[0].n;
    for (size_t i = 0; i < r->tally[0].n; i++) r->done.pieces += r->tally[0].piece[i].count;
    FAIL_IF(!r->done.kinds, E_DATA, "%s: no text in it", r->o->inputs[0]);
    return 0;
}

/* ---- the tokenizer ---- */

static int take_specials(struct training *r)
{
    const struct tokenizer_training *o = r->o;
    struct tokens list = { .at = take_array(&r->t->memory, (size_t)o->n_specials, sizeof *list.at) };
    r->parts.added.at = take_array(&r->t->memory, (size_t)o->n_specials, sizeof *list.at);
    FAIL_IF(!list.at || !r->parts.added.at, E_MEMORY, "no memory for special tokens");
    for (int i = 0; i < o->n_specials; i++) {
        const char *bytes = arena_copy(&r->t->memory, o->specials[i]);
        FAIL_IF(!bytes, E_MEMORY, "no memory for special tokens");
        FAIL_IF(!*bytes, E_USAGE, "a special token must not be empty");
        for (int k = 0; k < i; k++) FAIL_IF(!strcmp(bytes, o->specials[k]), E_USAGE, "the special token %s is given twice", bytes);
        list.at[list.n++] = (struct token){ .bytes = bytes, .size = (uint32_t)strlen(bytes), .id = (uint32_t)i, .flags = TOKEN_ADDED | TOKEN_SPECIAL };
    }
    memcpy(r->parts.added.at, list.at, list.n * sizeof *list.at);
    r->parts.added.n = list.n;
    added_build(&r->specials, list);
    return 0;
}

static int take_rules(struct training *r)
{
    const struct tokenizer_training *o = r->o;
    r->parts.kind = MODEL_BYTES;
    if (strcmp(o->regex, "none")) {
        FAIL_IF(!split_named(o->regex, &r->parts.stage[0].pattern), E_USAGE, "regex is %s; it must be gpt2, llama3, qwen2, nanochat, cl100k, o200k or none", o->regex);
        r->parts.stages = 1;
    }
    FAIL_IF(o->vocab < 256 + o->n_specials || o->vocab > MAX_IDS, E_USAGE, "vocab is %lld; it must have room for 256 bytes and %d special tokens, and be at most %d", (long long)o->vocab, o->n_specials, MAX_IDS);
    TRY(take_specials(r));
    return split_open(&r->splitter, r->parts.stage, r->parts.stages);
}

/* Bytes, merges, special tokens. */
static int make(struct training *r)
{
    const struct learnt *l = &r->learnt;
    struct tokens *model = &r->parts.model;
    struct arena *memory = &r->t->memory;
    struct merges merges = { take_array(memory, l->n, sizeof *merges.at), l->n };
    model->at = take_array(memory, l->tokens.n, sizeof *model->at);
    for (; model->at && model->n < l->tokens.n; model->n++) {
        const struct counted *c = &l->tokens.piece[model->n];
        char *bytes = arena_take(memory, c->size + (size_t)1);
        if (!bytes) break;
        memcpy(bytes, l->tokens.bytes + c->at, c->size);
        model->at[model->n] = (struct token){ .bytes = bytes, .size = c->size, .id = (uint32_t)model->n };
    }
    FAIL_IF(memory->failed || !merges.at || !model->at, E_MEMORY, "no memory for %zu tokens", l->tokens.n);
    memcpy(merges.at, l->merge, l->n * sizeof *merges.at);
    for (size_t i = 0; i < r->parts.added.n; i++) r->parts.added.at[i].id += (uint32_t)model->n;
    TRY(tokenizer_vocabulary(r->t, &r->parts, "the new tokenizer"));
    TRY(tokenizer_merges(r->t, &r->parts, merges, "the new tokenizer"));
    tokenizer_ready(r->t);
    if (r->t->end < 0 && r->parts.added.n) r->t->end = r->parts.added.at[0].id;
    return 0;
}

static int run(struct training *r)
{
    const struct tokenizer_training *o = r->o;
    const struct crew_task task = { apart, count_part, NULL, r };
    TRY(tokenizer_new(&r->t));
    TRY(take_rules(r));
    TRY(documents_open(&r->texts, o->inputs, o->n, o->field, o->notices));
    TRY(crew_open(&r->crew, &task, o->threads));
    TRY(count_all(r));
    struct learning l = { r->tally, (size_t)(o->vocab - o->n_specials), (uint64_t)o->least, o->merging, o->context };
    TRY(learn(&r->learnt, &l));
    return make(r);
}

int tokenizer_train(struct tokenizer **t, const struct tokenizer_training *o, struct tokenizer_trained *done)
{
    struct training r = { .o = o };
    int failed = run(&r);
    for (int i = 0; r.tally && i < crew_threads(r.crew); i++) tally_free(&r.tally[i]);
    free(r.tally);
    learnt_free(&r.learnt);
    crew_close(r.crew);
    documents_close(r.texts);
    split_close(r.splitter);
    if (failed) tokenizer_free(r.t);
    else *t = r.t, *done = r.done;
    return failed;
}
