/* test_export.c -- models in files of other kinds: opened like any, and written. */
#include "program.h"

#include <math.h>

#include "base/json.h"
#include "cpu/cpu.h"
#include "file/safetensors.h"
#include "file/torch.h"
#include "model/model.h"

#define LIKE "--start=ROMEO --num_samples=1 --max_new_tokens=12 --seed=3 --threads=1"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 30);
    if (run("data my.txt --out my") || run("train --dataset=my --out_dir=plain " TINY " --bias=False --gelu=erf --max_iters=3 --eval_interval=3")) return print_error("%s", ERR), -1;
    return run("train --dataset=my --out_dir=biased " TINY " --n_layer=2 --bias=True --gelu=erf --max_iters=3 --eval_interval=3") ? print_error("%s", ERR), -1 : 0;
}

/* Both folders hold the same tensors. */
static void assert_same_tensors(const char *a, const char *b)
{
    struct model_files x, y;
    assert_ok(model_open(&x, a));
    assert_ok(model_open(&y, b));
    assert_int_equal(tensors_count(x.tensors), tensors_count(y.tensors));
    for (int i = 0; i < tensors_count(x.tensors); i++) {
        const struct file_tensor *one = tensors_at(x.tensors, i), *other = tensors_find(y.tensors, one->name);
        assert_true(other && one->type == other->type && one->size == other->size && one->n_dims == other->n_dims && one->dim[0] == other->dim[0]);
        assert_memory_equal(one->data, other->data, one->size);
    }
    model_close(&x);
    model_close(&y);
}

static void assert_same_words(const char *a, const char *b, const char *tokenizer)
{
    char *words;
    runs("sample %s " LIKE, a);
    assert_non_null(words = strdup(OUT));
    runs("sample %s " LIKE " %s", b, tokenizer);
    assert_string_equal(OUT, words);
    free(words);
}

/* To nanoGPT's checkpoint and back, with biases and without: the same weights, the same words, and it is trained on. */
static void nanogpt(void **state)
{
    static const char *const runs_[] = { "plain", "biased" };
    char file[64], back[64];
    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s.pt", runs_[i]);
        snprintf(back, sizeof back, "%s-back", runs_[i]);
        runs("export %s --to=nanogpt --out=%s", runs_[i], file);
        assert_has(OUT, file);
        assert_same_words(runs_[i], file, "--tokenizer=my");
        runs("export %s --to=hf --out=%s", file, back);
        assert_same_tensors(runs_[i], back);
        assert_same_words(runs_[i], back, "--tokenizer=my");
        runs("info %s", file);
        assert_has(OUT, i ? "gpt2: 2 layers, 2 heads, width 16" : "gpt2: 1 layers, 2 heads, width 16");
    }
    assert_ok(dir_make("nano"));
    copy_file("plain.pt", "nano/ckpt.pt");
    copy_into("nano", "plain", "meta.pkl");
    assert_same_words("plain", "nano", "");                  /* a folder of nanoGPT's */
    runs("eval plain --dataset=my --threads=1");
    char *loss = strdup(OUT);
    runs("eval nano --dataset=my --threads=1");
    assert_string_equal(strstr(OUT, "loss"), strstr(loss, "loss"));
    free(loss);
    runs("train --init_from=nano/ckpt.pt --dataset=my --out_dir=tuned --block_size=16 --batch_size=2 --gradient_accumulation_steps=1 --max_iters=1 --eval_iters=1 --threads=1");
    runs("train --init_from=plain --dataset=my --out_dir=tuned2 --block_size=16 --batch_size=2 --gradient_accumulation_steps=1 --max_iters=1 --eval_iters=1 --threads=1");
    assert_same_tensors("tuned", "tuned2");
}

