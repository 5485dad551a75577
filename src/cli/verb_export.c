/* verb_export.c -- nib export MODEL --to=KIND: the same model, as other tools have it. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "model/adapter.h"
#include "model/hub.h"
#include "token/tokenizer.h"
#include "train/checkpoint.h"
#include "train/train.h"

struct export_options { const char *to, *out, *dataset, *base; };

static const char USAGE[] =
    "nib export MODEL --to=hf|nanogpt|llmc --out=PATH\n\n"
    "Writes a model as other tools have it: a folder that transformers opens, a ckpt.pt for nanoGPT's sample.py, a .bin for llm.c.\n"
    "MODEL: whatever nib opens; an adapter and what it adapts become one model. Weights keep their type.\n\n";

#define FIELD(name) #name, .offset = offsetof(struct export_options, name)
static const struct option table[] = {
    { FIELD(to), .kind = OPTION_TEXT, .initial = "hf", .choices = "hf|nanogpt|llmc", .group = "output", .help = "hf: config.json, model.safetensors, tokenizer.json; nanogpt: ckpt.pt; llmc: gpt2_124M.bin" },
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "what to write: a folder for hf, a file for the others" },
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "nanogpt: its sample.py takes the characters from data/NAME/meta.pkl; by default what the run was trained on" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
};

/* ---- kinds ---- */

static int to_hf(const struct export_options *o, const struct model_files *f, const char *from)
{
    char path[PATH_SIZE];
    struct surroundings s = { .end = -1 };
    struct tokenizer *t;
    TRY(model_folder(path, from));
    TRY(tokenizer_open_in(&t, path));
    if (!t && f->adapter) TRY(model_folder(path, f->adapter->home));
    if (!t && f->adapter) TRY(tokenizer_open_in(&t, path));
    s.tokenizer = t;
    if (t) s.end = tokenizer_end(t);
    int code = dir_make(o->out);
    if (!code) code = checkpoint_describe(o->out, f->model, &f->config, &s);
    if (!code) code = path_join(path, o->out, "model.safetensors");
    if (!code) code = model_write(f, path, NULL);
    tokenizer_free(t);
    return code;
}

/* The name of what a run was trained on; empty if that is not known. */
static void find_dataset(char name[128], const char *from)
{
    struct settings s;
    struct arena memory = { 0 };
    struct options o = { .table = settings_table, .n = settings_count, .values = &s, .memory = &memory };
    int known = path_is_dir(from) && !options_defaults(&o) && !train_recorded(&o, from);
    snprintf(name, 128, "%s", known ? path_base(s.dataset) : "");
    error_clear();
    arena_free(&memory);
}

static int to_nanogpt(const struct export_options *o, const struct model_files *f, const char *from)
{
    char dataset[128];
    find_dataset(dataset, from);
    return nanogpt_write(f, o->dataset ? o->dataset : dataset, o->out);
}

static int to_llmc(const struct export_options *o, const struct model_files *f, const char *from)
{
    (void)from;
    return llmc_write(f, o->out);
}

/* tanh: how the tool computes GELU, -1: as the model says. */
static const struct target { const char *name; int (*write)(const struct export_options *o, const struct model_files *f, const char *from); int tanh; } targets[] = {
    { "hf", to_hf, -1 }, { "nanogpt", to_nanogpt, 0 }, { "llmc", to_llmc, 1 },
};

static int write(const struct export_options *o, const struct model_files *f, const char *from)
{
    const struct target *k = targets;
    while (strcmp(k->name, o->to)) k++;
    TRY(k->write(o, f, from));
    int is_tanh = f->config.activation == GELU_TANH;
    if (k->tanh >= 0 && k->tanh != is_tanh) fprintf(stderr, "note: this model's GELU is by %s, %s's by %s: its numbers will differ a little\n", is_tanh ? "tanh" : "erf", o->to, k->tanh ? "tanh" : "erf");
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
