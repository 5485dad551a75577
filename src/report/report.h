/* report.h -- report.html: a run seen at a glance, or several beside each other.
 *
 * One file that is complete without scripts and fetches nothing: styles, curves (SVG) and a small script for reading values stand in it, and its
 * Content-Security-Policy admits these by their hashes and nothing else.  Samples, names and whatever else comes from files is escaped. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H
#include "base/arena.h"
#include "base/options.h"
#include "report/history.h"

struct report_option { const char *name, *value, *initial; };                    /* initial: the default */

struct report_run {
    const char *name;
    const char *about;                   /* what it is, in a line; NULL: nothing is said */
    const struct history *history;
    int alive;                           /* somebody works at it now */
    int64_t iterations;                  /* that it is to have; 0: unknown */
    const struct report_option *option;  /* its whole configuration */
    int options;
};

/* Sets run's options: those of o that have an effect. */
int report_options(const struct options *o, struct arena *memory, struct report_run *run);

int report_page(struct text *out, const struct report_run *run, int n);          /* n > 0 */
int report_write(const struct report_run *run, int n, const char *path);         /* the page as a file; the one that was there stays until it is whole */

#endif
