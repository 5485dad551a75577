/* report.c -- the page, from top to bottom. */
#include "report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/embed.h"
#include "base/error.h"
#include "report/html.h"
#include "report/view.h"

EMBED(report_css, "report/report.css");
EMBED(report_js, "report/report.js");

struct page { struct text *out; const struct report_run *run; int n; int64_t last; };         /* last: the longest run's */

/* ---- numbers as people write them ---- */

static void add_whole(struct text *out, double x) { axis_number(out, x, 1, fmax(fabs(x), 1)); }

static void add_loss(struct text *out, double x)
{
    if (isnan(x)) text_add(out, "–");
    else text_format(out, "%.4f", x);
}

/* "45 s", "4:42 min", "3:20 h", "2 d 4 h" */
static void add_span(struct text *out, double seconds)
{
    long s = lround(fmin(seconds, 1e9));
    if (s < 60) text_format(out, "%ld s", s);
    else if (s < 3600) text_format(out, "%ld:%02ld min", s / 60, s % 60);
    else if (s < 86400) text_format(out, "%ld:%02ld h", s / 3600, s / 60 % 60);
    else text_format(out, "%ld d %ld h", s / 86400, s / 3600 % 24);
}

static void add_moment(struct text *out, double t, const char *format)
{
    time_t whole = (time_t)t;
    struct tm local;
    char line[64] = "";
    if (t > 0 && localtime_r(&whole, &local)) strftime(line, sizeof line, format, &local);
    text_add(out, line);
}

static double smoothed_last(const struct series *s)
{
    double *smooth = s->n ? malloc(s->n * sizeof *smooth) : NULL, last = NAN;
    if (smooth) series_smooth(s, smooth), last = smooth[s->n - 1];
    free(smooth);
    return last;
}

/* ---- the head ---- */

