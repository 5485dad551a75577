/* trace.h -- which op made the first number that is not finite? */
#ifndef TRAIN_TRACE_H
#define TRAIN_TRACE_H
#include "base/text.h"
#include "graph/graph.h"

/* Weights, if they are not finite already: the first such parameter's name.  NULL: all are. */
const char *trace_weights(const struct weights *w);

/* Runs a bound plan step by step.  The first result or gradient that is not finite appends to out what made it: "linear of h.3.mlp.c_fc.weight,
 * forward", and ends the run; out stays empty if there is none. */
int trace_run(struct plan *p, const struct run_scalars *s, struct text *out);

#endif
