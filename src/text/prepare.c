/* prepare.c -- two passes over the texts: the first counts documents and characters and finds what is wrong with them, the
 * second encodes.  So a share of the documents can be cut off without holding them, and nothing is written of texts that
 * cannot be read to their end. */
#include "text/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/documents.h"
#include "text/token_files.h"
#include "text/utf8.h"

struct preparation {
    const struct prepare_options *o;
    struct documents *texts[2];          /* by enum split; SPLIT_VAL may be NULL: then the end of the others validates, */
    double share;                        /* this much of it */
    enum split split;                    /* whose documents are being visited */
    uint64_t found[2];                   /* documents of each, by the first pass */
    uint64_t train, encoded;             /* so many documents train, those behind them validate; so many are encoded */
    uint64_t read, all;                  /* bytes read so far, and in both passes together, for progress */
    uint8_t *characters;                 /* for a vocabulary of characters: one bit a code point; else NULL */
    struct tokenizer *tokenizer;
    struct token_files files;
    struct ids ids;                      /* of one document */
    struct prepared done;
};

static int pass(struct preparation *p, int (*visit)(void *context, const struct document *doc))
{
    for (p->split = SPLIT_TRAIN; p->split <= SPLIT_VAL; p->split++) {
        if (!p->texts[p->split]) continue;
        TRY(documents_each(p->texts[p->split], visit, p));
        p->read += documents_size(p->texts[p->split]);
    }
    return 0;
}

static void report(const struct preparation *p, const struct document *doc)
{
    if (p->o->progress) p->o->progress(p->o->context, p->read + doc->read, p->all);
}

/* ---- the first pass ---- */

static int find_characters(uint8_t *characters, const struct document *doc)
{
    size_t at = utf8_mark(characters, doc->text, doc->n);
    FAIL_IF(at < doc->n && doc->text[at], E_DATA, "byte %zu (0x%02x) is not UTF-8; convert the text, or choose a tokenizer of bytes such as gpt2",
            at, (unsigned char)doc->text[at]);
    FAIL_IF(at < doc->n, E_DATA, "byte %zu is 0, which is no character; remove it, or choose a tokenizer of bytes such as gpt2", at);
    return 0;
}

static int look_at(void *context, const struct document *doc)
{
    struct preparation *p = context;
    int failed = p->characters ? find_characters(p->characters, doc) : 0;
    if (failed) return document_error(failed, doc);
    p->found[p->split]++;
    p->done.documents++;
    p->done.bytes += doc->n;
    report(p, doc);
    return 0;
}

/* Rounded as nanoGPT does: int(n * 0.9).  1 - 0.1 is the same double as 0.9. */
static uint64_t train_of(const struct preparation *p, uint64_t n)
{
    return (uint64_t)((double)n * (1 - p->share));
}

/* At least one document on either side, however small the share. */
static int share_documents(struct preparation *p)
{
    uint64_t n = p->train = p->found[SPLIT_TRAIN];
    FAIL_IF(n == 0, E_DATA, "%s: no text in it", p->o->inputs[0]);
    FAIL_IF(p->texts[SPLIT_VAL] && !p->found[SPLIT_VAL], E_DATA, "%s: no text in it", p->o->val);
    if (p->texts[SPLIT_VAL] || documents_are_one(p->texts[SPLIT_TRAIN])) return 0;
    FAIL_IF(n == 1, E_DATA, "%s: one document cannot both train and validate; give another text with --val FILE", p->o->inputs[0]);
    p->train = train_of(p, n);
    if (p->train == n) p->train--;
    if (p->train == 0) p->train = 1;
    return 0;
}

/* ---- the second pass ---- */

/* Bytes from .. end - 1 of a document.  What looks like a special token in it is text (nanoGPT: encode_ordinary): only nib
 * itself says where a document ends. */
static int add(struct preparation *p, enum split s, const struct document *doc, size_t from, size_t end)
{
    p->ids.n = 0;
    int failed = tokenizer_encode(p->tokenizer, doc->text + from, end - from, SPECIALS_AS_TEXT, &p->ids);
    if (failed && from) failed = error_prefix(failed, "counted from byte %zu", from);
    if (failed) return document_error(failed, doc);
    return token_files_add(&p->files, s, p->ids.at, p->ids.n);
}

