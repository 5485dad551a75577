/* test_unigram.c -- the unigram model.  Its ids are those of Hugging Face's tokenizers, by a golden file that tests/twin/make_unigram.py
 * made; and those of the definition, on random vocabularies.  SEED and COUNT (vocabularies) may be given in the environment. */
#include "token/unigram.h"

#include <math.h>

#include "base/json.h"
#include "base/utf8.h"
#include "test.h"

#define GOLDEN "tests/golden/unigram.json"

enum { LIMIT = 1 << 24, MOST = 600, TEXT = 40 };

static long number_from(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* ---- models ---- */

struct model {
    struct arena memory;
    struct tokens list;
    double score[2048];
    struct vocab vocab;
    struct unigram unigram;
    struct unigram_work work;
};

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->list.at = take_array(&m->memory, sizeof m->score / sizeof *m->score, sizeof *m->list.at);
    return m;
}

static void put(struct model *m, const char *bytes, size_t size, double score)
{
    char *copy = arena_take(&m->memory, size + 1);
    assert_true(m->list.n < sizeof m->score / sizeof *m->score);
    memcpy(copy, bytes, size);
    m->score[m->list.n] = score;
    m->list.at[m->list.n] = (struct token){ .bytes = copy, .size = (uint32_t)size, .id = (uint32_t)m->list.n };
    m->list.n++;
}

static void put_bytes(struct model *m, double score)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        put(m, name, (size_t)snprintf(name, sizeof name, "<0x%02X>", i), score);
    }
}

static int build(struct model *m, int64_t unknown, int byte_fallback)
{
    TRY(vocab_build(&m->vocab, &m->memory, m->list, (struct tokens){ 0 }, "test.json"));
    return unigram_build(&m->unigram, &m->memory, &m->vocab, m->score, unknown, byte_fallback, "test.json");
}

static void model_free(struct model *m)
{
    unigram_work_free(&m->work);
    arena_free(&m->memory);
    free(m);
}

/* Tokens and scores: "<unk>" 0, "a" -1 ... */
static struct model *model_of(const char *const *tokens, const double *scores, int n)
{
    struct model *m = model_new();
    for (int i = 0; i < n; i++) put(m, tokens[i], strlen(tokens[i]), scores[i]);
    return m;
}

static void assert_ids(struct model *m, const char *text, size_t n, const uint32_t *wanted, size_t count)
{
    struct ids ids = { 0 };
    assert_ok(unigram_encode(&m->unigram, &m->work, text, n, &ids));
    assert_int_equal(ids.n, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(ids.at[i], wanted[i]);
    ids_free(&ids);
}
#define IDS(...) (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

/* ---- golden ids ---- */

static void put_vocab(struct model *m, const json_t *vocab)
{
    size_t i;
    json_t *pair;
    json_array_foreach (vocab, i, pair) {
        const json_t *token = json_array_get(pair, 0);
        put(m, json_string_value(token), json_string_length(token), json_number_value(json_array_get(pair, 1)));
    }
}

static void assert_golden(const struct ids *ids, const json_t *golden, const char *text)
{
    char hashed[64];
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < 4 * ids->n; i++) h = (h ^ (ids->at[i / 4] >> i % 4 * 8 & 255)) * 0x100000001b3u;
    snprintf(hashed, sizeof hashed, "%zu:%016llx", ids->n, (unsigned long long)h);
    if (json_is_string(golden)) {
        assert_string_equal(hashed, json_string_value(golden));
        return;
    }
    int same = ids->n == json_array_size(golden);
    for (size_t i = 0; same && i < ids->n; i++) same = ids->at[i] == json_integer_value(json_array_get(golden, i));
    if (!same) fail_msg("\"%s\": other ids", text);
}

static void check_case(struct model *m, const json_t *row)
{
    const json_t *text = json_array_get(row, 0), *golden = json_array_get(row, 2);
    struct text all = { 0 };
    struct ids ids = { 0 };
    for (json_int_t k = json_integer_value(json_array_get(row, 1)); k > 0; k--) text_bytes(&all, json_string_value(text), json_string_length(text));
    int code = unigram_encode(&m->unigram, &m->work, all.at, all.size, &ids);
    if (json_is_null(golden)) {
        assert_int_equal(code, E_DATA);
        assert_int_equal(ids.n, 0);
    } else {
        assert_int_equal(code, 0);
        assert_golden(&ids, golden, json_string_value(text));
    }
    ids_free(&ids);
    text_free(&all);
}

