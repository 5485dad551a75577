/* normal.c -- texts of ASCII alone are in every normal form already. */
#define _GNU_SOURCE                                          /* memmem */
#include "token/normal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/bert.h"
#include "token/charsmap.h"
#include "token/unicode.h"

const char *const normal_names[NORMAL_FORMS] = {
    [NORMAL_NFC] = "NFC", [NORMAL_NFD] = "NFD", [NORMAL_NFKC] = "NFKC", [NORMAL_NFKD] = "NFKD", [NORMAL_LOWERCASE] = "Lowercase", [NORMAL_STRIP_ACCENTS] = "StripAccents",
};

static const utf8proc_option_t form_options[NORMAL_FORMS] = {
    [NORMAL_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE, [NORMAL_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    [NORMAL_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT, [NORMAL_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

/* Characters that Unicode's forms change or order, but Hugging Face's library does not, whose tables are of Unicode 9.0 (tokenizers
 * 0.23): made by tests/twin/make_normal.py, which asks it about each of Unicode 17.0. */
static const struct { uint32_t first, last; } later[] = {
    { 0x7fd, 0x7fd }, { 0x897, 0x89f }, { 0x8ca, 0x8d3 }, { 0x9fe, 0x9fe }, { 0xc3c, 0xc3c }, { 0xd3b, 0xd3c }, { 0xeba, 0xeba },
    { 0x1715, 0x1715 }, { 0x1abf, 0x1add }, { 0x1ae0, 0x1aeb }, { 0x1df6, 0x1dfa }, { 0x32ff, 0x32ff }, { 0xa7f1, 0xa7f4 }, { 0xa82c, 0xa82c },
    { 0xab69, 0xab69 }, { 0x105c9, 0x105c9 }, { 0x105e4, 0x105e4 }, { 0x10781, 0x10785 }, { 0x10787, 0x107b0 }, { 0x107b2, 0x107ba }, { 0x10d24, 0x10d27 },
    { 0x10d69, 0x10d6d }, { 0x10eab, 0x10eac }, { 0x10efa, 0x10efb }, { 0x10efd, 0x10eff }, { 0x10f46, 0x10f50 }, { 0x10f82, 0x10f85 }, { 0x11070, 0x11070 },
    { 0x1133b, 0x1133b }, { 0x11383, 0x11383 }, { 0x11385, 0x11385 }, { 0x1138e, 0x1138e }, { 0x11391, 0x11391 }, { 0x113b8, 0x113b8 }, { 0x113bb, 0x113bb },
    { 0x113c2, 0x113c2 }, { 0x113c5, 0x113c5 }, { 0x113c7, 0x113c9 }, { 0x113ce, 0x113d0 }, { 0x1145e, 0x1145e }, { 0x11839, 0x1183a }, { 0x11930, 0x11930 },
    { 0x11938, 0x11938 }, { 0x1193d, 0x1193e }, { 0x11943, 0x11943 }, { 0x119e0, 0x119e0 }, { 0x11a34, 0x11a34 }, { 0x11a47, 0x11a47 }, { 0x11a99, 0x11a99 },
    { 0x11d42, 0x11d42 }, { 0x11d44, 0x11d45 }, { 0x11d97, 0x11d97 }, { 0x11f41, 0x11f42 }, { 0x1611e, 0x16129 }, { 0x1612f, 0x1612f }, { 0x16d67, 0x16d6a },
    { 0x16ff0, 0x16ff1 }, { 0x1ccd6, 0x1ccf9 }, { 0x1e030, 0x1e06d }, { 0x1e08f, 0x1e08f }, { 0x1e130, 0x1e136 }, { 0x1e2ae, 0x1e2ae }, { 0x1e2ec, 0x1e2ef },
    { 0x1e4ec, 0x1e4ef }, { 0x1e5ee, 0x1e5ef }, { 0x1e6e3, 0x1e6e3 }, { 0x1e6e6, 0x1e6e6 }, { 0x1e6ee, 0x1e6ef }, { 0x1e6f5, 0x1e6f5 }, { 0x1f16c, 0x1f16c },
    { 0x1fbf0, 0x1fbf9 },
};

/* Capital letters that are newer than utf8proc 2.8's tables; Hugging Face's library knows those of Unicode 17.0. */
static const struct { int32_t first, last, small; } capitals[] = {
    { 0x130, 0x130, 'i' }, { 0x1c89, 0x1c89, 0x1c8a }, { 0xa7cb, 0xa7cb, 0x264 }, { 0xa7cc, 0xa7cc, 0xa7cd }, { 0xa7ce, 0xa7ce, 0xa7cf }, { 0xa7d2, 0xa7d2, 0xa7d3 },
    { 0xa7d4, 0xa7d4, 0xa7d5 }, { 0xa7da, 0xa7da, 0xa7db }, { 0xa7dc, 0xa7dc, 0x19b }, { 0x10d50, 0x10d65, 0x10d70 }, { 0x16ea0, 0x16eb8, 0x16ebb },
};

static int is_later(uint32_t point) { return unicode_range(later, sizeof later / sizeof *later, sizeof *later, point) != NULL; }

static int32_t small_letter(int32_t point)
{
    for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++)
        if (point >= capitals[i].first && point <= capitals[i].last) return point - capitals[i].first + capitals[i].small;
    return utf8proc_tolower(point);
}

/* One character has two as its small letter: the dotted capital I. */
static void lower(const char *text, size_t n, struct text *out)
{
    char utf8[4];
    for (size_t at = 0, size; at < n; at += size) {
        int32_t point = utf8_next(text + at, n - at, &size);
        text_bytes(out, utf8, utf8_put(utf8, (uint32_t)small_letter(point)));
        if (point == 0x130) text_add(out, "\xcc\x87");
    }
}

/* utf8proc orders marks by exchanging neighbours, which would take hours for a megabyte of them.  So long runs of them are ordered before,
 * by counting; the text is the same to Unicode. */
enum { FEW_MARKS = 32, MARK_CLASSES = 256 };

static unsigned mark_class(const char *text, size_t n, size_t *size) { return (unsigned)utf8proc_get_property(utf8_next(text, n, size))->combining_class & 255; }

static void order_run(const char *text, size_t n, char *out)
{
    size_t place[MARK_CLASSES + 1] = { 0 }, size;
    for (size_t at = 0; at < n; at += size) {
        unsigned class = mark_class(text + at, n - at, &size);
        place[class + 1] += size;
    }
    for (int class = 0; class < MARK_CLASSES; class++) place[class + 1] += place[class];
    for (size_t at = 0; at < n; at += size) {
        unsigned class = mark_class(text + at, n - at, &size);
        memcpy(out + place[class], text + at, size);
        place[class] += size;
    }
}

/* Appends the text with its long runs of marks in order. */
static void order_marks(const char *text, size_t n, struct text *out)
{
    size_t done = 0, size;
    for (size_t at = 0, end; at < n; at = end) {
        size_t marks = 0;
        for (end = at; end < n && mark_class(text + end, n - end, &size); end += size) marks++;
        if (marks > FEW_MARKS) {
            text_bytes(out, text + done, at - done);
            char *to = text_more(out, end - at);
            if (to) order_run(text + at, end - at, to);
            done = end;
        }
        if (end < n) end += size;
    }
    text_bytes(out, text + done, n - done);
}

static int map(enum normal_form form, const char *text, size_t n, struct text *out)
{
    uint8_t *made = NULL;
    unsigned char all = 0;
    for (size_t i = 0; i < n; i++) all |= (unsigned char)text[i];
    if (all < 0x80) {
        text_bytes(out, text, n);
        return 0;
    }
    struct text ordered = { 0 };
    order_marks(text, n, &ordered);
    utf8proc_ssize_t size = ordered.failed ? UTF8PROC_ERROR_NOMEM : utf8proc_map((const uint8_t *)ordered.at, (utf8proc_ssize_t)n, &made, form_options[form]);
    if (size >= 0) text_bytes(out, made, (size_t)size);
    text_free(&ordered);
    free(made);
    FAIL_IF(size < 0, E_MEMORY, "cannot normalize %zu bytes of text: %s", n, utf8proc_errmsg(size));
    return 0;
}

/* Characters that are too new stay as they are, and what lies between them is a text by itself. */
static int apply_form(enum normal_form form, const char *text, size_t n, struct text *out)
{
    size_t from = 0, size;
    for (size_t at = 0; at < n; at += size) {
        if (!is_later((uint32_t)utf8_next(text + at, n - at, &size))) continue;
        TRY(map(form, text + from, at - from, out));
        text_bytes(out, text + at, size);
        from = at + size;
    }
    return map(form, text + from, n - from, out);
}

/* ---- white space and words ---- */

static int is_space(const char *text, size_t n, size_t *size) { return unicode_is_space(utf8_next(text, n, size)); }

static void strip(unsigned flags, int is_front, const char *text, size_t n, struct text *out)
{
    size_t from = 0, end = 0, size;
    while (is_front && flags & 1 && from < n && is_space(text + from, n - from, &size)) from += size;
    for (size_t at = from; at < n; at += size)
        if (!is_space(text + at, n - at, &size)) end = at + size;
    if (!(flags & 2)) end = n;
    if (end > from) text_bytes(out, text + from, end - from);
}

static int has(const char *text, size_t n, const char *part) { return n >= strlen(part) && !memcmp(text, part, strlen(part)); }

static void replace(const char *from, const char *to, const char *text, size_t n, struct text *out)
{
    size_t size = strlen(from), at = 0;
    for (const char *found; (found = memmem(text + at, n - at, from, size)); at = (size_t)(found - text) + size) {
        text_bytes(out, text + at, (size_t)(found - text) - at);
        text_add(out, to);
    }
    text_bytes(out, text + at, n - at);
}

static void replace_spaces(const char *to, const char *text, size_t n, struct text *out)
{
    for (size_t at = 0, end; at < n; at = end) {
        for (end = at; end < n && text[end] == ' ';) end++;
        if (end > at + 1) text_add(out, to);
        else text_bytes(out, text + at, end - at);
        for (at = end; end < n && text[end] != ' ';) end++;
        text_bytes(out, text + at, end - at);
    }
}

static void mark_words(const char *to, int is_front, const char *text, size_t n, struct text *out)
{
    size_t size;
    for (size_t at = 0, end; at < n; at = end) {
        int follows = at == 0 && !is_front;
        while (at < n && is_space(text + at, n - at, &size)) at += size, follows = 0;
        for (end = at; end < n && !is_space(text + end, n - end, &size);) end += size;
        if (end > at && !follows && !has(text + at, end - at, to)) text_add(out, to);
        text_bytes(out, text + at, end - at);
    }
}

static void prepend(const struct normal_step *s, int is_front, const char *text, size_t n, struct text *out)
{
    if (is_front && n && !(s->form == NORMAL_PREPEND_UNLESS && has(text, n, s->to))) text_add(out, s->to);
    text_bytes(out, text, n);
}

/* ---- steps ---- */

/* One step on text that is UTF-8. */
static int apply_step(const struct normal_step *s, int is_front, const char *text, size_t n, struct text *out)
{
    switch (s->form) {
    case NORMAL_LOWERCASE: return lower(text, n, out), 0;
    case NORMAL_STRIP: return strip(s->flags, is_front, text, n, out), 0;
    case NORMAL_REPLACE: return replace(s->from, s->to, text, n, out), 0;
    case NORMAL_SPACES: return replace_spaces(s->to, text, n, out), 0;
    case NORMAL_PREPEND: case NORMAL_PREPEND_UNLESS: return prepend(s, is_front, text, n, out), 0;
    case NORMAL_WORDS: return mark_words(s->to, is_front, text, n, out), 0;
    case NORMAL_STRIP_ACCENTS: return bert_strip_accents(text, n, out);
    case NORMAL_BERT: return bert_normalize(s->flags, text, n, out);
    case NORMAL_CHARSMAP: return charsmap_apply(s->map, text, n, out);
    default: return apply_form(s->form, text, n, out);
    }
}

static int apply_all(const struct normal_step *s, int is_front, const char *text, size_t n, struct text *out)
{
    for (size_t at = 0; at < n;) {
        size_t good = utf8_good(text + at, n - at), bad = utf8_bad(text + at + good, n - at - good);
        if (good) TRY(apply_step(s, is_front && at == 0, text + at, good, out));
        text_bytes(out, text + at + good, bad);
        at += good + bad;
    }
    return 0;
}

int normal_apply(const struct normalizer *f, int is_front, const char *text, size_t n, struct text *out)
{
    struct text now = { 0 }, next = { 0 };
    int failed = 0;
    for (int i = 0; i < f->n && !failed; i++) {
        text_clear(&next);
        failed = apply_all(&f->step[i], is_front, i ? now.at : text, i ? now.size : n, &next);
        struct text before = now;
        now = next;
        next = before;
        text_add(&now, "");                                  /* an empty text is at an address, too */
    }
    if (!failed) text_bytes(out, f->n ? now.at : text, f->n ? now.size : n);
    if (now.failed || next.failed) out->failed = 1;
    text_free(&now);
    text_free(&next);
    if (failed) return failed;
    FAIL_IF(out->failed, E_MEMORY, "no memory to normalize %zu bytes of text", n);
    return 0;
}
