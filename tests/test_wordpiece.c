/* test_wordpiece.c -- BERT's text, pieces and tokens.  What is wanted was made by Hugging Face's tokenizers 0.23.3 (tests/twin/check_bert.py,
 * which compares on many more texts). */
#include "token/wordpiece.h"

#include "base/utf8.h"
#include "test.h"
#include "token/bert.h"

enum { ALL = BERT_CLEAN | BERT_CHINESE | BERT_ACCENTS | BERT_LOWER, STRIP = ALL + 1 };       /* STRIP: StripAccents */

static struct text normalized(unsigned steps, const char *text, size_t n)
{
    struct text out = { 0 };
    assert_ok(steps == STRIP ? bert_strip_accents(text, n, &out) : bert_normalize(steps, text, n, &out));
    if (out.at) assert_int_equal(out.at[out.size], 0);
    text_add(&out, "");
    return out;
}

/* ---- all characters ---- */

static uint64_t hash_more(uint64_t h, const void *bytes, size_t n)           /* FNV-1a */
{
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return h;
}

static struct text all_characters(void)                      /* each with an x behind it */
{
    struct text t = { 0 };
    for (uint32_t point = 1; point < UTF8_POINTS; point++) {
        char utf8[5];
        size_t n = utf8_put(utf8, point);
        utf8[n] = 'x';
        if (point < 0xd800 || point >= 0xe000) text_bytes(&t, utf8, n + 1);
    }
    return t;
}

/* The hashes are of what the library makes of them (check_bert.py hashes). */
static void characters(void **state)
{
    static const struct { unsigned steps; uint64_t hash; } rows[] = {
        { BERT_CLEAN, 0x78aad2bead0c4a65u }, { BERT_CHINESE, 0xd3bdb1bef33392c8u }, { BERT_ACCENTS, 0x79f4ab2b831a334cu }, { BERT_LOWER, 0xffb43a1885c3125u },
        { ALL, 0x3b922cd6f89a0890u }, { STRIP, 0x952de0956c3ac837u },
    };
    struct text all = all_characters();
    uint64_t h = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text t = normalized(rows[i].steps, all.at, all.size);
        if (hash_more(0, t.at, t.size) != rows[i].hash) fail_msg("steps %u: a character is not what it should be", rows[i].steps);
        text_free(&t);
    }
    for (size_t at = 0, end; at < all.size; at = end) {
        end = bert_piece(all.at, all.size, at);
        if (!bert_is_space(all.at + at, all.size - at)) h = hash_more(hash_more(h, all.at + at, end - at), "\n", 1);
    }
    assert_true(h == 0x4c31b28d461e8471u);
    text_free(&all);
}

/* ---- texts ---- */

