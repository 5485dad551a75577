/* regex.c -- PCRE2's spelling of an expression that was written for another library, and its limits.
 *
 * The libraries agree on almost everything that vocabularies use.  What they read differently is either spelled out here so that
 * PCRE2 does what the others do, or refused: \s is White_Space (PCRE2's has U+180E, too), \d is Nd, a script is Script (PCRE2's
 * is Script_Extensions). */
#include "token/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT = 64 << 10 };      /* steps of one search; KiB */

/* ---- spelling ---- */

static int refuse(const char *pattern, const char *what, size_t n)
{
    FAIL(E_DATA, "the expression %.200s: nib cannot do \"%.*s\" as others do", pattern, (int)n, what);
}

static int has(const char *list, char c) { return c && strchr(list, c) != NULL; }

/* \p{...} at p, whose length becomes *n. */
static int spell_property(struct text *out, const char *pattern, const char *p, size_t *n)
{
    size_t name = p[2] == '{' ? strcspn(p + 3, "}") : 0;
    if (p[2] != '{') return refuse(pattern, p, p[2] ? 3 : 2);
    *n = name + 4;
    if (p[3 + name] != '}' || strspn(p + 3, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != name) return refuse(pattern, p, name + 3);
    int category = has("LMNPSZ", p[3]) && (name == 1 || (name == 2 && p[4] >= 'a'));
    int white = name == 11 && !strncmp(p + 3, "White_Space", name);
    if (!category && !white && name < 3) return refuse(pattern, p, *n);
    text_format(out, "\\%c{%s%.*s}", p[1], category || white ? "" : "sc:", (int)name, p + 3);
    return 0;
}

static int spell_escape(struct text *out, const char *pattern, const char *p, size_t *n)
{
    *n = 2;
    switch (p[1]) {
    case 's': text_add(out, "\\p{White_Space}"); return 0;
    case 'S': text_add(out, "\\P{White_Space}"); return 0;
    case 'd': text_add(out, "\\p{Nd}"); return 0;
    case 'D': text_add(out, "\\P{Nd}"); return 0;
    case 'p': case 'P': return spell_property(out, pattern, p, n);
    default: break;
    }
    int sign = p[1] > 0x20 && p[1] < 0x7f && !((p[1] | 0x20) >= 'a' && (p[1] | 0x20) <= 'z') && !(p[1] >= '0' && p[1] <= '9');
    if (!sign && !has("rnt", p[1])) return refuse(pattern, p, p[1] ? 2 : 1);
    text_bytes(out, p, 2);
    return 0;
}

/* Letters whose folding is one letter's, and groups: what (?i: ... ) may hold. */
static int folds_simply(const char *p, size_t n)
{
    static const char *const folded[] = { "ss", "ff", "fi", "fl", "st" };          /* of ligatures and the sharp s */
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z') && !has("'|", p[i])) return 0;
        for (size_t f = 0; i + 1 < n && f < sizeof folded / sizeof *folded; f++)
            if ((p[i] | 0x20) == folded[f][0] && (p[i + 1] | 0x20) == folded[f][1]) return 0;
    }
    return 1;
}

/* ( and what follows it, if that says what kind of group it is. */
static int spell_group(struct text *out, const char *pattern, const char *p, size_t *n)
{
    static const char *const kinds[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(p, kinds[i], strlen(kinds[i]))) {
            *n = strlen(kinds[i]);
            text_add(out, kinds[i]);
            return 0;
        }
    *n = !strncmp(p, "(?i:", 4) ? 4 + strcspn(p + 4, ")") : 1;
    if (*n > 1 ? !folds_simply(p + 4, *n - 4) : has("?*", p[1])) return refuse(pattern, p, *n > 1 ? *n : 3 < strlen(p) ? 3 : strlen(p));
    text_bytes(out, p, *n);
    return 0;
}

/* Counts: {n}, {n,} and {n,m}; not {,m}, nor a + behind it, which makes it possessive for some and repeats it for others. */
static int spell_count(struct text *out, const char *pattern, const char *p, size_t *n)
{
    size_t end = strspn(p + 1, "0123456789,") + 1;
    if (p[1] == ',' || end == 1 || p[end] != '}' || p[end + 1] == '+') return refuse(pattern, p, p[end] ? end + 1 + (p[end + 1] == '+') : end);
    *n = end + 1;
    text_bytes(out, p, *n);
    return 0;
}

/* Elements of a class, from behind its [ to its ]; classes in classes and their intersections are others' alone. */
static int spell_class(struct text *out, const char *pattern, const char *p, size_t *n)
{
    const char *from = p++;
    text_add(out, "[");
    if (*p == '^') text_bytes(out, p++, 1);
    if (*p == ']') return refuse(pattern, from, (size_t)(p - from) + 1);
    for (size_t size; *p != ']'; p += size) {
        size = 1;
        if (!*p || *p == '[' || (*p == '&' && p[1] == '&')) return refuse(pattern, from, (size_t)(p - from) + !!*p);
        if (*p == '\\') TRY(spell_escape(out, pattern, p, &size));
        else text_bytes(out, p, 1);
    }
    text_add(out, "]");
    *n = (size_t)(p - from) + 1;
    return 0;
}