/* To llm.c's file and back: what has no biases gets zeros. */
static void llmc(void **state)
{
    struct text t = { 0 };
    (void)state;
    runs("export biased --to=llmc --out=biased.bin");
    assert_has(ERR, "note: this model's GELU is by erf, llmc's by tanh");
    runs("export biased.bin --to=hf --out=biased-again");
    assert_same_tensors("biased", "biased-again");
    runs("export plain --to=llmc --out=plain.bin");
    runs("export plain.bin --to=hf --out=plain-again");
    assert_same_tensors("plain", "plain-again");             /* whose biases are zeros, too */
    runs("train --dataset=my --out_dir=tanh " TINY " --gelu=tanh --bias=True --max_iters=3 --eval_interval=3");
    runs("export tanh --to=llmc --out=tanh.bin");
    assert_null(strstr(ERR, "note"));
    assert_same_words("tanh", "tanh.bin", "--tokenizer=my");
    assert_ok(file_read("tanh.bin", LIMIT, &t));
    struct model_files f;
    for (size_t n = 0; n < t.size; n += n < 1100 ? 1 : 97) assert_int_equal(llmc_parse(&f, (const uint8_t *)t.at, n, "it"), E_DATA);
    static const struct { int at; int32_t value; int code; const char *says; } lies[] = {
        { 1, 2, E_DATA, "version 2 of llm.c's model files" }, { 2, 0, E_MODEL, "context" }, { 3, INT32_MAX, E_MODEL, "" }, { 4, 2, E_DATA, "cut off?" }, { 4, -1, E_MODEL, "" },
        { 5, 3, E_MODEL, "does not divide by 3 heads" }, { 6, 15, E_MODEL, "does not divide" }, { 6, 1 << 30, E_MODEL, "" }, { 7, 1, E_DATA, "a table of 1 rows for a vocabulary of" },
        { 7, -1, E_DATA, "cut off?" }, { 2, 8, E_DATA, "follow the end of the model" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct text bad = { 0 };
        text_bytes(&bad, t.at, t.size);
        memcpy(bad.at + 4 * lies[i].at, &lies[i].value, 4);
        assert_fails(llmc_parse(&f, (const uint8_t *)bad.at, bad.size, "it"), lies[i].code, lies[i].says);
        text_free(&bad);
    }
    text_free(&t);
}

/* A file of llama2.c's: at a place in its header stands another number. */
static void lie(const struct text *good, int at, int32_t value, int code, const char *says)
{
    struct model_files f;
    struct text bad = { 0 };
    text_bytes(&bad, good->at, good->size);
    memcpy(bad.at + at, &value, 4);
    assert_fails(llama2c_parse(&f, (const uint8_t *)bad.at, bad.size, "it"), code, says);
    text_free(&bad);
}

/* The same numbers with the header of a later version, which has its arrays in another order. */
static void as_version(struct text *out, const struct text *first, uint32_t version, int32_t group)
{
    char header[256] = "24ka";
    memcpy(header + 4, &version, 4);
    memcpy(header + 8, first->at, 28);
    header[36] = 1;
    memcpy(header + 37, &group, 4);
    text_clear(out);
    text_bytes(out, header, sizeof header);
    text_bytes(out, first->at + 28, first->size - 28);
}

/* To llama2.c's file and back; what it cannot say is refused by its name. */
static void llama2c(void **state)
{
    static const struct { const char *options, *says; } others[] = {
        { "--model=llama --bias=True", "what this model has: biases" }, { "--model=qwen2", "what this model has: biases" }, { "--model=qwen3", "what this model has: norms of queries and keys" },
        { "--model=mistral --sliding_window=4", "what this model has: a sliding window" }, { "--model=llama --rope_theta=500", "what this model has: a theta of positions other than 10000" },
        { "--model=llama --head_dim=10", "what this model has: heads that are not width / heads wide" }, { "--model=gpt2", "llama2.c has only Llama's models, not gpt2" },
    };
    struct text t = { 0 }, later = { 0 };
    struct model_files f;
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        assert_ok(dir_remove("llama"));
        assert_ok(dir_remove("llama-again"));
        assert_int_equal(unlink("llama.bin") && tied, 0);
        runs("train --dataset=my --out_dir=llama --model=llama --n_kv_head=1 --tie_word_embeddings=%s " TINY " --n_layer=2 --max_iters=3 --eval_interval=3", tied ? "True" : "False");
        runs("export llama --to=llama2c --out=llama.bin");
        assert_has(ERR, "note: no tokenizer.bin was written: llama2.c's tokenizer.bin holds BPE over characters");
        runs("export llama.bin --to=hf --out=llama-again");
        assert_same_tensors("llama", "llama-again");
        assert_same_words("llama", "llama.bin", "--tokenizer=my");
        runs("info llama.bin");
        assert_has(OUT, "llama: 2 layers, 2 heads (1 of keys and values), width 16, context 16");
        assert_has(OUT, "llama.bin: llama2.c's .bin");
    }
    assert_ok(file_read("llama.bin", LIMIT, &t));
    for (size_t n = 0; n < t.size; n += n < 300 ? 1 : 97) assert_fails(llama2c_parse(&f, (const uint8_t *)t.at, n, "it"), E_DATA, "no model of llama2.c's, or cut off");
    for (int i = 0; i < 7; i++) {
        lie(&t, 4 * i, 0, E_DATA, "no model of llama2.c's");
        lie(&t, 4 * i, INT32_MIN, E_DATA, "no model of llama2.c's");
        lie(&t, 4 * i, INT32_MAX, E_DATA, "no model of llama2.c's");
    }
    as_version(&later, &t, 1, 0);                            /* without its positions, which version 1 does not have */
    size_t positions = 16 * 8 * sizeof(float), whole = later.size - positions;
    assert_ok(llama2c_parse(&f, (const uint8_t *)later.at, whole, "it"));
    model_close(&f);
    assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, later.size, "it"), E_DATA, "512 bytes follow the end of the model");
    for (size_t n = 4; n < whole; n += n < 300 ? 1 : 97) assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, n, "it"), E_DATA, "cut off?");
    lie(&later, 4, 3, E_DATA, "version 3 of llama2.c's model files");
    lie(&later, 4, 0, E_DATA, "version 0 of llama2.c's model files");
    lie(&later, 8, 15, E_MODEL, "does not divide");
    lie(&later, 8 + 4 * 5, -40, E_DATA, "a vocabulary of less than 0");
    lie(&later, 8 + 4 * 2, INT32_MAX, E_MODEL, "");
    lie(&later, 8 + 4 * 5, 1 << 24, E_DATA, "cut off?");
    as_version(&later, &t, 2, 0);
    assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, later.size, "it"), E_DATA, "groups of 0 values");
    as_version(&later, &t, 2, -64);
    assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, later.size, "it"), E_DATA, "groups of -64 values");
    as_version(&later, &t, 2, 7);
    assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, later.size, "it"), E_DATA, "which are no groups of 7");
    as_version(&later, &t, 2, 8);
    assert_fails(llama2c_parse(&f, (const uint8_t *)later.at, 600, "it"), E_DATA, "cut off?");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_ok(dir_remove("other"));
        runs("train --dataset=my --out_dir=other " TINY " --max_iters=0 %s", others[i].options);
        fails(E_MODEL, others[i].says, "export other --to=llama2c --out=other.bin");
        assert_false(path_is_file("other.bin"));
    }
    text_free(&t);
    text_free(&later);
}

