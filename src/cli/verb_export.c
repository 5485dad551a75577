/* verb_export.c -- nib export MODEL --to=KIND: the same model, as other tools have it. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"
#include "file/gguf.h"
#include "model/hub.h"
#include "token/tokenizer.h"
#include "train/checkpoint.h"
#include "train/train.h"

enum { TEMPLATE_LIMIT = 1 << 20, CONFIG_LIMIT = 64 << 20 };              /* bytes */

struct export_options { const char *to, *out, *dataset, *quantize, *tokenizer; };

static const char USAGE[] =
    "nib export MODEL --to=hf|nanogpt|llmc|gguf --out=PATH\n\n"
    "Writes a model as other tools have it: a folder that transformers opens, a ckpt.pt for nanoGPT's sample.py, a .bin for llm.c,\n"
    "a .gguf for llama.cpp and what is made of it. MODEL: whatever nib opens. Weights keep their type, unless --quantize says another.\n\n";

#define FIELD(name) #name, .offset = offsetof(struct export_options, name)
static const struct option table[] = {
    { FIELD(to), .kind = OPTION_TEXT, .initial = "hf", .choices = "hf|nanogpt|llmc|gguf", .group = "output", .help = "hf: config.json, model.safetensors, tokenizer.json; nanogpt: ckpt.pt; llmc: gpt2_124M.bin; gguf: llama.cpp's" },
    { FIELD(out), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "what to write: a folder for hf, a file for the others" },
    { FIELD(dataset), .kind = OPTION_TEXT, .initial = NULL, .group = "output", .help = "nanogpt: its sample.py takes the characters from data/NAME/meta.pkl; by default what the run was trained on" },
    { FIELD(quantize), .kind = OPTION_TEXT, .initial = "auto", .choices = "auto|f32|f16|bf16|q8_0|q4_0|q4_k_m", .group = "output", .help = "gguf: the type of matrices; auto: as they are" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "output", .help = "gguf: gpt2, or a tokenizer's file or folder; auto: the model's own" },
};

/* ---- kinds ---- */

static int to_hf(const struct export_options *o, const struct model_files *f, const char *from)
{
    char path[PATH_SIZE];
    struct surroundings s = { .end = -1 };
    struct tokenizer *t;
    TRY(tokenizer_of_model(&t, from));
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

/* ---- GGUF ---- */

#define CHAT_TEMPLATE "tokenizer.chat_template"

static int find_tokenizer(struct tokenizer **t, const struct export_options *o, const char *from)
{
    char folder[PATH_SIZE];
    TRY(model_folder(folder, from));
    if (strcmp(o->tokenizer, "auto")) return tokenizer_find(t, o->tokenizer, folder);
    TRY(tokenizer_of_model(t, from));
    FAIL_IF(!*t, E_DATA, "%s has no tokenizer, which a GGUF file must have; give one with --tokenizer (gpt2, a file or a folder)", from);
    return 0;
}

static int put_template_of_gguf(struct gguf_keys *k, const char *from)
{
    struct gguf *g;
    const char *template;
    TRY(gguf_open(&g, from));
    int has = gguf_has(g, CHAT_TEMPLATE), failed = has ? gguf_text(g, CHAT_TEMPLATE, &template) : 0;
    if (has && !failed) gguf_put_text(k, CHAT_TEMPLATE, template);
    gguf_close(g);
    return failed;
}

/* The chat template of the model's files, in Jinja. */
static int put_template(struct gguf_keys *k, const char *from)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    struct text all = { 0 };
    json_t *config = NULL;
    int is;
    TRY(gguf_is(from, &is));
    if (is) return put_template_of_gguf(k, from);
    TRY(model_folder(folder, from));
    TRY(path_join(path, folder, "chat_template.jinja"));
    if (path_is_file(path)) {
        TRY(file_read(path, TEMPLATE_LIMIT, &all));
        gguf_put_text(k, CHAT_TEMPLATE, all.at);
        text_free(&all);
        return 0;
    }
    TRY(path_join(path, folder, "tokenizer_config.json"));
    int failed = path_is_file(path) ? file_read(path, CONFIG_LIMIT, &all) : 0;
    if (!failed && all.size) failed = json_parse_reals(&config, all.at, all.size, path);
    const char *template = json_string_value(json_object_get(config, "chat_template"));
    if (template) gguf_put_text(k, CHAT_TEMPLATE, template);
    json_decref(config);
    text_free(&all);
    return failed;
}

static int put_tokenizer(struct gguf_keys *k, const struct export_options *o, const struct config *c, const char *from, struct text *notices)
{
    struct tokenizer *t = NULL;
    int code = find_tokenizer(&t, o, from);
    if (!code) code = tokenizer_to_gguf(t, c->vocab, k, notices);
    if (!code) code = put_template(k, from);
    tokenizer_free(t);
    return code;
}

static int to_gguf(const struct export_options *o, const struct model_files *f, const char *from)
{
    struct gguf_keys k = { 0 };
    struct text notices = { 0 };
    struct llamacpp_options lo = { .name = *path_base(from) ? path_base(from) : f->model->name, .quantize = strcmp(o->quantize, "auto") ? o->quantize : NULL, .more = &k, .notices = &notices };
    int code = put_tokenizer(&k, o, &f->config, from, &notices);
    if (!code) code = llamacpp_write(f, &lo, o->out);
    if (!code && notices.size) fputs(notices.at, stderr);
    text_free(&notices);
    text_free(&k.text);
    return code;
}

/* tanh: how the tool computes GELU, -1: as the model says. */
static const struct target { const char *name; int (*write)(const struct export_options *o, const struct model_files *f, const char *from); int tanh; } targets[] = {
    { "hf", to_hf, -1 }, { "nanogpt", to_nanogpt, 0 }, { "llmc", to_llmc, 1 }, { "gguf", to_gguf, 1 },
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
    TRY(model_open(&f, path));
    int code = write(o, &f, path);
    model_close(&f);
    return code;
}

int verb_export(int argc, char **argv)
{
    struct export_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 1, 1, 0, USAGE, export }, &o, argc, argv);
}
