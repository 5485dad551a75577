/* vocab.c -- a table by id, and one by bytes.
 *
 * Bytes have a place by their hash, for one token each; whoever finds it taken stands in a sorted list.  So a file's tokens, whatever they
 * are, can make a look-up no slower than that list's, and no secret is needed. */
#include "text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"

int token_compare(const void *a, const void *b)
{
    const struct token *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

const struct token *tokens_find(struct tokens sorted, const char *bytes, size_t n)
{
    struct token key = { .bytes = bytes, .size = (uint32_t)n };
    return n <= UINT32_MAX ? bsearch(&key, sorted.at, sorted.n, sizeof *sorted.at, token_compare) : NULL;
}

static uint32_t *place_of(const struct vocab *v, const char *bytes, size_t n)
{
    return &v->place[rng_place(bytes, n, v->places)];
}

int64_t vocab_find(const struct vocab *v, const char *bytes, size_t n)
{
    uint32_t first = *place_of(v, bytes, n);
    if (!first) return -1;
    const struct token *t = &v->model.at[first - 1];
    if (t->size != n || memcmp(t->bytes, bytes, n)) t = tokens_find(v->crowded, bytes, n);
    return t ? (int64_t)t->id : -1;
}

/* ---- building ---- */

static uint32_t largest_id(struct tokens list)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < list.n; i++)
        if (list.at[i].id > largest) largest = list.at[i].id;
    return largest;
}

/* The table's size follows from the largest id, and a small file must not be able to ask for a large table. */
static int count_ids(struct vocab *v, struct tokens model, struct tokens added, const char *what)
{
    uint32_t a = largest_id(model), b = largest_id(added), largest = a > b ? a : b;
    FAIL_IF(model.n + added.n == 0, E_DATA, "%s: the vocabulary is empty", what);
    FAIL_IF(largest >= MAX_IDS, E_DATA, "%s: id %u is too large: ids end at %d", what, largest, MAX_IDS - 1);
    FAIL_IF(largest / 2 > model.n + added.n, E_DATA, "%s: ids go up to %u, but there are only %zu tokens", what, largest,
            model.n + added.n);
    v->n = largest + 1;
    return 0;
}

static int place_all(struct vocab *v, struct tokens list, const char *what)
{
    char old[QUOTE_SIZE], new[QUOTE_SIZE];
    for (size_t i = 0; i < list.n; i++) {
        const struct token *t = &list.at[i];
        struct token *slot = &v->at[t->id];
        FAIL_IF(t->size == 0, E_DATA, "%s: the token with id %u has no bytes", what, t->id);
        FAIL_IF(slot->bytes && token_compare(slot, t), E_DATA, "%s: id %u stands for two tokens, %s and %s", what, t->id,
                quote(old, slot->bytes, slot->size), quote(new, t->bytes, t->size));
        *slot = *t;
    }
    return 0;
}

static int two_ids(const struct token *a, const struct token *b, const char *what)
{
    char text[QUOTE_SIZE];
    FAIL_IF(!token_compare(a, b), E_DATA, "%s: the token %s has two ids, %u and %u", what, quote(text, a->bytes, a->size), a->id,
            b->id);
    return 0;
}

/* Four places a token, so that seven of eight have their own. */
static int give_places(struct vocab *v, struct arena *memory, struct tokens model, const char *what)
{
    for (v->places = 1; v->places < 4 * model.n;) v->places *= 2;
    v->model = model;
    v->place = take_array(memory, v->places, sizeof *v->place);
    v->crowded.at = take_array(memory, model.n, sizeof *v->crowded.at);
    FAIL_IF(!v->place || !v->crowded.at, E_MEMORY, "%s: no memory for %zu tokens", what, model.n);
    for (size_t i = 0; i < model.n; i++) {
        uint32_t *place = place_of(v, model.at[i].bytes, model.at[i].size);
        if (*place) TRY(two_ids(&model.at[*place - 1], &model.at[i], what));
        if (*place) v->crowded.at[v->crowded.n++] = model.at[i];
        else *place = (uint32_t)i + 1;
    }
    qsort(v->crowded.at, v->crowded.n, sizeof *v->crowded.at, token_compare);
    for (size_t i = 1; i < v->crowded.n; i++) TRY(two_ids(&v->crowded.at[i - 1], &v->crowded.at[i], what));
    return 0;
}

int vocab_build(struct vocab *v, struct arena *memory, struct tokens model, struct tokens added, const char *what)
{
    TRY(count_ids(v, model, added, what));
    v->at = take_array(memory, v->n, sizeof *v->at);
    FAIL_IF(!v->at, E_MEMORY, "%s: no memory for %u tokens", what, v->n);
    TRY(place_all(v, model, what));
    TRY(place_all(v, added, what));                          /* later, so that the flags of added tokens stand in the table */
    return give_places(v, memory, model, what);
}

/* ---- messages ---- */

const char *quote(char out[QUOTE_SIZE], const char *bytes, size_t n)
{
    static const char dots[] = "...\"";
    size_t k = 0, i;
    out[k++] = '"';
    for (i = 0; i < n && k + 4 + sizeof dots <= QUOTE_SIZE; i++) {           /* a byte takes up to four characters */
        unsigned char c = (unsigned char)bytes[i];
        int plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        k += (size_t)snprintf(out + k, QUOTE_SIZE - k, plain ? "%c" : "\\x%02x", c);
    }
    snprintf(out + k, QUOTE_SIZE - k, "%s", i < n ? dots : "\"");
    return out;
}
