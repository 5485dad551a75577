/* cli.h -- what the verbs share.  Only this folder prints or exits. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"

/* A verb gets the arguments behind its name and returns 0 or an error code, which becomes the exit status. */
int verb_data(int argc, char **argv);
int verb_train(int argc, char **argv);
int verb_sample(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_sweep(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_tales(int argc, char **argv);
int verb_tokenizer(int argc, char **argv);
int verb_report(int argc, char **argv);
int verb_watch(int argc, char **argv);
int verb_export(int argc, char **argv);

extern volatile sig_atomic_t interrupted;    /* Ctrl-C was pressed; a second time ends the program at once */

int cli_finish(int code);                /* what was printed goes out, an error is said; the exit status */

/* Sets the options of a verb from its arguments, prints notices, and --help with the usage lines above it.  *done: nothing else is
 * to be done.  Other arguments are left in argv; more than `most` of them is an error. */
int cli_options(struct options *o, int *argc, char **argv, int most, const char *usage, int *done);
/* All that stands around a command: its options are set, and run() gets what is left of the arguments; or --help is printed.  Notices are printed
 * before and behind.  run() finds the values, an arena and the notices in *o. */
struct command {
    const struct option *table; int options;
    int least, most;                         /* other arguments */
    int configs;                             /* they may be configurations, which are found by cli_find_configs */
    const char *usage;
    int (*run)(struct options *o, int argc, char **argv);
};
int cli_run(const struct command *c, void *values, int argc, char **argv);
/* Arguments that name a configuration which is not here become the path of ours: nanoGPT's config/train_NAME.py is config/NAME.conf, beside the program or
 * installed.  *configs: how many there were. */
int cli_find_configs(int argc, char **argv, struct arena *memory, struct text *notices, int *configs);
/* The options of nib train, and a few more; a struct settings stands first in the values.  Returns how many. */
enum { CLI_SETTINGS = 80 };
int cli_settings(struct option *table, const struct option *more, int n);
#define CLI_TABLE(t) t, (int)(sizeof t / sizeof *t)

int cli_tell_data(const char *name);         /* what nib data info says (verb_data.c) */

void cli_notices(struct text *notices);      /* prints them to stderr, "note: " before each, and empties the text */

/* ---- the terminal (screen.c) ---- */

int  screen_is_terminal(void);               /* stderr; then the line below moves */
void screen_size(int fd, int *columns, int *rows);           /* as the terminal says, else COLUMNS and LINES, else 80 and 24 */
int  screen_columns(int32_t point);          /* how many a character takes, 0 to 2; -1: it is none to be shown, and ? stands for it */
/* Shows a line that the next one replaces; elsewhere than on a terminal nothing.  At most ten a second, unless forced. */
void screen_line(const char *text, int force);
void screen_clear(void);                     /* takes the line away, before something stays */
void screen_transfer(void *context, uint64_t now, uint64_t all);     /* a progress line; context: what is going on, a text */
void screen_time(struct text *out, double seconds);                  /* "4 s", "12 min", "3.5 h" */
void screen_number(struct text *out, double n);                      /* "804,096" */
void screen_spark(struct text *out, const double *values, int n);    /* a curve in one line */

#endif
