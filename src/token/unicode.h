/* unicode.h -- what characters are to those who cut text into pieces (Unicode, UAX 44: General_Category and White_Space).
 *
 * Classes are bits, so that sets of them are, too. */
#ifndef TOKEN_UNICODE_H
#define TOKEN_UNICODE_H
#include <stddef.h>
#include <stdint.h>

enum {
    CHAR_OTHER = 1,
    CHAR_UPPER = 2, CHAR_LOWER = 4, CHAR_LETTER = 8,         /* Lu and Lt, Ll, Lm and Lo */
    CHAR_MARK = 16, CHAR_NUMBER = 32, CHAR_SPACE = 64,       /* M, N, White_Space */
    CHAR_LETTERS = CHAR_UPPER | CHAR_LOWER | CHAR_LETTER,    /* \p{L} */
    CHAR_ALL = 127
};

enum { UNICODE_PAGE = 128, UNICODE_PAGES = 1608 };           /* behind them there are only variation selectors */
extern const uint8_t unicode_page[UNICODE_PAGES];
extern const char unicode_digit[][UNICODE_PAGE + 1];

static inline unsigned unicode_class(uint32_t point)
{
    if (point < UNICODE_PAGES * UNICODE_PAGE) return 1u << (unicode_digit[unicode_page[point / UNICODE_PAGE]][point % UNICODE_PAGE] - '0');
    return point >= 0xe0100 && point < 0xe01f0 ? CHAR_MARK : CHAR_OTHER;
}

static inline int unicode_is_space(int32_t point) { return point >= 0 && unicode_class((uint32_t)point) & CHAR_SPACE; }      /* negative: no character */

/* Of n ranges in ascending order, of a size each, which begin with their first and last character (uint32_t), the one that has a character;
 * NULL: none. */
static inline const void *unicode_range(const void *ranges, size_t n, size_t size, uint32_t point)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (((const uint32_t *)((const char *)ranges + middle * size))[1] < point) from = middle + 1;
        else to = middle;
    }
    const void *found = (const char *)ranges + from * size;
    return from < n && *(const uint32_t *)found <= point ? found : NULL;
}

#endif
