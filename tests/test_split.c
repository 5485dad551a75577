/* test_split.c -- where text is cut: our programs against PCRE2 running the expressions themselves, on random texts that are made of
 * what the patterns tell apart; places where texts may be cut apart; expressions from outside.  SEED and COUNT (texts a pattern) may be
 * given in the environment. */
#include "token/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/utf8.h"
#include "test.h"
#include "token/unicode.h"

static long number_from(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* ---- characters ---- */

static pcre2_match_data *match;

static pcre2_code *compiled(const char *regex)
{
    int error;
    size_t at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    assert_non_null(code);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    if (!match) match = pcre2_match_data_create(1, NULL);
    return code;
}

static int matches(const pcre2_code *code, uint32_t point)
{
    char utf8[4];
    size_t n = utf8_put(utf8, point);
    return pcre2_match(code, (PCRE2_SPTR)utf8, n, 0, 0, match, NULL) > 0;
}

/* Whether PCRE2 knows a character; its tables are older than ours. */
static int is_known(uint32_t point)
{
    static char unknown[UTF8_POINTS], made;
    if (!made) {
        pcre2_code *code = compiled("\\p{Cn}|\\p{Cs}");
        for (uint32_t p = 0; p < UTF8_POINTS; p++) unknown[p] = (p >= 0xd800 && p < 0xe000) || matches(code, p);
        pcre2_code_free(code);
        made = 1;
    }
    return !unknown[point];
}

static void classes(void **state)
{
    static const struct { unsigned class; const char *regex; } rows[] = {
        { CHAR_SPACE, "\\p{White_Space}" }, { CHAR_UPPER, "[\\p{Lu}\\p{Lt}]" }, { CHAR_LOWER, "\\p{Ll}" }, { CHAR_LETTER, "[\\p{Lm}\\p{Lo}]" }, { CHAR_MARK, "\\p{M}" }, { CHAR_NUMBER, "\\p{N}" },
    };
    int known = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pcre2_code *code = compiled(rows[i].regex);
        for (uint32_t point = 0; point < UTF8_POINTS; point++) {
            if (!is_known(point)) continue;
            known++;
            if (matches(code, point) != (unicode_class(point) == rows[i].class)) fail_msg("U+%04X and %s", point, rows[i].regex);
        }
        pcre2_code_free(code);
    }
    assert_true(known > 6 * 280000);                         /* 282,230 of them in Unicode 14.0 */
}

/* ---- random texts ---- */

enum { MOST = 400, CHARACTERS = 24 };        /* bytes of a text; characters, about */
struct sample { char text[MOST]; size_t n; };

/* A random character of some classes: one of a table of them, which is made once. */
static uint32_t character(uint64_t *r, unsigned classes)
{
    static uint32_t of[7][UTF8_POINTS / 4];
    static int n[7], made;
    for (uint32_t point = 1; !made && point < UTF8_POINTS; point++) {
        int k = __builtin_ctz(unicode_class(point));
        if (n[k] < UTF8_POINTS / 4 && is_known(point)) of[k][n[k]++] = point;
    }
    made = 1;
    for (;;) {
        int k = roll(r, 7);
        if (classes >> k & 1) return of[k][roll(r, 4) ? roll(r, n[k] < 400 ? n[k] : 400) : roll(r, n[k])];
    }
}

static void add(struct sample *s, const char *bytes, size_t n)
{
    if (s->n + n > MOST) return;
    memcpy(s->text + s->n, bytes, n);
    s->n += n;
}

