/* packing.c -- first fit over a few windows that are open: some percent of the rows stay empty, and nothing is sorted by length. */
#include "text/packing.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"
#include "token/chat.h"

/* ---- excerpts ---- */

static size_t end_of(const struct split_tokens *t, size_t i) { return i + 1 < t->n_starts ? t->start[i + 1] : t->n; }

enum excerpt_kind dataset_excerpt(const struct dataset *d, enum split s, size_t i, int64_t block, struct excerpt *e)
{
    const struct split_tokens *t = &d->split[s];
    const uint8_t *flags = t->flags.at;
    size_t start = t->start[i], last = end_of(t, i) - 1, turn = start;
    *e = (struct excerpt){ .start = start, .rest = start };
    while (last > start && !(flags[last] & CHAT_COUNTS)) last--;
    if (last == start) return EXCERPT_NONE;                  /* nothing is learnt from it */
    if (last - start <= (size_t)block) {
        e->rows = (int64_t)(last - start);
        return EXCERPT_WHOLE;
    }
    while (turn < last && !(flags[turn] & CHAT_TURN)) turn++;
    size_t head = turn - start;
    while (turn < last && (head + last - turn > (size_t)block || !(flags[turn] & CHAT_TURN))) turn++;
    if (turn == last) return EXCERPT_NONE;
    *e = (struct excerpt){ start, turn, (int64_t)head, (int64_t)(head + last - turn) };
    return EXCERPT_CUT;
}

void dataset_read_excerpt(const struct dataset *d, enum split s, const struct excerpt *e, int32_t *ids, int32_t *targets)
{
    const uint8_t *flags = d->split[s].flags.at;
    for (int64_t k = 0; k <= e->rows; k++) {
        size_t at = k < e->head ? e->start + (size_t)k : e->rest + (size_t)(k - e->head);
        int32_t id = (int32_t)dataset_id(d, s, at);
        if (k < e->rows) ids[k] = id;
        if (k > 0) targets[k - 1] = flags[at] & CHAT_COUNTS ? id : -1;
    }
}

/* ---- windows ---- */

enum { OPEN = 16 };
struct open { size_t window; int64_t room; int n; };

/* All that fit, in random order (Fisher and Yates). */
static size_t gather(const struct dataset *d, struct packing *p, int32_t *rows)
{
    const struct split_tokens *t = &d->split[SPLIT_TRAIN];
    size_t n = 0;
    for (size_t i = 0; i < t->n_starts; i++) {
        struct excerpt e;
        enum excerpt_kind kind = dataset_excerpt(d, SPLIT_TRAIN, i, p->block, &e);
        p->cut += kind == EXCERPT_CUT;
        p->none += kind == EXCERPT_NONE;
        rows[i] = (int32_t)e.rows;
        if (kind != EXCERPT_NONE) p->order[n++] = (uint32_t)i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = rng_below(p->key, i, i);
        uint32_t swap = p->order[k];
        p->order[k] = p->order[i - 1];
        p->order[i - 1] = swap;
    }
    return n;
}

/* The first open window with room; else a new one in the place of the fullest. */
static struct open *find_room(struct open *open, int64_t rows, struct packing *p)
{
    struct open *fullest = open;
    for (struct open *o = open; o < open + OPEN; o++) {
        if (o->room >= rows && o->n < PACKING_MOST) return o;
        if (o->room < fullest->room) fullest = o;
    }
    *fullest = (struct open){ .window = p->windows++, .room = p->block };
    return fullest;
}

/* Conversations of one window come together, in the order in which they were put there. */
static int sort_by_window(struct packing *p, const size_t *window, size_t n)
{
    uint32_t *sorted = malloc((n + 1) * sizeof *sorted);
    p->first = calloc(p->windows + 2, sizeof *p->first);     /* one more, since each count becomes a place */
    if (!sorted || !p->first) {
        free(sorted);
        FAIL(E_MEMORY, "no memory to pack conversations");
    }
    for (size_t k = 0; k < n; k++) p->first[window[k] + 2]++;
    for (size_t i = 2; i <= p->windows; i++) p->first[i] += p->first[i - 1];
    for (size_t k = 0; k < n; k++) sorted[p->first[window[k] + 1]++] = p->order[k];
    free(p->order);
    p->order = sorted;
    return 0;
}

static int pack(const struct dataset *d, struct packing *p, int32_t *rows, size_t *window)
{
    struct open open[OPEN] = { 0 };
    size_t n = gather(d, p, rows);
    FAIL_IF(!n, E_DATA, "%s: none of %zu conversations fits into a block_size of %lld; choose a larger one", d->folder, p->none, (long long)p->block);
    for (size_t k = 0; k < n; k++) {
        int32_t need = rows[p->order[k]];
        struct open *o = find_room(open, need, p);
        o->room -= need;
        o->n++;
        window[k] = o->window;
    }
    return sort_by_window(p, window, n);
}

int dataset_pack(struct dataset *d, int64_t block, uint64_t key)
{
    size_t n = d->split[SPLIT_TRAIN].n_starts;
    FAIL_IF(n > UINT32_MAX, E_DATA, "%s: %zu conversations are too many", d->folder, n);
    packing_free(d->packing);
    struct packing *p = d->packing = calloc(1, sizeof *p);
    int32_t *rows = malloc((n + 1) * sizeof *rows);
    size_t *window = malloc((n + 1) * sizeof *window);
    if (p) *p = (struct packing){ .block = block, .key = rng_key(key, rng_hash("conversations")), .order = malloc((n + 1) * sizeof *p->order) };
    int code = p && rows && window && p->order ? pack(d, p, rows, window) : error_set(E_MEMORY, __FILE__, __LINE__, "no memory to pack conversations");
    free(rows);
    free(window);
    return code;
}

void packing_free(struct packing *p)
{
    if (!p) return;
    free(p->first);
    free(p->order);
    free(p);
}

/* A round visits the windows by steps of one size, which has no divisor in common with their number. */
size_t packing_draw(const struct packing *p, uint64_t w)
{
    uint64_t n = p->windows, round = w / n, key = rng_key(p->key, round), step = rng_stride(1 + rng_below(key, 0, n), n);
    return (rng_below(key, 1, n) + w % n * step) % n;
}
