/* test_report.c -- axes, charts, and the page: everything that is known of a run is in it, escaped, and nothing comes from elsewhere. */
#include "report/report.h"

#include <math.h>

#include "base/base64.h"
#include "folder.h"
#include "report/axis.h"
#include "report/html.h"
#include "report/view.h"

static struct text page;

static int forget_page(void **state)
{
    (void)state;
    text_free(&page);
    return 0;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static void assert_has(const char *part)
{
    if (!strstr(page.at, part)) fail_msg("\"%s\" is not in:\n%s", part, page.at);
}

static void assert_lacks(const char *part)
{
    const char *found = strstr(page.at, part);
    if (found) fail_msg("the page has \"%.80s\"", found);
}

/* ---- axes ---- */

static void ticks(void **state)
{
    static const struct { struct axis axis; int most; const char *labels; } rows[] = {
        { { 0, 2000, 0 }, 5, "0 500 1,000 1,500 2,000 " },
        { { 0, 20000, 0 }, 5, "0 5k 10k 15k 20k " },
        { { 0, 600000, 0 }, 6, "0 100k 200k 300k 400k 500k 600k " },
        { { 0, 1.2e7, 0 }, 6, "0 2M 4M 6M 8M 10M 12M " },
        { { 0, 1e-3, 0 }, 5, "0 2e-4 4e-4 6e-4 8e-4 1e-3 " },
        { { 1.43, 4.2, 0 }, 5, "1.5 2.0 2.5 3.0 3.5 4.0 " },
        { { 0.2826, 0.2829, 0 }, 3, "0.2826 0.2827 0.2828 0.2829 " },
        { { -5, 5, 0 }, 4, "-4 -2 0 2 4 " },
        { { 0.25, 6, 1 }, 5, "0.5 1 2 5 " },
        { { 0.09, 40, 1 }, 4, "0.1 1 10 " },
        { { 1e-9, 1e9, 1 }, 5, "1e-8 1e-4 1 10k 100M " },
        { { 2, 3, 1 }, 4, "2.0 2.2 2.4 2.6 2.8 3.0 " },
        { { 3, 3.5, 0 }, 0, "" },
    };
    double tick[MOST_TICKS];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int n = axis_ticks(&rows[i].axis, rows[i].most, tick);
        text_clear(&page);
        text_add(&page, "");
        for (int k = 0; k < n; k++) axis_label(&page, &rows[i].axis, tick, n, k), text_add(&page, " ");
        assert_string_equal(page.at, rows[i].labels);
    }
}

/* Whatever the ends, ticks lie within them, rise, and are not too many; labels are short. */
static void ticks_of_any(void **state)
{
    uint64_t state_ = 3;
    double tick[MOST_TICKS];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        int log = roll(&state_, 2), most = 1 + roll(&state_, 20);
        double from = pow(10, roll(&state_, 60) - 30) * (1 + roll(&state_, 1000)) * (log || roll(&state_, 2) ? 1 : -1), to = from + pow(10, roll(&state_, 60) - 30) * (1 + roll(&state_, 1000));
        if (to - from < 1e-6 * fabs(from)) continue;              /* axis_fit makes none so narrow */
        struct axis a = { from, to, log };
        int n = axis_ticks(&a, most, tick);
        assert_true(n >= 0 && n <= MOST_TICKS && n <= most + 2);
        for (int k = 0; k < n; k++) {
            assert_true(axis_at(&a, tick[k]) > -1e-6 && axis_at(&a, tick[k]) < 1 + 1e-6 && (!k || tick[k] > tick[k - 1]));
            text_clear(&page);
            axis_label(&page, &a, tick, n, k);
            if (page.size > 24 || strstr(page.at, "nan") || strstr(page.at, "inf")) fail_msg("%s", page.at);
        }
    }
}

