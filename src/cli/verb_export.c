/* verb_export.c -- nib export MODEL --to=KIND: the same model, as other tools have it. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "file/gguf.h"
#include "file/tensors.h"
#include "infer/engine.h"
#include "model/hub.h"
#include "token/tokenizer.h"
#include "train/checkpoint.h"
#include "train/train.h"

struct export_options { const char *to, *out, *dataset, *quantize, *tokenizer, *base; };

static const char USAGE[] =
    "nib export MODEL --to=hf|nanogpt|llmc|llama2c|gguf --out=PATH\n\n"
    "Writes a model as other tools have it: a folder that transformers opens, a ckpt.pt for nanoGPT, a .bin for llm.c, a .bin for\n"
    "llama2.c with its tokenizer.bin beside it, a .gguf for llama.cpp and what is made of it. MODEL: whatever nib opens; an adapter and\n"
    "what it adapts become one. Weights keep their type, unless --quantize says another; llama2.c's are f32. Of a checkpoint\n"
    "(out/step-00000250) a ckpt.pt has the optimizer, too, so that nanoGPT's train.py goes on.\n\n";

#define FIELD(name) #name, .offset = offsetof(struct export_options, name)
static const struct option table[] = {
    { FIELD(to), .kind = OPTION_TEXT, .initial = "hf", .choices = "hf|nanogpt|llmc|llama2c|gguf", .group = "output", .help = "hf: config.json, model.safetensors, tokenizer.json; nanogpt: ckpt.pt; llmc: gpt2_124M.bin; llama2c: stories15M.bin; gguf: llama.cpp's" },
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "what to write: a folder for hf, a file for the others" },
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "nanogpt: its sample.py takes the characters from data/NAME/meta.pkl; by default what the run was trained on" },
    { FIELD(quantize), .kind = OPTION_TEXT, .initial = "auto", .choices = "auto|f32|f16|bf16|q8_0|q4_0|q4_k_m", .group = "output", .help = "gguf: the type of matrices; auto: as they are" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "output", .help = "gguf: gpt2, or a tokenizer's file or folder; auto: the model's own" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
};

/* ---- kinds ---- */

static int to_hf(const struct export_options *o, const struct model_files *f, const char *from)
{
    char path[PATH_SIZE];
    struct surroundings s = { .end = -1 };
    struct tokenizer *t;
    TRY(engine_tokenizer(&t, f, from, NULL));
    s.tokenizer = t;
    if (t) s.end = tokenizer_end(t);
    int code = dir_make(o->out);
    if (!code) code = checkpoint_describe(o->out, f->model, &f->config, &s);
    if (!code) code = path_join(path, o->out, "model.safetensors");
    if (!code) code = model_write(f, path, NULL);
    tokenizer_free(t);
    return code;
}

/* What a run was set to, or the run of a checkpoint; else what nobody sets otherwise, and no dataset. */
static int find_settings(struct settings *s, struct arena *memory, const char *from)
{
    char parent[PATH_SIZE];
    struct options o = { .table = settings_table, .n = settings_count, .values = s, .memory = memory };
    TRY(options_defaults(&o));
    s->dataset = "";
    TRY(path_parent(parent, from));
    if (path_is_dir(from) && train_recorded(&o, from)) train_recorded(&o, parent);
    error_clear();
    return 0;
}

/* A checkpoint has all that train.py goes on from. */
static int find_run(struct nanogpt_run *r, const struct settings *s, const char *from, int *is)
{
    char path[PATH_SIZE];
    struct progress p;
    TRY(path_join(path, from, "trainer.json"));
    TRY(path_look(path, is));
    if (!*is) return 0;
    TRY(checkpoint_progress(from, &p));
    TRY(checkpoint_moments(from, &r->moments));
    *r = (struct nanogpt_run){ p.iteration, p.updates, r->moments, s->beta1, s->beta2, s->weight_decay };
    return 0;
}

static int to_nanogpt(const struct export_options *o, const struct model_files *f, const char *from)
{
    struct settings s;
    struct arena memory = { 0 };
    struct nanogpt_run r = { 0 };
    int has_run = 0, code = find_settings(&s, &memory, from);
    if (!code && !f->adapter) code = find_run(&r, &s, from, &has_run);       /* an adapter's moments are of other matrices */
    if (!code) code = nanogpt_write(f, has_run ? &r : NULL, o->dataset ? o->dataset : path_base(s.dataset), o->out);
    tensors_close(r.moments);
    arena_free(&memory);
    return code;
}

static int to_llmc(const struct export_options *o, const struct model_files *f, const char *from)
{
    (void)from;
    return llmc_write(f, o->out);
}

