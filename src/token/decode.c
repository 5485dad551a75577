/* decode.c -- ids to text: tokens are shown by the bytes that are kept for them, but for the first of a text. */
#define _GNU_SOURCE                                          /* memmem */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "token/tokenizer_core.h"

/* ---- what tokens are shown as ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static int is_byte(const struct token *t) { return t->size == 6 && !memcmp(t->bytes, "<0x", 3) && t->bytes[5] == '>' && hex_digit(t->bytes[3]) >= 0 && hex_digit(t->bytes[4]) >= 0; }

struct showing { const struct tokenizer *t; const struct parts *p; };

/* A NORMALIZED added token is shown as it is looked for. */
static const struct token *looked_for(const struct tokenizer *t, const struct token *token)
{
    const struct tokens *list = &t->added[1].list;
    for (size_t i = 0; token->flags & TOKEN_NORMALIZED && i < list->n; i++)
        if (list->at[i].id == token->id) return &list->at[i];
    return token;
}

static void show(const void *showing, const struct token *token, struct text *out)
{
    const struct showing *s = showing;
    const struct parts *p = s->p;
    const struct token *t = looked_for(s->t, token);
    if (p->bytes_shown && is_byte(t)) {
        text_bytes(out, &(char){ (char)(hex_digit(t->bytes[3]) << 4 | hex_digit(t->bytes[4])) }, 1);
        return;
    }
    if (p->shown_prefix) {
        wordpiece_shown(out, t->bytes, t->size, p->shown_prefix, p->shown == SHOWN_CLEAN);
        return;
    }
    if (p->shown == SHOWN_SPACED) text_add(out, " ");
    size_t n = p->space ? strlen(p->space) : 0, from = 0;
    for (const char *found; n && (found = memmem(t->bytes + from, t->size - from, p->space, n)); from = (size_t)(found - t->bytes) + n) {
        text_bytes(out, t->bytes + from, (size_t)(found - t->bytes) - from);
        text_add(out, " ");
    }
    text_bytes(out, t->bytes + from, t->size - from);
}

int tokenizer_shown(struct tokenizer *t, const struct parts *p, const char *what)
{
    int as_they_are = p->kind <= MODEL_BYTES && !p->normal.n;
    return vocab_show(&t->vocab, &t->memory, as_they_are ? NULL : show, &(struct showing){ t, p }, what);
}

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n)
{
    const struct vocab *v = &t->vocab;
    *n = id < v->n ? v->start[id + 1] - v->start[id] : 0;
    return *n ? v->bytes + v->start[id] : "";
}

/* ---- decoding ---- */

static int check_id(const struct tokenizer *t, int64_t id)
{
    FAIL_IF(id < 0 || id >= t->vocab.n, E_DATA, "id %lld is not in the vocabulary, whose last is %u", (long long)id,
            t->vocab.n - 1);
    return 0;
}

/* What the first token of a text is shown as: bytes of the vocabulary, or of the token, into which *n bytes. */
static const char *first_shown(const struct tokenizer *t, uint32_t id, size_t *n)
{
    const char *bytes = tokenizer_bytes(t, id, n);
    if (t->opening == OPENING_RAW) {
        *n = t->vocab.at[id].size;
        return t->vocab.at[id].bytes;
    }
    while (*n && *bytes == ' ' && t->opening != OPENING_SAME) {
        bytes++;
        --*n;
        if (t->opening == OPENING_ONE_SPACE) break;
    }
    return bytes;
}

/* Tokens are copied by VOCAB_SLACK bytes, whatever their size, as long as there is room behind them. */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct text *out)
{
    const struct vocab *v = &t->vocab;
    size_t all = 0, first_size;
    for (size_t i = 0; i < n; i++) {
        TRY(check_id(t, ids[i]));
        if (i) all += v->start[ids[i] + 1] - v->start[ids[i]];
    }
    if (!n) return 0;
    const char *first = first_shown(t, ids[0], &first_size);
    char *to = text_more(out, all + first_size), *end = to + all + first_size;
    FAIL_IF(!to, E_MEMORY, "no memory for the text of %zu ids", n);
    memcpy(to, first, first_size);
    to += first_size;
    for (size_t i = 1; i < n; i++) {
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
    size_t n;
    const char *bytes = d->goes_on ? tokenizer_bytes(t, (uint32_t)id, &n) : first_shown(t, (uint32_t)id, &n);
    d->goes_on = 1;
    for (size_t i = 0; i < n; i++) {
        d->wait[d->n++] = (unsigned char)bytes[i];
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
