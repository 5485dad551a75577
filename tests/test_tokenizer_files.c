/* test_tokenizer_files.c -- the files a tokenizer is read from and written to; what they may say, and what is refused. */
#include "tokens.h"

/* The same vocabulary in all its file formats is the same tokenizer. */
static void write_pair(const char *vocab_name, const char *merges_name)
{
    json_t *root = json_of(BPE300 "/tokenizer.json"), *model = json_object_get(root, "model"), *merge;
    struct text lines = { 0 };
    size_t i;
    text_add(&lines, "#version: 0.2\n");
    json_array_foreach (json_object_get(model, "merges"), i, merge)
        text_format(&lines, "%s %s\n", json_string_value(json_array_get(merge, 0)), json_string_value(json_array_get(merge, 1)));
    assert_ok(json_write(at(vocab_name), json_object_get(model, "vocab")));
    write_text(at(merges_name), lines.at);
    text_free(&lines);
    json_decref(root);
}

static void assert_same(const struct tokenizer *t, const char *path)
{
    struct tokenizer *other = opened(path);
    assert_string_equal(tokenizer_fingerprint(other), tokenizer_fingerprint(t));
    assert_int_equal(tokenizer_end(other), tokenizer_end(t));
    tokenizer_free(other);
}

static void formats(void **state)
{
    (void)state;
    struct tokenizer *t = opened(BPE300);
    assert_int_equal(tokenizer_end(t), 0);
    assert_same(t, BPE300 "/tokenizer.json");
    assert_ok(dir_make(at("pair")));
    write_pair("pair/vocab.json", "pair/merges.txt");
    assert_same(t, at("pair"));
    assert_same(t, at("pair/merges.txt"));
    assert_ok(dir_make(at("openai")));
    write_pair("openai/encoder.json", "openai/vocab.bpe");
    assert_same(t, at("openai"));
    assert_same(t, at("openai/encoder.json"));
    assert_ok(dir_make(at("saved")));
    assert_ok(tokenizer_save(t, at("saved")));
    assert_same(t, at("saved"));
    assert_false(path_is_file(at("saved/meta.pkl")));
    tokenizer_free(t);
    if (lacks(__func__, GPT2)) return;
    t = opened(GPT2);
    assert_ok(tokenizer_save(t, at("saved")));
    assert_same(t, at("saved"));
    tokenizer_free(t);
}

static void broken_pairs(void **state)
{
    (void)state;
    struct tokenizer *t;
    assert_fails(tokenizer_open(&t, at("nowhere")), E_IO, "nowhere");
    assert_ok(dir_make(at("broken")));
    assert_fails(tokenizer_open(&t, at("broken")), E_DATA, "no tokenizer there");
    write_pair("broken/vocab.json", "broken/merges.txt");
    write_text(at("broken/merges.txt"), "#version: 0.2\nh e\nhe x y\n");
    assert_fails(tokenizer_open(&t, at("broken")), E_DATA, "merges.txt: line 3: two tokens and a space");
    write_text(at("broken/merges.txt"), "h e\r\n\r\nq q\r\n");              /* line ends are not part of tokens */
    assert_fails(tokenizer_open(&t, at("broken")), E_DATA, "merges.txt: line 3: its result \"qq\" is not in the vocabulary");
    write_text(at("broken/merges.txt"), "h e\n#version: 0.2\n");                /* a merge like any, if it is not the first line */
    assert_fails(tokenizer_open(&t, at("broken")), E_DATA, "merges.txt: line 2: its left part \"#version:\"");
    assert_int_equal(unlink(at("broken/merges.txt")), 0);
    assert_fails(tokenizer_open(&t, at("broken/vocab.json")), E_DATA, "belong together");
    write_text(at("broken/vocab.json"), "{\"a\": 0, \"a\": 1}");
    write_text(at("broken/merges.txt"), "");
    assert_fails(tokenizer_open(&t, at("broken")), E_DATA, "vocab.json: line 1");
}

