/* crew.h -- documents worked on by several threads, and what comes of them taken in order. */
#ifndef TOKEN_CREW_H
#define TOKEN_CREW_H
#include "file/documents.h"
#include "token/tokenizer.h"

/* A document, or n bytes of it; then doc.at.byte is where they begin in it, and `last` says that it ends with them. */
struct part { struct document doc; int last; };

struct crew_task {
    documents_apart *apart;              /* parts can be worked on by themselves */
    int (*work)(void *context, int thread, const struct part *p, struct ids *out);      /* by any thread, in any order */
    int (*take)(void *context, const struct part *p, const struct ids *ids);            /* by one, in the order of the text; may be NULL */
    void *context;
};

/* Parts are as many for one thread as for many, so what is taken does not depend on their number. */
struct crew;
int  crew_open(struct crew **c, const struct crew_task *task, int threads);      /* 0: one a core */
int  crew_threads(const struct crew *c);
int  crew_add(struct crew *c, const struct document *doc);                       /* may keep a copy and come back to it later */
int  crew_finish(struct crew *c);                                                /* all that was added is worked on and taken */
void crew_close(struct crew *c);                                                 /* NULL is fine */

#endif
