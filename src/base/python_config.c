/* python_config.c -- nanoGPT's configuration files: Python of which only assignments matter, and of these only the values.
 *
 * nanoGPT executes such a file among its own variables (configurator.py).  Here nothing is executed: what a value cannot be
 * computed from by arithmetic is an error, because to guess it would train another model than the file says. */
#include <string.h>

#include "base/error.h"
#include "base/options.h"

/* A name means an option's value so far: what the file assigned before, or a file or flag before it, or the default. */
static int find_value(const void *known, const char *name, size_t n, struct value *v)
{
    const struct options *o = known;
    const struct option *p = options_find(o, name, n);
    if (p) *v = options_value(o, p);
    return p != NULL;
}

static int is_quote(char c) { return c == '"' || c == '\''; }
static int statement_ends(struct reader *r) { return reader_ends(r) || *r->at == ';'; }

/* Goes to the end of the statement, over texts and brackets of all kinds; 0 if one of them is not closed. */
static int skip_statement(struct reader *r)
{
    for (;;) {
        if (statement_ends(r) && (!r->open || !*r->at)) return !r->open;
        int text = is_quote(*r->at);
        r->open += (strchr("([{", *r->at) != NULL) - (strchr(")]}", *r->at) != NULL);
        if (r->open < 0 || (text && !reader_skip_text(r))) return 0;
        if (!text) r->at++;
    }
}

/* A value that is beyond the notation fails, but for what only names a run at wandb, such as 'ft-' + str(time.time()). */
static int not_computed(struct options *o, const struct option *p, struct reader *r, const char *where, const char *shown)
{
    if (strncmp(p->name, "wandb_", 6) || !skip_statement(r))
        FAIL(E_USAGE, "%s: %s = %s: %s; the file is read and not executed, so a value is a literal or a sum of numbers and options",
             where, p->name, shown, error_text());
    if (o->notices) text_format(o->notices, "%s: %s is left out: %s would have to be executed\n", where, p->name, shown);
    return 0;
}

/* A value and nothing behind it. */
static int read_whole(struct reader *r, struct value *v)
{
    char shown[EXCERPT];
    TRY(value_read(r, v));
    FAIL_IF(!statement_ends(r), E_USAGE, "'%s' is too much", excerpt(shown, r->at));
    return 0;
}

/* name = value.  The name must be in the table: a misspelt one would set nothing, and the run would train with the default. */
static int assignment(struct options *o, struct reader *r, const char *where)
{
    const char *name = r->at;
    char shown[EXCERPT];
    struct value v;
    size_t n = reader_name(r);
    r->at += n;
    reader_space(r);
    FAIL_IF(!n || r->at[0] != '=' || r->at[1] == '=', E_USAGE, "%s: '%s' is not of the form name = value, and the file is not executed",
            where, excerpt(shown, name));
    const struct option *p = options_find(o, name, n);
    if (!p) return error_prefix(options_unknown(o, name, n, ""), "%s", where);
    r->at++;
    reader_space(r);
    excerpt(shown, r->at);
    struct reader start = *r;
    int code = read_whole(r, &v);
    if (code == E_USAGE) {
        *r = start;
        return not_computed(o, p, r, where, shown);
    }
    if (!code) code = options_assign(o, p, v, where);
    return code ? error_prefix(code, "%s: %s = %s", where, p->name, shown) : 0;
}

static int is_import(const char *name, size_t n)
{
    return (n == 6 && !memcmp(name, "import", n)) || (n == 4 && !memcmp(name, "from", n));
}

/* Imports bring nothing that a value could use, and a text alone is a comment: both are passed over.  r is left at the end. */
static int statement(struct options *o, struct reader *r, const char *file)
{
    const char *where = arena_format(o->memory, "%s line %d", file, r->line), *start = r->at;
    char shown[EXCERPT];
    FAIL_IF(!where, E_MEMORY, "no memory for line %d of %s", r->line, file);
    int text = is_quote(*start), import = is_import(start, reader_name(r));
    if (!text && !import) return assignment(o, r, where);
    int whole = text ? reader_skip_text(r) && statement_ends(r) : skip_statement(r);
    FAIL_IF(!whole, E_USAGE, "%s: '%s' does not end as it should", where, excerpt(shown, start));
    return 0;
}

int options_python(struct options *o, const char *text, const char *file)
{
    struct reader r = { .at = text, .line = 1, .memory = o->memory, .find = find_value, .known = o };
    for (;;) {
        if (!statement_ends(&r)) TRY(statement(o, &r, file));
        if (!*r.at) return 0;
        r.line += *r.at++ == '\n';
    }
}

#ifdef FUZZ_PYTHON_CONFIG
#include <stdlib.h>

struct fuzzed { int64_t steps, decay; double rate; int wandb, compile; const char *name, *entity; };

static const struct option fuzz_table[] = {
    { "max_iters", OPTION_INT, offsetof(struct fuzzed, steps), "12", .help = "steps", .least = 1, .most = 1e9 },
    { "lr_decay_iters", OPTION_INT, offsetof(struct fuzzed, decay), "12", .help = "steps" },
    { "learning_rate", OPTION_REAL, offsetof(struct fuzzed, rate), "1e-3", .help = "rate" },
    { "wandb_log", OPTION_BOOL, offsetof(struct fuzzed, wandb), "False", "either", .flags = OPTION_NO_EFFECT },
    { "compile", OPTION_BOOL, offsetof(struct fuzzed, compile), "True", "either", .flags = OPTION_NO_EFFECT },
    { "wandb_run_name", OPTION_TEXT, offsetof(struct fuzzed, name), "a", .help = "any" },
    { "wandb_entity", OPTION_TEXT, offsetof(struct fuzzed, entity), NULL, .help = "any" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena memory = { 0 };
    struct text notices = { 0 };
    struct fuzzed values;
    struct options o = { .table = fuzz_table, .n = sizeof fuzz_table / sizeof *fuzz_table, .values = &values };
    o.memory = &memory;
    o.notices = &notices;
    char *text = strndup((const char *)data, size);          /* no byte more: what reads beyond the end shows */
    if (!text || options_defaults(&o)) abort();
    int code = options_python(&o, text, "fuzz.py");
    if (code && code != E_USAGE) abort();
    free(text);
    text_free(&notices);
    arena_free(&memory);
    return 0;
}
#endif