static void texts(void **state)
{
    static const struct { unsigned steps; const char *text, *wanted; } rows[] = {
        { ALL, "", "" },
        { ALL, "H\xc3\xa9llo, W\xc3\x96RLD!\r\n\t\x7f\x01", "hello, world!   " },
        { ALL, "\xe7\x81\xaf" "a\xe5\xa1\x94", " \xe7\x81\xaf a \xe5\xa1\x94 " },
        { BERT_CHINESE, "\xf0\xab\xa0\xa0\xf0\xab\xa4\xa0", "\xf0\xab\xa0\xa0 \xf0\xab\xa4\xa0 " },             /* U+2B820 is none to them, U+2B920 is */
        { BERT_LOWER, "\xc4\xb0\xce\xa3\xe1\xba\x9e", "i\xcc\x87\xcf\x83\xc3\x9f" },                           /* U+0130 becomes two, a last sigma is like others */
        { BERT_ACCENTS | BERT_LOWER, "\xc4\xb0", "i" },
        { BERT_ACCENTS, "a\xcc\x81\xcc\x96\xe3\x80\xae\xcc\xb4", "a\xe3\x80\xae" },                              /* U+302E is a spacing mark */
        { BERT_ACCENTS, "\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8" },                              /* syllables stay apart */
        { BERT_ACCENTS, "\xf0\x9d\x85\xa5\xe3\x80\xae\xcd\x8f\xe3\x80\xae\xf0\x9d\x85\xa5", "\xf0\x9d\x85\xa5\xe3\x80\xae\xf0\x9d\x85\xa5\xe3\x80\xae" },
        { BERT_CLEAN, "a\xc2\xa0" "b\xc2\x85" "c\xef\xbf\xbd\xe2\x80\x8b\xee\x80\x80 d\x0b", "a bc d" },
        { BERT_CLEAN, "\xcd\xb8", "\xcd\xb8" },                                                               /* what is no character stays */
        { 0, "A\x01\xc3\x89", "A\x01\xc3\x89" },
        { STRIP, "\xc3\xa9" "e\xcc\x81\xe3\x80\xae\xe2\x83\x9d", "\xc3\xa9" "e" },                                /* all marks, and the text is not taken apart */
        { STRIP, "\xe0\xa3\x94\xe1\xb7\xb6", "\xe1\xb7\xb6" }, { BERT_ACCENTS, "\xe0\xa3\x94\xe1\xb7\xb6", "\xe0\xa3\x94\xe1\xb7\xb6" },       /* of Unicode 9.0 and 10.0 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text t = normalized(rows[i].steps, rows[i].text, strlen(rows[i].text));
        assert_string_equal(t.at, rows[i].wanted);
        text_free(&t);
    }
    struct text t = normalized(ALL, "A\0B\xc3\x89\0", 6);
    assert_string_equal(t.at, "abe");
    text_free(&t);
}

static struct text random_text(uint64_t *r)
{
    static const char *const parts[] = { "a", "B", " ", "\t", "\x01", "\xc3\x89", "\xcc\x81", "\xcc\x96", "\xe3\x80\xae", "\xf0\x9d\x85\xa5", "\xe7\x81\xaf", "\xef\xa4\x80", "\xc4\xb0", "\xea\xb0\x81", "\xe1\x86\xa8",
                                         "\xcd\x8f", "\xd0\x99", "\xef\xbf\xbd", ",", "Fifteen letters", "Sixteen letters ", "A few more letters of ASCII." };
    struct text t = { 0 };
    for (int k = roll(r, 20); k >= 0; k--) text_add(&t, parts[roll(r, (int)(sizeof parts / sizeof *parts))]);
    return t;
}

/* All steps at once are one after the other, and a text is its parts, cut before a character of ASCII. */
static void steps_and_parts(void **state)
{
    uint64_t r = 3;
    (void)state;
    for (int k = 0; k < 3000; k++) {
        struct text t = random_text(&r), more = random_text(&r), now = normalized(0, t.at, t.size);
        unsigned steps = (unsigned)roll(&r, ALL + 1);
        for (unsigned step = BERT_CLEAN; step <= BERT_LOWER; step *= 2) {
            struct text next = normalized(steps & step, now.at, now.size);
            text_free(&now);
            now = next;
        }
        struct text at_once = normalized(steps, t.at, t.size);
        assert_string_equal(at_once.at, now.at);
        text_add(&t, "A");
        text_bytes(&t, more.at, more.size);
        text_add(&more, "");
        struct text all = normalized(steps, t.at, t.size), right = normalized(steps, more.at, more.size);
        text_add(&now, steps & BERT_LOWER ? "a" : "A");
        text_add(&now, right.at);
        assert_string_equal(all.at, now.at);
        struct text *used[] = { &t, &more, &now, &at_once, &all, &right };
        for (size_t i = 0; i < sizeof used / sizeof *used; i++) text_free(used[i]);
    }
}

static void pieces(void **state)
{
    static const struct { const char *text; int n; size_t end[8]; } rows[] = {
        { "it's", 3, { 2, 3, 4 } }, { "a  \n b", 3, { 1, 5, 6 } }, { "$+~", 3, { 1, 2, 3 } }, { " ", 1, { 1 } }, { "\xe2\x80\x9cx\xe2\x80\x9d", 3, { 3, 4, 7 } }, { "a\xc2\xa0\x0b\xe3\x80\x80" "b", 3, { 1, 7, 8 } },
        { "a\xe2\x82\xac\xcc\x81\x01", 1, { 7 } }, { "\xe2\xb9\x83!", 2, { 3, 4 } },                            /* U+2E43 is newer than their tables, so no sign */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].text), at = 0;
        for (int k = 0; k < rows[i].n; k++) assert_int_equal(at = bert_piece(rows[i].text, n, at), rows[i].end[k]);
        assert_int_equal(at, n);
    }
    assert_true(bert_is_space("\x0b", 1) && bert_is_space("\xe3\x80\x80", 3) && bert_is_space("\xc2\x85", 2));
    assert_false(bert_is_space("\xe2\x80\x8b", 3) || bert_is_space("a", 1) || bert_is_space("!", 1));
}

