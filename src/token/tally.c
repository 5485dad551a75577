/* tally.c -- a hash table that grows, linear probing, and all bytes in one place. */
#include "token/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"
#include "base/rng.h"

WRAPS static uint64_t hash_of(const char *bytes, size_t n)
{
    uint64_t h = rng_hash_bytes(bytes, n);
    return (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
}

/* The place of a piece, or a free one for it. */
static uint32_t *place_of(const struct tally *t, const char *bytes, size_t n, uint64_t hash)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    for (size_t i = hash >> (64 - t->bits);; i = (i + 1) & mask) {
        if (!t->place[i]) return &t->place[i];
        const struct counted *c = &t->piece[t->place[i] - 1];
        if (c->hash == hash && c->size == n && !memcmp(t->bytes + c->at, bytes, n)) return &t->place[i];
    }
}

/* Places, at most half of them taken. */
static int widen(struct tally *t)
{
    int bits = t->bits ? t->bits + 1 : 10;
    uint32_t *place = calloc((size_t)1 << bits, sizeof *place);
    FAIL_IF(!place || bits > 32, E_MEMORY, "no memory to count %zu pieces of text", t->n);
    free(t->place);
    t->place = place;
    t->bits = bits;
    for (size_t i = 0; i < t->n; i++) *place_of(t, t->bytes + t->piece[i].at, t->piece[i].size, t->piece[i].hash) = (uint32_t)i + 1;
    return 0;
}

static int add(struct tally *t, const char *bytes, size_t n, uint64_t hash, uint64_t times, size_t *index)
{
    if (!t->bits || t->n >= (size_t)1 << (t->bits - 1)) TRY(widen(t));
    uint32_t *place = place_of(t, bytes, n, hash);
    if (!*place) {
        int fits = grow(&t->piece, &t->room, t->n + 1, sizeof *t->piece) && grow(&t->bytes, &t->held, t->used + n, 1);
        FAIL_IF(!fits, E_MEMORY, "no memory to count pieces of text");
        memcpy(t->bytes + t->used, bytes, n);
        t->piece[t->n++] = (struct counted){ t->used, 0, hash, (uint32_t)n };
        t->used += n;
        *place = (uint32_t)t->n;
    }
    t->piece[*place - 1].count += times;
    if (index) *index = *place - 1;
    return 0;
}

int tally_add(struct tally *t, const char *bytes, size_t n, uint64_t times, size_t *index)
{
    FAIL_IF(n > UINT32_MAX / 2, E_DATA, "%zu bytes without a place to cut them; a piece of text ends at 2 GiB", n);
    return add(t, bytes, n, hash_of(bytes, n), times, index);
}

int tally_merge(struct tally *t, const struct tally *more)
{
    for (size_t i = 0; i < more->n; i++) TRY(add(t, more->bytes + more->piece[i].at, more->piece[i].size, more->piece[i].hash, more->piece[i].count, NULL));
    return 0;
}

void tally_free(struct tally *t)
{
    free(t->piece);
    free(t->bytes);
    free(t->place);
    *t = (struct tally){ 0 };
}
