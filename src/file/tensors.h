/* tensors.h -- named tensors from files, of whatever kind those are: a reader of a format fills a set, models are loaded from it. */
#ifndef FILE_TENSORS_H
#define FILE_TENSORS_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/file.h"

enum { MAX_DIMS = 8 };

struct file_tensor {
    const char *name;
    enum dtype type;
    int n_dims;                          /* 0: a scalar */
    int64_t dim[MAX_DIMS];               /* a dimension may be 0 */
    int turned;                          /* a matrix the other way round than its family has it: (out, in) for (in, out) */
    const void *data;                    /* contiguous, the last dimension fastest; perhaps in a map, there unaligned even to its element */
    size_t size;                         /* bytes */
};

/* Bytes of its shape; 0 if they cannot be counted, as when an early product overflows though a later dimension is 0, or rows are no whole blocks. */
int file_tensor_bytes(const struct file_tensor *t, size_t *size);

/* Blocks become f32, in memory; what lies alone stays. */
int file_tensor_widen(struct file_tensor *t, struct arena *memory);
/* A matrix the other way round, widened, its data new, in memory; `turned` changes. */
int file_tensor_turn(struct file_tensor *t, struct arena *memory);

struct tensors;                                                                  /* all it gives lives until it is closed */
void tensors_close(struct tensors *t);                                           /* NULL is fine */
int  tensors_count(const struct tensors *t);
const struct file_tensor *tensors_at(const struct tensors *t, int i);            /* in the order of the data in its file */
const struct file_tensor *tensors_find(const struct tensors *t, const char *name);       /* NULL if absent; O(log n) */
const char *tensors_metadata(const struct tensors *t, const char *key);          /* what a file says of itself; NULL if absent */

/* ---- for readers ---- */

int  tensors_new(struct tensors **t);
struct arena *tensors_memory(struct tensors *t);                                 /* for names and data that lie in no map */
int  tensors_map(struct tensors *t, struct file_map *map, const char *path);     /* a file that stays mapped as long */
int  tensors_add(struct tensors *t, const struct file_tensor *one);              /* pointers are kept */
int  tensors_note(struct tensors *t, const char *key, const char *value);        /* metadata; pointers are kept, of a key the first value */
/* All have been added: now they are found.  E_DATA: two of one name; `what` is for messages. */
int  tensors_settle(struct tensors *t, const char *what);

#endif
