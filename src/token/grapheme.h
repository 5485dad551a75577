/* grapheme.h -- what people see as one character: extended grapheme clusters (UAX 29), those of Unicode 17.0, which Hugging Face's
 * tokenizers 0.23 have.  utf8proc's depend on its version, and 2.8 knows the rules of Unicode 14.0. */
#ifndef TOKEN_GRAPHEME_H
#define TOKEN_GRAPHEME_H
#include <stddef.h>
#include <stdint.h>

/* UAX 29's Grapheme_Cluster_Break, with Extended_Pictographic and Indic_Conjunct_Break where they say more. */
enum grapheme_kind {
    GRAPHEME_OTHER = '.', GRAPHEME_CONTROL = 'c',            /* and CR, LF */
    GRAPHEME_EXTEND = 'e', GRAPHEME_NON_JOINER = 'n',        /* Extend; that which does not go on with a conjunct */
    GRAPHEME_LINKER = 'v', GRAPHEME_CONSONANT = 'k',         /* of conjuncts; a linker is also Extend */
    GRAPHEME_JOINER = 'j', GRAPHEME_SPACING = 's', GRAPHEME_PREPEND = 'p', GRAPHEME_PICTOGRAPH = 'x', GRAPHEME_FLAG = 'r',
    GRAPHEME_L = 'L', GRAPHEME_V = 'V', GRAPHEME_T = 'T', GRAPHEME_LV = 'H', GRAPHEME_LVT = 'I',
};

enum { GRAPHEME_PAGE = 64, GRAPHEME_PAGES = 0x20000 / GRAPHEME_PAGE };       /* behind them only tags and variation selectors are not OTHER */
extern const uint8_t grapheme_page[GRAPHEME_PAGES];
extern const char grapheme_letter[][GRAPHEME_PAGE + 1];

/* Bytes of the first cluster of a text of n > 0 bytes.  What is not UTF-8 is OTHER. */
size_t grapheme_next(const char *text, size_t n);

#endif
