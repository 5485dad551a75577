/* test_charsmap.c -- SentencePiece's maps of characters, and grapheme clusters, which they go by: what Hugging Face's tokenizers make of texts,
 * by a golden file that tests/twin/make_charsmap.py made; and maps that are damaged. */
#include "token/charsmap.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "test.h"
#include "token/grapheme.h"

#define GOLDEN "tests/golden/charsmap.json"

enum { LIMIT = 1 << 24 };

static json_t *file;

static int read_golden(void **state)
{
    (void)state;
    return json_read(&file, GOLDEN, LIMIT);
}

static int free_golden(void **state)
{
    (void)state;
    json_decref(file);
    return 0;
}

static const char *base64_of(const char *name) { return json_string_value(json_object_get(file, name)); }

/* ---- golden texts ---- */

static void assert_map(const char *name, const char *cases, size_t least)
{
    struct arena memory = { 0 };
    struct charsmap c;
    struct text out = { 0 };
    size_t i;
    json_t *row;
    assert_ok(charsmap_open(&c, &memory, base64_of(name), "test.json"));
    json_array_foreach (json_object_get(file, cases), i, row) {
        const json_t *text = json_array_get(row, 0), *wanted = json_array_get(row, 1);
        text_clear(&out);
        text_add(&out, "before ");
        assert_ok(charsmap_apply(&c, json_string_value(text), json_string_length(text), &out));
        if (strcmp(out.at + 7, json_string_value(wanted))) fail_msg("\"%s\" became \"%s\", not \"%s\"", json_string_value(text), out.at + 7, json_string_value(wanted));
    }
    assert_true(i > least);
    text_free(&out);
    arena_free(&memory);
}

static void golden(void **state)
{
    (void)state;
    assert_map("map", "cases", 150);
    assert_map("bytes", "clusters", 300);
}

/* Each character that may be more than OTHER, between others: the hash of all of it is the library's. */
static void each_character(void **state)
{
    struct arena memory = { 0 };
    struct charsmap c;
    size_t i;
    json_t *row;
    (void)state;
    assert_ok(charsmap_open(&c, &memory, base64_of("bytes"), "test.json"));
    json_array_foreach (json_object_get(file, "probes"), i, row) {
        struct text all = { 0 }, out = { 0 };
        struct sha256 hash;
        char hex[65], utf8[4];
        for (uint32_t point = 0; point < 0xe2000; point++) {
            if ((point >= 0xd800 && point < 0xe000) || (point >= 0x20000 && point < 0xe0000)) continue;
            text_add(&all, json_string_value(json_array_get(row, 0)));
            text_bytes(&all, utf8, utf8_put(utf8, point));
            text_add(&all, json_string_value(json_array_get(row, 1)));
            text_add(&all, "\n");
        }
        assert_ok(charsmap_apply(&c, all.at, all.size, &out));
        sha256_start(&hash);
        sha256_add(&hash, out.at, out.size);
        sha256_end(&hash, hex);
        assert_string_equal(hex, json_string_value(json_array_get(row, 2)));
        text_free(&out);
        text_free(&all);
    }
    assert_true(i >= 16);
    arena_free(&memory);
}

/* ---- what cannot stand in the golden file ---- */

static void assert_becomes(const struct charsmap *c, const char *text, size_t n, const char *wanted, size_t size)
{
    struct text out = { 0 };
    assert_ok(charsmap_apply(c, text, n, &out));
    assert_int_equal(out.size, size);
    if (size) assert_memory_equal(out.at, wanted, size);
    text_free(&out);
}

static void nul_and_long(void **state)
{
    enum { LONG = 1 << 20 };
    struct arena memory = { 0 };
    struct charsmap c;
    char *marks = malloc(2 * LONG);
    (void)state;
    assert_ok(charsmap_open(&c, &memory, base64_of("map"), "test.json"));
    assert_becomes(&c, "", 0, "", 0);
    assert_becomes(&c, "\0", 1, "\0", 1);
    assert_becomes(&c, "a\0\xc2\xa0\0\t", 6, "a\0 \0 ", 5);
    assert_becomes(&c, "\xc2\xad", 2, "", 0);
    for (size_t i = 0; i < LONG; i++) memcpy(marks + 2 * i, "\xcc\x81", 2);
    struct text out = { 0 };
    assert_ok(charsmap_apply(&c, marks, 2 * LONG, &out));    /* one cluster */
    assert_int_equal(out.size, LONG);
    assert_int_equal(out.at[LONG - 1], '\'');
    text_free(&out);
    free(marks);
    arena_free(&memory);
}

static void flags(void **state)
{
    (void)state;
    const char *text = "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xa9";
    assert_int_equal(grapheme_next(text, 20), 8);            /* in pairs */
    assert_int_equal(grapheme_next(text + 16, 4), 4);
    assert_int_equal(grapheme_next("\xf0\x9f\x87\xa9\xcc\x81\xf0\x9f\x87\xaa", 10), 6);
    assert_int_equal(grapheme_next("\r\n\n", 3), 2);
    assert_int_equal(grapheme_next("\xff\xcc\x81" "a", 4), 3);
}

/* ---- maps that are damaged ---- */

/* A map of one block: "a" becomes "xy". */
struct small { uint32_t size, unit[256]; char strings[4]; };
static struct small small(void)
{
    struct small s = { .size = 1024, .strings = "xy" };
    s.unit[0] = 1 << 10;                                     /* its children lie at 1 ^ byte, */
    s.unit[1 ^ 'a'] = 'a' | 1 << 8 | (1 ^ 'a' ^ 2) << 10;    /* those of "a" at 2 ^ byte */
    s.unit[2] = 1u << 31;
    return s;
}

