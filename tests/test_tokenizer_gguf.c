/* test_tokenizer_gguf.c -- tokenizers in GGUF files: what is written is read again, from the whole tokenizer.json and from the lists alone; names of
 * pre-tokenizers; lists that lie.  That llama.cpp makes the same ids is checked by tests/twin/check_llamacpp.py. */
#include "token/tokenizer_gguf.h"

#include <math.h>

#include "token/alphabet.h"
#include "tokens.h"

#define K TOKENIZER_KEY

static void write_keys(const char *path, struct gguf_keys *k)
{
    assert_ok(gguf_write(path, k, NULL, 0, NULL, NULL));
    text_free(&k->text);
    *k = (struct gguf_keys){ 0 };
}

static void write_tokenizer(const char *path, const struct tokenizer *t, int64_t rows, struct text *notices)
{
    struct gguf_keys k = { 0 };
    struct text own = { 0 };
    assert_ok(tokenizer_to_gguf(t, rows, &k, notices ? notices : &own));
    write_keys(path, &k);
    text_free(&own);
}

static void copy_text(const struct gguf *g, struct gguf_keys *k, const char *key)
{
    const char *text;
    if (!gguf_has(g, key)) return;
    assert_ok(gguf_text(g, key, &text));
    gguf_put_text(k, key, text);
}

static void copy_texts(const struct gguf *g, struct gguf_keys *k, const char *key)
{
    const struct gguf_bytes *list;
    size_t n;
    if (!gguf_has(g, key)) return;
    assert_ok(gguf_texts(g, key, &list, &n));
    gguf_put_texts(k, key, list, n);
}

/* The same file without its tokenizer.json. */
static void keep_lists(const char *from, const char *to)
{
    static const char *const truths[] = { K "add_bos_token", K "add_eos_token", K "add_space_prefix" }, *const ids[] = { K "bos_token_id", K "eos_token_id", K "unknown_token_id" };
    struct gguf_keys k = { 0 };
    struct gguf *g;
    const int32_t *types;
    const float *scores;
    size_t n;
    int truth;
    int64_t id;
    assert_ok(gguf_open(&g, from));
    copy_text(g, &k, K "model");
    copy_text(g, &k, K "pre");
    copy_texts(g, &k, K "tokens");
    copy_texts(g, &k, K "merges");
    assert_ok(gguf_ints(g, K "token_type", &types, &n));
    gguf_put_ints(&k, K "token_type", types, n);
    if (!gguf_reals(g, K "scores", &scores, &n)) gguf_put_reals(&k, K "scores", scores, n);
    for (int i = 0; i < 3; i++) {
        if (!gguf_bool(g, truths[i], &truth)) gguf_put_bool(&k, truths[i], truth);
        if (!gguf_int(g, ids[i], 0, INT32_MAX, &id)) gguf_put_int(&k, ids[i], (uint32_t)id);
    }
    write_keys(to, &k);
    gguf_close(g);
}

static void assert_same(const struct tokenizer *a, const char *path)
{
    struct tokenizer *b = opened(path);
    size_t n, m;
    assert_string_equal(tokenizer_fingerprint(a), tokenizer_fingerprint(b));
    assert_int_equal(tokenizer_end(a), tokenizer_end(b));
    for (int behind = 0; behind < 2; behind++) {
        const uint32_t *x = tokenizer_template(a, behind, &n), *y = tokenizer_template(b, behind, &m);
        assert_true(n == m && (!n || !memcmp(x, y, n * sizeof *x)));
    }
    tokenizer_free(b);
}

/* ---- byte-level BPE ---- */

