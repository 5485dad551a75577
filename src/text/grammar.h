/* grammar.h -- texts told by a grammar, and understood by it again.
 *
 * A grammar is a file of tables (who there is, what there is) and rules (how it is told); its notation is described at
 * the top of src/text/tales.grammar.  From one seed it tells endless texts, each a pure function of (seed, index).
 * The grammar is also the judge of a text: it says whether it could have told it, up to where, and how likely that was.
 *
 * Each text has exactly one derivation.  Reading checks what this needs: no rule is empty, and wherever ways part, no two
 * go on with the same word.  So the next word always decides, reading needs neither search nor memory, and the
 * probability of a text is the product of its choices.  A rule uses only what stands above it, so texts are finite and
 * everything that `grammar_facts` says is computed exactly, not sampled. */
#ifndef TEXT_GRAMMAR_H
#define TEXT_GRAMMAR_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct grammar;

/* Reads a grammar from n bytes; `what` names them in messages ("tales.grammar").  E_DATA names the line and what is wrong. */
int  grammar_parse(struct grammar **g, const char *text, size_t n, const char *what);
void grammar_free(struct grammar *g);

/* Appends text `index` of the stream `seed`.  log_p (may be NULL) is the natural logarithm of its probability.  E_MEMORY. */
int grammar_tell(const struct grammar *g, uint64_t seed, uint64_t index, struct text *out, double *log_p);

/* 1 if the grammar can tell exactly these n bytes, else 0.  log_p (may be NULL) is what grammar_tell says of the same
 * text, to the last bit, and -INFINITY of a text that cannot be told.  understood (may be NULL) is how many bytes
 * begin some text: n if the text is whole or was only cut short, otherwise where the first wrong word begins. */
int grammar_accepts(const struct grammar *g, const char *text, size_t n, double *log_p, size_t *understood);

/* All of these are exact, except most_bytes: each value said of a row counts with the longest of its column. */
struct grammar_facts {
    double log_texts;                    /* natural logarithm of the number of different texts */
    double nats;                         /* entropy: the mean of -log_p */
    double log_same;                     /* logarithm of the probability that two texts are the same */
    double words;                        /* mean length; a punctuation mark is a word */
    size_t least_words, most_words;
    size_t most_bytes;                   /* no text is longer */
    int vocabulary;                      /* different words and marks; opening and closing quotes are two */
};
const struct grammar_facts *grammar_facts(const struct grammar *g);

#endif