static void add_some(uint64_t *r, struct sample *s, int torn)
{
    static const char *const parts[] = { " ", "  ", "\n", "\r\n", "\n\n", "\t", " \n ", "'", "'s", "'S", "'re", "'LL", "'Ve", "'t", "'m", "'d", "\xe2\x80\x99s", "'\xc5\xbf", "1", "23", "4567",
                                         "word", "Word", "WORD", "camelCase", "/", "//", "...", "!", "\xe4\xb8\xad\xe6\x96\x87", "A", "a", "\xcc\x81", "\xe3\x80\x80", "\xc2\xa0", "_", "\xf0\x9f\x98\x80" };
    char utf8[4];
    int kind = roll(r, torn ? 9 : 8);
    if (kind < 4) {
        const char *part = parts[roll(r, (int)(sizeof parts / sizeof *parts))];
        add(s, part, strlen(part));
    } else if (kind < 6) {
        for (int k = roll(r, 3); k >= 0; k--) add(s, utf8, utf8_put(utf8, character(r, 1u << roll(r, 7))));
    } else if (kind < 8) {
        add(s, utf8, utf8_put(utf8, (uint32_t)(roll(r, 95) + 32)));
    } else {
        add(s, (char[]){ (char)(128 + roll(r, 128)) }, 1);
    }
}

static struct sample sample(uint64_t *r, int torn)
{
    struct sample s = { .n = 0 };
    for (int k = roll(r, CHARACTERS) + 1; k > 0; k--) add_some(r, &s, torn);
    return s;
}

/* ---- pieces ---- */

struct pieces { size_t end[MOST]; int n; const char *text; };

static int take(void *context, const char *text, size_t n)
{
    struct pieces *p = context;
    assert_true(n > 0);
    assert_ptr_equal(text, p->text + (p->n ? p->end[p->n - 1] : 0));
    p->end[p->n++] = (size_t)(text - p->text) + n;
    return 0;
}

static struct pieces cut(const struct splitter *s, const char *text, size_t n)
{
    struct pieces p = { .text = text };
    assert_ok(split_text(s, text, n, take, &p));
    assert_int_equal(p.n ? p.end[p.n - 1] : 0, n);
    return p;
}

static void same_pieces(const struct pieces *a, const struct pieces *b, const char *text, size_t n, const char *what)
{
    if (a->n == b->n && !memcmp(a->end, b->end, (size_t)a->n * sizeof *a->end)) return;
    char shown[4 * MOST + 1] = "";
    for (size_t i = 0; i < n; i++) snprintf(shown + 4 * i, 5, "\\x%02x", (unsigned char)text[i]);
    int k = 0;
    while (k < a->n && k < b->n && a->end[k] == b->end[k]) k++;
    fail_msg("%s: \"%s\": piece %d ends at %zu, not %zu", what, shown, k, k < a->n ? a->end[k] : 0, k < b->n ? b->end[k] : 0);
}

/* ---- our programs against the expressions ---- */

/* As the vocabularies' own libraries have it, spelled for PCRE2: \s is White_Space. */
#define S "\\p{White_Space}"
#define NOT_S "\\P{White_Space}"
#define LATER(digits) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|" S "*[\\r\\n]+|" S "+(?!" NOT_S ")|" S "+"
static const struct { enum split_pattern pattern; const char *regex; } expressions[] = {
    { SPLIT_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" S "+(?!" NOT_S ")|" S "+" },
    { SPLIT_GPT2, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^" S "\\p{L}\\p{N}]++|" S "++\\z|" S "+(?!" NOT_S ")|" S },
    { SPLIT_LLAMA3, LATER("\\p{N}{1,3}") },
    { SPLIT_QWEN2, LATER("\\p{N}") },
    { SPLIT_NANOCHAT, LATER("\\p{N}{1,2}") },
    { SPLIT_CL100K, "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^" S "\\p{L}\\p{N}]++[\\r\\n]*+|" S "++\\z|" S "*[\\r\\n]|" S "+(?!" NOT_S ")|" S },
    { SPLIT_O200K, "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                   "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                   "\\p{N}{1,3}| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|" S "*[\\r\\n]+|" S "+(?!" NOT_S ")|" S "+" },
    { SPLIT_DIGIT, "\\p{N}|\\P{N}+" },
    { SPLIT_DIGITS, "\\p{N}+|\\P{N}+" },
};

static struct pieces pieces_by_pcre2(const pcre2_code *code, const char *text, size_t n)
{
    struct pieces p = { .text = text };
    for (size_t at = 0; at < n; at = p.end[p.n - 1]) {
        int found = pcre2_match(code, (PCRE2_SPTR)text, n, at, 0, match, NULL);
        const size_t *range = pcre2_get_ovector_pointer(match);
        if (found < 0 || range[0] != at) fail_msg("PCRE2: %d", found);
        p.end[p.n++] = range[1];
    }
    return p;
}

static void programs(void **state)
{
    long count = number_from("COUNT", 4000);
    uint64_t r = (uint64_t)number_from("SEED", 5);
    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct splitter *s;
        pcre2_code *code = compiled(expressions[i].regex);
        assert_ok(split_open(&s, &(struct split_stage){ expressions[i].pattern, NULL }, 1));
        for (long k = 0; k < count; k++) {
            struct sample x = sample(&r, 0);
            struct pieces ours = cut(s, x.text, x.n), theirs = pieces_by_pcre2(code, x.text, x.n);
            same_pieces(&ours, &theirs, x.text, x.n, expressions[i].regex);
        }
        split_close(s);
        pcre2_code_free(code);
    }
}