static void bytes(void **state)
{
    static const struct { const char *pre, *change, *notice; int begins; } rows[] = {
        { "gpt-2", "{}", NULL, 0 },
        { "smollm", "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}]}}", NULL, 0 },
        { "gpt-2", "{\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<|endoftext|>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
                   "\"pair\": [], \"special_tokens\": {\"<|endoftext|>\": {\"id\": \"<|endoftext|>\", \"ids\": [300], \"tokens\": [\"<|endoftext|>\"]}}}}", NULL, 1 },
        { "gpt-2", "{\"normalizer\": {\"type\": \"NFC\"}}", "does not compose characters", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *change = json_loads(rows[i].change, 0, NULL), *root = changed(change);
        struct tokenizer *t;
        struct gguf *g;
        struct text notices = { 0 };
        const char *pre;
        int begins;
        if (i == 2) {                                        /* whatever id it has */
            json_t *added = json_array_get(json_object_get(root, "added_tokens"), 0);
            json_t *one = json_object_get(json_object_get(json_object_get(root, "post_processor"), "special_tokens"), "<|endoftext|>");
            json_object_set_new(one, "ids", json_pack("[O]", json_object_get(added, "id")));
        }
        assert_ok(parse_json(&t, root));
        write_tokenizer(at("it.gguf"), t, tokenizer_vocab(t) + 3, &notices);
        assert_same(t, at("it.gguf"));
        keep_lists(at("it.gguf"), at("lists.gguf"));
        if (!rows[i].notice) assert_same(t, at("lists.gguf"));
        else assert_non_null(strstr(notices.at, rows[i].notice));
        assert_ok(gguf_open(&g, at("it.gguf")));
        assert_ok(gguf_text(g, K "pre", &pre));
        assert_string_equal(pre, rows[i].pre);
        assert_ok(gguf_bool(g, K "add_bos_token", &begins));
        assert_int_equal(begins, rows[i].begins);
        gguf_close(g);
        tokenizer_free(t);
        text_free(&notices);
        json_decref(change);
        json_decref(root);
    }
}

/* Rows behind the last token, and ids that stand for nothing, are listed as unused, and are none when they are read. */
static void unused(void **state)
{
    struct tokenizer *t = opened(BPE300);
    struct gguf *g;
    const struct gguf_bytes *tokens;
    const int32_t *types;
    size_t n;
    (void)state;
    uint32_t vocab = tokenizer_vocab(t);
    write_tokenizer(at("it.gguf"), t, vocab + 5, NULL);
    assert_ok(gguf_open(&g, at("it.gguf")));
    assert_ok(gguf_texts(g, K "tokens", &tokens, &n));
    assert_int_equal(n, vocab + 5);
    assert_true(!memcmp(tokens[vocab].at, "[PAD", 4));
    assert_ok(gguf_ints(g, K "token_type", &types, &n));
    assert_int_equal(n, vocab + 5);
    assert_int_equal(types[vocab + 4], TYPE_UNUSED);
    assert_int_equal(types[tokenizer_end(t)], TYPE_CONTROL);
    assert_int_equal(types[1], TYPE_NORMAL);
    gguf_close(g);
    keep_lists(at("it.gguf"), at("lists.gguf"));
    struct tokenizer *again = opened(at("lists.gguf"));
    assert_int_equal(tokenizer_vocab(again), vocab);
    tokenizer_free(again);
    tokenizer_free(t);
}

/* Each name means what the table says, and names its family when it is written. */
static void names(void **state)
{
    struct tokenizer *t = opened(BPE300);
    (void)state;
    write_tokenizer(at("it.gguf"), t, tokenizer_vocab(t), NULL);
    keep_lists(at("it.gguf"), at("lists.gguf"));
    int n = 0;
    for (const struct pre *p = tokenizer_pres; p->names; p++) {
        char *all = strdup(p->names);
        for (char *name = strtok(all, " "); name; name = strtok(NULL, " "), n++) {
            struct gguf *g;
            struct gguf_keys k = { 0 };
            assert_ok(gguf_open(&g, at("lists.gguf")));
            copy_text(g, &k, K "model");
            copy_texts(g, &k, K "tokens");
            copy_texts(g, &k, K "merges");
            gguf_put_text(&k, K "pre", name);
            gguf_put_int(&k, K "bos_token_id", (uint32_t)tokenizer_end(t));
            gguf_put_int(&k, K "eos_token_id", (uint32_t)tokenizer_end(t));
            write_keys(at("named.gguf"), &k);
            gguf_close(g);
            struct tokenizer *named = opened(at("named.gguf"));
            size_t before;
            tokenizer_template(named, 0, &before);
            assert_int_equal(before, p->begins);
            assert_int_equal(named->bpe.whole_first, p->whole_first);
            write_tokenizer(at("again.gguf"), named, tokenizer_vocab(named), NULL);
            assert_same(named, at("again.gguf"));
            keep_lists(at("again.gguf"), at("lists2.gguf"));
            assert_same(named, at("lists2.gguf"));
            tokenizer_free(named);
        }
        free(all);
    }
    assert_int_equal(n, 54);
    tokenizer_free(t);
}

/* ---- by scores ---- */

/* <unk> <s> </s>, bytes, pieces with scores that fall, characters. */
enum { PIECES = 3 + 256 + 11 };
static const char *const last[] = { "he", "lo", "llo", "hello", ("\xe2\x96\x81" "a"), "l", "o", "h", "e", "\xe2\x96\x81", "a" };

static void put_pieces(struct gguf_keys *k, float step)
{
    static char names[256][8];
    struct gguf_bytes token[PIECES] = { { "<unk>", 5 }, { "<s>", 3 }, { "</s>", 4 } };
    int32_t type[PIECES] = { TYPE_UNKNOWN, TYPE_CONTROL, TYPE_CONTROL };
    float score[PIECES] = { 0 };
    for (int i = 0; i < 256; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i);
        token[3 + i] = (struct gguf_bytes){ names[i], 6 };
        type[3 + i] = TYPE_BYTE;
    }
    for (int i = 259; i < PIECES; i++) {
        token[i] = (struct gguf_bytes){ last[i - 259], strlen(last[i - 259]) };
        type[i] = TYPE_NORMAL;
        score[i] = step * (float)(i - 259);
    }
    gguf_put_text(k, K "model", "llama");
    gguf_put_texts(k, K "tokens", token, PIECES);
    gguf_put_ints(k, K "token_type", type, PIECES);
    gguf_put_reals(k, K "scores", score, PIECES);
}

