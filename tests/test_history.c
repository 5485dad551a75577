/* test_history.c -- metrics.jsonl read as it grows: what a run did, in bounded memory, whatever stands in the file. */
#include "report/history.h"

#include <math.h>
#include <unistd.h>

#include "folder.h"

static struct history h;

static void feed(const char *lines) { assert_ok(history_take(&h, lines, strlen(lines))); }

__attribute__((format(printf, 1, 2))) static void feed_line(const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    feed(line);
    feed("\n");
}

static int close_history(void **state)
{
    (void)state;
    history_close(&h);
    return 0;
}

static const struct series *series_of(enum series_kind kind) { return &h.series[kind]; }
static const struct note *note_of(enum note_kind kind, size_t i)
{
    assert_true(i < h.notes[kind].n);
    return &h.notes[kind].kept[i];
}

/* ---- lines ---- */

static void all_kinds(void **state)
{
    (void)state;
    feed("{\"step\": 0, \"time\": 1000, \"event\": \"started\", \"text\": \"a new run\"}\n"
         "{\"step\": 0, \"time\": 1001, \"train_loss\": 4.5, \"val_loss\": 4.75, \"mib\": 61}\n"
         "{\"step\": 0, \"time\": 1002, \"loss\": 4.5, \"lr\": 0.001, \"grad_norm\": 1.5, \"ms\": 10, \"tok_s\": 1000, \"mfu\": 0.5, \"new\": [1, {}]}\n"
         "{\"step\": 1, \"time\": 1003, \"skipped\": \"loss\"}\n"
         "{\"step\": 2, \"time\": 1004, \"loss\": 2, \"lr\": 0.002, \"grad_norm\": 1, \"ms\": 10, \"tok_s\": 3000, \"mfu\": 0.5}\n"
         "{\"step\": 3, \"time\": 1005, \"train_loss\": 2, \"val_loss\": 2.5}\n"
         "{\"step\": 3, \"time\": 1006, \"sample\": \"ROMEO\\n\"}\n"
         "{\"step\": 3, \"time\": 1007, \"event\": \"saved\", \"text\": \"step-00000003\"}\n");
    static const struct { enum series_kind kind; size_t n; double first, last; } rows[] = {
        { SERIES_LOSS, 2, 4.5, 2 }, { SERIES_LR, 2, 0.001, 0.002 }, { SERIES_GRAD_NORM, 2, 1.5, 1 }, { SERIES_TOK_S, 2, 1000, 3000 },
        { SERIES_MFU, 2, 0.5, 0.5 }, { SERIES_TRAIN_LOSS, 2, 4.5, 2 }, { SERIES_VAL_LOSS, 2, 4.75, 2.5 }, { SERIES_MIB, 1, 61, 61 },
    };
    for (size_t i = 0; i < SERIES_KINDS; i++) {
        const struct series *s = series_of(rows[i].kind);
        assert_int_equal(s->n, rows[i].n);
        assert_true(s->point[0].sum == rows[i].first && series_last(s) == rows[i].last);
    }
    assert_true(isnan(series_last(&(struct series){ 0 })) && !series_best(&(struct series){ 0 }));
    assert_int_equal(series_best(series_of(SERIES_VAL_LOSS))->least_at, 3);
    assert_int_equal(h.done, 3);
    assert_int_equal(h.lines, 8);
    assert_int_equal(h.unreadable, 0);
    assert_true(h.time == 1007 && h.seconds == 6);           /* an event is no work */
    assert_string_equal(note_of(NOTE_SKIPPED, 0)->text, "loss");
    assert_string_equal(note_of(NOTE_SAMPLE, 0)->text, "ROMEO\n");
    assert_string_equal(note_of(NOTE_EVENT, 1)->name, "saved");
    assert_string_equal(note_of(NOTE_EVENT, 1)->text, "step-00000003");
}

