/* bpe.c -- the merges of a piece.
 *
 * Searching the whole piece for the best pair before each merge is what words get, but quadratic: a megabyte of one letter would
 * take hours.  Longer pieces have a linked list of symbols and a heap of candidates: a merge costs two lookups and O(log n). */
#include "token/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/utf8.h"

#define NONE PLACES_NONE

/* ---- the table of merges ---- */

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

static uint64_t pair_of(uint32_t left, uint32_t right) { return (uint64_t)left << 32 | right; }
static uint64_t pair_at(const struct bpe *b, uint32_t i) { return pair_of(b->merges.at[i].left, b->merges.at[i].right); }

/* Those of `last` tokens lie behind all ids. */
static inline uint32_t rank_at(const struct bpe *b, uint32_t i)
{
    uint32_t result = b->merges.at[i].result;
    if (!b->by_rank) return i;
    return b->last && b->last[result] ? result + b->vocab->n : result;
}

static inline uint32_t result_of(const struct bpe *b, uint32_t rank)
{
    if (!b->by_rank) return b->merges.at[rank].result;
    return rank < b->vocab->n ? rank : rank - b->vocab->n;
}

/* What decides who comes first: equals have the same. */
static inline uint32_t order_of(const struct bpe *b, uint32_t rank)
{
    return b->last && rank != NONE && rank > b->vocab->n ? b->vocab->n : rank;
}

/* The merge of a pair that is crowded, NONE if it is not. */
static uint32_t crowded_merge(const struct bpe *b, uint64_t pair)
{
    size_t from = 0, to = b->n_crowded;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (pair_at(b, b->crowded[middle]) < pair) from = middle + 1;
        else to = middle;
    }
    return from < b->n_crowded && pair_at(b, b->crowded[from]) == pair ? b->crowded[from] : NONE;
}

static int is_pair(const void *bpe, uint32_t i, const void *pair) { return pair_at(bpe, i) == *(const uint64_t *)pair; }

/* The rank of the merge that joins two tokens, NONE if there is none. */
static inline uint32_t rank_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    uint64_t pair = pair_of(left, right);
    uint32_t i = places_find(&b->places, places_mix(pair), is_pair, b, &pair);
    if (i == PLACES_CROWDED) i = crowded_merge(b, pair);
    return i == NONE ? NONE : rank_at(b, i);
}

static int twice(const struct bpe *b, uint32_t first, uint32_t again, const char *what)
{
    FAIL_IF(pair_at(b, first) == pair_at(b, again), E_DATA, "%s: the merges %u and %u join the same tokens, %u and %u", what, first, again, b->merges.at[first].left, b->merges.at[first].right);
    return 0;
}

struct crowd { uint64_t pair; uint32_t merge; };

static int by_pair(const void *a, const void *b)
{
    const struct crowd *x = a, *y = b;
    if (x->pair != y->pair) return x->pair < y->pair ? -1 : 1;
    return x->merge < y->merge ? -1 : x->merge > y->merge;   /* only of a file that is then refused, whose message names both */
}

static int sort_crowd(struct bpe *b, const char *what)
{
    struct crowd *c = malloc((b->n_crowded + 1) * sizeof *c);
    FAIL_IF(!c, E_MEMORY, "%s: no memory for %zu merges", what, b->merges.n);
    for (size_t i = 0; i < b->n_crowded; i++) c[i] = (struct crowd){ pair_at(b, b->crowded[i]), b->crowded[i] };
    qsort(c, b->n_crowded, sizeof *c, by_pair);
    for (size_t i = 0; i < b->n_crowded; i++) b->crowded[i] = c[i].merge;
    free(c);
    for (size_t i = 1; i < b->n_crowded; i++) TRY(twice(b, b->crowded[i - 1], b->crowded[i], what));
    return 0;
}

static int give_places(struct bpe *b, struct arena *memory, const char *what)
{
    uint32_t n = (uint32_t)b->merges.n;
    b->places.bits = places_bits(n);
    b->places.at = take_array(memory, places_room(b->places.bits), sizeof *b->places.at);
    b->crowded = take_array(memory, n, sizeof *b->crowded);
    FAIL_IF(!b->places.at || !b->crowded, E_MEMORY, "%s: no memory for %u merges", what, n);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t pair = pair_at(b, i);
        uint32_t before = places_find(&b->places, places_mix(pair), is_pair, b, &pair);
        if (before < PLACES_CROWDED) TRY(twice(b, before, i, what));
        if (!places_give(&b->places, places_mix(pair), i)) b->crowded[b->n_crowded++] = i;
    }
    return sort_crowd(b, what);
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

