/* test_gemm.c -- products of matrices by themselves, as nib bench gemm times them: against sums in double, in every build, layout
 * and type, and with the same bits for any number of threads. */
#include "cpu/product.h"

#include <math.h>

#include "cpu/cpu.h"
#include "test.h"

enum { MOST = 200 };

static float roll_unit(uint64_t *r) { return (float)roll(r, 1 << 12) / (1 << 11) - 1; }       /* has few enough bits for bf16 to round it */

/* n random numbers; as bf16 in `narrow`, and the same numbers in `wide`. */
static void draw(uint64_t *r, int64_t n, enum dtype type, float *wide, uint16_t *narrow)
{
    for (int64_t i = 0; i < n; i++) {
        wide[i] = roll_unit(r);
        narrow[i] = f32_to_bf16(wide[i]);
        if (type == BF16) wide[i] = bf16_to_f32(narrow[i]);
    }
}

static float element(const struct side *s, const float *wide, int64_t row, int64_t col, int64_t rows, int64_t cols) { return wide[s->turned ? col * rows + row : row * cols + col]; }

static void multiply(const struct product *p, float *c)
{
    char *work = aligned_alloc(4096, (cpu_product_work(p) + 4096) & ~(size_t)4095);
    assert_non_null(work);
    memset(c, 0xff, (size_t)(p->m * p->n) * sizeof *c);      /* NaN where nothing is written */
    struct product q = *p;
    q.c = c;
    cpu_product(&q, work);
    free(work);
}

static void one_product(uint64_t *r, const char *isa, int64_t m, int64_t n, int64_t k, int way)
{
    static float a[MOST * MOST], b[MOST * MOST], c[MOST * MOST], again[MOST * MOST];
    static uint16_t narrow_a[MOST * MOST], narrow_b[MOST * MOST];
    struct product p = { m, n, k, { a, way & 1 ? BF16 : F32, way >> 1 & 1 }, { b, way >> 2 & 1 ? BF16 : F32, way >> 3 & 1 }, NULL, way >> 4 & 1 };
    draw(r, m * k, p.a.type, a, narrow_a);
    draw(r, k * n, p.b.type, b, narrow_b);
    if (p.a.type == BF16) p.a.p = narrow_a;
    if (p.b.type == BF16) p.b.p = narrow_b;
    assert_ok(cpu_init(isa, 1));
    multiply(&p, c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t u = 0; u < k; u++) sum += (double)element(&p.a, a, i, u, m, k) * (double)element(&p.b, b, u, j, k, n);
            if (!(fabs(c[i * n + j] - sum) <= 1e-6 * (double)(k + 1)))
                fail_msg("%s, %lld x %lld x %lld, way %d: (%lld, %lld) is %g, not %g", isa, (long long)m, (long long)n, (long long)k, way, (long long)i, (long long)j, (double)c[i * n + j], sum);
        }
    for (int threads = 2; threads < 4; threads++) {
        assert_ok(cpu_init(isa, threads));
        multiply(&p, again);
        assert_memory_equal(again, c, (size_t)(m * n) * sizeof *c);
    }
}

static void products(void **state)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 14, 32, 16 }, { 13, 65, 40 }, { 100, 96, 7 }, { 37, 160, 33 }, { 3, 200, 200 }, { 200, 1, 200 }, { 113, 128, 129 }, { 130, 36, 200 }, { 90, 66, 60 } };
    const struct cpu_table *t;
    uint64_t r = 11;
    (void)state;
    for (int build = 0; (t = cpu_build(build)); build++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int way = 0; way < 32; way++) one_product(&r, t->name, sizes[i][0], sizes[i][1], sizes[i][2], way);
    cpu_init(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(products) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
