/* tokenizer_llama2c.c -- llama2.c's tokenizer.bin: the longest token's length, then each token's score, length and bytes, little-endian.
 *
 * Its run.c encodes by BPE over characters and scores (tokenizer_scores.c), with a space before the text. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "token/tokenizer_scores.h"

enum { START = 1, END = 2, FIRST_BYTE = 3, FIRST_PIECE = FIRST_BYTE + 256 };      /* run.c's ids of <s>, </s>, <0x00>, and of what is no byte */
enum { MOST_BYTES = 512 };                                   /* of a token */

/* The special tokens have line ends around them in the file, so that no text becomes them. */
static const char *const specials[FIRST_BYTE] = { "<unk>", "<s>", "</s>" };

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
        p.kind = *n < FIRST_BYTE ? PIECE_SPECIAL : *n < FIRST_PIECE ? PIECE_BYTE : PIECE_TEXT;
        if (*n < FIRST_BYTE) p.bytes = specials[*n], p.size = (uint32_t)strlen(p.bytes);
        if (out) out[*n] = p;
    }
    FAIL_IF(*n <= FIRST_PIECE, E_DATA, "%s: %zu tokens are too few: three special ones and 256 bytes come first", path, *n);
    return 0;
}

int tokenizer_of_llama2c(struct tokenizer *t, const struct text *all, const char *path)
{
    size_t n;
    TRY(read_pieces(NULL, &n, all, path));
    struct piece *p = calloc(n, sizeof *p);
    FAIL_IF(!p, E_MEMORY, "%s: no memory for %zu tokens", path, n);
    int failed = read_pieces(p, &n, all, path);
    if (!failed) failed = tokenizer_of_scores(t, p, n, &(struct score_rules){ " ", 1, 0, START, -1 }, path);
    if (!failed) t->end = END;
    free(p);
    return failed;
}

/* ---- writing ---- */

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

static int check(const struct tokenizer *t, float *score)
{
    const char *why = NULL;
    if (t->kind != MODEL_CHARBPE || !t->charbpe.falls_back) why = "is another kind";
    else if (!begins_as_run_wants(t)) why = "does not begin with <unk>, <s>, </s> and 256 bytes, or has ids that stand for nothing";
    else if (!tokenizer_scores(t, score)) why = "has merges that no scores of its tokens would make";
    else if (!changes_as_run_does(t)) why = "changes text otherwise than by a space before it";
    FAIL_IF(why, E_MODEL, "llama2.c's tokenizer.bin holds BPE over characters like Llama 2's, and this tokenizer %s", why);
    return 0;
}

static void put_piece(struct text *out, float score, const struct text *piece, uint32_t *longest)
{
    uint32_t n = (uint32_t)piece->size;
    text_bytes(out, &score, sizeof score);
    text_bytes(out, &n, sizeof n);
    text_bytes(out, piece->at, n);
    if (n > *longest) *longest = n;
}

/* What nothing is merged to keeps its place among the others. */
static float score_of(const struct tokenizer *t, const float *score, int64_t id)
{
    if (id < FIRST_PIECE || id >= t->vocab.n) return 0;
    return score[id] != 0 ? score[id] : -(float)(t->bpe.order ? t->bpe.order[id] : (uint32_t)id) - 1;
}

static int write_file(const struct tokenizer *t, const float *score, int64_t entries, const char *path)
{
    struct text out = { 0 }, piece = { 0 };
    uint32_t longest = 0;
    text_bytes(&out, &longest, sizeof longest);
    for (int64_t id = 0; id < entries; id++) {
        text_clear(&piece);
        if (id == START || id == END) text_format(&piece, "\n%s\n", specials[id]);
        else if (id < t->vocab.n) spell(t, (uint32_t)id, &piece);
        else text_format(&piece, "\n<unused %lld>\n", (long long)id);           /* run.c reads as many as the model has */
        put_piece(&out, score_of(t, score, id), &piece, &longest);
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
    float *score = calloc(t->vocab.n, sizeof *score);
    FAIL_IF(!score, E_MEMORY, "no memory for %s", path);
    int failed = check(t, score);
    if (!failed) failed = write_file(t, score, entries, path);
    free(score);
    return failed;
}
