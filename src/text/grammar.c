/* grammar.c -- telling and reading are the same walk through the rules: a teller lets chance choose the way, a reader
 * lets the next word choose it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"
#include "text/grammar_core.h"

/* ---- words ---- */

size_t word_size(const char *at, const char *end)
{
    const char *p = at;
    while (p < end && is_letter(*p)) p++;
    if (p > at || p == end) return (size_t)(p - at);
    if (*at == '\'') return end - at >= 2 && at[1] == 's' && !(end - at > 2 && is_letter(at[2])) ? 2 : 0;
    return strchr(",.!?\"", *at) && *at;
}

/* Where the word is in g->slot, or the free place where it would be.  There are twice as many slots as words. */
static int slot_of(const struct grammar *g, const char *at, size_t size)
{
    for (uint64_t i = rng_hash_bytes(at, size) % WORD_SLOTS;; i = (i + 1) % WORD_SLOTS) {
        if (!g->slot[i]) return (int)i;
        const struct word *w = &g->word[g->slot[i] - 1];
        if (w->size == size && !memcmp(w->text, at, size)) return (int)i;
    }
}

int word_find(const struct grammar *g, const char *at, size_t size)
{
    return g->slot[slot_of(g, at, size)] - 1;
}

int word_put(struct grammar *g, const char *at, size_t size)
{
    g->slot[slot_of(g, at, size)] = (int16_t)(g->words + 1);
    g->word[g->words] = (struct word){ at, size };
    return g->words++;
}

void word_start(struct grammar *g)
{
    g->word[OPENING] = g->word[CLOSING] = (struct word){ "\"", 1 };
    g->words = 2;
}

int word_spaced(const struct grammar *g, int previous, int word)
{
    int leans = word == CLOSING || (word != OPENING && !is_letter(g->word[word].text[0]));
    return previous >= 0 && previous != OPENING && !leans;
}

/* ---- the walk ---- */

struct walk;

/* What a teller and a reader do differently.  Each returns NULL, -1 or 0 when there is no way on. */
struct guide {
    const struct node *(*choose)(struct walk *w, const struct node *among, int ways);
    int (*draw)(struct walk *w, const struct table *t, int column, int left);            /* a row that is not taken */
    int (*say)(struct walk *w, int word);
};

struct walk {
    const struct grammar *g;
    const struct guide *guide;
    uint32_t known;                      /* variables that have a row */
    int row[MAX_VARIABLES];
    int previous;                        /* word; -1 at the start */
    double log_p;

    uint64_t key, drawn;                 /* teller: stream of chance, and how many numbers of it are used */
    struct text *out;

    const char *at, *end;                /* reader: the next word, or the space before it; and the end of the text */
    int next;                            /* the next word; NONE if the grammar has no such word, or not with this space */
};

enum { NONE = -1 };

static int row_taken(const struct walk *w, const struct table *t, int row)
{
    for (int v = 0; v < w->g->variables; v++)
        if ((w->known & t->variables) >> v & 1 && w->row[v] == row) return 1;
    return 0;
}

static int walk_phrase(struct walk *w, const struct phrase *p)
{
    for (int i = 0; i < p->n; i++)
        if (!w->guide->say(w, p->word[i])) return 0;
    return 1;
}

static int walk_rule(struct walk *w, const struct rule *rule);

static int walk_item(struct walk *w, const struct item *item)
{
    if (item->kind == WORD) return w->guide->say(w, item->id);
    if (item->kind == RULE) return walk_rule(w, &w->g->rule[item->id]);
    const struct table *t = w->g->variable[item->id].table;
    if (item->kind == DRAW) {
        int left = t->rows - __builtin_popcount(w->known & t->variables);
        int row = w->guide->draw(w, t, item->column, left);
        if (row < 0) return 0;
        w->row[item->id] = row;
        w->known |= (uint32_t)1 << item->id;
        w->log_p -= log(left);
    }
    return walk_phrase(w, &t->cell[item->column][w->row[item->id]]);
}

