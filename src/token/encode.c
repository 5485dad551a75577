/* encode.c -- text to ids: added tokens first, then pieces, then merges.
 *
 * Words repeat, so an encoder keeps what short pieces became.  A place holds one piece; pieces of the same place only evict
 * each other, so no text can make it slow. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/wraps.h"
#include "token/bert.h"
#include "token/encoders.h"
#include "token/tokenizer_core.h"

/* ---- what pieces became ---- */

enum { KNOWN_SIZE = 15, KNOWN_IDS = 4 };                     /* bytes and ids of a piece that is kept */
enum { LEAST_BITS = 6, MOST_BITS = 14 };                     /* of the table, by the text that is expected */

/* 32 bytes.  The piece, zeros behind it, and its size are one key of 16 bytes; all zeros: nothing is kept here.  Two of them
 * share a place, a line of the caches, the one that was used last in front. */
struct known { struct key { uint64_t low, high; } key; uint32_t id[KNOWN_IDS]; };
enum { ID_BITS = 24 };                                       /* the number of ids is in the highest byte of the first */
_Static_assert(MAX_IDS <= 1 << ID_BITS && sizeof(struct known) == 32, "the number of ids has a byte of its own");

struct encoder {
    const struct tokenizer *t;
    enum specials specials;
    struct charbpe_work work;            /* of BPE, */
    struct unigram_work best;            /* of Unigram */
    struct known *known;
    int bits;                            /* 2^bits places, of two each */
    const char *text, *end;              /* the whole that is being encoded, */
    uint64_t from;                       /* and where it begins in a larger one: messages count from there */
    int fresh;                           /* nothing of the text is encoded yet */
    struct text normal, late;            /* what becomes of a stretch between added tokens */
    struct ids *out;
};

