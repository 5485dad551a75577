/* tokenizer_llama2c.c -- llama2.c's tokenizer.bin: the longest token's length, then each token's score, length and bytes, little-endian.
 *
 * Its run.c encodes by BPE over characters: of all neighbours whose text together is a token, those are joined first whose token has the
 * best score.  Where scores fall with the ids, as SentencePiece writes them, that is the rule of tokenizer_ranks.c; so the file is
 * put into the words of a tokenizer.json, which says nearly the same to other programs (they take merges one by one).  Llama 2's runs
 * of spaces have one score below all others: these are joined last, from left to right. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "token/tokenizer_stages.h"

enum { START = 1, END = 2, FIRST_BYTE = 3, FIRST_PIECE = FIRST_BYTE + 256 };      /* run.c's ids of <s>, </s>, <0x00>, and of what is no byte */
enum { MOST_BYTES = 512 };                                   /* of a token: it is looked up at every cut */

struct piece { const char *bytes; uint32_t size; float score; };

/* The n pieces of a file; NULL `out`: only their number. */
static int read_pieces(struct piece *out, size_t *n, const struct text *all, const char *path)
{
    FAIL_IF(all->size < 4, E_DATA, "%s: %zu bytes are no vocabulary", path, all->size);
    size_t at = 4, longest = little_u32(all->at);
    FAIL_IF(longest > MOST_BYTES, E_DATA, "%s: a longest token of %zu bytes; nib reads up to %d", path, longest, MOST_BYTES);
    for (*n = 0; at < all->size; ++*n) {
        struct piece p;
        FAIL_IF(all->size - at < 8, E_DATA, "%s: it ends within token %zu", path, *n);
        uint32_t bits = little_u32(all->at + at);
        memcpy(&p.score, &bits, sizeof bits);
        p.size = little_u32(all->at + at + 4);
        at += 8;
        FAIL_IF(p.size > all->size - at || p.size > longest || p.size == 0, E_DATA, "%s: token %zu has %u bytes, of which %zu are there; the longest has %zu", path, *n, p.size, all->size - at, longest);
        p.bytes = all->at + at;
        at += p.size;
        if (out) out[*n] = p;
    }
    FAIL_IF(*n <= FIRST_PIECE, E_DATA, "%s: %zu tokens are too few: three special ones and 256 bytes come first", path, *n);
    return 0;
}

/* The special tokens have line ends around them in the file, so that no text becomes them. */
static const char *const specials[FIRST_BYTE] = { "<unk>", "<s>", "</s>" };

static int add_token(json_t *vocab, const struct piece *p, size_t id, const char *path)
{
    json_t *number = json_integer((json_int_t)id);
    char *key = id < FIRST_BYTE ? strdup(specials[id]) : strndup(p->bytes, p->size);
    int fits = key && (id < FIRST_BYTE || strlen(key) == p->size), twice = fits && json_object_get(vocab, key) != NULL;
    int failed = !fits || twice || json_object_set(vocab, key, number);
    json_decref(number);
    free(key);
    FAIL_IF(failed, E_DATA, "%s: token %zu %s", path, id, twice ? "has the bytes of one before it" : "is not UTF-8");
    return 0;
}

static int add_merge(json_t *merges, const char *bytes, size_t left, size_t n)
{
    return json_array_append_new(merges, json_pack("[s%, s%]", bytes, left, bytes + left, n - left));
}

static int is_token(const json_t *vocab, const char *bytes, size_t n)
{
    char key[MOST_BYTES + 1];
    memcpy(key, bytes, n);
    key[n] = 0;
    return json_object_get(vocab, key) != NULL;
}

/* Every way to cut a token in two tokens. */
static int add_merges(json_t *merges, const json_t *vocab, const struct piece *p, size_t *ways, const char *path)
{
    enum { MOST_WAYS = 1 << 22 };
    for (uint32_t cut = 1; cut < p->size; cut++) {
        int is = is_token(vocab, p->bytes, cut) && is_token(vocab, p->bytes + cut, p->size - cut);
        FAIL_IF(is && ++*ways > MOST_WAYS, E_DATA, "%s: its tokens can be cut in two in too many ways", path);
        FAIL_IF(is && add_merge(merges, p->bytes, cut, p->size), E_MEMORY, "%s: no memory for its merges", path);
    }
    return 0;
}

/* What a file becomes. */
struct file { json_t *vocab, *merges, *last; size_t ways; };