/* As nib wrote them before it wrote times. */
static void old_lines(void **state)
{
    (void)state;
    feed("{\"step\": 0, \"train_loss\": 4.5, \"val_loss\": 4.75}\n{\"step\": 0, \"loss\": 4.5, \"lr\": 0.001, \"grad_norm\": 1.5, \"ms\": 10, \"tok_s\": 1000, \"mfu\": 0.5}\n"
         "{\"step\": 1, \"skipped\": \"grad\"}\n");
    assert_int_equal(h.done, 2);
    assert_true(h.time == 0 && h.seconds == 0 && h.seconds_a_step == 0);
    assert_true(note_of(NOTE_SKIPPED, 0)->time == 0);
    assert_string_equal(history_state(&h, 1, 10), "running");
    assert_string_equal(history_state(&h, 0, 10), "broke off");
    assert_string_equal(history_state(&h, 0, 0), "broke off");
    assert_string_equal(history_state(&h, 0, 2), "finished");
}

static void hostile_lines(void **state)
{
    static const char *const unreadable[] = { "", "{", "[1]", "null", "{}", "{\"step\": \"1\"}", "{\"step\": -1, \"loss\": 1}", "{\"step\": 1.0, \"loss\": 1}", "{\"step\": 1, \"loss\": NaN}",
                                              "{\"step\": 9007199254740993, \"loss\": 1}", "{\"step\": 1, \"loss\": 1e999}", "{\"step\": 1, \"step\": 2}", "{\"step\": 1, \"lo{\"step\": 2, \"loss\": 1}",
                                              "\xff{\"step\": 1}", "{\"step\": 1, \"sample\": \"\xff\"}" },
                      *const harmless[] = { "{\"step\": 1}", "{\"step\": 1, \"loss\": \"1\"}", "{\"step\": 1, \"loss\": 1e31, \"time\": 1e300}", "{\"step\": 1, \"time\": -5, \"event\": 7, \"sample\": {}}" };
    (void)state;
    size_t n = sizeof unreadable / sizeof *unreadable;
    for (size_t i = 0; i < n; i++) {
        feed_line("%s", unreadable[i]);
        if (h.unreadable != (int64_t)i + 1) fail_msg("was read: %s", unreadable[i]);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) feed_line("%s", harmless[i]);
    assert_int_equal(h.unreadable, n);
    for (int k = 0; k < SERIES_KINDS; k++) assert_int_equal(series_of((enum series_kind)k)->n, 0);
    assert_ok(history_take(&h, "{\"step\": 1, \"loss\": 1\0}\n", 24));
    assert_int_equal(h.unreadable, n + 1);
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    feed(deep);
    feed("\n{\"step\": 7, \"loss\": 3}\n");
    free(deep);
    assert_int_equal(h.done, 8);
}

/* A line without an end is not kept, and the next one is read. */
static void endless_line(void **state)
{
    enum { ALL = 1 << 24, PIECE = 1 << 16 };
    char *piece = malloc(PIECE);
    (void)state;
    memset(piece, 'x', PIECE);
    for (int i = 0; i < ALL / PIECE; i++) assert_ok(history_take(&h, piece, PIECE));
    assert_true(h.line.room <= 1 << 22);
    feed("\n{\"step\": 0, \"loss\": 1}\n");
    assert_int_equal(h.lines, 2);
    assert_int_equal(h.unreadable, 1);
    assert_int_equal(h.done, 1);
    free(piece);
}

/* ---- series ---- */

static void assert_ordered(const struct series *s)
{
    assert_true(s->n < SERIES_POINTS);
    for (size_t i = 0; i < s->n; i++) {
        const struct point *p = &s->point[i];
        assert_true(p->first <= p->last && (!i || p[-1].last < p->first));
        assert_true(p->least <= point_mean(p) && point_mean(p) <= p->most);
        assert_true(p->least_at >= p->first && p->least_at <= p->last);
    }
}

