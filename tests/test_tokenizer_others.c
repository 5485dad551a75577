/* test_tokenizer_others.c -- vocabularies in the files of other programs: tiktoken's ranks, llm.c's tokenizer.bin, minbpe's .model, BERT's
 * vocab.txt.  llama2.c's is in test_tokenizer_kinds.c. */
#include "token/tokenizer_core.h"
#include "tokens.h"

/* ---- ranks: by definition ---- */

enum { TOKENS = 300, LONGEST = 9, PIECE = 40 };
struct ranks { char text[TOKENS][LONGEST]; int n; };         /* by id: 256 bytes, then random texts of three letters */

static int id_of(const struct ranks *v, const char *text, int n)
{
    for (int id = 0; id < v->n; id++)
        if (id < 256 ? n == 1 && (unsigned char)text[0] == id : (int)strlen(v->text[id]) == n && !memcmp(v->text[id], text, (size_t)n)) return id;
    return -1;
}

static void random_ranks(uint64_t *r, struct ranks *v)
{
    v->n = 256;
    for (int tries = 0; tries < 400 && v->n < TOKENS; tries++) {
        char text[LONGEST] = "";
        int n = 2 + roll(r, roll(r, 4) ? 3 : LONGEST - 2);
        if (n > LONGEST - 1) n = LONGEST - 1;
        for (int i = 0; i < n; i++) text[i] = (char)('a' + roll(r, 1 + roll(r, 3)));
        if (id_of(v, text, n) < 0) memcpy(v->text[v->n++], text, LONGEST);
    }
}

static void add_base64(struct text *out, const char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned char three[3] = { 0 };
        memcpy(three, bytes + i, n - i < 3 ? n - i : 3);
        uint32_t bits = (uint32_t)three[0] << 16 | (uint32_t)three[1] << 8 | three[2];
        for (int k = 0; k < 4; k++) text_bytes(out, k <= (int)(n - i) ? &digits[bits >> (18 - 6 * k) & 63] : "=", 1);
    }
}

static void write_ranks(const char *path, const struct ranks *v)
{
    struct text all = { 0 };
    for (int id = 0; id < v->n; id++) {
        char byte = (char)id;
        add_base64(&all, id < 256 ? &byte : v->text[id], id < 256 ? 1 : strlen(v->text[id]));
        text_format(&all, " %d\n", id);
    }
    assert_ok(file_write(path, all.at, all.size));
    text_free(&all);
}

static int bytes_of(const struct ranks *v, int id, char *out)
{
    if (id < 256) out[0] = (char)id;
    else memcpy(out, v->text[id], strlen(v->text[id]));
    return id < 256 ? 1 : (int)strlen(v->text[id]);
}

/* Of all neighbours whose bytes together are a token, those first whose token has the lowest id, the leftmost first. */
static int join_slowly(const struct ranks *v, const char *piece, int n, int *id)
{
    int whole = id_of(v, piece, n);
    if (whole >= 0) return *id = whole, 1;
    for (int i = 0; i < n; i++) id[i] = (unsigned char)piece[i];
    for (;;) {
        int best = TOKENS, at = -1;
        for (int i = 0; i + 1 < n; i++) {
            char both[2 * LONGEST];
            int left = bytes_of(v, id[i], both), all = left + bytes_of(v, id[i + 1], both + left), token = id_of(v, both, all);
            if (token >= 0 && token < best) best = token, at = i;
        }
        if (at < 0) return n;
        id[at] = best;
        memmove(id + at + 1, id + at + 2, (size_t)(n - at - 2) * sizeof *id);
        n--;
    }
}

static void assert_joined(const struct tokenizer *t, const struct ranks *v, const char *piece, int n)
{
    int id[PIECE];
    struct ids ids = encoded(t, piece, (size_t)n, SPECIALS_AS_TEXT);
    n = join_slowly(v, piece, n, id);
    assert_int_equal(ids.n, n);
    for (int i = 0; i < n; i++) assert_int_equal(ids.at[i], id[i]);
    ids_free(&ids);
}

/* Also after saving: other programs see merges, nib its ranks again. */
static void ranks_by_definition(void **state)
{
    static struct ranks v;
    uint64_t r = 12;
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct tokenizer *t, *again;
        random_ranks(&r, &v);
        write_ranks(at("gpt2.tiktoken"), &v);
        t = opened(at("gpt2.tiktoken"));
        assert_ok(tokenizer_save(t, folder));
        assert_ok(tokenizer_open(&again, at("tokenizer.json")));
        assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
        for (int k = 0; k < 60; k++) {
            char piece[PIECE];
            int n = 1 + roll(&r, PIECE - 1), letters = 1 + roll(&r, 3);
            for (int i = 0; i < n; i++) piece[i] = (char)('a' + roll(&r, letters));
            assert_joined(k % 2 ? t : again, &v, piece, n);
        }
        tokenizer_free(again);
        tokenizer_free(t);
    }
}

