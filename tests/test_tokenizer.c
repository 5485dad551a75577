/* test_tokenizer.c -- text to ids and back.  The ids are those of Hugging Face's tokenizers and of tiktoken, by golden files that
 * tests/twin/make_tokenizer_golden.py made; GPT-2's own vocabulary is used where ../shared/data/gpt2-bpe is there. */
#include "tokens.h"

#include "base/utf8.h"
#include "token/alphabet.h"
#include "token/tokenizer_core.h"

#define SHAKESPEARE "../shared/data/tinyshakespeare/input.txt"

/* ---- UTF-8 and the byte alphabet ---- */

static void utf8_characters(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < UTF8_POINTS; point++) {
        char s[4];
        size_t size, n = utf8_put(s, point);
        int surrogate = point >= 0xd800 && point < 0xe000;
        int32_t read = utf8_next(s, n, &size);
        assert_int_equal(read, surrogate ? UTF8_BAD : (int32_t)point);
        assert_int_equal(size, surrogate ? 1 : n);
        for (size_t cut = 1; cut < n && !surrogate; cut++) {
            assert_int_equal(utf8_next(s, cut, &size), UTF8_CUT);
            assert_int_equal(size, cut);
        }
    }
    assert_int_equal(utf8_good("abcdefghijkl\xc3\xa9\xff", 15), 14);
    assert_int_equal(utf8_good("12345678\xc3", 9), 8);
    assert_int_equal(utf8_bad("\xff\xc3\x80", 3), 1);
    assert_int_equal(utf8_bad("\xe2\x82\xc0", 3), 3);
}

static void byte_alphabet(void **state)
{
    (void)state;
    unsigned char seen[324] = { 0 };
    char bytes[256], back[1024];
    size_t size;
    for (int i = 0; i < 256; i++) {
        int32_t point = alphabet_point((unsigned char)i);
        bytes[i] = (char)i;
        assert_int_equal(alphabet_byte(point), i);
        assert_int_equal(seen[point]++, 0);
    }
    for (int32_t point = 0; point < UTF8_POINTS; point++)
        if (point >= 324 || !seen[point]) assert_int_equal(alphabet_byte(point), -1);
    assert_int_equal(alphabet_point(' '), 0x120);
    assert_int_equal(alphabet_point('\n'), 0x10a);
    struct text spelled = { 0 };
    alphabet_spell(&spelled, bytes, 256);
    assert_true(alphabet_read(back, spelled.at, spelled.size, &size));
    assert_int_equal(size, 256);
    assert_memory_equal(back, bytes, 256);
    assert_false(alphabet_read(back, "a b", 3, &size));
    text_free(&spelled);
}

/* ---- tokens by their bytes ---- */

enum { NUMBERS = 5000, CROWD = 2 * PLACES_NEAR };

/* The i-th text from which on all hash to one place among those of so many tokens. */
static const char *crowd(struct arena *memory, int i)
{
    static size_t next[CROWD + 1];
    for (size_t k = next[i];; k++) {
        char bytes[32];
        snprintf(bytes, sizeof bytes, "x%zu", k);
        if (places_hash(bytes, strlen(bytes)) >> (64 - places_bits(NUMBERS + CROWD))) continue;
        next[i + 1] = k + 1;
        return arena_copy(memory, bytes);
    }
}

/* The numbers from 0 on as a model's tokens, and then some that crowd each other. */
static struct tokens numbers(struct arena *memory)
{
    struct tokens list = { .at = take_array(memory, NUMBERS + CROWD + 1, sizeof *list.at) };
    for (; list.n < NUMBERS + CROWD; list.n++) {
        const char *bytes = list.n < NUMBERS ? arena_format(memory, "%zu", list.n) : crowd(memory, (int)list.n - NUMBERS);
        list.at[list.n] = (struct token){ .bytes = bytes, .size = (uint32_t)strlen(bytes), .id = (uint32_t)list.n };
    }
    return list;
}

