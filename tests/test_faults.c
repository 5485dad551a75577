/* test_faults.c -- whatever happens to a run or to a preparation, at whichever moment: it goes on to the same bits, and nothing torn lies under a
 * final name.  Here a sample; `make torture` takes every system call (ALL=1) and many more random moments (COUNT).  SEED draws them. */
#define TEST_IN_MEMORY
#include "runs.h"
#include "power.h"

#include <errno.h>

#include "base/sums.h"
#include "file/safetensors.h"
#include "train/checkpoint.h"

static uint64_t dice_;

static void write_talks(const char *path, int n)
{
    struct text t = { 0 };
    for (int i = 0; i < n; i++) text_format(&t, "{\"prompt\": \"What is %d?\", \"completion\": \"It is %d.\"}\n", i, i * i);
    write_text(path, t.at);
    text_free(&t);
}

static int set_up(void **state)
{
    dice_ = (uint64_t)number_from("SEED", 1);
    if (enter_program(state)) return -1;
    setenv("NIB_CPU", "scalar", 1);                          /* else a cache that cannot be read is a new choice of kernels, of other bits */
    write_play("my.txt", 60);
    write_play("other.txt", 1000);
    write_talks("talks.jsonl", 200);
    return run("data my.txt") ? print_error("%s", ERR), -1 : 0;
}

static int skip_without_tracing(void)
{
    if (CAN_TRACE) return 0;
    print_message("skipped: system calls are harmed on x86-64 only\n");
    return 1;
}

/* ---- a run, and going on with it ---- */

/* Short, but with all that saving does: a first, a better and a worse checkpoint, an old one that goes. */
#define SHORT TINY " --gradient_accumulation_steps=2 --dropout=0.2 --warmup_iters=0 --learning_rate=1e-2 --max_iters=6 --eval_interval=2 --log_interval=1000"
enum { LAST = 6 };
static const char *const variants[] = { "--dtype=float32", "--dtype=bfloat16 --keep=last", "--always_save_checkpoint=false --keep=last,every:4 --dtype=float32", "--sample_interval=3 --dtype=float32" };
enum { VARIANTS = sizeof variants / sizeof *variants };

static const char *straight(int variant)                     /* the folder of the run that nothing happens to */
{
    static char out[VARIANTS][16];
    if (*out[variant]) return out[variant];
    snprintf(out[variant], sizeof *out, "straight-%d", variant);
    runs("train --dataset=my --out_dir=%s " SHORT " %s", out[variant], variants[variant]);
    return out[variant];
}

/* Whether there is something to go on with; what lies there is sound in any case. */
static int has_checkpoints(const char *out)
{
    if (!path_is_dir(out) || !run("check %s", out)) return path_is_dir(out);
    if (nib.status != E_IO || !strstr(ERR, "has no checkpoint")) fail_msg("%s%s", OUT, ERR);
    return 0;
}

static int harmed_run(const char *out, int variant, const struct fault *f, struct traced *t)
{
    if (has_checkpoints(out)) return run_traced(f, t, "train --init_from=resume --out_dir=%s", out);
    return run_traced(f, t, "train --dataset=my --out_dir=%s " SHORT " %s", out, variants[variant]);
}

static void finish(const char *out, int variant)
{
    if (has_checkpoints(out)) runs("train --init_from=resume --out_dir=%s", out);
    else runs("train --dataset=my --out_dir=%s " SHORT " %s", out, variants[variant]);
}

/* ---- moments ---- */

/* Each of 1 .. n, or `sample` of them. */
static int next_moment(long *at, long n, int *taken, int sample)
{
    if (number_from("ALL", 0)) return ++*at <= n;
    *at = 1 + roll(&dice_, (int)n);
    return ++*taken <= sample;
}

/* ---- kills ---- */

static long calls_of_run(int variant)
{
    struct traced t;
    assert_ok(dir_remove("out"));
    assert_int_equal(harmed_run("out", variant, &(struct fault){ 0 }, &t), 0);
    assert_same_runs(straight(variant), "out", LAST);
    return t.calls;
}

/* Killed before a system call; then, now and then, once more while it goes on. */
static void kill_at(int variant, long at)
{
    struct traced t;
    assert_ok(dir_remove("out"));
    for (int again = 0; again < 2; again++, at = 1 + roll(&dice_, (int)at)) {
        int status = harmed_run("out", variant, &(struct fault){ .what = KILLED, .at = at }, &t);
        if (status != -SIGKILL && status != 0) fail_msg("killed at call %ld: ended with %d:\n%s%s", at, status, OUT, ERR);
        if (at % 3) break;
    }
    finish("out", variant);
    assert_same_runs(straight(variant), "out", LAST);
}