static void end_of_text(void **state)
{
    (void)state;
    json_t *change = json_pack("{s:[{s:i, s:s, s:b}, {s:i, s:s, s:b}]}", "added_tokens", "id", 0, "content", "<|endoftext|>",
                               "special", 1, "id", 557, "content", "<|im_end|>", "special", 1);
    json_t *file = changed(change);
    struct tokenizer *t;
    assert_ok(dir_make(at("end")));
    assert_ok(json_write(at("end/tokenizer.json"), file));
    static const struct { const char *config; int64_t end; } rows[] = {
        { "{}", 0 }, { "{\"eos_token\": null, \"model_max_length\": 1000000000000000019884624838656}", 0 },
        { "{\"eos_token\": \"<|im_end|>\"}", 557 }, { "{\"eos_token\": {\"content\": \"<|im_end|>\"}}", 557 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_text(at("end/tokenizer_config.json"), rows[i].config);
        t = opened(at("end"));
        assert_int_equal(tokenizer_end(t), rows[i].end);
        assert_ok(dir_make(at("end/again")));
        assert_ok(tokenizer_save(t, at("end/again")));
        assert_same(t, at("end/again"));
        tokenizer_free(t);
    }
    write_text(at("end/tokenizer_config.json"), "{\"eos_token\": \"the\"}");
    assert_fails(tokenizer_open(&t, at("end")), E_DATA, "\"eos_token\" is \"the\"");
    json_decref(file);
    json_decref(change);
}

static void find_gpt2(void **state)
{
    (void)state;
    struct tokenizer *t, *other;
    assert_ok(tokenizer_find(&t, BPE300, NULL));             /* any other name is a path */
    tokenizer_free(t);
    if (lacks(__func__, GPT2)) skip();
    assert_ok(tokenizer_find(&t, "gpt2", GPT2));
    assert_int_equal(tokenizer_vocab(t), 50257);
    assert_ok(setenv("XDG_CACHE_HOME", folder, 1));
    assert_ok(dir_make(at("nib/gpt2")));
    assert_ok(tokenizer_save(t, at("nib/gpt2")));
    assert_ok(tokenizer_find(&other, "gpt2", BPE300));       /* beside is another tokenizer; the cache has GPT-2's */
    assert_string_equal(tokenizer_fingerprint(other), tokenizer_fingerprint(t));
    tokenizer_free(other);
    tokenizer_free(t);
}

/* ---- what a tokenizer.json may ask for and does not get.  ' stands for " ---- */

static const struct { const char *change, *message; } refusals[] = {
    { "{'version': '2.0'}", "\"version\" is \"2.0\"" },
    { "{'truncation': {'max_length': 512}}", "\"truncation\" is" },
    { "{'padding': {'length': 512}}", "\"padding\" is" },
    { "{'pre_tokenizer': {'type': 'Metaspace', 'replacement': '_'}}", "\"pre_tokenizer\" is {\"type\":\"Metaspace\"" },
    { "{'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': 0}}", "\"add_prefix_space\" must be true or false" },
    { "{'model': {'ignore_merges': 1}}", "\"ignore_merges\" must be true or false" },
    { "{'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false, 'lower': true}}", "\"lower\" is true" },
    { "{'pre_tokenizer': {'type': 'Digits', 'individual_digits': true}}", "\"pre_tokenizer\" is {\"type\":\"Digits\"" },
    { "{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '(a+)+$'}, 'behavior': 'Isolated', 'invert': false}}", "(a+)+$" },
    { "{'pre_tokenizer': {'type': 'Split', 'pattern': {'String': ' '}, 'behavior': 'Isolated', 'invert': false}}", "\"String\"" },
    { "{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'ByteLevel', 'add_prefix_space': false}, "
      "{'type': 'Digits', 'individual_digits': true}]}}", "\"pre_tokenizer\" is {\"type\":\"Digits\"" },
    { "{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': 7}}", "\"pretokenizers\" must be an array" },
    { "{'post_processor': {'type': 'TemplateProcessing', 'single': []}}",
      "\"post_processor\" is {\"type\":\"TemplateProcessing\"" },
    { "{'decoder': null}", "the decoder must be ByteLevel" },
    { "{'decoder': {'type': 'WordPiece'}}", "the decoder must be ByteLevel" },
    { "{'pre_tokenizer': null, 'post_processor': null}", "\"decoder\" is {\"type\":\"ByteLevel\"" },
    { "{'pre_tokenizer': null, 'post_processor': null, 'decoder': {'type': 'Fuse'}, 'model': {'merges': []}}",
      "is not one character" },
    { "{'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<s>'}}, {'Sequence': {'id': 'A'}}]}}",
      "\"post_processor\" is {\"type\":\"TemplateProcessing\"" },
    { "{'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<s>'}}]}}",
      "\"post_processor\" is {\"type\":\"TemplateProcessing\"" },
    { "{'something': {'new': 1}}", "\"something\" is {\"new\":1}" },
    { "{'model': {'type': 'Unigram'}}", "\"model.type\" is \"Unigram\"" },
    { "{'model': {'dropout': 0.1}}", "\"dropout\" is 0.1" },
    { "{'model': {'byte_fallback': true}}", "\"byte_fallback\" is true" },
    { "{'model': {'continuing_subword_prefix': '##'}}", "\"continuing_subword_prefix\" is \"##\"" },
    { "{'model': {'end_of_word_suffix': '</w>'}}", "\"end_of_word_suffix\" is \"</w>\"" },
    { "{'model': {'merges': {}}}", "\"merges\" must be an array" },
    { "{'model': {'merges': [['h', 'e', 'n']]}}", "merge 0: two tokens were expected" },
    { "{'model': {'merges': ['h e', 'hen']}}", "merge 1: two tokens and a space" },
    { "{'model': {'merges': [['h', 'zz']]}}", "merge 0: its right part \"zz\" is not in the vocabulary" },
    { "{'model': {'merges': [['zz', 'h']]}}", "merge 0: its left part \"zz\"" },
    { "{'model': {'merges': [['q', 'q']]}}", "merge 0: its result \"qq\"" },
    { "{'model': {'merges': [['h', 'e'], ['h', 'e']]}}", "merges 0 and 1 join the same tokens" },
    { "{'model': {'merges': [['h', '\\u4e2d']]}}", "outside of the byte alphabet" },
    { "{'model': {'vocab': {'qq': 1}}}", "id 1 stands for two tokens" },
    { "{'model': {'vocab': {'qq': -1}}}", "the id of the token \"qq\" must be an integer" },
    { "{'model': {'vocab': {'qq': 16777216}}}", "the id of the token \"qq\" must be an integer" },
    { "{'model': {'vocab': {'qq': '5'}}}", "the id of the token \"qq\" must be an integer" },
    { "{'model': {'vocab': {'qq': 16777215}}}", "ids go up to 16777215, but there are only 559 tokens" },
    { "{'model': {'vocab': {'': 557}}}", "id 557 has no bytes" },
    { "{'model': {'vocab': {'q q': 557}}}", "\"q q\" (id 557) has characters outside of the byte alphabet" },
    { "{'added_tokens': 1}", "\"added_tokens\" must be an array" },
    { "{'added_tokens': [{'id': 600, 'content': '<x>', 'special': true}, {'id': 601, 'content': '<x>', 'special': true}]}",
      "\"<x>\" is added twice" },
    { "{'added_tokens': [{'id': 5, 'content': '<x>', 'special': true}]}", "id 5 stands for two tokens" },
    { "{'added_tokens': [{'id': 5, 'content': '<|endoftext|>', 'special': true}]}",
      "has id 5 where it is added and id 0 in the vocabulary" },
    { "{'added_tokens': [{'id': 600, 'content': '', 'special': true}]}", "the added token with id 600 is empty" },
    { "{'added_tokens': [{'id': 600, 'content': '<x>'}]}", "\"special\" is missing" },
    { "{'added_tokens': [{'id': 16777216, 'content': '<x>', 'special': true}]}", "\"id\" is 16777216" },
};

/* What comes back of a text is what it was normalized to; bytes that are no text, and characters that are too new for others' tables, as they were. */
static void normalizers(void **state)
{
    static const struct { const char *normalizer, *text, *back; } rows[] = {
        { "{\"type\": \"NFC\"}", "e\xcc\x81 \xe1\x84\x92\xe1\x85\xa1 A\xff" "e\xcc\x81", "\xc3\xa9 \xed\x95\x98 A\xff\xc3\xa9" },
        { "{\"type\": \"NFD\"}", "\xc3\xa9 \xf0\x91\xa4\xb8", "e\xcc\x81 \xf0\x91\xa4\xb8" },
        { "{\"type\": \"NFKC\"}", "\xef\xac\x81 \xc2\xb2 \xe3\x8b\xbf", "fi 2 \xe3\x8b\xbf" },
        { "{\"type\": \"NFKD\"}", "\xef\xac\x81\xc3\xa9", "fie\xcc\x81" },
        { "{\"type\": \"Lowercase\"}", "THE \xc3\x89 \xc4\xb0 \xe1\xb2\x89", "the \xc3\xa9 i\xcc\x87 \xe1\xb2\x8a" },
        { "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}, {\"type\": \"Lowercase\"}]}", "\xef\xbc\xa1<|endoftext|>\xef\xbc\xa2", "a<|endoftext|>b" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *change = json_pack("{s:o}", "normalizer", json_loads(rows[i].normalizer, 0, NULL)), *file = changed(change);
        struct tokenizer *t, *again;
        assert_ok(parse_json(&t, file));
        assert_ok(tokenizer_save(t, folder));
        assert_ok(tokenizer_open(&again, folder));
        assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
        for (enum specials s = SPECIALS_AS_TEXT; s <= SPECIALS_AS_TOKENS; s++) {
            struct ids ids = encoded(again, rows[i].text, strlen(rows[i].text), s);
            struct text back = { 0 };
            assert_ok(tokenizer_decode(t, ids.at, ids.n, &back));
            assert_string_equal(back.at, rows[i].back);
            text_free(&back);
            ids_free(&ids);
        }
        tokenizer_free(again);
        tokenizer_free(t);
        json_decref(file);
        json_decref(change);
    }
}

static void refused_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char text[512];
        struct tokenizer *t = NULL;
        snprintf(text, sizeof text, "%s", refusals[i].change);
        for (char *c = text; *c; c++)
            if (*c == '\'') *c = '"';
        json_t *change = json_loads(text, 0, NULL), *file;
        assert_non_null(change);
        file = changed(change);
        if (parse_json(&t, file) != E_DATA) fail_msg("not refused: %s", text);
        if (!strstr(error_text(), refusals[i].message)) fail_msg("%s: %s", text, error_text());
        assert_memory_equal(error_text(), "changed.json: ", 14);
        assert_null(t);
        json_decref(file);
        json_decref(change);
    }
}