/* Where character number `n` begins; what is not UTF-8 counts as the U+FFFD that would be shown for it. */
static size_t place_of(const struct document *doc, uint64_t n)
{
    size_t at = 0, size;
    for (; at < doc->n && n > 0; at += size, n--) utf8_next(doc->text + at, doc->n - at, &size);
    return at;
}

static uint64_t count_characters(const struct document *doc)
{
    uint64_t n = 0;
    for (size_t at = 0, size; at < doc->n; at += size, n++) utf8_next(doc->text + at, doc->n - at, &size);
    return n;
}

/* One text, cut by characters.  Each part is encoded by itself, so that no token stands across the cut. */
static int cut(struct preparation *p, const struct document *doc)
{
    uint64_t n = count_characters(doc), train = train_of(p, n);
    FAIL_IF(train == 0 || train == n, E_DATA, "%s: too short to be cut into train and val", doc->path);
    size_t at = place_of(doc, train);
    TRY(add(p, SPLIT_TRAIN, doc, 0, at));
    return add(p, SPLIT_VAL, doc, at, doc->n);
}

static int close_document(struct preparation *p, enum split s)
{
    int64_t end = tokenizer_end(p->tokenizer);
    return end < 0 ? 0 : token_files_add(&p->files, s, &(uint32_t){ (uint32_t)end }, 1);
}

static int encode(void *context, const struct document *doc)
{
    struct preparation *p = context;
    int is_one = documents_are_one(p->texts[p->split]);
    enum split s = p->encoded++ < p->train ? SPLIT_TRAIN : SPLIT_VAL;
    if (is_one && !p->texts[SPLIT_VAL]) TRY(cut(p, doc));
    else TRY(add(p, s, doc, 0, doc->n));
    if (!is_one) TRY(close_document(p, s));
    report(p, doc);
    return 0;
}

/* ---- all of it.  What can go wrong soon goes first: names of files, the tokenizer, the folder to write ---- */

/* A number is a share, and everything else names a file. */
static int open_validation(struct preparation *p)
{
    char *end;
    p->share = strtod(p->o->val, &end);
    if (end == p->o->val || *end) return documents_open(&p->texts[SPLIT_VAL], &p->o->val, 1, p->o->field, p->o->notices);
    FAIL_IF(!(p->share > 0 && p->share < 1), E_USAGE, "val is %s; it must be a share between 0 and 1, or a file", p->o->val);
    return 0;
}

static int open_texts(struct preparation *p)
{
    TRY(documents_open(&p->texts[SPLIT_TRAIN], p->o->inputs, p->o->n, p->o->field, p->o->notices));
    TRY(open_validation(p));
    for (int s = 0; s < 2; s++)
        if (p->texts[s]) p->all += 2 * documents_size(p->texts[s]);
    return 0;
}

static int start_tokenizer(struct preparation *p)
{
    if (strcmp(p->o->tokenizer, "char")) return tokenizer_find(&p->tokenizer, p->o->tokenizer, p->o->out);
    p->characters = calloc(UTF8_POINTS / 8, 1);
    FAIL_IF(!p->characters, E_MEMORY, "no memory to count characters");
    return 0;
}

static int write_files(struct preparation *p)
{
    TRY(pass(p, look_at));
    TRY(share_documents(p));
    if (p->characters) TRY(tokenizer_of_marked(&p->tokenizer, p->characters));
    token_files_use(&p->files, p->tokenizer);
    TRY(pass(p, encode));
    return token_files_commit(&p->files, p->tokenizer);
}

static int run(struct preparation *p)
{
    TRY(open_texts(p));
    TRY(start_tokenizer(p));
    TRY(token_files_create(&p->files, p->o->out));
    int failed = write_files(p);
    token_files_discard(&p->files);
    if (!failed && p->files.set.width == 4 && p->o->notices)
        text_format(p->o->notices, "the vocabulary of %lld needs ids of 32 bits, which nanoGPT does not read\n",
                    (long long)p->files.set.vocab);
    return failed;
}

int prepare(const struct prepare_options *o, struct prepared *done)
{
    struct preparation p = { .o = o };
    int failed = run(&p);
    p.done.train = p.files.n[SPLIT_TRAIN];
    p.done.val = p.files.n[SPLIT_VAL];
    p.done.vocab = p.files.set.vocab;
    if (!failed) *done = p.done;
    tokenizer_free(p.tokenizer);
    documents_close(p.texts[SPLIT_TRAIN]);
    documents_close(p.texts[SPLIT_VAL]);
    free(p.characters);
    ids_free(&p.ids);
    return failed;
}