/* ---- texts cut apart ---- */

/* Both halves by themselves have the pieces of the whole; and there is such a place in almost any text of words. */
static void cut_apart(void **state)
{
    static const enum split_pattern patterns[] = { SPLIT_GPT2, SPLIT_LLAMA3, SPLIT_QWEN2, SPLIT_NANOCHAT, SPLIT_CL100K, SPLIT_O200K };
    long count = number_from("COUNT", 4000), found = 0;
    uint64_t r = (uint64_t)number_from("SEED", 6);
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof patterns / sizeof *patterns); i++) {
        struct splitter *s;
        const struct split_stage stages[] = { { SPLIT_DIGIT, NULL }, { patterns[i / 2], NULL } };
        assert_ok(split_open(&s, stages + i % 2, 2 - (int)(i % 2)));
        for (long k = 0; k < count; k++) {
            struct sample x = sample(&r, 1), more = sample(&r, 1);
            add(&x, roll(&r, 2) ? "w w" : "w\nw", 3);
            add(&x, more.text, more.n);
            size_t at = split_apart(s, x.text, x.n, (size_t)roll(&r, (int)x.n + 2));
            if (!at) continue;
            struct pieces whole = cut(s, x.text, x.n), left = cut(s, x.text, at), right = cut(s, x.text + at, x.n - at);
            for (int p = 0; p < right.n; p++) left.end[left.n++] = right.end[p] + at;
            same_pieces(&left, &whole, x.text, x.n, "cut apart");
            found++;
        }
        split_close(s);
    }
    assert_true(found > count);
}

