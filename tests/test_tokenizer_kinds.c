/* test_tokenizer_kinds.c -- BPE over characters, Unigram and WordPiece, with what stands around them in tokenizer.json: ids and text as
 * Hugging Face's library has them (tests/golden/tokenizer_kinds.json, which tests/twin/tokenizer_kinds.py makes); llama2.c's file. */
#include "tokens.h"

#include "base/utf8.h"

#define GOLDEN "tests/golden/tokenizer_kinds.json"

/* ---- as in Hugging Face's library ---- */

static json_t *file_of(const json_t *golden, const json_t *kind)
{
    json_t *file = json_deep_copy(json_object_get(kind, "file"));
    const json_t *vocabulary = json_array_get(json_object_get(golden, "vocabularies"), (size_t)json_integer_value(json_object_get(kind, "vocabulary")));
    json_object_update(json_object_get(file, "model"), (json_t *)vocabulary);
    return file;
}

static void same_text(const struct tokenizer *t, const struct ids *ids, const char *wanted, const char *name)
{
    struct text back = { 0 }, streamed = { 0 };
    struct decoder d = { 0 };
    text_add(&back, "");
    assert_ok(tokenizer_decode(t, ids->at, ids->n, &back));
    for (size_t i = 0; i <= ids->n; i++) assert_ok(tokenizer_stream(t, &d, i < ids->n ? (int64_t)ids->at[i] : -1, &streamed));
    text_add(&streamed, "");
    if (strcmp(back.at, wanted)) fail_msg("%s: \"%s\" came back, not \"%s\"", name, back.at, wanted);
    assert_string_equal(streamed.at, wanted);
    text_free(&back);
    text_free(&streamed);
}

static void same_case(const struct tokenizer *t, const json_t *row, const char *name)
{
    const char *text = json_string_value(json_array_get(row, 0)), *back = json_string_value(json_array_get(row, 2));
    const json_t *wanted = json_array_get(row, 1);
    struct ids ids = encoded(t, text, strlen(text), SPECIALS_AS_TEXT);
    int same = ids.n == json_array_size(wanted);
    for (size_t i = 0; same && i < ids.n; i++) same = ids.at[i] == json_integer_value(json_array_get(wanted, i));
    if (!same) fail_msg("%s: \"%s\" has other ids", name, text);
    same_text(t, &ids, back, name);
    ids_free(&ids);
}

/* All its texts as one, by threads, and in parts that it says are encoded by themselves. */
static void same_in_parts(const struct tokenizer *t, const json_t *cases, const char *name)
{
    struct text all = { 0 };
    size_t i;
    json_t *row;
    for (int times = 0; times < 40; times++)
        json_array_foreach (cases, i, row) text_format(&all, "%s word by word ", json_string_value(json_array_get(row, 0)));
    struct ids whole = encoded(t, all.at, all.size, SPECIALS_AS_TOKENS), by_threads = { 0 }, parts = { 0 };
    struct encoder *e;
    assert_ok(tokenizer_encode_by(t, all.at, all.size, SPECIALS_AS_TOKENS, 3, &by_threads));
    assert_ok(encoder_open(&e, t, SPECIALS_AS_TOKENS, all.size));
    for (size_t at = 0, n, most = 50; at < all.size; at += n, most = 50 + at % 400) {
        n = tokenizer_apart(t, all.at + at, all.size - at, most);
        if (!n) n = all.size - at;
        assert_ok(encoder_add(e, all.at + at, n, at, &parts));
    }
    if (by_threads.n != whole.n || memcmp(by_threads.at, whole.at, whole.n * sizeof *whole.at)) fail_msg("%s: other ids by threads", name);
    if (parts.n != whole.n || memcmp(parts.at, whole.at, whole.n * sizeof *whole.at)) fail_msg("%s: other ids in parts", name);
    encoder_close(e);
    ids_free(&whole);
    ids_free(&by_threads);
    ids_free(&parts);
    text_free(&all);
}