static void golden(void **state)
{
    json_t *root, *of, *row;
    size_t i, k, cases = 0;
    (void)state;
    assert_ok(json_read(&root, GOLDEN, LIMIT));
    json_array_foreach (root, i, of) {
        struct model *m = model_new();
        const json_t *vocab = json_object_get(of, "vocab"), *unknown = json_object_get(of, "unknown");
        put_vocab(m, json_is_null(vocab) ? json_object_get(json_array_get(root, 0), "vocab") : vocab);
        if (json_is_true(json_object_get(of, "bytes"))) put_bytes(m, -20);
        assert_ok(build(m, json_is_null(unknown) ? -1 : json_integer_value(unknown), json_is_true(json_object_get(of, "byte_fallback"))));
        json_array_foreach (json_object_get(of, "cases"), k, row) check_case(m, row);
        cases += k;
        model_free(m);
    }
    assert_true(cases > 800);
    json_decref(root);
}

/* ---- by definition ---- */

/* Of all tokens that end at a place the one with the best sum so far, of equal ones the longest; every substring is looked up. */
static size_t encode_slowly(const struct model *m, const char *text, size_t n, uint32_t *ids)
{
    double sum[TEXT + 1] = { 0 };
    size_t start[TEXT + 1] = { 0 }, count = 0;
    int64_t token[TEXT + 1];
    for (size_t end = 1; end <= n; end++) {
        token[end] = -1;
        for (size_t at = 0; at < end; at++) {
            int64_t id = vocab_find(&m->vocab, text + at, end - at);
            double score = sum[at] + (id < 0 ? m->unigram.unknown_score : m->score[id]);
            if ((id < 0 && end - at > 1) || (token[end] >= 0 && score <= sum[end])) continue;
            sum[end] = score, start[end] = at, token[end] = id < 0 ? 0 : id;
        }
    }
    for (size_t end = n; end > 0; end = start[end])
        if (count == 0 || token[end] || ids[count - 1]) ids[count++] = (uint32_t)token[end];
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t id = ids[i];
        ids[i] = ids[count - 1 - i];
        ids[count - 1 - i] = id;
    }
    return count;
}

/* Letters alone; scores are few, so that many sums are equal. */
static void by_definition(void **state)
{
    uint64_t r = (uint64_t)number_from("SEED", 8);
    (void)state;
    for (long round = number_from("COUNT", 300); round > 0; round--) {
        struct model *m = model_new();
        int letters = 1 + roll(&r, 4), scores = 1 + roll(&r, 5);
        put(m, "<unk>", 5, 0);
        for (int k = roll(&r, 60); k > 0; k--) {
            char word[8] = "";
            for (int i = 1 + roll(&r, 6); i > 0; i--) word[i - 1] = (char)('a' + roll(&r, letters));
            int is_new = 1;
            for (size_t i = 0; i < m->list.n; i++) is_new &= strcmp(m->list.at[i].bytes, word) != 0;
            if (is_new) put(m, word, strlen(word), -1 - roll(&r, scores));
        }
        assert_ok(build(m, 0, 0));
        for (int k = 0; k < 40; k++) {
            char text[TEXT];
            uint32_t ids[TEXT];
            size_t n = 1 + (size_t)roll(&r, TEXT);
            for (size_t i = 0; i < n; i++) text[i] = (char)('a' + roll(&r, letters));
            size_t count = encode_slowly(m, text, n, ids);
            assert_ids(m, text, n, ids, count);
        }
        model_free(m);
    }
}

/* ---- the trie ---- */

/* The tokens that begin a text, by a walk and by comparing each. */
static void assert_walk(const struct trie *t, struct tokens list, const char *text, size_t n)
{
    size_t found = 0, all = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < n && (node = trie_child(t, node, (unsigned char)text[i])); i++) {
        uint32_t id = t->at[node].token;
        if (id == TRIE_NONE) continue;
        assert_int_equal(list.at[id].size, i + 1);
        assert_memory_equal(list.at[id].bytes, text, i + 1);
        found++;
    }
    for (size_t i = 0; i < list.n; i++) all += list.at[i].size <= n && !memcmp(list.at[i].bytes, text, list.at[i].size);
    assert_int_equal(found, all);
}

