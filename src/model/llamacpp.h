/* llamacpp.h -- what reading (llamacpp.c), writing (llamacpp_write.c) and scaled positions (llamacpp_rope.c) of GGUF files share: which
 * architecture is which model, and what its tensors and keys are called on either side.
 *
 * Two things differ from Hugging Face's files.  GPT-2's dense layers are (out, in), and so they are used.  Architecture llama turns neighbouring
 * pairs (2j, 2j + 1) of a head by position where Hugging Face turns (j, j + D / 2): rows of q and k lie in that order. */
#ifndef MODEL_LLAMACPP_H
#define MODEL_LLAMACPP_H
#include "file/gguf.h"
#include "model/model.h"

enum { MOST_KEY = 96 };

enum change { AS_IT_IS, TURNED, OF_Q, OF_K };
struct name { const char *theirs, *ours; enum change change; };

/* Of all; then of a block: theirs begin with blk.N., ours with .block, N and a dot.  Each list ends with theirs NULL. */
struct family { const char *block; struct name all[6], in_block[20]; };

struct architecture {
    const char *name;
    const struct model *model;
    const struct family *family;
    const char *eps;                     /* the key of config.eps, without the name and its dot, as all keys here */
    int by_pairs;                        /* rows of q and k are those of neighbouring pairs */
};
extern const struct architecture llamacpp_architectures[];   /* ends with name NULL */

struct size_key { const char *key; size_t field; int needed; };          /* an int64_t of struct config */
extern const struct size_key llamacpp_sizes[];               /* ends with key NULL */

/* What GGUF has no key for and nib writes for itself; absent: biases, and GELU by tanh. */
#define KEY_BIAS "nib.bias"
#define KEY_GELU_ERF "nib.gelu_erf"
#define ROPE_DIVISORS "rope_freqs.weight"

/* "llama.block_count"; two may be held at once. */
const char *llamacpp_key(const struct architecture *a, const char *name);

/* ---- scaled positions (llamacpp_rope.c) ---- */

/* E_MODEL: positions that nib does not turn so, by the name of what asks for them.  c's theta, head_dim and context are known. */
int llamacpp_read_scaling(const struct gguf *g, const struct architecture *a, struct config *c);
/* Into keys; llama3's is said by a tensor instead: then *divisors has head_dim / 2 floats, in memory; else NULL. */
int llamacpp_put_scaling(struct gguf_keys *k, const struct architecture *a, const struct config *c, float **divisors, struct arena *memory);

#endif