static void kinds(void **state)
{
    (void)state;
    json_t *golden = json_of(GOLDEN), *kind, *row;
    const char *name;
    size_t i;
    json_object_foreach (json_object_get(golden, "kinds"), name, kind) {
        json_t *file = file_of(golden, kind);
        struct tokenizer *t, *again;
        if (parse_json(&t, file)) fail_msg("%s: %s", name, error_text());
        json_array_foreach (json_object_get(kind, "cases"), i, row) same_case(t, row, name);
        same_in_parts(t, json_object_get(kind, "cases"), name);
        assert_ok(tokenizer_save(t, folder));
        assert_ok(tokenizer_open(&again, folder));
        assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
        tokenizer_free(again);
        tokenizer_free(t);
        json_decref(file);
    }
    json_decref(golden);
}

/* The ids around a text by itself, where a file has them, and in a prompt. */
static void templates(void **state)
{
    (void)state;
    json_t *golden = json_of(GOLDEN), *all = json_object_get(golden, "kinds"), *file = file_of(golden, json_object_get(all, "bert"));
    static const char *const others[] = { "{\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 3], \"cls\": [\"[CLS]\", 2]}", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, {\"type\": \"RobertaProcessing\", \"sep\": [\"[SEP]\", 3], \"cls\": [\"[CLS]\", 2], "
                                          "\"trim_offsets\": true, \"add_prefix_space\": false}]}" };
    for (int i = 0; i < 3; i++) {
        struct tokenizer *t;
        struct ids ids = { 0 }, plain = { 0 };
        size_t n;
        if (i) json_object_set_new(file, "post_processor", json_loads(others[i - 1], 0, NULL));
        assert_ok(parse_json(&t, file));
        assert_int_equal(*tokenizer_template(t, 0, &n), 2);
        assert_int_equal(n, 1);
        assert_int_equal(*tokenizer_template(t, 1, &n), 3);
        assert_int_equal(n, 1);
        assert_ok(tokenizer_encode_prompt(t, "the lamp", 8, &ids));
        plain = encoded(t, "[CLS]the lamp", 13, SPECIALS_AS_TOKENS);
        assert_int_equal(ids.n, plain.n);
        assert_memory_equal(ids.at, plain.at, ids.n * sizeof *ids.at);
        ids.n = 0;
        assert_ok(tokenizer_encode_prompt(t, "[CLS]the lamp", 13, &ids));            /* not twice */
        assert_int_equal(ids.n, plain.n);
        ids_free(&ids);
        ids_free(&plain);
        tokenizer_free(t);
    }
    json_decref(file);
    json_decref(golden);
}

/* What is asked for and nib does not do, and what contradicts itself.  ' stands for " */
static void refused(void **state)
{
    static const struct { const char *kind, *change, *message; } rows[] = {
        { "llama2", "{'normalizer': {'type': 'Replace', 'pattern': {'Regex': 'a+'}, 'content': 'b'}}", "\"normalizer\" is {\"type\":\"Replace\"" },
        { "llama2", "{'normalizer': {'type': 'Replace', 'pattern': {'String': ''}, 'content': 'b'}}", "\"normalizer\" is {\"type\":\"Replace\"" },
        { "llama2", "{'normalizer': {'type': 'Nmt'}}", "\"normalizer\" is {\"type\":\"Nmt\"}" },
        { "llama2", "{'normalizer': {'type': 'Strip', 'strip_left': true, 'strip_right': true}, 'added_tokens': [{'id': 700, 'content': ' ', 'special': true, 'normalized': true}]}", "nothing is left of the added token" },
        { "llama2", "{'normalizer': {'type': 'Lowercase'}, 'added_tokens': [{'id': 700, 'content': '<X>', 'special': true, 'normalized': true}, {'id': 701, 'content': '<x>', 'special': true, 'normalized': true}]}",
          "two added tokens are both \"<x>\"" },
        { "llama2", "{'pre_tokenizer': {'type': 'Metaspace', 'replacement': '_'}}", "\"pre_tokenizer\" is {\"type\":\"Metaspace\"" },
        { "llama2", "{'pre_tokenizer': {'type': 'Metaspace', 'replacement': '\\u2581', 'prepend_scheme': 'sometimes'}}", "\"pre_tokenizer\" is {\"type\":\"Metaspace\"" },
        { "llama2", "{'pre_tokenizer': {'type': 'WhitespaceSplit'}}", "\"pre_tokenizer\" is {\"type\":\"WhitespaceSplit\"}" },
        { "llama2", "{'pre_tokenizer': {'type': 'Digits', 'individual_digits': true}}", "\"pre_tokenizer\" is {\"type\":\"Digits\"" },
        { "llama2", "{'decoder': {'type': 'CTC'}}", "\"decoder\" is {\"type\":\"CTC\"}" },
        { "llama2", "{'decoder': {'type': 'Strip', 'content': ' ', 'start': 2, 'stop': 0}}", "\"decoder\" is {\"type\":\"Strip\"" },
        { "llama2", "{'post_processor': {'type': 'TemplateProcessing', 'single': [{'Sequence': {'id': 'A'}}, {'Sequence': {'id': 'A'}}]}}", "\"post_processor\" is" },
        { "llama2", "{'post_processor': {'type': 'BertProcessing', 'sep': ['</s>', 70000], 'cls': ['<s>', 1]}}", "the post-processor adds the token 70000, which is not in the vocabulary" },
        { "llama2", "{'model': {'vocab': {'<0x41>': 900, '<0x0A>': 1}}}", "id 1 stands for two tokens" },
        { "llama2", "{'model': {'type': 'WordLevel'}}", "\"model.type\" is \"WordLevel\"" },
        { "unigram always", "{'model': {'unk_id': 100000}}", "\"unk_id\" is 100000" },
        { "unigram always", "{'model': {'vocab': [['a', 1.5], ['b']]}}", "token 1: a text and its score were expected" },
        { "unigram always", "{'model': {'vocab': [['a', 1.5], ['a', 2]], 'unk_id': null}, 'added_tokens': []}", "two ids" },
        { "unigram always", "{'model': {'byte_fallback': true}}", "<0x00>" },
        { "unigram always", "{'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false}}", "\"model.type\" is \"Unigram\"" },
        { "bert", "{'model': {'unk_token': '[NONE]'}}", "[NONE]" },
        { "bert", "{'model': {'max_input_chars_per_word': -1}}", "\"max_input_chars_per_word\" is -1" },
        { "bert", "{'normalizer': {'type': 'BertNormalizer', 'clean_text': 1}}", "\"clean_text\" must be true or false" },
        { "bert", "{'pre_tokenizer': null}", "\"model.type\" is \"WordPiece\"" },
    };
    (void)state;
    json_t *golden = json_of(GOLDEN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char change[512];
        struct tokenizer *t;
        json_t *file = file_of(golden, json_object_get(json_object_get(golden, "kinds"), rows[i].kind));
        snprintf(change, sizeof change, "%s", rows[i].change);
        for (char *c = change; *c; c++)
            if (*c == '\'') *c = '"';
        json_t *over = json_loads(change, 0, NULL);
        assert_non_null(over);
        lay_over(file, over);
        if (parse_json(&t, file) != E_DATA) fail_msg("%s: not refused: %s", rows[i].kind, change);
        if (!strstr(error_text(), rows[i].message)) fail_msg("%s: %s", change, error_text());
        json_decref(over);
        json_decref(file);
    }
    json_decref(golden);
}

/* ---- llama2.c ---- */

static void add_piece(struct text *file, const char *bytes, size_t n, float score)
{
    uint32_t head[2] = { 0, (uint32_t)n };
    memcpy(head, &score, sizeof score);
    text_bytes(file, head, sizeof head);
    text_bytes(file, bytes, n);
}

/* Special tokens, bytes, merges by score, then characters, as SentencePiece orders them. */
static const char *const merged[] = { " t", "he", " the", " l", "am", "  ", " lam", "p ", NULL }, *const characters[] = { " ", "t", "h", "e", "l", "a", "m", "p", "\xc3\xa9", NULL };

/* spaces_last: their runs have a score below all others, as in llama2.c's own file. */
static void write_pieces(const char *path, float step, int spaces_last)
{
    struct text file = { 0 };
    char byte[8];
    float score = 0;
    text_bytes(&file, &(uint32_t){ 8 }, 4);
    add_piece(&file, "<unk>", 5, 0);
    add_piece(&file, "\n<s>\n", 5, 0);
    add_piece(&file, "\n</s>\n", 6, 0);
    for (int i = 0; i < 256; i++) add_piece(&file, byte, (size_t)snprintf(byte, sizeof byte, "<0x%02X>", i), 0);
    for (int i = 0; merged[i]; i++) {
        score += step;
        add_piece(&file, merged[i], strlen(merged[i]), spaces_last && strspn(merged[i], " ") == strlen(merged[i]) ? -1e9f : score);
    }
    for (int i = 0; characters[i]; i++) add_piece(&file, characters[i], strlen(characters[i]), score += step);
    assert_ok(file_write(path, file.at, file.size));
    text_free(&file);
}

static void write_llama2c(const char *path, float step) { write_pieces(path, step, 0); }

static void llama2c(void **state)
{
    enum { M = 259, C = 259 + 8 };
    static const struct { const char *text; uint32_t id[12]; size_t n; } rows[] = {
        { "the lamp", { M + 2, M + 6, C + 7 }, 3 },          /* " the" " lam" "p" */
        { "lamp the", { M + 6, M + 7, C + 1, M + 1 }, 4 },   /* "p " joins before " the" can, but " t" comes first: see below */
        { "  t", { M + 5, M }, 2 },
        { "\xc3\xa9\xe6\xbc\xa2", { C, C + 8, 3 + 0xe6, 3 + 0xbc, 3 + 0xa2 }, 5 },
        { "<s>", { C, 3 + '<', 3 + 's', 3 + '>' }, 4 },
    };
    struct tokenizer *t, *saved;
    size_t n;
    (void)state;
    write_llama2c(at("tokenizer.bin"), -1);
    assert_ok(tokenizer_open(&t, at("tokenizer.bin")));
    assert_int_equal(tokenizer_vocab(t), C + 9);
    assert_int_equal(tokenizer_end(t), 2);
    assert_int_equal(*tokenizer_template(t, 0, &n), 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ids ids = encoded(t, rows[i].text, strlen(rows[i].text), SPECIALS_AS_TEXT);
        if (i == 1) {                                        /* " t" is learnt before "p ": no "p " is made */
            const uint32_t id[] = { M + 6, C + 7, M + 2 };
            assert_int_equal(ids.n, 3);
            assert_memory_equal(ids.at, id, sizeof id);
        } else {
            assert_int_equal(ids.n, rows[i].n);
            assert_memory_equal(ids.at, rows[i].id, ids.n * sizeof *ids.at);
        }
        same_text(t, &ids, rows[i].text, "llama2.c");
        ids_free(&ids);
    }
    assert_round_trip(t, "a\xff\xfe b", 5);
    assert_ok(dir_make(at("l2c")));
    assert_ok(tokenizer_save(t, at("l2c")));
    assert_ok(tokenizer_open(&saved, at("l2c")));
    assert_string_equal(tokenizer_fingerprint(saved), tokenizer_fingerprint(t));
    assert_int_equal(tokenizer_end(saved), 2);
    tokenizer_free(saved);
    tokenizer_free(t);
}

static void broken_llama2c(void **state)
{
    struct tokenizer *t;
    struct text all = { 0 };
    (void)state;
    write_llama2c(at("tokenizer.bin"), 1);
    assert_fails(tokenizer_open(&t, at("tokenizer.bin")), E_DATA, "is not below that of those before it");
    write_llama2c(at("tokenizer.bin"), -1);
    assert_ok(file_read(at("tokenizer.bin"), LIMIT, &all));
    for (size_t n = 8; n < all.size - 10; n += 97) {         /* cut off within a token, or with too few */
        assert_ok(file_write(at("cut.bin"), all.at, n));
        assert_fails(tokenizer_open(&t, at("cut.bin")), E_DATA, "token");
    }
    all.at[0] = 4;                                           /* the longest is longer */
    assert_ok(file_write(at("cut.bin"), all.at, all.size));
    assert_fails(tokenizer_open(&t, at("cut.bin")), E_DATA, "the longest has 4");
    memcpy(all.at, "\xff\xff\xff\x7f", 4);
    assert_ok(file_write(at("cut.bin"), all.at, all.size));
    assert_fails(tokenizer_open(&t, at("cut.bin")), E_DATA, "a longest token of 2147483647 bytes");
    text_free(&all);
}

/* Runs of spaces are joined when nothing else can be, the leftmost first. */
static void spaces_last(void **state)
{
    enum { M = 259, C = 259 + 8 };
    static const struct { const char *text; uint32_t first[6], last[6]; size_t n[2]; } rows[] = {
        { "p  ", { C, C + 7, M + 5 }, { C, M + 7, C }, { 3, 3 } },               /* " " "p" "  ": "  " came before "p " */
        { "  \xc3\xa9", { M + 5, C, C + 8 }, { M + 5, C, C + 8 }, { 3, 3 } },
        { "   t", { M + 5, C, M }, { M + 5, C, M }, { 3, 3 } },
    };
    (void)state;
    for (int last = 0; last < 2; last++) {
        struct tokenizer *t;
        write_pieces(at("tokenizer.bin"), -1, last);
        assert_ok(tokenizer_open(&t, at("tokenizer.bin")));
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct ids ids = encoded(t, rows[i].text, strlen(rows[i].text), SPECIALS_AS_TEXT);
            assert_int_equal(ids.n, rows[i].n[last]);
            assert_memory_equal(ids.at, last ? rows[i].last : rows[i].first, ids.n * sizeof *ids.at);
            same_text(t, &ids, rows[i].text, "llama2.c");
            ids_free(&ids);
        }
        struct text many = { 0 };                            /* more than a word's: by the heap */
        for (int i = 0; i < 101; i++) text_add(&many, " ");
        struct ids ids = encoded(t, many.at, many.size, SPECIALS_AS_TEXT);
        assert_int_equal(ids.n, 51);
        for (int i = 0; i < 51; i++) assert_int_equal(ids.at[i], M + 5);
        ids_free(&ids);
        text_free(&many);
        tokenizer_free(t);
    }
}

