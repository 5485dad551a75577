/* test_screen.c -- the line that moves is one line on any terminal, whatever it says. */
#include "terminal.h"

#include "cli/screen.c"

static struct terminal t;

/* Standard error becomes a terminal of this width for one line, twice drawn and taken away. */
static void draw(int columns, const char *text)
{
    int slave = terminal_open(&t, columns, 3), kept = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    screen_line(text, 1);
    screen_line(text, 1);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(slave);
    while (terminal_read(&t)) continue;
    close(t.master);
}

static void assert_one_line(int columns, const char *text)
{
    if (t.wraps || t.scrolls || t.y || t.x >= t.columns) fail_msg("%d columns: %d wraps, the cursor at %d, %d: %s", columns, t.wraps, t.x, t.y, text);
}

static void any_width(void **state)
{
    static const char *const texts[] = {
        "step 1200/5000  loss 2.4512  val 2.4703  lr 1.0e-03  norm 1.21  51,891 tok/s  41% of peak  ETA 2 min  ▁▂▃▄▅▆▇█▇▆▅▄▃▂▁▁▂▃▄▅▆▇█▇▆▅▄▃▂▁",
        "模型/中文名稱  1.5 of 20.1 MB  7%  模型/中文名稱模型/中文名稱模型/中文名稱模型/中文名稱模型/中文名稱",
        "e\xcc\x81\xcc\x82\xcc\x83 combining, \xf0\x9f\x98\x80 emoji, \xe2\x9d\xa4\xef\xb8\x8f, \xef\xbc\xa1 full width",
        "\x1b[2J\x1b[31mred\r\nnew\tline\x07\x7f\xc2\x9b;31m \xff\xfe\xe4\xb8 \xe2\x80\xae \xe2\x80\xa8 \xef\xbf\xbf \xf3\xa0\x80\x81",
        "",
    };
    static const int widths[] = { 1, 2, 3, 4, 5, 10, 19, 20, 21, 40, 79, 80, 81, 132, 300 };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
            draw(widths[k], texts[i]);
            assert_one_line(widths[k], texts[i]);
        }
}

/* As much is shown as fits, and what cannot be shown is a question mark. */
static void what_fits(void **state)
{
    static const struct { int columns; const char *text, *wanted; } rows[] = {
        { 5, "abcdef", "abcd" }, { 6, "中文字", "中文" }, { 7, "中文字", "中文字" }, { 1, "abc", "" }, { 20, "a\x1b[2Jb\xff", "a?[2Jb?" }, { 20, "", "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        draw(rows[i].columns, rows[i].text);
        assert_string_equal(terminal_row(&t, 0), rows[i].wanted);
    }
}

/* A terminal that does not know its size: COLUMNS, if that says something sensible, else 80. */
static void unknown_width(void **state)
{
    static const struct { const char *columns; int shown; } rows[] = { { NULL, 79 }, { "30", 29 }, { "1", 0 }, { "0", 79 }, { "-5", 79 }, { "many", 79 }, { "99999999999999999999", 79 } };
    char text[200];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].columns) setenv("COLUMNS", rows[i].columns, 1);
        else unsetenv("COLUMNS");
        draw(0, text);
        assert_one_line(0, text);
        assert_int_equal(strlen(terminal_row(&t, 0)), rows[i].shown);
    }
    setenv("COLUMNS", "10", 1);
    draw(40, text);
    assert_int_equal(strlen(terminal_row(&t, 0)), 39);       /* who knows is believed */
    unsetenv("COLUMNS");
}

static void taken_away(void **state)
{
    (void)state;
    int slave = terminal_open(&t, 40, 3), kept = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    screen_line("a line", 1);
    screen_clear();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(slave);
    while (terminal_read(&t)) continue;
    close(t.master);
    assert_string_equal(terminal_row(&t, 0), "");
    assert_int_equal(t.x, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(any_width), cmocka_unit_test(what_fits), cmocka_unit_test(unknown_width), cmocka_unit_test(taken_away) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