static void killed_at_system_calls(void **state)
{
    (void)state;
    if (skip_without_tracing()) skip();
    for (int v = 0; v < VARIANTS; v++) {
        long n = calls_of_run(v), at = 0;
        assert_true(n > 500);
        for (int taken = 0; next_moment(&at, n, &taken, 8);) kill_at(v, at);
        if (number_from("ALL", 0)) print_message("%s: killed at each of %ld system calls\n", variants[v], n);
    }
}

/* ---- power cuts ---- */

static int only_syncs(long call) { return call == SYS_fsync || call == SYS_fdatasync; }

/* One at a call of a run; then it goes on.  Returns whether it ended as if nothing had happened; with a disk that lies about fsync, it need not. */
static int cut_at(int variant, long at, int disk_lies)
{
    static struct power w;
    struct traced t;
    assert_ok(dir_remove("out"));
    harmed_run("out", variant, &(struct fault){ .what = KILLED, .at = at, .look = power_look, .context = &w, .ignores = disk_lies ? only_syncs : NULL }, &t);
    power_cut(&w, &dice_);
    power_close(&w);
    if (disk_lies) {
        int code = run("check out");
        return !code || (code == E_IO && (strstr(ERR, "has no checkpoint") || !path_is_dir("out")));
    }
    finish("out", variant);
    assert_same_runs(straight(variant), "out", LAST);
    return 1;
}

static void power_cuts(void **state)
{
    (void)state;
    if (skip_without_tracing()) skip();
    for (int v = 0; v < VARIANTS; v++) {
        long n = calls_of_run(v), at = 0;
        for (int taken = 0; next_moment(&at, n, &taken, 8);) cut_at(v, at, 0);
        if (number_from("ALL", 0)) print_message("%s: power cut at each of %ld system calls\n", variants[v], n);
    }
    int harm = 0;                                            /* the test itself: without fsync something would be lost */
    for (int i = 0; i < 60 && !harm; i++) harm = !cut_at(0, 500 + roll(&dice_, 500), 1);
    assert_true(harm);
}

/* At moments drawn from the time that all of it takes, again and again until it has come to its end. */
static void kills(int variant, int n)
{
    straight(variant);
    long start = microseconds();
    assert_ok(dir_remove("timed"));
    finish("timed", variant);
    int whole = (int)(microseconds() - start), ended = 0;
    assert_ok(dir_remove("out"));
    for (int i = 0; i < n; i++) {
        if (has_checkpoints("out")) starts(&nib, "train --init_from=resume --out_dir=out");
        else starts(&nib, "train --dataset=my --out_dir=out " SHORT " %s", variants[variant]);
        usleep((useconds_t)roll(&dice_, whole));
        kill(nib.pid, SIGKILL);
        int status = end(&nib);
        if (status && status != -SIGKILL) fail_msg("nib ended with %d:\n%s%s", status, OUT, ERR);
        if (status && i + 1 < n) continue;
        finish("out", variant);
        assert_same_runs(straight(variant), "out", LAST);
        assert_ok(dir_remove("out"));
        ended++;
    }
    assert_true(ended > 0);
}

static void killed_at_random(void **state)
{
    (void)state;
    int n = (int)number_from("COUNT", 12);
    for (int v = 0; v < VARIANTS; v++) kills(v, n / VARIANTS);
}

/* A lock dies with its owner. */
static void dead_owner(void **state)
{
    (void)state;
    assert_ok(dir_remove("out"));
    starts(&nib, "train --dataset=my --out_dir=out " SHORT " --max_iters=100000 --eval_interval=10");
    await(&nib, "saved out/");
    struct program owner = nib;
    nib = (struct program){ 0 };
    fails(E_BUSY, "another run is writing to out", "train --init_from=resume --out_dir=out");
    kill(owner.pid, SIGKILL);
    assert_int_equal(end(&owner), -SIGKILL);
    runs("train --init_from=resume --out_dir=out --max_iters=10");
    for (int i = 0; i < 2; i++) text_free(&owner.text[i]);
}

/* ---- system calls that fail once ---- */

static const struct { enum harmed what; int error; int (*counts)(long); const char *name; } harms[] = {
    { FAILS, ENOSPC, can_fail, "ENOSPC" }, { FAILS, EIO, can_fail, "EIO" }, { FAILS, EINTR, can_fail, "EINTR" }, { FAILS, ENOMEM, can_fail, "ENOMEM" }, { HALVED, 0, only_writes, "a half write" },
};
enum { HARMS = sizeof harms / sizeof *harms };

