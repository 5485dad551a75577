/* charbpe.h -- byte pair encoding over characters, as SentencePiece and llama 2 have it: a character that is not in the vocabulary is
 * written as the tokens of its bytes, "<0xE2>", or else is the unknown token. */
#ifndef TOKEN_CHARBPE_H
#define TOKEN_CHARBPE_H
#include "token/bpe.h"
#include "token/chars.h"

struct charbpe {
    const struct bpe *bpe;
    struct chars *chars;
    int falls_back; uint32_t byte[256];  /* the token of each byte */
    int64_t unknown; int fuses;          /* -1: there is none; unknown characters side by side are one token */
    const char *space; size_t space_size;        /* what stands for a space ... */
    int cuts;                            /* ... and no merge joins what is before a run of them to it: there a text may be cut */
};

struct charbpe_options { int falls_back, fuses; int64_t unknown; const char *space; };
/* E_DATA if the bytes have not all 256 tokens. */
int charbpe_build(struct charbpe *c, struct arena *memory, const struct bpe *b, const struct charbpe_options *o, const char *what);

struct charbpe_work { struct bpe_work bpe; uint32_t *token; size_t n, room; int unknown; };      /* unknown: the last token is */
void charbpe_work_free(struct charbpe_work *w);

/* Where a piece ends that begins at `at`: before a run of spaces, or at the end. */
size_t charbpe_piece(const struct charbpe *c, const char *text, size_t n, size_t at);
/* Appends the ids of a piece.  E_DATA names a character that is not in the vocabulary, if neither bytes nor an unknown token stand for it. */
int charbpe_encode(const struct charbpe *c, struct charbpe_work *w, const char *piece, size_t n, struct ids *out);

#endif