/* A tokenizer.bin that is there already has to be this one. */
static int look_beside(const char *path, const struct tokenizer *t)
{
    struct tokenizer *there;
    if (!t || !path_is_file(path)) return 0;
    int is = !tokenizer_open(&there, path), same = is && !strcmp(tokenizer_fingerprint(there), tokenizer_fingerprint(t));
    if (is) tokenizer_free(there);
    FAIL_IF(!same, E_USAGE, "%s is there already, and is another tokenizer; choose another folder for --out", path);
    return 0;
}

static int put_tokenizer_beside(const struct tokenizer *t, int64_t entries, const char *path)
{
    if (!t || path_is_file(path)) return 0;
    int code = tokenizer_write_llama2c(t, entries, path);
    if (code != E_MODEL) return code;
    fprintf(stderr, "note: no tokenizer.bin was written: %s\n", error_text());
    return 0;
}

static int to_llama2c(const struct export_options *o, const struct model_files *f, const char *from)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    struct tokenizer *t;
    TRY(engine_tokenizer(&t, f, from, NULL));
    int code = path_parent(folder, o->out);
    if (!code) code = path_join(path, folder, "tokenizer.bin");
    if (!code) code = look_beside(path, t);
    if (!code) code = llama2c_write(f, o->out);
    if (!code) code = put_tokenizer_beside(t, f->config.vocab, path);
    tokenizer_free(t);
    return code;
}

/* ---- GGUF ---- */

static int put_tokenizer(struct gguf_keys *k, const struct export_options *o, const struct model_files *f, const char *from, struct text *notices)
{
    struct tokenizer *t;
    TRY(engine_tokenizer(&t, f, from, strcmp(o->tokenizer, "auto") ? o->tokenizer : NULL));
    int code = t ? tokenizer_to_gguf(t, f->config.vocab, k, notices)
                 : error_set(E_DATA, __FILE__, __LINE__, "%s has no tokenizer, which a GGUF file must have; give one with --tokenizer (gpt2, a file or a folder)", from);
    tokenizer_free(t);
    return code;
}

static int to_gguf(const struct export_options *o, const struct model_files *f, const char *from)
{
    struct gguf_keys k = { 0 };
    struct text notices = { 0 };
    struct llamacpp_options lo = { .name = *path_base(from) ? path_base(from) : f->model->name, .quantize = strcmp(o->quantize, "auto") ? o->quantize : NULL, .more = &k, .notices = &notices };
    int code = put_tokenizer(&k, o, f, from, &notices);
    if (!code) code = llamacpp_write(f, &lo, o->out);
    if (!code && notices.size) fputs(notices.at, stderr);
    text_free(&notices);
    text_free(&k.text);
    return code;
}

/* tanh: how the tool computes GELU, -1: as the model says. */
static const struct target { const char *name; int (*write)(const struct export_options *o, const struct model_files *f, const char *from); int tanh; } targets[] = {
    { "hf", to_hf, -1 }, { "nanogpt", to_nanogpt, 0 }, { "llmc", to_llmc, 1 }, { "llama2c", to_llama2c, -1 }, { "gguf", to_gguf, 1 },
};

static int write(const struct export_options *o, const struct model_files *f, const char *from)
{
    const struct target *k = targets;
    while (strcmp(k->name, o->to)) k++;
    TRY(k->write(o, f, from));
    int is_tanh = f->config.activation == GELU_TANH;
    if (k->tanh >= 0 && f->model == &model_gpt2 && k->tanh != is_tanh) fprintf(stderr, "note: this model's GELU is by %s, %s's by %s: its numbers will differ a little\n", is_tanh ? "tanh" : "erf", o->to, k->tanh ? "tanh" : "erf");
    printf("%s\n", o->out);
    return 0;
}

static int export(struct options *options, int argc, char **argv)
{
    const struct export_options *o = options->values;
    char path[PATH_SIZE];
    struct model_files f;
    (void)argc;
    FAIL_IF(!o->out, E_USAGE, "where to? --out=PATH names what is written");
    FAIL_IF(strcmp(o->to, "gguf") && (strcmp(o->quantize, "auto") || strcmp(o->tokenizer, "auto")), E_USAGE, "--quantize and --tokenizer are for --to=gguf, not for %s", o->to);
    FAIL_IF(path_is_dir(o->out) || path_is_file(o->out), E_USAGE, "%s is there already; choose another --out", o->out);
    TRY(hub_find(path, argv[0], screen_transfer, argv[0]));
    screen_clear();
    TRY(model_open_on(&f, path, o->base));
    int code = write(o, &f, path);
    model_close(&f);
    return code;
}

int verb_export(int argc, char **argv)
{
    struct export_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 1, 1, 0, USAGE, export }, &o, argc, argv);
}
