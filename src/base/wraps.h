/* wraps.h -- marks a function whose unsigned arithmetic is meant to wrap: a hash, a generator, a checksum.
 *
 * Everywhere else a size that wraps is a fault, so the parsers are fuzzed with clang's -fsanitize=unsigned-integer-overflow, which
 * reports every sum, difference and product that does not fit, except in functions marked so.  gcc has no such check. */
#ifndef BASE_WRAPS_H
#define BASE_WRAPS_H

#ifdef __clang__
#define WRAPS __attribute__((no_sanitize("unsigned-integer-overflow")))
#else
#define WRAPS
#endif

#endif
