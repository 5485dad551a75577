/* unigram.c -- the best path through a piece (Viterbi 1967), over its characters. */
#include "token/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"
#include "base/utf8.h"

/* ---- building ---- */

static int check_tokens(struct unigram *u, int64_t unknown, const char *what)
{
    char text[QUOTE_SIZE];
    double least = INFINITY;
    for (size_t i = 0; i < u->vocab->model.n; i++) {
        const struct token *t = &u->vocab->model.at[i];
        FAIL_IF(!isfinite(u->score[t->id]), E_DATA, "%s: the score of the token %s (id %u) is not a finite number", what, quote(text, t->bytes, t->size), t->id);
        FAIL_IF(utf8_good(t->bytes, t->size) < t->size, E_DATA, "%s: the token %s (id %u) is not UTF-8", what, quote(text, t->bytes, t->size), t->id);
        if (u->score[t->id] < least) least = u->score[t->id];
        if (t->id == unknown) u->unknown = t->id;
    }
    FAIL_IF(unknown >= 0 && u->unknown == TRIE_NONE, E_DATA, "%s: no token has the id of the unknown token, %lld", what, (long long)unknown);
    u->unknown_score = least - 10;
    return 0;
}

int unigram_build(struct unigram *u, struct arena *memory, const struct vocab *v, const double *score, int64_t unknown, int byte_fallback, const char *what)
{
    *u = (struct unigram){ .vocab = v, .score = score, .unknown = TRIE_NONE, .byte_fallback = byte_fallback };
    TRY(check_tokens(u, unknown, what));
    if (byte_fallback) TRY(vocab_bytes(v, u->byte, what));
    return trie_build(&u->trie, memory, v->model, what);
}

/* ---- encoding ---- */

/* The best path to a place of the piece: its score, and its last token with the bytes that it covers, 0 where no path is known yet. */
struct best { double score; uint32_t size, token; };

void unigram_work_free(struct unigram_work *w)
{
    free(w->best);
    *w = (struct unigram_work){ 0 };
}

/* Paths are offered in the order of where their last token begins, so of equal ones the longest last token stays. */
static inline int is_better(const struct best *b, double score) { return !b->size || score > b->score; }

static int no_unknown(const char *bytes, size_t size)
{
    char text[QUOTE_SIZE];
    int32_t point = utf8_next(bytes, size, &(size_t){ 0 });
    FAIL_IF(point < 0, E_DATA, "%s is not UTF-8, and the vocabulary has no unknown token to stand for it", quote(text, bytes, size));
    FAIL(E_DATA, "no token covers the character U+%04X (%s), and the vocabulary has no unknown token to stand for it", (unsigned)point, quote(text, bytes, size));
}

/* A character is unknown by itself, even where longer tokens begin with it. */
static int find_paths(const struct unigram *u, struct best *best, const char *piece, size_t n)
{
    best[0].score = 0;
    for (size_t at = 0, size; at < n; at += size) {
        double before = best[at].score;
        int covered = 0;
        uint32_t node = 0;
        utf8_next(piece + at, n - at, &size);
        for (size_t end = at; end < n && (node = trie_child(&u->trie, node, (unsigned char)piece[end]));) {
            uint32_t token = u->trie.at[node].token;
            end++;
            if (token == TRIE_NONE) continue;
            double score = u->score[token] + before;
            if (is_better(&best[end], score)) best[end] = (struct best){ score, (uint32_t)(end - at), token };
            covered |= end - at == size;
        }
        if (covered || !is_better(&best[at + size], u->unknown_score + before)) continue;
        if (u->unknown == TRIE_NONE) return no_unknown(piece + at, size);
        best[at + size] = (struct best){ u->unknown_score + before, (uint32_t)size, u->unknown };
    }
    return 0;
}

/* Characters in a row that are unknown, backwards.  Together they may be a token, the unknown one's own text above all. */
static void put_unknown(const struct unigram *u, const char *bytes, size_t n, struct ids *out)
{
    int64_t id = vocab_find(u->vocab, bytes, n);
    if (id < 0 && u->byte_fallback)
        while (n > 0) out->at[out->n++] = u->byte[(unsigned char)bytes[--n]];
    else out->at[out->n++] = id < 0 ? u->unknown : (uint32_t)id;
}

static void reverse(uint32_t *at, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t id = at[i];
        at[i] = at[n - 1 - i];
        at[n - 1 - i] = id;
    }
}

static void put_path(const struct unigram *u, const struct best *best, const char *piece, size_t n, struct ids *out)
{
    size_t first = out->n;
    for (size_t end = n, start; end > 0; end = start) {
        start = end - best[end].size;
        if (best[end].token == u->unknown) {
            while (start > 0 && best[start].token == u->unknown) start -= best[start].size;
            put_unknown(u, piece + start, end - start, out);
        } else {
            out->at[out->n++] = best[end].token;
        }
    }
    reverse(out->at + first, out->n - first);
}

int unigram_encode(const struct unigram *u, struct unigram_work *w, const char *piece, size_t n, struct ids *out)
{
    if (n == 0) return 0;
    FAIL_IF(!grow(&w->best, &w->room, n + 1, sizeof *w->best), E_MEMORY, "no memory to encode a piece of %zu bytes", n);
    memset(w->best, 0, (n + 1) * sizeof *w->best);
    TRY(find_paths(u, w->best, piece, n));
    if (out->n + n > out->room) TRY(ids_reserve(out, n));
    put_path(u, w->best, piece, n, out);
    return 0;
}
