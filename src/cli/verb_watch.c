/* verb_watch.c -- nib watch RUN: what a run does, in another terminal. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/plot.h"
#include "cli/run_folder.h"
#include "report/view.h"

static const char USAGE[] =
    "nib watch RUN\n\n"
    "Draws the curves of a run in the terminal and follows them until it has ended, or Ctrl-C.  Elsewhere than on a terminal\n"
    "it prints one picture, as large as COLUMNS and LINES say.\n\n";

/* ---- the lines above ---- */

static void add_part(struct text *t, const char *name, const struct series *s)
{
    if (s->n) text_format(t, "  %s %.4f", name, series_last(s));
}

/* "step 1,200/2,000  60%  ETA 12 s  loss 1.9512  val 1.9703  51,891 tok/s" */
static void describe_progress(struct text *t, const struct run_folder *r)
{
    const struct history *h = &r->history;
    int64_t all = r->seen.iterations;
    text_add(t, "step ");
    screen_number(t, (double)h->done);
    if (all > 0) {
        text_add(t, "/");
        screen_number(t, (double)all);
        text_format(t, "  %.0f%%", 100 * (double)h->done / (double)all);
    }
    if (r->seen.alive && h->seconds_a_step > 0 && all > h->done) {
        text_add(t, "  ETA ");
        screen_time(t, h->seconds_a_step * (double)(all - h->done));
    }
    add_part(t, "loss", &h->series[SERIES_LOSS]);
    add_part(t, "val", &h->series[SERIES_VAL_LOSS]);
    if (h->series[SERIES_TOK_S].n) {
        text_add(t, "  ");
        screen_number(t, series_last(&h->series[SERIES_TOK_S]));
        text_add(t, " tok/s");
    }
}

static void draw_header(struct plot *p, const struct run_folder *r)
{
    struct text t = { 0 };
    const char *state = history_state(&r->history, r->seen.alive, r->seen.iterations);
    int x = plot_text(p, 0, 0, INK_BOLD, r->name);
    x = plot_text(p, x + 2, 0, strcmp(state, "broke off") ? INK_PLAIN : INK_WARN, state);
    if (r->seen.about) plot_text(p, x + 2, 0, INK_FAINT, r->seen.about);
    describe_progress(&t, r);
    plot_text(p, 0, p->height > 1 ? 1 : 0, INK_PLAIN, t.failed ? "" : t.at);
    text_free(&t);
}

/* ---- the lines below ---- */

static void describe_happening(struct text *t, const struct note *n)
{
    char when[16] = "";
    time_t whole = (time_t)n->time;
    struct tm local;
    if (n->time > 0 && localtime_r(&whole, &local)) strftime(when, sizeof when, "%H:%M:%S  ", &local);
    text_format(t, "%s%lld", when, (long long)n->step);
    if (n->last > n->step) text_format(t, "-%lld", (long long)n->last);
    text_format(t, "  %s  %s", n->name, n->text);
}

/* The newest at the bottom; returns how many rows they take. */
static int draw_happenings(struct plot *p, const struct history *h, int most)
{
    const struct note *list[2 * NOTES_KEPT];
    int n = (int)history_happened(h, list), rows = n < most ? n : most;
    struct text t = { 0 };
    for (int i = 0; i < rows; i++) {
        text_clear(&t);
        describe_happening(&t, list[n - 1 - i]);
        plot_text(p, 0, p->height - 1 - i, INK_FAINT, t.failed ? "" : t.at);
    }
    text_free(&t);
    return rows;
}

/* ---- the picture ---- */