static int spell(struct text *out, const char *pattern)
{
    for (const char *p = pattern; *p;) {
        size_t n = 1;
        if (*p == '\\') TRY(spell_escape(out, pattern, p, &n));
        else if (*p == '[') TRY(spell_class(out, pattern, p, &n));
        else if (*p == '(') TRY(spell_group(out, pattern, p, &n));
        else if (*p == '{') TRY(spell_count(out, pattern, p, &n));
        else if (has("^$", *p)) return refuse(pattern, p, 1);                    /* of a line for some, of the text for others */
        else text_bytes(out, p, 1);
        p += n;
    }
    FAIL_IF(out->failed, E_MEMORY, "no memory for a regular expression");
    return 0;
}

/* ---- PCRE2 ---- */

struct regex { pcre2_code *code; pcre2_match_context *limits; };
struct regex_match { pcre2_match_data *data; };

static int compile(struct regex *r, const char *pattern, const char *spelled)
{
    int error;
    uint32_t empty = 0;
    size_t at;
    PCRE2_UCHAR message[128];
    r->code = pcre2_compile((PCRE2_SPTR)spelled, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    FAIL_IF(!r->code && error == PCRE2_ERROR_HEAP_FAILED, E_MEMORY, "no memory for a regular expression");
    if (!r->code) {
        pcre2_get_error_message(error, message, sizeof message);
        FAIL(E_DATA, "PCRE2 cannot read the expression %.200s: %s", pattern, (const char *)message);
    }
    pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
    FAIL_IF(empty, E_DATA, "the expression %.200s can match nothing at all", pattern);
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);          /* where it fails (some CPUs, hardened kernels) matching is slower */
    r->limits = pcre2_match_context_create(NULL);
    FAIL_IF(!r->limits, E_MEMORY, "no memory for a regular expression");
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT);
    return 0;
}

int regex_open(struct regex **out, const char *pattern)
{
    struct text spelled = { 0 };
    struct regex *r = *out = calloc(1, sizeof *r);
    FAIL_IF(!r, E_MEMORY, "no memory for a regular expression");
    int failed = spell(&spelled, pattern);
    if (!failed) failed = compile(r, pattern, spelled.at ? spelled.at : "");
    text_free(&spelled);
    if (!failed) return 0;
    regex_close(r);
    *out = NULL;
    return failed;
}

void regex_close(struct regex *r)
{
    if (!r) return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
    free(r);
}

int regex_match_open(struct regex_match **out)
{
    struct regex_match *m = *out = calloc(1, sizeof *m);
    if (m) m->data = pcre2_match_data_create(1, NULL);
    if (m && m->data) return 0;
    free(m);
    *out = NULL;
    FAIL(E_MEMORY, "no memory for a regular expression");
}

void regex_match_close(struct regex_match *m)
{
    if (m) pcre2_match_data_free(m->data);
    free(m);
}

int regex_find(const struct regex *r, struct regex_match *m, const char *text, size_t n, size_t at, size_t *from, size_t *end)
{
    int found = pcre2_match(r->code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, m->data, r->limits);
    const size_t *range = pcre2_get_ovector_pointer(m->data);
    FAIL_IF(found == PCRE2_ERROR_NOMEMORY, E_MEMORY, "no memory to split text");
    FAIL_IF(found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_HEAPLIMIT || found == PCRE2_ERROR_JIT_STACKLIMIT, E_DATA,
            "the tokenizer's regular expression takes too long at byte %zu of a text of %zu", at, n);
    FAIL_IF(found < 0 && found != PCRE2_ERROR_NOMATCH, E_FAILED, "cannot split text at byte %zu of %zu: PCRE2 error %d", at, n, found);
    *from = found < 0 ? n : range[0];
    *end = found < 0 ? n : range[1];
    return 0;
}

#ifdef FUZZ_REGEX
#include "base/utf8.h"

/* An expression, a NUL, and a text to search. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *pattern = (const char *)data, *nul = size ? memchr(pattern, 0, size) : NULL;
    struct regex *r;
    struct regex_match *m;
    if (!nul || regex_open(&r, pattern)) return 0;
    size_t n = utf8_good(nul + 1, size - (size_t)(nul + 1 - pattern)), from, end;
    if (regex_match_open(&m)) abort();
    for (size_t at = 0; at < n && !regex_find(r, m, nul + 1, n, at, &from, &end); at = end)
        if (from < at || end > n || (from < n && end <= from)) abort();
    regex_match_close(m);
    regex_close(r);
    return 0;
}
#endif
