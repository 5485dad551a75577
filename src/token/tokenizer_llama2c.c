/* tokenizer_llama2c.c -- llama2.c's tokenizer.bin: the longest token's length, then each token's score, length and bytes, little-endian.
 *
 * Its run.c encodes by BPE over characters: of all neighbours whose text together is a token, those are joined first whose token has the
 * best score.  Where scores fall with the ids, as SentencePiece writes them, that is the rule of tokenizer_ranks.c; so the file is
 * put into the words of a tokenizer.json, which says nearly the same to other programs (they take merges one by one). */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "token/tokenizer_stages.h"

enum { START = 1, END = 2, FIRST_BYTE = 3 };                 /* run.c's ids of <s>, </s>, <0x00> */
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
    FAIL_IF(*n <= FIRST_BYTE + 256, E_DATA, "%s: %zu tokens are too few: three special ones and 256 bytes come first", path, *n);
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

static int fill(json_t *vocab, json_t *merges, const struct piece *p, size_t n, const char *path)
{
    const struct piece *before = NULL;
    size_t ways = 0;
    for (size_t id = 0; id < n; id++) TRY(add_token(vocab, &p[id], id, path));
    for (size_t id = FIRST_BYTE + 256; id < n; id++) {
        size_t had = ways;
        TRY(add_merges(merges, vocab, &p[id], &ways, path));
        if (ways == had) continue;                           /* a character: nothing is merged to it */
        FAIL_IF(before && !(p[id].score < before->score), E_DATA, "%s: the score of token %zu is not below that of those before it, so the order of merges is not that of ids", path, id);
        before = &p[id];
    }
    return 0;
}

static json_t *added_token(uint32_t id) { return added_to_json(&(struct token){ .bytes = specials[id], .id = id, .flags = TOKEN_SPECIAL }); }

/* A space before the text, which is taken away again at its front; <s> before it. */
static json_t *file_of(json_t *vocab, json_t *merges)
{
    json_t *model = json_pack("{s:s, s:n, s:s, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", specials[0], "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                              "byte_fallback", 1, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    json_t *post = json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing",
                             "single", "SpecialToken", "id", specials[START], "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                             "pair", "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1,
                             "special_tokens", specials[START], "id", specials[START], "ids", START, "tokens", specials[START]);
    json_t *decoder = json_pack("{s:s, s:[{s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders", "type", "ByteFallback", "type", "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0);
    return json_pack("{s:s, s:n, s:n, s:[o, o, o], s:{s:s, s:s}, s:n, s:o, s:o, s:o, s:{s:b}}", "version", "1.0", "truncation", "padding", "added_tokens", added_token(0), added_token(START), added_token(END),
                     "normalizer", "type", "Prepend", "prepend", " ", "pre_tokenizer", "post_processor", post, "decoder", decoder, "model", model, "nib", "by_rank", 1);
}

int tokenizer_of_llama2c(struct tokenizer *t, const struct text *all, const char *path)
{
    size_t n;
    TRY(read_pieces(NULL, &n, all, path));
    struct piece *p = calloc(n, sizeof *p);
    FAIL_IF(!p, E_MEMORY, "%s: no memory for %zu tokens", path, n);
    json_t *vocab = json_object(), *merges = json_array();
    int failed = read_pieces(p, &n, all, path);
    if (!failed) failed = fill(vocab, merges, p, n, path);
    json_t *root = file_of(vocab, merges);
    if (!failed) failed = root ? tokenizer_of_json(t, root, path) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu tokens", path, n);
    if (!failed) t->end = END;
    json_decref(root);
    free(p);
    return failed;
}
