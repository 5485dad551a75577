/* grow.h -- arrays that grow as things are added. */
#ifndef BASE_GROW_H
#define BASE_GROW_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Room for `need` things of a size in the array that *array (a pointer to any type) points to; *room says for how many there is, and doubles.
 * Returns 0 if there is no memory; the array is then as it was. */
static inline int grow(void *array, size_t *room, size_t need, size_t size)
{
    void *old, *new;
    size_t more = *room ? *room : 256;
    if (need <= *room) return 1;
    while (more < need && more <= SIZE_MAX / 2 / size) more *= 2;
    memcpy(&old, array, sizeof old);
    new = more < need ? NULL : realloc(old, more * size);
    if (!new) return 0;
    memcpy(array, &new, sizeof new);
    *room = more;
    return 1;
}

#endif
