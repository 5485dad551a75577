/* verb_sweep.c -- nib sweep CONFIG --key=a,b,c: a run for each combination, one after another, and all of them beside each other at the end.
 *
 * Each is a nib train in a process of its own, in a folder that is named after its values.  What a folder says decides what is still to be done, so the same
 * command goes on where it was stopped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/run_folder.h"
#include "train/retention.h"
#include "train/train.h"

static const char USAGE[] =
    "nib sweep CONFIG ... --key=a,b,c [--other=d,e ...] [--key=value ...]\n\n"
    "Trains once for each combination of the values that are listed with commas, one after another, in folders of --out_dir (unless it is\n"
    "given: the configuration's, with -sweep behind it). Started again it goes on. At the end: a table, the best first, and\n"
    "OUT/report.html with all curves.\n";

enum { MOST_AXES = 8, MOST_RUNS = 64, MOST_WORDS = 256 };

struct axis { const char *name; char *values; const char *value[MOST_RUNS]; int n; };
struct one { char name[256], out[PATH_SIZE], out_word[PATH_SIZE + 16]; const char *word[MOST_AXES]; int64_t iterations; };
struct sweep {
    struct axis axis[MOST_AXES]; int axes;
    char *rest[MOST_WORDS]; int n_rest;      /* what all runs have in common */
    const char *out;
    struct one *run; int runs;
    struct arena memory;
};

/* ---- what is listed ---- */

/* "--dropout=0,0.1": an option of nib train with commas in its value, unless they belong there.  NULL: none. */
static int listed(const struct options *o, const char *word, const struct option **option, const char **values)
{
    const char *equals = strchr(word, '=');
    *option = NULL;
    if (strncmp(word, "--", 2) || !equals || !strchr(equals, ',')) return 0;
    const struct option *p = options_find(o, word + 2, (size_t)(equals - word - 2));
    if (!p) return options_unknown(o, word + 2, (size_t)(equals - word - 2), "--");
    *values = equals + 1;
    if (strcmp(p->name, "keep")) *option = p;
    return 0;
}

static int add_axis(struct sweep *w, const struct option *p, const char *values)
{
    FAIL_IF(w->axes == MOST_AXES, E_USAGE, "at most %d options can be listed", MOST_AXES);
    struct axis *a = &w->axis[w->axes++];
    *a = (struct axis){ .name = p->name, .values = arena_copy(&w->memory, values) };
    FAIL_IF(!a->values, E_MEMORY, "no memory for arguments");
    for (char *v = a->values, *comma; v; v = comma) {
        if ((comma = strchr(v, ','))) *comma++ = 0;
        FAIL_IF(!*v, E_USAGE, "--%s=%s: a value is missing", p->name, values);
        FAIL_IF(a->n == MOST_RUNS, E_USAGE, "--%s: at most %d values", p->name, MOST_RUNS);
        a->value[a->n++] = v;
    }
    return 0;
}

static int split(struct sweep *w, const struct options *o, int argc, char **argv)
{
    const struct option *p;
    const char *values;
    for (int i = 0; i < argc; i++) {
        TRY(listed(o, argv[i], &p, &values));
        FAIL_IF(!p && w->n_rest == MOST_WORDS - MOST_AXES - 4, E_USAGE, "too many arguments");
        if (p) TRY(add_axis(w, p, values));
        else w->rest[w->n_rest++] = argv[i];
    }
    FAIL_IF(!w->axes, E_USAGE, "which values? One option at least must list some: --learning_rate=1e-3,3e-4");
    return 0;
}

/* ---- the runs ---- */

static int make_one(struct sweep *w, int number)
{
    struct one *r = &w->run[number];
    for (int i = w->axes - 1; i >= 0; number /= w->axis[i--].n) {        /* the last one changes fastest */
        const char *value = w->axis[i].value[number % w->axis[i].n];
        r->word[i] = arena_format(&w->memory, "--%s=%s", w->axis[i].name, value);
        FAIL_IF(!r->word[i], E_MEMORY, "no memory for arguments");
    }
    for (int i = 0; i < w->axes; i++) {
        size_t n = strlen(r->name);
        FAIL_IF(snprintf(r->name + n, sizeof r->name - n, "%s%s", i ? "," : "", r->word[i] + 2) >= (int)(sizeof r->name - n), E_USAGE, "the values of a run are too long to name its folder");
    }
    for (char *c = r->name; *c; c++)
        if (*c == '/') *c = '_';
    TRY(path_join(r->out, w->out, r->name));
    snprintf(r->out_word, sizeof r->out_word, "--out_dir=%s", r->out);
    return 0;
}

