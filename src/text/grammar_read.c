/* grammar_read.c -- a file becomes tables and rules.  The notation: the top of tales.grammar. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/grow.h"
#include "text/grammar_core.h"

struct reader {
    struct grammar *g;
    const char *what, *start, *at, *end;
    int line, depth;
};

/* What every complaint begins with. */
#define REFUSE(r, line, format, ...) FAIL(E_DATA, "%s: line %d: " format, (r)->what, line, ##__VA_ARGS__)
#define REFUSE_IF(condition, r, ...) \
    do {                             \
        if (condition) REFUSE(r, (r)->line, __VA_ARGS__); \
    } while (0)
#define TAKE(r, pointer, size) FAIL_IF(!((pointer) = arena_take(&(r)->g->memory, size)), E_MEMORY, "no memory for the grammar %s", (r)->what)

/* ---- characters ---- */

static int at_end(const struct reader *r) { return r->at == r->end; }
static int is(const struct reader *r, char c) { return !at_end(r) && *r->at == c; }

static void skip_comment(struct reader *r)
{
    if (is(r, '#'))
        while (!at_end(r) && *r->at != '\n') r->at++;
}

static void skip_spaces(struct reader *r)                   /* within the line */
{
    while (is(r, ' ') || is(r, '\t') || is(r, '\r')) r->at++;
    skip_comment(r);
}

static void skip(struct reader *r)                          /* over lines */
{
    for (skip_spaces(r); is(r, '\n'); skip_spaces(r)) r->at++, r->line++;
}

/* A definition goes on until something stands in the first column. */
static int at_definition(const struct reader *r) { return at_end(r) || r->at == r->start || r->at[-1] == '\n'; }

/* "hero" into the arena; `of` says what is named. */
static int read_name(struct reader *r, const char *of, char **name)
{
    skip_spaces(r);
    const char *from = r->at;
    while (!at_end(r) && (is_letter(*r->at) || *r->at == '_')) r->at++;
    size_t n = (size_t)(r->at - from);
    REFUSE_IF(!n, r, "the name of %s should stand here", of);
    TAKE(r, *name, n + 1);
    memcpy(*name, from, n);
    skip_spaces(r);
    return 0;
}

/* ---- words ---- */

static int put_word(struct reader *r, const char *at, size_t size, int *id)
{
    struct grammar *g = r->g;
    if ((*id = word_find(g, at, size)) >= 0) return 0;
    REFUSE_IF(g->words == MAX_WORDS, r, "more than %d different words", MAX_WORDS);
    *id = word_put(g, at, size);
    return 0;
}

/* One word; *quote says whether a quote is open. */
static int read_word(struct reader *r, int *quote, int *id)
{
    size_t size = word_size(r->at, r->end);
    unsigned char c = at_end(r) ? 0 : (unsigned char)*r->at;
    REFUSE_IF(!size && isprint(c), r, "'%c' cannot stand here; a text is made of letters, 's and , . ! ? \"", c);
    REFUSE_IF(!size, r, "byte 0x%02x cannot stand here; a text is made of letters, 's and , . ! ? \"", c);
    if (c == '"') {
        *id = *quote ? CLOSING : OPENING;
        *quote = !*quote;
    } else {
        TRY(put_word(r, r->at, size, id));
    }
    r->at += size;
    return 0;
}

/* The same phrase with a capital, which is that of the first word within quotes if it begins with one. */
static int raise(struct reader *r, const struct phrase *low, struct phrase *high)
{
    char *text;
    int *copy, first = 0;
    while (first < low->n && low->word[first] <= CLOSING) first++;
    TAKE(r, copy, (size_t)low->n * sizeof *copy);
    memcpy(copy, low->word, (size_t)low->n * sizeof *copy);
    *high = (struct phrase){ low->n, copy };
    if (first == low->n) return 0;                          /* nothing but quotes */
    const struct word *w = &r->g->word[low->word[first]];
    TAKE(r, text, w->size);
    memcpy(text, w->text, w->size);
    text[0] = (char)toupper((unsigned char)text[0]);
    return put_word(r, text, w->size, &copy[first]);
}