/* 'sha256-...' of what stands between the tags: whoever gets something else into the page has not this hash. */
static void add_source(struct text *out, const char *text, const char *end)
{
    struct sha256 s;
    char hex[65];
    unsigned char bytes[32];
    sha256_start(&s);
    sha256_add(&s, text, (size_t)(end - text));
    sha256_end(&s, hex);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)strtoul((const char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
    text_add(out, "'sha256-");
    base64_encode(out, bytes, sizeof bytes);
    text_add(out, "'");
}

static void add_title(const struct page *p)
{
    if (p->n == 1) html_add(p->out, p->run->name);
    else text_format(p->out, "%d runs", p->n);
}

static void add_head(const struct page *p)
{
    text_add(p->out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src ");
    add_source(p->out, report_css, report_css_end);
    text_add(p->out, "; script-src ");
    add_source(p->out, report_js, report_js_end);
    text_add(p->out, "\">\n<title>");
    add_title(p);
    text_add(p->out, "</title>\n<style>");
    text_add(p->out, report_css);
    text_add(p->out, "</style>\n<main>\n<h1>");
    add_title(p);
    text_add(p->out, "</h1>\n");
    if (p->n > 1 || !p->run->about) return;
    text_add(p->out, "<p class=\"about\">");
    html_add(p->out, p->run->about);
    text_add(p->out, "</p>\n");
}

/* ---- the figures of one run ---- */

static void add_state(struct text *out, const struct report_run *r)
{
    const char *state = history_state(r->history, r->alive, r->iterations);
    text_format(out, strcmp(state, "broke off") ? "%s" : "<span class=\"warn\">%s</span>", state);
}

static void add_small(struct text *out, const char *before, double x, const char *after)
{
    text_format(out, "<small>%s", before);
    add_whole(out, x);
    text_format(out, "%s</small>", after);
}

static void figure_state(struct text *out, const struct report_run *r)
{
    add_state(out, r);
    if (r->history->time > 0) add_moment(out, r->history->time, "<small>%Y-%m-%d %H:%M</small>");
}

static void figure_iterations(struct text *out, const struct report_run *r)
{
    int64_t skipped = r->history->notes[NOTE_SKIPPED].count;
    add_whole(out, (double)r->history->done);
    if (r->iterations) add_small(out, "of ", (double)r->iterations, "");
    if (skipped) add_small(out, "", (double)skipped, " skipped");
}

static void figure_time(struct text *out, const struct report_run *r)
{
    if (r->history->seconds > 0) add_span(out, r->history->seconds);
}

static void figure_val_loss(struct text *out, const struct report_run *r)
{
    const struct point *best = series_best(&r->history->series[SERIES_VAL_LOSS]);
    if (!best) return;
    add_loss(out, best->least);
    add_small(out, "best, at ", (double)best->least_at, "");
}

static void figure_loss(struct text *out, const struct report_run *r)
{
    double loss = smoothed_last(&r->history->series[SERIES_LOSS]);
    if (isnan(loss)) return;
    add_loss(out, loss);
    text_add(out, "<small>smoothed</small>");
}

static void figure_tok_s(struct text *out, const struct report_run *r)
{
    double tok_s = smoothed_last(&r->history->series[SERIES_TOK_S]);
    if (!isnan(tok_s)) add_whole(out, tok_s);
}

static void figure_memory(struct text *out, const struct report_run *r)
{
    double mib = series_last(&r->history->series[SERIES_MIB]);
    if (isnan(mib)) return;
    add_whole(out, mib);
    text_add(out, " MiB");
}

/* One that is not known writes nothing. */
static const struct { const char *name; void (*add)(struct text *out, const struct report_run *r); } figures[] = {
    { "State", figure_state }, { "Iterations", figure_iterations }, { "Time", figure_time }, { "Validation loss", figure_val_loss }, { "Training loss", figure_loss },
    { "Tokens a second", figure_tok_s }, { "Memory", figure_memory },
};

static void add_figures(const struct page *p)
{
    struct text value = { 0 };
    text_add(p->out, "<dl>\n");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        text_clear(&value);
        figures[i].add(&value, p->run);
        if (value.size) text_format(p->out, "<div><dt>%s</dt><dd>%s</dd></div>\n", figures[i].name, value.at);
    }
    text_add(p->out, "</dl>\n");
    p->out->failed |= value.failed;
    text_free(&value);
}

/* ---- the figures of several ---- */

static void add_name(const struct page *p, int i)
{
    text_format(p->out, "<span class=\"key nowrap c%d%s\">", i % COLOURS, i >= COLOURS ? " dashed" : "");
    html_add(p->out, p->run[i].name);
    text_add(p->out, "</span>");
}

static void open_cell(struct text *out) { text_add(out, "<td class=\"n\">"); }

static void add_row(const struct page *p, int i)
{
    struct text *out = p->out;
    const struct report_run *r = &p->run[i];
    const struct series *val = &r->history->series[SERIES_VAL_LOSS];
    const struct point *best = series_best(val);
    text_add(out, "<tr><td>"), add_name(p, i);
    text_add(out, "<td class=\"nowrap\">"), add_state(out, r);
    open_cell(out), add_whole(out, (double)r->history->done);
    open_cell(out), figure_time(out, r);
    open_cell(out), add_loss(out, best ? best->least : NAN);
    text_add(out, "<td class=\"n soft\">");
    if (best) add_whole(out, (double)best->least_at);
    open_cell(out), add_loss(out, series_last(val));
    open_cell(out), add_loss(out, smoothed_last(&r->history->series[SERIES_LOSS]));
    open_cell(out), figure_tok_s(out, r);
    text_add(out, "</tr>\n");
}

static void add_rows(const struct page *p)
{
    text_add(p->out, "<div class=\"scroll\"><table>\n<tr><th>Run<th>State<th class=\"n\">Iterations<th class=\"n\">Time<th class=\"n\">Best validation loss"
             "<th class=\"n\">at<th class=\"n\">Last<th class=\"n\">Training loss<th class=\"n\">Tokens a second</tr>\n");
    for (int i = 0; i < p->n; i++) add_row(p, i);
    text_add(p->out, "</table></div>\n");
}

/* ---- charts ---- */

/* Of one run what happened is marked. */
static int add_own_charts(const struct page *p)
{
    const struct note *list[2 * NOTES_KEPT];
    int64_t mark[2 * NOTES_KEPT];
    size_t n = history_happened(p->run->history, list), marks = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i]->name, "saved") && strcmp(list[i]->name, "started") && strcmp(list[i]->name, "finished")) mark[marks++] = list[i]->step;
    for (int v = 0; v < view_count; v++) {
        struct curve curve[VIEW_CURVES];
        struct chart c = view_chart(&views[v], p->run->history, curve);
        c.mark = mark;
        c.marks = marks;
        if (!chart_is_empty(&c)) TRY(chart_figure(p->out, &c));
    }
    return 0;
}