/* Its arguments, without those that only its folder has; returns how many. */
static int words_of(const struct sweep *w, const struct one *r, char *words[MOST_WORDS])
{
    int n = 0;
    for (int i = 0; i < w->n_rest; i++) words[n++] = w->rest[i];
    for (int i = 0; i < w->axes && r; i++) words[n++] = (char *)(uintptr_t)r->word[i];
    return n;
}

/* As nib train will read them; so what is wrong with one of them is known before the first begins.  out (may be NULL): the folder of all
 * runs; a configuration's out_dir is that of a single one, which may be there. */
static int read_settings(struct sweep *w, const struct one *r, struct settings *s, const char **out)
{
    char *words[MOST_WORDS];
    int configs = 0, n = words_of(w, r, words);
    struct options o = { .table = settings_table, .n = settings_count, .values = s, .memory = &w->memory };
    struct text ignored = { 0 };
    int code = options_defaults(&o);
    if (!code) code = cli_find_configs(n, words, &w->memory, &ignored, &configs);
    if (!code) code = options_arguments(&o, &n, words);
    text_free(&ignored);
    if (code || !out) return code;
    const char *origin = options_origin(&o, "out_dir");
    *out = origin && !strcmp(origin, "command line") ? s->out_dir : arena_format(&w->memory, "%s-sweep", s->out_dir);
    FAIL_IF(!*out, E_MEMORY, "no memory for arguments");
    return 0;
}

static int make_runs(struct sweep *w)
{
    struct settings s;
    w->runs = 1;
    for (int i = 0; i < w->axes; i++) {
        w->runs *= w->axis[i].n;
        FAIL_IF(w->runs > MOST_RUNS, E_USAGE, "more than %d combinations; that many runs can be compared", MOST_RUNS);
    }
    FAIL_IF(!(w->run = calloc((size_t)w->runs, sizeof *w->run)), E_MEMORY, "no memory for %d runs", w->runs);
    TRY(read_settings(w, NULL, &s, &w->out));
    for (int i = 0; i < w->runs; i++) {
        TRY(make_one(w, i));
        TRY(read_settings(w, &w->run[i], &s, NULL));
        w->run[i].iterations = s.max_iters;
    }
    return 0;
}

/* ---- how far they are ---- */

enum stand { TO_BEGIN, TO_GO_ON, ENDED, DIVERGED };

static int has_diverged(const struct run_folder *f)
{
    const struct note *list[2 * NOTES_KEPT];
    size_t n = history_happened(&f->history, list);
    while (n > 0 && strcmp(list[n - 1]->name, f->history.state)) n--;
    return n > 0 && !strncmp(list[n - 1]->text, "diverged", 8);
}

static int look(const struct one *r, enum stand *stand)
{
    int64_t *steps;
    size_t n;
    struct text ignored = { 0 };
    struct run_folder f;
    *stand = TO_BEGIN;
    if (!path_is_dir(r->out)) return 0;
    TRY(steps_in(r->out, &steps, &n));
    if (n) *stand = steps[n - 1] >= r->iterations ? ENDED : TO_GO_ON;
    free(steps);
    if (*stand != ENDED && !run_folder_open(&f, r->out, &ignored)) {
        if (!strcmp(f.history.state, "stopped") && has_diverged(&f)) *stand = DIVERGED;
        run_folder_close(&f);
    }
    text_free(&ignored);
    return 0;
}

/* ---- running them ---- */

