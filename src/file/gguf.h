/* gguf.h -- llama.cpp's model files, versions 2 and 3: keys with typed values, and tensors, plain or in blocks.  The reference is
 * ggml/src/gguf.cpp; what it refuses is refused here.
 *
 *     "GGUF", version, tensors, keys           24 bytes
 *     each key: a text, the type of its value, the value
 *     each tensor: a text, dimensions (the fastest first), type, where its data begins
 *     data, each tensor's from a multiple of the alignment on, without gaps */
#ifndef FILE_GGUF_H
#define FILE_GGUF_H
#include "base/text.h"
#include "file/tensors.h"

struct gguf;
int  gguf_open(struct gguf **g, const char *path);
int  gguf_parse(struct gguf **g, const uint8_t *bytes, size_t size, const char *what);       /* of memory that outlives it */
void gguf_close(struct gguf *g);                             /* NULL is fine */
/* Ends as gguf_close does, but for the file and its memory, which an empty set of tensors has from now on. */
struct tensors *gguf_release(struct gguf *g);
struct tensors *gguf_set(const struct gguf *g);              /* the same set while it is open: to add to */

/* ---- values, by key.  E_DATA: the key is absent, of another type, or out of bounds ---- */

int gguf_has(const struct gguf *g, const char *key);
int gguf_int(const struct gguf *g, const char *key, int64_t least, int64_t most, int64_t *value);    /* any type of integer */
int gguf_real(const struct gguf *g, const char *key, double *value);
int gguf_bool(const struct gguf *g, const char *key, int *value);
int gguf_text(const struct gguf *g, const char *key, const char **text);             /* no NUL is in it */

struct gguf_bytes { const char *at; size_t size; };
int gguf_texts(const struct gguf *g, const char *key, const struct gguf_bytes **texts, size_t *n);
int gguf_ints(const struct gguf *g, const char *key, const int32_t **ints, size_t *n);       /* i32 or u32 */
int gguf_reals(const struct gguf *g, const char *key, const float **reals, size_t *n);

/* ---- tensors ---- */

/* In the order of the file, as they lie in it; dimensions as PyTorch has them, the fastest last. */
size_t gguf_count(const struct gguf *g);
const struct file_tensor *gguf_at(const struct gguf *g, size_t i);
const struct file_tensor *gguf_find(const struct gguf *g, const char *name);         /* NULL if absent; O(log n) */

/* ---- writing, version 3 ---- */

/* Keys in the order they are put; a failed allocation shows when the file is written. */
struct gguf_keys { struct text text; uint64_t n; };
void gguf_put_int(struct gguf_keys *k, const char *key, uint32_t value);
void gguf_put_real(struct gguf_keys *k, const char *key, float value);
void gguf_put_bool(struct gguf_keys *k, const char *key, int value);
void gguf_put_text(struct gguf_keys *k, const char *key, const char *text);
void gguf_put_texts(struct gguf_keys *k, const char *key, const struct gguf_bytes *texts, size_t n);
void gguf_put_ints(struct gguf_keys *k, const char *key, const int32_t *ints, size_t n);

/* Atomically (base/file.h).  Of each tensor its name, type and dimensions; fill(context, i, buffer) puts its bytes into buffer. */
int gguf_write(const char *path, const struct gguf_keys *k, const struct file_tensor *t, size_t n, int (*fill)(void *context, size_t i, void *buffer), void *context);

#endif
