/* bytes.h -- numbers as files have them. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H
#include <stdint.h>

/* the least byte first */

static inline uint16_t little_u16(const void *at)
{
    const unsigned char *b = at;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t little_u32(const void *at)
{
    const unsigned char *b = at;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t little_u64(const void *at)
{
    return little_u32(at) | (uint64_t)little_u32((const unsigned char *)at + 4) << 32;
}

#endif