static void missing_bytes_and_holes(void **state)
{
    (void)state;
    json_t *none = json_object(), *file = changed(none), *model = json_object_get(file, "model");
    struct tokenizer *t;
    struct text out = { 0 };
    size_t n;
    json_object_set_new(json_object_get(model, "vocab"), "qq", json_integer(600));
    assert_ok(parse_json(&t, file));                         /* 557 .. 599 are holes */
    assert_int_equal(tokenizer_vocab(t), 601);
    tokenizer_bytes(t, 580, &n);
    assert_int_equal(n, 0);
    assert_ok(tokenizer_decode(t, (uint32_t[]){ 259, 580, 259 }, 3, &out));
    assert_string_equal(out.at, " the the");
    assert_ok(dir_make(at("holes")));
    assert_ok(tokenizer_save(t, at("holes")));
    assert_same(t, at("holes"));
    tokenizer_free(t);
    json_object_del(json_object_get(model, "vocab"), "q");
    json_object_set_new(model, "merges", json_array());
    assert_fails(parse_json(&t, file), E_DATA, "no token for the byte 0x71");
    text_free(&out);
    json_decref(file);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(broken_pairs),
        cmocka_unit_test(end_of_text),
        cmocka_unit_test(find_gpt2),
        cmocka_unit_test(normalizers),
        cmocka_unit_test(refused_files),
        cmocka_unit_test(missing_bytes_and_holes),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
