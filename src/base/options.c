/* options.c -- the table at work.
 *
 * Whatever the notation, a value ends in options_assign, which alone checks kind, range and choice, and alone writes to the
 * caller's struct.  Its messages say what is expected; the callers put in front where, and what they found instead. */
#include "base/options.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

enum { FILE_LIMIT = 1 << 20, HELP_COLUMN = 32 };

static const char *const expected[] = {
    [OPTION_INT] = "an integer", [OPTION_REAL] = "a number", [OPTION_BOOL] = "true or false", [OPTION_TEXT] = "a text",
};

/* ---- names ---- */

static char plain(char c) { return c == '-' ? '_' : c; }

/* In table order: a table has some fifty rows and is asked a few dozen times. */
const struct option *options_find(const struct options *o, const char *name, size_t n)
{
    for (const struct option *p = o->table; p < o->table + o->n; p++) {
        size_t same = 0;
        while (same < n && plain(name[same]) == p->name[same]) same++;       /* a name has no 0 before its end */
        if (same == n && !p->name[n]) return p;
    }
    return NULL;
}

enum { LONGEST = 64, FAR = LONGEST };                        /* names of that length are near to nothing */

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

/* How many letters must be added, dropped or changed to turn one name into the other (Levenshtein 1966).  After row i, row[j] is the
 * distance of the first i letters of a from the first j of b. */
static size_t distance(const char *a, size_t n, const char *b)
{
    size_t row[LONGEST], m = strlen(b);
    if (n >= LONGEST || m >= LONGEST) return FAR;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t changed = diagonal + (plain(a[i - 1]) != b[j - 1]);
            diagonal = row[j];
            row[j] = least_of(changed, 1 + least_of(row[j], row[j - 1]));
        }
    }
    return row[m];
}

/* Suggests the nearest two names, the earlier in the table first, as long as they are nearer than about a third of the name. */
int options_unknown(const struct options *o, const char *name, size_t n, const char *dashes)
{
    const struct option *best = NULL, *second = NULL;
    size_t limit = n < 6 ? 2 : n / 3 + 1, d1 = limit, d2 = limit;
    char text[EXCERPT] = "", shown[EXCERPT];
    for (const struct option *p = o->table; p < o->table + o->n; p++) {
        size_t d = distance(name, n, p->name);
        if (d < d1) second = best, d2 = d1, best = p, d1 = d;
        else if (d < d2) second = p, d2 = d;
    }
    strncat(text, name, least_of(n, EXCERPT - 1));
    excerpt(shown, text);
    FAIL_IF(second, E_USAGE, "unknown option %s%s; did you mean %s%s or %s%s?", dashes, shown, dashes, best->name, dashes,
            second->name);
    FAIL_IF(best, E_USAGE, "unknown option %s%s; did you mean %s%s?", dashes, shown, dashes, best->name);
    FAIL(E_USAGE, "unknown option %s%s; --help lists all", dashes, shown);
}

/* ---- values: a setter for each kind, which checks first ---- */

static int check_range(const struct option *p, double x)
{
    if (p->least == p->most || (x >= p->least && x <= p->most)) return 0;
    FAIL_IF(isinf(p->most), E_USAGE, "%s of at least %.15g is expected", expected[p->kind], p->least);
    FAIL_IF(isinf(p->least), E_USAGE, "%s of at most %.15g is expected", expected[p->kind], p->most);
    FAIL(E_USAGE, "%s from %.15g to %.15g is expected", expected[p->kind], p->least, p->most);
}

static int check_choice(const struct option *p, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = p->choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (strcspn(c, "|") == n && !memcmp(c, text, n)) return 0;
    FAIL_IF(p->choices, E_USAGE, "one of %s is expected", p->choices);
    return 0;
}

static int set_int(const struct option *p, struct value v, void *to)
{
    /* Beyond 2^53 a real need not be the integer that was meant. */
    if (v.kind == VALUE_REAL && v.real == floor(v.real) && fabs(v.real) <= 0x1p53)
        v = (struct value){ VALUE_INT, .whole = (int64_t)v.real };
    FAIL_IF(v.kind != VALUE_INT, E_USAGE, "%s is expected", expected[p->kind]);
    TRY(check_range(p, (double)v.whole));
    *(int64_t *)to = v.whole;
    return 0;
}

static int set_real(const struct option *p, struct value v, void *to)
{
    FAIL_IF(v.kind != VALUE_INT && v.kind != VALUE_REAL, E_USAGE, "%s is expected", expected[p->kind]);
    double x = v.kind == VALUE_INT ? (double)v.whole : v.real;
    TRY(check_range(p, x));
    *(double *)to = x;
    return 0;
}

