/* train.c -- the run: a folder, a model, a loop. */
#include "train/train.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cpu/profile.h"
#include "model/adapter.h"
#include "model/hub.h"
#include "train/fit.h"
#include "train/foreign.h"
#include "train/hotspots.h"
#include "train/machine.h"
#include "train/run.h"

/* ---- what is trained ---- */

void train_config(const struct settings *s, int64_t vocab, const struct model **m, struct config *c)
{
    int64_t entries = vocab ? vocab : 50257;
    if (entries > 1024) entries = (entries + s->pad_vocab - 1) / s->pad_vocab * s->pad_vocab;
    *m = model_find(s->model);
    *c = (*m)->base;
    c->layers = s->n_layer, c->heads = s->n_head, c->kv_heads = s->n_kv_head;
    c->width = s->n_embd, c->hidden = s->n_inner, c->head_dim = s->head_dim;
    c->vocab = s->vocab_size ? s->vocab_size : entries, c->context = s->block_size;
    c->tied = s->tie_word_embeddings, c->dropout = s->dropout, c->window = s->sliding_window, c->windows = 1;
    c->activation = strcmp(s->gelu, "tanh") ? GELU_ERF : GELU_TANH;
    if ((*m)->positions) {
        c->bias = s->bias;
    } else {
        c->theta = s->rope_theta;
        c->out_bias = s->bias, c->qkv_bias |= s->bias, c->mlp_bias = s->bias && *m == &model_llama;
        if (!c->hidden) c->hidden = (8 * c->width / 3 + 63) / 64 * 64;       /* three matrices with as many weights as two of 4 n_embd */
    }
    config_fill_in(c);
}

int train_adapter(const struct settings *s, struct model_files *f)
{
    double alpha = s->lora_alpha > 0 ? s->lora_alpha : (double)s->lora_rank;
    if (!s->lora_rank || f->adapter) return 0;
    return adapter_new(&f->adapter, f->model, &(struct adapter_settings){ s->lora_rank, alpha, s->lora_dropout, s->lora_targets, s->init_from });
}

int train_known(const char *name, struct config *c)
{
    static const struct { const char *name; int64_t layers, heads, width; } shapes[] = { { "gpt2", 12, 12, 768 }, { "gpt2-medium", 24, 16, 1024 }, { "gpt2-large", 36, 20, 1280 }, { "gpt2-xl", 48, 25, 1600 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, name)) continue;
        c->layers = shapes[i].layers, c->heads = shapes[i].heads, c->width = shapes[i].width;
        c->vocab = 50257, c->bias = 1, c->activation = GELU_TANH, c->kv_heads = c->hidden = c->head_dim = 0;
        config_fill_in(c);
        return 1;
    }
    return 0;
}

/* Conversations may have marks that the model's vocabulary has not: it gets rows for them. */
static int grow_vocabulary(struct run *r)
{
    enum { MARKS = 64 };
    int64_t before = r->files.config.vocab, needs = r->data.needs, pad = r->s->pad_vocab;
    if (!*r->data.chat || needs <= before || needs > before + MARKS) return 0;
    FAIL_IF(r->s->lora_rank || r->files.adapter, E_USAGE, "the chat template's marks are new to the model, and adapters train no table of tokens; prepare the data with a --template whose marks it has, or train all weights");
    TRY(model_grow(&r->files, (needs + pad - 1) / pad * pad));
    text_format(&r->notices, "the chat template's marks are new to the model: its vocabulary grows from %lld to %lld, and new tokens begin as the mean of the others\n", (long long)before, (long long)r->files.config.vocab);
    return 0;
}

/* A checkpoint to resume, or a model to begin with; an adapter's checkpoint needs the model that it adapts. */
static int take_config(struct run *r)
{
    int opens;
    TRY(adapter_look(r->from, &opens));
    opens |= !r->resumes;
    if (opens) {
        TRY(model_open_on(&r->files, r->from, r->s->base));
        TRY(grow_vocabulary(r));
        r->model = r->files.model;
        r->config = r->files.config;
    } else {
        TRY(config_read(&r->model, &r->config, r->from));
    }
    int64_t block = r->s->block_size;
    FAIL_IF(block > r->config.context, E_USAGE, "block_size %lld is more than the %lld positions of %s", (long long)block, (long long)r->config.context, r->from);
    if (opens) config_crop(r->model, &r->config, block);                 /* as nanoGPT does */
    return 0;
}