/* ---- tables ---- */

static struct variable *find_variable(struct grammar *g, const char *name)
{
    for (int i = 0; i < g->variables; i++)
        if (!strcmp(g->variable[i].name, name)) return &g->variable[i];
    return NULL;
}

static int find_column(const struct table *t, const char *name)
{
    for (int i = 0; i < t->columns; i++)
        if (!strcmp(t->column[i], name)) return i;
    return -1;
}

/* table hero, friend */
static int read_variables(struct reader *r, struct table *t)
{
    struct grammar *g = r->g;
    do {
        if (is(r, ',')) r->at++;
        char *name;
        TRY(read_name(r, "a variable", &name));
        REFUSE_IF(find_variable(g, name), r, "there is a variable %s already", name);
        REFUSE_IF(g->variables == MAX_VARIABLES, r, "more than %d variables", MAX_VARIABLES);
        t->variables |= (uint32_t)1 << g->variables;
        g->variable[g->variables++] = (struct variable){ name, t };
    } while (is(r, ','));
    REFUSE_IF(!at_end(r) && *r->at != '\n', r, "a table begins: table <variable>, <variable> ...");
    return 0;
}

/* name | kind | home */
static int read_columns(struct reader *r, struct table *t)
{
    skip(r);
    REFUSE_IF(at_definition(r), r, "a table goes on with an indented line of columns");
    do {
        if (is(r, '|')) r->at++;
        char *name;
        TRY(read_name(r, "a column", &name));
        REFUSE_IF(find_column(t, name) >= 0, r, "there is a column %s already", name);
        REFUSE_IF(t->columns == MAX_COLUMNS, r, "more than %d columns", MAX_COLUMNS);
        t->column[t->columns++] = name;
    } while (is(r, '|'));
    REFUSE_IF(!at_end(r) && *r->at != '\n', r, "columns are separated by |");
    for (int i = 0; i < t->columns; i++) TAKE(r, t->cell[i], MAX_ROWS * sizeof *t->cell[i]);
    return 0;
}

static int read_cell(struct reader *r, struct phrase *cell)
{
    int word[MAX_CELL], n = 0, quote = 0, *copy;
    for (skip_spaces(r); !at_end(r) && *r->at != '|' && *r->at != '\n'; skip_spaces(r)) {
        REFUSE_IF(n == MAX_CELL, r, "more than %d words in a cell", MAX_CELL);
        TRY(read_word(r, &quote, &word[n++]));
    }
    REFUSE_IF(!n, r, "this row has an empty cell");
    REFUSE_IF(quote, r, "a quote that opens here does not close here");
    TAKE(r, copy, (size_t)n * sizeof *copy);
    memcpy(copy, word, (size_t)n * sizeof *copy);
    *cell = (struct phrase){ n, copy };
    return 0;
}

static int read_table(struct reader *r)
{
    struct table *t;
    TAKE(r, t, sizeof *t);
    TRY(read_variables(r, t));
    TRY(read_columns(r, t));
    for (skip(r); !at_definition(r); skip(r)) {
        REFUSE_IF(t->rows == MAX_ROWS, r, "more than %d rows", MAX_ROWS);
        for (int i = 0; i < t->columns; i++) {
            REFUSE_IF(i && !is(r, '|'), r, "this row has fewer cells than the table has columns (%d)", t->columns);
            if (i) r->at++;
            TRY(read_cell(r, &t->cell[i][t->rows]));
        }
        REFUSE_IF(is(r, '|'), r, "this row has more cells than the table has columns (%d)", t->columns);
        t->rows++;
    }
    REFUSE_IF(!t->rows, r, "this table has no rows");
    return 0;
}

/* ---- rules ---- */