static int set_bool(const struct option *p, struct value v, void *to)
{
    FAIL_IF(v.kind != VALUE_BOOL, E_USAGE, "%s is expected", expected[p->kind]);
    *(int *)to = (int)v.whole;
    return 0;
}

static int set_text(const struct option *p, struct value v, void *to)
{
    int unset = v.kind == VALUE_NONE && !p->initial;
    FAIL_IF(v.kind != VALUE_TEXT && !unset, E_USAGE, "%s is expected", expected[p->kind]);
    if (!unset) TRY(check_choice(p, v.text));
    *(const char **)to = unset ? NULL : v.text;
    return 0;
}

int options_assign(struct options *o, const struct option *p, struct value v, const char *origin)
{
    static int (*const set[])(const struct option *, struct value, void *) = {
        [OPTION_INT] = set_int, [OPTION_REAL] = set_real, [OPTION_BOOL] = set_bool, [OPTION_TEXT] = set_text,
    };
    const char **was = &o->origin[p - o->table];
    TRY(set[p->kind](p, v, (char *)o->values + p->offset));
    if (origin && !*was && p->flags & OPTION_NO_EFFECT && o->notices)        /* once is enough */
        text_format(o->notices, "%s: %s has no effect here\n", origin, p->name);
    *was = origin;
    return 0;
}

struct value options_value(const struct options *o, const struct option *p)
{
    const void *at = (const char *)o->values + p->offset;
    const char *text = p->kind == OPTION_TEXT ? *(const char *const *)at : NULL;
    switch (p->kind) {
    case OPTION_INT:  return (struct value){ VALUE_INT, .whole = *(const int64_t *)at };
    case OPTION_REAL: return (struct value){ VALUE_REAL, .real = *(const double *)at };
    case OPTION_BOOL: return (struct value){ VALUE_BOOL, .whole = *(const int *)at };
    case OPTION_TEXT: break;
    }
    return (struct value){ text ? VALUE_TEXT : VALUE_NONE, .text = text };
}

const char *options_origin(const struct options *o, const char *name)
{
    const struct option *p = options_find(o, name, strlen(name));
    return p ? o->origin[p - o->table] : NULL;
}

/* ---- flags and defaults ---- */

/* A text to the letter, which must live as long as the values; all else in Python's notation, and no more than that. */
static int word_value(const struct options *o, const struct option *p, const char *word, struct value *v)
{
    struct reader r = { .at = word, .line = 1, .memory = o->memory };
    if (p->kind == OPTION_TEXT) *v = (struct value){ p->initial || strcmp(word, "None") ? VALUE_TEXT : VALUE_NONE, .text = word };
    else FAIL_IF(value_read(&r, v) || *r.at, E_USAGE, "%s is expected", expected[p->kind]);
    return 0;
}

int options_defaults(struct options *o)
{
    o->origin = arena_take(o->memory, (size_t)o->n * sizeof *o->origin);
    FAIL_IF(!o->origin, E_MEMORY, "no memory for %d options", o->n);
    for (const struct option *p = o->table; p < o->table + o->n; p++) {
        struct value v = { .kind = VALUE_NONE };
        int code = p->initial ? word_value(o, p, p->initial, &v) : 0;
        if (!code) code = options_assign(o, p, v, NULL);
        if (code) return error_prefix(code, "the default of %s", p->name);
    }
    return 0;
}

/* May it be the value of a bool?  Else `--eval_only config.py` would take a file for a value. */
static int is_truth(const char *word)
{
    return !strcmp(word, "true") || !strcmp(word, "True") || !strcmp(word, "false") || !strcmp(word, "False");
}

/* A flag whose value may be the argument that follows; *used says how many arguments it took. */
static int read_flag(struct options *o, const char *flag, const char *next, int *used)
{
    char shown[EXCERPT];
    FAIL_IF(flag[1] != '-', E_USAGE, "unknown option %s; options begin with two dashes", excerpt(shown, flag));
    size_t n = strcspn(flag + 2, "=");
    const char *word = flag[2 + n] ? flag + 2 + n + 1 : NULL;
    const struct option *p = options_find(o, flag + 2, n);
    if (!p) return options_unknown(o, flag + 2, n, "--");
    if (!word && p->kind == OPTION_BOOL && !(next && is_truth(next))) word = "true";
    *used = word ? 1 : 2;
    FAIL_IF(!word && (!next || next[0] == '-'), E_USAGE, "--%s needs a value: --%s=VALUE", p->name, p->name);
    word = arena_copy(o->memory, word ? word : next);
    FAIL_IF(!word, E_MEMORY, "no memory for the value of --%s", p->name);
    struct value v;
    int code = word_value(o, p, word, &v);
    if (!code) code = options_assign(o, p, v, "command line");
    return code ? error_prefix(code, "--%s=%s", p->name, excerpt(shown, word)) : 0;
}