/* It ended well, or with a code of its own and one line that says why (unless that line was the one that could not be written). */
static void assert_said_why(const struct traced *t, const char *name, long at)
{
    int said = nib.status >= 0 && nib.status <= E_BUSY && (!nib.status || has_failed(nib.status, "") || t->call == SYS_write);
    if (!said) fail_msg("%s at call %ld: ended with %d:\n%s%s", name, at, nib.status, OUT, ERR);
}

/* The call fails; the run reports it or is none the worse, and what it has left can be gone on with. */
static void fail_at(int variant, int h, long at, int resumes)
{
    struct traced t;
    assert_ok(dir_remove("out"));
    if (resumes) runs("train --dataset=my --out_dir=out " SHORT " %s --max_iters=4", variants[variant]);
    int status = resumes ? run_traced(&(struct fault){ .what = harms[h].what, .at = at, .error = harms[h].error, .counts = harms[h].counts }, &t, "train --init_from=resume --out_dir=out --max_iters=%d", LAST)
                         : harmed_run("out", variant, &(struct fault){ .what = harms[h].what, .at = at, .error = harms[h].error, .counts = harms[h].counts }, &t);
    assert_said_why(&t, harms[h].name, at);
    if (!status) assert_same_weights(straight(variant), "out", LAST);
    if (status && has_checkpoints("out")) runs("train --init_from=resume --out_dir=out --max_iters=%d", LAST);
    else if (status) finish("out", variant);
    assert_same_weights(straight(variant), "out", LAST);
}

static void failing_system_calls(void **state)
{
    (void)state;
    if (skip_without_tracing()) skip();
    for (int h = 0; h < HARMS; h++)
        for (int resumes = 0; resumes < 2; resumes++) {
            struct traced t;
            int v = (h + resumes) % VARIANTS, taken = 0;
            assert_ok(dir_remove("out"));
            harmed_run("out", v, &(struct fault){ .counts = harms[h].counts }, &t);
            for (long at = 0; next_moment(&at, t.calls, &taken, 6);) fail_at(v, h, at, resumes);
            if (number_from("ALL", 0)) print_message("%s, %s: %s at each of %ld system calls\n", variants[v], resumes ? "resumed" : "new", harms[h].name, t.calls);
        }
}

/* ---- the same for preparing data ---- */

/* Of texts, which goes on behind its shards, and of conversations, which begins anew. */
static const char *const prepares[] = { "data other.txt --shard_size=5000 --threads=1", "data talks.jsonl --tokenizer=char" }, *const wholes[] = { "whole-0", "whole-1" };
enum { PREPARES = sizeof prepares / sizeof *prepares };

static void assert_same_data(int p)
{
    char **names;
    size_t n;
    assert_ok(dir_list(wholes[p], &names, &n));
    assert_int_equal(names_in("made"), n);
    for (size_t i = 0; i < n; i++) assert_same_in(wholes[p], "made", names[i]);
    free(names);
    runs("check made");
}

static void make_whole(int p)
{
    if (!path_is_dir(wholes[p])) runs("%s --out=%s", prepares[p], wholes[p]);
}

static long calls_of_data(int p, int (*counts)(long))
{
    struct traced t;
    assert_ok(dir_remove("made"));
    make_whole(p);
    assert_int_equal(run_traced(&(struct fault){ .counts = counts }, &t, "%s --out=made", prepares[p]), 0);
    assert_same_data(p);
    return t.calls;
}

static void data_killed_at_system_calls(void **state)
{
    (void)state;
    if (skip_without_tracing()) skip();
    for (int p = 0; p < PREPARES; p++) {
        long n = calls_of_data(p, NULL), at = 0;
        assert_true(n > 200);
        for (int taken = 0; next_moment(&at, n, &taken, 20);) {
            struct traced t;
            if (at % 2) assert_ok(dir_remove("made"));       /* or over what is there */
            assert_int_equal(run_traced(&(struct fault){ .what = KILLED, .at = at }, &t, "%s --out=made", prepares[p]), -SIGKILL);
            runs("%s --out=made", prepares[p]);
            assert_same_data(p);
        }
        if (number_from("ALL", 0)) print_message("%s: killed at each of %ld system calls\n", prepares[p], n);
    }
}