static void tokens_by_bytes(void **state)
{
    (void)state;
    const struct tokens none = { 0 };
    struct arena memory = { 0 };
    struct vocab v = { 0 }, w = { 0 };
    struct tokens list = numbers(&memory);
    assert_ok(vocab_build(&v, &memory, list, none, "numbers"));
    assert_in_range(v.crowded.n, CROWD - PLACES_NEAR, CROWD);    /* both ways of finding are taken */
    for (size_t i = 0; i < list.n; i++) assert_int_equal(vocab_find(&v, list.at[i].bytes, list.at[i].size), i);
    for (size_t i = NUMBERS; i <= 2 * NUMBERS; i++) {
        const char *bytes = arena_format(&memory, "%zu", i);
        assert_int_equal(vocab_find(&v, bytes, strlen(bytes)), -1);
    }
    assert_int_equal(vocab_find(&v, "", 0), -1);
    const size_t twice[] = { 0, v.crowded.at[0].id };        /* one that has a place, and one that has none */
    for (int i = 0; i < 2; i++) {
        char message[64];
        struct tokens more = numbers(&memory);
        more.at[more.n] = more.at[twice[i]];
        more.at[more.n++].id = NUMBERS + CROWD;
        snprintf(message, sizeof message, "has two ids, %zu and %d", twice[i], NUMBERS + CROWD);
        assert_fails(vocab_build(&w, &memory, more, none, "numbers"), E_DATA, message);
        w = (struct vocab){ 0 };
    }
    arena_free(&memory);
}

/* ---- golden ids ---- */

static uint64_t hash_ids(const struct ids *ids)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < 4 * ids->n; i++) h = (h ^ (ids->at[i / 4] >> i % 4 * 8 & 255)) * 0x100000001b3u;
    return h;
}

/* golden: an array of ids, or "count:hash" */
static void assert_ids(const struct ids *ids, const json_t *golden, const char *text)
{
    char hashed[64];
    snprintf(hashed, sizeof hashed, "%zu:%016llx", ids->n, (unsigned long long)hash_ids(ids));
    if (json_is_string(golden)) {
        const char *want = json_string_value(golden);
        if (strcmp(hashed, want)) fail_msg("\"%.60s\": %s, golden %s", text, hashed, want);
        return;
    }
    if (json_array_size(golden) != ids->n) fail_msg("\"%.60s\": %zu ids, golden %zu", text, ids->n, json_array_size(golden));
    for (size_t i = 0; i < ids->n; i++) {
        long long g = json_integer_value(json_array_get(golden, i));
        if (g != ids->at[i]) fail_msg("\"%.60s\": id %zu is %u, golden %lld", text, i, ids->at[i], g);
    }
}

static void assert_case(const struct tokenizer *t, const json_t *row, const char *key, enum specials s)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    json_int_t times = json_integer_value(json_object_get(row, "times"));
    const json_t *golden = json_object_get(row, key);
    struct text all = { 0 };
    if (!golden) return;
    text_bytes(&all, "", 0);
    while (times-- > 0) text_add(&all, text);
    struct ids ids = encoded(t, all.at, all.size, s);
    assert_ids(&ids, golden, text);
    if (s == SPECIALS_AS_TEXT) assert_round_trip(t, all.at, all.size);
    ids_free(&ids);
    text_free(&all);
}

static void assert_cases(const char *path, const char *key, const char *special_key)
{
    struct tokenizer *t = opened(path);
    json_t *root = json_of("tests/golden/tokenizer_cases.json"), *row;
    size_t i;
    assert_true(json_array_size(json_object_get(root, "cases")) > 100);
    json_array_foreach (json_object_get(root, "cases"), i, row) {
        assert_case(t, row, key, SPECIALS_AS_TEXT);
        assert_case(t, row, special_key, SPECIALS_AS_TOKENS);
    }
    json_decref(root);
    tokenizer_free(t);
}

