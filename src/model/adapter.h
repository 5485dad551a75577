/* adapter.h -- LoRA adapters (Hu et al. 2021) as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors (or .bin).
 *
 *     adapter_config.json            r, lora_alpha, target_modules, base_model_name_or_path ...
 *     adapter_model.safetensors      base_model.model.transformer.h.0.attn.c_attn.lora_A.weight (r, in) and .lora_B.weight (out, r)
 *
 * Which layers are adapted, and with what rank, is what the file of tensors has; the configuration must agree, and says how much their
 * product counts: alpha / r, or alpha / sqrt(r), by module where patterns say so.  The model it adapts, its base, is another folder, opened
 * beside it (model_open): its matrices are not touched, the graph computes y + scale * B (A x). */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H
#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "graph/graph.h"

#define ADAPTER_CONFIG "adapter_config.json"
#define ADAPTER_MODEL "adapter_model.safetensors"

struct json_t;
struct model;
struct tensors;
struct file_tensor;

struct adapter {
    struct lora lora;                    /* of a folder: a layer each, by its full name; of a new one: its target_modules */
    char base[PATH_SIZE];                /* what it adapts, as it was given: a path, or a name; "": nobody said */
    char home[PATH_SIZE];                /* where that was found */
    int64_t rank;                        /* r, lora_alpha, lora_dropout and use_rslora of the configuration */
    double alpha, dropout;
    int by_root;
    struct json_t *config;               /* all of it */
    struct tensors *tensors;             /* NULL: of a new one */
    struct arena memory;
};

const struct low_rank *lora_of(const struct lora *l, const char *layer);     /* by its full name, "h.0.attn.c_attn"; NULL: it is not adapted */

int  adapter_look(const char *folder, int *is);                          /* is this an adapter's folder? */
void adapter_close(struct adapter *a);                                   /* NULL is fine */

/* ---- the configuration (adapter_config.c) ---- */

/* E_MODEL: an adapter of another kind (DoRA, biases, embeddings ...), by the key that says so. */
int  adapter_parse(struct adapter *a, const struct json_t *root, const char *what);
int  adapter_read(struct adapter **a, const char *folder);               /* the configuration alone; layers come with adapter_open_tensors.  Fails: *a is NULL */
/* A new one for a model.  targets: "c_attn,mlp.c_proj", "all" layers of the blocks, or "auto": those that PEFT takes for this family. */
struct adapter_settings { int64_t rank; double alpha, dropout; const char *targets, *base; };
int  adapter_new(struct adapter **a, const struct model *m, const struct adapter_settings *s);
int  adapter_change(struct adapter *a, const char *base, double dropout);    /* base: NULL: as before; for what is computed and written from now on */
int  adapter_write(const struct adapter *a, const char *folder);         /* adapter_config.json */
/* Scale of the module (its name as PEFT has it) whose matrices have this rank. */
struct module { const char *name; int64_t rank; float scale; };
int  adapter_scales(const struct adapter *a, struct module *of, int n, const char *what);
void adapter_describe(const struct adapter *a, struct text *out);        /* "LoRA of rank 8 on q_proj, v_proj of gpt2" */

/* What a base is known by: SHA-256 of its tensors' names, types and shapes, and of bytes from evenly spaced places of each. */
void adapter_mark_base(const struct tensors *base, char mark[65]);

/* ---- the matrices (adapter.c) ---- */

int  adapter_open_tensors(struct adapter *a, const struct model *m, const char *folder);
/* After graphs are planned on w: does every layer of l exist?  E_USAGE names one that does not, and those there are. */
int  adapter_check_layers(const struct weights *w, const struct model *m, const struct lora *l, const char *what);
int  adapter_check(const struct weights *w, const struct model *m, const struct tensors *t, const char *what);      /* are all there, in their shapes? */
int  adapter_load(struct weights *w, const struct model *m, const struct tensors *t, const char *what);             /* after weights_place */
int  adapter_load_file(struct weights *w, const struct model *m, const char *folder);
int  adapter_init(struct weights *w, uint64_t seed);                     /* A uniform within 1 / sqrt(in), B zero, as PEFT begins */
int  adapter_save(const struct weights *w, const struct model *m, const char *path, char sha256[65]);
/* A matrix of the base, t, and its adapter's product in one, for block `block` of p, which has one (adapter_has).  E_MODEL: t's are no floats. */
enum dtype adapter_merged_type(enum dtype t);                            /* of the result */
int  adapter_merge(const struct adapter *a, const struct model *m, const struct param *p, int block, const struct file_tensor *t, void *to);
int  adapter_has(const struct adapter *a, const char *block);            /* "h.0.attn.c_attn.weight" */

#endif
