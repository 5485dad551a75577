/* vocab.c -- a table by id, and one by bytes. */
#include "token/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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

struct bytes { const char *at; size_t n; };

static int is_token(const void *vocab, uint32_t index, const void *bytes)
{
    const struct token *t = &((const struct vocab *)vocab)->model.at[index];
    const struct bytes *b = bytes;
    return t->size == b->n && !memcmp(t->bytes, b->at, b->n);
}

static uint32_t index_of(const struct vocab *v, const char *bytes, size_t n)
{
    return places_find(&v->places, places_hash(bytes, n), is_token, v, &(struct bytes){ bytes, n });
}

int64_t vocab_find(const struct vocab *v, const char *bytes, size_t n)
{
    uint32_t index = index_of(v, bytes, n);
    if (index == PLACES_NONE) return -1;
    const struct token *t = index == PLACES_CROWDED ? tokens_find(v->crowded, bytes, n) : &v->model.at[index];
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

static int give_places(struct vocab *v, struct arena *memory, struct tokens model, const char *what)
{
    FAIL_IF(model.n > PLACES_MOST, E_DATA, "%s: %zu tokens are too many", what, model.n);
    v->model = model;
    v->places.bits = places_bits(model.n);
    v->places.at = take_array(memory, places_room(v->places.bits), sizeof *v->places.at);
    v->crowded.at = take_array(memory, model.n, sizeof *v->crowded.at);
    FAIL_IF(!v->places.at || !v->crowded.at, E_MEMORY, "%s: no memory for %zu tokens", what, model.n);
    for (size_t i = 0; i < model.n; i++) {
        const struct token *t = &model.at[i];
        uint32_t before = index_of(v, t->bytes, t->size);
        if (before < PLACES_CROWDED) TRY(two_ids(&model.at[before], t, what));
        if (!places_give(&v->places, places_hash(t->bytes, t->size), (uint32_t)i)) v->crowded.at[v->crowded.n++] = *t;
    }
    qsort(v->crowded.at, v->crowded.n, sizeof *v->crowded.at, token_compare);
    for (size_t i = 1; i < v->crowded.n; i++) TRY(two_ids(&v->crowded.at[i - 1], &v->crowded.at[i], what));
    return 0;
}

/* Decoding copies from here, without a look at the tokens. */
static int string_together(struct vocab *v, struct arena *memory, const struct text *all, const char *what)
{
    v->bytes = arena_take(memory, all->size + VOCAB_SLACK);
    FAIL_IF(all->failed || !v->bytes || !v->start, E_MEMORY, "%s: no memory for %u tokens", what, v->n);
    if (all->size) memcpy(v->bytes, all->at, all->size);
    return 0;
}

int vocab_show(struct vocab *v, struct arena *memory, void (*show)(const void *context, const struct token *t, struct text *out), const void *context, const char *what)
{
    struct text all = { 0 };
    v->start = take_array(memory, v->n + (size_t)1, sizeof *v->start);
    for (uint32_t id = 0; id < v->n && v->start && all.size <= UINT32_MAX; id++) {
        const struct token *t = &v->at[id];
        if (t->size && show) show(context, t, &all);
        else if (t->size) text_bytes(&all, t->bytes, t->size);
        v->start[id + 1] = (uint32_t)all.size;
    }
    int code = all.size > UINT32_MAX ? error_set(E_DATA, __FILE__, __LINE__, "%s: more than 4 GiB of tokens are too many", what) : string_together(v, memory, &all, what);
    text_free(&all);
    return code;
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

int vocab_bytes(const struct vocab *v, uint32_t byte[256], const char *what)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        int64_t id = vocab_find(v, name, (size_t)snprintf(name, sizeof name, "<0x%02X>", i));
        FAIL_IF(id < 0, E_DATA, "%s: byte_fallback asks for a token for each byte, but there is no %s", what, name);
        byte[i] = (uint32_t)id;
    }
    return 0;
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
