/* talk.h -- a conversation with a model: what a user says goes in, the answer comes out, keys and values stay from turn to turn.
 *
 * A context that is full loses its oldest turns, from the first user's on; what the system said stays (but nanochat's, which the first user says). */
#ifndef INFER_TALK_H
#define INFER_TALK_H
#include "infer/generate.h"
#include "token/chat.h"

struct talk {
    struct chat chat;                    /* chat.system may be changed before talk_reset */
    struct session *session;             /* its first stream */
    struct stream stream;
    struct text flags;                   /* of the stream's ids */
    struct rendered turn;                /* what is being added to it */
    uint64_t turns;                      /* all there were: the next one's number among samples */
};

enum talk_end { TALK_DONE, TALK_CUT };   /* TALK_CUT: it was as long as it may be, or as the context */
struct talked { enum talk_end end; int64_t tokens; size_t left_out; };   /* left_out: turns for which there was no room any more */

/* `name`: of a chat template, or "auto".  The session has a stream for it, and outlives it. */
int  talk_open(struct talk *t, struct session *s, const struct tokenizer *tokenizer, const char *name);
void talk_close(struct talk *t);
int  talk_reset(struct talk *t);         /* nothing was said yet */
/* One turn; g says how the answer is drawn (its number of tokens is bounded by the context, too) and to whom it goes.  E_STOPPED: it was interrupted, and the conversation
 * goes on behind what there is of it.  E_USAGE: what was said does not fit into the context; E_DATA: nor into the vocabulary; both as if it had not been said. */
int  talk_say(struct talk *t, const char *text, size_t n, const struct generation *g, struct talked *told);

#endif