static void assert_ids(const struct tokenizer *t, const char *text, const uint32_t *wanted, size_t n)
{
    struct ids ids = encoded(t, text, strlen(text), SPECIALS_AS_TOKENS);
    struct text back = { 0 };
    assert_int_equal(ids.n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids.at[i], wanted[i]);
    assert_ok(tokenizer_decode(t, ids.at, ids.n, &back));
    assert_true(back.size == strlen(text) && !memcmp(back.at, text, back.size));
    ids_free(&ids);
    text_free(&back);
}

static void scores(void **state)
{
    struct gguf_keys k = { 0 };
    struct tokenizer *t;
    size_t n;
    (void)state;
    put_pieces(&k, -1);
    write_keys(at("spm.gguf"), &k);
    t = opened(at("spm.gguf"));
    assert_int_equal(tokenizer_end(t), 2);
    assert_int_equal(*tokenizer_template(t, 0, &n), 1);      /* llama.cpp begins texts with <s> unless a key says otherwise */
    assert_ids(t, "a l", (uint32_t[]){ 263, 268, 264 }, 3);  /* a space before the text */
    assert_ids(t, "hello", (uint32_t[]){ 268, 262 }, 2);
    assert_ids(t, "\xc3\xa9", (uint32_t[]){ 268, 3 + 0xc3, 3 + 0xa9 }, 3);
    assert_ids(t, "</s>", (uint32_t[]){ 2 }, 1);
    write_tokenizer(at("again.gguf"), t, PIECES + 2, NULL);
    assert_same(t, at("again.gguf"));
    keep_lists(at("again.gguf"), at("lists.gguf"));
    assert_same(t, at("lists.gguf"));
    tokenizer_free(t);
    put_pieces(&k, -1);
    gguf_put_bool(&k, K "add_space_prefix", 0);
    gguf_put_bool(&k, K "add_bos_token", 0);
    gguf_put_bool(&k, K "add_eos_token", 1);
    write_keys(at("bare.gguf"), &k);
    t = opened(at("bare.gguf"));
    tokenizer_template(t, 0, &n);
    assert_int_equal(n, 0);
    assert_int_equal(*tokenizer_template(t, 1, &n), 2);
    assert_ids(t, "l a", (uint32_t[]){ 264, 263 }, 2);
    tokenizer_free(t);
}

/* ---- by scores, by definition ---- */

/* Pieces over three letters, all parts of which need not be there; scores of few kinds, so that many are equal. */
enum { MOST = 40, LONG = 24 };
struct scored { char text[MOST][8]; float score[MOST]; int n; };

