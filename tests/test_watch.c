/* test_watch.c -- nib watch on terminals of many sizes, and nib report, as their users see them. */
#include "program.h"
#include "terminal.h"

static struct terminal t;
static int lock = -1;                                        /* the test is who trains */

static void append(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void append(const char *format, ...)
{
    FILE *f = fopen("run/metrics.jsonl", "a");
    va_list args;
    assert_non_null(f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

static void append_steps(int from, int to)
{
    for (int i = from; i < to; i++) append("{\"step\": %d, \"time\": %d, \"loss\": %.3f, \"lr\": 0.001, \"grad_norm\": 1.2, \"ms\": 10, \"tok_s\": 51891, \"mfu\": 0.4}\n", i, 1700000000 + i, 2 + 100.0 / (50 + i));
    append("{\"step\": %d, \"time\": %d, \"train_loss\": 2.5, \"val_loss\": %.3f}\n", to, 1700000000 + to, 2.1 + 100.0 / (50 + to));
}

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    if (dir_make("run") || dir_make("other") || dir_make("empty")) return -1;
    write_text("run/run.conf", "max_iters = 500\nn_layer = 3\ndataset = data/my\n");
    write_text("other/run.conf", "max_iters = 500\nn_layer = 5\ndataset = data/my\n");
    write_text("other/metrics.jsonl", "{\"step\": 0, \"loss\": 4}\n{\"step\": 1, \"loss\": 3}\n");
    setenv("TZ", "UTC", 1);
    return 0;
}

static int begin_run(void **state)
{
    (void)state;
    unlink("run/metrics.jsonl");
    append("{\"step\": 0, \"time\": 1700000000, \"event\": \"started\", \"text\": \"a new run\"}\n");
    append_steps(0, 100);
    return dir_lock(&lock, "run", "");
}

static int end_run(void **state)
{
    (void)state;
    dir_unlock(lock);
    lock = -1;
    return 0;
}

/* ---- on a terminal ---- */

static pid_t start_watch(int columns, int rows)
{
    int slave = terminal_open(&t, columns, rows);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        setsid();
        if (ioctl(slave, TIOCSCTTY, 0) || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0) _exit(99);
        alarm(HANGS);
        execl(nib_path, nib_path, "watch", "run", (char *)NULL);
        _exit(98);
    }
    close(slave);
    return pid;
}

static void await_screen(const char *text)
{
    enum { PATIENCE = 100 };                                 /* pictures, one a second at least */
    for (int last = t.frames + PATIENCE; !terminal_shows(&t, text);) {
        if (terminal_read(&t) && t.frames < last) continue;
        for (int y = 0; y < t.rows; y++) print_error("%s\n", terminal_row(&t, y));
        fail_msg("\"%s\" was never shown", text);
    }
}

static void await_frames(int n)
{
    for (int wanted = t.frames + n; t.frames < wanted;)
        if (!terminal_read(&t)) fail_msg("it ended");
}

/* It has left the screen and the cursor as they were, and nothing went over an edge. */
static void assert_ended(pid_t pid)
{
    int status;
    while (terminal_read(&t)) continue;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(t.hidden + t.other, 0);
    assert_int_equal(t.entered, 1);
    assert_int_equal(t.wraps, 0);
    close(t.master);
}

static void any_size(void **state)
{
    static const struct { int columns, rows; const char *shown; } sizes[] = {
        { 1, 1, "s" }, { 2, 2, "st" }, { 3, 7, "ste" }, { 9, 4, "step 100/" }, { 16, 5, "step 100/500  20" }, { 40, 8, "Loss" }, { 80, 24, "Loss" }, { 60, 30, "Gradient norm" },
        { 200, 50, "Tokens a second" }, { 500, 12, "Loss" }, { 30, 200, "Learning rate" }, { 0, 0, "Loss" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pid_t pid = start_watch(sizes[i].columns, sizes[i].rows);
        await_screen(sizes[i].shown);
        assert_int_equal(t.wraps + t.scrolls, 0);
        assert_true(t.hidden && t.other);
        kill(pid, SIGINT);
        assert_ended(pid);
    }
}

static void follows(void **state)
{
    (void)state;
    pid_t pid = start_watch(80, 24);
    await_screen("step 100/500  20%  ETA 7 min");
    await_screen("loss 2.6710  val 2.7670  51,891 tok/s");
    await_screen("run  running");
    await_screen("started  a new run");
    append_steps(100, 250);
    append("{\"step\": 250, \"time\": 1700000250, \"event\": \"saved\", \"text\": \"step-00000250 \\u001b[31m\\u202e\"}\n");
    await_screen("step 250/500  50%");
    await_screen("22:17:30  250  saved  step-00000250 ?[31m?");
    terminal_resize(&t, 50, 15);
    await_frames(2);
    memset(t.cell, 0, sizeof t.cell);                        /* what was on its way in the old size is the terminal's to arrange */
    t.wraps = t.scrolls = 0;
    await_frames(2);
    await_screen("step 250/500");
    assert_int_equal(t.wraps + t.scrolls, 0);
    terminal_resize(&t, 120, 40);
    await_screen("Gradient norm");
    append("{\"step\": 500, \"time\": 1700000500, \"val_loss\": 1.5}\n{\"step\": 500, \"time\": 1700000500, \"event\": \"finished\", \"text\": \"the end\"}\n");
    dir_unlock(lock);                                        /* so ends a run, and whoever watches it */
    lock = -1;
    assert_ended(pid);
    assert_true(terminal_shows(&t, "run  finished") && terminal_shows(&t, "step 500/500  100%") && terminal_shows(&t, "finished  the end"));       /* the last picture stays */
}

/* Ctrl-Z gives the terminal back, and what goes on takes it again. */
static void pauses(void **state)
{
    int status;
    (void)state;
    pid_t pid = start_watch(80, 24);
    await_screen("step 100/500");
    kill(pid, SIGTSTP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    while (t.hidden || t.other) assert_true(terminal_read(&t));
    kill(pid, SIGCONT);
    while (!t.hidden || !t.other) assert_true(terminal_read(&t));
    await_screen("step 100/500");
    kill(pid, SIGTERM);
    while (terminal_read(&t)) continue;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status) + t.hidden + t.other, 0);
    close(t.master);
}

/* A run whose folder is there and locked, and that has not written a line yet. */
static void before_the_first_line(void **state)
{
    (void)state;
    unlink("run/metrics.jsonl");
    pid_t pid = start_watch(80, 24);
    await_screen("nothing yet");
    append_steps(0, 10);
    await_screen("step 10/500");
    kill(pid, SIGINT);
    assert_ended(pid);
}

/* ---- elsewhere ---- */

/* One picture as wide and high as it should be, without control characters. */
static void assert_picture(int columns, int rows)
{
    int lines = 0;
    assert_string_equal(ERR, "");
    for (const char *line = OUT; *line; line += strcspn(line, "\n") + 1, lines++) {
        size_t n = strcspn(line, "\n");
        if ((int)utf8_count(line, n) > columns) fail_msg("more than %d columns: %.*s", columns, (int)n, line);
        for (size_t i = 0; i < n; i++) assert_true((unsigned char)line[i] >= ' ' && line[i] != 127);
    }
    assert_int_equal(lines, rows);
}

static void not_a_terminal(void **state)
{
    static const int sizes[][2] = { { 1, 1 }, { 4, 9 }, { 33, 11 }, { 80, 24 }, { 211, 77 } };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char columns[8], rows[8];
        snprintf(columns, sizeof columns, "%d", sizes[i][0]);
        snprintf(rows, sizeof rows, "%d", sizes[i][1]);
        setenv("LINES", rows, 1);
        runs_how(HOW(.name = "COLUMNS", .value = columns), "watch run");
        assert_picture(sizes[i][0], sizes[i][1]);
    }
    unsetenv("LINES");
    runs("watch run/");
    assert_picture(80, 24);
    assert_memory_equal(OUT, "run  running", 12);
    assert_has(OUT, "⠒ training");
    end_run(state);
    runs("watch run");
    assert_has(OUT, "broke off");
}

