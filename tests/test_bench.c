/* test_bench.c -- nib bench: the steps it times are those of nib train, to the last bit; what it prints holds together; what it
 * refuses.  Nothing here is timed. */
#include "program.h"

#include <math.h>

#include "train/train.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 100);
    if (run("data my.txt")) return print_error("%s", ERR), -1;
    return 0;
}

/* ---- the steps ---- */

enum { STEPS = 5 };
struct seen { double loss[STEPS]; int n; };

static void see(void *context, const struct train_event *e)
{
    struct seen *s = context;
    if (e->kind == TRAIN_STEP && s->n < STEPS) s->loss[s->n++] = e->step->loss;
}

/* nib train, in this process: what it prints of a loss has too few digits. */
static void train(char **argv, int argc, struct seen *seen)
{
    struct settings s;
    struct arena memory = { 0 };
    struct text notices = { 0 };
    struct options o = { .table = settings_table, .n = settings_count, .values = &s, .memory = &memory, .notices = &notices };
    volatile sig_atomic_t never = 0;
    assert_ok(options_defaults(&o));
    assert_ok(options_arguments(&o, &argc, argv));
    assert_int_equal(argc, 0);
    assert_ok(train_run(&o, see, seen, &never));
    assert_int_equal(seen->n, STEPS);
    text_free(&notices);
    arena_free(&memory);
}

static void the_steps_of_nib_train(void **state)
{
    (void)state;
    char line[] = "--dataset=my --out_dir=run --n_layer=4 --n_head=4 --n_embd=128 --block_size=32 --batch_size=3 --dropout=0.1 --bias=False --learning_rate=1e-3 --decay_lr=False "
                  "--beta2=0.99 --gradient_accumulation_steps=1 --dtype=float32 --threads=1 --seed=7 --eval_iters=1 --max_iters=5";
    char *words[MOST_WORDS];
    struct seen seen = { .n = 0 };
    int n = 0;
    split_words(line, words);
    while (words[n]) n++;
    train(words, n, &seen);
    runs("bench train --model=tiny --dataset=my --block=32 --batch=3 --dropout=0.1 --threads=2 --seed=7 --warmup=2 --steps=3 --losses --json");
    json_t *o = printed(), *losses = json_object_get(o, "losses");
    assert_int_equal(json_array_size(losses), STEPS);
    for (int i = 0; i < STEPS; i++) {
        double loss = strtod(json_string_value(json_array_get(losses, (size_t)i)), NULL);
        if (loss != seen.loss[i]) fail_msg("step %d: %a, but nib train's is %a", i, loss, seen.loss[i]);
    }
    assert_true(seen.loss[STEPS - 1] < seen.loss[0]);
    json_decref(o);
}

/* ---- what is printed ---- */

static const char *const train_keys[] = { "threads", "batch", "block", "dropout", "recompute", "ms_best", "ms_median", "tok_s_best", "tok_s_median", "gflops_best", "gflops_median",
                                          "flops_done", "rss_mib", "peak_gflops", "share_of_peak", NULL },
                  *const gemm_keys[] = { "threads", "m", "n", "k", "a_turned", "b_turned", "copies", "ms_best", "ms_median", "gflops_best", "gflops_median", "peak_gflops", NULL },
                  *const decode_keys[] = { "threads", "prompt", "tokens", "streams", "prompt_tok_s", "decode_tok_s", "first_token_ms", "rss_mib", "weights_mib", "gb_s", "read_gb_s", NULL };

/* The object has these keys, each a number, and those besides that say what was measured. */
static void assert_result(const json_t *o, const char *const *keys, const char *model, const char *dtype, size_t others)
{
    const char *text;
    size_t n = 0;
    for (; keys[n]; n++) assert_true(number(o, keys[n]) >= 0);
    assert_int_equal(json_object_size(o), n + 3 + others);
    assert_ok(json_get_string(o, "model", &text, "standard output"));
    assert_string_equal(text, model);
    assert_ok(json_get_string(o, "dtype", &text, "standard output"));
    assert_string_equal(text, dtype);
    assert_ok(json_get_string(o, "isa", &text, "standard output"));
}

static void near(double a, double b) { assert_true(fabs(a - b) <= 0.01 * fabs(b)); }

static void what_train_prints(void **state)
{
    static const struct { int block; double done; } flops[] = {              /* 6 N + 7 products of whole tiles, 4 heads in 4 layers */
        { 64, 6 * 795904.0 + 7 * 2 * 64 * 64 * 32 * 16 / 64 },
        { 192, 6 * 795904.0 + 6 * 7 * 2 * 64 * 64 * 32 * 16.0 / 192 },
    };
    (void)state;
    for (int i = 0; i < 2; i++) {
        runs("bench train --json --batch=1 --block=%d --warmup=0 --steps=2 --threads=1", flops[i].block);
        json_t *o = printed();
        assert_result(o, train_keys, "tiny", "f32", 0);
        assert_int_equal(number(o, "flops_done"), flops[i].done);
        near(number(o, "tok_s_best") * number(o, "ms_best"), 1e3 * flops[i].block);
        near(number(o, "gflops_best") * 1e9 / number(o, "tok_s_best"), 6 * 795904.0 + 12.0 * 4 * 128 * flops[i].block);
        near(number(o, "share_of_peak") * number(o, "peak_gflops"), number(o, "gflops_best"));
        assert_true(number(o, "ms_median") >= number(o, "ms_best"));
        json_decref(o);
    }
    runs("bench train --dtype=bfloat16 --batch=1 --warmup=0 --steps=1");
    assert_memory_equal(OUT, "tiny  bf16  ", 12);
}

