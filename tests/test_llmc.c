/* test_llmc.c -- llm.c's files: the debug state of a small GPT-2, which PyTorch has made (tests/twin/make_golden.py), and that of GPT-2 124M
 * where NIB_LLMC names a folder with gpt2_124M.bin and gpt2_124M_debug_state.bin. */
#include "debug_state.h"
#include "test.h"

/* Computed in f64, stored as f32; the worst gradient of any build is off by 1.2e-6. */
static void small_state(void **state)
{
    const struct cpu_table *t;
    (void)state;
    for (int i = 0; (t = cpu_build(i)); i++) {
        struct off_by off;
        assert_ok(cpu_init(t->name, 1));
        assert_ok(state_check("tests/golden/llmc.bin", "tests/golden/llmc_state.bin", &off));
        if (!(off.loss <= 1e-6 && off.logits <= 5e-6 && off.gradient <= 5e-6))
            fail_msg("%s kernels: loss off by %.1e, logits by %.1e, a gradient by %.1e", cpu_isa(), off.loss, off.logits, off.gradient);
    }
}

/* llm.c itself allows 1e-2 here. */
static void its_own_state(void **state)
{
    const char *folder = getenv("NIB_LLMC");
    char model[PATH_SIZE], path[PATH_SIZE];
    struct off_by off;
    (void)state;
    if (!folder) {
        print_message("no NIB_LLMC, a folder with gpt2_124M.bin and gpt2_124M_debug_state.bin\n");
        skip();
    }
    assert_ok(path_join(model, folder, "gpt2_124M.bin"));
    assert_ok(path_join(path, folder, "gpt2_124M_debug_state.bin"));
    assert_ok(cpu_init(NULL, 0));
    assert_ok(state_check(model, path, &off));
    print_message("loss off by %.1e, logits by %.1e, a gradient by %.1e\n", off.loss, off.logits, off.gradient);
    assert_true(off.loss <= 1e-4 && off.logits <= 1e-3 && off.gradient <= 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(small_state), cmocka_unit_test(its_own_state) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
