/* utf8.c -- RFC 3629, section 4: what may follow a first byte. */
#include "base/utf8.h"

#include <string.h>

int32_t utf8_next(const char *s, size_t n, size_t *size)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned first = u[0];
    *size = 1;
    if (first < 0x80) return (int32_t)first;
    if (first < 0xc2 || first > 0xf4) return UTF8_BAD;
    /* Only the second byte's range depends on the first: it rules out overlong forms, surrogates and what is too large. */
    unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t point = first & (0x7fu >> length);              /* the first byte holds 5, 4 or 3 bits, each other one 6 */
    for (; *size < length; ++*size) {
        if (*size == n) return UTF8_CUT;
        unsigned byte = u[*size];
        if (byte < least || byte > most) return UTF8_BAD;
        point = point << 6 | (byte & 0x3f);
        least = 0x80;
        most = 0xbf;
    }
    return (int32_t)point;
}

int32_t utf8_last(const char *s, size_t n, size_t *size)
{
    size_t from = n;
    while (from > 0 && n - from < 4 && ((unsigned char)s[--from] & 0xc0) == 0x80) continue;
    int32_t point = from < n ? utf8_next(s + from, n - from, size) : UTF8_BAD;
    return point < 0 || *size != n - from ? UTF8_BAD : point;
}

size_t utf8_put(char out[4], uint32_t point)
{
    static const unsigned char mark[] = { 0, 0, 0xc0, 0xe0, 0xf0 };          /* of the first byte, by length */
    size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; point >>= 6) out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(mark[n] | point);
    return n;
}

/* Eight ASCII characters begin at s. */
static int eight_are_ascii(const char *s)
{
    uint64_t eight;
    memcpy(&eight, s, sizeof eight);
    return !(eight & 0x8080808080808080u);
}

size_t utf8_good(const char *s, size_t n)
{
    size_t at = 0;
    for (size_t size; at < n; at += size) {
        if (n - at >= 8 && eight_are_ascii(s + at)) size = 8;
        else if (utf8_next(s + at, n - at, &size) < 0) break;
    }
    return at;
}

size_t utf8_count(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t at = 0, size; at < n; at += size) {
        if (n - at >= 8 && eight_are_ascii(s + at)) size = 8, count += 8;
        else utf8_next(s + at, n - at, &size), count++;
    }
    return count;
}

size_t utf8_bad(const char *s, size_t n)
{
    size_t at = 0, size;
    while (at < n && utf8_next(s + at, n - at, &size) < 0) at += size;
    return at;
}

size_t utf8_mark(uint8_t *seen, const char *s, size_t n)
{
    size_t at = 0;
    for (size_t size; at < n; at += size) {
        int32_t point = utf8_next(s + at, n - at, &size);
        if (point <= 0) break;
        seen[point >> 3] |= (uint8_t)(1 << (point & 7));
    }
    return at;
}
