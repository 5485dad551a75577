/* tokenizer.c -- what all tokenizers do, whatever file they come from. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "text/tokenizer_core.h"

/* ---- ids ---- */

int ids_reserve(struct ids *ids, size_t more)
{
    size_t need, room = ids->room ? ids->room : 64;
    int fits = size_add(ids->n, more, &need) && need <= SIZE_MAX / 2 / sizeof *ids->at;       /* room is less than twice of it */
    if (fits && need <= ids->room) return 0;
    while (fits && room < need) room *= 2;
    uint32_t *at = fits ? realloc(ids->at, room * sizeof *at) : NULL;
    FAIL_IF(!at, E_MEMORY, "no memory for %zu more ids after %zu", more, ids->n);
    ids->at = at;
    ids->room = room;
    return 0;
}

int ids_add(struct ids *ids, const uint32_t *more, size_t n)
{
    TRY(ids_reserve(ids, n));
    if (n) memcpy(ids->at + ids->n, more, n * sizeof *more);
    ids->n += n;
    return 0;
}

void ids_free(struct ids *ids)
{
    free(ids->at);
    *ids = (struct ids){ 0 };
}

/* ---- made of parts ---- */

int tokenizer_new(struct tokenizer **t)
{
    *t = calloc(1, sizeof **t);
    FAIL_IF(!*t, E_MEMORY, "no memory for a tokenizer");
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    split_close(t->splitter);
    arena_free(&t->memory);
    free(t);
}

/* Plain added tokens and NORMALIZED ones are found one after the other, so each kind has a list. */
static int list_added(struct tokenizer *t, struct tokens all, int list)
{
    struct tokens own = { .at = take_array(&t->memory, all.n, sizeof *own.at) };
    FAIL_IF(!own.at, E_MEMORY, "no memory for %zu added tokens", all.n);
    for (size_t i = 0; i < all.n; i++)
        if (!(all.at[i].flags & TOKEN_NORMALIZED) == !list) own.at[own.n++] = all.at[i];
    added_build(&t->added[list], own);
    return 0;
}

int tokenizer_vocabulary(struct tokenizer *t, const struct parts *p, const char *what)
{
    TRY(vocab_build(&t->vocab, &t->memory, p->model, p->added, what));
    for (int list = 0; list < ADDED_LISTS; list++) TRY(list_added(t, p->added, list));
    t->is_bytes = p->is_bytes;
    t->normal = p->normal;
    if (t->is_bytes) return split_open(&t->splitter, p->stage, p->stages);
    return chars_build(&t->chars, &t->memory, &t->vocab, what);
}

int tokenizer_merges(struct tokenizer *t, const struct parts *p, struct merges merges, const char *what)
{
    TRY(bpe_build(&t->bpe, &t->memory, &t->vocab, merges, p->by_rank, what));
    t->bpe.whole_first = p->whole_first;
    return 0;
}

int64_t tokenizer_added(const struct tokenizer *t, const char *content)
{
    for (int list = 0; list < ADDED_LISTS; list++) {
        const struct token *token = tokens_find(t->added[list].list, content, strlen(content));
        if (token) return token->id;
    }
    return -1;
}

/* ---- the fingerprint ---- */

static void hash_number(struct sha256 *s, uint32_t x)        /* the same on machines of either byte order */
{
    unsigned char bytes[4] = { (unsigned char)x, (unsigned char)(x >> 8), (unsigned char)(x >> 16), (unsigned char)(x >> 24) };
    sha256_add(s, bytes, sizeof bytes);
}

/* All that decides about ids: tokens, which of them are found in the text as they stand, merges, where text is cut.  Each list has
 * its length before it or follows from what came before, so no two tokenizers give the same bytes to hash. */