static int add_ranked(struct file *f, const struct piece *p, size_t n, float least, const char *path)
{
    const struct piece *before = NULL;
    for (size_t id = FIRST_PIECE; id < n; id++) {
        size_t had = f->ways;
        if (p[id].score == least) continue;
        TRY(add_merges(f->merges, f->vocab, &p[id], &f->ways, path));
        if (f->ways == had) continue;                        /* a character: nothing is merged to it */
        FAIL_IF(before && !(p[id].score < before->score), E_DATA, "%s: the score of token %zu is not below that of those before it, so the order of merges is not that of ids", path, id);
        before = &p[id];
    }
    return 0;
}

/* Those of the least score, which are equals. */
static int add_last(struct file *f, const struct piece *p, size_t n, float least, const char *path)
{
    for (size_t id = FIRST_PIECE; id < n; id++) {
        size_t had = f->ways;
        if (p[id].score != least) continue;
        TRY(add_merges(f->merges, f->vocab, &p[id], &f->ways, path));
        FAIL_IF(f->ways > had && json_array_append_new(f->last, json_integer((json_int_t)id)), E_MEMORY, "%s: no memory for its merges", path);
    }
    return 0;
}

static int fill(struct file *f, const struct piece *p, size_t n, const char *path)
{
    float least = p[FIRST_PIECE].score;
    for (size_t id = 0; id < n; id++) TRY(add_token(f->vocab, &p[id], id, path));
    for (size_t id = FIRST_PIECE; id < n; id++) least = p[id].score < least ? p[id].score : least;
    TRY(add_ranked(f, p, n, least, path));
    return add_last(f, p, n, least, path);
}

static json_t *added_token(uint32_t id) { return added_to_json(&(struct token){ .bytes = specials[id], .id = id, .flags = TOKEN_SPECIAL }); }