/* ---- runs of nanoGPT ---- */

#define LIKE_NANO "--dataset=my " TINY " --bias=True --learning_rate=1e-2 --warmup_iters=2 --lr_decay_iters=6 --eval_interval=3 --max_iters=6"

/* From a checkpoint of ours to one of nanoGPT's, and on from there: the same bits as without. */
static void runs_of_nanogpt(void **state)
{
    (void)state;
    runs("train --out_dir=six " LIKE_NANO " --keep=every:3");
    assert_ok(dir_make("nanorun"));
    runs("export six/step-00000003 --to=nanogpt --out=nanorun/ckpt.pt");
    runs("train --init_from=resume --out_dir=nanorun " LIKE_NANO " --keep=every:3");
    assert_has(OUT, "resumed at iteration 3");
    assert_same_tensors("six/step-00000006", "nanorun/step-00000006");
    assert_same_file("six/step-00000006/optimizer.safetensors", "nanorun/step-00000006/optimizer.safetensors");
    runs("train --init_from=resume --out_dir=nanorun --max_iters=8");        /* now it is a run of ours */
    assert_has(OUT, "resumed at iteration 6");
    assert_ok(dir_remove("nanorun/step-00000003"));
    assert_ok(dir_remove("nanorun/step-00000006"));
    assert_ok(dir_remove("nanorun/step-00000008"));
    runs("train --init_from=resume --out_dir=nanorun --max_iters=6");        /* whose checkpoints are gone: what it began with, and its settings */
    assert_has(OUT, "resumed at iteration 3");
    assert_same_tensors("six/step-00000006", "nanorun/step-00000006");
    assert_ok(dir_make("weightsonly"));
    runs("export six --to=nanogpt --out=weightsonly/ckpt.pt");
    fails(E_DATA, "it has no optimizer, so its training cannot go on; --init_from=weightsonly/ckpt.pt begins anew", "train --init_from=resume --out_dir=weightsonly " LIKE_NANO);
    fails(E_IO, "nowhere has no run to resume", "train --init_from=resume --out_dir=nowhere");
}

