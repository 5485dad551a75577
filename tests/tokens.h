/* tokens.h -- what the tests of tokenizers share. */
#ifndef TOKENS_H
#define TOKENS_H
#include "base/json.h"
#include "folder.h"
#include "token/tokenizer.h"

#define BPE300 "tests/golden/bpe300"
#define GPT2 "../shared/data/gpt2-bpe"

enum { LIMIT = 1 << 24 };

static inline int lacks(const char *test, const char *path)  /* says so, for those who skip */
{
    if (path_is_file(path) || path_is_dir(path)) return 0;
    printf("skipped: %s: %s is not there\n", test, path);
    return 1;
}

static inline struct tokenizer *opened(const char *path)
{
    struct tokenizer *t;
    assert_ok(tokenizer_open(&t, path));
    return t;
}

static inline json_t *json_of(const char *path)
{
    json_t *root;
    assert_ok(json_read(&root, path, LIMIT));
    return root;
}

static inline struct ids encoded(const struct tokenizer *t, const char *text, size_t n, enum specials s)
{
    struct ids ids = { 0 };
    assert_ok(tokenizer_encode(t, text, n, s, &ids));
    return ids;
}

/* What a token is shown as. */
static inline void assert_token(const struct tokenizer *t, uint32_t id, const char *bytes)
{
    size_t n;
    const char *shown = tokenizer_bytes(t, id, &n);
    assert_int_equal(n, strlen(bytes));
    assert_memory_equal(shown, bytes, n);
}

static inline void assert_round_trip(const struct tokenizer *t, const char *bytes, size_t n)
{
    for (enum specials s = SPECIALS_AS_TEXT; s <= SPECIALS_AS_TOKENS; s++) {
        struct ids ids = encoded(t, bytes, n, s);
        struct text back = { 0 };
        assert_ok(tokenizer_decode(t, ids.at, ids.n, &back));
        assert_int_equal(back.size, n);
        if (n) assert_memory_equal(back.at, bytes, n);
        text_free(&back);
        ids_free(&ids);
    }
}

/* Lays one object over another.  "model" and "vocab" are laid over each other in their turn, other members are replaced. */
static inline void lay_over(json_t *object, const json_t *change)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)change, key, value) {
        int within = json_is_object(value) && (!strcmp(key, "model") || !strcmp(key, "vocab"));
        if (within) lay_over(json_object_get(object, key), value);
        else json_object_set(object, key, value);
    }
}

/* The vocabulary of the tests, changed. */
static inline json_t *changed(const json_t *change)
{
    json_t *root = json_of(BPE300 "/tokenizer.json");
    lay_over(root, change);
    return root;
}

static inline int parse_json(struct tokenizer **t, const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    int failed = tokenizer_parse(t, text, strlen(text), "changed.json");
    free(text);
    return failed;
}

#endif
