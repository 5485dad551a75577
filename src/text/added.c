/* added.c -- a sorted list is walked like a trie: each byte of the text narrows the range of tokens that still fit.
 *
 * So a place in the text costs at most the length of the longest token times the logarithm of their number, and no set of
 * tokens makes it worse; for nearly all places the table of first bytes says no at once. */
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

void added_build(struct added *a, struct tokens list)
{
    *a = (struct added){ .list = list };
    qsort(list.at, list.n, sizeof *list.at, token_compare);
    for (size_t i = 0; i < list.n; i++) {
        a->starts[(unsigned char)list.at[i].bytes[0]] = 1;
        a->crosses |= strpbrk(list.at[i].bytes, " \n") != NULL;
    }
    a->only = list.n && list.at[0].bytes[0] == list.at[list.n - 1].bytes[0] ? (unsigned char)list.at[0].bytes[0] : -1;
}

/* The first token in [from, to), which all agree in their first `depth` bytes, whose next byte is at least this one.  A token
 * that ends there comes before all bytes. */
static size_t lower(const struct tokens *list, size_t from, size_t to, size_t depth, int byte)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct token *t = &list->at[middle];
        int there = depth < t->size ? (unsigned char)t->bytes[depth] : -1;
        if (there < byte) from = middle + 1;
        else to = middle;
    }
    return from;
}

static const struct token *longest_at(const struct tokens *list, const char *text, size_t n)
{
    const struct token *longest = NULL;
    size_t from = 0, to = list->n;
    for (size_t depth = 0; depth < n && from < to; depth++) {
        int byte = (unsigned char)text[depth];
        from = lower(list, from, to, depth, byte);
        to = lower(list, from, to, depth, byte + 1);
        if (from < to && list->at[from].size == depth + 1) longest = &list->at[from];
    }
    return longest;
}

const struct token *added_next(const struct added *a, const char *text, size_t n, size_t *at)
{
    for (size_t i = *at; a->list.n && i < n; i++) {
        const char *start = a->only < 0 ? text + i : memchr(text + i, a->only, n - i);
        if (!start) return NULL;
        i = (size_t)(start - text);
        const struct token *t = a->starts[(unsigned char)text[i]] ? longest_at(&a->list, text + i, n - i) : NULL;
        if (!t) continue;
        *at = i;
        return t;
    }
    return NULL;
}