static int find_scored(const struct scored *v, const char *text, size_t n)
{
    for (int i = 0; i < v->n; i++)
        if (strlen(v->text[i]) == n && !memcmp(v->text[i], text, n)) return i;
    return -1;
}

static void random_scored(uint64_t *r, struct scored *v)
{
    *v = (struct scored){ .text = { "a", "b", "c" }, .n = 3 };
    for (int tries = 0; tries < 200 && v->n < MOST; tries++) {
        char text[8] = "";
        int n = 2 + roll(r, roll(r, 3) ? 2 : 5);
        for (int i = 0; i < n; i++) text[i] = (char)('a' + roll(r, 1 + roll(r, 3)));
        if (find_scored(v, text, (size_t)n) >= 0) continue;
        v->score[v->n] = (float)-roll(r, 8);
        memcpy(v->text[v->n++], text, sizeof text);
    }
}

static void write_scored(const char *path, const struct scored *v)
{
    static char names[256][8];
    struct gguf_bytes token[3 + 256 + MOST] = { { "<unk>", 5 }, { "<s>", 3 }, { "</s>", 4 } };
    int32_t type[3 + 256 + MOST] = { TYPE_UNKNOWN, TYPE_CONTROL, TYPE_CONTROL };
    float score[3 + 256 + MOST] = { 0 };
    struct gguf_keys k = { 0 };
    for (int i = 0; i < 256; i++) snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i), token[3 + i] = (struct gguf_bytes){ names[i], 6 }, type[3 + i] = TYPE_BYTE;
    for (int i = 0; i < v->n; i++) token[259 + i] = (struct gguf_bytes){ v->text[i], strlen(v->text[i]) }, type[259 + i] = TYPE_NORMAL, score[259 + i] = v->score[i];
    gguf_put_text(&k, K "model", "llama");
    gguf_put_texts(&k, K "tokens", token, (size_t)(259 + v->n));
    gguf_put_ints(&k, K "token_type", type, (size_t)(259 + v->n));
    gguf_put_reals(&k, K "scores", score, (size_t)(259 + v->n));
    gguf_put_bool(&k, K "add_space_prefix", 0);
    write_keys(path, &k);
}

/* Of all neighbours whose text together is a token, those first whose token has the best score, the leftmost first. */
static int join_slowly(const struct scored *v, const char *text, int n, int *id)
{
    char symbol[LONG][8] = { "" };
    for (int i = 0; i < n; i++) symbol[i][0] = text[i];
    for (;;) {
        int best = -1, at_ = -1;
        for (int i = 0; i + 1 < n; i++) {
            char both[16];
            strcpy(both, symbol[i]);
            strcat(both, symbol[i + 1]);
            int token = find_scored(v, both, strlen(both));
            if (token >= 0 && (best < 0 || v->score[token] > v->score[best])) best = token, at_ = i;
        }
        if (best < 0) break;
        memcpy(symbol[at_], v->text[best], 8);
        memmove(symbol[at_ + 1], symbol[at_ + 2], (size_t)(n - at_ - 2) * sizeof *symbol);
        n--;
    }
    for (int i = 0; i < n; i++) id[i] = 259 + find_scored(v, symbol[i], strlen(symbol[i]));
    return n;
}

static void scores_by_definition(void **state)
{
    static struct scored v;
    uint64_t r = 5;
    (void)state;
    for (int round = 0; round < 60; round++) {
        random_scored(&r, &v);
        write_scored(at("scored.gguf"), &v);
        struct tokenizer *t = opened(at("scored.gguf")), *again;
        write_tokenizer(at("again.gguf"), t, tokenizer_vocab(t), NULL);
        assert_same(t, at("again.gguf"));
        keep_lists(at("again.gguf"), at("lists.gguf"));
        again = opened(at("lists.gguf"));                    /* whose scores are others, in the same order */
        for (int k = 0; k < 60; k++) {
            char text[LONG + 1] = "";
            int n = 1 + roll(&r, LONG - 1), letters = 1 + roll(&r, 3), id[LONG];
            for (int i = 0; i < n; i++) text[i] = (char)('a' + roll(&r, letters));
            struct ids ids = encoded(k % 2 ? t : again, text, (size_t)n, SPECIALS_AS_TEXT);
            n = join_slowly(&v, text, n, id);
            assert_int_equal(ids.n, n);
            for (int i = 0; i < n; i++) assert_int_equal(ids.at[i], id[i]);
            ids_free(&ids);
        }
        tokenizer_free(again);
        tokenizer_free(t);
    }
}

