/* test_vec.c -- vec.h in every build that runs here: the errors that it states, special values, rounding, random numbers. */
#include <math.h>

#include "base/dtype.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "cpu/vec_probe.h"
#include "test.h"

enum { SWEEP = 1 << 20, LANES = 64 };                       /* LANES: room for any vector */

#define for_builds(t) for (int build_ = 0; (t = cpu_build(build_)); build_++)
#define LENGTH(array) (sizeof array / sizeof *array)

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* ---- functions: the largest error over a sweep ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double normal(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }

static const struct function {
    const char *name;
    size_t at;                           /* in struct vec_probe */
    double (*exact)(double);
    double bound, with_fma;              /* ulp, as vec.h states them; the scalar build has no FMA */
    float worst[2];                      /* where the error is largest, without and with FMA: every float was tried once */
    float from, to;                      /* half of the sweep lies evenly in here, */
    int down, up;                        /* half of it between 2^down and 2^up, of both signs if from < 0 */
} functions[] = {
#define FUNCTION(name, exact) #name, offsetof(struct vec_probe, name), exact
    { FUNCTION(exp, exp), 1.5, 1.2, { -0x1.4c7f4p+2f, 0x1.4ce028p+2f }, -103.97f, 88.72f, -30, 6 },
    { FUNCTION(log, log), 1.5, 1.5, { 0x1.67737cp-1f, 0x1.660f3p-1f }, 0.25f, 4, -126, 127 },
    { FUNCTION(sigmoid, sigmoid), 2.5, 2.5, { -0x1.0a2bd8p+4f, -0x1.0a2bd8p+4f }, -88.72f, 100, -30, 6 },
    { FUNCTION(phi, normal), 8, 6.6, { -0x1.b03e2ap+2f, -0x1.06c432p+3f }, -12.9f, 9, -149, 3 },
};

static void compute(const struct cpu_table *t, const struct function *f, const float *x, float *y, int64_t n)
{
    void (*run)(const float *, float *, int64_t);
    memcpy(&run, (const char *)t->vec + f->at, sizeof run);
    run(x, y, n);
}

static double ulps(float y, double exact)                   /* distance in units of the last place of `exact` as an f32 */
{
    int e;
    frexp(exact, &e);
    return fabs(y - exact) / ldexp(1, (e > -125 ? e : -125) - 24);
}

static void draw(const struct function *f, float *x)
{
    uint64_t r = 7;
    for (int i = 0; i < SWEEP / 2; i++) x[i] = f->from + (f->to - f->from) * ((float)i / (SWEEP / 2));
    for (int i = SWEEP / 2; i < SWEEP; i++) {
        float significand = 1 + (float)roll(&r, 1 << 23) * 0x1p-23f;
        x[i] = ldexpf(significand, f->down + roll(&r, f->up - f->down));
        if (f->from < 0 && roll(&r, 2)) x[i] = -x[i];
    }
    memcpy(x, f->worst, sizeof f->worst);
}

static void stated_errors(void **state)
{
    (void)state;
    static float x[SWEEP], y[SWEEP];
    static double exact[SWEEP];
    for (const struct function *f = functions; f < functions + LENGTH(functions); f++) {
        draw(f, x);
        for (int i = 0; i < SWEEP; i++) exact[i] = f->exact(x[i]);
        const struct cpu_table *t;
        for_builds(t) {
            double worst = 0;
            int at = 0;
            compute(t, f, x, y, SWEEP);
            for (int i = 0; i < SWEEP; i++)
                if (!(ulps(y[i], exact[i]) <= worst)) worst = ulps(y[i], exact[i]), at = i;
            if (getenv("SHOW")) printf("%-10s %-8s %.3f ulp at %a\n", t->name, f->name, worst, (double)x[at]);
            double bound = t->vec->width > 1 ? f->with_fma : f->bound;
            if (!(worst < bound)) fail_msg("%s %s(%a): %a is %.3f ulp from %a", t->name, f->name, (double)x[at], (double)y[at], worst, exact[at]);
        }
    }
}

/* ---- special values ---- */

enum { EXP, LOG, SIGMOID, PHI };         /* places in functions[] */

static const struct special { int function; float x, y; } specials[] = {
    { EXP, 0, 1 }, { EXP, -0.0f, 1 }, { EXP, 1e-45f, 1 }, { EXP, NAN, NAN },
    { EXP, 88.74f, INFINITY }, { EXP, 3e38f, INFINITY }, { EXP, INFINITY, INFINITY },
    { EXP, -104.1f, 0 }, { EXP, -3e38f, 0 }, { EXP, -INFINITY, 0 },
    { LOG, 1, 0 },
    { SIGMOID, 0, 0.5f }, { SIGMOID, -0.0f, 0.5f }, { SIGMOID, 1e-45f, 0.5f }, { SIGMOID, NAN, NAN },
    { SIGMOID, 20, 1 }, { SIGMOID, INFINITY, 1 }, { SIGMOID, -88.74f, 0 }, { SIGMOID, -INFINITY, 0 },
    { PHI, 0, 0.5f }, { PHI, -0.0f, 0.5f }, { PHI, 4e-45f, 0.5f }, { PHI, NAN, NAN },
    { PHI, 9, 1 }, { PHI, 3e38f, 1 }, { PHI, INFINITY, 1 }, { PHI, -14.6f, 0 }, { PHI, -3e38f, 0 }, { PHI, -INFINITY, 0 },
};

