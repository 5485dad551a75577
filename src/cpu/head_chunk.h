/* head_chunk.h -- how many rows the head takes at a time: logits of a chunk are all that exists of them. */
#ifndef CPU_HEAD_CHUNK_H
#define CPU_HEAD_CHUNK_H
#include <stdint.h>

enum { CHUNK_BYTES = 64 << 20, LEAST_CHUNK = 256, MOST_CHUNK = 512 };

static inline int64_t head_chunk(int64_t vocabulary)
{
    int64_t fit = CHUNK_BYTES / (vocabulary * (int64_t)sizeof(float)) / 16 * 16;
    return fit < LEAST_CHUNK ? LEAST_CHUNK : fit > MOST_CHUNK ? MOST_CHUNK : fit;
}

#endif