/* {"model": {"transformer.a.weight": (2, 1), "transformer.b.bias": (1)}, "optimizer": {"state": ...}, "iter_num": ...}, with one thing otherwise. */
enum odd { NOTHING, NO_MOMENT, NUMBER_TWICE, NUMBER_TOO_LARGE, NUMBER_A_WORD, ONE_MISSING, OTHER_SHAPE, STEP_INFINITE, ITERATION_NEGATIVE, NO_ITERATION, NO_STATE, NO_WEIGHTS, NAMELESS, ODDS };

static void write_nanogpt(const char *path, enum odd odd)
{
    static const float data[4] = { 1, 2, 3, 4 };
    const struct file_tensor t[] = {
        { .type = F32, .n_dims = 2, .dim = { 2, 1 }, .data = data, .size = 8 }, { .type = F32, .n_dims = 1, .dim = { 1 }, .data = data, .size = 4 }, { .type = F32, .n_dims = 1, .dim = { 2 }, .data = data, .size = 8 },
    };
    struct text p = { 0 };
    pickle_begin(&p);
    pickle_open_dict(&p);
    pickle_put_string(&p, "model");
    pickle_open_dict(&p);
    for (int i = 0; i < 2 && odd != NO_WEIGHTS; i++) {
        if (odd == NAMELESS) pickle_put_int(&p, i);
        else pickle_put_string(&p, i ? "transformer.b.bias" : "transformer.a.weight");
        torch_put(&p, &t[i], i);
    }
    pickle_close_dict(&p);
    pickle_put_string(&p, "optimizer");
    pickle_open_dict(&p);
    pickle_put_string(&p, odd == NO_STATE ? "states" : "state");
    pickle_open_dict(&p);
    for (int i = 0; i < (odd == ONE_MISSING ? 1 : 2); i++) {
        if (odd == NUMBER_A_WORD) pickle_put_string(&p, "0");
        else pickle_put_int(&p, odd == NUMBER_TWICE ? 0 : odd == NUMBER_TOO_LARGE ? 1 + i : i);
        pickle_open_dict(&p);
        pickle_put_string(&p, "step");
        pickle_put_real(&p, odd == STEP_INFINITE ? INFINITY : 5);
        pickle_put_string(&p, "exp_avg");
        torch_put(&p, &t[odd == OTHER_SHAPE && !i ? 2 : i], odd == OTHER_SHAPE && !i ? 2 : i);
        if (odd != NO_MOMENT) pickle_put_string(&p, "exp_avg_sq"), torch_put(&p, &t[i], i);
        pickle_close_dict(&p);
    }
    pickle_close_dict(&p);
    pickle_close_dict(&p);
    if (odd != NO_ITERATION) pickle_put_string(&p, "iter_num"), pickle_put_int(&p, odd == ITERATION_NEGATIVE ? -1 : 7);
    pickle_close_dict(&p);
    pickle_end(&p);
    assert_ok(torch_write(path, &p, t, 3, NULL, NULL));
    text_free(&p);
}