/* The key of a piece of 1 .. KNOWN_SIZE bytes.  Where the text goes on far enough, what lies behind the piece is read with it. */
static inline struct key key_of(const struct encoder *e, const char *piece, size_t n)
{
    struct key k = { 0 };
    if (e->end - piece >= (ptrdiff_t)sizeof k) memcpy(&k, piece, sizeof k);
    else memcpy(&k, piece, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    k = (struct key){ __builtin_bswap64(k.low), __builtin_bswap64(k.high) };
#endif
    k.low &= n < 8 ? ((uint64_t)1 << 8 * n) - 1 : UINT64_MAX;
    k.high &= n > 8 ? ((uint64_t)1 << 8 * (n - 8)) - 1 : 0;
    k.high |= (uint64_t)n << 56;
    return k;
}

static inline int same(struct key a, struct key b) { return a.low == b.low && a.high == b.high; }

WRAPS static inline struct known *place_of(const struct encoder *e, struct key k)
{
    uint64_t mixed = (k.low * 0x9e3779b97f4a7c15u ^ k.high) * 0xd6e8feb86659fd93u;
    return &e->known[2 * ((mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15u >> (64 - e->bits))];
}

static void keep(struct known *place, struct key k, const uint32_t *id, size_t n)
{
    if (n > KNOWN_IDS) return;
    place[1] = place[0];
    *place = (struct known){ .key = k };
    memcpy(place->id, id, n * sizeof *id);
    place->id[0] |= (uint32_t)n << ID_BITS;
}

static int encode_anew(struct encoder *e, const char *piece, size_t n, struct ids *out)
{
    const struct tokenizer *t = e->t;
    switch (t->kind) {
    case MODEL_CHARBPE: return charbpe_encode(&t->charbpe, &e->work, piece, n, out);
    case MODEL_WORDPIECE: return bert_is_space(piece, n) ? 0 : wordpiece_encode(&t->wordpiece, piece, n, out);
    case MODEL_UNIGRAM: return unigram_encode(&t->unigram, &e->best, piece, n, out);
    default: return bpe_encode(&t->bpe, &e->work.bpe, piece, n, out);
    }
}

static int encode_piece(void *context, const char *piece, size_t n)
{
    struct encoder *e = context;
    struct ids *out = e->out;
    if (n > KNOWN_SIZE) return encode_anew(e, piece, n, out);
    struct key k = key_of(e, piece, n);
    struct known *place = place_of(e, k);
    if (!same(place->key, k) && same(place[1].key, k)) {
        struct known last = place[1];
        place[1] = place[0];
        place[0] = last;
    }
    if (same(place->key, k)) {
        if (out->n + KNOWN_IDS > out->room) TRY(ids_reserve(out, KNOWN_IDS));
        memcpy(out->at + out->n, place->id, sizeof place->id);
        out->at[out->n] &= (1u << ID_BITS) - 1;
        out->n += place->id[0] >> ID_BITS;
        return 0;
    }
    if (!out->at) TRY(ids_reserve(out, KNOWN_IDS));          /* white space may add none */
    size_t before = out->n;
    TRY(encode_anew(e, piece, n, out));
    keep(place, k, out->at + before, out->n - before);
    return 0;
}

/* ---- text ---- */

/* Pieces of a model that says itself where no token goes across. */
static int encode_words(void *context, const char *text, size_t n)
{
    struct encoder *e = context;
    for (size_t at = 0, end; at < n; at = end) {
        end = charbpe_piece(&e->t->charbpe, text, n, at);
        TRY(encode_piece(e, text + at, end - at));
    }
    return 0;
}

/* The text that was made takes the place of the whole: what lies behind a piece is read with it. */
static void look_into(struct encoder *e, const struct text *made)
{
    e->text = made->at;
    e->end = made->at + made->size;
}

static int encode_plain(struct encoder *e, const char *text, size_t n)
{
    const struct tokenizer *t = e->t;
    if (t->kind == MODEL_CHARACTERS) return chars_encode(t->chars, text, n, e->from + (size_t)(text - e->text), e->out);
    int is_front = e->fresh ? !e->from : !t->late_once;
    e->fresh = 0;
    if (t->late.n) {
        text_clear(&e->late);
        TRY(normal_apply(&t->late, is_front, text, n, &e->late));
        look_into(e, &e->late);
        text = e->late.at;
        n = e->late.size;
    }
    return split_text(t->splitter, text, n, t->kind == MODEL_CHARBPE ? encode_words : encode_piece, e);
}

/* What lies between the added tokens of one list is searched for those of the next.  A special token that is to be encoded
 * like any text hides those of its list that begin within it, as in Hugging Face's library. */
static int encode_from(struct encoder *e, int list, const char *text, size_t n);

/* Plain added tokens are found in the text as it stands, NORMALIZED ones after it was normalized. */
static int encode_normal(struct encoder *e, const char *text, size_t n)
{
    if (!n) return 0;
    if (!e->t->normal.n) return encode_from(e, 1, text, n);
    text_clear(&e->normal);
    TRY(normal_apply(&e->t->normal, !(e->fresh && e->from), text, n, &e->normal));
    look_into(e, &e->normal);
    return encode_from(e, 1, e->normal.at, e->normal.size);
}

/* A stretch between two tokens of a list.  Where texts are made of it, the whole comes back behind it. */
static int encode_rest(struct encoder *e, int list, const char *text, size_t n)
{
    const char *whole = e->text, *end = e->end;
    int failed = list == 0 ? encode_normal(e, text, n) : n ? encode_plain(e, text, n) : 0;
    e->text = whole;
    e->end = end;
    return failed;
}

static int encode_from(struct encoder *e, int list, const char *text, size_t n)
{
    const struct token *token;
    size_t from = 0, at = 0;
    while ((token = added_next(&e->t->added[list], text, n, &at))) {
        size_t end = at + token->size, left = at - added_before(token, text, at);
        FAIL_IF(token->flags & TOKEN_SPECIAL && e->specials == SPECIALS_REFUSED, E_DATA, "byte %llu: the special token %s stands in the text", (unsigned long long)(e->from + (size_t)(text - e->text) + at), token->bytes);
        if (!(token->flags & TOKEN_SPECIAL) || e->specials == SPECIALS_AS_TOKENS) {
            if (left > from) TRY(encode_rest(e, list, text + from, left - from));
            TRY(ids_add(e->out, &token->id, 1));
            e->fresh = 0;
            from = end + added_behind(token, text, n, end);
        }
        at = end;
    }
    return encode_rest(e, list, text + from, n - from);
}

/* ---- an encoder ---- */

int encoder_open(struct encoder **out, const struct tokenizer *t, enum specials s, uint64_t expected)
{
    struct encoder *e = *out = calloc(1, sizeof *e);
    FAIL_IF(!e, E_MEMORY, "no memory to encode");
    e->t = t;
    e->specials = s;
    e->bits = LEAST_BITS;
    while (e->bits < MOST_BITS && (uint64_t)16 << e->bits < expected) e->bits++;
    e->known = calloc((size_t)2 << e->bits, sizeof *e->known);
    if (e->known) return 0;
    free(e);
    *out = NULL;
    FAIL(E_MEMORY, "no memory to encode");
}

static int add(struct encoder *e, const char *text, size_t n, uint64_t from, int fresh, struct ids *out)
{
    size_t before = out->n;
    if (!n) return 0;
    e->text = text;
    e->end = text + n;
    e->from = from;
    e->fresh = fresh;
    e->out = out;
    int failed = encode_from(e, 0, text, n);
    if (failed) out->n = before;
    return failed;
}

int encoder_add(struct encoder *e, const char *text, size_t n, uint64_t from, struct ids *out) { return add(e, text, n, from, 1, out); }
int encoder_add_behind(struct encoder *e, const char *text, size_t n, uint64_t from, struct ids *out) { return add(e, text, n, from, 0, out); }

void encoder_close(struct encoder *e)
{
    if (!e) return;
    charbpe_work_free(&e->work);
    unigram_work_free(&e->best);
    text_free(&e->normal);
    text_free(&e->late);
    free(e->known);
    free(e);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, enum specials s, struct ids *out)
{
    struct encoder *e;
    TRY(encoder_open(&e, t, s, n));
    int failed = encoder_add(e, text, n, 0, out);
    encoder_close(e);
    return failed;
}

int tokenizer_encode_prompt(const struct tokenizer *t, const char *text, size_t n, struct ids *out)
{
    size_t before = out->n, around;
    const uint32_t *ids = tokenizer_template(t, 0, &around);
    TRY(ids_add(out, ids, around));
    TRY(tokenizer_encode(t, text, n, SPECIALS_AS_TOKENS, out));
    int twice = around && out->n - before >= 2 * around && !memcmp(out->at + before, out->at + before + around, around * sizeof *ids);
    if (!twice) return 0;                                    /* else the text says so itself */
    memmove(out->at + before, out->at + before + around, (out->n - before - around) * sizeof *ids);
    out->n -= around;
    return 0;
}

/* ---- by several threads ---- */

size_t tokenizer_apart(const struct tokenizer *t, const char *text, size_t n, size_t most)
{
    if (most >= n) return n;
    switch (t->apart) {
    case APART_NOWHERE: return 0;
    case APART_CHARACTERS: return documents_between(NULL, text, n, most);
    case APART_SPACES: case APART_ASCII_SPACES: return split_at_space(text, n, most, t->apart == APART_ASCII_SPACES);
    default: return split_apart(t->splitter, text, n, most);
    }
}

struct encoders {
    const struct tokenizer *t;
    struct crew *crew;
    struct encoder **of;                 /* one a thread */
    struct ids *out;                     /* where ids go, */
    int (*take)(void *context, const struct part *p, const struct ids *ids); void *context;      /* unless somebody takes them */
};

static size_t apart(void *context, const char *text, size_t n, size_t most) { return tokenizer_apart(((const struct encoders *)context)->t, text, n, most); }

static int encode_part(void *context, int thread, const struct part *p, struct ids *ids)
{
    const struct encoders *e = context;
    int failed = encoder_add(e->of[thread], p->doc.text, p->doc.n, p->doc.at.byte, ids);
    return failed && p->doc.path ? document_error(failed, &p->doc) : failed;
}

static int take_part(void *context, const struct part *p, const struct ids *ids)
{
    const struct encoders *e = context;
    return e->take ? e->take(e->context, p, ids) : ids_add(e->out, ids->at, ids->n);
}

static int open_all(struct encoders *e, enum specials s, int threads, uint64_t expected)
{
    const struct crew_task task = { apart, encode_part, take_part, e };
    TRY(crew_open(&e->crew, &task, threads));
    e->of = calloc((size_t)crew_threads(e->crew), sizeof *e->of);
    FAIL_IF(!e->of, E_MEMORY, "no memory to encode");
    for (int i = 0; i < crew_threads(e->crew); i++) TRY(encoder_open(&e->of[i], e->t, s, expected));
    return 0;
}

int encoders_open(struct encoders **out, const struct tokenizer *t, enum specials s, int threads, uint64_t expected)
{
    struct encoders *e = *out = calloc(1, sizeof *e);
    FAIL_IF(!e, E_MEMORY, "no memory to encode");
    e->t = t;
    int failed = open_all(e, s, threads, expected);
    if (!failed) return 0;
    encoders_close(e);
    *out = NULL;
    return failed;
}

int encoders_add(struct encoders *e, const char *text, size_t n, struct ids *out)
{
    const struct document doc = { .text = text, .n = n };
    size_t before = out->n;
    e->out = out;
    int failed = n ? crew_add(e->crew, &doc) : 0;
    if (!failed) failed = crew_finish(e->crew);
    if (failed) out->n = before;
    return failed;
}

void encoders_hand_to(struct encoders *e, int (*take)(void *context, const struct part *p, const struct ids *ids), void *context)
{
    e->take = take;
    e->context = context;
}

int encoders_document(struct encoders *e, const struct document *doc) { return crew_add(e->crew, doc); }
int encoders_finish(struct encoders *e) { return crew_finish(e->crew); }

void encoders_forget(struct encoders *e)
{
    for (int i = 0; i < crew_threads(e->crew); i++) memset(e->of[i]->known, 0, ((size_t)2 << e->of[i]->bits) * sizeof *e->of[i]->known);
}

void encoders_close(struct encoders *e)
{
    if (!e) return;
    for (int i = 0; e->of && i < crew_threads(e->crew); i++) encoder_close(e->of[i]);
    free(e->of);
    crew_close(e->crew);
    free(e);
}

int tokenizer_encode_by(const struct tokenizer *t, const char *text, size_t n, enum specials s, int threads, struct ids *out)
{
    struct encoders *e;
    TRY(encoders_open(&e, t, s, threads, n));
    int failed = encoders_add(e, text, n, out);
    encoders_close(e);
    return failed;
}