static void long_series(void **state)
{
    enum { STEPS = 300000 };
    struct series s = { 0 };
    (void)state;
    for (int i = 0; i < STEPS; i++) assert_ok(series_add(&s, i, i % 1000 == 500 ? -i : 1));
    assert_ordered(&s);
    assert_true(s.n >= SERIES_POINTS / 2 - 1);
    int64_t n = 0;
    double sum = 0;
    for (size_t i = 0; i < s.n; i++) n += s.point[i].n, sum += s.point[i].sum;
    assert_int_equal(n, STEPS);
    assert_true(sum == STEPS - 300 - (300 * 500 + 1000.0 * 299 * 300 / 2));
    assert_int_equal(s.point[0].first, 0);
    assert_int_equal(s.point[s.n - 1].last, STEPS - 1);
    assert_true(series_best(&s)->least == -299500 && series_best(&s)->least_at == 299500);
    free(s.point);
}

/* In any order it is the same as long as nothing had to be joined. */
static void any_order(void **state)
{
    struct series s = { 0 };
    uint64_t state_ = 5;
    int steps[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) steps[i] = i;
    for (int i = 999; i > 0; i--) {
        int j = roll(&state_, i + 1), kept = steps[i];
        steps[i] = steps[j], steps[j] = kept;
    }
    for (int i = 0; i < 1000; i++) assert_ok(series_add(&s, 3 * steps[i], steps[i]));
    assert_ordered(&s);
    assert_int_equal(s.n, 1000);
    for (int i = 0; i < 1000; i++) assert_true(s.point[i].first == 3 * i && s.point[i].sum == i);
    assert_ok(series_add(&s, 30, 12));                       /* a step that comes again */
    assert_int_equal(s.n, 1000);
    assert_true(point_mean(&s.point[10]) == 11 && s.point[10].least == 10 && s.point[10].most == 12);
    for (int i = 0; i < 100000; i++) assert_ok(series_add(&s, (int64_t)(dice(&state_) >> 11), i));
    assert_ordered(&s);
    free(s.point);
}

static void smoothing(void **state)
{
    enum { N = 1000 };
    struct series s = { 0 };
    double smooth[N], least = INFINITY, most = -INFINITY;
    uint64_t state_ = 1;
    (void)state;
    for (int i = 0; i < N; i++) assert_ok(series_add(&s, i, 2 + 1e-3 * i));
    series_smooth(&s, smooth);
    for (int i = 0; i < N - 30; i++) assert_float_equal(smooth[i], 2 + 1e-3 * i, 1e-9);     /* a straight line stays where it is: no lag */
    free(s.point);
    s = (struct series){ 0 };
    for (int i = 0; i < N; i++) assert_ok(series_add(&s, i, roll(&state_, 2)));
    series_smooth(&s, smooth);
    assert_true(smooth[0] == s.point[0].sum);                /* the first value is what it was */
    for (int i = 100; i < N; i++) least = fmin(least, smooth[i]), most = fmax(most, smooth[i]);
    assert_true(least > 0.15 && most < 0.85);
    free(s.point);
}

/* ---- notes ---- */

static void many_notes(void **state)
{
    char long_text[3 * NOTE_TEXT + 1];
    (void)state;
    for (int i = 0; i < 1000; i++) feed_line("{\"step\": %d, \"event\": \"changed\", \"text\": \"%d\"}", i, i);
    const struct notes *s = &h.notes[NOTE_EVENT];
    assert_int_equal(s->n, NOTES_KEPT);
    assert_int_equal(s->count, 1000);
    assert_int_equal(s->dropped, 1000 - NOTES_KEPT);
    for (int i = 0; i < NOTES_KEPT; i++) assert_int_equal(s->kept[i].step, i < NOTES_KEPT / 2 ? i : 1000 - NOTES_KEPT + i);
    for (int i = 0; i < 3 * NOTE_TEXT; i += 2) memcpy(long_text + i, "\xc3\xa9", 2);
    long_text[3 * NOTE_TEXT] = 0;
    feed("{\"step\": 1000, \"sample\": \"x");
    feed(long_text);
    feed("\"}\n{\"step\": 1000, \"event\": \"a_name_that_is_longer_th\xc3\xa9n_any\"}\n");
    assert_int_equal(strlen(note_of(NOTE_SAMPLE, 0)->text), NOTE_TEXT - 1);      /* no half of a character */
    assert_string_equal(note_of(NOTE_EVENT, NOTES_KEPT - 1)->name, "a_name_that_is_longer_t");
}

