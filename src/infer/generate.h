/* generate.h -- writing: streams of a session, extended id by id until each is done. */
#ifndef INFER_GENERATE_H
#define INFER_GENERATE_H
#include <signal.h>

#include "infer/sampling.h"
#include "infer/session.h"

enum crop {
    CROP_HALF,                           /* a full context keeps its last half, shown again from position 0, and goes on */
    CROP_EXACT,                          /* as nanoGPT: each id sees the last `context` ids from position 0; slow */
};

struct generation {
    const struct tokenizer *tokenizer;
    struct sampling sampling;
    int64_t max_new;                     /* ids a stream */
    enum crop crop;
    int past_end;                        /* go on behind the end-of-text token, and the one that begins a text */
    const char *const *stop; int n_stop; /* a stream is done where one of these appears; it is not part of the text */
    /* Whole characters of stream i as they are certain; done: nothing follows.  A nonzero return ends all streams with that code. */
    int (*emit)(void *context, int stream, const char *text, size_t n, int done);
    void *context;
    const volatile sig_atomic_t *interrupted;        /* may be NULL; set: all streams end, E_STOPPED */
};

/* Streams hold their prompts (at least one id each); `first` numbers the first of them among all samples of a run, so that a
 * sample does not depend on how many are written together.  A stream that is not NULL is extended. */
int generate(struct session *s, const struct generation *g, struct stream *const *streams, int n, uint64_t first);

#endif