static int find_first(struct bpe *b, struct arena *memory, const char *what)
{
    b->first = take_array(memory, 256 * 256, sizeof *b->first);
    FAIL_IF(!b->first, E_MEMORY, "%s: no memory for %zu merges", what, b->merges.n);
    memset(b->first, 0xff, 256 * 256 * sizeof *b->first);
    for (uint32_t i = 0; i < b->merges.n; i++) {
        const struct token *left = &b->vocab->at[b->merges.at[i].left], *right = &b->vocab->at[b->merges.at[i].right];
        if (left->size == 1 && right->size == 1) b->first[(unsigned char)left->bytes[0] << 8 | (unsigned char)right->bytes[0]] = rank_at(b, i);
    }
    return 0;
}

/* ---- tokens that their bytes are merged to ----
 *
 * Those that were learnt from text mostly are, and then a piece that is a token needs no merging.  A token that a merge makes is,
 * if its parts are and no merge goes across the border between them before they are made. */

/* x, the last symbol of the left part, and y, the first of the right one, followed back in time.  Each lasts from the rank that made it
 * until the one that takes it up; of equal ranks the left one comes first.  made: by token, the merge that makes it, NONE of bytes. */
static int border_holds(const struct bpe *b, const uint32_t *made, uint32_t merge)
{
    const struct merge *m = b->merges.at;
    uint32_t x = m[merge].left, y = m[merge].right, x_ends = rank_at(b, merge), y_ends = x_ends;
    for (;;) {
        uint32_t across = rank_of(b, x, y), x_made = made[x] == NONE ? NONE : rank_at(b, made[x]), y_made = made[y] == NONE ? NONE : rank_at(b, made[y]);
        if (across != NONE && across < x_ends && across <= y_ends) return 0;
        if (x_made == NONE && y_made == NONE) return 1;
        if (y_made == NONE || (x_made != NONE && x_made > y_made)) {
            if (x_made >= x_ends) return 0;                  /* made after it was taken up: not learnt from text */
            x_ends = x_made;
            x = m[made[x]].right;
        } else {
            if (y_made >= y_ends) return 0;
            y_ends = y_made;
            y = m[made[y]].left;
        }
    }
}

/* What a piece starts as is whole. */
static void mark_starts(struct bpe *b, enum bpe_over over)
{
    for (size_t i = 0; over == BPE_OVER_CHARACTERS && i < b->vocab->model.n; i++) {
        const struct token *t = &b->vocab->model.at[i];
        size_t size;
        b->whole[t->id] = utf8_next(t->bytes, t->size, &size) >= 0 && size == t->size;
    }
    for (int i = 0; over == BPE_OVER_BYTES && i < 256; i++) b->whole[b->byte[i]] = 1;
}

static int find_whole(struct bpe *b, struct arena *memory, enum bpe_over over, const char *what)
{
    uint32_t *made = malloc((b->vocab->n + (size_t)1) * sizeof *made);
    b->whole = take_array(memory, b->vocab->n, 1);
    int code = made && b->whole ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %u tokens", what, b->vocab->n);
    if (!code) {
        memset(made, 0xff, b->vocab->n * sizeof *made);
        mark_starts(b, over);
    }
    for (uint32_t i = 0; i < b->merges.n && !code && !b->by_rank; i++) {     /* by rank: a merge's rank says too little of its past */
        const struct merge *m = &b->merges.at[i];
        if (b->whole[m->result] || !b->whole[m->left] || !b->whole[m->right] || !border_holds(b, made, i)) continue;
        b->whole[m->result] = 1;
        made[m->result] = i;
    }
    free(made);
    return code;
}

int bpe_build(struct bpe *b, struct arena *memory, const struct vocab *v, struct merges merges, enum bpe_over over, int by_rank, const char *what)
{
    FAIL_IF(merges.n > PLACES_MOST, E_DATA, "%s: %zu merges are too many", what, merges.n);
    *b = (struct bpe){ .vocab = v, .merges = merges, .by_rank = by_rank };
    TRY(give_places(b, memory, what));
    if (over == BPE_OVER_BYTES) TRY(find_bytes(b, what));
    TRY(find_whole(b, memory, over, what));
    return over == BPE_OVER_BYTES ? find_first(b, memory, what) : 0;         /* last, being large */
}

