/* test_export.c -- models in files of other kinds: opened like any, and written. */
#include "program.h"

#include "base/json.h"
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
    fails(E_USAGE, "one of hf|nanogpt|llmc is expected", "export plain --to=gguf --out=x");
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(nanogpt), cmocka_unit_test(llmc), cmocka_unit_test(other_checkpoints), cmocka_unit_test(refused), cmocka_unit_test(shards) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