static int train(const struct sweep *w, const struct one *r, enum stand stand)
{
    char *words[MOST_WORDS + 1] = { 0 };
    int status, n = words_of(w, r, words);
    words[n++] = (char *)(uintptr_t)r->out_word;
    if (stand == TO_GO_ON) words[n++] = (char *)(uintptr_t)"--init_from=resume";
    fflush(stdout);
    pid_t child = fork();
    FAIL_IF(child < 0, E_FAILED, "no process for %s: %m", r->name);
    if (!child) exit(cli_finish(verb_train(n, words)));
    FAIL_IF(waitpid(child, &status, 0) != child, E_FAILED, "%s: its process is lost: %m", r->name);
    FAIL_IF(!WIFEXITED(status), E_FAILED, "%s: its process was ended by signal %d; the same command goes on", r->name, WTERMSIG(status));
    if (WEXITSTATUS(status) == E_STOPPED || interrupted) printf("stopped in %s; the same command goes on\n", r->name);
    error_clear();                                           /* its process has said it */
    return WEXITSTATUS(status) == E_DIVERGED ? 0 : WEXITSTATUS(status);
}

static int train_all(const struct sweep *w)
{
    static const char *const says[] = { [TO_BEGIN] = "", [TO_GO_ON] = ", goes on", [ENDED] = ", is done", [DIVERGED] = ", has diverged" };
    for (int i = 0; i < w->runs; i++) {
        enum stand stand;
        TRY(look(&w->run[i], &stand));
        printf("== %d of %d: %s%s\n", i + 1, w->runs, w->run[i].name, says[stand]);
        if (stand == TO_BEGIN || stand == TO_GO_ON) TRY(train(w, &w->run[i], stand));
    }
    return 0;
}

/* ---- the end ---- */

static double best_of(const struct run_folder *f)
{
    const struct point *p = series_best(&f->history.series[SERIES_VAL_LOSS]);
    return p ? p->least : INFINITY;
}

static int by_best(const void *a, const void *b)
{
    double x = best_of(a), y = best_of(b);
    return (x > y) - (x < y);
}

static void print_row(const struct run_folder *f)
{
    const struct history *h = &f->history;
    const struct point *best = series_best(&h->series[SERIES_VAL_LOSS]);
    struct text t = { 0 };
    if (best) text_format(&t, "%9.4f %9lld ", best->least, (long long)best->least_at);
    else text_add(&t, "        -         - ");
    text_format(&t, "%9.4f %9.4f  ", series_last(&h->series[SERIES_VAL_LOSS]), series_last(&h->series[SERIES_TRAIN_LOSS]));
    size_t n = t.size;
    screen_time(&t, h->seconds);
    printf("%s%*s  %s%s\n", t.at, (int)(n + 8 - t.size), "", path_base(f->path), has_diverged(f) ? "  (diverged)" : "");
    text_free(&t);
}

static int show(const struct sweep *w, struct run_folder *f, struct text *notices)
{
    struct report_run seen[MOST_RUNS];
    char path[PATH_SIZE];
    int n = 0, code = 0;
    for (; n < w->runs && !code; n++) {
        code = run_folder_open(&f[n], w->run[n].out, notices);
        seen[n] = f[n].seen;
        seen[n].name = w->run[n].name;
    }
    if (!code) code = path_join(path, w->out, "report.html");
    if (!code) code = report_write(seen, n, path);
    if (!code) {
        qsort(f, (size_t)n, sizeof *f, by_best);
        printf("\n val loss        at      last     train  time      run\n");
        for (int i = 0; i < n; i++) print_row(&f[i]);
        printf("%s\n", path);
    }
    for (int i = 0; i < n; i++) run_folder_close(&f[i]);
    return code;
}

static int sweep(struct sweep *w, int argc, char **argv, struct text *notices)
{
    struct options o = { .table = settings_table, .n = settings_count };
    TRY(split(w, &o, argc, argv));
    TRY(make_runs(w));
    TRY(train_all(w));
    struct run_folder *f = calloc(MOST_RUNS, sizeof *f);
    FAIL_IF(!f, E_MEMORY, "no memory for %d runs", w->runs);
    int code = show(w, f, notices);
    free(f);
    return code;
}

int verb_sweep(int argc, char **argv)
{
    struct sweep w = { 0 };
    struct text notices = { 0 };
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return printf("%s\nThe options are those of nib train: nib train --help lists them.\n", USAGE) < 0;
    int code = sweep(&w, argc, argv, &notices);
    cli_notices(&notices);
    free(w.run);
    arena_free(&w.memory);
    text_free(&notices);
    return code;
}