/* Written and read again it is the same tokenizer, also where the model has more entries; other kinds are refused. */
static void written_llama2c(void **state)
{
    struct tokenizer *t, *again;
    (void)state;
    for (int last = 0; last < 2; last++)
        for (int more = 0; more < 3; more += 2) {
            write_pieces(at("tokenizer.bin"), -1, last);
            assert_ok(tokenizer_open(&t, at("tokenizer.bin")));
            assert_ok(tokenizer_write_llama2c(t, tokenizer_vocab(t) + more, at("again.bin")));
            assert_ok(tokenizer_open(&again, at("again.bin")));
            assert_int_equal(tokenizer_vocab(again), tokenizer_vocab(t) + (uint32_t)more);
            if (!more) assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
            struct ids a = encoded(t, "the   lamp  he", 14, SPECIALS_AS_TEXT), b = encoded(again, "the   lamp  he", 14, SPECIALS_AS_TEXT);
            assert_int_equal(a.n, b.n);
            assert_memory_equal(a.at, b.at, a.n * sizeof *a.at);
            ids_free(&a);
            ids_free(&b);
            tokenizer_free(again);
            tokenizer_free(t);
        }
    t = opened(BPE300);
    assert_fails(tokenizer_write_llama2c(t, tokenizer_vocab(t), at("no.bin")), E_MODEL, "this tokenizer is another kind");
    tokenizer_free(t);
    assert_false(path_is_file(at("no.bin")));
}

