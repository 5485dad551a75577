/* tokenizer_llama2c.c -- llama2.c's tokenizer.bin: the longest token's length, then each token's score, length and bytes, little-endian.
 *
 * Its run.c encodes by BPE over characters and scores (tokenizer_scores.c), with a space before the text. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "token/tokenizer_scores.h"

enum { START = 1, END = 2, FIRST_BYTE = 3 };                 /* run.c's ids of <s>, </s>, <0x00> */
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
        p.kind = *n < FIRST_BYTE ? PIECE_SPECIAL : *n < FIRST_BYTE + 256 ? PIECE_BYTE : PIECE_TEXT;
        if (*n < FIRST_BYTE) p.bytes = specials[*n], p.size = (uint32_t)strlen(p.bytes);
        if (out) out[*n] = p;
    }
    FAIL_IF(*n <= FIRST_BYTE + 256, E_DATA, "%s: %zu tokens are too few: three special ones and 256 bytes come first", path, *n);
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
