/* finite.c -- what is not finite has an exponent of ones. */
#include "base/finite.h"

#define LOOK(type, ones)                                          \
    do {                                                          \
        type bits, all = 0;                                       \
        for (size_t i = 0; i < n; i++) {                          \
            memcpy(&bits, (const char *)x + i * sizeof bits, sizeof bits); \
            all |= (bits & (ones)) == (ones);                     \
        }                                                         \
        return !all;                                              \
    } while (0)

int are_finite(const void *x, enum dtype type, size_t n)
{
    switch (type) {
    case F32: LOOK(uint32_t, 0x7f800000);
    case BF16: LOOK(uint16_t, 0x7f80);
    case F16: LOOK(uint16_t, 0x7c00);
    case F64: LOOK(uint64_t, 0x7ff0000000000000);
    default: return 1;
    }
}
