/* learn.c -- all pieces lie one behind the other as symbols, linked within their piece.  Each pair knows its count and where it
 * has occurred, so that a merge touches only those places; a heap has the pairs by count.  What the lists and the heap say may be
 * out of date, since a merge next door takes occurrences away: both are checked when they are used. */
#include "token/learn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"
#include "base/wraps.h"
#include "token/alphabet.h"

#define NONE UINT32_MAX
enum { BYTES = 256 };

struct symbol { uint32_t id, before, after, piece; };        /* a place is an index; the neighbours' are NONE at the ends of a piece; id NONE: merged away */
struct pair { uint64_t ids, count; uint32_t *at; uint32_t n, found; };     /* left << 32 | right; its places, n of those that were found are among them */
struct entry { uint64_t count; uint32_t pair; };             /* of the heap */
struct find { uint32_t pair, at; };                          /* a place of a new pair */

struct learner {
    const struct learning *l;
    struct learnt *out; size_t merge_room;
    struct arena memory;                 /* of lists of places */
    struct symbol *symbol;
    struct pair *pair; size_t pairs, pair_room;
    uint32_t *place; int bits;           /* of pairs: 1 + the index, 0: free.  2^bits of them */
    struct entry *heap; size_t heap_n, heap_room;
    struct find *found; size_t found_n, found_room;          /* of this round */
    uint32_t *changed; size_t changed_n, changed_room;       /* the pairs that were found in it */
};

/* Room for one thing more. */
static int room_for(void *at, size_t n, size_t *room, size_t size)
{
    FAIL_IF(!grow(at, room, n + 1, size), E_MEMORY, "no memory to learn merges");
    return 0;
}

/* ---- pairs ---- */

WRAPS static uint32_t *place_of(const struct learner *r, uint64_t ids)         /* or a free one for it */
{
    size_t mask = ((size_t)1 << r->bits) - 1, i = ids * 0x9e3779b97f4a7c15u >> (64 - r->bits);
    while (r->place[i] && r->pair[r->place[i] - 1].ids != ids) i = (i + 1) & mask;
    return &r->place[i];
}

static int widen(struct learner *r)
{
    int bits = r->bits ? r->bits + 1 : 12;
    uint32_t *place = calloc((size_t)1 << bits, sizeof *place);
    FAIL_IF(!place, E_MEMORY, "no memory to learn merges");
    free(r->place);
    r->place = place;
    r->bits = bits;
    for (size_t i = 0; i < r->pairs; i++) *place_of(r, r->pair[i].ids) = (uint32_t)i + 1;
    return 0;
}

/* A pair by its ids, new or not. */
static int pair_of(struct learner *r, uint32_t left, uint32_t right, uint32_t *pair)
{
    uint64_t ids = (uint64_t)left << 32 | right;
    if (!r->bits || r->pairs >= (size_t)1 << (r->bits - 1)) TRY(widen(r));
    uint32_t *place = place_of(r, ids);
    if (!*place) {
        TRY(room_for(&r->pair, r->pairs, &r->pair_room, sizeof *r->pair));
        r->pair[r->pairs++] = (struct pair){ .ids = ids };
        *place = (uint32_t)r->pairs;
    }
    *pair = *place - 1;
    return 0;
}

/* One occurrence more, at a place; it stands for `times`. */
static int find(struct learner *r, uint32_t left, uint32_t right, uint32_t at, uint64_t times)
{
    uint32_t pair;
    TRY(pair_of(r, left, right, &pair));
    TRY(room_for(&r->found, r->found_n, &r->found_room, sizeof *r->found));
    TRY(room_for(&r->changed, r->changed_n, &r->changed_room, sizeof *r->changed));
    struct pair *p = &r->pair[pair];
    if (!p->found++) r->changed[r->changed_n++] = pair;
    p->count += times;
    r->found[r->found_n++] = (struct find){ pair, at };
    return 0;
}

static void lose(struct learner *r, uint32_t left, uint32_t right, uint64_t times)
{
    r->pair[*place_of(r, (uint64_t)left << 32 | right) - 1].count -= times;
}

