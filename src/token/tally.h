/* tally.h -- which pieces texts are made of, and how often each occurs.  Memory follows the pieces that differ, not the text. */
#ifndef TOKEN_TALLY_H
#define TOKEN_TALLY_H
#include <stddef.h>
#include <stdint.h>

struct counted { size_t at; uint64_t count, hash; uint32_t size; };      /* its bytes are from bytes[at] on */
struct tally {                           /* starts zeroed */
    struct counted *piece; size_t n, room;
    char *bytes; size_t used, held;
    uint32_t *place; int bits;           /* 1 + the index of a piece, 0: free.  2^bits of them */
};

/* `times` more of a piece of n bytes.  *index (may be NULL): its number; new ones are numbered as they come. */
int  tally_add(struct tally *t, const char *bytes, size_t n, uint64_t times, size_t *index);
int  tally_merge(struct tally *t, const struct tally *more);
void tally_free(struct tally *t);

#endif