static int add_shared_chart(const struct page *p, const struct view *v, int which, struct curve *curve)
{
    for (int i = 0; i < p->n; i++) curve[i] = (struct curve){ p->run[i].name, &p->run[i].history->series[v->curve[which].kind], v->curve[which].style, i };
    struct chart c = { .title = v->curve[which].alone, .curve = curve, .n = p->n, .log = v->log, .zero = v->zero, .wide = v->wide, .last = p->last };
    return chart_is_empty(&c) ? 0 : chart_figure(p->out, &c);
}

static int add_shared_charts(const struct page *p)
{
    struct curve *curve = calloc((size_t)p->n, sizeof *curve);
    int code = 0;
    FAIL_IF(!curve, E_MEMORY, "no memory for the curves of %d runs", p->n);
    for (int v = 0; v < view_count; v++)
        for (int k = views[v].n; k-- > 0 && !code;)          /* the validation loss first */
            if (views[v].curve[k].alone) code = add_shared_chart(p, &views[v], k, curve);
    free(curve);
    return code;
}

static int add_charts(const struct page *p)
{
    text_format(p->out, "<div class=\"charts%s\">\n", p->n > 1 ? " many" : "");
    TRY(p->n == 1 ? add_own_charts(p) : add_shared_charts(p));
    text_add(p->out, "</div>\n");
    return 0;
}

/* ---- samples ---- */

static void add_sample(const struct page *p, int run, const struct note *n)
{
    text_add(p->out, "<small>");
    if (p->n > 1) add_name(p, run), text_add(p->out, ", ");
    text_add(p->out, "iteration ");
    add_whole(p->out, (double)n->step);
    if (n->time > 0) add_moment(p->out, n->time, ", %H:%M:%S");
    text_add(p->out, "</small>\n<pre dir=\"auto\">\n");             /* the line end behind <pre> is dropped */
    html_add(p->out, n->text);
    text_add(p->out, "</pre>\n");
}

/* The newest first; of several runs the newest of each. */
static void add_samples(const struct page *p)
{
    int any = 0;
    for (int r = 0; r < p->n; r++) {
        const struct notes *s = &p->run[r].history->notes[NOTE_SAMPLE];
        if (!s->n) continue;
        if (!any++) text_add(p->out, "<h2>What it writes</h2>\n");
        add_sample(p, r, &s->kept[s->n - 1]);
        if (p->n > 1 || s->n == 1) continue;
        text_add(p->out, "<details><summary>Before</summary>\n");
        for (size_t i = s->n - 1; i-- > 0;) add_sample(p, r, &s->kept[i]);
        text_add(p->out, "</details>\n");
    }
}

/* ---- what happened ---- */

static void add_steps(struct text *out, const struct note *n)
{
    add_whole(out, (double)n->step);
    if (n->last > n->step) text_add(out, "–"), add_whole(out, (double)n->last);
}

