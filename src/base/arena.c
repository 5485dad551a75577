/* arena.c -- a list of chunks, each twice the size of the one before. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
    _Alignas(16) char bytes[];
};

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

static struct arena_chunk *grow(struct arena *a, size_t size)
{
    size_t want = a->chunk ? a->chunk->size * 2 : FIRST_CHUNK;
    if (want > LARGEST_CHUNK) want = LARGEST_CHUNK;
    if (want < size) want = size;
    struct arena_chunk *c = size > SIZE_MAX / 2 ? NULL : calloc(1, sizeof *c + want);
    if (!c) {
        a->failed = 1;
        return NULL;
    }
    c->size = want;
    c->next = a->chunk;
    return a->chunk = c;
}

void *arena_take(struct arena *a, size_t size)
{
    struct arena_chunk *c = a->chunk;
    size_t need = (size + 15) & ~(size_t)15;
    if (need < size) {
        a->failed = 1;
        return NULL;
    }
    if (!c || c->size - c->used < need) c = grow(a, need);
    if (!c) return NULL;
    void *p = c->bytes + c->used;
    c->used += need;
    return p;
}

char *arena_copy(struct arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = arena_take(a, n);
    return copy ? memcpy(copy, text, n) : NULL;
}

char *arena_format(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : arena_take(a, (size_t)n + 1);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void arena_free(struct arena *a)
{
    while (a->chunk) {
        struct arena_chunk *next = a->chunk->next;
        free(a->chunk);
        a->chunk = next;
    }
    a->failed = 0;
}
