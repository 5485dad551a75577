/* charbpe.c -- characters to their first tokens; bpe.c merges them. */
#include "token/charbpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"

static int begins(const struct token *t, const char *with, size_t n) { return t->size >= n && !memcmp(t->bytes, with, n); }
static int ends(const struct token *t, const char *with, size_t n) { return t->size >= n && !memcmp(t->bytes + t->size - n, with, n); }

/* No merge joins a token that ends with something else to one that begins with a space, which is one character and a token; nor does
 * it matter what the whole is. */
static int find_cuts(const struct charbpe *c)
{
    const struct token *at = c->bpe->vocab->at;
    size_t n = c->space_size, size;
    if (!n || utf8_next(c->space, n, &size) < 0 || size != n || vocab_find(c->bpe->vocab, c->space, n) < 0 || c->bpe->whole_first) return 0;
    for (size_t i = 0; i < c->bpe->merges.n; i++) {
        const struct merge *m = &c->bpe->merges.at[i];
        if (begins(&at[m->right], c->space, n) && !ends(&at[m->left], c->space, n)) return 0;
    }
    return 1;
}

int charbpe_build(struct charbpe *c, struct arena *memory, const struct bpe *b, const struct charbpe_options *o, const char *what)
{
    *c = (struct charbpe){ .bpe = b, .falls_back = o->falls_back, .unknown = o->unknown, .fuses = o->fuses, .space = o->space, .space_size = strlen(o->space) };
    TRY(chars_build(&c->chars, memory, b->vocab, 1, what));
    if (c->falls_back) TRY(vocab_bytes(b->vocab, c->byte, what));
    c->cuts = find_cuts(c);
    return 0;
}

void charbpe_work_free(struct charbpe_work *w)
{
    bpe_work_free(&w->bpe);
    free(w->token);
    *w = (struct charbpe_work){ 0 };
}

static int is_space_at(const struct charbpe *c, const char *text, size_t n, size_t at) { return n - at >= c->space_size && !memcmp(text + at, c->space, c->space_size); }

size_t charbpe_piece(const struct charbpe *c, const char *text, size_t n, size_t at)
{
    if (!c->cuts) return n;
    while (at < n && is_space_at(c, text, n, at)) at += c->space_size;
    for (const char *found; at < n; at = (size_t)(found - text) + 1) {
        found = memchr(text + at, c->space[0], n - at);
        if (!found) return n;
        if (is_space_at(c, text, n, (size_t)(found - text))) return (size_t)(found - text);
    }
    return n;
}

/* The tokens of one character, or of a byte that is none's. */
static int start(const struct charbpe *c, struct charbpe_work *w, int32_t point, const char *bytes, size_t size)
{
    int64_t id = point < 0 ? -1 : chars_find(c->chars, point);
    char shown[QUOTE_SIZE];
    int known = id >= 0 || c->falls_back;
    FAIL_IF(!known && c->unknown < 0, E_DATA, "the character %s is not in the vocabulary, which has no token for unknown ones", quote(shown, bytes, size));
    if (id >= 0) w->token[w->n++] = (uint32_t)id;
    for (size_t i = 0; id < 0 && known && i < size; i++) w->token[w->n++] = c->byte[(unsigned char)bytes[i]];
    if (!known && !(c->fuses && w->unknown)) w->token[w->n++] = (uint32_t)c->unknown;
    w->unknown = !known;
    return 0;
}

int charbpe_encode(const struct charbpe *c, struct charbpe_work *w, const char *piece, size_t n, struct ids *out)
{
    int64_t whole = bpe_whole(c->bpe, piece, n);
    if (whole >= 0) return ids_add(out, &(uint32_t){ (uint32_t)whole }, 1);
    FAIL_IF(!grow(&w->token, &w->room, n, sizeof *w->token), E_MEMORY, "no memory to encode a piece of %zu bytes", n);
    w->n = 0;
    w->unknown = 0;
    for (size_t at = 0, size; at < n; at += size) {
        int32_t point = utf8_next(piece + at, n - at, &size);
        TRY(start(c, w, point, piece + at, size));
    }
    return bpe_merge(c->bpe, &w->bpe, w->token, w->n, out);
}