static void notes_that_go_on(void **state)
{
    const struct note *list[2 * NOTES_KEPT];
    (void)state;
    for (int i = 5; i < 10; i++) feed_line("{\"step\": %d, \"time\": %d, \"skipped\": \"loss\"}", i, 100 + i);
    feed("{\"step\": 10, \"time\": 110, \"skipped\": \"grad\"}\n{\"step\": 12, \"time\": 112, \"skipped\": \"grad\"}\n");
    for (int i = 20; i <= 60; i += 20) feed_line("{\"step\": %d, \"time\": %d, \"event\": \"saved\", \"text\": \"step-%d\"}", i, 100 + i, i);
    feed("{\"step\": 60, \"time\": 161, \"event\": \"save_failed\", \"text\": \"the disk is full\"}\n{\"step\": 80, \"time\": 180, \"event\": \"saved\", \"text\": \"step-80\"}\n");
    assert_int_equal(h.notes[NOTE_SKIPPED].n, 3);
    assert_int_equal(h.notes[NOTE_SKIPPED].count, 7);
    assert_true(note_of(NOTE_SKIPPED, 0)->step == 5 && note_of(NOTE_SKIPPED, 0)->last == 9 && note_of(NOTE_SKIPPED, 0)->n == 5);
    assert_int_equal(h.notes[NOTE_EVENT].n, 3);
    assert_true(note_of(NOTE_EVENT, 0)->step == 20 && note_of(NOTE_EVENT, 0)->last == 60 && note_of(NOTE_EVENT, 0)->n == 3);
    assert_string_equal(note_of(NOTE_EVENT, 0)->text, "step-60");
    assert_int_equal(history_happened(&h, list), 6);
    for (int i = 1; i < 6; i++) assert_true(list[i - 1]->time <= list[i]->time);
    assert_string_equal(list[2]->text, "grad");
    assert_string_equal(list[4]->name, "save_failed");
}

/* ---- runs that go on ---- */

static void resumed(void **state)
{
    (void)state;
    feed("{\"step\": 0, \"time\": 100, \"event\": \"started\"}\n");
    for (int i = 0; i < 10; i++) feed_line("{\"step\": %d, \"time\": %d, \"loss\": %d}", i, 101 + i, 100 + i);
    feed("{\"step\": 8, \"time\": 109, \"val_loss\": 3}\n{\"step\": 10, \"time\": 111, \"val_loss\": 2}\n{\"step\": 10, \"time\": 111, \"sample\": \"x\"}\n{\"step\": 9, \"time\": 111, \"skipped\": \"loss\"}\n");
    feed("{\"step\": 10, \"time\": 112, \"event\": \"stopped\"}\n");
    assert_string_equal(history_state(&h, 0, 10), "stopped");
    assert_true(h.seconds == 11);
    feed("{\"step\": 10, \"time\": 5000, \"event\": \"rejected\", \"text\": \"step-10\"}\n");
    feed("{\"step\": 8, \"time\": 5001, \"event\": \"resumed\", \"text\": \"step-8\"}\n");
    assert_string_equal(history_state(&h, 1, 10), "running");
    assert_int_equal(h.done, 8);                             /* what it is about to do again is forgotten, */
    assert_int_equal(series_of(SERIES_LOSS)->n, 8);
    assert_int_equal(series_of(SERIES_VAL_LOSS)->n, 1);      /* the evaluation at that step is not */
    assert_int_equal(h.notes[NOTE_SAMPLE].n + h.notes[NOTE_SKIPPED].n, 0);
    assert_int_equal(h.notes[NOTE_SKIPPED].count, 0);
    for (int i = 8; i < 12; i++) feed_line("{\"step\": %d, \"time\": %d, \"loss\": 1}", i, 5003 + 2 * (i - 8));
    assert_true(h.seconds == 11 + 8 && h.seconds_a_step == 2);       /* the pause does not count */
    assert_int_equal(series_of(SERIES_LOSS)->n, 12);
    assert_true(series_last(series_of(SERIES_LOSS)) == 1);
    feed("{\"step\": 9, \"time\": 5010, \"event\": \"rolled_back\", \"text\": \"a spike\"}\n");
    assert_int_equal(series_of(SERIES_LOSS)->n, 9);
    assert_string_equal(history_state(&h, 1, 10), "running");
    feed("{\"step\": 12, \"time\": 5011, \"event\": \"finished\"}\n");
    assert_string_equal(history_state(&h, 1, 10), "finished");
    assert_int_equal(h.notes[NOTE_EVENT].n, 6);
}