static void no_run(void **state)
{
    (void)state;
    static const char *const verbs[] = { "watch", "report" };
    for (int i = 0; i < 2; i++) {
        fails(E_IO, "nowhere: there is no such folder", "%s nowhere", verbs[i]);
        fails(E_IO, "empty has no run: no metrics.jsonl", "%s empty", verbs[i]);
        fails(E_USAGE, "what is missing stands in capitals", "%s", verbs[i]);
    }
    fails(E_USAGE, "unexpected argument other", "watch run other");
}

/* ---- nib report ---- */

static void reports(void **state)
{
    struct text page = { 0 };
    (void)state;
    runs("report run");
    assert_string_equal(OUT, "run/report.html\n");
    assert_string_equal(ERR, "");
    assert_ok(file_read("run/report.html", LIMIT, &page));
    assert_has(page.at, "<dt>State</dt><dd>running");
    assert_has(page.at, "<dt>Iterations</dt><dd>100<small>of 500");
    assert_has(page.at, "<td>n_layer<td>3<td class=\"soft\">12");
    assert_has(page.at, "data/my");
    runs("report run other/ --out=both.html");
    assert_string_equal(OUT, "both.html\n");
    text_clear(&page);
    assert_ok(file_read("both.html", LIMIT, &page));
    assert_has(page.at, "<h1>2 runs</h1>");
    assert_has(page.at, ">other</span>");
    assert_has(page.at, "<tr><td>n_layer<td>3<td>5</tr>");
    runs("report run other");
    assert_string_equal(OUT, "report.html\n");
    fails(E_IO, "nowhere", "report run --out=nowhere/a.html");
    write_text("other/run.conf", "max_iters = many\n");      /* what is wrong with it does not hide the curves */
    runs("report other");
    assert_has(ERR, "note: the configuration is not shown: ");
    assert_has(ERR, "other/run.conf");
    text_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define test(f) cmocka_unit_test_setup_teardown(f, begin_run, end_run)
        test(any_size), test(follows), test(pauses), test(before_the_first_line), test(not_a_terminal), test(no_run), test(reports),
#undef test
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
