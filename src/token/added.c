/* added.c -- a sorted list is walked like a trie: each byte of the text narrows the range of tokens that still fit.
 *
 * So a place in the text costs at most the length of the longest token times the logarithm of their number, and no set of
 * tokens makes it worse; for nearly all places the table of first bytes says no at once. */
#include "token/added.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "token/unicode.h"

void added_build(struct added *a, struct tokens list)
{
    *a = (struct added){ .list = list };
    qsort(list.at, list.n, sizeof *list.at, token_compare);
    for (size_t i = 0; i < list.n; i++) {
        a->starts[(unsigned char)list.at[i].bytes[0]] = 1;
        const struct token *t = &list.at[i];
        unsigned char last = (unsigned char)t->bytes[t->size - 1];
        a->crosses |= strpbrk(t->bytes, " \n") != NULL || t->flags & (TOKEN_LSTRIP | TOKEN_RSTRIP);
        a->ends_words |= last >= 0x80 || isalnum(last);
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

/* ---- what stands around ---- */

/* \w of Rust's regex library: letters, marks, decimal and letter numbers, joining punctuation, joiners, letters in circles and squares. */
static int is_word(int32_t point)
{
    if (point < 0) return 0;
    if (unicode_class((uint32_t)point) & (CHAR_LETTERS | CHAR_MARK)) return 1;
    utf8proc_category_t c = utf8proc_category(point);
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_PC || (point | 1) == 0x200d || (point >= 0x24b6 && point <= 0x24e9) ||
           (point >= 0x1f130 && point <= 0x1f149) || (point >= 0x1f150 && point <= 0x1f169) || (point >= 0x1f170 && point <= 0x1f189);
}

static int32_t point_at(const char *text, size_t n, size_t at, size_t *size) { return at < n ? utf8_next(text + at, n - at, size) : UTF8_BAD; }

size_t added_before(const struct token *t, const char *text, size_t at)
{
    size_t from = at, size;
    while (t->flags & TOKEN_LSTRIP && unicode_is_space(utf8_last(text, from, &size))) from -= size;
    return at - from;
}

size_t added_behind(const struct token *t, const char *text, size_t n, size_t at)
{
    size_t end = at, size;
    while (t->flags & TOKEN_RSTRIP && unicode_is_space(point_at(text, n, end, &size))) end += size;
    return end - at;
}

static int is_part_of_word(const struct token *t, const char *text, size_t n, size_t at)
{
    size_t size;
    return t->flags & TOKEN_SINGLE_WORD && (is_word(utf8_last(text, at, &size)) || is_word(point_at(text, n, at + t->size, &size)));
}

/* ---- finding ---- */

const struct token *added_next(const struct added *a, const char *text, size_t n, size_t *at)
{
    for (size_t i = *at; a->list.n && i < n; i++) {
        const char *start = a->only < 0 ? text + i : memchr(text + i, a->only, n - i);
        if (!start) return NULL;
        i = (size_t)(start - text);
        const struct token *t = a->starts[(unsigned char)text[i]] ? longest_at(&a->list, text + i, n - i) : NULL;
        if (t && is_part_of_word(t, text, n, i)) i += t->size - 1;           /* nor is looked for what begins within it */
        else if (t) {
            *at = i;
            return t;
        }
    }
    return NULL;
}
