/* test_sweep.c -- nib sweep: a run for each combination, resumable, with a table and a page at the end. */
#include "runs.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 100);
    return run("data my.txt") ? print_error("%s", ERR), -1 : 0;
}

#define RUNS "sweep --dataset=my " TINY " --dtype=float32 --eval_interval=10 --eval_iters=5 --warmup_iters=0 --decay_lr=False --log_interval=1000"

static void all_combinations(void **state)
{
    static const char *const names[] = { "learning_rate=1e-2,dropout=0", "learning_rate=1e-2,dropout=0.2", "learning_rate=1e-4,dropout=0", "learning_rate=1e-4,dropout=0.2" };
    (void)state;
    for (int again = 0; again < 2; again++) {
        runs(RUNS " --learning_rate=1e-2,1e-4 --dropout=0,0.2 --max_iters=40");
        for (int i = 0; i < 4; i++) {
            char line[256];
            snprintf(line, sizeof line, "== %d of 4: %s%s\n", i + 1, names[i], again ? ", is done" : "");
            assert_has(OUT, line);
        }
    }
    const char *table = strstr(OUT, "\n val loss        at      last     train  time      run\n");
    assert_non_null(table);
    assert_true(strstr(table, names[0]) < strstr(table, names[2]));      /* the better first */
    assert_true(strstr(table, names[1]) < strstr(table, names[3]));
    assert_has(OUT, "\nout-sweep/report.html\n");
    struct text t = { 0 };
    assert_ok(file_read("out-sweep/report.html", LIMIT, &t));
    for (int i = 0; i < 4; i++) assert_has(t.at, names[i]);
    text_free(&t);
    runs("train --dataset=my " TINY " --dtype=float32 --eval_interval=10 --eval_iters=5 --warmup_iters=0 --decay_lr=False --learning_rate=1e-4 --dropout=0.2 --max_iters=40 --out_dir=alone");
    assert_same_weights("alone", "out-sweep/learning_rate=1e-4,dropout=0.2", 40);
}

/* Stopped by Ctrl-C in its first run, and then gone on with: the same bits. */
static void stopped_and_resumed(void **state)
{
    (void)state;
    runs(RUNS " --out_dir=straight --seed=1,2 --max_iters=300");
    starts(&nib, RUNS " --out_dir=broken --seed=1,2 --max_iters=300 --log_interval=1");
    await(&nib, "step 30/300");
    kill(nib.pid, SIGINT);                                   /* a terminal would tell both */
    char pids[64], child[32] = "";
    snprintf(pids, sizeof pids, "/proc/%d/task/%d/children", nib.pid, nib.pid);
    FILE *f = fopen(pids, "r");
    if (f && fgets(child, sizeof child, f)) kill((pid_t)strtol(child, NULL, 10), SIGINT);
    if (f) fclose(f);
    assert_int_equal(end(&nib), E_STOPPED);
    assert_has(OUT, "\nstopped in seed=1; the same command goes on\n");
    assert_has(ERR, "nib: stopped at iteration ");
    assert_false(path_is_dir("broken/seed=2"));
    runs(RUNS " --out_dir=broken --seed=1,2 --max_iters=300");
    assert_has(OUT, "== 1 of 2: seed=1, goes on\n");
    assert_same_weights("straight/seed=1", "broken/seed=1", 300);
    assert_same_weights("straight/seed=2", "broken/seed=2", 300);
}

/* One that diverges is a line of the table, and does not keep the others from running, nor is it run again. */
static void one_diverges(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        runs(RUNS " --out_dir=steep --learning_rate=1e-3,30 --weight_decay=0 --max_iters=200");
        assert_has(OUT, again ? "== 2 of 2: learning_rate=30, has diverged\n" : "== 2 of 2: learning_rate=30\n");
        assert_has(OUT, "  learning_rate=30  (diverged)\n");
    }
}

/* A configuration's out_dir is that of one run: what lies there stays as it is. */
static void beside_a_run(void **state)
{
    static const char conf[] = "out_dir = one\nmax_iters = 10\n";
    struct text before = { 0 }, after = { 0 };
    (void)state;
    assert_ok(file_write("one.conf", conf, sizeof conf - 1));
    runs("train one.conf --dataset=my " TINY);
    assert_ok(file_read("one/report.html", LIMIT, &before));
    runs("sweep one.conf --dataset=my " TINY " --seed=1,2");
    assert_has(OUT, "\none-sweep/report.html\n");
    assert_true(path_is_dir("one-sweep/seed=2"));
    assert_ok(file_read("one/report.html", LIMIT, &after));
    assert_string_equal(before.at, after.at);
    text_free(&before);
    text_free(&after);
}

static void refused(void **state)
{
    (void)state;
    fails(E_USAGE, "which values? One option at least must list some", "sweep --dataset=my --learning_rate=1e-3");
    fails(E_USAGE, "--learning_rate=1e-3,,2: a value is missing", "sweep --dataset=my --learning_rate=1e-3,,2");
    fails(E_USAGE, "--dropout=2: ", "sweep --dataset=my --dropout=0,2");          /* before anything has run */
    fails(E_USAGE, "unknown option --droput", "sweep --dataset=my --droput=0,2");
    fails(E_USAGE, "more than 64 combinations", "sweep --dataset=my --seed=1,2,3,4,5,6,7,8,9 --n_layer=1,2,3,4,5,6,7,8");
    fails(E_IO, "no prepared data in nowhere", "sweep --dataset=nowhere --seed=1,2 --out_dir=none");
    assert_false(path_is_dir("none"));
    runs("sweep --dataset=my " TINY " --keep=last,best --seed=1,2 --max_iters=1 --out_dir=kept");      /* commas that belong there */
    assert_true(path_is_dir("kept/seed=2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_combinations), cmocka_unit_test(stopped_and_resumed), cmocka_unit_test(one_diverges), cmocka_unit_test(beside_a_run), cmocka_unit_test(refused) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