static void tries(void **state)
{
    uint64_t r = 3;
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct model *m = model_new();
        struct trie t;
        int bytes = round % 3 == 0 ? 2 : round % 3 == 1 ? 256 : 20, longest = round % 2 ? 3 : 40;
        char text[MOST];
        for (int k = roll(&r, 1000); k >= 0; k--) {
            size_t n = 1 + (size_t)roll(&r, longest);
            for (size_t i = 0; i < n; i++) text[i] = (char)roll(&r, bytes);
            if (tokens_find(m->list, text, n)) continue;
            put(m, text, n, 0);
            for (size_t i = m->list.n - 1; i > 0 && token_compare(&m->list.at[i - 1], &m->list.at[i]) > 0; i--) {
                struct token last = m->list.at[i];
                m->list.at[i] = m->list.at[i - 1];
                m->list.at[i - 1] = last;
            }
        }
        for (uint32_t i = 0; i < m->list.n; i++) m->list.at[i].id = i;
        assert_ok(trie_build(&t, &m->memory, m->list, "test"));
        for (int k = 0; k < 300; k++) {
            size_t n = (size_t)roll(&r, MOST);
            const struct token *from = &m->list.at[roll(&r, (int)m->list.n)];
            for (size_t i = 0; i < n; i++) text[i] = i < from->size ? from->bytes[i] : (char)roll(&r, bytes);
            assert_walk(&t, m->list, text, n);
        }
        model_free(m);
    }
}

static void odd_tries(void **state)
{
    struct arena memory = { 0 };
    struct trie t;
    (void)state;
    assert_ok(trie_build(&t, &memory, (struct tokens){ 0 }, "test"));
    for (int byte = 0; byte < 256; byte++) assert_int_equal(trie_child(&t, 0, (unsigned char)byte), 0);
    enum { LONG = 1 << 20 };
    char *x = arena_take(&memory, LONG + 1);
    memset(x, 'x', LONG);
    struct token list[] = { { x, LONG, 5, 0 }, { x, LONG - 1, 6, 0 }, { x, LONG - 1, 7, 0 } };
    assert_ok(trie_build(&t, &memory, (struct tokens){ list, 3 }, "test"));
    uint32_t node = 0;
    for (size_t i = 0; i < LONG; i++) {
        node = trie_child(&t, node, 'x');
        assert_int_not_equal(node, 0);
        if (i == LONG - 2) assert_true(t.at[node].token == 6 || t.at[node].token == 7);
    }
    assert_int_equal(t.at[node].token, 5);
    assert_int_equal(trie_child(&t, node, 'x'), 0);
    assert_true(t.n < LONG + LONG / 8);                      /* few places are left over */
    arena_free(&memory);
}

/* ---- what the library never sees, and what it does not say ---- */

static void torn(void **state)
{
    const char *const tokens[] = { "<unk>", "a", "\xc3\xa9", "b" };
    const double scores[] = { 0, -1, -1, -1 };
    struct model *m = model_of(tokens, scores, 4), *bytes = model_of(tokens, scores, 4);
    (void)state;
    assert_ok(build(m, 0, 0));
    assert_ids(m, "a\xff" "a", 3, IDS(1, 0, 1));
    assert_ids(m, "\xff\xfe\xe2\x82" "a\xc3", 6, IDS(0, 1, 0));
    assert_ids(m, "\xe7\x81\xaf\xc3" "a", 5, IDS(0, 1));     /* one run with characters that are unknown */
    assert_ids(m, "\xc3\xa9\xa9", 3, IDS(2, 0));
    assert_ids(m, "a\0b", 3, IDS(1, 0, 3));
    assert_ids(m, "", 0, NULL, 0);
    put_bytes(bytes, -20);
    assert_ok(build(bytes, 0, 1));
    assert_ids(bytes, "a\xff" "a", 3, IDS(1, 4 + 0xff, 1));
    assert_ids(bytes, "\xc3\xe7\x81\xaf", 4, IDS(4 + 0xc3, 4 + 0xe7, 4 + 0x81, 4 + 0xaf));
    assert_ids(bytes, "\0\xc3\xa9", 3, IDS(4, 2));
    assert_ids(bytes, "<unk>", 5, IDS(0));
    assert_ids(bytes, "<0x41>", 6, IDS(4 + 0x41));
    model_free(bytes);
    model_free(m);
}