/* What stands in "nib" of a tokenizer.json. */
static void ids_that_come_last(void **state)
{
    static const struct { const char *own, *part; } cases[] = {
        { "{\"by_rank\": true, \"last\": [70000]}", "the token 70000, whose merges come last, is not in the vocabulary" }, { "{\"by_rank\": true, \"last\": [-1]}", "\"last\" is no list of ids" },
        { "{\"by_rank\": true, \"last\": [\"a\"]}", "\"last\" is no list of ids" }, { "{\"by_rank\": true, \"last\": 3}", "must be an array" }, { "{\"last\": [264]}", "\"nib\" is" },
    };
    struct tokenizer *t;
    json_t *root;
    (void)state;
    write_pieces(at("tokenizer.bin"), -1, 1);
    assert_ok(tokenizer_open(&t, at("tokenizer.bin")));
    assert_ok(dir_make(at("last")));
    assert_ok(tokenizer_save(t, at("last")));
    tokenizer_free(t);
    assert_ok(json_read(&root, at("last/tokenizer.json"), LIMIT));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(json_object_get(root, "nib"), "last"), 0)), 264);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_object_set_new(root, "nib", json_loads(cases[i].own, 0, NULL));
        char *json = json_dumps(root, 0);
        assert_fails(tokenizer_parse(&t, json, strlen(json), "it"), E_DATA, cases[i].part);
        free(json);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds), cmocka_unit_test(templates), cmocka_unit_test(refused), cmocka_unit_test(llama2c), cmocka_unit_test(broken_llama2c),
        cmocka_unit_test(spaces_last), cmocka_unit_test(written_llama2c), cmocka_unit_test(ids_that_come_last),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