/* The loss, and below it the others side by side, each at least NARROW wide. */
static int draw_charts(struct plot *p, const struct history *h, int top, int rows)
{
    enum { NARROW = 26, MOST = 3, LEAST_ROWS = 18 };
    struct curve curve[VIEW_CURVES];
    int others = rows < LEAST_ROWS ? 0 : p->width / NARROW < MOST ? p->width / NARROW : MOST, small = others ? rows / 3 : 0;
    struct chart c = view_chart(&views[0], h, curve);
    if (rows < 1) return 0;
    TRY(plot_chart(p, 0, top, p->width, rows - small - (small > 0), &c));
    for (int i = 0; i < others; i++) {
        int x = p->width * i / others, end = p->width * (i + 1) / others - (i + 1 < others ? 2 : 0);
        c = view_chart(&views[1 + i], h, curve);
        TRY(plot_chart(p, x, top + rows - small, end - x, small, &c));
    }
    return 0;
}

static int draw(struct plot *p, const struct run_folder *r)
{
    int top = p->height < 8 ? 2 : 3, below = draw_happenings(p, &r->history, p->height < 12 ? 0 : p->height / 8);
    draw_header(p, r);
    if (!r->history.lines) plot_text(p, 0, 2, INK_FAINT, "nothing yet");
    return draw_charts(p, &r->history, top, p->height - top - below - (below > 0));
}

/* first, the picture, `before` in front of each line, last: in one write, so that nothing flickers. */
static int show(const struct run_folder *r, int columns, int rows, const char *first, const char *before, const char *last)
{
    struct plot p;
    struct text out = { 0 };
    TRY(plot_open(&p, columns, rows));
    int code = draw(&p, r);
    text_add(&out, first);
    plot_print(&p, &out, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), before);
    text_add(&out, last);
    if (!code && out.failed) code = error_set(E_MEMORY, __FILE__, __LINE__, "no memory for a picture");
    if (!code) fputs(out.at, stdout), fflush(stdout);
    text_free(&out);
    plot_close(&p);
    return code;
}

/* ---- following ---- */

static volatile sig_atomic_t pauses;                         /* Ctrl-Z was pressed */
static void on_pause(int signal) { (void)signal, pauses = 1; }

static void enter(void) { fputs("\033[?1049h\033[?25l", stdout); }          /* another screen, without a cursor */

static void leave(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
}

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL); }

/* Until the run has ended: drawn when something has come, when the terminal has another size, and once a second. */
static int follow(struct run_folder *r, struct text *notices)
{
    uint64_t seen = 0;
    int code = 0, columns = 0, rows = 0;
    double last = 0;
    for (; !code && !interrupted && r->seen.alive; nap()) {
        int width, height;
        screen_size(STDOUT_FILENO, &width, &height);
        if (pauses) leave(), raise(SIGSTOP), enter(), pauses = 0, last = 0;
        if (r->history.version != seen || width != columns || height != rows || clock_seconds() - last >= 1) {
            code = show(r, width, height, "\033[H", "\033[K", "");       /* cleared first: behind a full line the cursor is still on its last character */
            last = clock_seconds();
        }
        seen = r->history.version, columns = width, rows = height;
        if (!code) code = run_folder_follow(r, notices);
    }
    return code;
}

static int watch_run(struct run_folder *r, struct text *notices)
{
    int columns, rows;
    if (isatty(STDOUT_FILENO) && r->seen.alive) {
        signal(SIGTSTP, on_pause);
        enter();
        int code = follow(r, notices);
        leave();
        if (code) return code;
    }
    screen_size(STDOUT_FILENO, &columns, &rows);
    return show(r, columns, rows - isatty(STDOUT_FILENO), "", "", "\n");     /* on a terminal the prompt has a line, too */
}

static int watch(struct options *o, int argc, char **argv)
{
    struct run_folder r = { 0 };
    (void)argc;
    int code = run_folder_open(&r, argv[0], o->notices);
    if (!code) code = watch_run(&r, o->notices);
    run_folder_close(&r);
    return code;
}

int verb_watch(int argc, char **argv)
{
    return cli_run(&(struct command){ NULL, 0, 1, 1, 0, USAGE, watch }, NULL, argc, argv);
}
