/* test_run_folder.c -- what lies in a run's folder, for how long, and what must not change while a run goes on; what it takes of the memory. */
#include "runs.h"

#include <math.h>

#include "base/finite.h"
#include "file/safetensors.h"
#include "train/retention.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 200);
    write_play("less.txt", 150);
    return run("data my.txt") || run("data less.txt") ? print_error("%s", ERR), -1 : 0;
}

/* ---- which checkpoints stay ---- */

static void what_to_keep(void **state)
{
    static const struct { const char *text; struct keep keep; } good[] = {
        { "last", { 1, 0, 0 } }, { "last:3", { 3, 0, 0 } }, { "best", { 1, 0, 1 } }, { "every:1000", { 1, 1000, 0 } }, { "last:2,best", { 2, 0, 1 } }, { "every:5,best,last:9", { 9, 5, 1 } },
    };
    static const char *const bad[] = { "", "lasts", "last:", "last:0", "last:-1", "last:2x", "last:99999999999999", "best:2", "every", "every:0", "last,,best", "last;best", "last, best" };
    (void)state;
    struct keep k;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(keep_parse(&k, good[i].text));
        assert_true(k.last == good[i].keep.last && k.every == good[i].keep.every && k.best == good[i].keep.best);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_fails(keep_parse(&k, bad[i]), E_USAGE, "is not understood; last, last:N, best and every:N are");
    assert_int_equal(keep_most(&(struct keep){ 2, 0, 1 }, 100000, 100), 4);
    assert_int_equal(keep_most(&(struct keep){ 1, 0, 0 }, 100000, 100), 2);
    assert_int_equal(keep_most(&(struct keep){ 1, 1000, 0 }, 10000, 100), 12);
    assert_int_equal(keep_most(&(struct keep){ 50, 0, 1 }, 20, 10), 5);      /* it saves no more often */
}

static void assert_steps(const char *out, const char *wanted)
{
    struct text t = { 0 };
    int64_t *steps;
    size_t n;
    assert_ok(steps_in(out, &steps, &n));
    for (size_t i = 0; i < n; i++) text_format(&t, "%s%lld", i ? " " : "", (long long)steps[i]);
    assert_string_equal(t.at, wanted);
    free(steps);
    text_free(&t);
    runs("check %s", out);
}

#define KEEPS TINY " --dtype=float32 --eval_interval=10 --max_iters=60 --eval_iters=20 --decay_lr=False --log_interval=1000 --learning_rate=1e-2"

static void which_stay(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=k1 " KEEPS);          /* better each time */
    assert_steps("k1", "50 60");
    runs("train --dataset=my --out_dir=k2 " KEEPS " --keep=last");
    assert_steps("k2", "60");
    runs("train --dataset=my --out_dir=k3 " KEEPS " --keep=last:3,every:20");
    assert_steps("k3", "20 40 50 60");
    runs("train --init_from=resume --out_dir=k1 --max_iters=90 --learning_rate=1");          /* now worse: the best of before stays */
    assert_steps("k1", "60 80 90");
    assert_same_file("k1/model.safetensors", "k1/step-00000060/model.safetensors");
    fails(E_USAGE, "--keep: \"lst\" is not understood", "train --dataset=my --out_dir=k4 " KEEPS " --keep=lst");
    assert_false(path_is_dir("k4"));
}

/* Each checkpoint is a model folder by itself. */
static void checkpoints_are_models(void **state)
{
    (void)state;
    runs("sample k3/step-00000020 --num_samples=1 --max_new_tokens=5");
    runs("eval k3/step-00000040 --dataset=my");
    runs("train --init_from=k3/step-00000020 --dataset=my --out_dir=from20 " TINY " --max_iters=2");
}