/* ---- a heap whose least key is on top ----
 *
 * A key is the order of a merge << 32 | the place of its left symbol: the least is the merge learnt first, leftmost. */

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
    heap_push(w->heap, n, (uint64_t)order_of(b, rank) << 32 | place);
    return n + 1;
}

static void set_symbol(struct bpe_work *w, uint32_t i, uint32_t n, uint32_t id)
{
    w->symbol[i] = (struct symbol){ id, i > 0 ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE };
}

/* All n symbols are in their places. */
static int merge_all(const struct bpe *b, struct bpe_work *w, uint32_t n, struct ids *out)
{
    size_t keys = 0;
    for (uint32_t i = 0; i < n; i++) keys = offer(b, w, keys, i);
    while (keys > 0) {
        uint64_t key = heap_pop(w->heap, keys--);
        uint32_t place = (uint32_t)key;
        struct symbol *left = &w->symbol[place];
        /* A merge leaves the candidates behind that its two symbols were part of; they fit no longer. */
        if (left->id == NONE || left->after == NONE) continue;
        struct symbol *right = &w->symbol[left->after];
        uint32_t rank = rank_of(b, left->id, right->id);
        if (rank == NONE || order_of(b, rank) != key >> 32) continue;
        left->id = result_of(b, rank);
        left->after = right->after;
        right->id = NONE;
        if (left->after != NONE) w->symbol[left->after].before = place;
        if (left->before != NONE) keys = offer(b, w, keys, left->before);
        keys = offer(b, w, keys, place);
    }
    for (uint32_t i = 0; i != NONE; i = w->symbol[i].after) TRY(ids_add(out, &w->symbol[i].id, 1));
    return 0;
}

/* A word is merged in place: of its few pairs the best is found by looking at all. */
enum { WORD = 32 };

/* id: n tokens; rank: of the n - 1 pairs. */
static int merge_word(const struct bpe *b, uint32_t *id, uint32_t *rank, size_t n, struct ids *out)
{
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best] && order_of(b, rank[i]) < order_of(b, rank[best])) best = i;
        if (rank[best] == NONE) break;
        id[best] = result_of(b, rank[best]);
        n--;
        for (size_t i = best + 1; i < n; i++) id[i] = id[i + 1];
        for (size_t i = best; i + 1 < n; i++) rank[i] = rank[i + 1];
        if (best > 0) rank[best - 1] = rank_of(b, id[best - 1], id[best]);
        if (best + 1 < n) rank[best] = rank_of(b, id[best], id[best + 1]);
    }
    if (out->n + n > out->room) TRY(ids_reserve(out, n));
    for (size_t i = 0; i < n; i++) out->at[out->n++] = id[i];
    return 0;
}

int64_t bpe_whole(const struct bpe *b, const char *piece, size_t n)
{
    int64_t whole = vocab_find(b->vocab, piece, n);
    return whole >= 0 && (b->whole_first || b->whole[whole]) ? whole : -1;
}

int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, struct ids *out)
{
    const unsigned char *byte = (const unsigned char *)piece;
    int64_t whole = bpe_whole(b, piece, n);
    uint32_t id[WORD], rank[WORD];
    if (whole >= 0) return ids_add(out, &(uint32_t){ (uint32_t)whole }, 1);
    for (size_t i = 0; i < n && n <= WORD; i++) id[i] = b->byte[byte[i]];
    for (size_t i = 0; i + 1 < n && n <= WORD; i++) rank[i] = b->first[byte[i] << 8 | byte[i + 1]];
    if (n <= WORD) return merge_word(b, id, rank, n, out);
    TRY(reserve(w, n));
    for (uint32_t i = 0; i < n; i++) set_symbol(w, i, (uint32_t)n, b->byte[byte[i]]);
    return merge_all(b, w, (uint32_t)n, out);
}

int bpe_merge(const struct bpe *b, struct bpe_work *w, const uint32_t *token, size_t n, struct ids *out)
{
    uint32_t id[WORD], rank[WORD];
    for (size_t i = 0; i < n && n <= WORD; i++) id[i] = token[i];
    for (size_t i = 0; i + 1 < n && n <= WORD; i++) rank[i] = rank_of(b, id[i], id[i + 1]);
    if (n <= WORD) return merge_word(b, id, rank, n, out);
    TRY(reserve(w, n));
    for (uint32_t i = 0; i < n; i++) set_symbol(w, i, (uint32_t)n, token[i]);
    return merge_all(b, w, (uint32_t)n, out);
}
