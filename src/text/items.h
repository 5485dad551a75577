/* items.h -- questions whose answers are known, from JSON lines (plain or .gz) or from llm.c's file of choices.
 *
 * What a line has decides what it is; all lines of a file are of one kind.
 *
 *     HellaSwag    ctx (or ctx_a, ctx_b), endings, label; activity_label
 *     PIQA         goal, sol1, sol2, label
 *     WinoGrande   sentence (with a _), option1, option2, answer ("1" or "2")
 *     ARC          question, choices { text, label }, answerKey (one of the labels)
 *     choices      query | context | question, choices, answer | label | gold (0: the first)
 *     cloze        prompt | context, completion | target
 *     LAMBADA      text, whose last word is to be foretold
 *
 * An answer's number may be written as a text, "2".  A blank goes between a context and what may follow it, unless white space stands there.
 * PROMPTS_HARNESS makes contexts as the tasks of lm-evaluation-harness do; PROMPTS_PLAIN takes texts as they stand, as llm.c's
 * and build-nanogpt's hellaswag.py do. */
#ifndef TEXT_ITEMS_H
#define TEXT_ITEMS_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum prompts { PROMPTS_HARNESS, PROMPTS_PLAIN };

struct passage { const char *text; const uint32_t *ids; size_t n; };     /* a text of n bytes, or n ids that somebody made of it */

/* What may follow a context.  characters: of the choice itself, without the blank before it; 0: not known.  As lm-evaluation-harness has it,
 * WinoGrande's choices are contexts, before what follows in all cases. */
struct choice { struct passage context, continuation; size_t characters; };

struct item {
    uint64_t line;                       /* of the file, from 1; of llm.c's, the item's number */
    struct choice *choice; int choices;
    int answer;                          /* of a cloze 0: there is one choice */
};

struct items {
    struct item *at; size_t n, room;
    const char *path;                    /* the caller's */
    const char *kind;                    /* "HellaSwag" ... */
    int is_cloze;
    struct passage shots;                /* stands before every context */
    struct arena memory;                 /* of all that items point to */
};

enum { ITEMS_MOST = 1 << 20, CHOICES_MOST = 256 };

/* E_DATA names file and line.  A failure leaves nothing. */
int  items_read(struct items *s, const char *path, enum prompts prompts);
void items_free(struct items *s);
/* Keeps `count` of them, in their order: the first (seed 0), or a choice by the seed in which each has the same chance. */
void items_limit(struct items *s, size_t count, uint64_t seed);
/* Takes the first `count` items out and puts them, answered, an empty line behind each, before the contexts of the others.  E_USAGE: none would be
 * left, or they are ids. */
int  items_show(struct items *s, size_t count);

/* For readers of other files: an item with so many choices, zeroed; NULL: no memory. */
struct item *items_new(struct items *s, int choices);

#endif