/* What was found damaged is set aside until the run has come so far again. */
static void what_was_rejected(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=reject " KEEPS " --keep=last:3");
    flip("reject/step-00000060/model.safetensors", 2000);
    flip("reject/step-00000050/trainer.json", 10);
    runs("train --init_from=resume --out_dir=reject --max_iters=55");
    assert_has(ERR, "note: checkpoint rejected: reject/step-00000060/model.safetensors is not what was written");
    assert_has(ERR, "note: checkpoint rejected: reject/step-00000050/trainer.json is not what was written");
    assert_has(OUT, "resumed at iteration 40\n");
    assert_true(path_is_dir("reject/step-00000060.rejected"));           /* the run is at 55 */
    assert_false(path_is_dir("reject/step-00000050.rejected"));
    assert_steps("reject", "40 50 55");
    runs("train --init_from=resume --out_dir=reject --max_iters=60");
    assert_false(path_is_dir("reject/step-00000060.rejected"));
    assert_steps("reject", "50 55 60");
}

/* ---- what must not change, and what may ---- */

static void other_data(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=r " KEEPS " --max_iters=10");
    fails(E_USAGE, "r was trained on ", "train --init_from=resume --out_dir=r --dataset=less");
    assert_has(ERR, "; data/less has ");
    assert_has(ERR, ": a run keeps its data; choose another --out_dir and --init_from=r for a new one");
    runs("data my.txt --out=data/flipped");                  /* as long, but another */
    assert_int_equal(unlink("data/flipped/SHA256SUMS"), 0);
    struct text t = { 0 };
    assert_ok(file_read("data/flipped/train.bin", LIMIT, &t));
    t.at[2000] ^= 1;
    assert_ok(file_write("data/flipped/train.bin", t.at, t.size));
    text_free(&t);
    fails(E_USAGE, "(sample ", "train --init_from=resume --out_dir=r --dataset=flipped");
    struct text abc = { 0 };
    for (int i = 0; i < 100; i++) text_add(&abc, "abcd bcda ");
    write_text("abc.txt", abc.at);
    text_free(&abc);
    runs("data abc.txt");
    fails(E_USAGE, "r was trained on ids by tokenizer ", "train --init_from=resume --out_dir=r --dataset=abc");
    assert_has(ERR, "; those of data/abc are by ");
    runs("train --init_from=resume --out_dir=r --dataset=less --eval_only");         /* nothing is learnt from it */
    runs("train --init_from=resume --out_dir=r --max_iters=12");
}

static void what_may_change(void **state)
{
    (void)state;
    struct text t = { 0 };
    runs("train --dataset=my --out_dir=c " KEEPS " --max_iters=10");
    runs("train --init_from=resume --out_dir=c --max_iters=20 --learning_rate=1e-3 --batch_size=3");
    assert_has(ERR, "note: set otherwise than before: ");
    assert_has(ERR, "batch_size 2 -> 3, ");
    assert_has(ERR, "learning_rate 0.01 -> 0.001, max_iters 10 -> 20");
    assert_ok(file_read("c/run.conf", LIMIT, &t));
    assert_has(t.at, "learning_rate = 0.001\n");
    text_clear(&t);
    assert_ok(file_read("c/metrics.jsonl", LIMIT, &t));
    assert_has(t.at, "\"event\": \"changed\", \"text\": \"set otherwise than before: ");
    text_free(&t);
    runs("train --init_from=resume --out_dir=c");
    assert_null(strstr(ERR, "set otherwise"));
}

/* ---- nib check ---- */