/* ---- the heap: most often on top, of equals the lower ids ---- */

static int is_above(const struct learner *r, struct entry a, struct entry b)
{
    return a.count != b.count ? a.count > b.count : r->pair[a.pair].ids < r->pair[b.pair].ids;
}

static int heap_push(struct learner *r, uint32_t pair)
{
    TRY(room_for(&r->heap, r->heap_n, &r->heap_room, sizeof *r->heap));
    struct entry e = { r->pair[pair].count, pair };
    size_t i = r->heap_n++;
    for (; i > 0 && is_above(r, e, r->heap[(i - 1) / 2]); i = (i - 1) / 2) r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = e;
    return 0;
}

static void heap_sink(struct learner *r, struct entry e)     /* from the top */
{
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < r->heap_n; i = child) {
        if (child + 1 < r->heap_n && is_above(r, r->heap[child + 1], r->heap[child])) child++;
        if (!is_above(r, r->heap[child], e)) break;
        r->heap[i] = r->heap[child];
    }
    if (r->heap_n) r->heap[i] = e;
}

/* The pair that occurs most often; NONE: none occurs often enough. */
static uint32_t heap_pop(struct learner *r)
{
    uint64_t least = r->l->least ? r->l->least : 1;
    while (r->heap_n) {
        struct entry top = r->heap[0];
        const struct pair *p = &r->pair[top.pair];
        if (top.count == p->count && p->count >= least) {
            heap_sink(r, r->heap[--r->heap_n]);
            return top.pair;
        }
        top.count = p->count;
        if (top.count < least) top = r->heap[--r->heap_n];
        heap_sink(r, top);
    }
    return NONE;
}

/* ---- a round ---- */

/* The places found in this round go to their pairs' lists, and the pairs onto the heap.  All of a pair's places are found in one
 * round: that which makes the younger of its tokens. */
static int settle(struct learner *r)
{
    for (size_t i = 0; i < r->changed_n; i++) {
        struct pair *p = &r->pair[r->changed[i]];
        p->at = arena_take(&r->memory, p->found * sizeof *p->at);
        FAIL_IF(!p->at, E_MEMORY, "no memory to learn merges");
        TRY(heap_push(r, r->changed[i]));
    }
    for (size_t i = 0; i < r->found_n; i++) {
        struct pair *p = &r->pair[r->found[i].pair];
        p->at[p->n++] = r->found[i].at;
    }
    r->found_n = r->changed_n = 0;
    return 0;
}

/* The token of a pair's bytes: a new one.  No two pairs make the same token (ab, c and a, bc): whichever of ab and bc is made first
 * takes up every b that the other would need. */
static int token_of(struct learner *r, uint32_t left, uint32_t right, uint32_t *id)
{
    struct tally *t = &r->out->tokens;
    const struct counted a = t->piece[left], b = t->piece[right];
    struct text both = { 0 };
    size_t index = 0;
    text_bytes(&both, t->bytes + a.at, a.size);
    text_bytes(&both, t->bytes + b.at, b.size);
    int failed = both.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory to learn merges") : tally_add(t, both.at, both.size, 0, &index);
    text_free(&both);
    assert(failed || index + 1 == t->n);
    *id = (uint32_t)index;
    return failed;
}

static int merge_at(struct learner *r, uint32_t at, const struct merge *m)
{
    struct symbol *s = r->symbol, *left = &s[at], *right = left->id == m->left && left->after != NONE ? &s[left->after] : NULL;
    if (!right || right->id != m->right) return 0;
    uint32_t before = left->before, after = right->after;
    uint64_t times = r->l->pieces->piece[left->piece].count;
    if (before != NONE) {
        lose(r, s[before].id, m->left, times);
        TRY(find(r, s[before].id, m->result, before, times));
    }
    if (after != NONE) {
        lose(r, m->right, s[after].id, times);
        TRY(find(r, m->result, s[after].id, at, times));
        s[after].before = at;
    }
    left->id = m->result;
    left->after = after;
    right->id = NONE;
    return 0;
}