/* ---- characters ---- */

static void characters(void **state)
{
    static const char text[] = "\\a\n\t\x7f caf\xc3\xa9";
    static const struct { const char *character, *listed; } rows[] = { { "\\", "\\\\" }, { "\n", "\\x0a" }, { "\x7f", "\\x7f" }, { " ", " " }, { "\xc3\xa9", "\xc3\xa9" } };
    struct tokenizer *t;
    struct gguf *g;
    const struct gguf_bytes *list;
    size_t n;
    (void)state;
    assert_ok(tokenizer_of_characters(&t, text, sizeof text - 1));
    write_tokenizer(at("c.gguf"), t, tokenizer_vocab(t), NULL);
    assert_same(t, at("c.gguf"));
    assert_ok(gguf_open(&g, at("c.gguf")));
    assert_ok(gguf_texts(g, K "tokens", &list, &n));
    assert_false(gguf_has(g, K "eos_token_id"));             /* none of them ends texts */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ids id = encoded(t, rows[i].character, strlen(rows[i].character), SPECIALS_AS_TEXT);
        assert_true(list[id.at[0]].size == strlen(rows[i].listed) && !memcmp(list[id.at[0]].at, rows[i].listed, list[id.at[0]].size));
        ids_free(&id);
    }
    gguf_close(g);
    tokenizer_free(t);
}

/* A vocabulary without tokens for some bytes encodes all text that has none of them, and names the first. */
static void missing_bytes(void **state)
{
    static char spelled[256][3];
    struct gguf_bytes token[256];
    struct gguf_keys k = { 0 };
    struct ids ids = { 0 };
    size_t n = 0;
    (void)state;
    for (int b = 0; b < 256; b++) {
        struct text one = { 0 };
        if (b == 0xc0 || b == 0xf1) continue;
        alphabet_spell(&one, &(char){ (char)b }, 1);
        memcpy(spelled[b], one.at, one.size);
        token[n++] = (struct gguf_bytes){ spelled[b], one.size };
        text_free(&one);
    }
    gguf_put_text(&k, K "model", "gpt2");
    gguf_put_text(&k, K "pre", "starcoder");
    gguf_put_texts(&k, K "tokens", token, n);
    gguf_put_texts(&k, K "merges", NULL, 0);
    write_keys(at("lacks.gguf"), &k);
    struct tokenizer *t = opened(at("lacks.gguf"));
    assert_round_trip(t, "caf\xc3\xa9 \xf0\x9f\x98\x80 \xff", 12);
    assert_fails(tokenizer_encode(t, "a\xc0", 2, SPECIALS_AS_TEXT, &ids), E_DATA, "the byte 0xc0 is not in the vocabulary");
    assert_fails(tokenizer_encode(t, "\xf1\x80\x80\x80", 4, SPECIALS_AS_TEXT, &ids), E_DATA, "the byte 0xf1");
    assert_int_equal(ids.n, 0);
    tokenizer_free(t);
    ids_free(&ids);
}

/* ---- what is not written ---- */

