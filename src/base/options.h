/* options.h -- one table of options drives configuration files, flags, --help, checks, and what a run records.
 *
 *     struct settings { int64_t batch_size; double dropout; int compile; const char *dataset; } settings;
 *     const struct option table[] = {
 *         { "batch_size", OPTION_INT, offsetof(struct settings, batch_size), "12", "sequences per step", 1, INFINITY, .group = "data" },
 *         { "dropout", OPTION_REAL, offsetof(struct settings, dropout), "0.0", "probability", 0, 1, .group = "model" }, ...
 *     };
 *     struct options o = { .table = table, .n = 4, .values = &settings, .memory = &arena, .notices = &notices };
 *     TRY(options_defaults(&o));
 *     TRY(options_arguments(&o, &argc, argv));
 *
 * A value may come from three places, and the later one wins:
 *   a flag    --dropout=0.1, --dropout 0.1, --eval_only (true); what follows the first = is the value, a text's to the letter
 *   *.conf    lines `key = value`; # begins a comment, at the start of a line or after a blank; a text may stand bare or in quotes
 *   *.py      nanoGPT's configuration files, as they are: see options_python below
 * Numbers are sums and products in Python's notation (base/value.h): 1e-3, 1_000, 5 * 8.  An int goes for a real, and a real
 * without a fraction, such as 5e3, for an int.  In names a dash is as good as an underscore.  A bare None unsets a text that is
 * unset by default.
 *
 * All functions that return int fail with E_USAGE and a message that names the flag, or file, line and key, and what would
 * be right; E_MEMORY; and options_file also as base/file.h does.  Values set before a failure stay set. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H
#include <stddef.h>

#include "base/arena.h"
#include "base/text.h"
#include "base/value.h"

enum option_kind { OPTION_INT, OPTION_REAL, OPTION_BOOL, OPTION_TEXT };      /* in memory: int64_t, double, int, const char * */

enum option_flag { OPTION_NO_EFFECT = 1 };       /* accepted so that foreign files can be read; a notice says so */

struct option {
    const char *name;                    /* with underscores */
    enum option_kind kind;
    size_t offset;                       /* of the value in the caller's struct */
    const char *initial;                 /* the default, as a flag would give it; NULL: a text that is unset, in memory NULL */
    const char *help;
    double least, most;                  /* bounds of a number, ends included; may be infinite; equal: none */
    const char *choices;                 /* what a text may be, "cosine|linear"; NULL: anything */
    const char *group;                   /* a heading; options of a group stand together */
    int flags;
};

struct options {
    const struct option *table;
    int n;
    void *values;                        /* the caller's struct */
    struct arena *memory;                /* holds texts and origins, and must live as long as the values */
    struct text *notices;                /* what the user should know, a line each; NULL: nobody asks */
    int help;                            /* set by options_arguments */
    const char **origin;                 /* private: of each option, see options_origin */
};

int options_defaults(struct options *o);                             /* first of all; fails only if the table is wrong */

/* Reads the arguments behind program and verb from left to right; *.conf and *.py are read where they stand.  Keeps the others in
 * argv[0] .. argv[*argc - 1], in order; so it does with all that follow "--".  At --help or -h it stops, with o->help set. */
int options_arguments(struct options *o, int *argc, char **argv);

int options_file(struct options *o, const char *path);               /* *.py is Python, all else .conf; at most 1 MiB */
int options_conf(struct options *o, const char *text, const char *file);     /* the same from memory; `file` is for messages */

/* Read, never executed: comments, imports, texts that stand alone and assignments `name = sum`, where a name in the sum is an option
 * and means its value so far.  Anything else fails, except that a wandb_ option keeps its value, with a notice. */
int options_python(struct options *o, const char *text, const char *file);

/* Who set an option: "config/a.conf line 3", "command line", or NULL for the default. */
const char *options_origin(const struct options *o, const char *name);

void options_help(const struct options *o, struct text *out, int width);     /* --name=default and its help, wrapped at `width` columns */

/* The complete configuration.  options_conf and options_python both read it back to the same values, to the last bit. */
void options_to_text(const struct options *o, struct text *out);

/* "learning_rate 0.001 -> 0.0001, max_iters 60 -> 120": values of one table, before and now; nothing if they are the same. */
void options_differences(const struct options *before, const struct options *now, struct text *out);

/* For the readers of a notation.  A name is its first n letters; texts and origins are borrowed. */
const struct option *options_find(const struct options *o, const char *name, size_t n);      /* NULL if it is not in the table */
int options_unknown(const struct options *o, const char *name, size_t n, const char *dashes);    /* E_USAGE, with the nearest names */
struct value options_value(const struct options *o, const struct option *p);                     /* as it is now */
int options_assign(struct options *o, const struct option *p, struct value v, const char *origin); /* checks, then sets */

#endif
