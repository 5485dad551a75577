/* split.c -- the patterns in use, by name and by expression; text cut by stages of them. */
#include "token/split.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "token/pieces.h"
#include "token/regex.h"
#include "token/unicode.h"

/* ---- the table ---- */

#define LATER(digits)                                                                                                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"              \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LATER_POSSESSIVE(digits) "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define BEGINS_LARGE "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define ENDS_SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CLIPPED "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

/* The first expression of a pattern is the one that is written.  tiktoken's own for cl100k has \p{N}{1,3}+, which repeats for Hugging
 * Face's library instead of being possessive; nothing follows there to give back to, so it is written without. */
static const struct { enum split_pattern pattern; const char *regex; } table[] = {
    { SPLIT_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" },
    { SPLIT_GPT2, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" },
    { SPLIT_GPT2, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s" },           /* tiktoken's */
    { SPLIT_LLAMA3, LATER("\\p{N}{1,3}") },
    { SPLIT_LLAMA3, LATER_POSSESSIVE("\\p{N}{1,3}") },                                                               /* minbpe's */
    { SPLIT_QWEN2, LATER("\\p{N}") },
    { SPLIT_NANOCHAT, LATER("\\p{N}{1,2}") },
    { SPLIT_NANOCHAT, LATER_POSSESSIVE("\\p{N}{1,2}") },
    { SPLIT_CL100K, "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s" },
    { SPLIT_O200K, BEGINS_LARGE "*" ENDS_SMALL "+" CLIPPED "|" BEGINS_LARGE "+" ENDS_SMALL "*" CLIPPED
                   "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
};

static const char *const names[SPLIT_PATTERNS] = {
    [SPLIT_GPT2] = "gpt2", [SPLIT_LLAMA3] = "llama3", [SPLIT_QWEN2] = "qwen2", [SPLIT_NANOCHAT] = "nanochat", [SPLIT_CL100K] = "cl100k", [SPLIT_O200K] = "o200k",
};

struct split_stage split_find(const char *regex)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].regex, regex)) return (struct split_stage){ table[i].pattern, NULL };
    return (struct split_stage){ SPLIT_REGEX, regex };
}

const char *split_regex(const struct split_stage *s)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].pattern == s->pattern) return table[i].regex;
    return s->regex;
}

int split_named(const char *name, enum split_pattern *p)
{
    for (*p = 0; *p < SPLIT_PATTERNS; ++*p)
        if (names[*p] && !strcmp(names[*p], name)) return 1;
    return 0;
}

const char *split_name(enum split_pattern p) { return names[p]; }

/* ---- open and close ---- */

struct splitter {
    struct split_stage stage[SPLIT_STAGES];
    struct regex *regex[SPLIT_STAGES];   /* of SPLIT_REGEX, else NULL */
    char *spelled[SPLIT_STAGES];         /* stage[].regex */
    int n;
};

static int open_regex(struct splitter *s, int i, const char *regex)
{
    size_t size = strlen(regex) + 1;
    s->stage[i].regex = s->spelled[i] = malloc(size);
    FAIL_IF(!s->spelled[i], E_MEMORY, "no memory to split text");
    memcpy(s->spelled[i], regex, size);
    return regex_open(&s->regex[i], regex);
}

int split_open(struct splitter **out, const struct split_stage *stage, int n)
{
    assert(n <= SPLIT_STAGES);
    struct splitter *s = *out = calloc(1, sizeof *s);
    FAIL_IF(!s, E_MEMORY, "no memory to split text");
    int failed = 0;
    for (; !failed && s->n < n; s->n++) {
        s->stage[s->n] = stage[s->n];
        if (stage[s->n].pattern == SPLIT_REGEX) failed = open_regex(s, s->n, stage[s->n].regex);
    }
    if (failed) {
        split_close(s);
        *out = NULL;
    }
    return failed;
}

void split_close(struct splitter *s)
{
    if (!s) return;
    for (int i = 0; i < s->n; i++) {
        regex_close(s->regex[i]);
        free(s->spelled[i]);
    }
    free(s);
}

int split_stages(const struct splitter *s, const struct split_stage **stage)
{
    *stage = s->stage;
    return s->n;
}

/* ---- cutting ---- */

struct cut {
    const struct splitter *s;
    struct regex_match *match;           /* NULL unless some stage has a regex */
    int (*piece)(void *context, const char *text, size_t n);
    void *context;
};

static int cut_stage(const struct cut *c, int stage, const char *text, size_t n);

