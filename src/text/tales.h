/* tales.h -- the corpus that nib carries within itself: short stories for children, told by a grammar.
 *
 * Nothing is downloaded and nothing is stored: story i of a seed is a function (text/grammar.h), the numbers of stories
 * and of seeds have no end that a training run could see, and whoever samples a model trained on them can ask the
 * grammar which of its stories hold together. */
#ifndef TEXT_TALES_H
#define TEXT_TALES_H
#include "text/grammar.h"

int tales_open(struct grammar **g);              /* src/text/tales.grammar, as it was when nib was built; freed by grammar_free */

#endif
