/* test_rng.c -- random numbers: Philox as its authors have it, and that what is made of it is as even, normal and spread as it says. */
#include <math.h>

#include "base/rng.h"
#include "test.h"

/* From the known answers that Random123 publishes (Salmon et al. 2011). */
static void known_answers(void **state)
{
    (void)state;
    static const struct { uint64_t key; uint32_t counter[4], out[4]; } cases[] = {
        { 0, { 0, 0, 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX, { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822, { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        philox(cases[i].key, cases[i].counter, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void below(void **state)
{
    (void)state;
    enum { N = 7, DRAWS = 70000 };
    int count[N] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) count[rng_below(rng_key(1, rng_hash("a test")), i, N)]++;
    for (int k = 0; k < N; k++) assert_true(abs(count[k] - DRAWS / N) < 500);             /* five standard deviations */
    assert_int_equal(rng_below(9, 9, 1), 0);
    assert_true(rng_below(9, 9, UINT64_MAX) < UINT64_MAX);
}

/* Mean, variance and fourth moment of a normal distribution, of each half of the pairs that the polar method makes; and pairs are
 * not correlated. */
static void normal(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    double sum[2] = { 0 }, square[2] = { 0 }, fourth[2] = { 0 }, product = 0, last = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = rng_normal(rng_key(2, rng_hash("a test")), i);
        sum[i % 2] += x;
        square[i % 2] += x * x;
        fourth[i % 2] += x * x * x * x;
        if (i % 2) product += x * last;
        last = x;
    }
    double n = DRAWS / 2, sd = 1 / sqrt(n);
    for (int k = 0; k < 2; k++) {
        assert_true(fabs(sum[k] / n) < 5 * sd);
        assert_true(fabs(square[k] / n - 1) < 5 * sqrt(2) * sd);
        assert_true(fabs(fourth[k] / n - 3) < 5 * sqrt(96) * sd);
    }
    assert_true(fabs(product / n) < 5 * sd);
}

/* After any number of draws each tenth of the range has had its tenth of them, give or take four (that is what the golden ratio gives: 21 would be usual by chance); of another key, other places. */
static void spread(void **state)
{
    (void)state;
    enum { PARTS = 10, DRAWS = 5000 };
    const uint64_t n = 1000003;
    int same = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        int count[PARTS] = { 0 };
        uint64_t key = rng_key(seed, rng_hash("a test"));
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t at = rng_spread(key, i, n);
            assert_true(at < n);
            count[at * PARTS / n]++;
            same += at == rng_spread(key + 1, i, n);
            for (int k = 0; k < PARTS; k++) assert_true(fabs(count[k] - (double)(i + 1) / PARTS) < 4);
        }
    }
    assert_true(same < 10);
    assert_int_equal(rng_spread(9, 9, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_answers), cmocka_unit_test(below), cmocka_unit_test(normal), cmocka_unit_test(spread) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
