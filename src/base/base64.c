/* base64.c -- six bits a character. */
#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_of(char c)
{
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

int base64_decode(void *out, size_t *size, const char *text, size_t n)
{
    unsigned char *bytes = out;
    size_t end = n;
    uint32_t bits = 0;
    while (end > 0 && text[end - 1] == '=' && n - end < 2) end--;
    FAIL_IF(end % 4 == 1 || end % 4 + (n - end) > 4 || (end % 4 == 0 && end < n), E_DATA, "it is cut off: no base64 has %zu digits and %zu \"=\"", end, n - end);
    *size = 0;
    for (size_t i = 0; i < end; i++) {
        int digit = digit_of(text[i]);
        FAIL_IF(digit < 0, E_DATA, "it is not base64: byte %zu is 0x%02x", i, (unsigned char)text[i]);
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4) bytes[(*size)++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    FAIL_IF(bits & ((1u << 2 * ((4 - end % 4) % 4)) - 1), E_DATA, "it is not base64: its last digit has bits that mean nothing");
    return 0;
}

void base64_encode(struct text *out, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++) text_bytes(out, k <= n - i ? &digits[bits >> (18 - 6 * k) & 63] : "=", 1);
    }
}
