/* verb_report.c -- nib report RUN ...: a run as a page, or several beside each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/run_folder.h"

enum { MOST_RUNS = 64 };

struct report_options { const char *out; };

static const char USAGE[] =
    "nib report RUN ... [--out=FILE]\n\n"
    "Draws what metrics.jsonl of a run folder says: curves, samples, events and the configuration, as one HTML file that needs\n"
    "nothing else.  Several runs are laid over each other.\n\n";

static const struct option table[] = {
    { "out", OPTION_TEXT, offsetof(struct report_options, out), "auto", .help = "the page; auto: report.html in the run's folder, or here if there are several runs" },
};

static int write_page(const struct report_options *o, const struct run_folder *run, int n)
{
    char path[PATH_SIZE];
    struct report_run seen[MOST_RUNS];
    for (int i = 0; i < n; i++) seen[i] = run[i].seen;
    if (strcmp(o->out, "auto")) TRY(path_join(path, "", o->out));
    else TRY(path_join(path, n == 1 ? run->path : "", "report.html"));
    TRY(report_write(seen, n, path));
    puts(path);
    return 0;
}

static int report(struct options *o, int argc, char **argv)
{
    int n = 0, code = 0;
    struct run_folder *run = calloc((size_t)argc, sizeof *run);
    FAIL_IF(!run, E_MEMORY, "no memory for %d runs", argc);
    while (n < argc && !code) code = run_folder_open(&run[n], argv[n], o->notices), n++;
    if (!code) code = write_page(o->values, run, n);
    for (int i = 0; i < n; i++) run_folder_close(&run[i]);
    free(run);
    return code;
}

int verb_report(int argc, char **argv)
{
    struct report_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 1, MOST_RUNS, 0, USAGE, report }, &o, argc, argv);
}