static void golden_of_own_vocabulary(void **state) { (void)state; assert_cases(BPE300, "bpe300", "bpe300_special"); }

static void golden_of_gpt2(void **state)
{
    (void)state;
    if (lacks(__func__, GPT2)) skip();
    assert_cases(GPT2, "gpt2", "gpt2_special");
}

static void assert_variant(const struct tokenizer *t, const json_t *cases, enum specials s, const json_t *golden,
                           const char *name)
{
    struct ids all = { 0 };
    json_t *row;
    size_t i;
    json_array_foreach (cases, i, row) {
        const char *text = json_string_value(json_object_get(row, "text"));
        if (json_integer_value(json_object_get(row, "times")) != 1) continue;
        assert_ok(tokenizer_encode(t, text, strlen(text), s, &all));
        assert_ok(ids_add(&all, &(uint32_t){ UINT32_MAX }, 1));
    }
    assert_ids(&all, golden, name);
    ids_free(&all);
}

static int add_length(void *context, const char *text, size_t n)
{
    (void)text;
    return ids_add(context, &(uint32_t){ (uint32_t)n }, 1);
}

/* Other cuts do not always give other ids. */
static void assert_pieces(const struct tokenizer *t, const json_t *cases, const json_t *golden, const char *name)
{
    struct ids lengths = { 0 };
    json_t *row;
    size_t i;
    json_array_foreach (cases, i, row) {
        const char *text = json_string_value(json_object_get(row, "text"));
        if (json_integer_value(json_object_get(row, "times")) != 1) continue;
        assert_ok(split_text(t->splitter, text, strlen(text), add_length, &lengths));
        assert_ok(ids_add(&lengths, &(uint32_t){ UINT32_MAX }, 1));
    }
    assert_ids(&lengths, golden, name);
    ids_free(&lengths);
}

/* Other pre-tokenizers, whole pieces first, added tokens of all kinds: with Hugging Face's ids; and the same after saving. */
static void golden_of_variants(void **state)
{
    (void)state;
    json_t *root = json_of("tests/golden/tokenizer_cases.json"), *cases = json_object_get(root, "cases"), *row;
    size_t i;
    assert_int_equal(json_array_size(json_object_get(root, "variants")), 10);
    json_array_foreach (json_object_get(root, "variants"), i, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        json_t *file = changed(json_object_get(row, "change"));
        struct tokenizer *t, *again;
        assert_ok(parse_json(&t, file));
        assert_ok(tokenizer_save(t, folder));
        assert_ok(tokenizer_open(&again, folder));
        assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(t));
        assert_variant(t, cases, SPECIALS_AS_TEXT, json_object_get(row, "as_text"), name);
        assert_variant(again, cases, SPECIALS_AS_TOKENS, json_object_get(row, "as_tokens"), name);
        assert_pieces(t, cases, json_object_get(row, "pieces"), name);
        tokenizer_free(again);
        tokenizer_free(t);
        json_decref(file);
    }
    json_decref(root);
}

/* minGPT's example, and nanoGPT's counts. */
static void published_numbers(void **state)
{
    (void)state;
    if (lacks(__func__, GPT2)) skip();
    static const uint32_t want[] = { 15496, 3228, 314, 1101, 10948, 73, 509, 5117, 10036, 13, 632,
                                     338, 33160, 13, 266, 405, 83, 1058, 35, 12520, 97, 245 };
    const char *text = "Hello!! I'm Andrej Karpathy. It's 2022. w00t :D \xf0\x9f\xa4\x97";
    struct tokenizer *t = opened(GPT2);
    struct ids ids = encoded(t, text, strlen(text), SPECIALS_AS_TEXT);
    assert_int_equal(ids.n, sizeof want / sizeof *want);
    assert_memory_equal(ids.at, want, sizeof want);
    assert_int_equal(tokenizer_vocab(t), 50257);
    assert_int_equal(tokenizer_end(t), 50256);
    assert_true(tokenizer_is_bytes(t));
    ids_free(&ids);
    tokenizer_free(t);
}

