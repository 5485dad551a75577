/* charsmap.h -- SentencePiece's precompiled_charsmap: replacements of characters and short sequences, as Hugging Face's
 * normalizer "Precompiled" applies them.
 *
 * The text is walked by grapheme clusters.  One of fewer than six bytes is looked up as a whole, and of the keys that it begins with the
 * shortest stands for all of it; if there is none, or the cluster is longer, each of its characters is looked up so.  What is not found stays. */
#ifndef TOKEN_CHARSMAP_H
#define TOKEN_CHARSMAP_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

struct charsmap {
    const uint32_t *unit; size_t units;  /* a double array of the keys, as Darts-clone lays it out */
    const char *strings; size_t size;    /* the replacements: UTF-8, each ends with a 0 */
    uint8_t stays[256];                  /* by byte: an ASCII character that is not replaced, and by itself wherever no mark follows */
};

/* From base64.  E_DATA if anything is not as it should be; then no look-up can leave the map. */
int charsmap_open(struct charsmap *c, struct arena *memory, const char *base64, const char *what);

/* Appends the text, which is UTF-8, with all replacements. */
int charsmap_apply(const struct charsmap *c, const char *text, size_t n, struct text *out);

#endif