static void fits(void **state)
{
    double v[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) v[i] = 2 + i % 10 * 0.1;
    v[0] = 1e9;
    struct axis a = axis_fit(v, 1000, 2, 1e9, 0, 0);
    assert_true(a.from < 2 && a.from > 1.9 && a.to > 2.9 && a.to < 3.6);         /* one that is far from all others is left outside */
    assert_true(axis_at(&a, 1e9) == 10 && axis_at(&a, -1e9) == -9);
    a = axis_fit((double[]){ 1, 2, 4, 8, 16 }, 5, 1, 16, 1, 0);
    assert_true(a.log && a.from > 0);
    assert_float_equal(axis_at(&a, 4), 0.5, 1e-9);
    assert_true(axis_at(&a, 0) == -9);
    a = axis_fit((double[]){ 0, 16, 30 }, 3, 0, 30, 1, 0);
    assert_false(a.log);                                     /* 0 has no logarithm */
    for (int i = 0; i < 1000; i++) v[i] = 1 + i % 100;
    v[7] = 1e-9, v[8] = -1;
    a = axis_fit(v, 1000, -1, 100, 1, 0);
    assert_true(a.log && a.from > 0.05 && a.from < 2 && a.to > 99 && a.to < 120);
    a = axis_fit((double[]){ 40, 50, 45 }, 3, 40, 50, 0, 1);
    assert_true(a.from == 0 && a.to > 50);
    a = axis_fit((double[]){ 0 }, 1, 0, 0, 0, 1);
    assert_true(a.from == 0 && a.to > 0);
    a = axis_fit((double[]){ 3 }, 1, 3, 3, 1, 0);
    assert_true(a.from < 3 && a.to > 3);
    a = axis_fit((double[]){ -1e30, 1e30 }, 2, -1e30, 1e30, 0, 0);
    assert_true(a.from <= -1e30 && a.to >= 1e30);
}

/* ---- histories ---- */

static void add(struct history *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct history *h, const char *format, ...)
{
    struct text line = { 0 };
    char bytes[1024];
    va_list args;
    va_start(args, format);
    assert_true(vsnprintf(bytes, sizeof bytes, format, args) < (int)sizeof bytes);
    va_end(args);
    text_format(&line, "%s\n", bytes);
    assert_ok(history_take(h, line.at, line.size));
    text_free(&line);
}

static void add_run(struct history *h, int steps, double loss)
{
    add(h, "{\"step\": 0, \"time\": 1700000000, \"event\": \"started\", \"text\": \"a new run\"}");
    for (int i = 0; i <= steps; i++) {
        double time = 1700000000 + i;
        if (i % 50 == 0) {
            add(h, "{\"step\": %d, \"time\": %f, \"train_loss\": %f, \"val_loss\": %f, \"mib\": %d}", i, time, loss + 2 * exp(-i / 50.0), loss + 0.1 + 2 * exp(-i / 50.0), 61);
            add(h, "{\"step\": %d, \"time\": %f, \"sample\": \"sample at %d\"}", i, time, i);
        }
        if (i == 60 || i == 61) add(h, "{\"step\": %d, \"time\": %f, \"skipped\": \"gradient of h.3\"}", i, time);
        else if (i < steps) add(h, "{\"step\": %d, \"time\": %f, \"loss\": %f, \"lr\": 1e-3, \"grad_norm\": 1.25, \"ms\": 14.8, \"tok_s\": 51891, \"mfu\": 0.41}", i, time, loss + 2 * exp(-i / 50.0) + 0.05 * (i % 3));
    }
    add(h, "{\"step\": %d, \"time\": 1700000500, \"event\": \"save_failed\", \"text\": \"the disk is full\"}", steps);
    add(h, "{\"step\": %d, \"time\": 1700000501, \"event\": \"finished\", \"text\": \"\"}", steps);
}

/* ---- charts ---- */

static void figure(void **state)
{
    struct history h = { 0 };
    struct curve curve[VIEW_CURVES];
    (void)state;
    add_run(&h, 200, 1.5);
    struct chart c = view_chart(&views[0], &h, curve);
    c.mark = (const int64_t[]){ 60 };
    c.marks = 1;
    assert_ok(chart_figure(&page, &c));
    assert_has("<figure class=\"wide\">");
    assert_has("<b>Loss</b>");
    assert_has("<span class=\"key c0\" data-key=\"0\">training</span>");
    assert_has("<polyline class=\"raw c0\" points=\"0,");
    assert_has("<polyline class=\"line c0\" data-key=\"0\" points=\"0,");
    assert_has("<polyline class=\"line c1\" data-key=\"1\" points=\"0,");
    assert_has("<path class=\"dots c1\" d=\"M");
    assert_has("<path class=\"dots c2\" d=\"M");
    assert_has("<span class=\"key event\">events</span>");
    assert_has(" class=\"mark\" d=\"M3000,0v10000\"");
    assert_has("data-x=\"0 200\"");
    assert_has(">200</text>");
    assert_lacks("<polygon");                                /* each point is one iteration: there is no range */
    assert_int_equal(count(page.at, "<svg"), 3);
    assert_int_equal(count(page.at, "</svg>"), 3);
    for (int i = 200; i < 3000; i++) add(&h, "{\"step\": %d, \"loss\": 2}", i);
    text_clear(&page);
    c = view_chart(&views[0], &h, curve);
    assert_ok(chart_figure(&page, &c));
    assert_has("<polygon class=\"range c0\" points=\"");
    history_close(&h);
}

