/* safetensors.h -- Hugging Face's tensor files: 8 bytes of header length, a JSON header, raw little-endian tensors.
 *
 * The reader accepts nothing that the reference reader refuses: no holes, no overlap, nothing behind the end.  It is stricter
 * where that one shrugs: a name or a key that occurs twice, a key it does not know, more than MAX_DIMS dimensions. */
#ifndef FILE_SAFETENSORS_H
#define FILE_SAFETENSORS_H
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

enum { MAX_DIMS = 8 };

struct st_tensor {
    const char *name;
    enum dtype type;
    int n_dims;                          /* 0: a scalar */
    int64_t dim[MAX_DIMS];               /* a dimension may be 0 */
    const void *data;                    /* reading: into the map; a file may leave it unaligned, even to its element */
    size_t size;                         /* bytes */
};

/* Opening maps the file and reads the header only; names, metadata and data live until safetensors_close.  Types are those of
 * base/dtype.h, and BOOL, which is read as U8; a file with any other is refused. */
struct safetensors;
int  safetensors_open(struct safetensors **s, const char *path);
int  safetensors_parse(struct safetensors **s, const uint8_t *bytes, size_t size, const char *what);  /* of memory that outlives it */
void safetensors_close(struct safetensors *s);                                           /* NULL is fine */
int  safetensors_count(const struct safetensors *s);
const struct st_tensor *safetensors_at(const struct safetensors *s, int i);              /* in the order of the data in the file */
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL if absent; O(log n) */
const char *safetensors_metadata(const struct safetensors *s, const char *key);          /* NULL if absent; O(log n) */

/* Writes a file atomically (base/file.h).  Data of tensor i: t[i].data, or if that is NULL what fill(context, i, buffer) puts into
 * t[i].size bytes of buffer, one tensor at a time, in the order of the file; an error that fill returns is passed on.  Metadata
 * (may be NULL): pairs key, value, NULL at the end; {"format": "pt"} is always there.  Tensors are laid out by type, widest first,
 * then by name, as the reference writer does; the first byte of data is 64-aligned.  What our reader would refuse (a name twice, a
 * size that is not its shape's) is not written: E_DATA.  sha256 (may be NULL) receives the checksum of the file. */
int safetensors_write(const char *path, const struct st_tensor *t, int n, const char *const *metadata,
                      int (*fill)(void *context, int i, void *buffer), void *context, char sha256[65]);

#endif