/* Special tokens are added to vocabularies of the known size alone. */
static void names_say_the_rest(void **state)
{
    static struct ranks v;
    static const struct { const char *name, *says; } rows[] = {
        { "cl100k_base.tiktoken", "as for cl100k" }, { "o200k_base.tiktoken", "as for o200k" }, { "r50k_base.tiktoken", "as for gpt2" }, { "qwen.tiktoken", "as for qwen2" }, { "tokenizer.model", "as for llama3" },
    };
    uint64_t r = 1;
    (void)state;
    random_ranks(&r, &v);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text shown = { 0 };
        write_ranks(at(rows[i].name), &v);
        struct tokenizer *t = opened(at(rows[i].name));
        tokenizer_describe(t, &shown);
        assert_non_null(strstr(shown.at, rows[i].says));
        assert_int_equal(tokenizer_end(t), -1);
        assert_int_equal(tokenizer_vocab(t), v.n);
        text_free(&shown);
        tokenizer_free(t);
    }
    write_ranks(at("mine.tiktoken"), &v);
    assert_fails(tokenizer_open(&(struct tokenizer *){ NULL }, at("mine.tiktoken")), E_DATA, "do not say how text is cut");
}

static void bad_ranks(void **state)
{
    static const struct { const char *text, *says; } rows[] = {
        { "YQ== 0\nYg==\n", "line 2: base64" }, { "YQ== 0\n*** 1\n", "line 2: base64" }, { "YQ= 0\n", "line 1: base64" }, { "YQ== 16777216\n", "line 1" }, { "YQ== -1\n", "line 1" }, { "YQ== 0 \n", "line 1" },
        { "YQ== 0\nYQ== 1\n", "has two ids" }, { "YQ== 0\nYg== 0\n", "stands for two tokens" }, { "", "the vocabulary is empty" }, { "YQ== 0\n", "no token for the byte 0x00" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tokenizer *t = NULL;
        write_text(at("gpt2.tiktoken"), rows[i].text);
        assert_fails(tokenizer_open(&t, at("gpt2.tiktoken")), E_DATA, rows[i].says);
        assert_null(t);
    }
}

/* ---- llm.c ---- */

static void put(struct text *out, uint32_t x) { text_bytes(out, (char[]){ (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) }, 4); }

static void write_llmc(const char *path, uint32_t version, uint32_t n, size_t cut)
{
    struct text all = { 0 };
    const uint32_t header[] = { 20240328, version, n, n - 1 };
    for (size_t i = 0; i < 256; i++) put(&all, i < 4 ? header[i] : 0);
    for (int i = 0; i < 256; i++) text_bytes(&all, (char[]){ 1, (char)i }, 2);
    text_bytes(&all, "\2he\2ll\3llo\5hello\x0d<|endoftext|>", 30);
    assert_ok(file_write(path, all.at, all.size - cut));
    text_free(&all);
}

static void llmc(void **state)
{
    struct tokenizer *t;
    const char *path = at("gpt2_tokenizer.bin");
    (void)state;
    write_llmc(path, 2, 261, 0);
    t = opened(path);
    struct ids ids = encoded(t, "hello hell<|endoftext|>", 23, SPECIALS_AS_TOKENS);
    const uint32_t wanted[] = { 259, ' ', 256, 257, 260 };
    assert_int_equal(ids.n, 5);
    assert_memory_equal(ids.at, wanted, sizeof wanted);
    assert_int_equal(tokenizer_end(t), 260);
    ids_free(&ids);
    tokenizer_free(t);
    t = NULL;
    write_llmc(path, 2, 261, 1);
    assert_fails(tokenizer_open(&t, path), E_DATA, "ends within token 260 of 261");
    write_llmc(path, 2, 260, 0);
    assert_fails(tokenizer_open(&t, path), E_DATA, "14 bytes follow the last token");
    write_llmc(path, 1, 261, 0);
    assert_fails(tokenizer_open(&t, path), E_DATA, "version 1 of llm.c's");
    write_llmc(path, 2, 1u << 30, 0);
    assert_fails(tokenizer_open(&t, path), E_DATA, "1073741824 tokens");
    assert_null(t);
}

/* ---- minbpe ---- */

#define WORDS "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"

static void minbpe(void **state)
{
    const char *path = at("my.model");
    (void)state;
    write_text(path, "minbpe v1\n" WORDS "\n2\n<|endoftext|> 259\n<|a b|> 260\n104 105\n32 256\n256 256\n");
    struct tokenizer *t = opened(path);
    struct ids ids = encoded(t, "hihihi hi<|a b|>", 16, SPECIALS_AS_TOKENS);
    const uint32_t wanted[] = { 258, 256, 257, 260 };
    assert_int_equal(ids.n, 4);
    assert_memory_equal(ids.at, wanted, sizeof wanted);
    assert_int_equal(tokenizer_end(t), 259);
    ids_free(&ids);
    tokenizer_free(t);
    write_text(path, "minbpe v1\n\n0\n104 105\n256 32\n");             /* its basic tokenizer does not cut at all */
    t = opened(path);
    ids = encoded(t, "hi hi", 5, SPECIALS_AS_TEXT);
    assert_int_equal(ids.n, 2);
    assert_int_equal(ids.at[0], 257);
    ids_free(&ids);
    tokenizer_free(t);
}

static void bad_minbpe(void **state)
{
    static const struct { const char *text, *says; } rows[] = {
        { "minbpe v1\n", "no pattern" }, { "minbpe v1\n\n0\n104 256\n", "line 4: the ids of two earlier" }, { "minbpe v1\n\n0\n104\n", "line 4" }, { "minbpe v1\n\n1\nx\n", "line 4: a special token" },
        { "minbpe v1\n\n9\nx 1\n", "no pattern and number" }, { "minbpe v1\n\\w+\n0\n", "\\w" }, { "minbpe v1\n\n0\n104 105\n104 105\n", "two ids" }, { "minbpe v2\n", "do not say how text is cut" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tokenizer *t = NULL;
        write_text(at("bad.model"), rows[i].text);
        assert_fails(tokenizer_open(&t, at("bad.model")), E_DATA, rows[i].says);
        assert_null(t);
    }
}

/* ---- BERT's vocab.txt ---- */

#define ACCENTED "r\xc3\xa9v\xc3\xa9"
#define LAMP "\xe7\x81\xaf"
#define TOWER LAMP "\xe5\xa1\x94"

static struct tokenizer *bert(const char *lines, const char *config)
{
    write_text(at("bert/vocab.txt"), lines);
    write_text(at("bert/tokenizer_config.json"), config);
    return opened(at("bert"));
}

/* Also after saving, in its own folder: then tokenizer.json goes first. */
static void assert_saved(const struct tokenizer *t)
{
    assert_ok(tokenizer_save(t, at("bert")));
    write_text(at("bert/vocab.txt"), "");
    struct tokenizer *again = opened(at("bert"));
    assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
    assert_int_equal(tokenizer_end(again), tokenizer_end(t));
    tokenizer_free(again);
    assert_int_equal(unlink(at("bert/tokenizer.json")), 0);
}

/* Ids and text are those of transformers' BertTokenizerFast (5.23). */
static void bert_vocabulary(void **state)
{
    static const char lines[] = "[PAD]\n[UNK]\n[CLS]\n\n[SEP]\n" ACCENTED "  \nreve\xe3\x80\x80\n\xc2\xa0\t\n##s\r\nReve\n" LAMP "\n,\n[MASK]\n" TOWER;
    static const char text[] = " R\xc3\xa9v\xc3\xa9s, Reves " TOWER " [MASK]";
    static const struct { const char *config, *back; int end, n; uint32_t id[8]; } rows[] = {
        { "{\"model_max_length\": 1000000000000000000019884624838656}", "reves, reves " LAMP " [UNK] [MASK]", -1, 8, { 6, 8, 11, 6, 8, 10, 1, 12 } },
        { "{\"do_lower_case\": false, \"unk_token\": \"[UNK]\"}", "[UNK], Reves " LAMP " [UNK] [MASK]", -1, 7, { 1, 11, 9, 8, 10, 1, 12 } },
        { "{\"strip_accents\": false}", ACCENTED "s, reves " LAMP " [UNK] [MASK]", -1, 8, { 5, 8, 11, 6, 8, 10, 1, 12 } },
        { "{\"do_lower_case\": false, \"strip_accents\": true}", "Reves, Reves " LAMP " [UNK] [MASK]", -1, 8, { 9, 8, 11, 9, 8, 10, 1, 12 } },
        { "{\"tokenize_chinese_chars\": false, \"strip_accents\": null, \"never_split\": null, \"eos_token\": {\"content\": \"[SEP]\"}}", "reves, reves " TOWER " [MASK]", 4, 7, { 6, 8, 11, 6, 8, 13, 12 } },
    };
    (void)state;
    assert_ok(dir_make(at("bert")));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tokenizer *t = bert(lines, rows[i].config);
        struct ids ids = encoded(t, text, sizeof text - 1, SPECIALS_AS_TOKENS);
        struct text back = { 0 };
        size_t n;
        assert_int_equal(ids.n, rows[i].n);
        assert_memory_equal(ids.at, rows[i].id, ids.n * sizeof *ids.at);
        assert_ok(tokenizer_decode(t, ids.at, ids.n, &back));
        assert_string_equal(back.at, rows[i].back);
        assert_int_equal(tokenizer_template(t, 0, &n)[0], 2);
        assert_int_equal(tokenizer_template(t, 1, &n)[0], 4);
        assert_int_equal(tokenizer_end(t), rows[i].end);
        assert_int_equal(tokenizer_vocab(t), 14);
        assert_saved(t);
        text_free(&back);
        ids_free(&ids);
        tokenizer_free(t);
    }
    assert_int_equal(unlink(at("bert/tokenizer_config.json")), 0);
    write_text(at("bert/vocab.txt"), "[SEP]\n[CLS]\n[UNK]\na\n");              /* without [PAD], [MASK] and the other file, by its name */
    struct tokenizer *t = opened(at("bert/vocab.txt"));
    struct ids ids = encoded(t, "[MASK] A", 8, SPECIALS_AS_TOKENS);
    const uint32_t wanted[] = { 2, 2, 2, 3 };
    assert_int_equal(ids.n, 4);
    assert_memory_equal(ids.at, wanted, sizeof wanted);
    ids_free(&ids);
    tokenizer_free(t);
}

static void bad_bert(void **state)
{
#define GOOD "[UNK]\n[CLS]\n[SEP]\n"
    static const struct { const char *lines, *config, *says; } rows[] = {
        { "", "{}", "vocab.txt: the vocabulary is empty" }, { "\n \n", "{}", "vocab.txt: the vocabulary is empty" },
        { "[CLS]\n[SEP]\n", "{}", "no line is [UNK]" }, { "[UNK]\n[SEP]\n", "{}", "no line is [CLS]" }, { "[UNK]\n[CLS]\n", "{}", "no line is [SEP]" },
        { GOOD "a\nb\na\n", "{}", "vocab.txt: line 6: the token \"a\" is on line 4, too" }, { GOOD "a\na \r\n", "{}", "line 5: the token \"a\"" },
        { GOOD "a\xff\n", "{}", "vocab.txt: line 4: byte 1 is not UTF-8" }, { GOOD "\xe7\x81", "{}", "line 4: byte 0 is not UTF-8" },
        { GOOD, "{\"never_split\": [\"x\"]}", "tokenizer_config.json: \"never_split\" is [\"x\"]" }, { GOOD, "{\"mask_token\": {\"content\": \"<mask>\"}}", "\"mask_token\" is" },
        { GOOD, "{\"do_lower_case\": 1}", "tokenizer_config.json: \"do_lower_case\" must be true or false" }, { GOOD, "{\"strip_accents\": \"\"}", "\"strip_accents\" must be" },
        { GOOD, "{\"tokenize_chinese_chars\": []}", "\"tokenize_chinese_chars\" must be" }, { GOOD, "{", "tokenizer_config.json: line 1" }, { GOOD, "{\"eos_token\": \"</s>\"}", "\"eos_token\" is \"</s>\"" },
    };
    struct tokenizer *t = NULL;
    (void)state;
    assert_ok(dir_make(at("bert")));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_text(at("bert/vocab.txt"), rows[i].lines);
        write_text(at("bert/tokenizer_config.json"), rows[i].config);
        assert_fails(tokenizer_open(&t, at("bert")), E_DATA, rows[i].says);
        assert_null(strchr(error_text(), '\n'));
    }
    assert_ok(file_write(at("bert/vocab.txt"), GOOD "a\0b", sizeof GOOD + 2));
    write_text(at("bert/tokenizer_config.json"), "{}");
    assert_fails(tokenizer_open(&t, at("bert/vocab.txt")), E_DATA, "line 4: byte 1 is NUL");
    assert_null(t);
#undef GOOD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_by_definition), cmocka_unit_test(names_say_the_rest), cmocka_unit_test(bad_ranks), cmocka_unit_test(llmc), cmocka_unit_test(minbpe), cmocka_unit_test(bad_minbpe),
        cmocka_unit_test(bert_vocabulary), cmocka_unit_test(bad_bert),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
