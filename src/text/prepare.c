/* prepare.c -- two passes over the texts: the first counts documents and characters and finds what is wrong with them, the
 * second encodes.  So a share of the documents can be cut off without holding them, and nothing is written of texts that
 * cannot be read to their end.
 *
 * How far the second has come is known part by part: which part of which text, and how many of its ids are written.  The ids do not
 * depend on where reading begins, so a preparation that was killed begins at the part that its last complete shard ends in, and
 * leaves out the ids that are in it. */
#include "text/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/unfinished.h"
#include "token/encoders.h"

struct preparation {
    const struct prepare_options *o;
    struct documents *texts[2];          /* by enum split; SPLIT_VAL may be NULL: then the end of the others validates, */
    double share;                        /* this much of it */
    struct unfinished now;               /* what the first pass found, and the part that is being written */
    uint64_t skip;                       /* of its ids so many are in complete shards of an earlier run, */
    enum split first; struct place from; /* which came so far */
    uint64_t characters_read, cut_at;    /* of one text: so many characters were encoded, train */
    uint64_t train;                      /* so many documents train (of one text, its first part), those behind them validate */
    size_t recorded;                     /* complete shards that the record knows */
    uint64_t read, all;                  /* bytes read so far, and in both passes together, for progress */
    uint8_t *characters;                 /* for a vocabulary of characters: one bit a code point; else NULL */
    struct tokenizer *tokenizer;
    struct token_files files;
    struct encoders *encoders;
};

static int pass(struct preparation *p, enum split s, const struct place *from, documents_apart *apart, int (*visit)(void *context, const struct document *doc))
{
    p->now.texts = s;
    TRY(documents_each(p->texts[s], from, apart, visit, p));
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
            (unsigned long long)(doc->at.byte + at), (unsigned char)doc->text[at]);
    FAIL_IF(at < doc->n, E_DATA, "byte %llu is 0, which is no character; remove it, or choose a tokenizer of bytes such as gpt2", (unsigned long long)(doc->at.byte + at));
    return 0;
}

static int look_at(void *context, const struct document *doc)
{
    struct preparation *p = context;
    int failed = p->characters ? find_characters(p->characters, doc) : 0;
    if (failed) return document_error(failed, doc);
    if (is_cut(p)) p->now.found.characters += utf8_count(doc->text, doc->n);
    p->now.found.documents[p->now.texts] += !doc->more;
    p->now.found.bytes += doc->n;
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
    uint64_t n = p->train = p->now.found.documents[SPLIT_TRAIN];
    FAIL_IF(n == 0, E_DATA, "%s: no text in it", p->o->inputs[0]);
    FAIL_IF(p->texts[SPLIT_VAL] && !p->now.found.documents[SPLIT_VAL], E_DATA, "%s: no text in it", p->o->val);
    p->cut_at = train_of(p, p->now.found.characters);
    FAIL_IF(is_cut(p) && (p->cut_at == 0 || p->cut_at == p->now.found.characters), E_DATA, "%s: too short to be cut into train and val", p->o->inputs[0]);
    if (p->texts[SPLIT_VAL] || is_cut(p)) return 0;
    FAIL_IF(n == 1, E_DATA, "%s: one document cannot both train and validate; give another text with --val FILE", p->o->inputs[0]);
    p->train = train_of(p, n);
    if (p->train == n) p->train--;
    if (p->train == 0) p->train = 1;
    return 0;
}

/* ---- the second pass ---- */

static size_t apart(void *context, const char *text, size_t n, size_t most) { return tokenizer_apart(((const struct preparation *)context)->tokenizer, text, n, most); }

static size_t complete_shards(const struct preparation *p) { return p->files.set.split[SPLIT_TRAIN].shards + p->files.set.split[SPLIT_VAL].shards; }

/* Each shard that is complete is recorded.  What is behind the last one is in the shard that is begun. */
static int record(struct preparation *p)
{
    size_t complete = complete_shards(p);
    if (complete == p->recorded) return 0;
    if (p->characters && !p->recorded) TRY(tokenizer_save(p->tokenizer, p->files.unfinished));
    p->recorded = complete;
    p->files.keep = 1;
    struct unfinished now = p->now;
    now.ids -= p->files.n;
    return unfinished_write(&now, &p->files);
}

static int write_ids(struct preparation *p, enum split s, const uint32_t *ids, size_t n)
{
    size_t known = n < p->skip ? n : (size_t)p->skip;
    p->skip -= known;
    p->now.ids += n;
    if (known < n) TRY(token_files_add(&p->files, s, ids + known, n - known));
    return record(p);
}

/* What the tokenizer's file puts around a text by itself, and the end-of-text token unless that is the last of it. */
static int write_around(struct preparation *p, enum split s, int behind)
{
    size_t n;
    const uint32_t *ids = tokenizer_template(p->tokenizer, behind, &n);
    int64_t end = tokenizer_end(p->tokenizer);
    TRY(write_ids(p, s, ids, n));
    return behind && end >= 0 && !(n && ids[n - 1] == end) ? write_ids(p, s, &(uint32_t){ (uint32_t)end }, 1) : 0;
}

