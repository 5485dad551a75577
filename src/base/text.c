/* text.c -- grows by doubling. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int reserve(struct text *t, size_t more)
{
    if (t->failed) return 0;
    if (more < t->room - t->size) return 1;                  /* one byte stays for the final 0 */
    size_t room = t->room ? t->room : 64;
    while (room - t->size <= more && room <= (size_t)-1 / 4) room *= 2;
    char *at = room - t->size <= more ? NULL : realloc(t->at, room);
    if (!at) {
        t->failed = 1;
        return 0;
    }
    t->at = at;
    t->room = room;
    return 1;
}

char *text_more(struct text *t, size_t n)
{
    if (!reserve(t, n)) return NULL;
    t->size += n;
    t->at[t->size] = 0;
    return t->at + t->size - n;
}

void text_bytes(struct text *t, const void *bytes, size_t n)
{
    char *to = text_more(t, n);
    if (to && n) memcpy(to, bytes, n);
}

void text_add(struct text *t, const char *string)
{
    text_bytes(t, string, strlen(string));
}

void text_format(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(t, (size_t)n)) return;
    va_start(args, format);
    vsnprintf(t->at + t->size, (size_t)n + 1, format, args);
    va_end(args);
    t->size += (size_t)n;
}

void text_drop(struct text *t, size_t n)
{
    t->size -= n;
    memmove(t->at, t->at + n, t->size + 1);
}

void text_clear(struct text *t)
{
    t->size = 0;
    if (t->at) t->at[0] = 0;
}

void text_free(struct text *t)
{
    free(t->at);
    *t = (struct text){ 0 };
}
