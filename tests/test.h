/* test.h -- what every test program includes first: cmocka, and a few helpers. */
#ifndef TEST_H
#define TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

#define assert_ok(call)                                                       \
    do {                                                                      \
        int code_ = (call);                                                   \
        if (code_) fail_msg("%s: %d: %s", #call, code_, error_text());        \
    } while (0)

/* The call fails with this code, and its message contains this text. */
#define assert_fails(call, code, part)                                                                        \
    do {                                                                                                      \
        assert_int_equal(call, code);                                                                         \
        if (!strstr(error_text(), part)) fail_msg("message \"%s\" does not contain \"%s\"", error_text(), part); \
    } while (0)

/* A small generator for tests: the same numbers on every machine. */
static inline uint64_t dice(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
static inline int roll(uint64_t *state, int n) { return (int)(dice(state) >> 33) % n; }      /* 0 .. n - 1 */

/* Sanitized builds have memory of their own. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };
#elif defined __has_feature
enum { SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

#endif
