/* safetensors.h -- Hugging Face's tensor files: 8 bytes of header length, a JSON header, raw little-endian tensors.
 * The reader maps the file and accepts what the reference reader accepts: no holes, no overlap, nothing behind the end. */
#ifndef FILE_SAFETENSORS_H
#define FILE_SAFETENSORS_H
#include <stddef.h>

#include "base/dtype.h"

enum { MAX_DIMS = 8 };

struct st_tensor {
    const char *name;
    enum dtype type;
    int n_dims;                          /* 0: a scalar */
    int64_t dim[MAX_DIMS];
    const void *data;                    /* reading: into the map, 8-aligned at best */
    size_t size;                         /* bytes */
};

struct safetensors;
int  safetensors_open(struct safetensors **s, const char *path);
int  safetensors_parse(struct safetensors **s, const uint8_t *bytes, size_t size, const char *what);     /* of memory that outlives it */
void safetensors_close(struct safetensors *s);
int  safetensors_count(const struct safetensors *s);
const struct st_tensor *safetensors_at(const struct safetensors *s, int i);              /* in the order of the file */
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL if absent; O(1) or O(log n) */
const char *safetensors_metadata(const struct safetensors *s, const char *key);          /* NULL if absent */

/* Writes a file atomically.  Data of tensor i: t[i].data, or if that is NULL what fill(context, i, buffer) puts into t[i].size bytes
 * of buffer (one tensor at a time).  Metadata: pairs key, value, NULL at the end; {"format": "pt"} is always there.  Tensors are
 * laid out by alignment, then by name, as the reference writer does; the first byte of data is 64-aligned.  sha256 (may be NULL)
 * receives the checksum of the file. */
int safetensors_write(const char *path, const struct st_tensor *t, int n, const char *const *metadata,
                      int (*fill)(void *context, int i, void *buffer), void *context, char sha256[65]);

#endif