static void assert_split_counts(const struct tokenizer *t, const struct text *all, size_t train, size_t val)
{
    size_t cut = all->size * 9 / 10;
    struct ids a = encoded(t, all->at, cut, SPECIALS_AS_TEXT), b = encoded(t, all->at + cut, all->size - cut, SPECIALS_AS_TEXT);
    assert_int_equal(a.n, train);
    assert_int_equal(b.n, val);
    ids_free(&a);
    ids_free(&b);
}

static void counts_of_shakespeare(void **state)
{
    (void)state;
    if (lacks(__func__, SHAKESPEARE) || lacks(__func__, GPT2)) skip();
    struct tokenizer *gpt2 = opened(GPT2), *chars;
    struct text all = { 0 };
    assert_ok(file_read(SHAKESPEARE, LIMIT, &all));
    assert_ok(tokenizer_of_characters(&chars, all.at, all.size));
    assert_int_equal(tokenizer_vocab(chars), 65);
    assert_split_counts(gpt2, &all, 301966, 36059);
    assert_split_counts(chars, &all, 1003854, 111540);
    text_free(&all);
    tokenizer_free(chars);
    tokenizer_free(gpt2);
}

/* ---- the merge algorithm ---- */

/* A vocabulary of n tokens: 0, 1 and 2 are the letters a, b and c, the others each the result of one merge; order[3 ..] is in what
 * order the merges were learnt. */
enum { TOKENS = 40, PIECE = 60 };
struct made { char text[TOKENS][PIECE]; int left[TOKENS], right[TOKENS], n, order[TOKENS]; };

static void add_made(struct made *m, const char *left, const char *right, int l, int r)
{
    char both[2 * PIECE];
    snprintf(both, sizeof both, "%s%s", left, right);
    if (strlen(both) >= 12) return;
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->text[i], both)) return;
    strcpy(m->text[m->n], both);
    m->left[m->n] = l;
    m->right[m->n++] = r;
}

/* Random merges over three letters; mixed: in random order, so that often the parts of a token are learnt after it. */
static struct made random_merges(uint64_t *dice_state, int mixed)
{
    struct made m = { .text = { "a", "b", "c" }, .n = 3 };
    for (int tries = 0; tries < 200 && m.n < TOKENS; tries++) {
        int l = roll(dice_state, m.n), r = roll(dice_state, m.n);
        add_made(&m, m.text[l], m.text[r], l, r);
    }
    for (int i = 3; i < m.n; i++) m.order[i] = i;
    for (int i = 3; i < m.n && mixed; i++) {
        int k = i + roll(dice_state, m.n - i), t = m.order[i];
        m.order[i] = m.order[k];
        m.order[k] = t;
    }
    return m;
}

/* As a tokenizer.json without a pattern: a text is one piece.  Token i has id i, other bytes have ids from 300 on. */
static struct tokenizer *made_tokenizer(const struct made *m)
{
    json_t *vocab = json_object(), *merges = json_array();
    struct text key = { 0 };
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        text_clear(&key);
        alphabet_spell(&key, &byte, 1);
        json_object_set_new(vocab, key.at, json_integer(300 + i));
    }
    for (int i = 0; i < m->n; i++) json_object_set_new(vocab, m->text[i], json_integer(i));
    for (int i = 3; i < m->n; i++) {
        int k = m->order[i];
        json_array_append_new(merges, json_pack("[s, s]", m->text[m->left[k]], m->text[m->right[k]]));
    }
    json_t *root = json_pack("{s:{s:s, s:b, s:b}, s:{s:s}, s:{s:o, s:o}}", "pre_tokenizer", "type", "ByteLevel",
                             "add_prefix_space", 0, "use_regex", 0, "decoder", "type", "ByteLevel", "model", "vocab", vocab,
                             "merges", merges);
    struct tokenizer *t;
    assert_ok(parse_json(&t, root));
    json_decref(root);
    text_free(&key);
    return t;
}

