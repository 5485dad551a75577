/* test_dataset.c -- text encoded by several threads, and what a prepared folder says of itself. */
#include "text/dataset.h"

#include "base/utf8.h"
#include "file/documents.h"
#include "text/prepare.h"
#include "tokens.h"

/* Some hundred kilobytes: words, numbers, line ends, signs, other scripts, bytes that are no text, special tokens. */
static void made_up(struct text *all, size_t n)
{
    static const char *const parts[] = { " the", " gull", "\n", "\n\n", "The", " 12", "345", ", ", ". ", "'s", "  ", "\t", "\xd0\xbc\xd0\xb0\xd1\x8f\xd0\xba", "\xe7\x81\xaf", "!", " - ", "lamp", "\nA", "z z" };
    uint64_t r = 21;
    while (all->size < n) {
        int k = roll(&r, 4000);
        if (k == 0) text_add(all, "<|endoftext|>");
        else if (k == 1) text_bytes(all, "\xff\xfe", 2);
        else text_add(all, parts[roll(&r, (int)(sizeof parts / sizeof *parts))]);
    }
}

static void same_ids(const struct tokenizer *t, const struct text *text, enum specials s)
{
    struct ids whole = encoded(t, text->at, text->size, s);
    for (int threads = 1; threads < 4; threads++) {
        struct ids ids = { 0 };
        assert_ok(tokenizer_encode_by(t, text->at, text->size, s, threads, &ids));
        assert_int_equal(ids.n, whole.n);
        assert_memory_equal(ids.at, whole.at, whole.n * sizeof *whole.at);
        ids_free(&ids);
    }
    ids_free(&whole);
}

/* By each way to cut text; also where an added token has a space in it, so that the text must not be cut apart. */
static void by_threads(void **state)
{
    static const char *const changes[] = {
        "{}", "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}}",
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}}",
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a-z]+|.\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}}",
        "{\"added_tokens\": [{\"id\": 600, \"content\": \"e g\", \"special\": false, \"normalized\": false, \"single_word\": false, \"lstrip\": false, \"rstrip\": false}]}",
    };
    struct text text = { 0 };
    (void)state;
    made_up(&text, 300000);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        json_t *change = json_loads(changes[i], 0, NULL), *file = changed(change);
        struct tokenizer *t;
        assert_ok(parse_json(&t, file));
        same_ids(t, &text, SPECIALS_AS_TEXT);
        same_ids(t, &text, SPECIALS_AS_TOKENS);
        tokenizer_free(t);
        json_decref(file);
        json_decref(change);
    }
    text_free(&text);
}

static void special_tokens_refused(void **state)
{
    struct tokenizer *t = opened(BPE300);
    struct ids ids = { 0 };
    struct text text = { 0 };
    (void)state;
    assert_ok(tokenizer_encode(t, "none here", 9, SPECIALS_REFUSED, &ids));
    size_t before = ids.n;
    assert_fails(tokenizer_encode(t, "a <|endoftext|>", 15, SPECIALS_REFUSED, &ids), E_DATA, "byte 2: the special token <|endoftext|>");
    for (int i = 0; i < 20000; i++) text_add(&text, "more words ");
    text_add(&text, "<|endoftext|>");
    assert_fails(tokenizer_encode_by(t, text.at, text.size, SPECIALS_REFUSED, 3, &ids), E_DATA, "byte 220000: the special token");
    assert_int_equal(ids.n, before);
    ids_free(&ids);
    text_free(&text);
    tokenizer_free(t);
}

/* ---- prepared ---- */

static int prepare_by(const char *input, const char *out, const char *tokenizer, int threads)
{
    struct prepared done;
    return prepare(&(struct prepare_options){ .inputs = &input, .n = 1, .out = out, .tokenizer = tokenizer, .field = "text", .val = "0.1", .threads = threads }, &done);
}

static void same_bytes(const char *a, const char *b)
{
    struct text x = { 0 }, y = { 0 };
    assert_ok(file_read(a, LIMIT, &x));
    assert_ok(file_read(b, LIMIT, &y));
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.at, y.at, x.size);
    text_free(&x);
    text_free(&y);
}

static void prepared_by_threads(void **state)
{
    struct text text = { 0 }, lines = { 0 };
    (void)state;
    made_up(&text, 400000);
    for (char *c = text.at; *c; c++)                         /* no odd bytes: JSON has none, nor has a vocabulary of characters */
        if (*c == '\xff' || *c == '\xfe') *c = '?';
    for (size_t at = 0, n = 1; at + n < text.size; at += n, n = at % 7 ? 40 + at % 900 : 70000) {
        while (at + n < text.size && (text.at[at + n] & 0xc0) == 0x80) n++;
        json_t *object = json_pack("{s:s%}", "text", text.at + at, n);
        char *line = json_dumps(object, JSON_COMPACT);
        text_format(&lines, "%s\n", line);
        free(line);
        json_decref(object);
    }
    assert_ok(file_write(at("all.txt"), text.at, text.size));
    assert_ok(file_write(at("all.jsonl"), lines.at, lines.size));
    for (int i = 0; i < 4; i++) {
        const char *input = i % 2 ? at("all.txt") : at("all.jsonl"), *tokenizer = i / 2 ? "char" : BPE300;
        assert_ok(prepare_by(input, at("one"), tokenizer, 1));
        assert_ok(prepare_by(input, at("three"), tokenizer, 3));
        same_bytes(at("one/train.bin"), at("three/train.bin"));
        same_bytes(at("one/val.bin"), at("three/val.bin"));
    }
    text_free(&text);
    text_free(&lines);
}

