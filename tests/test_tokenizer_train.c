/* test_tokenizer_train.c -- merges by their definition, and tokenizers learnt from texts. */
#include "token/tokenizer_train.h"

#include "folder.h"
#include "token/alphabet.h"
#include "token/learn.h"
#include "token/tokenizer_core.h"
#include "tokens.h"

/* ---- merges by definition ---- */

enum { KINDS = 40, LONGEST = 24, MERGES = 80, IDS = 256 + MERGES };
struct naive { int piece[KINDS][LONGEST], n[KINDS], count[KINDS], kinds; char bytes[IDS][LONGEST + 1]; int size[IDS], ids; };

static int byte_id(int byte)                                 /* GPT-2's order: by the characters that spell bytes */
{
    int id = 0;
    for (int i = 0; i < 256; i++) id += alphabet_point((unsigned char)i) < alphabet_point((unsigned char)byte);
    return id;
}

/* Pieces of few letters, so that pairs are often equally frequent; some letters are one byte before another in value but behind it in
 * the order of ids. */
static void random_pieces(uint64_t *r, struct naive *v, struct tally *t)
{
    static const unsigned char letters[] = { 'a', 'b', ' ', 0xff, '\n', 'z' };
    *v = (struct naive){ .ids = 256 };
    for (int i = 0; i < 256; i++) v->bytes[byte_id(i)][0] = (char)i, v->size[byte_id(i)] = 1;
    for (int k = 0; k < KINDS; k++) {
        char bytes[LONGEST];
        int n = 1 + roll(r, LONGEST), few = 1 + roll(r, roll(r, 3) ? 2 : (int)sizeof letters), times = 1 + roll(r, 4);
        size_t index;
        for (int i = 0; i < n; i++) bytes[i] = (char)letters[roll(r, few)];
        assert_ok(tally_add(t, bytes, (size_t)n, (uint64_t)times, &index));
        v->n[index] = n;
        v->count[index] += times;
        for (int i = 0; i < n; i++) v->piece[index][i] = byte_id((unsigned char)bytes[i]);
    }
    v->kinds = (int)t->n;
}

/* The pair that occurs most often, of equals the one with lower ids; how often. */
static int best_pair(const struct naive *v, int *left, int *right)
{
    static int count[IDS][IDS];
    int best = 0;
    memset(count, 0, sizeof count);
    for (int k = 0; k < v->kinds; k++)
        for (int i = 0; i + 1 < v->n[k]; i++) count[v->piece[k][i]][v->piece[k][i + 1]] += v->count[k];
    for (int l = 0; l < v->ids; l++)
        for (int r = 0; r < v->ids; r++)
            if (count[l][r] > best) best = count[*left = l][*right = r];
    return best;
}

static int id_of_bytes(struct naive *v, int left, int right)
{
    int n = v->size[left] + v->size[right], id = 0;
    char both[2 * LONGEST + 2];
    memcpy(both, v->bytes[left], (size_t)v->size[left]);
    memcpy(both + v->size[left], v->bytes[right], (size_t)v->size[right]);
    while (id < v->ids && (v->size[id] != n || memcmp(v->bytes[id], both, (size_t)n))) id++;
    if (id == v->ids) {
        memcpy(v->bytes[id], both, (size_t)n);
        v->size[v->ids++] = n;
    }
    return id;
}

static void merge_everywhere(struct naive *v, int left, int right, int id)
{
    for (int k = 0; k < v->kinds; k++)
        for (int i = 0; i + 1 < v->n[k]; i++) {
            if (v->piece[k][i] != left || v->piece[k][i + 1] != right) continue;
            v->piece[k][i] = id;
            memmove(&v->piece[k][i + 1], &v->piece[k][i + 2], (size_t)(v->n[k] - i - 2) * sizeof v->piece[k][0]);
            v->n[k]--;
        }
}

static void merges_by_definition(void **state)
{
    static struct naive v;
    uint64_t r = 3;
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct tally t = { 0 };
        struct learnt l = { 0 };
        random_pieces(&r, &v, &t);
        int least = 1 + roll(&r, 3), left = 0, right = 0;
        assert_ok(learn(&l, &(struct learning){ .pieces = &t, .tokens = IDS, .least = (uint64_t)least }));
        size_t n = 0;
        while (v.ids < IDS && best_pair(&v, &left, &right) >= least) {
            int id = id_of_bytes(&v, left, right);
            merge_everywhere(&v, left, right, id);
            assert_true(n < l.n);
            assert_int_equal(l.merge[n].left, left);
            assert_int_equal(l.merge[n].right, right);
            assert_int_equal(l.merge[n++].result, id);
        }
        assert_int_equal(l.n, n);
        assert_int_equal(l.tokens.n, v.ids);
        learnt_free(&l);
        tally_free(&t);
    }
}

