/* test_verb_plan.c -- nib plan: parameters, memory and tokens as they are; time from steps that are run. */
#include "program.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 100);
    return run("data my.txt") ? print_error("%s", ERR), -1 : 0;
}

static json_t *planned(const char *line)
{
    runs("plan %s --json", line);
    return printed();
}

/* The published numbers of parameters, without biases and the padding of the vocabulary where nanoGPT's defaults have none. */
static void parameters(void **state)
{
    static const struct { const char *line; double parameters, tokens; } cases[] = {
        { "--dataset=my --vocab_size=50304", 124373760, 294912e6 }, { "--dataset=my --vocab_size=65 --n_layer=6 --n_head=6 --n_embd=384 --block_size=256 --batch_size=64 --gradient_accumulation_steps=1 --max_iters=5000", 10745088, 81.92e6 },
        { "--dataset=my --init_from=gpt2", 124439808, 294912e6 }, { "--dataset=my --init_from=gpt2-medium", 354823168, 294912e6 }, { "--dataset=my --init_from=gpt2-xl --batch_size=1", 1557611200, 24576e6 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        snprintf(line, sizeof line, "%s --dtype=float32 --seconds=0", cases[i].line);
        json_t *o = planned(line);
        assert_true(number(o, "parameters") == cases[i].parameters);
        assert_true(number(o, "tokens") == cases[i].tokens);
        assert_float_equal(number(o, "tokens_parameter"), cases[i].tokens / cases[i].parameters, 1e-2 * cases[i].tokens / cases[i].parameters);
        assert_true(number(o, "run_s") == 0);
        json_decref(o);
    }
}

#define SMALL "--dataset=my --n_layer=2 --n_head=2 --n_embd=32 --block_size=32 --batch_size=4 --gradient_accumulation_steps=3 --eval_iters=2 --max_iters=4 --eval_interval=2 --warmup_iters=0 --threads=1 --dtype=float32"

/* What it says of memory is what nib train says, of a model beside which a sanitizer's own does not matter. */
static void memory(void **state)
{
    (void)state;
    json_t *o = planned(SMALL " --n_layer=4 --n_embd=256 --seconds=0");
    runs("train --out_dir=run " SMALL " --n_layer=4 --n_embd=256");
    double said = strtod(strstr(OUT, "\nmemory   ") + strlen("\nmemory   "), NULL);
    assert_float_equal(number(o, "memory_mib"), said, 0.05 * said);
    json_decref(o);
}

static void in_words(void **state)
{
    (void)state;
    runs("plan " SMALL " --seconds=0.2");
    assert_has(OUT, "\n  h.*.attn.c_attn.weight                           2 x         3072  ");
    assert_has(OUT, "\nmemory      ");
    assert_has(OUT, "with --recompute=0 to 3 ");
    assert_has(OUT, "\ndisk        ");
    assert_has(OUT, "384 tokens, ");
    assert_has(OUT, "where 20 are compute-optimal (");
    assert_has(OUT, "times through data/my\n");
    assert_has(OUT, "\ntime        ");
    assert_string_equal(ERR, "");
    assert_false(path_is_dir("out"));                        /* nothing is written */
    write_text("c.conf", "n_layer = 3\ndataset = absent\nblock_size = 32\nbatch_size = 2\n");
    runs("plan c.conf --seconds=0");
    assert_has(ERR, "note: no data yet: no prepared data in absent");
    assert_has(OUT, "gpt2: 3 layers, ");
    runs("plan --init_from=run --dataset=my --block_size=32 --seconds=0");
    assert_has(OUT, "gpt2: 4 layers, ");
    fails(E_USAGE, "unknown option --secconds; did you mean --seconds?", "plan --secconds=1");
    fails(E_MODEL, "", "plan --n_head=5 --dataset=my --seconds=0");
}

/* It measures: more of the same takes longer. */
static void time_is_measured(void **state)
{
    (void)state;
    json_t *some = planned(SMALL " --seconds=0.4"), *many = planned(SMALL " --seconds=0.4 --max_iters=400");
    assert_true(number(some, "iteration_s") > 0 && number(some, "evaluation_s") > 0);
    assert_true(number(many, "run_s") > 5 * number(some, "run_s"));
    json_decref(some);
    json_decref(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(parameters), cmocka_unit_test(memory), cmocka_unit_test(in_words), cmocka_unit_test(time_is_measured) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