/* ---- the file ---- */

static void append(const char *text)
{
    FILE *f = fopen(at("metrics.jsonl"), "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_follows(int64_t lines, int64_t done)
{
    assert_ok(history_follow(&h));
    assert_int_equal(h.lines, lines);
    assert_int_equal(h.done, done);
}

static void growing_file(void **state)
{
    uint64_t version;
    (void)state;
    unlink(at("metrics.jsonl"));
    assert_ok(history_open(&h, folder));                     /* there is none yet */
    assert_int_equal(h.lines, 0);
    append("{\"step\": 0, \"loss\": 4}\n{\"step\": 1, \"lo");
    assert_follows(1, 1);
    version = h.version;
    assert_follows(1, 1);
    assert_true(h.version == version);                       /* half a line is nothing new */
    append("ss\": 3}\n");
    assert_follows(2, 2);
    assert_true(h.version != version);
    for (int i = 2; i < 500; i++) {
        char line[64];
        snprintf(line, sizeof line, "{\"step\": %d, \"loss\": 2}\n", i);
        append(line);
    }
    assert_follows(500, 500);
}

static void replaced_file(void **state)
{
    (void)state;
    write_text(at("metrics.jsonl"), "{\"step\": 0, \"loss\": 4}\n{\"step\": 1, \"loss\": 4}\n");
    assert_ok(history_open(&h, folder));
    assert_follows(2, 2);
    write_text(at("metrics.jsonl"), "{\"step\": 0, \"loss\": 5}\n{\"step\": 1, \"loss\": 5}\n{\"step\": 2, \"loss\": 5}\n");      /* by renaming, and longer */
    assert_follows(3, 3);
    assert_true(series_of(SERIES_LOSS)->point[0].sum == 5);
    assert_int_equal(truncate(at("metrics.jsonl"), 23), 0);  /* cut in place */
    assert_follows(1, 1);
    append("{\"step\": 1, \"loss\": 6}\n");
    assert_follows(2, 2);
    assert_int_equal(truncate(at("metrics.jsonl"), 0), 0);   /* cut and grown again before anybody looked */
    append("{\"step\": 7, \"loss\": 7}\n{\"step\": 8, \"loss\": 7}\n{\"step\": 9, \"loss\": 7}\n");
    assert_follows(3, 10);
    unlink(at("metrics.jsonl"));                             /* gone for the moment: what is known stays */
    assert_follows(3, 10);
    append("{\"step\": 0, \"loss\": 9}\n");
    assert_follows(1, 1);
}

static void no_file(void **state)
{
    (void)state;
    unlink(at("metrics.jsonl"));
    assert_ok(dir_make(at("metrics.jsonl")));
    assert_fails(history_open(&h, folder), E_DATA, "metrics.jsonl is not a regular file");
    assert_ok(dir_remove(at("metrics.jsonl")));
    assert_ok(history_open(&h, at("nowhere")));
    assert_int_equal(h.lines, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define test(f) cmocka_unit_test_teardown(f, close_history)
        test(all_kinds), test(old_lines), test(hostile_lines), test(endless_line), test(long_series), test(any_order), test(smoothing),
        test(many_notes), test(notes_that_go_on), test(resumed), test(growing_file), test(replaced_file), test(no_file),
#undef test
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
