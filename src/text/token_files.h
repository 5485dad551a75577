/* token_files.h -- the other end of dataset.h: writes a folder that dataset_open reads, and nanoGPT.
 *
 * Or llm.c, whose header counts the ids: it is written anew when a shard is complete.
 *
 * Ids go to files in a folder of their own as they come; one that has as many as a shard may hold is complete, safely on the
 * disk, and the next is begun.  Nothing is in its place before token_files_commit: whatever fails until then, an older
 * preparation in the folder stays as it was. */
#ifndef TEXT_TOKEN_FILES_H
#define TEXT_TOKEN_FILES_H
#include "text/dataset.h"
#include "token/tokenizer.h"

struct token_files {
    struct dataset set;                  /* what dataset.json will say: complete shards; by_document, longest and floor are the owner's to set */
    uint64_t shard_size;                 /* ids; 0: no end */
    char unfinished[PATH_SIZE];          /* where the files are made */
    enum split split;                    /* that is being written: first all that trains, then all that validates */
    struct file_writer file; uint64_t n; /* the shard that is begun, and how many ids are in it */
    int keep;                            /* token_files_discard leaves the complete shards */
    int lock;                            /* of `unfinished` */
};

/* All fail with E_IO (no rights, no space ...), and the message names the file.  token_files_create: E_BUSY, somebody else prepares into this folder. */
int  token_files_create(struct token_files *f, const char *folder, enum token_format format, uint64_t shard_size);      /* makes the folders */
void token_files_use(struct token_files *f, const struct tokenizer *t);  /* before the first ids: how wide they are */
int  token_files_add(struct token_files *f, enum split s, const uint32_t *ids, size_t n);
uint64_t token_files_all(const struct token_files *f, enum split s);     /* ids so far */
/* What an earlier preparation did not finish is removed, or gone on with, if its complete shards are there; then *is = 1.  ids: in
 * them.  committing: all were complete, and may have been moved. */
int  token_files_clear(struct token_files *f);
int  token_files_resume(struct token_files *f, const uint64_t ids[2], int committing, int *is);

int  token_files_complete(struct token_files *f);                        /* no more ids will come */
/* Puts tokenizer, token files and, last, dataset.json in place of what was there.  What a crash in between leaves lacks
 * a .bin file, or only dataset.json: never old tokens with a new vocabulary.  A commit can be repeated after one. */
int  token_files_commit(struct token_files *f, const struct tokenizer *t);
void token_files_discard(struct token_files *f);                         /* gives up, or frees after a commit */

#endif