static int is_warning(const char *name)
{
    static const char *const names[] = { "save_failed", "rejected", "rolled_back", "skipped" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return 1;
    return 0;
}

static void add_happening(const struct page *p, int run, const struct note *n)
{
    text_add(p->out, "<tr><td class=\"nowrap soft\">");
    add_moment(p->out, n->time, "%Y-%m-%d %H:%M:%S");
    if (p->n > 1) text_add(p->out, "<td>"), add_name(p, run);
    text_add(p->out, "<td class=\"n\">");
    add_steps(p->out, n);
    text_format(p->out, "<td class=\"nowrap%s\">", is_warning(n->name) ? " warn" : "");
    for (const char *c = n->name; *c; c++) html_add(p->out, (const char[]){ *c == '_' ? ' ' : *c, 0 });
    if (n->n > 1) text_format(p->out, " × %lld", (long long)n->n);
    text_add(p->out, "<td>");
    html_add(p->out, n->text);
    text_add(p->out, "</tr>\n");
}

static void open_happenings(const struct page *p)
{
    text_format(p->out, "<h2>What happened</h2>\n<div class=\"scroll\"><table class=\"all\">\n<tr><th>Time%s<th class=\"n\">Iteration<th>Event<th></tr>\n", p->n > 1 ? "<th>Run" : "");
}

static void add_happenings(const struct page *p)
{
    const struct note *list[2 * NOTES_KEPT];
    int64_t dropped = 0;
    int any = 0;
    for (int r = 0; r < p->n; r++) {
        const struct notes *notes = p->run[r].history->notes;
        size_t n = history_happened(p->run[r].history, list);
        if (n && !any++) open_happenings(p);
        for (size_t i = 0; i < n; i++) add_happening(p, r, list[i]);
        dropped += notes[NOTE_EVENT].dropped + notes[NOTE_SKIPPED].dropped;
    }
    if (any) text_add(p->out, "</table></div>\n");
    if (dropped) text_format(p->out, "<p class=\"soft\">%lld more, in the middle, are only in metrics.jsonl.</p>\n", (long long)dropped);
}

/* ---- configuration ---- */

static int is_changed(const struct report_option *o) { return strcmp(o->value, o->initial) != 0; }

static void add_own_options(const struct page *p)
{
    const struct report_option *o = p->run->option, *end = o + p->run->options;
    if (o == end) return;
    text_add(p->out, "<h2>Configuration</h2>\n<div class=\"scroll\"><table>\n<tr><th>Option<th>Value<th>Default</tr>\n");
    for (; o < end; o++) {
        if (!is_changed(o)) continue;
        text_add(p->out, "<tr><td>"), html_add(p->out, o->name);
        text_add(p->out, "<td>"), html_add(p->out, o->value);
        text_add(p->out, "<td class=\"soft\">"), html_add(p->out, o->initial);
        text_add(p->out, "</tr>\n");
    }
    text_add(p->out, "</table></div>\n<details><summary>As they are by default</summary>\n<div class=\"columns\">\n");
    for (o = p->run->option; o < end; o++) {
        if (is_changed(o)) continue;
        text_add(p->out, "<div><span>"), html_add(p->out, o->name);
        text_add(p->out, "</span><span class=\"soft\">"), html_add(p->out, o->value);
        text_add(p->out, "</span></div>\n");
    }
    text_add(p->out, "</div></details>\n");
}

static const char *value_of(const struct report_run *r, const char *name)
{
    for (int i = 0; i < r->options; i++)
        if (!strcmp(r->option[i].name, name)) return r->option[i].value;
    return "–";
}

static int differs(const struct page *p, const char *name)
{
    for (int i = 1; i < p->n; i++)
        if (strcmp(value_of(&p->run[i], name), value_of(&p->run[0], name))) return 1;
    return 0;
}

/* Options are those of the run that has most: one without a configuration has none. */
static void add_differences(const struct page *p)
{
    const struct report_run *most = p->run;
    int any = 0;
    for (int i = 1; i < p->n; i++) most = p->run[i].options > most->options ? &p->run[i] : most;
    for (const struct report_option *o = most->option; o < most->option + most->options; o++) {
        if (!differs(p, o->name)) continue;
        if (!any++) {
            text_add(p->out, "<h2>Where their configurations differ</h2>\n<div class=\"scroll\"><table>\n<tr><th>Option");
            for (int i = 0; i < p->n; i++) text_add(p->out, "<th>"), add_name(p, i);
            text_add(p->out, "</tr>\n");
        }
        text_add(p->out, "<tr><td>"), html_add(p->out, o->name);
        for (int i = 0; i < p->n; i++) text_add(p->out, "<td>"), html_add(p->out, value_of(&p->run[i], o->name));
        text_add(p->out, "</tr>\n");
    }
    if (any) text_add(p->out, "</table></div>\n");
}

/* ---- the whole ---- */

static void add_foot(const struct page *p)
{
    int64_t unreadable = 0;
    for (int i = 0; i < p->n; i++) unreadable += p->run[i].history->unreadable;
    text_add(p->out, "<footer>nib, ");
    add_moment(p->out, (double)time(NULL), "%Y-%m-%d %H:%M:%S");
    if (unreadable) text_format(p->out, "; %lld line%s of metrics.jsonl could not be read", (long long)unreadable, unreadable == 1 ? "" : "s");
    text_add(p->out, "</footer>\n</main>\n<script>");
    text_add(p->out, report_js);
    text_add(p->out, "</script>\n</html>\n");
}

int report_page(struct text *out, const struct report_run *run, int n)
{
    struct page p = { .out = out, .run = run, .n = n };
    for (int i = 0; i < n; i++) p.last = run[i].history->done > p.last ? run[i].history->done : p.last;
    add_head(&p);
    if (n == 1) add_figures(&p);
    else add_rows(&p);
    TRY(add_charts(&p));
    if (n > 1) add_differences(&p);
    add_samples(&p);
    add_happenings(&p);
    if (n == 1) add_own_options(&p);
    add_foot(&p);
    FAIL_IF(out->failed, E_MEMORY, "no memory for a page");
    return 0;
}

int report_write(const struct report_run *run, int n, const char *path)
{
    struct text out = { 0 };
    int code = report_page(&out, run, n);
    if (!code) code = file_write(path, out.at, out.size);
    text_free(&out);
    return code;
}

/* ---- from options ---- */

/* The default in the form of a value, so that 6e-4 is no change of 0.0006: the table is set anew, into memory of its own. */
static int defaults_of(const struct options *o, struct arena *memory, struct options *d)
{
    size_t size = 0;
    for (int i = 0; i < o->n; i++) size = o->table[i].offset > size ? o->table[i].offset : size;
    *d = (struct options){ .table = o->table, .n = o->n, .memory = memory, .values = arena_take(memory, size + sizeof(double)) };
    FAIL_IF(!d->values, E_MEMORY, "no memory for a configuration");
    return options_defaults(d);
}

/* A text as it is, all else in the notation of configurations. */
static const char *written(const struct options *o, const struct option *p, struct arena *memory)
{
    struct text t = { 0 };
    struct value v = options_value(o, p);
    if (v.kind == VALUE_TEXT) text_add(&t, v.text);
    else value_write(v, &t);
    const char *copy = t.failed ? NULL : arena_copy(memory, t.at);
    text_free(&t);
    return copy;
}

int report_options(const struct options *o, struct arena *memory, struct report_run *run)
{
    struct options d;
    struct report_option *list = arena_take(memory, (size_t)o->n * sizeof *list);
    TRY(defaults_of(o, memory, &d));
    run->option = list;
    run->options = 0;
    for (const struct option *p = o->table; list && p < o->table + o->n; p++) {
        if (p->flags & OPTION_NO_EFFECT) continue;
        *list++ = (struct report_option){ p->name, written(o, p, memory), written(&d, p, memory) };
        run->options++;
        if (!list[-1].value || !list[-1].initial) list = NULL;
    }
    FAIL_IF(!list, E_MEMORY, "no memory for a configuration");
    return 0;
}

#ifdef FUZZ_HISTORY_PAGE
#include "base/utf8.h"

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* Whatever a run says and is called, the page has the tags that are meant. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history h = { 0 };
    char *name = strndup((const char *)data, size);
    struct report_option option = { name, name, "" };
    struct report_run run[2] = { { name, name, &h, 0, 0, &option, 1 }, { "other", NULL, &h, 1, 1, NULL, 0 } };
    if (!name || history_take(&h, (const char *)data, size)) abort();
    for (int n = 1; n <= 2; n++) {
        struct text page = { 0 };
        if (report_page(&page, run, n)) abort();
        if (strlen(page.at) != page.size || utf8_good(page.at, page.size) != page.size) abort();
        if (count(page.at, "<script") != 1 || count(page.at, "<style") != 1 || count(page.at, "<pre") != count(page.at, "</pre>") || count(page.at, "<img")) abort();
        if (count(page.at, "<svg") != count(page.at, "</svg>") || count(page.at, "<figure") != count(page.at, "</figure>")) abort();
        text_free(&page);
    }
    history_close(&h);
    free(name);
    return 0;
}
#endif
