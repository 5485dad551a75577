/* clock.h -- seconds: from some moment on, never backwards; and those since 1970. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <time.h>

static inline double clock_read(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double clock_seconds(void) { return clock_read(CLOCK_MONOTONIC); }
static inline double clock_unix(void) { return clock_read(CLOCK_REALTIME); }

#endif