static void empty_figures(void **state)
{
    struct history h = { 0 };
    struct curve curve[VIEW_CURVES];
    (void)state;
    for (int v = 0; v < view_count; v++) {
        struct chart c = view_chart(&views[v], &h, curve);
        assert_true(chart_is_empty(&c));
        assert_ok(chart_figure(&page, &c));
    }
    assert_lacks("<polyline");
    assert_lacks("nan");
    add(&h, "{\"step\": 7, \"loss\": 3}");                   /* one point is a dot */
    struct chart c = view_chart(&views[0], &h, curve);
    assert_ok(chart_figure(&page, &c));
    assert_has("<path class=\"dots c0\" d=\"M0,");
    history_close(&h);
}

/* ---- the page ---- */

struct kept { int64_t layers; double rate; int bias, wandb; const char *data; };
static const struct option table[] = {
    { .name = "n_layer", .kind = OPTION_INT, .offset = offsetof(struct kept, layers), .initial = "12", .help = "" },
    { .name = "learning_rate", .kind = OPTION_REAL, .offset = offsetof(struct kept, rate), .initial = "6e-4", .help = "" },
    { .name = "bias", .kind = OPTION_BOOL, .offset = offsetof(struct kept, bias), .initial = "false", .help = "" },
    { .name = "wandb", .kind = OPTION_BOOL, .offset = offsetof(struct kept, wandb), .initial = "false", .help = "", .flags = OPTION_NO_EFFECT },
    { .name = "dataset", .kind = OPTION_TEXT, .offset = offsetof(struct kept, data), .initial = "my <text>", .help = "" },
};

static void configure(struct report_run *run, struct kept *values, const char *conf, struct arena *memory)
{
    struct options o = { .table = table, .n = sizeof table / sizeof *table, .values = values, .memory = memory };
    assert_ok(options_defaults(&o));
    assert_ok(options_conf(&o, conf, "run.conf"));
    assert_ok(report_options(&o, memory, run));
}

static void options_of_a_run(void **state)
{
    static const struct report_option wanted[] = { { "n_layer", "4", "12" }, { "learning_rate", "0.0006", "0.0006" }, { "bias", "True", "False" }, { "dataset", "a b", "my <text>" } };
    struct arena memory = { 0 };
    struct kept values;
    struct report_run run = { 0 };
    (void)state;
    configure(&run, &values, "n_layer = 4\nlearning_rate = 0.0006\nbias = True\ndataset = \"a b\"\n", &memory);
    assert_int_equal(run.options, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(run.option[i].name, wanted[i].name);
        assert_string_equal(run.option[i].value, wanted[i].value);
        assert_string_equal(run.option[i].initial, wanted[i].initial);
    }
    assert_int_equal(values.layers, 4);                      /* the values are as they were */
    arena_free(&memory);
}

