/* wordpiece.c -- tokens of the rest are found by their bytes without the prefix, so that a piece is read where it lies. */
#include "token/wordpiece.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

/* ---- building ---- */

static int has_prefix(const struct wordpiece *w, const struct token *t)
{
    return t->size > w->prefix_size && !memcmp(t->bytes, w->prefix, w->prefix_size);
}

/* Ids count the tokens of the rest, since a vocabulary has few holes and these are far between. */
static int build_rest(struct wordpiece *w, struct arena *memory, const char *what)
{
    struct tokens all = w->vocab->model, rest = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++) n += (size_t)has_prefix(w, &all.at[i]);
    if (!n) return 0;
    rest.at = take_array(memory, n, sizeof *rest.at);
    w->rest_id = take_array(memory, n, sizeof *w->rest_id);
    FAIL_IF(!rest.at || !w->rest_id, E_MEMORY, "%s: no memory for %zu tokens", what, n);
    for (size_t i = 0; i < all.n; i++) {
        const struct token *t = &all.at[i];
        if (!has_prefix(w, t)) continue;
        uint32_t size = t->size - (uint32_t)w->prefix_size;
        w->rest_id[rest.n] = t->id;
        rest.at[rest.n] = (struct token){ .bytes = t->bytes + w->prefix_size, .size = size, .id = (uint32_t)rest.n };
        rest.n++;
    }
    return vocab_build(&w->rest, memory, rest, (struct tokens){ 0 }, what);
}

static size_t longest_of(struct tokens list)
{
    size_t longest = 0;
    for (size_t i = 0; i < list.n; i++)
        if (list.at[i].size > longest) longest = list.at[i].size;
    return longest;
}

int wordpiece_build(struct wordpiece *w, struct arena *memory, const struct vocab *v, const char *unknown_token, const char *prefix, int64_t most_chars,
                    const char *what)
{
    char text[QUOTE_SIZE];
    int64_t unknown = vocab_find(v, unknown_token, strlen(unknown_token));
    FAIL_IF(unknown < 0, E_DATA, "%s: the unknown token %s is not in the vocabulary", what, quote(text, unknown_token, strlen(unknown_token)));
    FAIL_IF(most_chars < 0 || most_chars > WORDPIECE_MOST_CHARS, E_DATA, "%s: words of up to %lld characters: 0 to %d are possible", what,
            (long long)most_chars, WORDPIECE_MOST_CHARS);
    *w = (struct wordpiece){ .vocab = v, .unknown = (uint32_t)unknown, .prefix = prefix, .prefix_size = strlen(prefix), .most_chars = (size_t)most_chars };
    TRY(build_rest(w, memory, what));
    w->longest = longest_of(v->model);
    w->longest_rest = longest_of(w->rest.model);
    FAIL_IF(w->longest > WORDPIECE_MOST_BYTES, E_DATA, "%s: a token of %zu bytes; %d are possible, since words are looked up by bytes of all lengths", what, w->longest, WORDPIECE_MOST_BYTES);
    return 0;
}

/* ---- text to ids ---- */

/* The longest of the tokens that these n bytes begin with, which has `most` at most; -1: none.  Tokens end between characters. */
static int64_t longest_at(const struct vocab *v, size_t most, const char *bytes, size_t n, size_t *size)
{
    for (*size = n < most ? n : most; *size > 0; --*size) {
        if (*size < n && ((unsigned char)bytes[*size] & 0xc0) == 0x80) continue;
        int64_t id = vocab_find(v, bytes, *size);
        if (id >= 0) return id;
    }
    return -1;
}

static int64_t next_token(const struct wordpiece *w, const char *piece, size_t n, size_t at, size_t *size)
{
    if (at == 0) return longest_at(w->vocab, w->longest, piece, n, size);
    int64_t id = longest_at(&w->rest, w->longest_rest, piece + at, n - at, size);
    return id < 0 ? id : (int64_t)w->rest_id[id];
}

/* No piece of at most as many bytes has more characters. */
static int can_be_known(const struct wordpiece *w, const char *piece, size_t n)
{
    return utf8_good(piece, n) == n && (n <= w->most_chars || utf8_count(piece, n) <= w->most_chars);
}

int wordpiece_encode(const struct wordpiece *w, const char *piece, size_t n, struct ids *out)
{
    size_t before = out->n;
    if (!can_be_known(w, piece, n)) return ids_add(out, &w->unknown, 1);
    for (size_t at = 0, size; at < n; at += size) {
        int64_t id = next_token(w, piece, n, at, &size);
        if (id < 0) {
            out->n = before;
            return ids_add(out, &w->unknown, 1);
        }
        TRY(ids_add(out, &(uint32_t){ (uint32_t)id }, 1));
    }
    return 0;
}

/* ---- ids to text ---- */

/* Nothing becomes longer.  Returns how many bytes there are then. */
static size_t replace(char *text, size_t n, const char *old, const char *new)
{
    size_t kept = 0, cut = strlen(old);
    for (size_t at = 0; at < n;) {
        if (n - at < cut || memcmp(text + at, old, cut)) {
            text[kept++] = text[at++];
            continue;
        }
        for (const char *c = new; *c; c++) text[kept++] = *c;
        at += cut;
    }
    return kept;
}

/* Each row is done to what the one before it made. */
void wordpiece_cleanup(struct text *out, size_t from)
{
    static const struct { const char *old, *new; } rows[] = {
        { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" }, { " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    if (out->failed || from == out->size || !memchr(out->at + from, ' ', out->size - from)) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) out->size = from + replace(out->at + from, out->size - from, rows[i].old, rows[i].new);
    out->at[out->size] = 0;
}

void wordpiece_shown(struct text *out, const char *bytes, size_t n, const char *prefix, int cleanup)
{
    size_t from = out->size, cut = strlen(prefix);
    if (n < cut || memcmp(bytes, prefix, cut)) {
        text_add(out, " ");
        text_bytes(out, bytes, n);
    } else {
        text_bytes(out, bytes + cut, n - cut);
    }
    if (cleanup) wordpiece_cleanup(out, from);
}