static void assert_split(const char *path, const struct tokenizer *t, const char *text, size_t n)
{
    struct text file = { 0 };
    struct ids ids = encoded(t, text, n, SPECIALS_AS_TEXT);
    assert_ok(file_read(path, 1 << 26, &file));
    assert_int_equal(file.size, 2 * ids.n);
    for (size_t i = 0; i < ids.n; i++) assert_int_equal((unsigned char)file.at[2 * i] | (unsigned char)file.at[2 * i + 1] << 8, ids.at[i]);
    ids_free(&ids);
    text_free(&file);
}

/* A text that is larger than what is read at once: the ids are those of the whole, cut by characters. */
static void stretches(void **state)
{
    struct text text = { 0 };
    struct tokenizer *t = opened(BPE300);
    (void)state;
    made_up(&text, 35 << 20);
    size_t characters = 0, cut = 0, size;
    for (size_t i = 0; i < text.size; i += size, characters++) utf8_next(text.at + i, text.size - i, &size);
    for (size_t i = 0; i < (size_t)((double)characters * 0.9); i++, cut += size) utf8_next(text.at + cut, text.size - cut, &size);
    assert_ok(file_write(at("large.txt"), text.at, text.size));
    assert_ok(prepare_by(at("large.txt"), at("large"), BPE300, 2));
    assert_split(at("large/train.bin"), t, text.at, cut);
    assert_split(at("large/val.bin"), t, text.at + cut, text.size - cut);
    memset(text.at, 'x', text.size);                         /* nowhere to cut: read whole, though larger than a stretch */
    assert_ok(file_write(at("large.txt"), text.at, 17 << 20));
    assert_ok(prepare_by(at("large.txt"), at("large"), BPE300, 2));
    assert_split(at("large/train.bin"), t, text.at, (size_t)((17 << 20) * 0.9));
    text_free(&text);
    tokenizer_free(t);
}

/* Cuts between characters: never within one, and near the place that was asked for. */
static void between_characters(void **state)
{
    struct text text = { 0 };
    (void)state;
    made_up(&text, 3000);
    text_add(&text, "\xf0\x9f\x8c\x8a\x80\x80\x80\x80\x80");
    for (size_t most = 0; most < text.size; most++) {
        size_t at = documents_between(NULL, text.at, text.size, most), characters = 0, apart = 0, size;
        assert_in_range(at, most > 3 ? most - 3 : 0, most);
        for (size_t i = 0; i < text.size; i += size, characters++) utf8_next(text.at + i, text.size - i, &size);
        for (size_t i = 0; i < at; i += size, apart++) utf8_next(text.at + i, at - i, &size);
        for (size_t i = at; i < text.size; i += size, apart++) utf8_next(text.at + i, text.size - i, &size);
        assert_int_equal(apart, characters);
        assert_int_equal(utf8_count(text.at, at), apart - utf8_count(text.at + at, text.size - at));
    }
    text_free(&text);
}

static void tells(void **state)
{
    struct dataset d;
    struct text out = { 0 };
    char model[PATH_SIZE], other[PATH_SIZE];
    (void)state;
    assert_ok(path_join(model, folder, "small"));
    assert_ok(path_join(other, folder, "other"));
    write_text(at("small.txt"), "the lamp and the tide and the wind and the lamp and the gulls");
    assert_ok(prepare_by(at("small.txt"), model, BPE300, 1));
    assert_ok(dataset_open(&d, model));
    assert_ok(dataset_tell(&d, &out));
    assert_non_null(strstr(out.at, "16 bits each, vocabulary "));
    assert_non_null(strstr(out.at, "\nit begins:\nthe lamp and the tide"));
    assert_non_null(strstr(out.at, d.tokenizer));
    assert_ok(dataset_suits(&d, model));
    assert_ok(dataset_suits(&d, folder));                    /* no tokenizer there to compare with */
    assert_ok(prepare_by(at("small.txt"), other, "char", 1));
    assert_fails(dataset_suits(&d, other), E_DATA, "was made by another tokenizer");
    dataset_close(&d);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_threads), cmocka_unit_test(special_tokens_refused), cmocka_unit_test(prepared_by_threads), cmocka_unit_test(stretches), cmocka_unit_test(between_characters), cmocka_unit_test(tells),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