/* Between its matches, too, an expression leaves pieces. */
static int cut_by_regex(const struct cut *c, int stage, const char *text, size_t n)
{
    for (size_t at = 0, from, end; at < n; at = end) {
        TRY(regex_find(c->s->regex[stage], c->match, text, n, at, &from, &end));
        if (from > at) TRY(cut_stage(c, stage + 1, text + at, from - at));
        if (end > from) TRY(cut_stage(c, stage + 1, text + from, end - from));
    }
    return 0;
}

/* Each stage sees a piece as a text by itself: what follows it does not count, not even for a look ahead. */
static int cut_stage(const struct cut *c, int stage, const char *text, size_t n)
{
    if (stage == c->s->n) return c->piece(c->context, text, n);
    if (c->s->regex[stage]) return cut_by_regex(c, stage, text, n);
    piece_function *next = piece_end[c->s->stage[stage].pattern];
    int is_last = stage + 1 == c->s->n;
    for (size_t at = 0, end; at < n; at = end) {
        end = next(text, n, at);
        TRY(is_last ? c->piece(c->context, text + at, end - at) : cut_stage(c, stage + 1, text + at, end - at));
    }
    return 0;
}

/* Stages are shown valid UTF-8 only. */
static int cut_bytes(const struct cut *c, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t good = utf8_good(text + at, n - at), bad = utf8_bad(text + at + good, n - at - good);
        if (good) TRY(cut_stage(c, 0, text + at, good));
        if (bad) TRY(c->piece(c->context, text + at + good, bad));
        at += good + bad;
    }
    return 0;
}

static int has_regex(const struct splitter *s)
{
    int found = 0;
    for (int i = 0; i < s->n; i++) found |= s->regex[i] != NULL;
    return found;
}

int split_text(const struct splitter *s, const char *text, size_t n,
               int (*piece)(void *context, const char *text, size_t n), void *context)
{
    struct cut c = { s, NULL, piece, context };
    if (has_regex(s)) TRY(regex_match_open(&c.match));
    int failed = cut_bytes(&c, text, n);
    regex_match_close(c.match);
    return failed;
}

/* ---- cutting apart ---- */

/* The class of the character that begins at `at`, or of the one that ends before it; 0: there is none. */
static unsigned class_from(const char *text, size_t n, size_t at)
{
    size_t size;
    int32_t point = at < n ? utf8_next(text + at, n - at, &size) : UTF8_BAD;
    return point < 0 ? 0 : unicode_class((uint32_t)point);
}

static unsigned class_before(const char *text, size_t at)
{
    size_t size;
    int32_t point = utf8_last(text, at, &size);
    return point < 0 ? 0 : unicode_class((uint32_t)point);
}

static int is_space_between(const char *text, size_t n, size_t at) { return text[at] == ' ' && class_before(text, at) & CHAR_LETTERS && class_from(text, n, at + 1) & CHAR_LETTERS; }

static int is_ascii_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

static int is_ascii_between(const char *text, size_t n, size_t at) { return at > 1 && at + 1 < n && is_ascii_letter(text[at - 2]) && is_ascii_letter(text[at - 1]) && is_ascii_letter(text[at + 1]); }

size_t split_at_space(const char *text, size_t n, size_t most, int only_ascii)
{
    size_t at = most < n ? most : n ? n - 1 : 0;
    while (at && !(is_space_between(text, n, at) && (!only_ascii || is_ascii_between(text, n, at)))) at--;
    return at;
}

/* Whether every pattern's pieces end before text[at], whatever else is around: a space between letters, or a letter at the start of
 * a line that is not behind an empty one. */
static int is_border(const char *text, size_t n, size_t at)
{
    if (at < 2) return 0;
    if (text[at] == ' ') return is_space_between(text, n, at);
    return text[at - 1] == '\n' && class_from(text, n, at) & CHAR_LETTERS && class_before(text, at - 1) & ~(unsigned)CHAR_SPACE;
}

static int cuts_words(const struct splitter *s)              /* by some stage of ours */
{
    int found = 0;
    for (int i = 0; i < s->n; i++) found |= names[s->stage[i].pattern] != NULL;
    return found && !has_regex(s);
}

size_t split_apart(const struct splitter *s, const char *text, size_t n, size_t most)
{
    size_t at = !cuts_words(s) || !n ? 0 : most < n ? most : n - 1;
    while (at && !is_border(text, n, at)) at--;
    return at;
}
