/* grammar_check.c -- what must hold of a grammar, and what can be said of it without telling a single text. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "text/grammar_core.h"

#define REFUSE_IF(condition, what, line, format, ...) FAIL_IF(condition, E_DATA, "%s: line %d: " format, what, line, ##__VA_ARGS__)

/* ---- the next word decides ---- */

void item_begins(const struct grammar *g, const struct item *item, struct set *add)
{
    if (item->kind == WORD) {
        set_put(add, item->id);
    } else if (item->kind == RULE) {
        for (int i = 0; i < MAX_WORDS / 64; i++) add->bits[i] |= g->rule[item->id].begins.bits[i];
    } else {
        const struct table *t = g->variable[item->id].table;
        for (int i = 0; i < t->rows; i++) set_put(add, t->cell[item->column][i].word[0]);
    }
}

/* No two of these nodes begin with the same word; `begins` becomes all their first words. */
static int check_parting(const struct grammar *g, const struct node *n, struct set *begins, const char *what)
{
    *begins = (struct set){ 0 };
    for (; n; n = n->next) {
        struct set mine = { 0 };
        item_begins(g, &n->item, &mine);
        for (int w = 0; w < g->words; w++)
            REFUSE_IF(set_has(begins, w) && set_has(&mine, w), what, n->line,
                      "two ways go on with the same word, \"%.*s\"; the next word must decide which way it is",
                      (int)g->word[w].size, g->word[w].text);
        for (int i = 0; i < MAX_WORDS / 64; i++) begins->bits[i] |= mine.bits[i];
    }
    return 0;
}

/* The first word that is said of a row decides which row it is. */
static int check_draw(const struct grammar *g, const struct node *n, const char *what)
{
    const struct variable *v = &g->variable[n->item.id];
    struct set seen = { 0 };
    for (int i = 0; i < v->table->rows; i++) {
        int w = v->table->cell[n->item.column][i].word[0];
        REFUSE_IF(set_has(&seen, w), what, n->line, "two rows of %s.%s begin with \"%.*s\"; {new %s.%s} needs different ones", v->name,
                  v->table->column[n->item.column], (int)g->word[w].size, g->word[w].text, v->name, v->table->column[n->item.column]);
        set_put(&seen, w);
    }
    return 0;
}

static uint32_t item_keeps(const struct grammar *g, const struct item *item)
{
    if (item->kind == RULE) return g->rule[item->id].keeps;
    return item->kind == DRAW ? (uint32_t)1 << item->id : 0;
}

int rule_check(const struct grammar *g, struct rule *rule, const char *what)
{
    rule->keeps = UINT32_MAX;
    TRY(check_parting(g, rule->first, &rule->begins, what));
    for (const struct node *n = rule->nodes; n; n = n->older) {
        struct set begins;
        uint32_t keeps = 0;
        TRY(check_parting(g, n->child, &begins, what));
        if (n->item.kind == DRAW) TRY(check_draw(g, n, what));
        if (!n->ends) continue;
        for (const struct node *m = n; m; m = m->parent) keeps |= item_keeps(g, &m->item);
        rule->keeps &= keeps;
    }
    return 0;
}

/* ---- the survey: a walk over all rules, written out in place, with the set of variables that are known at each point ---- */

struct survey {
    const struct grammar *g;
    const char *what;
    int steps, depth;
};

/* Sums of facts: one after the other, and one or the other (with probability `share`).  Start with what adds nothing. */
static const struct grammar_facts nothing = { 0 }, nowhere = { .log_texts = -INFINITY, .log_same = -INFINITY, .least_words = SIZE_MAX };

static void then(struct grammar_facts *a, const struct grammar_facts *b)
{
    a->log_texts += b->log_texts;
    a->nats += b->nats;
    a->log_same += b->log_same;
    a->words += b->words;
    a->least_words += b->least_words;
    a->most_words += b->most_words;
    a->most_bytes += b->most_bytes;
}

static double log_sum(double a, double b)                   /* log(exp a + exp b) */
{
    double most = fmax(a, b);
    return isinf(most) ? most : most + log1p(exp(fmin(a, b) - most));
}

static void either(struct grammar_facts *a, double share, const struct grammar_facts *b)
{
    a->log_texts = log_sum(a->log_texts, b->log_texts);
    a->nats += share * (b->nats - log(share));
    a->log_same = log_sum(a->log_same, b->log_same + 2 * log(share));
    a->words += share * b->words;
    if (b->least_words < a->least_words) a->least_words = b->least_words;
    if (b->most_words > a->most_words) a->most_words = b->most_words;
    if (b->most_bytes > a->most_bytes) a->most_bytes = b->most_bytes;
}

