/* engine.c -- opening a model folder, or making a model that has none. */
#include "infer/engine.h"

#include "base/error.h"
#include "cpu/cpu.h"
#include "model/adapter.h"

int engine_tokenizer(struct tokenizer **t, const struct model_files *f, const char *path, const char *name)
{
    char folder[PATH_SIZE];
    TRY(model_folder(folder, path));
    if (name) return tokenizer_find(t, name, folder);
    TRY(tokenizer_of_model(t, path));
    return *t || !f->adapter ? 0 : tokenizer_of_model(t, f->adapter->home);
}

static int plan_eval(struct engine *e, const struct engine_options *o)
{
    const struct space text = { "text", o->rows, o->rows };
    graph *g;
    TRY(graph_open(&g, e->weights, EVAL, o->type, &text, 1));
    tensor *losses = e->model->build(g, &e->config);
    TRY(plan_new(&e->eval, g, &losses, 1, &(struct plan_options){ .fuse = 1 }));
    return batch_open(&e->batch, o->rows, o->rows);
}

/* After weights_new: all that weights_place must know. */
static int plan_all(struct engine *e, const struct engine_options *o)
{
    int64_t most = o->rows > o->scores ? o->rows : o->scores;
    TRY(config_fits(&e->config, most > o->streams ? most : o->streams));
    if (o->streams) TRY(session_plan(&e->session, e->weights, e->model, &e->config, o->type, o->streams));
    if (o->rows) TRY(plan_eval(e, o));
    if (o->scores) TRY(scorer_plan(&e->scorer, e->weights, e->model, &e->config, o->type, o->scores));
    weights_state_rows(e->weights, o->streams * e->config.context);
    return 0;
}

/* An adapter runs beside its base, which stays where it is. */
static int check_weights(const struct engine *e, const char *path)
{
    const struct adapter *a = e->files.adapter;
    TRY(model_check_weights(e->weights, e->model, e->files.tensors, path));
    if (!a) return 0;
    TRY(adapter_check_layers(e->weights, e->model, &a->lora, path));
    return adapter_check(e->weights, e->model, a->tensors, path);
}

static int open_all(struct engine *e, const char *path, const struct engine_options *o)
{
    TRY(model_open_on(&e->files, path, o->base));
    e->model = e->files.model;
    e->config = e->files.config;
    TRY(engine_tokenizer(&e->tokenizer, &e->files, path, o->tokenizer));
    if (o->context && o->context < e->config.context) e->config.context = o->context;
    FAIL_IF(e->tokenizer && tokenizer_vocab(e->tokenizer) > e->config.vocab, E_DATA, "%s: the tokenizer has %u tokens, the model %lld", path,
            tokenizer_vocab(e->tokenizer), (long long)e->config.vocab);
    TRY(weights_new(&e->weights, &cpu_backend, MAPPED));
    e->weights->frozen_type = o->type;
    if (e->files.adapter) weights_lora(e->weights, &e->files.adapter->lora);
    TRY(model_offer_weights(e->weights, e->model, e->files.tensors));
    TRY(plan_all(e, o));
    TRY(check_weights(e, path));                             /* before memory is taken by the word of config.json alone */
    TRY(weights_place(e->weights));
    TRY(model_load_weights(e->weights, e->model, e->files.tensors, path));
    return e->files.adapter ? adapter_load(e->weights, e->model, e->files.adapter->tensors, path) : 0;
}

static int make_all(struct engine *e, uint64_t seed, const struct engine_options *o)
{
    TRY(config_check(e->model, &e->config));
    TRY(weights_new(&e->weights, &cpu_backend, FROZEN));
    e->weights->frozen_type = o->type;
    TRY(plan_all(e, o));
    TRY(weights_place(e->weights));
    return model_init_weights(e->weights, e->model, &e->config, seed);
}

int engine_open(struct engine *e, const char *path, const struct engine_options *o)
{
    *e = (struct engine){ 0 };
    int code = open_all(e, path, o);
    if (code) engine_close(e);
    return code;
}

int engine_make(struct engine *e, const struct model *m, const struct config *c, uint64_t seed, const struct engine_options *o)
{
    *e = (struct engine){ .model = m, .config = *c };
    int code = make_all(e, seed, o);
    if (code) engine_close(e);
    return code;
}

void engine_close(struct engine *e)
{
    session_free(&e->session);
    scorer_free(&e->scorer);
    batch_close(&e->batch);
    weights_free(e->weights);
    model_close(&e->files);
    tokenizer_free(e->tokenizer);
    *e = (struct engine){ 0 };
}
