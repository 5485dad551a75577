/* split.c -- the patterns in use, run by PCRE2. */
#include "text/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <assert.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/utf8.h"

/* ---- the table ---- */

/* PCRE2's \s would also match U+180E; the property is what \s means in the libraries that wrote these vocabularies.
 * Loops are possessive (++) where giving back could not help, as nothing is asked of what follows.  The others give back
 * part of one run of spaces: \s+(?!\S) the last space before a word, \s*[\r\n]+ what follows the last line end.  So the
 * steps of a match are at most a few a byte, and the pieces of a text are found in linear time. */
#define SPACE "\\p{White_Space}"
#define SPACES "|" SPACE "+(?!\\P{White_Space})|" SPACE
#define LATER_REGEX(digits)                                                                                            \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"              \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LATER_OURS(digits)                                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|" digits "| ?[^" SPACE "\\p{L}\\p{N}]++[\\r\\n]*+"   \
    "|" SPACE "*[\\r\\n]++" SPACES

static const struct { const char *regex, *ours; } patterns[SPLIT_PATTERNS] = {
    [SPLIT_GPT2] = { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
                     "'(?:[stmd]|re|ve|ll)| ?\\p{L}++| ?\\p{N}++| ?[^" SPACE "\\p{L}\\p{N}]++" SPACES },
    [SPLIT_LLAMA3] = { LATER_REGEX("\\p{N}{1,3}"), LATER_OURS("\\p{N}{1,3}+") },
    [SPLIT_QWEN2] = { LATER_REGEX("\\p{N}"), LATER_OURS("\\p{N}") },
    [SPLIT_NANOCHAT] = { LATER_REGEX("\\p{N}{1,2}"), LATER_OURS("\\p{N}{1,2}+") },
    [SPLIT_DIGIT] = { NULL, "\\p{N}" },
    [SPLIT_DIGITS] = { NULL, "\\p{N}++" },
};

int split_find(const char *regex)
{
    for (int p = 0; p < SPLIT_PATTERNS; p++)
        if (patterns[p].regex && !strcmp(patterns[p].regex, regex)) return p;
    return -1;
}

const char *split_regex(enum split_pattern p) { return patterns[p].regex; }

/* ---- open and close ---- */

struct splitter {
    enum split_pattern stage[SPLIT_STAGES];
    pcre2_code *code[SPLIT_STAGES];
    pcre2_match_context *limits;
    int n;
};

static int compile(pcre2_code **code, const char *pattern)
{
    int error;
    size_t at;
    PCRE2_UCHAR text[128];
    *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &at, NULL);
    if (*code) {
        pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE);        /* where it fails (some CPUs, hardened kernels) matching is slower */
        return 0;
    }
    FAIL_IF(error == PCRE2_ERROR_HEAP_FAILED, E_MEMORY, "no memory to split text");
    pcre2_get_error_message(error, text, sizeof text);
    FAIL(E_FAILED, "PCRE2 refuses the pattern %s at %zu: %s; nib needs PCRE2 10.40 or later with Unicode", pattern, at,
         (const char *)text);
}

int split_open(struct splitter **out, const enum split_pattern *stage, int n)
{
    assert(n <= SPLIT_STAGES);
    struct splitter *s = *out = calloc(1, sizeof *s);
    FAIL_IF(!s, E_MEMORY, "no memory to split text");
    s->limits = pcre2_match_context_create(NULL);
    int failed = s->limits ? 0 : error_set(E_MEMORY, __FILE__, __LINE__, "no memory to split text");
    for (; !failed && s->n < n; s->n++) {
        s->stage[s->n] = stage[s->n];
        failed = compile(&s->code[s->n], patterns[stage[s->n]].ours);
    }
    if (failed) {
        split_close(s);
        *out = NULL;
        return failed;
    }
    pcre2_set_match_limit(s->limits, UINT32_MAX);            /* ten million, the default, could be a text of as many spaces */
    return 0;
}

void split_close(struct splitter *s)
{
    if (!s) return;
    for (int i = 0; i < s->n; i++) pcre2_code_free(s->code[i]);
    pcre2_match_context_free(s->limits);
    free(s);
}

int split_stages(const struct splitter *s, const enum split_pattern **stage)
{
    *stage = s->stage;
    return s->n;
}

/* ---- cutting ---- */

struct cut {
    const struct splitter *s;
    pcre2_match_data *match;
    int (*piece)(void *context, const char *text, size_t n);
    void *context;
};

/* Where the piece that begins at `at` ends: behind the match there, or before the next one.  A hand-written program for a
 * pattern would take this function's place. */
static int piece_end(const struct cut *c, int stage, const char *text, size_t n, size_t at, size_t *end)
{
    int found = pcre2_match(c->s->code[stage], (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, c->match, c->s->limits);
    const size_t *range = pcre2_get_ovector_pointer(c->match);
    FAIL_IF(found == PCRE2_ERROR_NOMEMORY, E_MEMORY, "no memory to split text");
    FAIL_IF(found < 0 && found != PCRE2_ERROR_NOMATCH, E_FAILED, "cannot split text at byte %zu of %zu: PCRE2 error %d", at, n,
            found);
    *end = found < 0 ? n : range[0] > at ? range[0] : range[1];
    return 0;
}

/* Each stage sees a piece as a text by itself: what follows it does not count, not even for a look ahead. */
static int cut_valid(const struct cut *c, int stage, const char *text, size_t n)
{
    if (stage == c->s->n) return c->piece(c->context, text, n);
    for (size_t at = 0, end = 0; at < n; at = end) {
        TRY(piece_end(c, stage, text, n, at, &end));
        TRY(cut_valid(c, stage + 1, text + at, end - at));
    }
    return 0;
}

/* PCRE2 is shown valid UTF-8 only, so it need not check it again for every piece. */
static int cut_bytes(const struct cut *c, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t good = utf8_good(text + at, n - at), bad = utf8_bad(text + at + good, n - at - good);
        if (good) TRY(cut_valid(c, 0, text + at, good));
        if (bad) TRY(c->piece(c->context, text + at + good, bad));
        at += good + bad;
    }
    return 0;
}

int split_text(const struct splitter *s, const char *text, size_t n,
               int (*piece)(void *context, const char *text, size_t n), void *context)
{
    struct cut c = { s, pcre2_match_data_create(1, NULL), piece, context };
    FAIL_IF(!c.match, E_MEMORY, "no memory to split text");
    int failed = cut_bytes(&c, text, n);
    pcre2_match_data_free(c.match);
    return failed;
}