static void odd_optimizers(void **state)
{
    static const char *const says[ODDS] = {
        [NO_MOMENT] = "no exp_avg_sq of transformer.a.weight", [NUMBER_TWICE] = "not one state for each of 2 parameters", [NUMBER_TOO_LARGE] = "not one state for each of 2 parameters",
        [NUMBER_A_WORD] = "not one state for each of 2 parameters", [ONE_MISSING] = "no state of parameter 1 of 2", [OTHER_SHAPE] = "exp_avg of transformer.a.weight has another shape than that",
        [STEP_INFINITE] = "its step is no number of iterations", [ITERATION_NEGATIVE] = "its iter_num is no number of iterations", [NO_ITERATION] = "its iter_num is no number of iterations",
        [NO_STATE] = "it has no optimizer", [NO_WEIGHTS] = "its model has no weights", [NAMELESS] = "a weight without a name",
    };
    struct nanogpt_run r;
    (void)state;
    for (enum odd odd = NOTHING + 1; odd < ODDS; odd++) {
        write_nanogpt("odd.pt", odd);
        assert_fails(nanogpt_resume(&r, "odd.pt"), E_DATA, says[odd]);
    }
    write_nanogpt("odd.pt", NOTHING);
    assert_ok(nanogpt_resume(&r, "odd.pt"));
    assert_int_equal(r.iteration, 7);
    assert_int_equal(r.updates, 5);
    assert_int_equal(tensors_count(r.moments), 4);
    assert_memory_equal(tensors_find(r.moments, "exp_avg_sq.transformer.b.bias")->data, &(float){ 1 }, 4);
    tensors_close(r.moments);
}

/* Of a table of more positions than the model has the first count, also of their moments; nothing is written behind the range. */
static void larger_tables(void **state)
{
    enum { ROWS = 4000, WIDTH = 4, CANARY = 1 << 16 };
    static float data[ROWS * WIDTH];
    static const struct space text = { "text", 4, 1 };
    struct config c = model_gpt2.base;
    struct weights *w;
    graph *g;
    struct plan *p;
    struct tensors *all;
    (void)state;
    c.layers = c.heads = 1, c.width = WIDTH, c.vocab = 5, c.context = 4, c.tied = 1;
    config_fill_in(&c);
    assert_ok(weights_new(&w, &cpu_backend, TRAINED));
    assert_ok(graph_open(&g, w, TRAIN, F32, &text, 1));
    tensor *losses = model_gpt2.build(g, &c);
    assert_ok(plan_new(&p, g, &losses, 1, &(struct plan_options){ 0 }));
    assert_ok(weights_place(w));
    assert_ok(tensors_new(&all));
    for (int i = 0; i < ROWS * WIDTH; i++) data[i] = (float)i;
    for (const struct param *q = w->param; q; q = q->next) {
        struct file_tensor t = { .name = arena_format(tensors_memory(all), "m.%s", q->name), .type = F32, .n_dims = q->in == 1 ? 1 : 2, .data = data, .size = param_size(q) * sizeof *data };
        t.dim[0] = q->layout == IN_OUT ? q->in : q->out;
        t.dim[1] = q->layout == IN_OUT ? q->out : q->in;
        if (!strcmp(q->name, model_gpt2.positions)) t.dim[0] = ROWS, t.size = sizeof data;
        assert_ok(tensors_add(all, &t));
    }
    assert_ok(tensors_settle(all, "it"));
    float *range = calloc(w->n_trained + CANARY, sizeof *range);
    assert_non_null(range);
    assert_ok(model_load_range(w, &model_gpt2, range, "m.", all, "it"));
    for (const struct param *q = w->param; q; q = q->next) assert_memory_equal(range + q->at, data, param_size(q) * sizeof *data);
    for (int i = 0; i < CANARY; i++) assert_true(range[w->n_trained + (size_t)i] == 0);
    free(range);
    tensors_close(all);
    weights_free(w);
}