/* ---- words to tokens ---- */

enum { TOKENS = 64, MOST = 24 };
struct words { struct arena memory; struct vocab vocab; struct wordpiece w; struct token token[TOKENS]; size_t n; };

/* Tokens divided by spaces, the first is the unknown one. */
static int open_words(struct words *m, const char *tokens, const char *prefix, int64_t most)
{
    *m = (struct words){ .n = 0 };
    char *all = arena_copy(&m->memory, tokens), *rest;
    for (char *t = strtok_r(all, " ", &rest); t && m->n < TOKENS; t = strtok_r(NULL, " ", &rest), m->n++)
        m->token[m->n] = (struct token){ .bytes = t, .size = (uint32_t)strlen(t), .id = (uint32_t)m->n };
    assert_ok(vocab_build(&m->vocab, &m->memory, (struct tokens){ m->token, m->n }, (struct tokens){ 0 }, "words"));
    return wordpiece_build(&m->w, &m->memory, &m->vocab, m->token[0].bytes, prefix, most, "words");
}

static struct ids encoded(const struct words *m, const char *piece, size_t n)
{
    struct ids ids = { 0 };
    assert_ok(ids_add(&ids, &(uint32_t){ 77 }, 1));          /* what is there stays */
    assert_ok(wordpiece_encode(&m->w, piece, n, &ids));
    assert_int_equal(ids.at[0], 77);
    return ids;
}

