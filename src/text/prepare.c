/* prepare.c -- two passes over the texts: the first counts documents and characters and finds what is wrong with them, the
 * second encodes.  So a share of the documents can be cut off without holding them, and nothing is written of texts that
 * cannot be read to their end. */
#include "text/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/encoders.h"
#include "text/token_files.h"
#include "text/utf8.h"

struct preparation {
    const struct prepare_options *o;
    struct documents *texts[2];          /* by enum split; SPLIT_VAL may be NULL: then the end of the others validates, */
    double share;                        /* this much of it */
    enum split split;                    /* whose documents are being visited, */
    int closes;                          /* and whether the end-of-text token stands behind each */
    uint64_t found[2];                   /* documents of each, by the first pass */
    uint64_t characters_in, characters_read, cut_at;         /* of one text: so many characters are there, were encoded, train */
    uint64_t train, encoded;             /* so many documents train, those behind them validate; so many are encoded */
    uint64_t read, all;                  /* bytes read so far, and in both passes together, for progress */
    uint8_t *characters;                 /* for a vocabulary of characters: one bit a code point; else NULL */
    struct tokenizer *tokenizer;
    struct token_files files;
    struct encoders *encoders;
    struct prepared done;
};

static int pass(struct preparation *p, enum split s, documents_apart *apart, int (*visit)(void *context, const struct document *doc))
{
    p->split = s;
    TRY(documents_each(p->texts[s], apart, visit, p));
    p->read += documents_size(p->texts[s]);
    return 0;
}

static void report(const struct preparation *p, const struct document *doc)
{
    if (p->o->progress) p->o->progress(p->o->context, p->read + doc->read, p->all);
}

/* Whether there is one text, cut by characters, of which the end validates. */
static int is_cut(const struct preparation *p) { return documents_are_one(p->texts[SPLIT_TRAIN]) && !p->texts[SPLIT_VAL]; }

/* Where character number `n` begins; what is not UTF-8 counts as the U+FFFD that would be shown for it. */
static size_t place_of(const struct document *doc, uint64_t n)
{
    size_t at = 0, size;
    for (; at < doc->n && n > 0; at += size, n--) utf8_next(doc->text + at, doc->n - at, &size);
    return at;
}

/* ---- the first pass ---- */

static int find_characters(uint8_t *characters, const struct document *doc)
{
    size_t at = utf8_mark(characters, doc->text, doc->n);
    FAIL_IF(at < doc->n && doc->text[at], E_DATA, "byte %llu (0x%02x) is not UTF-8; convert the text, or choose a tokenizer of bytes such as gpt2",
            (unsigned long long)(doc->from + at), (unsigned char)doc->text[at]);
    FAIL_IF(at < doc->n, E_DATA, "byte %llu is 0, which is no character; remove it, or choose a tokenizer of bytes such as gpt2", (unsigned long long)(doc->from + at));
    return 0;
}

static int look_at(void *context, const struct document *doc)
{
    struct preparation *p = context;
    int failed = p->characters ? find_characters(p->characters, doc) : 0;
    if (failed) return document_error(failed, doc);
    if (is_cut(p)) p->characters_in += utf8_count(doc->text, doc->n);
    p->found[p->split] += !doc->more;
    p->done.documents += !doc->more;
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
    p->cut_at = train_of(p, p->characters_in);
    FAIL_IF(is_cut(p) && (p->cut_at == 0 || p->cut_at == p->characters_in), E_DATA, "%s: too short to be cut into train and val", p->o->inputs[0]);
    if (p->texts[SPLIT_VAL] || is_cut(p)) return 0;
    FAIL_IF(n == 1, E_DATA, "%s: one document cannot both train and validate; give another text with --val FILE", p->o->inputs[0]);
    p->train = train_of(p, n);
    if (p->train == n) p->train--;
    if (p->train == 0) p->train = 1;
    return 0;
}

/* ---- the second pass ---- */

static size_t apart(void *context, const char *text, size_t n, size_t most) { return tokenizer_apart(((const struct preparation *)context)->tokenizer, text, n, most); }

static int write_part(void *context, const struct part *part, const struct ids *ids)
{
    struct preparation *p = context;
    enum split s = p->encoded < p->train ? SPLIT_TRAIN : SPLIT_VAL;
    int64_t end = p->closes ? tokenizer_end(p->tokenizer) : -1;
    TRY(token_files_add(&p->files, s, ids->at, ids->n));
    if (!part->last) return 0;
    p->encoded++;
    return end < 0 ? 0 : token_files_add(&p->files, s, &(uint32_t){ (uint32_t)end }, 1);
}

/* A stretch of the one text.  What is before the cut and what is behind it are encoded by themselves, so that no token stands across. */
static int cut(struct preparation *p, const struct document *doc)
{
    struct document part = *doc;
    uint64_t before = p->characters_read, n = utf8_count(doc->text, doc->n);
    p->characters_read += n;
    if (before >= p->cut_at || p->characters_read <= p->cut_at) {
        if (p->characters_read == p->cut_at) part.more = 0;
        return encoders_document(p->encoders, &part);
    }
    part.n = place_of(doc, p->cut_at - before);
    part.more = 0;
    TRY(encoders_document(p->encoders, &part));
    part.text += part.n;
    part.from += part.n;
    part.n = doc->n - part.n;
    part.more = doc->more;
    return encoders_document(p->encoders, &part);
}

static int encode(void *context, const struct document *doc)
{
    struct preparation *p = context;
    TRY(is_cut(p) ? cut(p, doc) : encoders_document(p->encoders, doc));
    report(p, doc);
    return 0;
}

/* What looks like a special token in a document is text (nanoGPT: encode_ordinary): only nib itself says where one ends. */
static int encode_all(struct preparation *p)
{
    TRY(encoders_open(&p->encoders, p->tokenizer, SPECIALS_AS_TEXT, (int)p->o->threads, p->done.bytes));
    encoders_hand_to(p->encoders, write_part, p);
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++) {
        if (!p->texts[s]) continue;
        p->closes = !documents_are_one(p->texts[s]);
        TRY(pass(p, s, apart, encode));
        TRY(encoders_finish(p->encoders));
    }
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
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++)
        if (p->texts[s]) TRY(pass(p, s, documents_between, look_at));
    TRY(share_documents(p));
    if (p->characters) TRY(tokenizer_of_marked(&p->tokenizer, p->characters));
    token_files_use(&p->files, p->tokenizer);
    TRY(encode_all(p));
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
    encoders_close(p.encoders);
    return failed;
}