/* What a checkpoint of nanoGPT must say, and what may stand before its names. */
static void other_checkpoints(void **state)
{
    static const struct { const char *args, *says; } cases[] = {
        { "n_layer", "no checkpoint of nanoGPT: it has no model_args with n_head" }, { "other", "no checkpoint of nanoGPT: it has no model_args with n_layer" }, { NULL, "it has no model_args" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text p = { 0 };
        pickle_begin(&p);
        pickle_open_dict(&p);
        if (cases[i].args) {
            pickle_put_string(&p, "model_args");
            pickle_open_dict(&p);
            pickle_put_string(&p, cases[i].args);
            pickle_put_int(&p, 1);
            pickle_close_dict(&p);
        }
        pickle_close_dict(&p);
        pickle_end(&p);
        assert_ok(torch_write("other.pt", &p, NULL, 0, NULL, NULL));
        fails(E_DATA, cases[i].says, "info other.pt");
        text_free(&p);
    }
    write_text("no.gguf", "GGUF");
    fails(E_DATA, "no.gguf: no GGUF file, or cut off", "info no.gguf");
    write_text("no.bin", "FUGG");
    fails(E_DATA, "no.bin: no kind of model that is known", "info no.bin");
    fails(E_IO, "my holds no model", "sample my");
}

static void refused(void **state)
{
    (void)state;
    fails(E_USAGE, "is there already", "export plain --to=nanogpt --out=my.txt");
    fails(E_USAGE, "is there already", "export plain --to=hf --out=my");
    fails(E_USAGE, "one of hf|nanogpt|llmc|llama2c is expected", "export plain --to=gguf --out=x");
    fails(E_USAGE, "where to?", "export plain");
    fails(E_USAGE, "", "export");
}

/* ---- several safetensors files ---- */

/* The tensors of a folder in two files, every other one in the second; index: {"metadata": ..., "weight_map": ...} */
static void split(const char *from, const char *to)
{
    struct model_files f;
    struct file_tensor t[2][64];
    int n[2] = { 0 };
    json_t *map = json_object();
    char path[PATH_SIZE];
    static const char *const names[] = { "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors" };
    assert_ok(dir_make(to));
    copy_into(to, from, "config.json");
    copy_into(to, from, "tokenizer.json");
    assert_ok(model_open(&f, from));
    for (int i = 0; i < tensors_count(f.tensors); i++) {
        t[i % 2][n[i % 2]++] = *tensors_at(f.tensors, i);
        json_object_set_new(map, tensors_at(f.tensors, i)->name, json_string(names[i % 2]));
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(path_join(path, to, names[i]));
        assert_ok(safetensors_write(path, t[i], n[i], NULL, NULL, NULL, NULL));
    }
    json_t *index = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 1, "weight_map", map);
    assert_ok(path_join(path, to, "model.safetensors.index.json"));
    assert_ok(json_write(path, index));
    json_decref(index);
    model_close(&f);
}

static void shards(void **state)
{
    (void)state;
    split("biased", "split");
    assert_same_tensors("biased", "split");
    assert_same_words("biased", "split", "");
    runs("export split --to=hf --out=whole");
    assert_same_tensors("biased", "whole");
    static const struct { const char *index, *says; int code; } cases[] = {
        { "{\"weight_map\": {\"a\": \"../biased/model.safetensors\"}}", "a lies in no file of this folder", E_DATA },
        { "{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "a lies in no file of this folder", E_DATA },
        { "{\"weight_map\": {\"a\": \"config.json\"}}", "a lies in no file of this folder", E_DATA },
        { "{\"weight_map\": {\"a\": 1}}", "a lies in no file of this folder", E_DATA },
        { "{\"weight_map\": {\"a\": \"absent.safetensors\"}}", "absent.safetensors", E_IO },
        { "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}", "a is not in model-00001-of-00002.safetensors", E_DATA },
        { "{\"weight_map\": {}}", "is missing", E_DATA },
        { "{\"weight_map\": []}", "it has no \"weight_map\"", E_DATA },
        { "[]", "it has no \"weight_map\"", E_DATA },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("split/model.safetensors.index.json", cases[i].index);
        fails(cases[i].code, cases[i].says, "sample split " LIKE);
    }
    copy_into("split", "whole", "model.safetensors");
    assert_int_equal(rename("split/model.safetensors", "split/again.safetensors"), 0);
    write_text("split/model.safetensors.index.json", "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\", \"b\": \"again.safetensors\"}}");
    fails(E_DATA, "two tensors named", "sample split " LIKE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nanogpt), cmocka_unit_test(llmc), cmocka_unit_test(llama2c), cmocka_unit_test(runs_of_nanogpt), cmocka_unit_test(odd_optimizers), cmocka_unit_test(larger_tables),
                                        cmocka_unit_test(other_checkpoints), cmocka_unit_test(refused), cmocka_unit_test(shards) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