static int merge_pair(struct learner *r, uint32_t pair)
{
    const struct pair p = r->pair[pair];
    struct merge m = { (uint32_t)(p.ids >> 32), (uint32_t)p.ids, 0 };
    TRY(token_of(r, m.left, m.right, &m.result));
    TRY(room_for(&r->out->merge, r->out->n, &r->merge_room, sizeof m));
    r->out->merge[r->out->n++] = m;
    for (uint32_t i = 0; i < p.n; i++) TRY(merge_at(r, p.at[i], &m));
    return settle(r);
}

/* ---- the start ---- */

static int start_tokens(struct learnt *out)
{
    for (int32_t point = 0; out->tokens.n < BYTES; point++) {
        int byte = alphabet_byte(point);
        char c = (char)byte;
        if (byte >= 0) TRY(tally_add(&out->tokens, &c, 1, 0, NULL));
    }
    return 0;
}

static int start_symbols(struct learner *r)
{
    const struct tally *t = r->l->pieces;
    uint32_t id[BYTES], at = 0;
    FAIL_IF(t->used >= NONE, E_DATA, "%zu bytes of pieces that differ are too many to learn from", t->used);
    for (uint32_t i = 0; i < BYTES; i++) id[(unsigned char)r->out->tokens.bytes[r->out->tokens.piece[i].at]] = i;
    r->symbol = malloc((t->used + 1) * sizeof *r->symbol);
    FAIL_IF(!r->symbol, E_MEMORY, "no memory to learn merges of %zu bytes", t->used);
    for (size_t p = 0; p < t->n; p++)
        for (uint32_t i = 0, n = t->piece[p].size; i < n; i++, at++) {
            uint32_t own = id[(unsigned char)t->bytes[t->piece[p].at + i]];
            r->symbol[at] = (struct symbol){ own, i ? at - 1 : NONE, i + 1 < n ? at + 1 : NONE, (uint32_t)p };
            if (i) TRY(find(r, r->symbol[at - 1].id, own, at - 1, t->piece[p].count));
        }
    return settle(r);
}

static int run(struct learner *r)
{
    const struct learning *l = r->l;
    TRY(start_tokens(r->out));
    TRY(start_symbols(r));
    for (uint32_t pair; r->out->tokens.n < l->tokens && (pair = heap_pop(r)) != NONE;) {
        TRY(merge_pair(r, pair));
        if (l->progress) l->progress(l->context, r->out->tokens.n, l->tokens);
    }
    return 0;
}

int learn(struct learnt *out, const struct learning *l)
{
    struct learner r = { .l = l, .out = out };
    int failed = run(&r);
    arena_free(&r.memory);
    free(r.symbol);
    free(r.pair);
    free(r.place);
    free(r.heap);
    free(r.found);
    free(r.changed);
    return failed;
}

void learnt_free(struct learnt *l)
{
    tally_free(&l->tokens);
    free(l->merge);
    *l = (struct learnt){ 0 };
}

#ifdef FUZZ_LEARN
/* What a merge makes is what it joins.  Pieces are cut at line ends, and the first byte says how often each occurs. */
static void check(const struct learnt *l)
{
    const struct counted *p = l->tokens.piece;
    for (size_t i = 0; i < l->n; i++) {
        const struct counted *left = &p[l->merge[i].left], *right = &p[l->merge[i].right], *made = &p[l->merge[i].result];
        if (l->merge[i].result >= l->tokens.n || made->size != left->size + right->size) abort();
        if (memcmp(l->tokens.bytes + made->at, l->tokens.bytes + left->at, left->size) || memcmp(l->tokens.bytes + made->at + left->size, l->tokens.bytes + right->at, right->size)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally pieces = { 0 };
    struct learnt out = { 0 };
    const char *at = (const char *)data, *end = at + size;
    for (uint64_t times = size ? data[0] : 0; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop > at && tally_add(&pieces, at, (size_t)(stop - at), times << 32, NULL)) abort();
        at = stop + 1;
    }
    if (learn(&out, &(struct learning){ .pieces = &pieces, .tokens = 300, .least = 1 })) abort();
    check(&out);
    learnt_free(&out);
    tally_free(&pieces);
    return 0;
}
#endif