/* Its bytes with the space before it; that the first word and the first in quotes have none is left out: a bound. */
static void survey_word(const struct grammar *g, int w, struct grammar_facts *sum)
{
    sum->words++;
    sum->least_words++;
    sum->most_words++;
    sum->most_bytes += g->word[w].size + (size_t)word_spaced(g, CLOSING, w);
}

/* A row of which nothing is known: the facts of its cell, each row as likely.  That no row is drawn twice changes no
 * mean, for no row is preferred to another. */
static void survey_cells(const struct grammar *g, const struct item *item, struct grammar_facts *sum)
{
    const struct table *t = g->variable[item->id].table;
    *sum = nowhere;
    for (int i = 0; i < t->rows; i++) {
        struct grammar_facts cell = nothing;
        const struct phrase *p = &t->cell[item->column][i];
        for (int k = 0; k < p->n; k++) survey_word(g, p->word[k], &cell);
        either(sum, 1.0 / t->rows, &cell);
    }
    sum->log_texts = sum->nats = sum->log_same = 0;         /* the row was chosen elsewhere */
}

static int survey_ways(struct survey *s, const struct node *n, int ways, uint32_t known, struct grammar_facts *sum);

static int survey_item(struct survey *s, const struct node *n, uint32_t *known, struct grammar_facts *sum)
{
    const struct grammar *g = s->g;
    const struct item *item = &n->item;
    *sum = nothing;
    if (item->kind == WORD) {
        survey_word(g, item->id, sum);
    } else if (item->kind == RULE) {
        const struct rule *rule = &g->rule[item->id];
        TRY(survey_ways(s, rule->first, rule->ways, *known, sum));
        *known |= rule->keeps;
    } else {
        const struct variable *v = &g->variable[item->id];
        uint32_t bit = (uint32_t)1 << item->id;
        int left = v->table->rows - __builtin_popcount(*known & v->table->variables);
        REFUSE_IF(item->kind == SAY && !(*known & bit), s->what, n->line, "on some way to here %s has not been drawn with {new %s.%s}", v->name,
                  v->name, v->table->column[item->column]);
        REFUSE_IF(item->kind == DRAW && (*known & bit), s->what, n->line, "on some way to here %s has been drawn already", v->name);
        REFUSE_IF(item->kind == DRAW && left <= 0, s->what, n->line, "the table of %s has no row left to draw", v->name);
        survey_cells(g, item, sum);
        if (item->kind == DRAW) sum->log_texts = sum->nats = log(left), sum->log_same = -log(left);
        *known |= bit;
    }
    return 0;
}

/* From this node to the ends of its ways. */
static int survey_node(struct survey *s, const struct node *n, uint32_t known, struct grammar_facts *sum)
{
    *sum = nothing;
    for (; n; n = n->child) {
        struct grammar_facts one;
        REFUSE_IF(!s->steps--, s->what, n->line, "the rules use each other so often that they are more than %d words long", MAX_STEPS);
        TRY(survey_item(s, n, &known, &one));
        then(sum, &one);
        REFUSE_IF(sum->most_words > MAX_TEXT_WORDS, s->what, n->line, "a text may become longer than %d words", MAX_TEXT_WORDS);
        if (!n->child || !n->child->next) continue;
        TRY(survey_ways(s, n->child, n->ways, known, &one));
        then(sum, &one);
        return 0;
    }
    return 0;
}

static int survey_ways(struct survey *s, const struct node *n, int ways, uint32_t known, struct grammar_facts *sum)
{
    REFUSE_IF(++s->depth > MAX_DEPTH, s->what, n->line, "rules within rules and ways within ways are more than %d deep", MAX_DEPTH);
    *sum = nowhere;
    for (; n; n = n->next) {
        struct grammar_facts one;
        TRY(survey_node(s, n, known, &one));
        either(sum, (double)n->ways / ways, &one);
    }
    s->depth--;
    return 0;
}

int grammar_survey(struct grammar *g, const char *what)
{
    const struct rule *root = grammar_root(g);
    struct survey s = { .g = g, .what = what, .steps = MAX_STEPS };
    TRY(survey_ways(&s, root->first, root->ways, 0, &g->facts));
    g->facts.vocabulary = g->words;
    return 0;
}