/* A space before the text, which is taken away again at its front; <s> before it. */
static json_t *json_of(const struct file *f)
{
    json_t *model = json_pack("{s:s, s:n, s:s, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", specials[0], "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                              "byte_fallback", 1, "ignore_merges", 0, "vocab", f->vocab, "merges", f->merges);
    json_t *post = json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing",
                             "single", "SpecialToken", "id", specials[START], "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                             "pair", "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1,
                             "special_tokens", specials[START], "id", specials[START], "ids", START, "tokens", specials[START]);
    json_t *decoder = json_pack("{s:s, s:[{s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders", "type", "ByteFallback", "type", "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0);
    return json_pack("{s:s, s:n, s:n, s:[o, o, o], s:{s:s, s:s}, s:n, s:o, s:o, s:o, s:{s:b, s:O*}}", "version", "1.0", "truncation", "padding", "added_tokens", added_token(0), added_token(START), added_token(END),
                     "normalizer", "type", "Prepend", "prepend", " ", "pre_tokenizer", "post_processor", post, "decoder", decoder, "model", model, "nib", "by_rank", 1,
                     "last", json_array_size(f->last) ? f->last : NULL);
}

int tokenizer_of_llama2c(struct tokenizer *t, const struct text *all, const char *path)
{
    size_t n;
    TRY(read_pieces(NULL, &n, all, path));
    struct piece *p = calloc(n, sizeof *p);
    FAIL_IF(!p, E_MEMORY, "%s: no memory for %zu tokens", path, n);
    struct file f = { json_object(), json_array(), json_array(), 0 };
    int failed = read_pieces(p, &n, all, path);
    if (!failed) failed = fill(&f, p, n, path);
    json_t *root = json_of(&f);
    if (!failed) failed = root ? tokenizer_of_json(t, root, path) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu tokens", path, n);
    if (!failed) t->end = END;
    json_decref(root);
    json_decref(f.last);
    free(p);
    return failed;
}

/* ---- writing ---- */

/* What run.c joins: every pair of tokens whose text together is a token. */
static size_t count_ways(const struct tokenizer *t)
{
    const struct vocab *v = &t->vocab;
    size_t ways = 0;
    for (uint32_t id = FIRST_PIECE; id < v->n; id++)
        for (uint32_t cut = 1; cut < v->at[id].size; cut++) ways += vocab_find(v, v->at[id].bytes, cut) >= 0 && vocab_find(v, v->at[id].bytes + cut, v->at[id].size - cut) >= 0;
    return ways;
}

/* A token's text, in which spaces are spaces. */
static void spell(const struct tokenizer *t, uint32_t id, struct text *out)
{
    const struct token *token = &t->vocab.at[id];
    const char *space = t->charbpe.space;
    size_t n = t->charbpe.space_size;
    for (size_t i = 0; i < token->size;) {
        int is_space = n && token->size - i >= n && !memcmp(token->bytes + i, space, n);
        text_bytes(out, is_space ? " " : token->bytes + i, 1);
        i += is_space ? n : 1;
    }
}

static int is_spaces(const struct tokenizer *t, uint32_t id)
{
    struct text all = { 0 };
    spell(t, id, &all);
    int is = !all.failed && strspn(all.at, " ") == all.size;
    text_free(&all);
    return is;
}

/* Merges whose places are their ranks have to be in the order of ids, but for runs of spaces at their end: they are last. */
static int order_merges(const struct tokenizer *t, uint8_t *last)
{
    const struct merges *m = &t->bpe.merges;
    size_t i = 1;
    if (t->bpe.last) memcpy(last, t->bpe.last, t->vocab.n);
    if (t->bpe.by_rank) return 1;
    while (i < m->n && m->at[i].result >= m->at[i - 1].result) i++;
    for (; i < m->n; i++) {
        if (!is_spaces(t, m->at[i].result)) return 0;
        last[m->at[i].result] = 1;
    }
    return 1;
}

/* Does it do to text what run.c does: a space before it, and nothing else? */
static int changes_as_run_does(const struct tokenizer *t)
{
    static const char text[] = "A  b ";
    struct ids ids = { 0 };
    struct text back = { 0 };
    int is = !tokenizer_encode(t, text, sizeof text - 1, SPECIALS_AS_TEXT, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        uint32_t id = ids.at[i];
        char byte = (char)(id - FIRST_BYTE);
        if (id >= FIRST_BYTE && id < FIRST_PIECE) text_bytes(&back, &byte, 1);
        else spell(t, id, &back);
    }
    is = is && !back.failed && back.size == sizeof text && back.at[0] == ' ' && !strcmp(back.at + 1, text);
    ids_free(&ids);
    text_free(&back);
    return is;
}

static int begins_as_run_wants(const struct tokenizer *t)
{
    if (t->vocab.n <= FIRST_PIECE) return 0;
    for (uint32_t id = 0; id < t->vocab.n; id++)
        if (!t->vocab.at[id].bytes || (id < FIRST_BYTE && strcmp(t->vocab.at[id].bytes, specials[id]))) return 0;
    for (uint32_t b = 0; b < 256; b++)
        if (t->charbpe.byte[b] != FIRST_BYTE + b) return 0;
    return 1;
}

static int check(const struct tokenizer *t, uint8_t *last)
{
    const char *why = NULL;
    if (t->kind != MODEL_CHARBPE || !t->charbpe.falls_back) why = "is another kind";
    else if (!begins_as_run_wants(t)) why = "does not begin with <unk>, <s>, </s> and 256 bytes, or has ids that stand for nothing";
    else if (!order_merges(t, last)) why = "has merges in another order than that of its ids";
    else if (count_ways(t) != t->bpe.merges.n) why = "has tokens that no merge makes although two of its tokens together are their text";
    else if (!changes_as_run_does(t)) why = "changes text otherwise than by a space before it";
    FAIL_IF(why, E_MODEL, "llama2.c's tokenizer.bin holds BPE over characters like Llama 2's, and this tokenizer %s", why);
    return 0;
}

static const float LEAST = -1e9f;                            /* Llama 2's; run.c takes no score of -1e10 or less */

static void put_piece(struct text *out, float score, const struct text *piece, uint32_t *longest)
{
    uint32_t n = (uint32_t)piece->size;
    text_bytes(out, &score, sizeof score);
    text_bytes(out, &n, sizeof n);
    text_bytes(out, piece->at, n);
    if (n > *longest) *longest = n;
}

static int write_file(const struct tokenizer *t, const uint8_t *last, int64_t entries, const char *path)
{
    struct text out = { 0 }, piece = { 0 };
    uint32_t longest = 0;
    text_bytes(&out, &longest, sizeof longest);
    for (int64_t id = 0; id < entries; id++) {
        text_clear(&piece);
        if (id == START || id == END) text_format(&piece, "\n%s\n", specials[id]);
        else if (id < t->vocab.n) spell(t, (uint32_t)id, &piece);
        else text_format(&piece, "\n<unused %lld>\n", (long long)id);           /* run.c reads as many as the model has */
        put_piece(&out, id < FIRST_PIECE ? 0 : id < t->vocab.n && last[id] ? LEAST : -(float)(id - FIRST_PIECE), &piece, &longest);
    }
    int failed = out.failed || piece.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path) : 0;
    if (!failed) memcpy(out.at, &longest, sizeof longest);
    if (!failed) failed = file_write(path, out.at, out.size);
    text_free(&out);
    text_free(&piece);
    return failed;
}

int tokenizer_write_llama2c(const struct tokenizer *t, int64_t entries, const char *path)
{
    uint8_t *last = calloc(t->vocab.n, 1);
    FAIL_IF(!last, E_MEMORY, "no memory for %s", path);
    int failed = check(t, last);
    if (!failed) failed = write_file(t, last, entries, path);
    free(last);
    return failed;
}
