/* pieces.h -- the patterns in use, as programs that read each character once or twice. */
#ifndef TOKEN_PIECES_H
#define TOKEN_PIECES_H
#include "token/split.h"

/* Where the piece ends that begins at `at` < n.  The text is UTF-8, and `at` and n lie between characters.  Not SPLIT_REGEX. */
typedef size_t piece_function(const char *text, size_t n, size_t at);
extern piece_function *const piece_end[SPLIT_PATTERNS];

#endif
