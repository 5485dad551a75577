/* torch.h -- files by torch.save, PyTorch 1.6 and later: a ZIP archive of a pickle and of the bytes of its tensors.  Read, never executed:
 * what the pickle may name are the classes of tensors and an ordered dict.
 *
 * The reference is torch/serialization.py and torch/_utils.py (_rebuild_tensor_v2): a tensor is a storage, where it begins in that, its
 * shape and its strides. */
#ifndef FILE_TORCH_H
#define FILE_TORCH_H
#include "file/pickle.h"
#include "file/tensors.h"
#include "file/zip.h"

struct torch {
    struct tensors *tensors;             /* what torch_add has added; its memory holds all else */
    const struct pickle *root;
    struct zip zip;
    const char *what;                    /* for messages; the path must live as long */
};

/* Maps the file.  E_DATA: another kind of file, an older format, or a pickle that names anything else. */
int  torch_open(struct torch *t, const char *path);
int  torch_parse(struct torch *t, const uint8_t *bytes, size_t size, const char *what);      /* of memory that outlives it */
void torch_close(struct torch *t);

/* A value of the tree that is a tensor, or a parameter.  Data that is not contiguous is copied.  E_DATA: no tensor, of a type that
 * base/dtype.h has not, or one that its storage does not hold. */
int  torch_tensor(struct torch *t, const struct pickle *value, struct file_tensor *one);
/* All tensors of a state dict, by their names; then t->tensors is settled. */
int  torch_add(struct torch *t, const struct pickle *dict);

/* ---- writing ---- */

/* Appends tensor i of those that torch_write is given, as it is pickled. */
void torch_put(struct text *pickle, const struct file_tensor *one, int i);
/* A file that torch.load opens, with weights_only=True, too: a pickle, and its tensors.  Data of tensor i: t[i].data, or if that is NULL
 * what fill(context, i, buffer) puts into t[i].size bytes of buffer. */
int torch_write(const char *path, const struct text *pickle, const struct file_tensor *t, int n, int (*fill)(void *context, int i, void *buffer), void *context);

#endif