static void apart_in_any_script(void **state)
{
    static const struct { const char *text; size_t at; } rows[] = {
        { "\xe7\x81\xaf\xe5\xa1\x94\xe3\x80\x82\n\xe7\x81\xaf\xe5\xbe\x88", 10 }, { "\xd0\xbc\xd0\xb0 \xd1\x8f\xd0\xba", 4 }, { "caf\xc3\xa9 \xc3\xa9t\xc3\xa9", 5 }, { "a\n\nb", 0 }, { "a\xe3\x80\x80\nb", 0 },
        { "\xff\nb", 0 }, { "a \xcc\x81", 0 }, { "1 a", 0 },
    };
    struct splitter *s;
    (void)state;
    assert_ok(split_open(&s, &(struct split_stage){ SPLIT_O200K, NULL }, 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_int_equal(split_apart(s, rows[i].text, strlen(rows[i].text), 100), rows[i].at);
    split_close(s);
}

static void never_apart(void **state)
{
    (void)state;
    const char *text = "one two three";
    const struct split_stage digits = { SPLIT_DIGIT, NULL }, other = { SPLIT_REGEX, "[a-z]+|." };
    struct splitter *s;
    assert_ok(split_open(&s, &digits, 0));                   /* all one piece */
    assert_int_equal(split_apart(s, text, strlen(text), 8), 0);
    split_close(s);
    assert_ok(split_open(&s, &digits, 1));
    assert_int_equal(split_apart(s, text, strlen(text), 8), 0);
    split_close(s);
    assert_ok(split_open(&s, &other, 1));
    assert_int_equal(split_apart(s, text, strlen(text), 8), 0);
    split_close(s);
}

/* ---- expressions from outside ---- */

static void expressions_from_outside(void **state)
{
    static const struct { const char *regex, *text; int n; size_t end[8]; } rows[] = {
        { "[a-z]+", "ab12cd", 3, { 2, 4, 6 } },              /* what no match covers is a piece, too */
        { "\\s", "a\xe1\xa0\x8e b", 3, { 4, 5, 6 } },        /* U+180E is no white space */
        { "\\d{1,2}|[^\\d]", "123a", 3, { 2, 3, 4 } },
        { "(?i:abc|x)", "aBCx-", 3, { 3, 4, 5 } },
        { "\\p{Han}+", "a\xe4\xb8\xad\xe6\x96\x87", 2, { 1, 7 } },
        { "a(?!b)|\\S", "aab", 3, { 1, 2, 3 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct splitter *s;
        struct split_stage stage = split_find(rows[i].regex);
        assert_int_equal(stage.pattern, SPLIT_REGEX);
        assert_ok(split_open(&s, &stage, 1));
        struct pieces p = cut(s, rows[i].text, strlen(rows[i].text)), wanted = { .n = rows[i].n };
        memcpy(wanted.end, rows[i].end, sizeof rows[i].end);
        same_pieces(&p, &wanted, rows[i].text, strlen(rows[i].text), rows[i].regex);
        split_close(s);
    }
}

static void refused(void **state)
{
    static const struct { const char *regex, *message; } rows[] = {
        { "\\w+", "\"\\w\"" }, { "\\bfoo", "\"\\b\"" }, { "^a", "\"^\"" }, { "a$", "\"$\"" }, { "a{1,3}+", "\"{1,3}+\"" }, { "a{,3}", "\"{,3}\"" }, { "[[:alpha:]]", "\"[[\"" },
        { "[a&&b]", "\"[a&\"" }, { "(?i:\\p{L})", "(?i:" }, { "(?i:ss)", "(?i:ss" }, { "(?P<x>a)", "(?P" }, { "(*UTF)a", "(*U" }, { "\\p{Greek", "Greek" }, { "a*", "nothing at all" }, { "(a", "PCRE2" },
        { "a\\", "\"\\\"" }, { "[a", "\"[a\"" }, { "\\1", "\"\\1\"" }, { "\\p", "\"\\p\"" }, { "[]", "\"[]\"" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct splitter *s;
        assert_fails(split_open(&s, &(struct split_stage){ SPLIT_REGEX, rows[i].regex }, 1), E_DATA, rows[i].message);
        assert_null(s);
    }
}

/* An expression that tries for ever is stopped. */
static void endless(void **state)
{
    struct splitter *s;
    struct pieces p = { .text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc" };
    (void)state;
    assert_ok(split_open(&s, &(struct split_stage){ SPLIT_REGEX, "(?:a+)+c" }, 1));
    assert_fails(split_text(s, p.text, strlen(p.text), take, &p), E_DATA, "too long");
    split_close(s);
}

/* ---- names ---- */

static void names(void **state)
{
    (void)state;
    for (enum split_pattern p = 0, q; p < SPLIT_PATTERNS; p++) {
        const struct split_stage stage = { p, NULL };
        if (split_regex(&stage)) assert_int_equal(split_find(split_regex(&stage)).pattern, p);
        if (split_name(p)) {
            assert_true(split_named(split_name(p), &q));
            assert_int_equal(q, p);
        }
    }
    assert_false(split_named("gpt3", &(enum split_pattern){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes), cmocka_unit_test(programs), cmocka_unit_test(cut_apart), cmocka_unit_test(apart_in_any_script), cmocka_unit_test(never_apart), cmocka_unit_test(expressions_from_outside),
        cmocka_unit_test(refused), cmocka_unit_test(endless), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