static void nothing_unknown(void **state)
{
    const char *const tokens[] = { "a", "ab" };
    struct model *m = model_of(tokens, (const double[]){ -1, -1 }, 2);
    struct ids ids = { 0 };
    (void)state;
    assert_ok(build(m, -1, 0));
    assert_ids(m, "aba", 3, IDS(1, 0));                      /* b by itself would be worse */
    assert_ok(ids_add(&ids, (const uint32_t[]){ 7 }, 1));
    assert_fails(unigram_encode(&m->unigram, &m->work, "aab\xe7\x81\xaf", 6, &ids), E_DATA, "U+706F (\"\\xe7\\x81\\xaf\")");
    assert_fails(unigram_encode(&m->unigram, &m->work, "b", 1, &ids), E_DATA, "no unknown token");
    assert_fails(unigram_encode(&m->unigram, &m->work, "a\xff", 2, &ids), E_DATA, "\"\\xff\" is not UTF-8");
    assert_int_equal(ids.n, 1);
    ids_free(&ids);
    model_free(m);
}

static void refused(void **state)
{
    const char *const tokens[] = { "<unk>", "a", "\xff", "<0x00>" };
    const struct { double score; int n; int64_t unknown; int byte_fallback; const char *message; } rows[] = {
        { INFINITY, 2, 0, 0, "the token \"a\" (id 1) is not a finite" }, { -INFINITY, 2, 0, 0, "not a finite" }, { NAN, 2, -1, 0, "not a finite" }, { -1, 3, 0, 0, "id 2) is not UTF-8" },
        { -1, 2, 2, 0, "unknown token, 2" }, { -1, 2, 1ll << 40, 0, "unknown token" }, { -1, 2, 0, 1, "there is no <0x00>" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model *m = model_of(tokens, (const double[]){ 0, rows[i].score, -1, -1 }, rows[i].n);
        assert_fails(build(m, rows[i].unknown, rows[i].byte_fallback), E_DATA, rows[i].message);
        model_free(m);
    }
    struct model *m = model_of(tokens, (const double[]){ 0, -1 }, 2);
    put_bytes(m, -2);
    m->list.n--;
    assert_fails(build(m, 0, 1), E_DATA, "there is no <0xFF>");
    model_free(m);
}

/* ---- a megabyte without a place to cut ---- */

static void count_of(struct model *m, const char *part, size_t times, size_t count)
{
    struct text all = { 0 };
    struct ids ids = { 0 };
    for (size_t i = 0; i < times; i++) text_add(&all, part);
    assert_ok(unigram_encode(&m->unigram, &m->work, all.at, all.size, &ids));
    assert_int_equal(ids.n, count);
    ids_free(&ids);
    text_free(&all);
}

static void megabytes(void **state)
{
    const char *const tokens[] = { "<unk>", "a", "aaaa", "b" };
    const double scores[] = { 0, -1, -1, -1 };
    struct model *m = model_of(tokens, scores, 4), *bytes = model_of(tokens, scores, 4);
    (void)state;
    assert_ok(build(m, 0, 0));
    count_of(m, "a", 1 << 20, 1 << 18);
    count_of(m, "ab", 1 << 19, 1 << 20);
    count_of(m, "\xce\xa9", 1 << 19, 1);
    count_of(m, "\xff", 1 << 20, 1);
    put_bytes(bytes, -20);
    assert_ok(build(bytes, 0, 1));
    count_of(bytes, "\xce\xa9", 1 << 19, 1 << 20);
    model_free(bytes);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden), cmocka_unit_test(by_definition), cmocka_unit_test(tries), cmocka_unit_test(odd_tries), cmocka_unit_test(torn), cmocka_unit_test(nothing_unknown), cmocka_unit_test(refused),
        cmocka_unit_test(megabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
