/* dataset.h -- prepared text: a folder of token files, and the windows that training and evaluation see.
 *
 * train.bin and val.bin are nanoGPT's: a headerless stream of little-endian ids, u16, or u32 where the vocabulary needs it.
 * A large split is cut into shards, train_000000.bin, train_000001.bin ...: one after the other they are its train.bin.
 * dataset.json beside them says what they are; without it they are taken for nanoGPT's own (u16; vocabulary of meta.pkl,
 * else GPT-2's).  tokenizer.json, if there, is how they were made.
 *
 * llm.c's files have a header (shard_header.h).  Its sets are folders of NAME_train_000001.bin ... and NAME_val_000000.bin ..., or of
 * NAME_train.bin and NAME_val.bin; one such file is a set by itself, which trains and validates.  nib calls them
 * tokens_train_000000.bin. */
#ifndef TEXT_DATASET_H
#define TEXT_DATASET_H
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/text.h"

#define DATASET_UNFINISHED "unfinished.tmp"  /* a folder in the folder: the files of a preparation, until all are there */

enum split { SPLIT_TRAIN, SPLIT_VAL };
enum token_format { TOKENS_NANOGPT, TOKENS_LLMC };

/* Ids first .. first + n - 1 of its split.  name: of its file; NULL: that which dataset_file gives it. */
struct shard { struct file_map map; const uint8_t *ids; size_t first, n; char *name; };

struct split_tokens {
    struct shard *shard; size_t shards, room;
    size_t n;                            /* ids, of all shards */
    uint64_t *start; size_t n_starts;    /* with by_document: where documents begin (the end token before each counts to it) */
};

struct dataset {
    char folder[PATH_SIZE];
    char file[PATH_SIZE];                /* the one that it is, for both splits; else empty */
    enum token_format format;
    int width;                           /* bytes of an id: 2 or 4 */
    int64_t vocab;                       /* ids are 0 .. vocab - 1; 0: unknown */
    int64_t needs;                       /* the least vocabulary of a model for it: vocab, or where that is a guess, as much as the ids take */
    int64_t end;                         /* the end-of-text token, -1: none */
    int by_document;                     /* windows start where documents start, and evaluation takes documents one by one */
    int64_t longest;                     /* the longest document, end token included; 0: unknown */
    char tokenizer[17];                  /* the fingerprint of the tokenizer that made the ids; "" if nothing says it */
    double floor;                        /* nats a token that no model can beat on the validation text; 0: unknown */
    struct split_tokens split[2];
};

/* What a set is known by: sets of the same mark train the same run.  sample: SHA-256 of ids from evenly spaced places. */
struct dataset_mark { int64_t train, val, vocab; char tokenizer[17], sample[65]; };
void dataset_mark(const struct dataset *d, struct dataset_mark *m);
/* E_USAGE, with the difference, if it is not the set of that mark. */
int  dataset_is(const struct dataset *d, const struct dataset_mark *m, const char *whose);

/* Is every file of the folder what was written?  A folder that says nothing of that (nanoGPT's own) is taken as it is: *known is 0. */
int  dataset_verify(const struct dataset *d, int *known);

/* A folder, a name that stands for data/NAME, or a file of llm.c's.  Checks that files are whole and that ids fit the vocabulary. */
int  dataset_open(struct dataset *d, const char *name);
int  dataset_look(const char *path);                                     /* a folder of token files, or a file that has a header */
static inline const char *dataset_name(const struct dataset *d) { return *d->file ? d->file : d->folder; }
void dataset_close(struct dataset *d);
int  dataset_write(const struct dataset *d, const char *fingerprint);    /* dataset.json; folder must be set */

/* E_DATA: the model's folder has a tokenizer, and it is another than the one that made these ids. */
int  dataset_suits(const struct dataset *d, const char *model);
/* For people: numbers of tokens and documents, the tokenizer, how the text begins. */
int  dataset_tell(const struct dataset *d, struct text *out);

/* Where dataset_open looks: the folder itself, or data/NAME. */
int  dataset_find(char folder[PATH_SIZE], const char *name);
/* The file of shard i, where a split has so many. */
int  dataset_file(char path[PATH_SIZE], const char *folder, enum token_format f, enum split s, size_t i, size_t shards);
size_t dataset_header(enum token_format f);                              /* bytes before the ids of a file */
int  dataset_add_shard(struct dataset *d, enum split s, size_t n);       /* without its file */

uint32_t dataset_id(const struct dataset *d, enum split s, size_t i);
/* Window w of a random draw: the place of its first id, such that `length` + 1 ids follow.  Windows 0, 1, 2 ... are spread evenly
 * over the text, each at another offset.  Fails if the split is too short. */
int  dataset_draw(const struct dataset *d, enum split s, int64_t length, uint64_t key, uint64_t w, size_t *at);
/* Window w of those that train.  Of shards one at a time is read from the disk: windows are spread over one, and when they are as many as
 * cover it, over the next; each round through the shards has another order. */
int  dataset_draw_in_turn(const struct dataset *d, int64_t length, uint64_t key, uint64_t w, size_t *at);
/* ids at .. at + n and the same shifted by one */
void dataset_window(const struct dataset *d, enum split s, size_t at, int64_t n, int32_t *ids, int32_t *targets);

#endif
