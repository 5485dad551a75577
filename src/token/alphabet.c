/* alphabet.c -- three runs of bytes cannot be seen; each moves as a whole. */
#include "token/alphabet.h"

#include "base/utf8.h"

static const struct { int32_t first, last, moved; } runs[] = {
    { 0x00, 0x20, 0x100 },               /* controls and the space */
    { 0x7f, 0xa0, 0x121 },               /* delete, the controls of Latin-1, the no-break space */
    { 0xad, 0xad, 0x143 },               /* the soft hyphen */
};
enum { RUNS = sizeof runs / sizeof *runs };

int alphabet_byte(int32_t point)
{
    for (int i = 0; i < RUNS; i++) {
        int32_t byte = point - runs[i].moved + runs[i].first;
        if (byte >= runs[i].first && byte <= runs[i].last) return byte;
        if (point >= runs[i].first && point <= runs[i].last) return -1;
    }
    return point >= 0 && point < 256 ? point : -1;
}

int32_t alphabet_point(unsigned char byte)
{
    for (int i = 0; i < RUNS; i++)
        if (byte >= runs[i].first && byte <= runs[i].last) return byte - runs[i].first + runs[i].moved;
    return byte;
}

void alphabet_spell(struct text *out, const char *bytes, size_t n)
{
    char utf8[4];
    for (size_t i = 0; i < n; i++) {
        size_t size = utf8_put(utf8, (uint32_t)alphabet_point((unsigned char)bytes[i]));
        text_bytes(out, utf8, size);
    }
}

int alphabet_read(char *out, const char *text, size_t n, size_t *size)
{
    size_t length, k = 0;
    for (size_t at = 0; at < n; at += length) {
        int byte = alphabet_byte(utf8_next(text + at, n - at, &length));
        if (byte < 0) return 0;
        out[k++] = (char)byte;
    }
    *size = k;
    return 1;
}