/* Of one text any part can be read again by itself, of lines whole ones. */
static int write_part(void *context, const struct part *part, const struct ids *ids)
{
    struct preparation *p = context;
    enum split s = p->now.before.documents < p->train ? SPLIT_TRAIN : SPLIT_VAL;
    int is_document = !documents_are_one(p->texts[p->now.texts]);
    if (!part->doc.at.line || !part->doc.at.byte) p->now.at = part->doc.at, p->now.ids = 0;
    if (is_document && !part->doc.at.byte) TRY(write_around(p, s, 0));
    TRY(write_ids(p, s, ids->at, ids->n));
    if (is_document && part->last) TRY(write_around(p, s, 1));
    if (is_cut(p)) p->now.before.characters += utf8_count(part->doc.text, part->doc.n);
    p->now.before.documents += (uint64_t)part->last;
    return 0;
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
    part.at.byte += part.n;
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
    TRY(encoders_open(&p->encoders, p->tokenizer, SPECIALS_AS_TEXT, (int)p->o->threads, p->now.found.bytes));
    encoders_hand_to(p->encoders, write_part, p);
    for (enum split s = p->first; s <= SPLIT_VAL; s++) {
        if (!p->texts[s]) continue;
        TRY(pass(p, s, s == p->first ? &p->from : NULL, apart, encode));
        TRY(encoders_finish(p->encoders));
    }
    p->now.done = 1;
    TRY(token_files_complete(&p->files));
    return record(p);
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

/* ---- going on ---- */

static void sum_job(struct preparation *p)
{
    struct sha256 sum;
    const char *const texts[] = { p->characters ? "char" : tokenizer_fingerprint(p->tokenizer), p->o->field ? p->o->field : "", p->o->val };
    sha256_start(&sum);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) sha256_add(&sum, texts[i], strlen(texts[i]) + 1);
    sha256_add(&sum, &p->files.shard_size, sizeof p->files.shard_size);
    sha256_add(&sum, &p->o->format, sizeof p->o->format);
    for (int s = 0; s < 2; s++)
        if (p->texts[s]) documents_sum(p->texts[s], &sum);
    sha256_end(&sum, p->now.job);
}

/* A vocabulary of characters is known when all the text was seen; an earlier run kept it. */
static int read_unfinished(struct preparation *p, int *is)
{
    int kept = 0;
    if (p->characters) TRY(tokenizer_look(p->files.unfinished, &kept));
    if (kept && tokenizer_open(&p->tokenizer, p->files.unfinished)) return 0;
    if (!p->tokenizer) return 0;
    token_files_use(&p->files, p->tokenizer);
    return unfinished_read(&p->now, &p->files, is);
}

/* Behind what an earlier run completed, or from the beginning. */
static int go_on(struct preparation *p, int *is)
{
    *is = 0;
    sum_job(p);
    TRY(read_unfinished(p, is));
    if (!*is && p->characters) {
        tokenizer_free(p->tokenizer);
        p->tokenizer = NULL;
    }
    if (!*is) return token_files_clear(&p->files);
    p->first = p->now.texts;
    p->from = p->now.at;
    p->skip = p->now.ids;
    p->characters_read = p->now.before.characters;
    p->recorded = complete_shards(p);
    if (p->o->notices) text_format(p->o->notices, "went on behind %zu shards that an earlier run completed\n", p->recorded);
    return 0;
}

static int look_at_all(struct preparation *p)
{
    for (enum split s = SPLIT_TRAIN; s <= SPLIT_VAL; s++)
        if (p->texts[s]) TRY(pass(p, s, NULL, documents_between, look_at));
    return 0;
}

static int write_files(struct preparation *p)
{
    int is;
    TRY(go_on(p, &is));
    if (!is) TRY(look_at_all(p));
    TRY(share_documents(p));
    if (!p->tokenizer) TRY(tokenizer_of_marked(&p->tokenizer, p->characters));
    token_files_use(&p->files, p->tokenizer);
    if (!p->now.done) TRY(encode_all(p));
    return token_files_commit(&p->files, p->tokenizer);
}

static void tell_done(const struct preparation *p, struct prepared *done)
{
    *done = (struct prepared){ .train = token_files_all(&p->files, SPLIT_TRAIN), .val = token_files_all(&p->files, SPLIT_VAL),
                               .documents = p->now.found.documents[SPLIT_TRAIN] + p->now.found.documents[SPLIT_VAL], .bytes = p->now.found.bytes, .vocab = p->files.set.vocab };
    if (p->files.set.width == 4 && p->o->format == TOKENS_NANOGPT && p->o->notices)
        text_format(p->o->notices, "the vocabulary of %lld needs ids of 32 bits, which nanoGPT does not read\n", (long long)p->files.set.vocab);
}

static int run(struct preparation *p, struct prepared *done)
{
    TRY(open_texts(p));
    TRY(start_tokenizer(p));
    TRY(token_files_create(&p->files, p->o->out, p->o->format, p->o->shard_size));
    int failed = write_files(p);
    if (!failed) tell_done(p, done);
    else if (p->files.keep && p->o->notices) text_format(p->o->notices, "complete shards are kept in %s; the same nib data goes on behind them\n", p->files.unfinished);
    token_files_discard(&p->files);
    return failed;
}

int prepare(const struct prepare_options *o, struct prepared *done)
{
    struct preparation p = { .o = o };
    int failed = run(&p, done);
    tokenizer_free(p.tokenizer);
    documents_close(p.texts[SPLIT_TRAIN]);
    documents_close(p.texts[SPLIT_VAL]);
    free(p.characters);
    encoders_close(p.encoders);
    return failed;
}