static void not_written(void **state)
{
    static const struct { const char *change, *says; } rows[] = {
        { "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}}", "llama.cpp cuts no text as this tokenizer does" },
        { "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}}", "--regex=gpt2, llama3, qwen2 or o200k" },
        { "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true}}", "llama.cpp encodes text as it stands" },
        { "{\"normalizer\": {\"type\": \"Lowercase\"}}", "llama.cpp encodes text as it stands" },
        { "{\"added_tokens\": []}", "has no end token" },
    };
    struct gguf_keys k = { 0 };
    struct text notices = { 0 };
    struct tokenizer *t;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *change = json_loads(rows[i].change, 0, NULL), *root = changed(change);
        if (i == 4) json_object_del(json_object_get(json_object_get(root, "model"), "vocab"), END_OF_TEXT);
        assert_ok(parse_json(&t, root));
        assert_fails(tokenizer_to_gguf(t, tokenizer_vocab(t), &k, &notices), E_MODEL, rows[i].says);
        if (i == 4) write_tokenizer(at("padded.gguf"), t, tokenizer_vocab(t) + 1, NULL);         /* a row that nothing stands for ends texts */
        if (i == 4) assert_same(t, at("padded.gguf"));
        tokenizer_free(t);
        json_decref(change);
        json_decref(root);
    }
    t = opened(BPE300);
    assert_fails(tokenizer_to_gguf(t, tokenizer_vocab(t) - 1, &k, &notices), E_DATA, "tokens, the model");
    tokenizer_free(t);
    json_t *root = json_of(BPE300 "/tokenizer.json");
    json_array_append_new(json_object_get(root, "added_tokens"), json_pack("{s:i, s:s, s:b, s:b}", "id", 558, "content", "[PAD557]", "special", 0, "normalized", 0));
    assert_ok(parse_json(&t, root));
    assert_fails(tokenizer_to_gguf(t, 560, &k, &notices), E_DATA, "two tokens would both be spelled \"[PAD557]\" in a GGUF file");
    tokenizer_free(t);
    json_decref(root);
    text_free(&k.text);
    text_free(&notices);
}

/* ---- lists that lie ---- */

static const struct gguf_bytes three[] = { { "a", 1 }, { "b", 1 }, { "ab", 2 } };

/* The lists of BPE300's tokenizer, or others in their place. */
static void put_lists(struct gguf_keys *k, const struct gguf *g, const char *but)
{
    if (strcmp(but, "model")) copy_text(g, k, K "model");
    if (strcmp(but, "pre")) copy_text(g, k, K "pre");
    if (strcmp(but, "tokens")) copy_texts(g, k, K "tokens");
    if (strcmp(but, "merges")) copy_texts(g, k, K "merges");
}

static int read_file(const char *path)
{
    struct tokenizer *t = NULL;
    int code = tokenizer_open(&t, path);
    tokenizer_free(t);
    return code;
}

