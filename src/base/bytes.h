/* bytes.h -- numbers as files have them. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H
#include <stdint.h>

static inline uint32_t little_u32(const void *at)            /* the least byte first */
{
    const unsigned char *b = at;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

#endif