/* A column named with a capital is made when it is first asked for: {hero.They} from they. */
static int column_of(struct reader *r, const struct variable *v, const char *name, int *column)
{
    struct table *t = v->table;
    if ((*column = find_column(t, name)) >= 0) return 0;
    char *low = arena_copy(&r->g->memory, name);
    FAIL_IF(!low, E_MEMORY, "no memory for the grammar %s", r->what);
    low[0] = (char)tolower((unsigned char)low[0]);
    int from = find_column(t, low);
    REFUSE_IF(from < 0, r, "%s has no column %s", v->name, name);
    REFUSE_IF(t->columns == MAX_COLUMNS, r, "more than %d columns, those with a capital included", MAX_COLUMNS);
    struct phrase *cell;
    TAKE(r, cell, (size_t)t->rows * sizeof *cell);
    for (int i = 0; i < t->rows; i++) TRY(raise(r, &t->cell[from][i], &cell[i]));
    t->column[*column = t->columns++] = name;
    t->cell[*column] = cell;
    return 0;
}

static int find_rule(const struct grammar *g, const char *name)
{
    int i = g->rules - 1;
    while (i >= 0 && (!g->rule[i].name || strcmp(g->rule[i].name, name))) i--;
    return i;
}

/* {rule}, {variable.column} or {new variable.column} */
static int read_reference(struct reader *r, struct item *item)
{
    char *name, *column;
    r->at++;
    TRY(read_name(r, "a rule or a variable", &name));
    int draw = !strcmp(name, "new");
    if (draw) TRY(read_name(r, "a variable", &name));
    if (draw || is(r, '.')) {
        const struct variable *v = find_variable(r->g, name);
        REFUSE_IF(!v, r, "there is no variable %s above", name);
        REFUSE_IF(!is(r, '.'), r, "what of %s?  {new %s.<column>}", name, name);
        r->at++;
        TRY(read_name(r, "a column", &column));
        *item = (struct item){ draw ? DRAW : SAY, (int)(v - r->g->variable), 0 };
        TRY(column_of(r, v, column, &item->column));
    } else {
        *item = (struct item){ RULE, find_rule(r->g, name), 0 };
        REFUSE_IF(item->id < 0, r, "there is no rule %s above", name);
        r->g->rule[item->id].used = 1;
    }
    REFUSE_IF(!is(r, '}'), r, "} is missing");
    r->at++;
    return 0;
}

static int read_rule(struct reader *r, const char *name, int *id);

static int read_item(struct reader *r, int *quote, struct item *item)
{
    if (is(r, '{')) return read_reference(r, item);
    *item = (struct item){ .kind = WORD };
    if (!is(r, '(')) return read_word(r, quote, &item->id);
    r->at++;
    item->kind = RULE;
    REFUSE_IF(++r->depth > MAX_DEPTH, r, "more than %d parentheses in each other", MAX_DEPTH);
    TRY(read_rule(r, NULL, &item->id));
    r->depth--;
    REFUSE_IF(!is(r, ')'), r, ") is missing");
    r->at++;
    return 0;
}

/* Steps from *node (NULL: the root) to its child that is this item; a new one if there is none. */
static int descend(struct reader *r, struct rule *rule, const struct item *item, struct node **node)
{
    struct node *parent = *node, **at = parent ? &parent->child : &rule->first;
    for (; *at; at = &(*at)->next)
        if ((*at)->item.kind == item->kind && (*at)->item.id == item->id && (*at)->item.column == item->column) break;
    if (!*at) {
        TAKE(r, *at, sizeof **at);
        **at = (struct node){ .item = *item, .parent = parent, .older = rule->nodes, .line = r->line };
        rule->nodes = *at;
    }
    *node = *at;
    return 0;
}

static int read_way(struct reader *r, struct rule *rule)
{
    struct node *last = NULL;
    int quote = 0;
    for (skip(r); !at_definition(r) && !is(r, '|') && !is(r, ')'); skip(r)) {
        struct item item;
        TRY(read_item(r, &quote, &item));
        TRY(descend(r, rule, &item, &last));
        REFUSE_IF(last->ends, r, "what stands before this is a whole way already; where one ends, no other may go on");
    }
    REFUSE_IF(!last, r, "this way has no words; each must have one");
    REFUSE_IF(quote, r, "a quote that opens in this way does not close in it");
    REFUSE_IF(last->child, r, "another way begins with the whole of this one; where one ends, no other may go on");
    last->ends = 1;
    for (; last; last = last->parent) last->ways++;
    rule->ways++;
    return 0;
}