static void words(void **state)
{
    static const struct { const char *tokens, *prefix; int most; const char *piece; int n; uint32_t id[6]; } rows[] = {
        { "? un ##aff ##able ##affa ##ble", "##", 100, "unaffable", 3, { 1, 4, 5 } },                          /* the longest first, */
        { "? un ##aff ##able ##affa", "##", 100, "unaffable", 1, { 0 } },                                      /* and no way back */
        { "? a ##b", "##", 100, "ab", 2, { 1, 2 } }, { "? a ##b", "##", 100, "ba", 1, { 0 } }, { "? a b", "##", 100, "ab", 1, { 0 } }, { "? a ##b", "##", 100, "", 0, { 0 } },
        { "? ##b ##", "##", 100, "##b", 1, { 1 } }, { "? ## # ##b", "##", 100, "##bb", 2, { 3, 3 } }, { "? ## # ##b", "##", 100, "#b", 2, { 2, 3 } }, { "? a ##", "##", 100, "a##", 1, { 0 } },
        { "? a b ab", "", 100, "abba", 3, { 3, 2, 1 } },                                                      /* without a prefix all are alike */
        { "? a ##a", "##", 3, "aaa", 3, { 1, 2, 2 } }, { "? a ##a", "##", 3, "aaaa", 1, { 0 } }, { "? a", "##", 0, "a", 1, { 0 } },
        { "? \xc3\xa9 ##\xc3\xa9", "##", 3, "\xc3\xa9\xc3\xa9\xc3\xa9", 3, { 1, 2, 2 } }, { "? \xc3\xa9 ##\xc3\xa9", "##", 2, "\xc3\xa9\xc3\xa9\xc3\xa9", 1, { 0 } },
        { "? a ##a \xff a\xc3", "##", 100, "a\xff", 1, { 0 } }, { "? a ##a a\xc3 ##\xa9", "##", 100, "a\xc3\xa9", 1, { 0 } }, { "? a ##a a\xc3", "##", 100, "a\xc3", 1, { 0 } },
        { "? a ?a", "##", 100, "?", 1, { 0 } }, { "? a ?a", "##", 100, "?a", 1, { 2 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct words m;
        assert_ok(open_words(&m, rows[i].tokens, rows[i].prefix, rows[i].most));
        struct ids ids = encoded(&m, rows[i].piece, strlen(rows[i].piece));
        if (ids.n != (size_t)rows[i].n + 1 || memcmp(ids.at + 1, rows[i].id, (size_t)rows[i].n * sizeof *ids.at)) fail_msg("\"%s\" by \"%s\": %zu ids", rows[i].piece, rows[i].tokens, ids.n - 1);
        ids_free(&ids);
        arena_free(&m.memory);
    }
}

/* The token that a place of a piece has by the definition, -1 if none. */
static int token_at(const struct words *m, const char *prefix, const char *piece, size_t at, size_t n, size_t *size)
{
    for (*size = n - at; *size; --*size) {
        char whole[2 * MOST] = "";
        snprintf(whole, sizeof whole, "%s%.*s", at ? prefix : "", (int)*size, piece + at);
        for (size_t i = 0; i < m->n; i++)
            if (!strcmp(m->token[i].bytes, whole)) return (int)i;
    }
    return -1;
}

static void assert_by_definition(const struct words *m, const char *prefix, const char *piece)
{
    uint32_t wanted[MOST];
    size_t n = strlen(piece), many = 0, size;
    for (size_t at = 0; at < n; at += size) {
        int token = token_at(m, prefix, piece, at, n, &size);
        if (token < 0) wanted[0] = 0, size = n, many = 1;
        else wanted[many++] = (uint32_t)token;
        if (token < 0) break;
    }
    struct ids ids = encoded(m, piece, n);
    assert_int_equal(ids.n - 1, many);
    assert_memory_equal(ids.at + 1, wanted, many * sizeof *wanted);
    ids_free(&ids);
}

static void words_by_definition(void **state)
{
    static const char *const prefixes[] = { "##", "##", "", "a", "\xe2\x96\x81" };
    uint64_t r = 8;
    long known = 0;
    (void)state;
    for (int round = 0; round < 200; round++) {
        const char *prefix = prefixes[roll(&r, 5)];
        char tokens[2048] = "?", seen[4096] = " ? ";
        struct words m;
        for (int i = 0; i < TOKENS - 1; i++) {
            char token[MOST] = "", padded[MOST + 2];
            snprintf(token, sizeof token, "%s", roll(&r, 2) ? prefix : "");
            for (int k = roll(&r, roll(&r, 3) ? 2 : 6); k >= 0; k--) strcat(token, (const char *[]){ "a", "b", "c", "\xc3\xa9" }[roll(&r, 4)]);
            snprintf(padded, sizeof padded, " %s ", token);
            if (strstr(seen, padded)) continue;
            strcat(seen, padded);
            strcat(strcat(tokens, " "), token);
        }
        assert_ok(open_words(&m, tokens, prefix, 100));
        for (int k = 0; k < 100; k++) {
            char piece[MOST] = "";
            for (int letters = roll(&r, MOST / 2); letters > 0; letters--) strcat(piece, (const char *[]){ "a", "b", "c", "\xc3\xa9" }[roll(&r, 4)]);
            assert_by_definition(&m, prefix, piece);
            size_t size;
            known += token_at(&m, prefix, piece, 0, strlen(piece), &size) >= 0;
        }
        arena_free(&m.memory);
    }
    assert_true(known > 5000);
}

/* As long as a piece may be: of single letters, with a letter at its end that no token has, and one letter too long. */
static void longest_pieces(void **state)
{
    enum { N = WORDPIECE_MOST_CHARS };
    struct words m;
    char *piece = malloc(N + 1);
    (void)state;
    assert_ok(open_words(&m, "? a ##a b ##b ##bbbbbbbb", "##", N));
    memset(piece, 'a', N + 1);
    struct ids ids = encoded(&m, piece, N);
    assert_int_equal(ids.n, N + 1);
    assert_true(ids.at[1] == 1 && ids.at[2] == 2 && ids.at[N] == 2);
    ids_free(&ids);
    for (int too_long = 0; too_long <= 1; too_long++) {
        if (!too_long) piece[N - 1] = 'x';
        ids = encoded(&m, piece, (size_t)(N + too_long));
        assert_int_equal(ids.n, 2);
        assert_int_equal(ids.at[1], 0);
        ids_free(&ids);
        piece[N - 1] = 'a';
    }
    free(piece);
    arena_free(&m.memory);
}

static void refused(void **state)
{
    struct words m;
    (void)state;
    assert_fails(open_words(&m, "? a", "##", -1), E_DATA, "-1 characters");
    arena_free(&m.memory);
    assert_fails(open_words(&m, "? a", "##", WORDPIECE_MOST_CHARS + 1), E_DATA, "1048577 characters");
    assert_fails(wordpiece_build(&m.w, &m.memory, &m.vocab, "[UNK]", "##", 100, "words"), E_DATA, "\"[UNK]\" is not in the vocabulary");
    arena_free(&m.memory);
}

/* ---- tokens to text ---- */

static void shown(void **state)
{
    static const struct { const char *token, *prefix; int cleanup; const char *wanted; } rows[] = {
        { "word", "##", 0, " word" }, { "##s", "##", 0, "s" }, { "####s", "##", 0, "##s" }, { "#s", "##", 0, " #s" }, { "s", "", 0, "s" }, { "##", "##", 1, "" },
        { ".", "##", 0, " ." }, { ".", "##", 1, "." }, { "?", "##", 1, "?" }, { "!", "##", 1, "!" }, { ",", "##", 1, "," }, { "'", "##", 1, " '" }, { "' ", "##", 1, "'" }, { "n't", "##", 1, "n't" },
        { "'m", "##", 1, "'m" }, { "'s", "##", 1, "'s" }, { "'ve", "##", 1, "'ve" }, { "'re", "##", 1, "'re" }, { "do not", "##", 1, " don't" }, { "do nothing", "##", 1, " don'thing" },
        { "##  .", "##", 1, " ." }, { "##x ' s .", "##", 1, "x's." }, { "' '", "##", 1, "''" }, { "##a ' ' b", "##", 1, "a'' b" }, { "'d", "##", 1, " 'd" }, { "a\xc3\xa9 ,", "##", 1, " a\xc3\xa9," }, { "do n't", "##", 1, " don't" },
        { "##.x .y .z? ", "##", 1, ".x.y.z? " },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text t = { 0 };
        text_add(&t, "x .");                                 /* what is there stays */
        wordpiece_shown(&t, rows[i].token, strlen(rows[i].token), rows[i].prefix, rows[i].cleanup);
        assert_memory_equal(t.at, "x .", 3);
        if (strcmp(t.at + 3, rows[i].wanted)) fail_msg("\"%s\": \"%s\", not \"%s\"", rows[i].token, t.at + 3, rows[i].wanted);
        text_free(&t);
    }
    struct text t = { 0 };
    wordpiece_cleanup(&t, 0);
    wordpiece_shown(&t, "##s", 1, "##", 0);
    assert_string_equal(t.at, " #");
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters), cmocka_unit_test(texts), cmocka_unit_test(steps_and_parts), cmocka_unit_test(pieces), cmocka_unit_test(words), cmocka_unit_test(words_by_definition),
        cmocka_unit_test(longest_pieces), cmocka_unit_test(refused), cmocka_unit_test(shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