static void special_values(void **state)
{
    (void)state;
    const struct cpu_table *t;
    for_builds(t)
        for (const struct special *s = specials; s < specials + LENGTH(specials); s++) {
            const struct function *f = &functions[s->function];
            float x[LANES], y[LANES];
            for (int i = 0; i < LANES; i++) x[i] = s->x;
            compute(t, f, x, y, t->vec->width);
            for (int i = 0; i < t->vec->width; i++)
                if (isnan(s->y) ? !isnan(y[i]) : bits_of(y[i]) != bits_of(s->y))
                    fail_msg("%s: %s(%a) is %a, not %a", t->name, f->name, (double)s->x, (double)y[i], (double)s->y);
        }
}

/* max and min give b where either is NaN; the square root is IEEE's. */
static void order_and_roots(void **state)
{
    (void)state;
    static const float special[] = { 1, -2, 0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f };
    enum { N = LENGTH(special) };
    const struct cpu_table *t;
    for_builds(t)
        for (int i = 0; i < N * N; i++) {
            float a[LANES], b[LANES], y[LANES];
            for (int k = 0; k < LANES; k++) a[k] = special[(i + k) % N], b[k] = special[(i / N + k) % N];
            t->vec->max(a, b, y);
            for (int k = 0; k < t->vec->width; k++) assert_int_equal(bits_of(y[k]), bits_of(a[k] > b[k] ? a[k] : b[k]));
            t->vec->min(a, b, y);
            for (int k = 0; k < t->vec->width; k++) assert_int_equal(bits_of(y[k]), bits_of(a[k] < b[k] ? a[k] : b[k]));
            for (int k = 0; k < LANES; k++) a[k] = fabsf(a[k]);
            t->vec->root(a, y, t->vec->width);
            for (int k = 0; k < t->vec->width; k++) assert_true(y[k] == sqrtf(a[k]) || isnan(a[k]));
        }
}

/* ---- bf16 ---- */

static void bf16_widens(void **state)
{
    (void)state;
    static uint16_t h[1 << 16];
    static float f[1 << 16];
    const struct cpu_table *t;
    for (int i = 0; i < 1 << 16; i++) h[i] = (uint16_t)i;
    for_builds(t) {
        t->vec->widen(h, f, 1 << 16);
        for (int i = 0; i < 1 << 16; i++) assert_int_equal(bits_of(f[i]), bits_of(bf16_to_f32(h[i])));
    }
}

/* Every upper half with lower halves that lie below, on and above a tie, and random floats. */
static void bf16_rounds(void **state)
{
    (void)state;
    static const uint32_t low[] = { 0, 1, 0x7fff, 0x8000, 0x8001, 0xffff };
    enum { LOW = LENGTH(low), N = (LOW + 2) << 16 };
    static float f[N];
    static uint16_t h[N];
    uint64_t r = 5;
    for (uint32_t i = 0; i < N; i++) f[i] = of_bits(i < LOW << 16 ? (i / LOW) << 16 | low[i % LOW] : (uint32_t)dice(&r));
    const struct cpu_table *t;
    for_builds(t) {
        t->vec->narrow(f, h, N);
        for (int i = 0; i < N; i++)
            if (h[i] != f32_to_bf16(f[i])) fail_msg("%s: %a rounds to %x, not %x", t->name, (double)f[i], h[i], f32_to_bf16(f[i]));
    }
}

/* ---- random numbers ---- */

static void random_numbers(void **state)
{
    (void)state;
    const struct cpu_table *t;
    uint64_t r = 3;
    for_builds(t)
        for (int i = 0; i < 1000; i++) {
            uint64_t key = dice(&r);
            uint32_t first[4] = { i ? (uint32_t)dice(&r) : 0xfffffff0u, (uint32_t)dice(&r), (uint32_t)dice(&r), (uint32_t)dice(&r) };
            uint32_t y[LANES][4], expected[4];
            t->vec->philox(key, first, y, LANES);
            for (uint32_t k = 0; k < LANES; k++) {
                philox(key, (uint32_t[]){ first[0] + k, first[1], first[2], first[3] }, expected);
                assert_memory_equal(y[k], expected, sizeof expected);
            }
        }
}

/* ---- moving, and across lanes ---- */

static void lanes(void **state)
{
    (void)state;
    const struct cpu_table *t;
    for_builds(t) {
        int width = t->vec->width;
        float x[LANES * LANES], y[LANES * LANES], sum = 0;
        for (int i = 0; i < LANES * LANES; i++) x[i] = (float)(i + 1);
        for (int n = 1; n <= 2 * width; n++) {
            float *tight = malloc((size_t)n * sizeof *tight);        /* so that a sanitizer sees what reads or writes past n */
            memcpy(tight, x, (size_t)n * sizeof *tight);
            t->vec->load_n(tight, n, y);
            for (int i = 0; i < width; i++) assert_true(y[i] == (i < n ? x[i] : 0));
            for (int i = 0; i < LANES; i++) y[i] = -1;
            t->vec->store_n(x, n, y);
            for (int i = 0; i < LANES; i++) assert_true(y[i] == (i < n && i < width ? x[i] : -1));
            free(tight);
        }
        memcpy(y, x, sizeof y);
        t->vec->transpose(y);
        for (int i = 0; i < width; i++)
            for (int k = 0; k < width; k++) assert_true(y[i * width + k] == x[k * width + i]);
        for (int i = 0; i < width; i++) sum += x[i];
        assert_true(t->vec->sum(x) == sum);
        for (int i = 0; i < width; i++) {
            for (int k = 0; k < width; k++) y[k] = k == i ? -1 : -2;
            assert_true(t->vec->most(y) == -1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stated_errors), cmocka_unit_test(special_values), cmocka_unit_test(order_and_roots), cmocka_unit_test(bf16_widens),
        cmocka_unit_test(bf16_rounds), cmocka_unit_test(random_numbers), cmocka_unit_test(lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