static int is_configuration(const char *path) { return path_has_suffix(path, ".conf") || path_has_suffix(path, ".py"); }

int options_arguments(struct options *o, int *argc, char **argv)
{
    int n = *argc, used, flags = 1;                          /* until "--" */
    *argc = 0;
    for (int i = 0; i < n && !o->help; i += used) {
        char *a = argv[i];
        used = 1;
        if (flags && !strcmp(a, "--")) flags = 0;
        else if (flags && (!strcmp(a, "--help") || !strcmp(a, "-h"))) o->help = 1;
        else if (flags && a[0] == '-' && a[1]) TRY(read_flag(o, a, i + 1 < n ? argv[i + 1] : NULL, &used));
        else if (flags && is_configuration(a)) TRY(options_file(o, a));
        else argv[(*argc)++] = a;
    }
    return 0;
}

/* ---- configuration files ---- */

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; }

static size_t trimmed(const char *text, size_t n)            /* n less the blanks at the end */
{
    while (n && is_blank(text[n - 1])) n--;
    return n;
}

/* The value at r: to the letter up to the line's end or a comment, or in quotes, or a sum. */
static int conf_value(const struct options *o, const struct option *p, struct reader *r, struct value *v)
{
    const char *from = r->at;
    size_t n = 0;
    if (p->kind == OPTION_TEXT && *from != '"' && *from != '\'') {
        while (from[n] && from[n] != '\n' && !(from[n] == '#' && (!n || is_blank(from[n - 1])))) n++;
        const char *word = arena_format(o->memory, "%.*s", (int)trimmed(from, n), from);
        r->at += strcspn(from, "\n");
        FAIL_IF(!word, E_MEMORY, "no memory for a text");
        return word_value(o, p, word, v);
    }
    int code = value_read(r, v);
    if (code && p->kind == OPTION_TEXT) return code;
    FAIL_IF(code || !reader_ends(r), E_USAGE, "%s is expected", expected[p->kind]);
    return 0;
}

static int conf_line(struct options *o, struct reader *r, const char *file)
{
    const char *where = arena_format(o->memory, "%s line %d", file, r->line), *name = r->at;
    char shown[EXCERPT];
    struct value v;
    FAIL_IF(!where, E_MEMORY, "no memory for line %d of %s", r->line, file);
    size_t n = strcspn(name, "=#\n");
    FAIL_IF(name[n] != '=', E_USAGE, "%s: '%s' is not of the form key = value", where, excerpt(shown, name));
    r->at += n + 1;
    n = trimmed(name, n);
    const struct option *p = options_find(o, name, n);
    if (!p) return error_prefix(options_unknown(o, name, n, ""), "%s", where);
    reader_space(r);
    excerpt(shown, r->at);
    int code = conf_value(o, p, r, &v);
    if (!code) code = options_assign(o, p, v, where);
    return code ? error_prefix(code, "%s: %s = %s", where, p->name, shown) : 0;
}

/* A line's value may reach over further lines in parentheses; the reader counts them. */
int options_conf(struct options *o, const char *text, const char *file)
{
    for (struct reader r = { .at = text, .line = 1, .memory = o->memory };; r.at++, r.line++) {
        if (!reader_ends(&r)) TRY(conf_line(o, &r, file));
        if (!*r.at) return 0;
    }
}

int options_file(struct options *o, const char *path)
{
    struct text t = { 0 };
    int code = file_read(path, FILE_LIMIT, &t);
    if (!code && strlen(t.at) < t.size)
        code = error_set(E_USAGE, __FILE__, __LINE__, "%s is not a text: byte %zu is 0", path, strlen(t.at));
    const char *text = !code && !strncmp(t.at, "\xef\xbb\xbf", 3) ? t.at + 3 : t.at;        /* a byte order mark */
    if (!code) code = (path_has_suffix(path, ".py") ? options_python : options_conf)(o, text, path);
    text_free(&t);
    return code;
}

/* ---- help and record ---- */

static int opens_group(const struct options *o, const struct option *p)
{
    return p->group && (p == o->table || !p[-1].group || strcmp(p[-1].group, p->group));
}

void options_to_text(const struct options *o, struct text *out)
{
    for (const struct option *p = o->table; p < o->table + o->n; p++) {
        if (opens_group(o, p)) text_format(out, "%s# %s\n", p == o->table ? "" : "\n", p->group);
        text_format(out, "%s = ", p->name);
        value_write(options_value(o, p), out);
        text_add(out, "\n");
    }
}