/* Each way of a rule is equally likely: where ways part, as likely as there are ways behind. */
static int walk_rule(struct walk *w, const struct rule *rule)
{
    uint32_t known = w->known;
    int ways = rule->ways;
    for (const struct node *n = rule->first; n; n = n->child) {
        if (n->next) {
            if (!(n = w->guide->choose(w, n, ways))) return 0;
            w->log_p += log((double)n->ways / ways);
            ways = n->ways;
        }
        if (!walk_item(w, &n->item)) return 0;
    }
    w->known = known | rule->keeps;
    return 1;
}

/* ---- the teller ---- */

static const struct node *teller_choose(struct walk *w, const struct node *among, int ways)
{
    int pick = (int)rng_below(w->key, w->drawn++, (uint64_t)ways);
    while (pick >= among->ways) {
        pick -= among->ways;
        among = among->next;
    }
    return among;
}

static int teller_draw(struct walk *w, const struct table *t, int column, int left)
{
    (void)column;
    int pick = (int)rng_below(w->key, w->drawn++, (uint64_t)left), row = 0;
    for (;; row++)
        if (!row_taken(w, t, row) && !pick--) return row;
}

static int teller_say(struct walk *w, int word)
{
    if (word_spaced(w->g, w->previous, word)) text_bytes(w->out, " ", 1);
    text_bytes(w->out, w->g->word[word].text, w->g->word[word].size);
    w->previous = word;
    return 1;
}

static const struct guide teller = { teller_choose, teller_draw, teller_say };

int grammar_tell(const struct grammar *g, uint64_t seed, uint64_t index, struct text *out, double *log_p)
{
    struct walk w = { .g = g, .guide = &teller, .previous = -1, .out = out };
    w.key = rng_key(rng_key(seed, rng_hash("grammar")), index);
    walk_rule(&w, grammar_root(g));
    FAIL_IF(out->failed, E_MEMORY, "no memory for a story");
    if (log_p) *log_p = w.log_p;
    return 0;
}

/* ---- the reader ---- */

/* Looks at the word at w->at.  A quote after a space, or at the start, is an opening one. */
static size_t look(struct walk *w, int *spaced)
{
    *spaced = w->at < w->end && *w->at == ' ';
    const char *at = w->at + *spaced;
    size_t size = word_size(at, w->end);
    if (size && *at == '"') w->next = *spaced || w->previous < 0 ? OPENING : CLOSING;
    else w->next = size ? word_find(w->g, at, size) : NONE;
    if (w->next != NONE && word_spaced(w->g, w->previous, w->next) != *spaced) w->next = NONE;
    return size;
}

static int reader_say(struct walk *w, int word)
{
    if (w->next != word) return 0;
    int spaced;
    size_t size = look(w, &spaced);
    w->at += size + (size_t)spaced;
    w->previous = word;
    look(w, &spaced);
    return 1;
}

static const struct node *reader_choose(struct walk *w, const struct node *among, int ways)
{
    (void)ways;
    for (; w->next != NONE && among; among = among->next) {
        struct set begins = { 0 };
        item_begins(w->g, &among->item, &begins);
        if (set_has(&begins, w->next)) return among;
    }
    return NULL;
}

static int reader_draw(struct walk *w, const struct table *t, int column, int left)
{
    (void)left;
    for (int row = 0; row < t->rows; row++)
        if (t->cell[column][row].word[0] == w->next && !row_taken(w, t, row)) return row;
    return -1;
}

static const struct guide reader = { reader_choose, reader_draw, reader_say };

int grammar_accepts(const struct grammar *g, const char *text, size_t n, double *log_p, size_t *understood)
{
    struct walk w = { .g = g, .guide = &reader, .previous = -1, .at = text, .end = text + n };
    int spaced;
    look(&w, &spaced);
    int told = walk_rule(&w, grammar_root(g)) && w.at == w.end;
    if (log_p) *log_p = told ? w.log_p : -INFINITY;
    if (understood) *understood = (size_t)(w.at - text);
    return told;
}

const struct grammar_facts *grammar_facts(const struct grammar *g) { return &g->facts; }

void grammar_free(struct grammar *g)
{
    if (!g) return;
    arena_free(&g->memory);
    free(g->rule);
    free(g);
}
