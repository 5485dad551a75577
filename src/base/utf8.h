/* utf8.h -- UTF-8 (RFC 3629), one character at a time: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stddef.h>
#include <stdint.h>

enum { UTF8_BAD = -1, UTF8_CUT = -2, UTF8_POINTS = 0x110000 };

/* The code point at the start of s (n > 0), and its length in *size; else
 * UTF8_BAD: the first *size bytes (1 to 3) begin no character; whoever replaces puts one U+FFFD in their place, as
 *           the Unicode standard (section 3.9, "maximal subparts") and every decoder of note do;
 * UTF8_CUT: s ends within a character, of which *size = n bytes are there. */
int32_t utf8_next(const char *s, size_t n, size_t *size);
int32_t utf8_last(const char *s, size_t n, size_t *size);    /* the character that ends behind s[n - 1]; UTF8_BAD: none does */
size_t  utf8_put(char out[4], uint32_t point);               /* returns the length */

size_t  utf8_good(const char *s, size_t n);                  /* bytes at the start of s that are whole characters */
size_t  utf8_bad(const char *s, size_t n);                   /* bytes at the start of s that are not, up to the next that is */
size_t  utf8_count(const char *s, size_t n);                 /* characters, and what would be replaced by U+FFFD */
/* Sets the bits of the characters that occur, one a code point: seen has UTF8_POINTS / 8 bytes.  Returns n, or the place of the
 * first that a text should not have: a byte that is not UTF-8, or NUL. */
size_t  utf8_mark(uint8_t *seen, const char *s, size_t n);

#endif
