/* checked.h -- arithmetic on sizes that come from outside.  Every sum and product of numbers read from a file or a
 * socket goes through here: each function returns 1 when the result fits and 0 when it does not. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H
#include <stddef.h>
#include <stdint.h>

static inline int size_add(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline int size_mul(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* x rounded up to a multiple of `to`, a power of two */
static inline int size_align(size_t x, size_t to, size_t *aligned)
{
    size_t sum;
    if (!size_add(x, to - 1, &sum)) return 0;
    *aligned = sum & ~(to - 1);
    return 1;
}

#endif
