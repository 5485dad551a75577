/* peak.c -- how fast this core multiplies and adds when nothing else is in the way: the yardstick of every speed. */
#include "base/clock.h"
#include "cpu/cpu.h"
#include "cpu/vec.h"

enum { CHAINS = 12, LAPS = 10000 };                         /* chains enough to hide the latency of a multiply-add */

double NAME(peak)(double seconds);
double NAME(peak_bf16)(double seconds);

static inline __attribute__((always_inline)) double measure(double seconds, const int dot)
{
    vf sum[CHAINS], a = v_set(0.999f), b = v_set(0.001f);
    for (int i = 0; i < CHAINS; i++) sum[i] = v_set((float)i);
    double start = clock_seconds(), spent, laps = 0;
    do {
        for (int n = 0; n < LAPS; n++)
            for (int i = 0; i < CHAINS; i++) sum[i] = dot ? V_DOT(a, b, sum[i]) : v_fma(sum[i], a, b);
        laps += LAPS;
        spent = clock_seconds() - start;
    } while (spent < seconds);
    volatile float sink;                                    /* where sums go that nobody else needs */
    for (int i = 0; i < CHAINS; i++) sink = v_sum(sum[i]);
    (void)sink;
    return laps * CHAINS * VW * (dot ? 4 : 2) / spent;
}

double NAME(peak)(double seconds) { return measure(seconds, 0); }
double NAME(peak_bf16)(double seconds) { return HAS_DOT ? measure(seconds, 1) : 0; }
