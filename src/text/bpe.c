/* bpe.c -- the merges of a piece by a linked list of symbols and a heap of candidates.
 *
 * Searching the whole piece for the best pair before each merge is simpler and fine for words, but quadratic: a megabyte of
 * one letter would take hours.  Here a merge costs two lookups and O(log n). */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define NONE UINT32_MAX

/* ---- the table of merges ----
 *
 * Compressed sparse rows, one row per left token: 8 bytes a merge, and like the vocabulary it cannot be made slow. */

int bpe_merge_of(struct merge *m, const struct vocab *v, const char *bytes, size_t left, size_t right)
{
    int64_t l = vocab_find(v, bytes, left), r = vocab_find(v, bytes + left, right), both = vocab_find(v, bytes, left + right);
    char text[QUOTE_SIZE];
    FAIL_IF(l < 0, E_DATA, "its left part %s is not in the vocabulary", quote(text, bytes, left));
    FAIL_IF(r < 0, E_DATA, "its right part %s is not in the vocabulary", quote(text, bytes + left, right));
    FAIL_IF(both < 0, E_DATA, "its result %s is not in the vocabulary", quote(text, bytes, left + right));
    *m = (struct merge){ (uint32_t)l, (uint32_t)r, (uint32_t)both };
    return 0;
}

static int by_right(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->right != y->right) return x->right < y->right ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;       /* only of a file that is then refused, whose message names both */
}

/* A counting sort by left token.  While pairs are filled in, row[t + 1] is where the last pair of t's row was put: it moves
 * from the row's end down to its start, and in the end all starts are one place too high. */
static void fill_rows(struct bpe *b)
{
    uint32_t tokens = b->vocab->n, n = (uint32_t)b->merges.n;
    for (uint32_t i = 0; i < n; i++) b->row[b->merges.at[i].left + 1]++;
    for (uint32_t t = 0; t < tokens; t++) b->row[t + 1] += b->row[t];
    for (uint32_t i = 0; i < n; i++) {
        const struct merge *m = &b->merges.at[i];
        b->pair[--b->row[m->left + 1]] = (struct pair){ m->right, i };
    }
    memmove(b->row, b->row + 1, tokens * sizeof *b->row);
    b->row[tokens] = n;
    for (uint32_t t = 0; t < tokens; t++) qsort(b->pair + b->row[t], b->row[t + 1] - b->row[t], sizeof *b->pair, by_right);
}

static int check_rows(const struct bpe *b, const char *what)
{
    for (uint32_t t = 0; t < b->vocab->n; t++)
        for (uint32_t i = b->row[t] + 1; i < b->row[t + 1]; i++) {
            const struct pair *p = &b->pair[i];
            FAIL_IF(p[-1].right == p->right, E_DATA, "%s: the merges %u and %u join the same tokens, %u and %u", what, p[-1].rank,
                    p->rank, t, p->right);
        }
    return 0;
}

static int find_bytes(struct bpe *b, const char *what)
{
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        int64_t id = vocab_find(b->vocab, &byte, 1);
        FAIL_IF(id < 0, E_DATA, "%s: no token for the byte 0x%02x, so not every text can be encoded", what, i);
        b->byte[i] = (uint32_t)id;
    }
    return 0;
}

int bpe_build(struct bpe *b, struct arena *memory, const struct vocab *v, struct merges merges, const char *what)
{
    FAIL_IF(merges.n >= NONE, E_DATA, "%s: %zu merges are too many", what, merges.n);
    *b = (struct bpe){ .vocab = v, .merges = merges };
    b->row = take_array(memory, v->n + (size_t)1, sizeof *b->row);
    b->pair = take_array(memory, merges.n, sizeof *b->pair);
    FAIL_IF(!b->row || !b->pair, E_MEMORY, "%s: no memory for %zu merges", what, merges.n);
    fill_rows(b);
    TRY(check_rows(b, what));
    return find_bytes(b, what);
}

/* The rank of the merge that joins two tokens, NONE if there is none. */
static uint32_t rank_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    uint32_t from = b->row[left], end = b->row[left + 1], to = end;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (b->pair[middle].right < right) from = middle + 1;
        else to = middle;
    }
    return from < end && b->pair[from].right == right ? b->pair[from].rank : NONE;
}

