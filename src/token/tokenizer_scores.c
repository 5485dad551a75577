/* tokenizer_scores.c -- BPE over characters by scores: of all neighbours whose text together is a token, those are joined first whose token has the
 * best score, of equals the leftmost.  So every way to cut a token in two is a merge of a tokenizer.json, in the order of scores, which says nearly
 * the same to other programs (they take merges one by one).  Scores mostly fall with the ids, which are then ranks; llama 2's do but for its runs
 * of spaces, and then the file says them, too. */
#include "token/tokenizer_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "token/tokenizer_stages.h"

enum { MOST_BYTES = 512, MOST_WAYS = 1 << 22 };              /* of a token: it is looked up at every cut; of all of them */

static int add_token(json_t *vocab, const struct piece *p, size_t id, const char *what)
{
    json_t *number = json_integer((json_int_t)id);
    char *key = strndup(p->bytes, p->size);
    int fits = key && strlen(key) == p->size, twice = fits && json_object_get(vocab, key) != NULL;
    int failed = !fits || twice || json_object_set(vocab, key, number);
    json_decref(number);
    free(key);
    FAIL_IF(failed, E_DATA, "%s: token %zu %s", what, id, twice ? "has the bytes of one before it" : "is not UTF-8");
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
static int add_merges(json_t *merges, const json_t *vocab, const struct piece *p, size_t *ways, const char *what)
{
    for (uint32_t cut = 1; cut < p->size; cut++) {
        int is = is_token(vocab, p->bytes, cut) && is_token(vocab, p->bytes + cut, p->size - cut);
        FAIL_IF(is && ++*ways > MOST_WAYS, E_DATA, "%s: its tokens can be cut in two in too many ways", what);
        FAIL_IF(is && add_merge(merges, p->bytes, cut, p->size), E_MEMORY, "%s: no memory for its merges", what);
    }
    return 0;
}

/* The best first, of equals that with the least id. */
static int by_score(const void *a, const void *b)
{
    const struct piece *x = *(const struct piece *const *)a, *y = *(const struct piece *const *)b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int add_vocabulary(json_t *vocab, const struct piece *p, size_t n, const char *what)
{
    for (size_t id = 0; id < n; id++) {
        FAIL_IF(p[id].size > MOST_BYTES, E_DATA, "%s: token %zu has %u bytes; nib reads up to %d", what, id, p[id].size, MOST_BYTES);
        FAIL_IF(!isfinite(p[id].score), E_DATA, "%s: the score of token %zu is not finite", what, id);
        if (p[id].kind != PIECE_NONE) TRY(add_token(vocab, &p[id], id, what));
    }
    return 0;
}

/* are_ranks: tokens that others are merged to have ids in the order of their scores. */
static int fill(json_t *vocab, json_t *merges, const struct piece *p, const struct piece **sorted, size_t n, int *are_ranks, const char *what)
{
    const struct piece *before = NULL;
    size_t ways = 0;
    TRY(add_vocabulary(vocab, p, n, what));
    for (size_t i = 0; i < n; i++) sorted[i] = &p[i];
    qsort(sorted, n, sizeof *sorted, by_score);
    *are_ranks = 1;
    for (size_t i = 0; i < n; i++) {
        size_t had = ways;
        if (sorted[i]->kind != PIECE_TEXT) continue;
        TRY(add_merges(merges, vocab, sorted[i], &ways, what));
        if (ways == had) continue;                           /* a character: nothing is merged to it */
        if (before) *are_ranks &= before < sorted[i] && before->score > sorted[i]->score;
        before = sorted[i];
    }
    return 0;
}

static json_t *scores_of(const struct piece *p, size_t n)
{
    json_t *list = json_array();
    while (n && p[n - 1].kind == PIECE_NONE) n--;            /* no ids */
    for (size_t id = 0; id < n; id++) json_array_append_new(list, json_real((double)p[id].score));
    return list;
}

/* ---- what stands around them ---- */

static json_t *added_tokens(const struct piece *p, size_t n)
{
    json_t *list = json_array();
    for (size_t id = 0; id < n; id++) {
        char *content = p[id].kind == PIECE_SPECIAL || p[id].kind == PIECE_ADDED ? strndup(p[id].bytes, p[id].size) : NULL;
        if (content) json_array_append_new(list, added_to_json(&(struct token){ .bytes = content, .id = (uint32_t)id, .flags = p[id].kind == PIECE_SPECIAL ? TOKEN_SPECIAL : 0 }));
        free(content);
    }
    return list;
}

static json_t *replace(const char *from, const char *to) { return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content", to); }

static json_t *normalizer(const struct score_rules *r)
{
    int replaces = strcmp(r->space, " ") != 0;
    json_t *prepend = r->prefix ? json_pack("{s:s, s:s}", "type", "Prepend", "prepend", r->space) : NULL;
    if (!replaces) return prepend ? prepend : json_null();
    return prepend ? json_pack("{s:s, s:[o, o]}", "type", "Sequence", "normalizers", prepend, replace(" ", r->space)) : replace(" ", r->space);
}

static json_t *decoder(const struct score_rules *r)
{
    json_t *steps = json_array();
    if (strcmp(r->space, " ")) json_array_append_new(steps, replace(r->space, " "));
    json_array_append_new(steps, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(steps, json_pack("{s:s}", "type", "Fuse"));
    if (r->prefix) json_array_append_new(steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static json_t *name_of(const struct piece *p, int64_t id) { return id < 0 ? json_null() : json_stringn(p[id].bytes, p[id].size); }

static json_t *file_of(json_t *vocab, json_t *merges, int are_ranks, const struct piece *p, size_t n, const struct score_rules *r)
{
    json_t *model = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", name_of(p, r->unknown), "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                              "byte_fallback", 1, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    json_t *before = name_of(p, r->before), *behind = name_of(p, r->behind), *post = template_to_json(json_string_value(before), r->before, json_string_value(behind), r->behind);
    json_decref(before);
    json_decref(behind);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:n, s:o, s:o, s:o, s:{s:b, s:o*}}", "version", "1.0", "truncation", "padding", "added_tokens", added_tokens(p, n),
                     "normalizer", normalizer(r), "pre_tokenizer", "post_processor", post, "decoder", decoder(r), "model", model, "nib", "by_rank", 1, "scores", are_ranks ? NULL : scores_of(p, n));
}

int tokenizer_of_scores(struct tokenizer *t, const struct piece *p, size_t n, const struct score_rules *r, const char *what)
{
    json_t *vocab = json_object(), *merges = json_array();
    const struct piece **sorted = calloc(n, sizeof *sorted);
    int are_ranks = 1, failed = sorted ? fill(vocab, merges, p, sorted, n, &are_ranks, what) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu tokens", what, n);
    json_t *root = file_of(vocab, merges, are_ranks, p, n, r);
    if (!failed) failed = root ? tokenizer_of_json(t, root, what) : error_set(E_MEMORY, __FILE__, __LINE__, "%s: no memory for %zu tokens", what, n);
    json_decref(root);
    free(sorted);
    return failed;
}

/* ---- back ---- */

/* All ways to cut tokens in two tokens are merges, those of a token one behind another: then their order is that of scores. */
int tokenizer_scores(const struct tokenizer *t, float *score)
{
    const struct merges *m = &t->bpe.merges;
    size_t ways = 0;
    for (size_t i = 0; i < t->vocab.model.n; i++)
        for (uint32_t cut = 1; cut < t->vocab.model.at[i].size; cut++) {
            const struct token *token = &t->vocab.model.at[i];
            ways += vocab_find(&t->vocab, token->bytes, cut) >= 0 && vocab_find(&t->vocab, token->bytes + cut, token->size - cut) >= 0;
        }
    for (size_t i = 0; i < m->n; i++) {
        if (i && m->at[i].result == m->at[i - 1].result) continue;
        if (score[m->at[i].result] != 0) return 0;
        uint32_t result = m->at[i].result, rank = t->bpe.order ? t->bpe.order[result] : t->bpe.by_rank ? result : (uint32_t)i;
        score[result] = -(float)rank - 1;
    }
    return ways == m->n;
}