static void lies(void **state)
{
    enum { NOTHING, TEXT, TEXTS, INTS, INT, BOOL };
    static const struct { const char *key; int kind; const char *text; struct gguf_bytes texts[4]; size_t n; uint32_t value; const char *says; } rows[] = {
        { "model", NOTHING, NULL, { { 0 } }, 0, 0, "tokenizer.ggml.model is missing" }, { "model", INT, NULL, { { 0 } }, 0, 1, "a text is needed" },
        { "model", TEXT, "t5", { { 0 } }, 0, 0, "tokenizer.ggml.model is \"t5\"; nib knows gpt2 and llama" }, { "model", TEXT, "llama", { { 0 } }, 0, 0, "tokenizer.ggml.scores is missing" },
        { "pre", NOTHING, NULL, { { 0 } }, 0, 0, "tokenizer.ggml.pre is \"\"" }, { "pre", TEXT, "default", { { 0 } }, 0, 0, "it knows gpt-2 phi-2" }, { "pre", TEXT, "gpt", { { 0 } }, 0, 0, "is \"gpt\"" },
        { "pre", TEXT, "gpt-2 phi-2", { { 0 } }, 0, 0, "does not know" }, { "pre", TEXT, "llama-bpe", { { 0 } }, 0, 0, "bos_token_id is missing" },
        { "tokens", NOTHING, NULL, { { 0 } }, 0, 0, "tokens is missing" }, { "tokens", INTS, NULL, { { 0 } }, 3, 0, "an array of texts is needed" }, { "tokens", TEXTS, NULL, { { 0 } }, 0, 0, "0 tokens" },
        { "tokens", TEXTS, NULL, { { "a", 1 }, { "a", 1 } }, 2, 0, "token 1 has the bytes of one before it" }, { "tokens", TEXTS, NULL, { { "a\xff", 2 } }, 1, 0, "the vocabulary is empty" },
        { "tokens", TEXTS, NULL, { { "a\0b", 3 } }, 1, 0, "the vocabulary is empty" }, { "tokens", TEXTS, NULL, { { "\xe4\xb8\xad", 3 } }, 1, 0, "" },
        { "tokens", TEXTS, NULL, { { "", 0 } }, 1, 0, "" }, { "merges", NOTHING, NULL, { { 0 } }, 0, 0, "merges is missing" }, { "merges", INTS, NULL, { { 0 } }, 3, 0, "an array of texts is needed" },
        { "merges", TEXTS, NULL, { { "a", 1 } }, 1, 0, "two tokens and a space" }, { "merges", TEXTS, NULL, { { "a\0b", 3 } }, 1, 0, "merge 0 is not UTF-8" },
        { "merges", TEXTS, NULL, { { "zzz qqq", 7 } }, 1, 0, "merge 0" }, { "token_type", INTS, NULL, { { 0 } }, 3, 0, "types of 3 tokens, of which there are" },
        { "token_type", TEXTS, NULL, { { "a", 1 } }, 1, 0, "an array of whole numbers is needed" }, { "bos_token_id", INT, NULL, { { 0 } }, 0, 100000, "bos_token_id is 100000, not in 0 to" },
        { "eos_token_id", INT, NULL, { { 0 } }, 0, 4294967295u, "eos_token_id is 4294967295, not in 0 to" }, { "eos_token_id", TEXT, "1", { { 0 } }, 0, 0, "a whole number is needed" },
        { "add_bos_token", INT, NULL, { { 0 } }, 0, 1, "true or false is needed" }, { "add_bos_token", BOOL, NULL, { { 0 } }, 0, 1, "texts begin with a token that is not named" },
        { "add_eos_token", BOOL, NULL, { { 0 } }, 0, 1, "texts end with a token that is not named: tokenizer.ggml.eos_token_id is missing" },
    };
    struct tokenizer *t = opened(BPE300);
    struct gguf *g;
    char key[64];
    (void)state;
    write_tokenizer(at("it.gguf"), t, tokenizer_vocab(t), NULL);
    tokenizer_free(t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gguf_keys k = { 0 };
        assert_ok(gguf_open(&g, at("it.gguf")));
        put_lists(&k, g, rows[i].key);
        snprintf(key, sizeof key, K "%s", rows[i].key);
        if (rows[i].kind == TEXT) gguf_put_text(&k, key, rows[i].text);
        if (rows[i].kind == TEXTS) gguf_put_texts(&k, key, rows[i].texts, rows[i].n);
        if (rows[i].kind == INTS) gguf_put_ints(&k, key, (int32_t[]){ 1, 2, -3 }, rows[i].n);
        if (rows[i].kind == INT) gguf_put_int(&k, key, rows[i].value);
        if (rows[i].kind == BOOL) gguf_put_bool(&k, key, (int)rows[i].value);
        write_keys(at("lie.gguf"), &k);
        gguf_close(g);
        int code = read_file(at("lie.gguf"));
        if (code != E_DATA || !strstr(error_text(), rows[i].says)) fail_msg("lie %zu, %s: %d, %s", i, rows[i].key, code, code ? error_text() : "");
    }
    struct gguf_keys k = { 0 };                              /* scores that are none, too few, and bytes that are missing */
    put_pieces(&k, NAN);
    write_keys(at("lie.gguf"), &k);
    assert_fails(read_file(at("lie.gguf")), E_DATA, "the score of token 259 is not finite");
    gguf_put_text(&k, K "model", "llama");
    gguf_put_texts(&k, K "tokens", three, 3);
    gguf_put_reals(&k, K "scores", (float[]){ 1, 2 }, 2);
    write_keys(at("lie.gguf"), &k);
    assert_fails(read_file(at("lie.gguf")), E_DATA, "scores of 2 tokens, of which there are 3");
    gguf_put_text(&k, K "model", "llama");
    gguf_put_texts(&k, K "tokens", three, 3);
    gguf_put_reals(&k, K "scores", (float[]){ 1, 2, 0 }, 3);
    write_keys(at("lie.gguf"), &k);
    assert_fails(read_file(at("lie.gguf")), E_DATA, "<0x00>");
    gguf_put_text(&k, TOKENIZER_JSON, "{\"model\": 1}");
    write_keys(at("lie.gguf"), &k);
    assert_fails(read_file(at("lie.gguf")), E_DATA, "tokenizer.huggingface.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes), cmocka_unit_test(unused), cmocka_unit_test(names), cmocka_unit_test(scores), cmocka_unit_test(scores_by_definition), cmocka_unit_test(characters), cmocka_unit_test(missing_bytes), cmocka_unit_test(not_written), cmocka_unit_test(lies),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
