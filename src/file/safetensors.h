/* safetensors.h -- Hugging Face's tensor files: 8 bytes of header length, a JSON header, raw little-endian tensors.
 *
 * The reader accepts nothing that the reference reader refuses: no holes, no overlap, nothing behind the end.  It is stricter
 * where that one shrugs: a name or a key that occurs twice, a key it does not know, more than MAX_DIMS dimensions. */
#ifndef FILE_SAFETENSORS_H
#define FILE_SAFETENSORS_H
#include "file/tensors.h"

/* Opening maps the file and reads the header only.  Types are those of base/dtype.h, and BOOL, which is read as U8; a file with any
 * other is refused. */
int safetensors_open(struct tensors **t, const char *path);
int safetensors_parse(struct tensors **t, const uint8_t *bytes, size_t size, const char *what);      /* of memory that outlives it */
int safetensors_add(struct tensors *t, const char *path);                                            /* one file of several */

/* Writes a file atomically (base/file.h).  Data of tensor i: t[i].data, or if that is NULL what fill(context, i, buffer) puts into
 * t[i].size bytes of buffer, one tensor at a time, in the order of the file; an error that fill returns is passed on.  Metadata
 * (may be NULL): pairs key, value, NULL at the end; {"format": "pt"} is always there.  Tensors are laid out by type, widest first,
 * then by name, as the reference writer does; the first byte of data is 64-aligned.  What our reader would refuse (a name twice, a
 * size that is not its shape's) is not written: E_DATA.  sha256 (may be NULL) receives the checksum of the file. */
int safetensors_write(const char *path, const struct file_tensor *t, int n, const char *const *metadata,
                      int (*fill)(void *context, int i, void *buffer), void *context, char sha256[65]);

#endif
