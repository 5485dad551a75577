/* token_files.h -- the other end of dataset.h: writes a folder that dataset_open reads, and nanoGPT.
 *
 * Ids go to temporary files beside train.bin and val.bin as they come, so that any text fits.  Nothing has its final name
 * before token_files_commit: whatever fails until then, an older preparation in the folder stays as it was. */
#ifndef TEXT_TOKEN_FILES_H
#define TEXT_TOKEN_FILES_H
#include "text/dataset.h"
#include "text/tokenizer.h"

struct token_files {
    struct dataset set;                  /* what dataset.json will say; by_document, longest and floor are the owner's to set */
    struct file_writer file[2];          /* by enum split */
    uint64_t n[2];                       /* ids in them */
};

/* All fail with E_IO (no rights, no space ...), and the message names the file. */
int  token_files_create(struct token_files *f, const char *folder);      /* makes the folder; failed, it needs no discard */
void token_files_use(struct token_files *f, const struct tokenizer *t);  /* before the first ids: how wide they are */
int  token_files_add(struct token_files *f, enum split s, const uint32_t *ids, size_t n);

/* Puts tokenizer, train.bin, val.bin and, last, dataset.json in place of what was there.  What a crash in between leaves lacks
 * a .bin file, or only dataset.json: never old tokens with a new vocabulary. */
int  token_files_commit(struct token_files *f, const struct tokenizer *t);
void token_files_discard(struct token_files *f);                         /* gives up; does nothing after a commit that went well */

#endif