/* By the definition: the merge of lowest rank that applies anywhere, at its leftmost place, until none does. */
static int merge_slowly(const struct made *m, int *id, int n)
{
    for (int rank = 3; rank < m->n;) {
        int k = m->order[rank], i = 0;
        while (i + 1 < n && (id[i] != m->left[k] || id[i + 1] != m->right[k])) i++;
        if (i + 1 >= n) {
            rank++;
            continue;
        }
        id[i] = k;
        memmove(id + i + 1, id + i + 2, (size_t)(n - i - 2) * sizeof *id);
        n--;
        rank = 3;
    }
    return n;
}

static void assert_merged(const struct tokenizer *t, const struct made *m, const char *piece, int n)
{
    int id[PIECE];
    struct ids ids = encoded(t, piece, (size_t)n, SPECIALS_AS_TEXT);
    for (int i = 0; i < n; i++) id[i] = piece[i] - 'a';
    n = merge_slowly(m, id, n);
    assert_int_equal(ids.n, n);
    for (int i = 0; i < n; i++) assert_int_equal(ids.at[i], id[i]);
    ids_free(&ids);
}

/* Random pieces, and each token's own text: what it is merged to may be another. */
static void merges_by_definition(void **state)
{
    (void)state;
    uint64_t dice_state = 7;
    for (int round = 0; round < 200; round++) {
        struct made m = random_merges(&dice_state, round % 2);
        struct tokenizer *t = made_tokenizer(&m);
        for (int k = 0; k < 50; k++) {
            char piece[PIECE];
            int n = 1 + roll(&dice_state, PIECE - 1), letters = 1 + roll(&dice_state, 3);
            for (int i = 0; i < n; i++) piece[i] = (char)('a' + roll(&dice_state, letters));
            assert_merged(t, &m, piece, n);
        }
        for (int k = 0; k < m.n; k++) assert_merged(t, &m, m.text[k], (int)strlen(m.text[k]));
        tokenizer_free(t);
    }
}

/* What a quadratic algorithm would not finish today. */
static void long_pieces(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "a", " ", "\n", "1", "^", "he", " \n", "\xcc\x81", "\xf0\x9f\xa4\x97", "\xff", "\xe2\x82",
    };
    enum { MEGABYTE = 1 << 20 };
    struct tokenizer *t = opened(BPE300);
    char *text = malloc(MEGABYTE + 4);
    assert_non_null(text);
    for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
        size_t size = strlen(patterns[k]), n = 0;
        for (; n < MEGABYTE; n += size) memcpy(text + n, patterns[k], size);
        assert_round_trip(t, text, n);
    }
    free(text);
    tokenizer_free(t);
}

/* ---- cutting ---- */

struct cut { const char *text; size_t at, n; };              /* pieces so far: where the last ended, how many */

static int take_piece(void *context, const char *text, size_t n)
{
    struct cut *c = context;
    assert_ptr_equal(text, c->text + c->at);
    assert_true(n > 0);
    c->at += n;
    c->n++;
    return 0;
}

static int stop_at_third(void *context, const char *text, size_t n)
{
    take_piece(context, text, n);
    return ((struct cut *)context)->n == 3 ? E_STOPPED : 0;
}