static void data_fails_at(int p, int h, long at)
{
    struct traced t;
    assert_ok(dir_remove("made"));
    int status = run_traced(&(struct fault){ .what = harms[h].what, .at = at, .error = harms[h].error, .counts = harms[h].counts }, &t, "%s --out=made", prepares[p]);
    assert_said_why(&t, harms[h].name, at);
    if (status) runs("%s --out=made", prepares[p]);
    assert_same_data(p);
}

static void data_with_failing_system_calls(void **state)
{
    (void)state;
    if (skip_without_tracing()) skip();
    for (int p = 0; p < PREPARES; p++)
        for (int h = 0; h < HARMS; h++) {
            long n = calls_of_data(p, harms[h].counts), at = 0;
            for (int taken = 0; next_moment(&at, n, &taken, 5);) data_fails_at(p, h, at);
            if (number_from("ALL", 0)) print_message("%s: %s at each of %ld system calls\n", prepares[p], harms[h].name, n);
        }
}

/* ---- bits that flip ---- */

/* One bit of one file, each as likely as the others of its file; back again when it is called the second time with the same numbers. */
static void flip_bit(const char *path, uint64_t bit)
{
    unsigned char c;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)(bit / 8)), 1);
    c ^= (unsigned char)(1 << bit % 8);
    assert_int_equal(pwrite(fd, &c, 1, (off_t)(bit / 8)), 1);
    close(fd);
}

/* n times a random bit of a random file of the folder flips: `verify` must find it.  What is read without looking at checksums may find nothing
 * wrong, but must come back. */
static void flip_in(const char *folder_, int n, int (*verify)(const char *), void (*read_all)(const char *))
{
    char **names, path[PATH_SIZE];
    size_t files;
    struct sums sums;
    assert_ok(dir_list(folder_, &names, &files));
    assert_ok(sums_read(&sums, folder_));
    assert_ok(verify(folder_));
    for (int i = 0; i < n; i++) {
        struct stat st;
        const char *name = names[roll(&dice_, (int)files)];
        if (!sums_find(&sums, name) && strcmp(name, SUMS_FILE)) {                    /* what the run says of itself to people */
            i--;
            continue;
        }
        assert_ok(path_join(path, folder_, name));
        assert_int_equal(stat(path, &st), 0);
        uint64_t bit = dice(&dice_) % (uint64_t)(8 * st.st_size);
        flip_bit(path, bit);
        if (!verify(folder_)) fail_msg("%s: bit %llu flipped, and nobody noticed", path, (unsigned long long)bit);
        read_all(folder_);
        flip_bit(path, bit);
    }
    assert_ok(verify(folder_));
    sums_free(&sums);
    free(names);
}

static void read_model(const char *folder_)
{
    const struct model *m;
    struct config c;
    struct model_files f;
    struct tokenizer *t;
    struct made_with made;
    config_read(&m, &c, folder_);
    checkpoint_made_with(folder_, &made);
    if (!tokenizer_open(&t, folder_)) tokenizer_free(t);
    if (!model_open(&f, folder_)) model_close(&f);
}

static int verify_data(const char *folder_)
{
    struct dataset d;
    int known, code = dataset_open(&d, folder_);
    if (code) return code;
    code = dataset_verify(&d, &known);
    dataset_close(&d);
    return code || !known;
}

static void read_data(const char *folder_)
{
    struct dataset d;
    if (!dataset_open(&d, folder_)) dataset_close(&d);
}

static int verify_model(const char *folder_)
{
    return sums_verify_folder(folder_, (const char *const[]){ "config.json", "model.safetensors", NULL });
}

static void flipped_bits(void **state)
{
    (void)state;
    int n = (int)number_from("FLIPS", 1500);
    char step[64];
    snprintf(step, sizeof step, "%s/step-%08d", straight(0), LAST);
    flip_in(step, n / 3, checkpoint_verify, read_model);
    flip_in(straight(0), n / 3, verify_model, read_model);
    for (int p = 0; p < PREPARES; p++) {
        make_whole(p);
        flip_in(wholes[p], n / 6, verify_data, read_data);
    }
    flip_in("data/my", n / 6, verify_data, read_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_system_calls), cmocka_unit_test(power_cuts), cmocka_unit_test(killed_at_random), cmocka_unit_test(dead_owner), cmocka_unit_test(failing_system_calls),
        cmocka_unit_test(data_killed_at_system_calls), cmocka_unit_test(data_with_failing_system_calls), cmocka_unit_test(flipped_bits),
    };
    cmocka_set_test_filter(getenv("TEST"));                  /* TEST='power*': those alone */
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
