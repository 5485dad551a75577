/* limits.c -- this machine's limits, measured without nib: multiply-adds, products of bf16, reading memory.
 *
 *     gcc -O3 -march=native -fopenmp limits.c -o limits
 *     OMP_NUM_THREADS=2 ./limits [--json]
 *
 * --json: one object with the names of nib bench.  AVX-512 only; elsewhere all limits are 0. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>

enum { CHAINS = 12, LAPS = 20000000, ROUNDS = 5, READS = 6 };

static double fma_peak(int threads)                         /* GFLOP/s */
{
    double best = 0;
    for (int r = 0; r < ROUNDS; r++) {
        double start = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            __m512 a[CHAINS], x = _mm512_set1_ps(.999f), y = _mm512_set1_ps(.001f);
            for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i * .1f);
            for (long n = 0; n < LAPS; n++)
                for (int i = 0; i < CHAINS; i++) {
                    a[i] = _mm512_fmadd_ps(a[i], x, y);
                    __asm__ volatile("" ::"v"(a[i]));
                }
        }
        double now = threads * (double)LAPS * CHAINS * 32 / (omp_get_wtime() - start) / 1e9;
        best = now > best ? now : best;
    }
    return best;
}

static double read_peak(int threads)                        /* GB/s, over 1 GiB */
{
    size_t n = (size_t)1 << 28;
    float *p = malloc(n * sizeof *p);
    double best = 0;
#pragma omp parallel for num_threads(threads)
    for (size_t i = 0; i < n; i++) p[i] = 1;
    for (int r = 0; r < READS; r++) {
        double start = omp_get_wtime(), sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum)
        for (size_t i = 0; i < n; i += 64) {
            __m512 a = _mm512_loadu_ps(p + i), b = _mm512_loadu_ps(p + i + 16), c = _mm512_loadu_ps(p + i + 32), d = _mm512_loadu_ps(p + i + 48);
            sum += _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
        }
        double now = (double)(n * sizeof *p) / (omp_get_wtime() - start) / 1e9;
        if (sum > 0 && now > best) best = now;
    }
    free(p);
    return best;
}
#else
static double fma_peak(int threads) { return 0 * threads; }
static double read_peak(int threads) { return 0 * threads; }
#endif

#ifdef __AVX512BF16__
static double bf16_peak(int threads)                        /* GFLOP/s */
{
    double best = 0;
    for (int r = 0; r < ROUNDS; r++) {
        double start = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            __m512 a[CHAINS];
            __m512bh x = (__m512bh)_mm512_set1_epi16(0x3c00);
            for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i * .1f);
            for (long n = 0; n < LAPS; n++)
                for (int i = 0; i < CHAINS; i++) {
                    a[i] = _mm512_dpbf16_ps(a[i], x, x);
                    __asm__ volatile("" ::"v"(a[i]));
                }
        }
        double now = threads * (double)LAPS * CHAINS * 64 / (omp_get_wtime() - start) / 1e9;
        best = now > best ? now : best;
    }
    return best;
}
#else
static double bf16_peak(int threads) { return 0 * threads; }
#endif

int main(int argc, char **argv)
{
    int n = omp_get_max_threads();
    if (argc > 1 && !strcmp(argv[1], "--json"))
        return printf("{\"peer\": \"limits.c\", \"threads\": %d, \"peak_gflops\": %.1f, \"read_gb_s\": %.2f}\n", n, fma_peak(n), read_peak(n)) < 0;
    printf("threads %d\n", n);
    printf("f32 fma   GFLOP/s  %4.0f (1)  %4.0f (%d)\n", fma_peak(1), fma_peak(n), n);
    printf("bf16 dot  GFLOP/s  %4.0f (1)  %4.0f (%d)\n", bf16_peak(1), bf16_peak(n), n);
    printf("read      GB/s     %4.1f (1)  %4.1f (%d)\n", read_peak(1), read_peak(n), n);
    return 0;
}