/* How bytes that are not UTF-8 are cut is ours to say: a run of them is a piece. */
static void pieces(void **state)
{
    (void)state;
    static const struct { const char *text; size_t pieces; } rows[] = {
        { "", 0 }, { "I'm here", 3 }, { "a  b", 3 }, { "a\xff\xfe\x62", 3 }, { "\xe2\x82\xe2\x82", 1 }, { "a \xff b", 4 },
        { "x\xc3", 2 }, { "\xff", 1 },
    };
    struct splitter *s;
    assert_ok(split_open(&s, &(struct split_stage){ SPLIT_GPT2, NULL }, 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cut c = { rows[i].text, 0, 0 };
        assert_ok(split_text(s, c.text, strlen(c.text), take_piece, &c));
        assert_int_equal(c.at, strlen(c.text));
        assert_int_equal(c.n, rows[i].pieces);
    }
    struct cut c = { "one two three four", 0, 0 };
    assert_int_equal(split_text(s, c.text, strlen(c.text), stop_at_third, &c), E_STOPPED);
    assert_int_equal(c.n, 3);
    split_close(s);
}

static void any_bytes(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "the", " ", "\n", "\xc3", "\xa9", "\xe2\x82", "\xff", "\xed\xa0\x80", "<|endoftext|>", "<|end", "\xf0\x9f\x8c\x8a", "'s", "7",
    };
    struct tokenizer *t = opened(BPE300);
    uint64_t dice_state = 3;
    for (int round = 0; round < 3000; round++) {
        struct text text = { 0 };
        text_bytes(&text, "", 0);
        for (int k = roll(&dice_state, 20); k > 0; k--) {
            const char *part = parts[roll(&dice_state, sizeof parts / sizeof *parts)];
            char byte = (char)roll(&dice_state, 256);
            if (roll(&dice_state, 3)) text_add(&text, part);
            else text_bytes(&text, &byte, 1);
        }
        assert_round_trip(t, text.at, text.size);
        text_free(&text);
    }
    tokenizer_free(t);
}

/* ---- decoding ---- */

static void stream_text(const struct tokenizer *t, const char *bytes, size_t n, struct text *out)
{
    struct ids ids = encoded(t, bytes, n, SPECIALS_AS_TEXT);
    struct decoder d = { 0 };
    for (size_t i = 0; i <= ids.n; i++) {
        assert_ok(tokenizer_stream(t, &d, i < ids.n ? (int64_t)ids.at[i] : -1, out));
        assert_int_equal(utf8_good(out->at ? out->at : "", out->size), out->size);           /* never half a character */
    }
    assert_int_equal(d.n, 0);
    ids_free(&ids);
}

/* As Python's decode(errors="replace"). */
static void decoding_as_ids_come(void **state)
{
    (void)state;
    struct tokenizer *t = opened(BPE300);
    json_t *root = json_of("tests/golden/tokenizer_cases.json"), *row;
    size_t k;
    assert_true(json_array_size(json_object_get(root, "replaced")) > 50);
    json_array_foreach (json_object_get(root, "replaced"), k, row) {
        const char *hex = json_string_value(json_array_get(row, 0)), *want = json_string_value(json_array_get(row, 1));
        struct text bytes = { 0 }, out = { 0 };
        for (size_t i = 0; hex[i]; i += 2) {
            unsigned byte;
            assert_int_equal(sscanf(hex + i, "%2x", &byte), 1);
            text_bytes(&bytes, &(char){ (char)byte }, 1);
        }
        stream_text(t, bytes.at, bytes.size, &out);
        assert_string_equal(out.at, want);
        text_free(&bytes);
        text_free(&out);
    }
    json_decref(root);
    tokenizer_free(t);
}

static void ids_outside_of_the_vocabulary(void **state)
{
    (void)state;
    struct tokenizer *t = opened(BPE300);
    struct decoder d = { 0 };
    struct text out = { 0 };
    uint32_t end = tokenizer_vocab(t);
    assert_int_equal(end, 557);
    assert_fails(tokenizer_decode(t, &end, 1, &out), E_DATA, "id 557 is not in the vocabulary, whose last is 556");
    assert_fails(tokenizer_stream(t, &d, end, &out), E_DATA, "id 557");
    assert_fails(tokenizer_stream(t, &d, -2, &out), E_DATA, "id -2");
    assert_token(t, end, "");
    assert_token(t, 259, " the");
    text_free(&out);
    tokenizer_free(t);
}

