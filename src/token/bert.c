/* bert.c -- most text is ASCII, which needs no tables; what lies between is normalized by itself, since no form of Unicode reaches
 * across a character of ASCII. */
#include "token/bert.h"

#include <stdint.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/normal.h"
#include "token/unicode.h"

/* ---- characters ---- */

/* What a character is, as bits.  MARK is StripAccents' word for it, NONSPACING BertNormalizer's: their tables are not of one age. */
enum { CONTROL = 1, PUNCTUATION = 2, MARK = 4, NONSPACING = 8, SPACE = 16 };

/* Characters that are not to Hugging Face's library what their general category says, since its tables are of Unicode 8.0 and 9.0
 * (tokenizers 0.23.3): made by tests/twin/make_bert.py, which asks it about each, for categories of utf8proc 2.8 up to Unicode 17.0. */
static const struct exception { uint32_t first, last; unsigned is; } exceptions[] = {
    { 0x61d, 0x61d, 0 }, { 0x7fd, 0x7fd, 0 }, { 0x890, 0x8d3, 0 }, { 0x8d4, 0x8e1, MARK }, { 0x8e2, 0x8e2, 0 }, { 0x9fd, 0x9fe, 0 },
    { 0xa76, 0xa76, 0 }, { 0xafa, 0xaff, 0 }, { 0xb55, 0xb55, 0 }, { 0xc04, 0xc3c, 0 }, { 0xc77, 0xc77, 0 }, { 0xc84, 0xc84, 0 }, { 0xcf3, 0xd00, 0 },
    { 0xd3b, 0xd3c, 0 }, { 0xd81, 0xd81, 0 }, { 0xeba, 0xeba, 0 }, { 0xece, 0xece, 0 }, { 0x166d, 0x166d, PUNCTUATION }, { 0x1715, 0x1715, 0 },
    { 0x1734, 0x1734, MARK | NONSPACING }, { 0x180f, 0x180f, 0 }, { 0x1885, 0x1886, MARK }, { 0x1abf, 0x1aeb, 0 }, { 0x1b4e, 0x1b4f, 0 },
    { 0x1b7d, 0x1b7f, 0 }, { 0x1cf2, 0x1cf3, MARK }, { 0x1cf7, 0x1cf7, 0 }, { 0x1df6, 0x1dfa, 0 }, { 0x1dfb, 0x1dfb, MARK }, { 0x2e43, 0x2e5d, 0 },
    { 0xa82c, 0xa82c, 0 }, { 0xa8c5, 0xa8c5, MARK }, { 0xa8ff, 0xa8ff, 0 }, { 0xa9bd, 0xa9bd, MARK }, { 0xfffd, 0xfffd, CONTROL },
    { 0x10d24, 0x10f89, 0 }, { 0x11070, 0x11074, 0 }, { 0x110c2, 0x110cd, 0 }, { 0x11145, 0x11146, 0 }, { 0x111c9, 0x111c9, PUNCTUATION },
    { 0x111ce, 0x111cf, 0 }, { 0x1123e, 0x1123e, MARK }, { 0x11241, 0x11241, 0 }, { 0x1133b, 0x1133b, 0 }, { 0x113b8, 0x113e2, 0 },
    { 0x11438, 0x11446, MARK }, { 0x1144b, 0x1145e, 0 }, { 0x11660, 0x1166c, 0 }, { 0x116b9, 0x116b9, 0 }, { 0x1171e, 0x1171e, MARK | NONSPACING },
    { 0x1182c, 0x11be1, 0 }, { 0x11c30, 0x11c36, MARK }, { 0x11c38, 0x11c3f, MARK }, { 0x11c41, 0x11c71, 0 }, { 0x11c92, 0x11ca7, MARK },
    { 0x11caa, 0x11cb6, MARK }, { 0x11d31, 0x11fff, 0 }, { 0x12ff1, 0x1612f, 0 }, { 0x16d6d, 0x16f4f, 0 }, { 0x16f7f, 0x16f87, 0 },
    { 0x16fe2, 0x16ff1, 0 }, { 0x1cf00, 0x1cf46, 0 }, { 0x1e000, 0x1e006, MARK }, { 0x1e008, 0x1e018, MARK }, { 0x1e01b, 0x1e021, MARK },
    { 0x1e023, 0x1e024, MARK }, { 0x1e026, 0x1e02a, MARK }, { 0x1e08f, 0x1e6f5, 0 }, { 0x1e944, 0x1e94a, MARK }, { 0x1e95e, 0x1e95f, 0 },
};