/* ---- a heap whose least key is on top ----
 *
 * A key is the rank of a merge << 32 | the place of its left symbol: the least is the merge learnt first, leftmost. */

static void heap_push(uint64_t *heap, size_t n, uint64_t key)            /* onto n keys */
{
    size_t i = n;
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

static uint64_t heap_pop(uint64_t *heap, size_t n)                       /* of n > 0 keys; n - 1 are left */
{
    uint64_t top = heap[0], last = heap[--n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* ---- merging ---- */

/* Symbols lie in the order of the text; a place is an index.  A merge's result takes the place of its left part, and the place of
 * its right part is dead (id NONE).  before, after: the places of the living neighbours, NONE at the ends. */
struct symbol { uint32_t id, before, after; };

void bpe_work_free(struct bpe_work *w)
{
    free(w->symbol);
    free(w->heap);
    *w = (struct bpe_work){ 0 };
}

/* The heap starts with at most n - 1 candidates; each of at most n - 1 merges takes one and adds at most two. */
static int reserve(struct bpe_work *w, size_t n)
{
    size_t room = w->room ? w->room : 256, symbols, keys;
    if (n <= w->room) return 0;
    FAIL_IF(n > NONE / 2, E_DATA, "%zu bytes without a place to cut them; a piece of text ends at 2 GiB", n);
    while (room < n) room *= 2;
    bpe_work_free(w);
    if (size_mul(room, sizeof *w->symbol, &symbols) && size_mul(room, 2 * sizeof *w->heap, &keys)) {
        w->symbol = malloc(symbols);
        w->heap = malloc(keys);
    }
    FAIL_IF(!w->symbol || !w->heap, E_MEMORY, "no memory to encode a piece of %zu bytes", n);
    w->room = room;
    return 0;
}

/* Puts the pair that begins at a place onto the heap of n, if some merge joins it.  Returns the new n. */
static size_t offer(const struct bpe *b, struct bpe_work *w, size_t n, uint32_t place)
{
    const struct symbol *s = &w->symbol[place];
    uint32_t rank = s->after == NONE ? NONE : rank_of(b, s->id, w->symbol[s->after].id);
    if (rank == NONE) return n;
    heap_push(w->heap, n, (uint64_t)rank << 32 | place);
    return n + 1;
}

static size_t start(const struct bpe *b, struct bpe_work *w, const unsigned char *piece, uint32_t n)
{
    size_t keys = 0;
    for (uint32_t i = 0; i < n; i++)
        w->symbol[i] = (struct symbol){ b->byte[piece[i]], i > 0 ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE };
    for (uint32_t i = 0; i < n; i++) keys = offer(b, w, keys, i);
    return keys;
}

static void merge_all(const struct bpe *b, struct bpe_work *w, size_t keys)
{
    while (keys > 0) {
        uint64_t key = heap_pop(w->heap, keys--);
        uint32_t rank = (uint32_t)(key >> 32), place = (uint32_t)key;
        struct symbol *left = &w->symbol[place];
        /* A merge leaves the candidates behind that its two symbols were part of; they fit no longer. */
        if (left->id == NONE || left->after == NONE) continue;
        struct symbol *right = &w->symbol[left->after];
        if (rank_of(b, left->id, right->id) != rank) continue;
        left->id = b->merges.at[rank].result;
        left->after = right->after;
        right->id = NONE;
        if (left->after != NONE) w->symbol[left->after].before = place;
        if (left->before != NONE) keys = offer(b, w, keys, left->before);
        keys = offer(b, w, keys, place);
    }
}

int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, struct ids *out)
{
    int64_t whole = b->whole_first ? vocab_find(b->vocab, piece, n) : -1;
    if (whole >= 0) return ids_add(out, &(uint32_t){ (uint32_t)whole }, 1);
    TRY(reserve(w, n));
    size_t keys = start(b, w, (const unsigned char *)piece, (uint32_t)n);
    merge_all(b, w, keys);
    for (uint32_t i = 0; i != NONE; i = w->symbol[i].after) TRY(ids_add(out, &w->symbol[i].id, 1));
    return 0;
}