static void take_fingerprint(struct tokenizer *t)
{
    const struct vocab *v = &t->vocab;
    const struct split_stage *stage = NULL;
    int stages = t->splitter ? split_stages(t->splitter, &stage) : 0;
    char hex[65];
    struct sha256 s;
    sha256_start(&s);
    hash_number(&s, (uint32_t)t->is_bytes);
    hash_number(&s, v->n);
    for (uint32_t id = 0; id < v->n; id++) {
        hash_number(&s, v->at[id].size);
        hash_number(&s, v->at[id].flags & (TOKEN_ADDED | TOKEN_SPECIAL));
        sha256_add(&s, v->at[id].bytes ? v->at[id].bytes : "", v->at[id].size);
    }
    hash_number(&s, (uint32_t)t->bpe.merges.n);
    for (size_t i = 0; i < t->bpe.merges.n; i++) {
        hash_number(&s, t->bpe.merges.at[i].left);
        hash_number(&s, t->bpe.merges.at[i].right);
    }
    hash_number(&s, (uint32_t)stages);
    for (int i = 0; i < stages; i++) {
        const char *regex = stage[i].regex ? stage[i].regex : "";
        hash_number(&s, (uint32_t)stage[i].pattern);
        if (*regex) hash_number(&s, (uint32_t)strlen(regex));
        sha256_add(&s, regex, strlen(regex));
    }
    for (int i = 0; i < t->normal.n; i++) hash_number(&s, (uint32_t)t->normal.step[i]);
    hash_number(&s, (uint32_t)(t->bpe.whole_first | t->bpe.by_rank << 1));
    sha256_end(&s, hex);
    memcpy(t->fingerprint, hex, sizeof t->fingerprint - 1);
}

void tokenizer_ready(struct tokenizer *t)
{
    t->end = tokenizer_added(t, END_OF_TEXT);
    take_fingerprint(t);
}

/* ---- what it is ---- */

uint32_t tokenizer_vocab(const struct tokenizer *t) { return t->vocab.n; }
int64_t tokenizer_end(const struct tokenizer *t) { return t->end; }
int tokenizer_is_bytes(const struct tokenizer *t) { return t->is_bytes; }
const char *tokenizer_fingerprint(const struct tokenizer *t) { return t->fingerprint; }

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n)
{
    const struct token *token = id < t->vocab.n ? &t->vocab.at[id] : NULL;
    *n = token ? token->size : 0;
    return *n ? token->bytes : "";
}

int tokenizer_of_marked(struct tokenizer **out, const uint8_t *seen)
{
    struct tokenizer *t;
    struct parts p = { 0 };
    TRY(tokenizer_new(&t));
    int failed = chars_of(&p.model, &t->memory, seen);
    if (!failed) failed = tokenizer_vocabulary(t, &p, "the characters of a text");
    if (failed) {
        tokenizer_free(t);
        return failed;
    }
    tokenizer_ready(t);
    *out = t;
    return 0;
}

/* ---- for people ---- */

static void describe_cuts(const struct tokenizer *t, struct text *out)
{
    const struct split_stage *stage;
    int n = split_stages(t->splitter, &stage);
    text_add(out, n ? "text is cut" : "text is not cut before merging");
    for (int i = 0; i < n; i++) {
        const char *name = split_name(stage[i].pattern);
        text_add(out, i ? ", then " : " ");
        if (name) text_format(out, "as for %s", name);
        else if (stage[i].pattern == SPLIT_REGEX) text_format(out, "by %s", stage[i].regex);
        else text_add(out, stage[i].pattern == SPLIT_DIGIT ? "at each digit" : "at runs of digits");
    }
    text_add(out, t->bpe.whole_first ? "; pieces that are tokens are not merged\n" : "\n");
}

void tokenizer_describe(const struct tokenizer *t, struct text *out)
{
    enum { MOST = 16 };
    char shown[QUOTE_SIZE];
    size_t added = 0;
    for (int list = 0; list < ADDED_LISTS; list++) added += t->added[list].list.n;
    text_format(out, "%s, vocabulary %u", t->is_bytes ? "byte-level BPE" : "characters", t->vocab.n);
    if (t->is_bytes) text_format(out, ", %zu merges", t->bpe.merges.n);
    text_add(out, "\n");
    for (int i = 0; i < t->normal.n; i++) text_format(out, "%s%s%s", i ? ", " : "text is normalized first: ", normal_names[t->normal.step[i]], i + 1 < t->normal.n ? "" : "\n");
    if (t->is_bytes) describe_cuts(t, out);
    if (added) text_add(out, "added tokens:");
    for (uint32_t id = 0, n = 0; id < t->vocab.n; id++) {
        const struct token *token = &t->vocab.at[id];
        if (!(token->flags & TOKEN_ADDED) || n++ >= MOST) continue;
        text_format(out, " %s %u%s%s", quote(shown, token->bytes, token->size), id, token->flags & TOKEN_SPECIAL ? " special" : "", id == t->end ? " ends texts" : "");
    }
    if (added) text_add(out, added > MOST ? " ...\n" : "\n");
    text_format(out, "fingerprint %s\n", t->fingerprint);
}

/* ---- of characters ---- */

#define USE_BYTES "or use a byte-level vocabulary such as gpt2"

