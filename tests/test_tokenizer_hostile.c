/* test_tokenizer_hostile.c -- tokenizer files that are made to hang, to crash or to take all memory: each is one clear line, and soon. */
#include "tokens.h"

#include <unistd.h>

/* One line that names the file, whatever is in it. */
static void refused_by(const char *path, const char *says)
{
    struct tokenizer *t = NULL;
    assert_fails(tokenizer_open(&t, path), E_DATA, says);
    assert_non_null(strstr(error_text(), path_base(path)));
    assert_null(strchr(error_text(), '\n'));
    assert_null(t);
}

/* The vocabulary of the tests with a change.  ' stands for " */
static void refused(const char *change, const char *says)
{
    char text[256];
    snprintf(text, sizeof text, "%s", change);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    json_t *over = json_loads(text, 0, NULL), *file = changed(over);
    char *json = json_dumps(file, 0);
    assert_non_null(over);
    write_text(at("hostile.json"), json);
    refused_by(at("hostile.json"), says);
    free(json);
    json_decref(file);
    json_decref(over);
}

/* A merge that makes one of its own parts, or a token that it needs itself. */
static void cyclic_merges(void **state)
{
    (void)state;
    refused("{'model': {'merges': [['he', '']]}}", "merge 0: its right part \"\" is not in the vocabulary");
    refused("{'model': {'merges': [['', 'he']]}}", "merge 0: its left part \"\" is not in the vocabulary");
    refused("{'model': {'vocab': {'': 557}, 'merges': [['he', '']]}}", "id 557 has no bytes");
    write_text(at("cyclic.model"), "minbpe v1\n\n0\n256 256\n");
    refused_by(at("cyclic.model"), "line 4: the ids of two earlier tokens were expected");
    write_text(at("cyclic.model"), "minbpe v1\n\n0\n97 257\n256 98\n");
    refused_by(at("cyclic.model"), "line 4: the ids of two earlier tokens were expected");
}

static void absent_tokens(void **state)
{
    (void)state;
    refused("{'model': {'merges': [['h', 'e'], ['he', 'zz']]}}", "merge 1: its right part \"zz\" is not in the vocabulary");
    refused("{'model': {'merges': [['q', 'q']]}}", "merge 0: its result \"qq\" is not in the vocabulary");
}

static void large_ids(void **state)
{
    static const char *const changes[] = { "{'model': {'vocab': {'qq': 2147483648}}}", "{'model': {'vocab': {'qq': 4294967296}}}", "{'model': {'vocab': {'qq': -2147483648}}}", "{'model': {'vocab': {'qq': 9223372036854775807}}}" };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) refused(changes[i], "the id of the token \"qq\" must be an integer within 0 .. 16777215");
    refused("{'added_tokens': [{'id': 2147483648, 'content': '<x>', 'special': true}]}", "\"id\" is 2147483648");
    refused("{'model': {'vocab': {'qq': 16777215}}}", "ids go up to 16777215, but there are only 559 tokens");
    write_text(at("gpt2.tiktoken"), "IQ== 2147483648\n");
    refused_by(at("gpt2.tiktoken"), "a rank below 16777216");
    write_text(at("ids.model"), "minbpe v1\n\n1\n<x> 2147483648\n");
    refused_by(at("ids.model"), "line 4: a special token and its id were expected");
}

static void duplicates(void **state)
{
    (void)state;
    refused("{'model': {'vocab': {'qq': 1}}}", "id 1 stands for two tokens");
    refused("{'added_tokens': [{'id': 600, 'content': '<x>', 'special': true}, {'id': 601, 'content': '<x>', 'special': true}]}", "\"<x>\" is added twice");
    refused("{'model': {'merges': [['h', 'e'], ['h', 'e']]}}", "merges 0 and 1 join the same tokens");
    write_text(at("twice.json"), "{\"model\": {\"vocab\": {\"a\": 1, \"a\": 2}}}");
    refused_by(at("twice.json"), "duplicate object key");
    write_text(at("gpt2.tiktoken"), "IQ== 0\nIQ== 1\n");
    refused_by(at("gpt2.tiktoken"), "the token \"!\" has two ids, 0 and 1");
}

/* A hundred thousand of each, within each other. */
static void deep_json(void **state)
{
    static const char *const opens[] = { "[", "{\"a\":", "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" };
    (void)state;
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        struct text t = { 0 };
        for (int n = 0; n < 100000; n++) text_add(&t, opens[i]);
        write_text(at("deep.json"), t.at);
        refused_by(at("deep.json"), "JSON nested deeper than 64");
        text_free(&t);
    }
}

/* Of a gigabyte nothing is read; one of 30 MB is a token like any, or is too long for what must look it up at each place. */
static void long_strings(void **state)
{
    struct text t = { 0 };
    struct tokenizer *opened_;
    struct ids ids = { 0 };
    enum { LONG = 30 << 20 };
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *name = at(i == 0 ? "huge.json" : i == 1 ? "gpt2.tiktoken" : "huge.model");
        write_text(name, "{\"");
        assert_int_equal(truncate(name, 1 << 30), 0);
        refused_by(name, "is larger than the 67108864 bytes that are allowed for it");
    }
    char *string = malloc(LONG + 1);
    memset(string, 'a', LONG);
    string[LONG] = 0;
    json_t *over = json_pack("{s:{s:{s:i}}}", "model", "vocab", string, 557), *file = changed(over);
    assert_ok(parse_json(&opened_, file));
    assert_ok(tokenizer_encode(opened_, string, 1 << 20, SPECIALS_AS_TEXT, &ids));
    assert_true(ids.n > 1);
    ids_free(&ids);
    tokenizer_free(opened_);
    json_decref(file);
    json_decref(over);
    string[4 * (LONG / 8)] = 0;
    text_format(&t, "%s 0\n", string);
    write_text(at("gpt2.tiktoken"), t.at);
    refused_by(at("gpt2.tiktoken"), "nib reads up to 512");
    free(string);
    text_free(&t);
}

/* Sixty lines, each twice as long a token as the one before. */
static void tokens_that_double(void **state)
{
    struct text t = { 0 };
    (void)state;
    text_add(&t, "minbpe v1\n\n0\n97 97\n");
    for (int i = 0; i < 60; i++) text_format(&t, "%d %d\n", 256 + i, 256 + i);
    write_text(at("doubling.model"), t.at);
    refused_by(at("doubling.model"), "much more than the file has");
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cyclic_merges), cmocka_unit_test(absent_tokens), cmocka_unit_test(large_ids), cmocka_unit_test(duplicates), cmocka_unit_test(deep_json), cmocka_unit_test(long_strings),
        cmocka_unit_test(tokens_that_double),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
