/* products.c -- the products of nib bench gemm by oneDNN or OpenBLAS, on operands as cold as there.
 *
 *     gcc -O2 -fopenmp products.c -o products -ldnnl            (Debian: libdnnl-dev)
 *     gcc -O2 -fopenmp -DOPENBLAS products.c -o products -lopenblas      (libopenblas-dev)
 *     OMP_NUM_THREADS=2 ./products MILLISECONDS <shapes
 *
 * A line of shapes: m n k a_turned b_turned copies dtype, as nib bench gemm --json names them.  A line of output for each:
 * GFLOP/s of the best and of the median call; 0 0 where the library has no such product.  Results are f32. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LEAST_CALLS = 5, MOST_CALLS = 2000, HUGE_PAGE = 2 << 20 };

struct shape { long m, n, k; int a_turned, b_turned; long copies; char dtype[8]; };
struct ring { char *a, *b, *c; size_t a_bytes, b_bytes, c_bytes; };

static char *filled(size_t bytes, int narrow)
{
    size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    char *p = aligned_alloc(HUGE_PAGE, size);
    if (!p) exit(1);
    madvise(p, size, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes / (narrow ? 2 : 4); i++) {
        float x = 0.01f + 0.0001f * (float)(i * 7919 % 97);
        if (narrow) memcpy(p + 2 * i, (char *)&x + 2, 2);
        else memcpy(p + 4 * i, &x, 4);
    }
    return p;
}

#ifdef OPENBLAS
#include <cblas.h>

static int open_product(const struct shape *s, struct ring *r)
{
    (void)r;
    openblas_set_num_threads(omp_get_max_threads());
    return !strcmp(s->dtype, "f32");
}

static void call(const struct shape *s, const struct ring *r, long i)
{
    cblas_sgemm(CblasRowMajor, s->a_turned ? CblasTrans : CblasNoTrans, s->b_turned ? CblasTrans : CblasNoTrans, (int)s->m, (int)s->n, (int)s->k, 1, (float *)(r->a + (size_t)i * r->a_bytes),
                (int)(s->a_turned ? s->m : s->k), (float *)(r->b + (size_t)i * r->b_bytes), (int)(s->b_turned ? s->k : s->n), 0, (float *)(r->c + (size_t)i * r->c_bytes), (int)s->n);
}

static void close_product(void) {}
#else
#include <dnnl.h>

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_t primitive;
static dnnl_memory_t memory[3];

static int open_product(const struct shape *s, struct ring *r)
{
    dnnl_dims_t da = { s->m, s->k }, db = { s->k, s->n }, dc = { s->m, s->n };
    dnnl_dims_t sa = { s->a_turned ? 1 : s->k, s->a_turned ? s->m : 1 }, sb = { s->b_turned ? 1 : s->n, s->b_turned ? s->k : 1 }, sc = { s->n, 1 };
    dnnl_data_type_t in = strcmp(s->dtype, "f32") ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t d[3];
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd;
    if (!engine) {
        dnnl_engine_create(&engine, dnnl_cpu, 0);
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    }
    dnnl_memory_desc_init_by_strides(&d[0], 2, da, in, sa);
    dnnl_memory_desc_init_by_strides(&d[1], 2, db, in, sb);
    dnnl_memory_desc_init_by_strides(&d[2], 2, dc, dnnl_f32, sc);
    dnnl_matmul_desc_init(&desc, &d[0], &d[1], NULL, &d[2]);
    if (dnnl_primitive_desc_create(&pd, &desc, NULL, engine, NULL) != dnnl_success) return 0;
    dnnl_primitive_create(&primitive, pd);
    for (int i = 0; i < 3; i++) dnnl_memory_create(&memory[i], &d[i], engine, (char *[]){ r->a, r->b, r->c }[i]);
    dnnl_primitive_desc_destroy(pd);
    return 1;
}

static void call(const struct shape *s, const struct ring *r, long i)
{
    dnnl_exec_arg_t args[3] = { { DNNL_ARG_SRC, memory[0] }, { DNNL_ARG_WEIGHTS, memory[1] }, { DNNL_ARG_DST, memory[2] } };
    (void)s;
    dnnl_memory_set_data_handle(memory[0], r->a + (size_t)i * r->a_bytes);
    dnnl_memory_set_data_handle(memory[1], r->b + (size_t)i * r->b_bytes);
    dnnl_memory_set_data_handle(memory[2], r->c + (size_t)i * r->c_bytes);
    dnnl_primitive_execute(primitive, stream, 3, args);
    dnnl_stream_wait(stream);
}

static void close_product(void)
{
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(memory[i]);
    dnnl_primitive_destroy(primitive);
}
#endif

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct shape *s, double milliseconds)
{
    static double seconds[MOST_CALLS];
    int narrow = strcmp(s->dtype, "f32") != 0, n = 0;
    size_t size = narrow ? 2 : 4, copies = (size_t)s->copies;
    struct ring r = { .a_bytes = (size_t)(s->m * s->k) * size, .b_bytes = (size_t)(s->k * s->n) * size, .c_bytes = (size_t)(s->m * s->n) * 4 };
    double all = 0, flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    r.a = filled(r.a_bytes * copies, narrow);
    r.b = filled(r.b_bytes * copies, narrow);
    r.c = filled(r.c_bytes * copies, 0);
    if (open_product(s, &r)) {
        for (long i = 0; i < s->copies; i++) call(s, &r, i);
        for (; n < MOST_CALLS && (n < LEAST_CALLS || all * 1e3 < milliseconds); n++) {
            double start = omp_get_wtime();
            call(s, &r, n % s->copies);
            all += seconds[n] = omp_get_wtime() - start;
        }
        qsort(seconds, (size_t)n, sizeof *seconds, ascending);
        close_product();
    }
    printf("%.1f %.1f\n", n ? flops / seconds[0] / 1e9 : 0, n ? flops / seconds[n / 2] / 1e9 : 0);
    free(r.a);
    free(r.b);
    free(r.c);
}

int main(int argc, char **argv)
{
    struct shape s;
    while (scanf("%ld %ld %ld %d %d %ld %7s", &s.m, &s.n, &s.k, &s.a_turned, &s.b_turned, &s.copies, s.dtype) == 7) measure(&s, argc > 1 ? atof(argv[1]) : 60);
    return 0;
}