static int open_small(const struct small *s, size_t n, struct charsmap *c, struct arena *memory)
{
    struct text base64 = { 0 };
    base64_encode(&base64, s, n);
    int code = charsmap_open(c, memory, base64.at ? base64.at : "", "test.json");
    text_free(&base64);
    return code;
}

static void damaged(void **state)
{
    static const struct { size_t unit; uint32_t value; const char *message; } rows[] = {
        { 0, 256 << 10, "leads to unit 256" }, { 0, UINT32_MAX, "leads to unit" }, { 1 ^ 'a', 'a' | 1024 << 10, "leads to unit" }, { 1 ^ 'a', 'a' | 1 << 9 | 1 << 10, "leads to unit" },
        { 2, 1u << 31 | 5, "byte 5 of 4" }, { 2, UINT32_MAX, "of 4" }, { 1 ^ 'b', 'b' | 4u << 20, "leads to unit" },
    };
    struct arena memory = { 0 };
    struct charsmap c;
    struct small s = small();
    (void)state;
    assert_ok(open_small(&s, sizeof s, &c, &memory));
    assert_becomes(&c, "bab", 3, "bxyb", 4);
    assert_ok(open_small(&s, sizeof s - 2, &c, &memory));    /* the end of the file ends a replacement, too */
    assert_becomes(&c, "bab", 3, "bxyb", 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s = small();
        s.unit[rows[i].unit] = rows[i].value;
        assert_fails(open_small(&s, sizeof s, &c, &memory), E_DATA, rows[i].message);
    }
    s = small();
    s.strings[0] = (char)0xff;
    assert_fails(open_small(&s, sizeof s, &c, &memory), E_DATA, "not UTF-8");
    memcpy(s.strings, "\xc3\xa9", 3);
    s.unit[2] = 1u << 31 | 1;                                /* within a character */
    assert_fails(open_small(&s, sizeof s, &c, &memory), E_DATA, "where none begins");
    for (size_t n = 0; n < 1028; n++) assert_fails(open_small(&s, n, &c, &memory), E_DATA, "trie has");
    for (size_t i = 0; i < 5; i++) {
        s = small();
        s.size = (const uint32_t[]){ 0, 4, 1023, 2048, UINT32_MAX - 1023 }[i];
        assert_fails(open_small(&s, sizeof s, &c, &memory), E_DATA, "trie has");
    }
    arena_free(&memory);
}

/* Every unit is every unit's child, so keys have no end.  And byte 0 would lead away. */
static void circles(void **state)
{
    struct arena memory = { 0 };
    struct charsmap c;
    struct small s = small();
    (void)state;
    for (uint32_t i = 1; i < 256; i++) s.unit[i] = i | i << 10;
    s.unit[0] = 0;
    assert_ok(open_small(&s, sizeof s, &c, &memory));
    assert_becomes(&c, "any text\xcc\x81", 10, "any text\xcc\x81", 10);
    s = small();
    s.unit[1] = 1 << 8 | 0x1fffff << 10;
    assert_ok(open_small(&s, sizeof s, &c, &memory));
    assert_becomes(&c, "\0a\0\xcc\x81", 5, "\0xy\0\xcc\x81", 6);
    arena_free(&memory);
}

static void no_base64(void **state)
{
    static const struct { const char *text, *message; } rows[] = {
        { "", "0 bytes of 0" }, { "A", "cut off" }, { "AAAAA", "cut off" }, { "====", "byte 0 is 0x3d" }, { "AAAA=", "cut off" }, { "AAA==", "cut off" }, { "AA===", "cut off" }, { "AA=A", "byte 2 is 0x3d" },
        { "AB==", "bits that mean nothing" }, { "AAB=", "bits that mean nothing" }, { "AAA\n", "0x0a" }, { "AA A", "0x20" }, { "AA-_", "0x2d" }, { "\xff\xff\xff\xff", "0xff" }, { "AAAA", "trie has" },
    };
    struct arena memory = { 0 };
    struct charsmap c;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_fails(charsmap_open(&c, &memory, rows[i].text, "test.json"), E_DATA, rows[i].message);
    arena_free(&memory);
}

/* Whatever a few other digits make of a map, it is refused, or no look-up leaves it. */
static void other_digits(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *base64 = base64_of("map");
    size_t n = strlen(base64);
    char *copy = malloc(n + 1);
    uint64_t r = 4;
    int opened = 0, failed = 0;
    (void)state;
    for (int round = 0; round < 600; round++) {
        struct arena memory = { 0 };
        struct charsmap c;
        struct text all = { 0 }, out = { 0 };
        memcpy(copy, base64, n + 1);
        for (int k = roll(&r, 4); k >= 0; k--) copy[roll(&r, (int)n - 2)] = digits[roll(&r, 64)];
        if (charsmap_open(&c, &memory, copy, "test.json")) {
            failed++;
        } else {
            opened++;
            for (uint32_t point = 1; point < 0x3400; point++) {
                char utf8[4];
                text_bytes(&all, utf8, utf8_put(utf8, point));
                if (point % 3) text_add(&all, "\n");
            }
            assert_ok(charsmap_apply(&c, all.at, all.size, &out));
            assert_int_equal(utf8_good(out.at, out.size), out.size);
        }
        text_free(&out);
        text_free(&all);
        arena_free(&memory);
    }
    assert_true(opened > 20 && failed > 20);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden), cmocka_unit_test(each_character), cmocka_unit_test(nul_and_long), cmocka_unit_test(flags), cmocka_unit_test(damaged), cmocka_unit_test(circles), cmocka_unit_test(no_base64),
        cmocka_unit_test(other_digits),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