/* What an adapter is goes with it: it is trained on as it was made. */
static int take_adapter(struct run *r)
{
    static const char *const own[] = { "lora_rank", "lora_alpha", "lora_targets" };
    struct adapter *a = r->files.adapter;
    struct settings *s = r->options->values;
    for (size_t i = 0; i < sizeof own / sizeof *own && !r->resumes; i++)
        FAIL_IF(options_origin(r->options, own[i]), E_USAGE, "--%s: %s is an adapter, whose rank, alpha and layers cannot change; for a new one on top of it begin with: nib export %s --to=hf --out=MERGED", own[i], s->init_from, s->init_from);
    if (!r->resumes && !options_origin(r->options, "lora_dropout")) s->lora_dropout = a->dropout;
    return adapter_change(a, s->base, s->lora_dropout);
}

/* made: by what the run that goes on was made. */
static int choose_adapter(struct run *r, const struct made_with *made)
{
    if (r->files.adapter) TRY(take_adapter(r));
    FAIL_IF(r->s->lora_rank && !r->files.tensors, E_USAGE, "--lora_rank: adapters need a model that they adapt; --init_from=MODEL names it");
    FAIL_IF(r->s->lora_rank && r->continues, E_USAGE, "--lora_rank: a run of nanoGPT's goes on as it was; for adapters on it begin with --init_from=%s and another --out_dir", r->from);
    TRY(train_adapter(r->s, &r->files));
    r->around.adapter = r->files.adapter;
    if (!r->files.adapter) return 0;
    adapter_mark_base(r->files.tensors, r->around.base);
    FAIL_IF(*made->base && strcmp(made->base, r->around.base), E_DATA, "%s was trained on another model than %s is now; --base=MODEL says where that one is", r->s->out_dir, r->files.adapter->home);
    return 0;
}

/* What a block_size costs a set of conversations. */
static int pack_data(struct run *r)
{
    struct packing *p;
    size_t n = r->data.split[SPLIT_TRAIN].n_starts;
    TRY(dataset_pack(&r->data, r->s->block_size, (uint64_t)r->s->seed));
    p = r->data.packing;
    text_format(&r->notices, "%zu conversations in %zu windows of %lld tokens; an iteration takes %lld windows\n", n - p->none, p->windows, (long long)p->block,
                (long long)(r->s->batch_size * r->s->gradient_accumulation_steps));
    if (p->cut) text_format(&r->notices, "%zu of %zu conversations are longer than block_size and lose their oldest turns\n", p->cut, n);
    if (p->none) text_format(&r->notices, "%zu of %zu conversations are left out: their last question and answer alone are longer than block_size\n", p->none, n);
    return 0;
}

static int open_data(struct run *r)
{
    size_t at;
    int known;
    TRY(dataset_open(&r->data, r->s->dataset));
    if (r->s->verify) TRY(dataset_verify(&r->data, &known));
    if (*r->data.file && !r->s->eval_only) text_format(&r->notices, "%s is one file: what is trained on validates, too\n", r->data.file);
    dataset_mark(&r->data, &r->around.data);
    if (*r->data.chat) return pack_data(r);
    for (int split = 0; split < (r->data.by_document ? 1 : 2); split++)          /* are the texts long enough? */
        TRY(dataset_draw(&r->data, (enum split)split, r->s->block_size, 0, 0, &at));
    return 0;
}

/* That of the data; else that of the model it starts from, or that an adapter adapts. */
static int open_tokenizer(struct run *r)
{
    const struct adapter *a = r->around.adapter;
    const char *const homes[] = { r->from, a ? a->home : "" };
    for (int i = 0; i < 2; i++)
        if (*homes[i]) TRY(dataset_suits(&r->data, homes[i]));
    TRY(tokenizer_open_in(&r->tokenizer, r->data.folder));
    for (int i = 0; i < 2; i++)
        if (*homes[i] && !r->tokenizer) TRY(tokenizer_of_model(&r->tokenizer, homes[i]));
    r->around.tokenizer = r->tokenizer;
    r->around.end = r->tokenizer ? tokenizer_end(r->tokenizer) : r->data.end;
    return 0;
}

static int choose_model(struct run *r)
{
    const char *from = r->s->init_from, *out = r->s->out_dir;
    struct made_with made = { 0 };
    int goes_on = !strcmp(from, "resume");
    if (goes_on) TRY(foreign_find(r->from, out, &r->continues));
    r->resumes = goes_on && !r->continues;
    if (r->continues) {
        TRY(take_config(r));
    } else if (r->resumes) {
        TRY(checkpoint_find(r->from, out, &r->rejected));
        TRY(take_config(r));
        TRY(checkpoint_made_with(r->from, &made));
        if (!r->s->eval_only) TRY(dataset_is(&r->data, &made.data, out));
    } else if (!strcmp(from, "scratch")) {
        train_config(r->s, r->data.vocab, &r->model, &r->config);
    } else {
        TRY(hub_find(r->from, from, NULL, NULL));
        FAIL_IF(!strcmp(r->from, out), E_USAGE, "init_from and out_dir are both %s; choose another out_dir, or --init_from=resume", out);
        TRY(take_config(r));
    }
    TRY(choose_adapter(r, &made));
    r->config.dropout = r->s->dropout;
    FAIL_IF(r->data.needs > r->config.vocab, E_DATA, "%s has ids up to %lld, the model's vocabulary is %lld", r->data.folder, (long long)r->data.needs - 1, (long long)r->config.vocab);
    return machine_choose(r->s, made.isa, made.dtype, &r->type, &r->notices);
}

