/* shard_header.h -- what llm.c's token files begin with: 256 numbers of 32 bits, little-endian, of which three are used.
 *
 *     20240520, 1, n      n ids of 16 bits follow (GPT-2's)
 *     20240801, 7, n      n of 32 bits (Llama 3's) */
#ifndef TEXT_SHARD_HEADER_H
#define TEXT_SHARD_HEADER_H
#include <stddef.h>
#include <stdint.h>

enum { SHARD_HEADER = 1024, SHARD_MOST = INT32_MAX };        /* bytes; ids of one file */

struct shard_header { int width; size_t n; int64_t vocab; };     /* bytes of an id; ids; of the tokenizer that llm.c's scripts take for such a file */

int  shard_header_is(const uint8_t *bytes, size_t size);     /* a file of so many bytes that begins so */
/* E_DATA: another file of llm.c's, or one that does not hold what its header says. */
int  shard_header_read(struct shard_header *h, const uint8_t *bytes, size_t size, const char *what);
void shard_header_make(uint8_t bytes[SHARD_HEADER], int width, size_t n);

#endif