void options_differences(const struct options *before, const struct options *now, struct text *out)
{
    struct text was = { 0 }, is = { 0 };
    const char *comma = "";
    for (const struct option *p = now->table; p < now->table + now->n; p++) {
        text_clear(&was);
        text_clear(&is);
        value_write(options_value(before, p), &was);
        value_write(options_value(now, p), &is);
        if (was.failed || is.failed || !strcmp(was.at, is.at)) continue;
        text_format(out, "%s%s %s -> %s", comma, p->name, was.at, is.at);
        comma = ", ";
    }
    text_free(&was);
    text_free(&is);
}

/* The flag as one would type it: a default with blanks or odd characters stands in quotes. */
static void add_flag(const struct option *p, struct text *out)
{
    const char *word = p->initial ? p->initial : "None";
    int bare = *word != 0;
    for (const char *c = word; *c; c++) bare &= *c > ' ' && *c <= '~';
    text_format(out, "--%s=", p->name);
    if (bare) text_add(out, word);
    else value_write((struct value){ VALUE_TEXT, .text = word }, out);
}

/* Writes words from column `left` on, where the line must stand already, and breaks lines before `width`; a word that is too
 * long for any line has one of its own. */
static void add_words(struct text *out, const char *words, size_t left, size_t width)
{
    size_t column = left;
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        int more = column > left, wraps = more && column + 1 + n > width;
        if (wraps) text_format(out, "\n%*s", (int)left, "");
        else if (more) text_add(out, " ");
        text_bytes(out, words, n);
        column = (wraps ? left : column + (size_t)more) + n;
    }
    text_add(out, "\n");
}

void options_help(const struct options *o, struct text *out, int width)
{
    struct text words = { 0 };
    for (const struct option *p = o->table; p < o->table + o->n; p++) {
        if (opens_group(o, p)) text_format(out, "%s%s\n", p == o->table ? "" : "\n", p->group);
        size_t start = out->size;
        text_add(out, "  ");
        add_flag(p, out);
        size_t used = out->size - start;
        if (used + 2 > HELP_COLUMN) text_add(out, "\n"), used = 0;
        text_format(out, "%*s", (int)(HELP_COLUMN - used), "");
        text_clear(&words);
        text_add(&words, p->help);
        if (p->choices) text_add(&words, ": ");
        for (const char *c = p->choices; c && *c; c++) text_format(&words, *c == '|' ? " %c " : "%c", *c);
        if (p->flags & OPTION_NO_EFFECT) text_add(&words, *p->help ? "; no effect here" : "no effect here");
        add_words(out, words.failed ? p->help : words.at, HELP_COLUMN, width > 0 ? (size_t)width : 0);
    }
    text_free(&words);
}

#ifdef FUZZ_CONF
#include <stdlib.h>

/* What a file sets is recorded, and the record sets the same, read as either notation. */
struct fuzzed { int64_t whole; double real, unit; int truth; const char *text, *unset; };

static const struct option fuzz_table[] = {
    { "whole", OPTION_INT, offsetof(struct fuzzed, whole), "12", .help = "any", .group = "numbers" },
    { "real", OPTION_REAL, offsetof(struct fuzzed, real), "1e-3", .help = "any", .group = "numbers" },
    { "unit", OPTION_REAL, offsetof(struct fuzzed, unit), "0", "a probability", 0, 1, .group = "numbers" },
    { "truth", OPTION_BOOL, offsetof(struct fuzzed, truth), "False", "either", .flags = OPTION_NO_EFFECT },
    { "text", OPTION_TEXT, offsetof(struct fuzzed, text), "a", .help = "any" },
    { "un_set", OPTION_TEXT, offsetof(struct fuzzed, unset), NULL, "a choice", .choices = "one|two" },
};

static struct options fuzz_open(struct fuzzed *values, struct arena *memory)
{
    struct options o = { .table = fuzz_table, .n = sizeof fuzz_table / sizeof *fuzz_table, .values = values, .memory = memory };
    if (options_defaults(&o)) abort();
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int (*const read[])(struct options *, const char *, const char *) = { options_conf, options_python };
    struct arena memory = { 0 };
    struct text record = { 0 }, again = { 0 };
    struct fuzzed values;
    struct options o = fuzz_open(&values, &memory);
    char *input = strndup((const char *)data, size);         /* no byte more: what reads beyond the end shows */
    if (!input) abort();
    int code = options_conf(&o, input, "fuzz.conf");
    if (code && code != E_USAGE) abort();
    options_to_text(&o, &record);
    for (int i = 0; !code && i < 2; i++) {
        text_clear(&again);
        o = fuzz_open(&values, &memory);
        if (read[i](&o, record.at, "record")) abort();
        options_to_text(&o, &again);
        if (strcmp(record.at, again.at)) abort();
    }
    free(input);
    text_free(&record);
    text_free(&again);
    arena_free(&memory);
    return 0;
}
#endif