/* ---- characters ---- */

#define LETTERS "Zwölf Boxkämpfer jagen\nEva\t\xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\xa4\x97"

static void characters(void **state)
{
    (void)state;
    struct tokenizer *t, *file, *meta;
    assert_ok(tokenizer_of_characters(&t, LETTERS, strlen(LETTERS)));
    assert_int_equal(tokenizer_vocab(t), 26);
    assert_false(tokenizer_is_bytes(t));
    assert_int_equal(tokenizer_end(t), -1);
    assert_token(t, 0, "\t");
    assert_token(t, 1, "\n");
    assert_token(t, 25, "\xf0\x9f\xa4\x97");
    assert_round_trip(t, LETTERS, strlen(LETTERS));
    assert_ok(tokenizer_save(t, folder));
    assert_ok(tokenizer_open(&file, at("tokenizer.json")));
    assert_ok(tokenizer_open(&meta, at("meta.pkl")));
    assert_string_equal(tokenizer_fingerprint(file), tokenizer_fingerprint(t));
    assert_string_equal(tokenizer_fingerprint(meta), tokenizer_fingerprint(t));
    assert_round_trip(file, LETTERS, strlen(LETTERS));
    assert_round_trip(meta, LETTERS, strlen(LETTERS));
    tokenizer_free(meta);
    tokenizer_free(file);
    tokenizer_free(t);
}

static void unknown_characters(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct ids ids = { 0 };
    assert_ok(tokenizer_of_characters(&t, "abc", 3));
    assert_ok(tokenizer_encode(t, "cab", 3, SPECIALS_AS_TEXT, &ids));
    assert_fails(tokenizer_encode(t, "ab\xc3\xa9" "c", 5, SPECIALS_AS_TEXT, &ids), E_DATA, "U+00E9 (\"\\xc3\\xa9\") at byte 2");
    assert_fails(tokenizer_encode(t, "abd", 3, SPECIALS_AS_TEXT, &ids), E_DATA, "U+0064 (\"d\") at byte 2");
    assert_fails(tokenizer_encode(t, "a\xff", 2, SPECIALS_AS_TEXT, &ids), E_DATA, "byte 1 (0xff) is not UTF-8");
    assert_int_equal(ids.n, 3);                              /* a failure appends nothing */
    ids_free(&ids);
    tokenizer_free(t);
    assert_fails(tokenizer_of_characters(&t, "", 0), E_DATA, "empty text");
    assert_fails(tokenizer_of_characters(&t, "ab\xe2\x82", 4), E_DATA, "byte 2 (0xe2) is not UTF-8");
    assert_fails(tokenizer_of_characters(&t, "a\0b", 3), E_DATA, "byte 1 is NUL");
    static const unsigned char meta[] = "\x80\x04}\x8c\x04itos}(K\0\x8c\x01" "aK\1\x8c\x01\0us.";        /* {'itos': {0: 'a', 1: '\0'}} */
    assert_ok(file_write(at("nul.pkl"), meta, sizeof meta - 1));
    assert_fails(tokenizer_open(&t, at("nul.pkl")), E_DATA, "nul.pkl: a character vocabulary cannot hold NUL (id 1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_characters),
        cmocka_unit_test(byte_alphabet),
        cmocka_unit_test(tokens_by_bytes),
        cmocka_unit_test(golden_of_own_vocabulary),
        cmocka_unit_test(golden_of_gpt2),
        cmocka_unit_test(golden_of_variants),
        cmocka_unit_test(published_numbers),
        cmocka_unit_test(counts_of_shakespeare),
        cmocka_unit_test(merges_by_definition),
        cmocka_unit_test(long_pieces),
        cmocka_unit_test(pieces),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(decoding_as_ids_come),
        cmocka_unit_test(ids_outside_of_the_vocabulary),
        cmocka_unit_test(characters),
        cmocka_unit_test(unknown_characters),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