static const uint8_t by_category[32] = {
    [UTF8PROC_CATEGORY_CC] = CONTROL, [UTF8PROC_CATEGORY_CF] = CONTROL, [UTF8PROC_CATEGORY_CO] = CONTROL,
    [UTF8PROC_CATEGORY_MN] = MARK | NONSPACING, [UTF8PROC_CATEGORY_MC] = MARK, [UTF8PROC_CATEGORY_ME] = MARK,
    [UTF8PROC_CATEGORY_PC] = PUNCTUATION, [UTF8PROC_CATEGORY_PD] = PUNCTUATION, [UTF8PROC_CATEGORY_PS] = PUNCTUATION, [UTF8PROC_CATEGORY_PE] = PUNCTUATION,
    [UTF8PROC_CATEGORY_PI] = PUNCTUATION, [UTF8PROC_CATEGORY_PF] = PUNCTUATION, [UTF8PROC_CATEGORY_PO] = PUNCTUATION,
};

/* All of ASCII that is printed and neither letter nor digit is punctuation here, also what Unicode calls a symbol ($, +, ~).
 * Tabs and line ends are no controls to BERT; VT and FF are, and white space to those who keep them. */
#define C CONTROL
#define S SPACE
#define P PUNCTUATION
#define EIGHT(x) x, x, x, x, x, x, x, x
static const uint8_t ascii[128] = {
    EIGHT(C), C, S, S, C | S, C | S, S, C, C, EIGHT(C), EIGHT(C),
    S, P, P, P, P, P, P, P, EIGHT(P), EIGHT(0), 0, 0, P, P, P, P, P, P,
    P, 0, 0, 0, 0, 0, 0, 0, EIGHT(0), EIGHT(0), 0, 0, 0, P, P, P, P, P,
    P, 0, 0, 0, 0, 0, 0, 0, EIGHT(0), EIGHT(0), 0, 0, 0, P, P, P, P, C,
};
#undef C
#undef S
#undef P
#undef EIGHT

static unsigned by_table(uint32_t point)
{
    const struct exception *e = unicode_range(exceptions, sizeof exceptions / sizeof *exceptions, sizeof *exceptions, point);
    return e ? e->is : by_category[utf8proc_category((utf8proc_int32_t)point)];
}

/* Most are letters, of which two were marks when the library's tables were made. */
static inline unsigned kind_of(uint32_t point)
{
    if (point < 0x80) return ascii[point];
    unsigned class = unicode_class(point);
    if (class & (CHAR_LETTERS | CHAR_NUMBER) && point != 0x1cf2 && point != 0x1cf3) return 0;
    return by_table(point) | (class == CHAR_SPACE ? SPACE : 0);
}

/* Of the character at `at` < n, whose length is stored. */
static inline unsigned kind_at(const char *text, size_t n, size_t at, size_t *size)
{
    *size = 1;
    return (unsigned char)text[at] < 0x80 ? ascii[(unsigned char)text[at]] : kind_of((uint32_t)utf8_next(text + at, n - at, size));
}

