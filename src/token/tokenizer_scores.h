/* tokenizer_scores.h -- SentencePiece's BPE, whose tokens have scores: llama2.c's tokenizer.bin, and GGUF files of model "llama". */
#ifndef TOKEN_TOKENIZER_SCORES_H
#define TOKEN_TOKENIZER_SCORES_H
#include "token/tokenizer_core.h"

/* Of text; "<0x41>", a byte; found in text as it stands, on request alone or always; nothing. */
enum piece_kind { PIECE_TEXT, PIECE_BYTE, PIECE_SPECIAL, PIECE_ADDED, PIECE_NONE };
struct piece { const char *bytes; uint32_t size; float score; enum piece_kind kind; };

struct score_rules {
    const char *space;                   /* what tokens have where text has a space */
    int prefix;                          /* a space is put before text, and taken away from its front again */
    int64_t unknown, before, behind;     /* tokens: of what cannot be encoded; around a text by itself; -1: none */
};

/* By id.  It is put into the words of a tokenizer.json.  E_DATA: scores that are not finite; tokens that are no UTF-8, or twice there. */
int tokenizer_of_scores(struct tokenizer *t, const struct piece *p, size_t n, const struct score_rules *r, const char *what);

/* The scores that make the merges of a tokenizer of MODEL_CHARBPE, by id, 0 where none is made; score begins as zeros.  0: its merges are not all
 * ways to cut its tokens in two, or not those of a token one behind another. */
int tokenizer_scores(const struct tokenizer *t, float *score);

#endif
