/* limits.c -- this machine's limits, measured without nib: multiply-adds, products of bf16, reading memory, and, where oneDNN is
 * installed (Debian: libdnnl-dev), its products at the shapes that training uses.
 *
 *     gcc -O3 -march=native -fopenmp limits.c -o limits -ldnnl      (without oneDNN: without -ldnnl)
 *     OMP_NUM_THREADS=2 ./limits [--json]
 *
 * --json: one object with the names of nib bench, without oneDNN.  AVX-512 only; elsewhere the first three limits are 0. */
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

#if __has_include(<dnnl.h>)
#include <dnnl.h>

static dnnl_engine_t engine;
static dnnl_stream_t stream;

struct shape { const char *name; long M, N, K; int ta, tb; };    /* C (M, N) = A (M, K) B (K, N); ta, tb: stored transposed */

static const struct shape shapes[] = {
    { "124m qkv forward", 4096, 2304, 768, 0, 1 }, { "124m qkv dx", 4096, 768, 2304, 0, 0 }, { "124m qkv dw", 2304, 768, 4096, 1, 0 },
    { "124m up forward", 4096, 3072, 768, 0, 1 }, { "124m down forward", 4096, 768, 3072, 0, 1 }, { "124m head chunk", 1024, 50304, 768, 0, 1 },
    { "tiny qkv forward", 768, 384, 128, 0, 1 }, { "tiny qkv dw", 384, 128, 768, 1, 0 }, { "baby up forward", 3072, 1536, 384, 0, 1 },
    { "decode", 1, 768, 768, 0, 1 },
};

static double run_matmul(dnnl_primitive_desc_t pd, const dnnl_memory_desc_t *const d[3], double flops)       /* the best of many, GFLOP/s */
{
    dnnl_memory_t m[3];
    dnnl_primitive_t mm;
    double best = 1e9, rounds = 3 + 4e11 / flops;
    dnnl_primitive_create(&mm, pd);
    for (int i = 0; i < 3; i++) {
        void *data;
        dnnl_memory_create(&m[i], d[i], engine, DNNL_MEMORY_ALLOCATE);
        dnnl_memory_get_data_handle(m[i], &data);
        memset(data, 0, dnnl_memory_desc_get_size(d[i]));
    }
    dnnl_exec_arg_t args[3] = { { DNNL_ARG_SRC, m[0] }, { DNNL_ARG_WEIGHTS, m[1] }, { DNNL_ARG_DST, m[2] } };
    for (int r = 0; r < rounds && r < 2000; r++) {
        double start = omp_get_wtime();
        dnnl_primitive_execute(mm, stream, 3, args);
        dnnl_stream_wait(stream);
        double now = omp_get_wtime() - start;
        best = now < best ? now : best;
    }
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(m[i]);
    dnnl_primitive_destroy(mm);
    return flops / best / 1e9;
}

static double matmul(const struct shape *s, dnnl_data_type_t in, dnnl_data_type_t out)       /* -1 where oneDNN has no such kernel */
{
    dnnl_dims_t da = { s->M, s->K }, db = { s->K, s->N }, dc = { s->M, s->N };
    dnnl_dims_t sa = { s->ta ? 1 : s->K, s->ta ? s->M : 1 }, sb = { s->tb ? 1 : s->N, s->tb ? s->K : 1 }, sc = { s->N, 1 };
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_memory_desc_init_by_strides(&a, 2, da, in, sa);
    dnnl_memory_desc_init_by_strides(&b, 2, db, in, sb);
    dnnl_memory_desc_init_by_strides(&c, 2, dc, out, sc);
    dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c);
    if (dnnl_primitive_desc_create(&pd, &desc, NULL, engine, NULL) != dnnl_success) return -1;
    double gflops = run_matmul(pd, (const dnnl_memory_desc_t *const[]){ &a, &b, &c }, 2.0 * (double)s->M * (double)s->N * (double)s->K);
    dnnl_primitive_desc_destroy(pd);
    return gflops;
}

static void print_products(void)
{
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        printf("%-18s %5ld %5ld %5ld  f32 %4.0f  bf16->f32 %4.0f  bf16->bf16 %4.0f\n", s->name, s->M, s->N, s->K, matmul(s, dnnl_f32, dnnl_f32),
               matmul(s, dnnl_bf16, dnnl_f32), matmul(s, dnnl_bf16, dnnl_bf16));
    }
}
#else
static void print_products(void) { puts("oneDNN is not installed"); }
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
    print_products();
    return 0;
}
