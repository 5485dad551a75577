/* bandwidth.c -- how fast this core reads memory when nothing else is in the way: the yardstick of decoding. */
#include "cpu/cpu.h"
#include "cpu/vec.h"

enum { SUMS = 8 };                                          /* chains enough that no addition waits for another */

float NAME(read)(const float *x, size_t n);

float NAME(read)(const float *x, size_t n)
{
    vf sum[SUMS] = { 0 };
    for (size_t i = 0; i < n; i += SUMS * VW)
        for (int k = 0; k < SUMS; k++) sum[k] += v_load(x + i + k * VW);
    for (int k = 1; k < SUMS; k++) sum[0] += sum[k];
    return v_sum(sum[0]);
}
