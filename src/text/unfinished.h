/* unfinished.h -- what a preparation leaves beside its complete shards, so that the same one goes on behind them after a kill. */
#ifndef TEXT_UNFINISHED_H
#define TEXT_UNFINISHED_H
#include "file/documents.h"
#include "text/token_files.h"

struct unfinished {
    char job[65];                        /* sum of everything that the ids depend on */
    struct { uint64_t documents[2], characters, bytes; } found;      /* by the first pass */
    enum split texts; struct place at;   /* the second came to this part of a text, */
    struct { uint64_t documents, characters; } before;               /* with so much before it; */
    uint64_t ids;                        /* so many of the part's ids are in the shards */
    int done;                            /* all ids are */
};

int unfinished_write(const struct unfinished *u, const struct token_files *f);
/* *u of the same job, *f with its shards; else *is = 0, and both are as they were. */
int unfinished_read(struct unfinished *u, struct token_files *f, int *is);

#endif