/* The blocks of CJK Unified Ideographs with extensions and compatibility; the sixth should begin at U+2B820, but the library has it so. */
static int is_chinese(uint32_t point)
{
    static const struct { uint32_t first, last; } blocks[] = {
        { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff }, { 0xf900, 0xfaff }, { 0x20000, 0x2a6df }, { 0x2a700, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0x2f800, 0x2fa1f },
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (point >= blocks[i].first && point <= blocks[i].last) return 1;
    return 0;
}

/* ---- steps ---- */

static void clean(unsigned steps, const char *text, size_t n, struct text *out)
{
    size_t from = 0, size;
    for (size_t at = 0; at < n; at += size) {
        uint32_t point = (uint32_t)utf8_next(text + at, n - at, &size);
        int apart = steps & BERT_CHINESE && is_chinese(point);
        unsigned kind = steps & BERT_CLEAN && !apart ? kind_of(point) & (CONTROL | SPACE) : 0;
        if (!apart && !kind) continue;
        text_bytes(out, text + from, at - from);
        if (apart) text_add(out, " "), text_bytes(out, text + at, size);
        if (!(kind & CONTROL)) text_add(out, " ");
        from = at + size;
    }
    text_bytes(out, text + from, n - from);
}

static void drop(unsigned kinds, const char *text, size_t n, struct text *out)
{
    size_t from = 0, size;
    for (size_t at = 0; at < n; at += size) {
        if (!(kind_at(text, n, at, &size) & kinds)) continue;
        text_bytes(out, text + from, at - from);
        from = at + size;
    }
    text_bytes(out, text + from, n - from);
}

int bert_strip_accents(const char *text, size_t n, struct text *out)
{
    drop(MARK, text, n, out);
    FAIL_IF(out->failed, E_MEMORY, "no memory to normalize %zu bytes of text", n);
    return 0;
}

/* Any text.  No letter becomes a mark or ceases to be one when it becomes small, so marks may go after that. */
static int any(unsigned steps, const char *text, size_t n, struct text work[2], struct text *out)
{
    struct normalizer forms = { .n = 0 };
    if (steps & BERT_ACCENTS) forms.step[forms.n++].form = NORMAL_NFD;
    if (steps & BERT_LOWER) forms.step[forms.n++].form = NORMAL_LOWERCASE;
    text_clear(&work[0]);
    text_clear(&work[1]);
    clean(steps, text, n, &work[0]);
    FAIL_IF(work[0].failed, E_MEMORY, "no memory to normalize %zu bytes of text", n);
    if (work[0].size) TRY(normal_apply(&forms, 1, work[0].at, work[0].size, &work[1]));
    if (work[1].size) drop(steps & BERT_ACCENTS ? NONSPACING : 0, work[1].at, work[1].size, out);
    return 0;
}

static void only_ascii(unsigned steps, const char *text, size_t n, struct text *out)
{
    char *to = text_more(out, n);
    size_t kept = 0;
    for (size_t i = 0; i < n && to; i++) {
        unsigned char c = (unsigned char)text[i], kind = steps & BERT_CLEAN ? ascii[c] : 0;
        if (kind & CONTROL) continue;
        to[kept++] = (char)(kind & SPACE ? ' ' : steps & BERT_LOWER && c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    if (!to) return;
    out->size -= n - kept;
    to[kept] = 0;
}

/* A stretch of other characters ends where so many of ASCII follow that it is worth to stop. */
enum { FEW = 16 };

static size_t ascii_end(const char *text, size_t n, size_t at)
{
    while (at < n && (unsigned char)text[at] < 0x80) at++;
    return at;
}

static size_t other_end(const char *text, size_t n, size_t at)
{
    size_t end = at;
    for (; at < n && at - end < FEW; at++)
        if ((unsigned char)text[at] >= 0x80) end = at + 1;
    return end;
}

int bert_normalize(unsigned steps, const char *text, size_t n, struct text *out)
{
    struct text work[2] = { 0 };
    int failed = 0;
    for (size_t at = 0, end; at < n && !failed; at = end) {
        if ((end = ascii_end(text, n, at)) > at) {
            only_ascii(steps, text + at, end - at, out);
        } else {
            end = other_end(text, n, at);
            failed = any(steps, text + at, end - at, work, out);
        }
    }
    text_free(&work[0]);
    text_free(&work[1]);
    if (failed) return failed;
    FAIL_IF(out->failed, E_MEMORY, "no memory to normalize %zu bytes of text", n);
    return 0;
}

/* ---- pieces ---- */

size_t bert_piece(const char *text, size_t n, size_t at)
{
    size_t size;
    unsigned first = kind_at(text, n, at, &size) & (SPACE | PUNCTUATION);
    at += size;
    if (first & PUNCTUATION) return at;
    while (at < n && (kind_at(text, n, at, &size) & (SPACE | PUNCTUATION)) == first) at += size;
    return at;
}

int bert_is_space(const char *text, size_t n)
{
    size_t size;
    return (kind_at(text, n, 0, &size) & SPACE) != 0;
}