static void one_run(void **state)
{
    struct arena memory = { 0 };
    struct kept values;
    struct history h = { 0 };
    struct report_run run = { .name = "out-tales", .about = "gpt2: 4 layers", .history = &h, .iterations = 250 };
    (void)state;
    setenv("TZ", "UTC", 1);
    add_run(&h, 200, 1.5);
    add(&h, "{\"step\": 2");
    configure(&run, &values, "n_layer = 4\n", &memory);
    assert_ok(report_page(&page, &run, 1));
    static const char *const parts[] = {
        "<title>out-tales</title>", "<h1>out-tales</h1>", "<p class=\"about\">gpt2: 4 layers</p>", "<dt>State</dt><dd>finished<small>2023-11-14 22:21</small>",
        "<dt>Iterations</dt><dd>200<small>of 250</small><small>2 skipped</small>", "<dt>Time</dt><dd>3:20 min<", "<dt>Validation loss</dt><dd>1.6366<small>best, at 200<",
        "<dt>Training loss</dt><dd>1.5", "<dt>Tokens a second</dt><dd>51,891<", "<dt>Memory</dt><dd>61 MiB<",
        "<b>Loss</b>", "<b>Learning rate</b>", "<b>Gradient norm</b>", "<b>Tokens a second</b>", "<b>Memory in MiB</b>",
        "iteration 200, 22:16:40</small>\n<pre dir=\"auto\">\nsample at 200</pre>", "sample at 150</pre>", "sample at 0</pre>",
        "<td class=\"nowrap soft\">2023-11-14 22:13:20<td class=\"n\">0<td class=\"nowrap\">started<td>a new run", "60–61<td class=\"nowrap warn\">skipped × 2<td>gradient of h.3",
        "<td class=\"nowrap warn\">save failed<td>the disk is full", "<tr><td>n_layer<td>4<td class=\"soft\">12</tr>",
        "<span>learning_rate</span><span class=\"soft\">0.0006</span>", "<span>dataset</span><span class=\"soft\">my &lt;text&gt;</span>", "1 line of metrics.jsonl could not be read",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_has(parts[i]);
    assert_lacks("wandb");
    assert_int_equal(count(page.at, "<figure"), 5);
    history_close(&h);
    arena_free(&memory);
}

static void several_runs(void **state)
{
    struct arena memory = { 0 };
    struct kept values[3];
    struct history h[10] = { 0 };
    struct report_run run[10] = { { .name = "a" }, { .name = "b" }, { .name = "c", .alive = 1 } };
    (void)state;
    for (int i = 0; i < 10; i++) run[i].history = &h[i];
    for (int i = 3; i < 10; i++) run[i].name = "more";
    add_run(&h[0], 200, 1.5);
    add_run(&h[1], 100, 2.5);
    add(&h[2], "{\"step\": 0, \"loss\": 3.5}");
    configure(&run[0], &values[0], "n_layer = 4\nbias = True\n", &memory);
    configure(&run[1], &values[1], "n_layer = 6\nbias = True\n", &memory);
    configure(&run[2], &values[2], "bias = True\n", &memory);
    assert_ok(report_page(&page, run, 3));
    static const char *const parts[] = {
        "<h1>3 runs</h1>", "<span class=\"key nowrap c0\">a</span><td class=\"nowrap\">finished<td class=\"n\">200", "<span class=\"key nowrap c1\">b</span><td class=\"nowrap\">finished<td class=\"n\">100",
        "<span class=\"key nowrap c2\">c</span><td class=\"nowrap\">running<td class=\"n\">1", "<td class=\"n\">1.6366<td class=\"n soft\">200<td class=\"n\">1.6366",
        "<b>Validation loss</b>", "<b>Training loss</b>", "<b>Learning rate</b>", "<tr><td>n_layer<td>4<td>6<td>12</tr>", "sample at 200</pre>", "sample at 100</pre>",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_has(parts[i]);
    assert_lacks("<td>bias");
    assert_lacks("sample at 150");
    assert_int_equal(count(page.at, "<figure"), 6);
    assert_int_equal(count(page.at, "data-x=\"0 200\""), 6);     /* all charts over the same steps */
    text_clear(&page);
    assert_ok(report_page(&page, run, 10));                  /* some without anything, more than there are colours */
    assert_has("<span class=\"key nowrap c1 dashed\">more</span>");
    for (int i = 0; i < 3; i++) history_close(&h[i]);
    arena_free(&memory);
}

static void nothing_yet(void **state)
{
    struct history h = { 0 };
    struct report_run run = { .name = "new", .history = &h, .alive = 1 };
    (void)state;
    assert_ok(report_page(&page, &run, 1));
    assert_has("<dd>running<");
    assert_lacks("loss</dt>");
    assert_lacks("<figure");
    assert_lacks("<h2>");
    assert_lacks("nan");
}

/* ---- what strangers write ---- */

static void escaped(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { "<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;" }, { "a\tb\nc\xc3\xa9", "a\tb\nc\xc3\xa9" }, { "\x01\x1b[2J\x7f\xc2\x85", "\xef\xbf\xbd\xef\xbf\xbd[2J\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xff\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" }, { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text_clear(&page);
        text_add(&page, "");
        html_add(&page, rows[i].text);
        assert_string_equal(page.at, rows[i].wanted);
    }
}

static void hostile_run(void **state)
{
    static const char evil[] = "</pre></script></style><script>alert(1)</script><img src=x onerror='alert(1)'>\" onload=\"alert(2)";
    struct history h = { 0 };
    const struct report_option option = { evil, evil, "" };
    struct report_run run[2] = { { evil, evil, &h, 0, 0, &option, 1 }, { "b", NULL, &h, 0, 0, NULL, 0 } };
    struct text quoted = { 0 };
    (void)state;
    for (const char *c = evil; *c; c++) text_format(&quoted, "%s%c", *c == '"' ? "\\" : "", *c);
    add(&h, "{\"step\": 1, \"loss\": 1, \"sample\": \"%s\"}", quoted.at);
    add(&h, "{\"step\": 1, \"skipped\": \"%s\"}", quoted.at);
    add(&h, "{\"step\": 1, \"event\": \"%s\", \"text\": \"%s\"}", quoted.at, quoted.at);
    for (int n = 1; n <= 2; n++) {
        text_clear(&page);
        assert_ok(report_page(&page, run, n));
        assert_int_equal(count(page.at, "<script"), 1);
        assert_int_equal(count(page.at, "</script"), 1);
        assert_int_equal(count(page.at, "</style"), 1);
        assert_int_equal(count(page.at, "<pre"), count(page.at, "</pre"));
        assert_lacks("<img");
        assert_lacks("onerror='");
        assert_lacks("\" onload");
        assert_has("&lt;script&gt;alert(1)");
    }
    text_free(&quoted);
    history_close(&h);
}

/* The policy's hash of what stands between two tags is right: another content would not be run or applied. */
static void assert_hashed(const char *open, const char *close)
{
    const char *from = strstr(page.at, open) + strlen(open), *to = strstr(from, close);
    struct text wanted = { 0 };
    char hex[65];
    unsigned char bytes[32];
    struct sha256 s;
    sha256_start(&s);
    sha256_add(&s, from, (size_t)(to - from));
    sha256_end(&s, hex);
    for (int i = 0; i < 32; i++) assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
    text_add(&wanted, "'sha256-");
    base64_encode(&wanted, bytes, 32);
    text_add(&wanted, "'");
    assert_has(wanted.at);
    text_free(&wanted);
}

static void nothing_from_elsewhere(void **state)
{
    static const char *const names[] = { "http:", "https:", "src=", "href=", "url(", "@import", "<link", "<img", "<iframe", "style=", "eval(", "innerHTML", "fetch(" };
    struct history h = { 0 };
    struct report_run run[2] = { { .name = "a", .history = &h }, { .name = "b", .history = &h } };
    (void)state;
    add_run(&h, 200, 1.5);
    for (int n = 1; n <= 2; n++) {
        text_clear(&page);
        assert_ok(report_page(&page, run, n));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_lacks(names[i]);
        assert_has("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-");
        assert_hashed("<style>", "</style>");
        assert_hashed("<script>", "</script>");
        assert_true(page.size < 300000);
    }
    history_close(&h);
}

static void written(void **state)
{
    struct history h = { 0 };
    struct report_run run = { .name = "a", .history = &h };
    (void)state;
    add_run(&h, 100, 1.5);
    assert_ok(report_write(&run, 1, at("report.html")));
    add(&h, "{\"step\": 100, \"sample\": \"a newer one\"}");
    assert_ok(report_write(&run, 1, at("report.html")));
    assert_ok(file_read(at("report.html"), 1 << 24, &page));
    assert_has("a newer one");
    assert_int_equal(names_in(folder), 1);                   /* nothing is left beside it */
    assert_fails(report_write(&run, 1, at("nowhere/report.html")), E_IO, "nowhere/report.html");
    history_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define test(f) cmocka_unit_test_teardown(f, forget_page)
        test(ticks), test(ticks_of_any), test(fits), test(figure), test(empty_figures), test(options_of_a_run), test(one_run), test(several_runs),
        test(nothing_yet), test(escaped), test(hostile_run), test(nothing_from_elsewhere), test(written),
#undef test
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
