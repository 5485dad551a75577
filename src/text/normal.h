/* normal.h -- what is done to text before it is cut, where a tokenizer file asks for it. */
#ifndef TEXT_NORMAL_H
#define TEXT_NORMAL_H
#include <stddef.h>

#include "base/text.h"

/* Unicode's normal forms (UAX 15, by utf8proc), of the characters that Hugging Face's library knows, and small letters, character by
 * character.  The numbers go into fingerprints. */
enum normal_form { NORMAL_NFC, NORMAL_NFD, NORMAL_NFKC, NORMAL_NFKD, NORMAL_LOWERCASE, NORMAL_FORMS };
extern const char *const normal_names[NORMAL_FORMS];         /* as Hugging Face's files have them */

enum { NORMAL_STEPS = 4 };
struct normalizer { enum normal_form step[NORMAL_STEPS]; int n; };       /* one after the other */

/* Appends the text in its normal form.  Bytes that are not UTF-8 stay, and what lies between them is a text by itself. */
int normal_apply(const struct normalizer *f, const char *text, size_t n, struct text *out);

#endif
