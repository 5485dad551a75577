/* grammar_core.h -- what a grammar is made of; shared by grammar_read.c, grammar_check.c and grammar.c. */
#ifndef TEXT_GRAMMAR_CORE_H
#define TEXT_GRAMMAR_CORE_H
#include "base/arena.h"
#include "text/grammar.h"

/* What a file may ask for.  A sane grammar stays far below; a hostile one costs little. */
enum {
    MAX_GRAMMAR_BYTES = 1 << 20,
    MAX_WORDS = 2048,                    /* different ones */
    MAX_RULES = 2048,                    /* groups in parentheses included */
    MAX_VARIABLES = 32,                  /* one bit each in a uint32_t */
    MAX_COLUMNS = 32,
    MAX_ROWS = 256,
    MAX_CELL = 16,                       /* words in a cell */
    MAX_DEPTH = 64,                      /* rules within rules, and partings of ways within one rule */
    MAX_STEPS = 1 << 20,                 /* items of all rules written out in place */
    MAX_TEXT_WORDS = 4096,
};

/* ---- words: letters, or 's, or one of , . ! ? " ---- */

enum { OPENING, CLOSING };               /* the two quotes: the first words of every grammar */

struct word {
    const char *text;                    /* not ended by 0: points into the grammar's copy of its file */
    size_t size;
};

static inline int is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
size_t word_size(const char *at, const char *end);                                   /* of the word that begins here; 0 if none does */
int    word_find(const struct grammar *g, const char *at, size_t size);              /* -1 if the grammar does not have it; not for quotes */
int    word_put(struct grammar *g, const char *at, size_t size);                    /* a word that is not there yet; at must stay */
void   word_start(struct grammar *g);                                               /* the quotes */
int    word_spaced(const struct grammar *g, int previous, int word);                 /* is there a space before it?  previous = -1: at the start */

/* A set of words. */
struct set { uint64_t bits[MAX_WORDS / 64]; };
static inline int  set_has(const struct set *s, int word) { return s->bits[word / 64] >> word % 64 & 1; }
static inline void set_put(struct set *s, int word) { s->bits[word / 64] |= (uint64_t)1 << word % 64; }

/* ---- tables: a variable stands for a row of its table ---- */

struct phrase { int n; const int *word; };

struct table {
    uint32_t variables;                  /* those that draw from it, as bits */
    int rows, columns;
    const char *column[MAX_COLUMNS];
    struct phrase *cell[MAX_COLUMNS];    /* cell[column][row] */
};

struct variable { const char *name; struct table *table; };

/* ---- rules: the ways of a rule are paths through a tree, so that ways which begin alike part only where they differ ---- */

enum item_kind { WORD, RULE, SAY, DRAW };

struct item {
    enum item_kind kind;
    int id;                              /* of a word, a rule, or a variable */
    int column;                          /* SAY, DRAW: what to say of the variable's row */
};

struct node {
    struct item item;
    struct node *parent, *child, *next;  /* next: another way to go on from the same parent */
    struct node *older;                  /* all nodes of a rule, newest first */
    int ways;                            /* how many ways of the rule lead through here; each is equally likely */
    int ends;                            /* a way ends here; it has no child */
    int line;
};

struct rule {
    const char *name;                    /* NULL: a group in parentheses */
    struct node *first, *nodes;
    int ways, line, used;
    uint32_t keeps;                      /* variables drawn on every way: only these are known after the rule */
    struct set begins;                   /* words that a derivation may begin with */
};

enum { WORD_SLOTS = 2 * MAX_WORDS };

struct grammar {
    struct arena memory;
    struct word word[MAX_WORDS];
    int16_t slot[WORD_SLOTS];            /* word + 1 by hash; 0: free */
    struct variable variable[MAX_VARIABLES];
    struct rule *rule; size_t room;      /* the last one is what a text is */
    int words, variables, rules;
    struct grammar_facts facts;
};

static inline const struct rule *grammar_root(const struct grammar *g) { return &g->rule[g->rules - 1]; }
void item_begins(const struct grammar *g, const struct item *item, struct set *add);        /* add |= words that the item may begin with */

/* grammar_check.c.  A rule, when it has been read: fills keeps and begins; refuses what the next word would not decide. */
int rule_check(const struct grammar *g, struct rule *rule, const char *what);
/* The whole: every variable is drawn before it is said and not drawn twice; fills facts. */
int grammar_survey(struct grammar *g, const char *what);

#endif