/* What follows "rule name" or an opening parenthesis.  The rule gets its number last, so that it cannot use itself. */
static int read_rule(struct reader *r, const char *name, int *id)
{
    struct grammar *g = r->g;
    struct rule rule = { .name = name, .line = r->line };
    skip(r);
    if (name && is(r, '|')) r->at++;                        /* a leading one is for the eye */
    TRY(read_way(r, &rule));
    while (is(r, '|')) {
        r->at++;
        TRY(read_way(r, &rule));
    }
    REFUSE_IF(g->rules == MAX_RULES, r, "more than %d rules and groups", MAX_RULES);
    FAIL_IF(!grow(&g->rule, &g->room, (size_t)g->rules + 1, sizeof rule), E_MEMORY, "no memory for the grammar %s", r->what);
    g->rule[*id = g->rules++] = rule;
    return rule_check(g, &g->rule[*id], r->what);
}

static int read_definition(struct reader *r)
{
    char *word, *name;
    int id;
    REFUSE_IF(!at_definition(r), r, "a definition begins in the first column: rule <name>, or table <variable>, <variable> ...");
    TRY(read_name(r, "a definition (rule or table)", &word));
    if (!strcmp(word, "table")) return read_table(r);
    REFUSE_IF(strcmp(word, "rule"), r, "%s: a definition begins with rule or table", word);
    TRY(read_name(r, "a rule", &name));
    REFUSE_IF(find_rule(r->g, name) >= 0, r, "there is a rule %s already", name);
    TRY(read_rule(r, name, &id));
    REFUSE_IF(!at_definition(r), r, "'%c' stands here without its partner", *r->at);
    return 0;
}

/* ---- the whole ---- */

static int read_grammar(struct reader *r)
{
    struct grammar *g = r->g;
    word_start(g);
    for (skip(r); !at_end(r); skip(r)) TRY(read_definition(r));
    REFUSE_IF(!g->rules, r, "there is no rule");
    for (int i = 0; i < g->rules - 1; i++)
        if (g->rule[i].name && !g->rule[i].used) REFUSE(r, g->rule[i].line, "no rule uses %s", g->rule[i].name);
    return grammar_survey(g, r->what);
}

int grammar_parse(struct grammar **out, const char *text, size_t n, const char *what)
{
    FAIL_IF(n > MAX_GRAMMAR_BYTES, E_DATA, "%s: a grammar has at most %d bytes, not %zu", what, MAX_GRAMMAR_BYTES, n);
    struct grammar *g = calloc(1, sizeof *g);
    char *copy = g ? arena_take(&g->memory, n + 1) : NULL;
    if (!copy) {
        grammar_free(g);
        FAIL(E_MEMORY, "no memory for the grammar %s", what);
    }
    memcpy(copy, text, n);                                  /* words point into it */
    struct reader r = { .g = g, .what = what, .start = copy, .at = copy, .end = copy + n, .line = 1 };
    int code = read_grammar(&r);
    if (code) grammar_free(g);
    else *out = g;
    return code;
}

#ifdef FUZZ_GRAMMAR
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar *g;
    if (grammar_parse(&g, (const char *)data, size, "fuzz")) return 0;
    for (uint64_t i = 0; i < 4; i++) {                      /* what a grammar tells, it understands */
        struct text t = { 0 };
        double told, read;
        size_t understood;
        if (grammar_tell(g, 1, i, &t, &told)) abort();
        if (!grammar_accepts(g, t.at, t.size, &read, &understood) || read != told || understood != t.size) abort();
        if (t.size > grammar_facts(g)->most_bytes) abort();
        text_free(&t);
    }
    grammar_free(g);
    return 0;
}
#endif
