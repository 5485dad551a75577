/* shard_header.c -- two kinds, a row each. */
#include "text/shard_header.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

static const struct kind { uint32_t magic, version; int width; int64_t vocab; } kinds[] = { { 20240520, 1, 2, 50257 }, { 20240801, 7, 4, 128256 } };
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const uint8_t *bytes, size_t size)
{
    for (int i = 0; i < KINDS; i++)
        if (size >= 4 && little_u32(bytes) == kinds[i].magic) return &kinds[i];
    return NULL;
}

int shard_header_is(const uint8_t *bytes, size_t size) { return kind_of(bytes, size) != NULL; }

int shard_header_read(struct shard_header *h, const uint8_t *bytes, size_t size, const char *what)
{
    const struct kind *k = kind_of(bytes, size);
    FAIL_IF(!k, E_DATA, "%s: it does not begin as llm.c's token files do, with %u or %u", what, kinds[0].magic, kinds[1].magic);
    FAIL_IF(size < SHARD_HEADER, E_DATA, "%s: %zu bytes, and the header of a token file of llm.c's has %d: cut off?", what, size, SHARD_HEADER);
    uint32_t version = little_u32(bytes + 4), n = little_u32(bytes + 8);
    FAIL_IF(version != k->version, E_DATA, "%s: version %u of llm.c's token files; nib reads %u", what, version, k->version);
    FAIL_IF(n < 1 || n > SHARD_MOST || size - SHARD_HEADER != (uint64_t)n * (unsigned)k->width, E_DATA, "%s: %zu bytes follow the header, which says that there are %u ids of %d bytes; is the file cut off?",
            what, size - SHARD_HEADER, n, k->width);
    *h = (struct shard_header){ k->width, n, k->vocab };
    return 0;
}

void shard_header_make(uint8_t bytes[SHARD_HEADER], int width, size_t n)
{
    const struct kind *k = kinds;
    while (k->width != width) k++;
    const uint32_t numbers[] = { k->magic, k->version, (uint32_t)n };
    memset(bytes, 0, SHARD_HEADER);
    for (int i = 0; i < 3; i++)
        for (int b = 0; b < 4; b++) bytes[4 * i + b] = (uint8_t)(numbers[i] >> 8 * b);
}