static void checked_folders(void **state)
{
    (void)state;
    runs("check data/my");
    assert_string_equal(OUT, "data/my: verified\n");
    runs("check data/my data/less k3");
    assert_has(OUT, "\nk3: verified\n");
    flip("data/less/val.bin", 8);
    fails(E_DATA, "data/less/val.bin is not what was written", "check data/my data/less");
    assert_has(OUT, "data/my: verified\n");
    fails(E_DATA, "prepare the data again (--verify=false trains on it as it is): data/less/val.bin", "train --dataset=less --out_dir=never " TINY " --max_iters=1");
    assert_false(path_is_dir("never"));
    runs("train --dataset=less --out_dir=anyway " TINY " --max_iters=1 --verify=false");
    flip("data/less/val.bin", 8);
    assert_ok(dir_make("bare"));                             /* a model that nothing is said about */
    copy_into("bare", "k3", "config.json");
    copy_into("bare", "k3", "model.safetensors");
    runs("check bare");
    assert_string_equal(OUT, "bare: nothing says what its files were; they can be read, fit each other, and all numbers are finite\n");
    assert_ok(dir_make("nan"));
    copy_into("nan", "bare", "config.json");
    struct text t = { 0 };
    assert_ok(file_read("bare/model.safetensors", LIMIT, &t));
    memset(t.at + t.size - 4, 0xff, 4);
    assert_ok(file_write("nan/model.safetensors", t.at, t.size));
    text_free(&t);
    fails(E_DATA, " holds a number that is not finite", "check nan");
}

/* ---- memory ---- */

#define LARGER "--n_layer=3 --n_head=4 --n_embd=256 --block_size=128 --batch_size=16 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=3 --eval_interval=3 --warmup_iters=0"

static int is_sanitized(void)
{
    if (SANITIZED) print_message("skipped: a sanitizer has memory of its own\n");
    return SANITIZED;
}

static void memory_is_as_said(void **state)
{
    static const char *const options[] = { "--dtype=float32 --threads=2", "--dtype=bfloat16 --threads=1", "--dtype=float32 --recompute=3 --threads=1", "--dtype=float32 --max_memory=80MiB --threads=2" };
    (void)state;
    if (is_sanitized()) skip();
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        runs("train --dataset=my --out_dir=large%zu " LARGER " %s", i, options[i]);
        char out[16];
        snprintf(out, sizeof out, "large%zu", i);
        double said = memory_said(), measured = memory_measured(out);
        if (fabs(said - measured) > 0.05 * measured) fail_msg("%s: %.1f MiB were said and %.1f measured", options[i], said, measured);
    }
}

static void what_fits(void **state)
{
    (void)state;
    if (is_sanitized()) skip();
    runs("train --dataset=my --out_dir=fits " LARGER " --dtype=float32 --threads=1 --max_memory=70MiB");
    assert_has(ERR, "note: for --max_memory=70MiB: --batch_size=");
    assert_true(memory_said() <= 70);
    double free_loss = 0, fitted = 0;                        /* as many sequences as before, and the same ones */
    assert_int_equal(sscanf(strstr(OUT, "step 3: train loss "), "step 3: train loss %lf", &fitted), 1);
    runs("train --dataset=my --out_dir=free " LARGER " --dtype=float32 --threads=1");
    assert_int_equal(sscanf(strstr(OUT, "step 3: train loss "), "step 3: train loss %lf", &free_loss), 1);
    assert_float_equal(free_loss, fitted, 2e-4);
    fails(E_MEMORY, "--max_memory=20MiB is 20.0 MiB, and training needs at least ", "train --dataset=my --out_dir=never " LARGER " --dtype=float32 --threads=1 --max_memory=20MiB");
    assert_has(ERR, "at --batch_size=1 --recompute=3");
    assert_false(path_is_dir("never"));
    static const char *const bad[] = { "much", "-1G", "0M", "5", "1e99G", "12Q", "%", "nan%" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) fails(E_USAGE, "is not understood; 512MiB, 8GiB and 80% are", "train --dataset=my --out_dir=never " TINY " --max_memory=%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_to_keep), cmocka_unit_test(which_stay), cmocka_unit_test(checkpoints_are_models), cmocka_unit_test(what_was_rejected), cmocka_unit_test(other_data),
        cmocka_unit_test(what_may_change), cmocka_unit_test(checked_folders), cmocka_unit_test(memory_is_as_said), cmocka_unit_test(what_fits),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
