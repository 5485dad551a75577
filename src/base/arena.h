/* arena.h -- many small things that live and die together: the nodes and names of a graph, the tables of a file.
 *
 * Memory is zeroed, 16-byte aligned and never moves.  A failed allocation is sticky: the call returns NULL and
 * arena->failed stays set, so that a builder may check once at its end. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stddef.h>

struct arena {
    struct arena_chunk *chunk;
    int failed;
};

void *arena_take(struct arena *a, size_t size);
char *arena_copy(struct arena *a, const char *text);                /* a copy of a string */
char *arena_format(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void  arena_free(struct arena *a);                                  /* everything at once; the arena is empty again */

#endif
