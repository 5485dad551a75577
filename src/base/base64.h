/* base64.h -- RFC 4648, section 4. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include <stddef.h>

#include "base/text.h"

/* n characters into out, which has room for 3 n / 4 + 3 bytes; *size is their number.  = may be left out at the end, but no other character is skipped, and
 * bits behind the last byte are zeros; else E_DATA, and the message says what is wrong: prefix it. */
int base64_decode(void *out, size_t *size, const char *text, size_t n);

void base64_encode(struct text *out, const void *bytes, size_t n);       /* appended, with = at the end */

#endif