/* ---- the model ---- */

/* What stays as it is, and adapters as they were or as they begin. */
static int load_adapted(struct run *r)
{
    struct weights *w = r->trainer.weights;
    const struct adapter *a = r->files.adapter;
    TRY(adapter_check_layers(w, r->model, &a->lora, a->tensors ? r->from : "--lora_targets"));
    TRY(model_load_weights(w, r->model, r->files.tensors, r->from));
    return a->tensors ? adapter_load(w, r->model, a->tensors, r->from) : adapter_init(w, (uint64_t)r->s->seed);
}

static int open_trainer(struct run *r)
{
    const struct settings *s = r->s;
    const struct adapter *a = r->files.adapter;
    struct trainer_options o = { .model = r->model, .config = r->config, .type = r->type, .batch = s->batch_size, .block = s->block_size,
                                 .recompute = (int)s->recompute, .sample_streams = s->sample_interval && r->tokenizer ? 1 : 0, .packed = r->data.packing ? PACKING_MOST : 0,
                                 .lora = a ? a->lora : (struct lora){ 0 }, .base = a ? r->files.tensors : NULL };
    TRY(fit(r->options, &o, &r->notices));
    TRY(trainer_open(&r->trainer, &o));
    if (a) TRY(load_adapted(r));
    if (r->resumes) return checkpoint_read(r->from, &r->trainer);
    if (a) return 0;
    if (r->files.tensors) TRY(model_load_weights(r->trainer.weights, r->model, r->files.tensors, r->from));
    if (r->continues) return foreign_read(r->from, &r->trainer, s->gradient_accumulation_steps * s->batch_size * s->block_size);
    if (r->files.tensors) return 0;
    return model_init_weights(r->trainer.weights, r->model, &r->config, (uint64_t)s->seed);
}

static void tell_profile(const struct run *r)
{
    struct text t = { 0 };
    hotspots_print(&t, r->profiled.iterations, r->profiled.seconds);
    if (t.size) run_tell_text(r, TRAIN_PROFILE, t.at);
    text_free(&t);
}

/* ---- the whole ---- */

static int run_all(struct run *r)
{
    TRY(keep_parse(&r->keep, r->s->keep));
    TRY(open_data(r));
    if (path_is_dir(r->s->out_dir)) TRY(folder_lock(r));     /* before anybody looks at its checkpoints */
    TRY(choose_model(r));
    TRY(open_tokenizer(r));
    TRY(config_check(r->model, &r->config));
    TRY(open_trainer(r));
    TRY(folder_open(r));                                     /* not before all else has worked: nothing was touched until now */
    run_tell_notices(r);
    run_tell(r, run_event(r, TRAIN_START));
    r->first = r->trainer.progress.iteration;
    TRY(loop(r));
    if (r->s->profile) tell_profile(r);
    run_tell(r, run_event(r, TRAIN_DONE));
    return 0;
}

/* Whatever goes wrong from here on, why the run ended is what its caller hears. */
static int tell_end(struct run *r, int code)
{
    char why[ERROR_TEXT];
    error_copy(why);
    if (r->metrics.file >= 0) metrics_event(&r->metrics, r->trainer.progress.iteration, code ? "stopped" : "finished", code ? why : "");
    folder_report(r, 0);
    if (r->rejected.size) text_add(&r->notices, r->rejected.at);
    run_tell_notices(r);                                     /* also of a run that failed */
    return code ? error_set(code, __FILE__, __LINE__, "%s", why) : 0;
}

int train_run(struct options *o, void (*tell_)(void *context, const struct train_event *e), void *context, const volatile sig_atomic_t *interrupted)
{
    struct run r = { .options = o, .s = o->values, .tell = tell_, .context = context, .interrupted = interrupted, .lock = -1, .metrics = { .file = -1, .board.file = -1 } };
    int code = tell_end(&r, run_all(&r));
    metrics_close(&r.metrics);
    history_close(&r.history);
    profile_clear();
    trainer_close(&r.trainer);
    model_close(&r.files);
    tokenizer_free(r.tokenizer);
    dataset_close(&r.data);
    dir_unlock(r.lock);
    text_free(&r.notices);
    text_free(&r.rejected);
    return code;
}