/* ---- from texts ---- */

static const char *const eot[] = { "<|endoftext|>" };

/* Some megabytes of made-up words, in a file of their own. */
static const char *write_words(void)
{
    static char path[PATH_SIZE];
    struct text all = { 0 };
    uint64_t r = 9;
    for (int i = 0; i < 100000; i++) {
        int n = 1 + roll(&r, 1 + roll(&r, 9));
        for (int k = 0; k < n; k++) text_bytes(&all, &"etaoinshrdlucmfw"[roll(&r, 1 + roll(&r, 16))], 1);
        text_add(&all, roll(&r, 12) ? " " : roll(&r, 5) ? ".\n" : "<|endoftext|>");
    }
    assert_ok(path_join(path, folder, "words.txt"));
    assert_ok(file_write(path, all.at, all.size));
    text_free(&all);
    return path;
}

static struct tokenizer *trained(const char *path, int64_t vocab, const char *regex, int threads, struct tokenizer_trained *done)
{
    struct tokenizer *t;
    assert_ok(tokenizer_train(&t, &(struct tokenizer_training){ .inputs = &path, .n = 1, .field = "text", .vocab = vocab, .regex = regex, .specials = eot, .n_specials = 1, .threads = threads }, done));
    return t;
}

static void whatever_the_threads(void **state)
{
    static const char *const regexes[] = { "gpt2", "llama3", "qwen2", "nanochat", "cl100k", "o200k", "none" };
    const char *path = write_words();
    struct text text = { 0 };
    (void)state;
    assert_ok(file_read(path, LIMIT, &text));
    for (size_t i = 0; i < sizeof regexes / sizeof *regexes; i++) {
        struct tokenizer_trained done[2];
        struct tokenizer *one = trained(path, 700, regexes[i], 1, &done[0]), *three = trained(path, 700, regexes[i], 3, &done[1]), *again;
        assert_int_equal(tokenizer_vocab(one), 700);
        assert_int_equal(tokenizer_end(one), 699);
        assert_string_equal(tokenizer_fingerprint(one), tokenizer_fingerprint(three));
        assert_memory_equal(&done[0], &done[1], sizeof done[0]);
        assert_int_equal(done[0].documents, 1);
        assert_int_equal(done[0].bytes, text.size);
        for (uint32_t id = 0; id < 699; id++) {              /* nothing is learnt of special tokens */
            size_t n;
            const char *bytes = tokenizer_bytes(one, id, &n);
            assert_true(n == 1 || !memchr(bytes, '|', n));
        }
        assert_round_trip(one, text.at, text.size);
        assert_ok(tokenizer_save(one, folder));
        assert_ok(tokenizer_open(&again, folder));
        assert_string_equal(tokenizer_fingerprint(again), tokenizer_fingerprint(one));
        tokenizer_free(again);
        tokenizer_free(three);
        tokenizer_free(one);
    }
    text_free(&text);
}

/* Fewer tokens than asked for where nothing is left to merge. */
static void small_texts(void **state)
{
    const char *path = at("small.txt");
    struct tokenizer_trained done;
    (void)state;
    write_text(path, "aaaa aaaa");
    struct tokenizer *t = trained(path, 1000, "gpt2", 2, &done);
    assert_int_equal(tokenizer_vocab(t), 256 + 3 + 1);       /* aa, aaaa, " aaaa" */
    assert_int_equal(done.kinds, 2);
    tokenizer_free(t);
}

static void refused(void **state)
{
    static const char *const twice[] = { "<|a|>", "<|a|>" }, *const none[] = { "" };
    const char *input = at("some.txt");
    struct tokenizer *t = NULL;
    struct tokenizer_trained done;
    (void)state;
    write_text(input, "<|endoftext|>");
    struct tokenizer_training o = { .inputs = &input, .n = 1, .field = "text", .vocab = 300, .regex = "gpt2", .specials = eot, .n_specials = 1 };
    assert_fails(tokenizer_train(&t, &o, &done), E_DATA, "no text in it");
    o.vocab = 256;
    assert_fails(tokenizer_train(&t, &o, &done), E_USAGE, "vocab is 256");
    o.vocab = 300;
    o.regex = "gpt3";
    assert_fails(tokenizer_train(&t, &o, &done), E_USAGE, "regex is gpt3");
    o.regex = "none";
    o.specials = twice;
    o.n_specials = 2;
    assert_fails(tokenizer_train(&t, &o, &done), E_USAGE, "<|a|> is given twice");
    o.specials = none;
    o.n_specials = 1;
    assert_fails(tokenizer_train(&t, &o, &done), E_USAGE, "must not be empty");
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(merges_by_definition), cmocka_unit_test(whatever_the_threads), cmocka_unit_test(small_texts), cmocka_unit_test(refused) };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