static void what_decode_prints(void **state)
{
    (void)state;
    runs("bench decode tiny --prompt=70 --tokens=3 --streams=3 --json");
    json_t *o = printed();
    assert_result(o, decode_keys, "tiny", "f32", 1);
    assert_true(number(o, "streams_tok_s") > 0);
    near(number(o, "weights_mib"), (795904.0 + 73 * 128) * 4 / 1048576);
    near(number(o, "gb_s"), 795904 * 4 * number(o, "decode_tok_s") / 1e9);           /* a row of the position table does not count */
    json_decref(o);
    runs("train --dataset=my --out_dir=small " TINY " --max_iters=1");
    runs("bench decode small --prompt=10 --tokens=6 --dtype=bfloat16 --json");
    o = printed();
    assert_result(o, decode_keys, "small", "bf16", 0);
    json_decref(o);
    runs("bench decode small --prompt=10 --tokens=6");
    assert_memory_equal(OUT, "small  f32  ", 12);
}

/* Every product of the layers and the head, of the sizes that a step multiplies. */
static void what_gemm_prints(void **state)
{
    static const struct { const char *layer, *product; int m, n, k; } lines[] = {
        { "qkv", "forward", 128, 384, 128 }, { "qkv", "dx", 128, 128, 384 }, { "qkv", "dw", 128, 384, 128 }, { "proj", "forward", 128, 128, 128 }, { "proj", "dx", 128, 128, 128 },
        { "proj", "dw", 128, 128, 128 }, { "up", "forward", 128, 512, 128 }, { "up", "dx", 128, 128, 512 }, { "up", "dw", 128, 512, 128 }, { "down", "forward", 128, 128, 512 },
        { "down", "dx", 128, 512, 128 }, { "down", "dw", 512, 128, 128 }, { "head", "forward", 128, 65, 128 }, { "head", "dx", 128, 128, 65 }, { "head", "dw", 65, 128, 128 },
    };
    (void)state;
    for (int narrow = 0; narrow < 2; narrow++) {
        runs("bench gemm --model=tiny --batch=2 --milliseconds=0 --dtype=%s --json", narrow ? "bfloat16" : "float32");
        size_t n = 0;
        char *rest = OUT, *line;
        while ((line = strsep(&rest, "\n")) && *line) {
            assert_true(n < sizeof lines / sizeof *lines);
            json_t *o = json_loads(line, 0, NULL);
            assert_non_null(o);
            assert_result(o, gemm_keys, "tiny", narrow ? "bf16" : "f32", 2);
            assert_string_equal(json_string_value(json_object_get(o, "layer")), lines[n].layer);
            assert_string_equal(json_string_value(json_object_get(o, "product")), lines[n].product);
            assert_int_equal(number(o, "m"), lines[n].m);
            assert_int_equal(number(o, "n"), lines[n].n);
            assert_int_equal(number(o, "k"), lines[n].k);
            near(number(o, "gflops_best") * number(o, "ms_best") * 1e6, 2.0 * lines[n].m * lines[n].n * lines[n].k);
            assert_true(number(o, "ms_median") >= number(o, "ms_best"));
            json_decref(o);
            n++;
        }
        assert_int_equal(n, sizeof lines / sizeof *lines);
    }
    runs("bench gemm --model=tiny --batch=1 --milliseconds=0 --product=dw");
    assert_memory_equal(OUT, "tiny  qkv   dw       f32", 24);
}

static void refusals(void **state)
{
    (void)state;
    fails(E_USAGE, "which part? One of train, ", "bench");
    fails(E_USAGE, "nib bench has no part sleep; it has train, ", "bench sleep");
    fails(E_USAGE, "--model=huge: one of tiny|baby|124m is expected", "bench train --model=huge");
    fails(E_USAGE, "unexpected argument tiny", "bench train tiny");
    fails(E_USAGE, "--steps=0", "bench train --steps=0");
    fails(E_IO, "nowhere", "bench train --dataset=nowhere");
    fails(E_USAGE, "which model? tiny|baby|124m, or a folder", "bench decode");
    fails(E_IO, "huge: no such model", "bench decode huge");
    runs("train --dataset=my --out_dir=short " TINY " --max_iters=1");
    fails(E_USAGE, "short has 16 positions, too few for a prompt of 512 and 128 tokens", "bench decode short");
    runs("bench --help");
    assert_has(OUT, "nib bench decode ");
    runs("bench train --help");
    assert_has(OUT, "--warmup=3 ");
    runs("bench decode --help");
    assert_has(OUT, "--prompt=512 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steps_of_nib_train),
        cmocka_unit_test(what_train_prints),
        cmocka_unit_test(what_decode_prints),
        cmocka_unit_test(what_gemm_prints),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