static int mark(uint8_t *seen, const char *text, size_t n)
{
    size_t at = utf8_mark(seen, text, n);
    FAIL_IF(at < n && text[at], E_DATA, "byte %zu (0x%02x) is not UTF-8; convert the text, " USE_BYTES, at, (unsigned char)text[at]);
    FAIL_IF(at < n, E_DATA, "byte %zu is NUL, which has no place in a character vocabulary; remove it, " USE_BYTES, at);
    return 0;
}

int tokenizer_of_characters(struct tokenizer **t, const char *text, size_t n)
{
    uint8_t *seen = calloc(UTF8_POINTS / 8, 1);
    FAIL_IF(!seen, E_MEMORY, "no memory to count characters");
    int failed = mark(seen, text, n);
    if (!failed) failed = tokenizer_of_marked(t, seen);
    free(seen);
    return failed;
}

/* ---- decoding ---- */

static int check_id(const struct tokenizer *t, int64_t id)
{
    FAIL_IF(id < 0 || id >= t->vocab.n, E_DATA, "id %lld is not in the vocabulary, whose last is %u", (long long)id,
            t->vocab.n - 1);
    return 0;
}

/* Tokens are copied by VOCAB_SLACK bytes, whatever their size, as long as there is room behind them. */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct text *out)
{
    const struct vocab *v = &t->vocab;
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(check_id(t, ids[i]));
        all += v->start[ids[i] + 1] - v->start[ids[i]];
    }
    char *to = text_more(out, all), *end = to + all;
    FAIL_IF(!to, E_MEMORY, "no memory for the text of %zu ids", n);
    for (size_t i = 0; i < n; i++) {
        const char *bytes = v->bytes + v->start[ids[i]];
        size_t size = v->start[ids[i] + 1] - v->start[ids[i]];
        if (size <= VOCAB_SLACK && end - to >= VOCAB_SLACK) memcpy(to, bytes, VOCAB_SLACK);
        else memcpy(to, bytes, size);
        to += size;
    }
    return 0;
}

#define REPLACEMENT "\xef\xbf\xbd"                           /* U+FFFD */

/* Appends what has become clear of the waiting bytes: characters, and U+FFFD for what cannot become one. */
static void settle(struct decoder *d, struct text *out)
{
    while (d->n > 0) {
        size_t size;
        int32_t point = utf8_next((const char *)d->wait, (size_t)d->n, &size);
        if (point == UTF8_CUT) return;
        if (point == UTF8_BAD) text_add(out, REPLACEMENT);
        else text_bytes(out, d->wait, size);
        d->n -= (int)size;
        memmove(d->wait, d->wait + size, (size_t)d->n);
    }
}

/* At most three bytes wait: the fourth makes a character or proves that there is none. */
int tokenizer_stream(const struct tokenizer *t, struct decoder *d, int64_t id, struct text *out)
{
    if (id == -1) {
        if (d->n > 0) text_add(out, REPLACEMENT);            /* the start of one character */
        d->n = 0;
        return 0;
    }
    TRY(check_id(t, id));
    const struct token *token = &t->vocab.at[id];
    for (uint32_t i = 0; i < token->size; i++) {
        d->wait[d->n++] = (unsigned char)token->bytes[i];
        settle(d, out);
    }
    FAIL_IF(out->failed, E_MEMORY, "no memory for decoded text");
    return 0;
}

#ifdef FUZZ_BPE_ROUND_TRIP
/* Any bytes, by the vocabulary of the tests (run from the root of the checkout): encoded and decoded they are the same, and
 * what comes out as ids come is UTF-8. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *t;
    struct ids ids = { 0 };
    struct text text = { 0 }, shown = { 0 };
    struct decoder d = { 0 };
    if (!t && tokenizer_open(&t, "tests/golden/bpe300")) abort();
    for (enum specials s = SPECIALS_AS_TEXT; s <= SPECIALS_AS_TOKENS; s++) {
        ids.n = 0;
        text_clear(&text);
        if (tokenizer_encode(t, (const char *)data, size, s, &ids) || tokenizer_decode(t, ids.at, ids.n, &text)) abort();
        if (text.size != size || (size && memcmp(text.at, data, size))) abort();
    }
    for (size_t i = 0; i <= ids.n; i++)
        if (tokenizer_stream(t, &d, i < ids.n ? (int64_t)ids.at[i] : -1, &shown)) abort();
    if (utf8_good(shown.at, shown.size) != shown.size) abort();
    ids_free(&ids);
    text_free(&text);
    text_free(&shown);
    return 0;
}
#endif
