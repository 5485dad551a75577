/* alphabet.h -- the byte alphabet: how vocabulary files of byte-level BPE spell bytes.
 *
 * JSON strings are made of characters, tokens of bytes.  GPT-2 gave each byte a character that can be seen: the 188
 * printable ones of Latin-1 stand for themselves, the other 68 bytes are U+0100 and up, in ascending order.  So a space
 * is U+0120 and a newline U+010A, and no spelled token contains a space. */
#ifndef TOKEN_ALPHABET_H
#define TOKEN_ALPHABET_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

int     alphabet_byte(int32_t point);                        /* the byte a character stands for, -1 if it is none of the 256 */
int32_t alphabet_point(unsigned char byte);

void   alphabet_spell(struct text *out, const char *bytes, size_t n);            /* appends */
/* The bytes that text spells, into out, which has room for n.  *size is their number.  Returns 0 if a character is no byte's. */
int    alphabet_read(char *out, const char *text, size_t n, size_t *size);

#endif
