/* test_lora.c -- LoRA from the command line, and PEFT's adapters: trained, resumed, opened, merged, refused.  What PEFT itself makes of them
 * is checked by tests/twin/check_peft.py. */
#include "runs.h"

#include <math.h>

#include "file/safetensors.h"
#include "model/adapter.h"
#include "model/model.h"
#include "nib.h"

/* Bases of width 16, two layers, 2 heads; llama has one of keys and values and an MLP of 64. */
#define SHAPE "--n_layer=2 --n_head=2 --n_embd=16 --block_size=16 --batch_size=2 --gradient_accumulation_steps=2 --eval_iters=4 --threads=1 --dtype=float32"
#define STEPS " --eval_interval=10 --warmup_iters=2 --lr_decay_iters=60 --learning_rate=2e-2 "
#define ADAPTS "train --dataset=my " SHAPE STEPS
enum { BASES = 2 };
static const char *const bases[BASES] = { "gpt2", "llama" };

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 60);
    if (run("data my.txt --out my")) return print_error("%s", ERR), -1;
    for (int i = 0; i < BASES; i++) {
        if (run("train --dataset=my --model=%s --out_dir=%s " SHAPE STEPS "--n_inner=64 --bias=%s %s --max_iters=30", bases[i], bases[i], i ? "False" : "True", i ? "--n_kv_head=1" : "")) return print_error("%s", ERR), -1;
        if (run(ADAPTS "--init_from=%s --out_dir=%s-lora --lora_rank=3 --lora_alpha=6 --lora_dropout=0.1 --max_iters=20", bases[i], bases[i])) return print_error("%s", ERR), -1;
    }
    return 0;
}

static const char *name_of(const char *format, int i)
{
    static char names[4][128];
    static int n;
    snprintf(names[n = (n + 1) % 4], sizeof *names, format, bases[i]);
    return names[n];
}

static double loss_of(const char *model, const char *more)
{
    runs("eval %s --dataset=my --json --threads=1 %s", model, more);
    json_t *o = printed();
    double loss = number(o, "loss");
    json_decref(o);
    return loss;
}

static json_t *config_of(const char *folder_)
{
    char path[PATH_SIZE];
    json_t *o;
    assert_ok(path_join(path, folder_, ADAPTER_CONFIG));
    assert_ok(json_read(&o, path, 1 << 20));
    return o;
}

/* ---- a run ---- */

static void assert_matrix(const struct tensors *t, const char *name, int64_t rows, int64_t cols)
{
    const struct file_tensor *m = tensors_find(t, name);
    if (!m) fail_msg("no tensor %s", name);
    assert_true(m->type == F32 && m->n_dims == 2 && m->dim[0] == rows && m->dim[1] == cols);
}

/* What a run leaves is PEFT's folder, in its names, and the base is what it was. */
static void what_a_run_writes(void **state)
{
    static const char *const dense[] = { "base_model.model.transformer.h.1.attn.c_attn", "base_model.model.model.layers.1.self_attn.v_proj" };
    static const int64_t out[] = { 48, 8 };
    (void)state;
    for (int i = 0; i < BASES; i++) {
        const char *run_ = name_of("%s-lora", i);
        char name[128], path[PATH_SIZE];
        struct tensors *t;
        runs("check %s %s", bases[i], run_);
        double before = loss_of(bases[i], ""), after = loss_of(run_, "");
        if (!(after < before - 0.02)) fail_msg("%s: a loss of %.4f, and %.4f before", run_, after, before);
        assert_ok(path_join(path, run_, ADAPTER_MODEL));
        assert_ok(safetensors_open(&t, path));
        assert_int_equal(tensors_count(t), 2 * 2 * (i + 1));          /* A and B of c_attn, or of q_proj and v_proj, in two layers */
        snprintf(name, sizeof name, "%s.lora_A.weight", dense[i]);
        assert_matrix(t, name, 3, 16);
        snprintf(name, sizeof name, "%s.lora_B.weight", dense[i]);
        assert_matrix(t, name, out[i], 3);
        tensors_close(t);
        json_t *o = config_of(run_);
        assert_string_equal(json_string_value(json_object_get(o, "base_model_name_or_path")), bases[i]);
        assert_int_equal(json_is_true(json_object_get(o, "fan_in_fan_out")), i == 0);
        assert_int_equal(json_integer_value(json_object_get(o, "r")), 3);
        assert_int_equal(json_integer_value(json_object_get(o, "lora_alpha")), 6);
        json_decref(o);
        assert_ok(path_join(path, run_, "config.json"));
        assert_false(path_is_file(path));
        assert_ok(path_join(path, run_, "tokenizer.json"));
        assert_true(path_is_file(path));
    }
}

/* The same bits at each level of recomputing, and in bf16 nearly the same loss. */
static void levels_and_types(void **state)
{
    char out[64];
    (void)state;
    for (int i = 0; i < BASES; i++) {
        for (int level = 1; level < 4; level += 2) {
            snprintf(out, sizeof out, "%s-level%d", bases[i], level);
            runs(ADAPTS "--init_from=%s --out_dir=%s --lora_rank=3 --lora_alpha=6 --lora_dropout=0.1 --max_iters=20 --recompute=%d", bases[i], out, level);
            assert_same_in(name_of("%s-lora", i), out, "step-00000020/" ADAPTER_MODEL);
        }
        snprintf(out, sizeof out, "%s-bf16", bases[i]);
        runs(ADAPTS "--init_from=%s --out_dir=%s --lora_rank=3 --lora_alpha=6 --lora_dropout=0.1 --max_iters=20 --dtype=bfloat16", bases[i], out);
        double f32 = loss_of(name_of("%s-lora", i), ""), bf16 = loss_of(out, "");
        if (fabs(f32 - bf16) > 0.03) fail_msg("%s: losses of %.4f in f32 and %.4f in bf16", bases[i], f32, bf16);
        assert_float_equal(loss_of(out, "--dtype=bfloat16"), bf16, 0.02);
    }
}

/* Interrupted or not: the same matrices, moments and record. */
static void resumed(void **state)
{
    static const char *const files[] = { "step-00000020/adapter_model.safetensors", "step-00000020/optimizer.safetensors", "step-00000020/trainer.json", ADAPTER_MODEL, ADAPTER_CONFIG };
    char out[64];
    struct stat s;
    (void)state;
    for (int i = 0; i < BASES; i++) {
        snprintf(out, sizeof out, "%s-resumed", bases[i]);
        runs(ADAPTS "--init_from=%s --out_dir=%s --lora_rank=3 --lora_alpha=6 --lora_dropout=0.1 --max_iters=10", bases[i], out);
        runs("train --init_from=resume --out_dir=%s --max_iters=20", out);
        for (size_t k = 0; k < sizeof files / sizeof *files; k++) assert_same_in(name_of("%s-lora", i), out, files[k]);
        runs("check %s", out);
    }
    copy_folder("llama", "changed");
    assert_int_equal(stat("changed/model.safetensors", &s), 0);
    flip("changed/model.safetensors", (size_t)s.st_size - 3);        /* of the last norm */
    fails(E_DATA, "was trained on another model than changed is now; --base=MODEL says where that one is", "train --init_from=resume --out_dir=%s --max_iters=22 --base=changed", out);
    fails(E_USAGE, "--lora_rank cannot change when a run is resumed (lora_rank 3 -> 4)", "train --init_from=resume --out_dir=%s --lora_rank=4", out);
    fails(E_USAGE, "--lora_targets cannot change", "train --init_from=resume --out_dir=%s --lora_targets=all", out);
}

/* ---- an adapter in use ---- */

static void read_logits(const char *model, float *logits, int n)
{
    nib_model *m;
    int32_t ids[12];
    assert_ok(nib_open(&m, model, NULL));
    assert_true(nib_vocab(m) <= n);
    for (int i = 0; i < 12; i++) ids[i] = (int32_t)(7 * i % nib_vocab(m));
    assert_ok(nib_logits(m, ids, 12, logits));
    nib_close(m);
}

/* Beside its base, and merged into it, whichever way that is written. */
static void merged(void **state)
{
    enum { MOST = 128 };
    (void)state;
    for (int i = 0; i < BASES; i++) {
        const char *run_ = name_of("%s-lora", i), *whole = name_of("%s-merged", i);
        float base[MOST] = { 0 }, beside[MOST] = { 0 }, one[MOST] = { 0 };
        double off = 0, far = 0;
        runs("export %s --to=hf --out=%s", run_, whole);
        read_logits(bases[i], base, MOST);
        read_logits(run_, beside, MOST);
        read_logits(whole, one, MOST);
        for (int k = 0; k < MOST; k++) off = fmax(off, fabs(beside[k] - one[k])), far = fmax(far, fabs(beside[k] - base[k]));
        if (!(off < 2e-5) || !(far > 0.1)) fail_msg("%s: merged logits are off by %g, the base's by %g", bases[i], off, far);
        runs("sample %s --start=ROMEO --num_samples=2 --max_new_tokens=12 --greedy --threads=1", run_);
        char *words = strdup(OUT);
        runs("sample %s --start=ROMEO --num_samples=2 --max_new_tokens=12 --greedy --threads=1", whole);
        assert_string_equal(OUT, words);
        free(words);
    }
    double loss = loss_of("gpt2-lora", "");
    runs("export gpt2-lora --to=nanogpt --out=merged.pt");
    assert_float_equal(loss_of("merged.pt", ""), loss, 2e-6);
    runs("export gpt2-lora/step-00000020 --to=nanogpt --out=step.pt");
    assert_float_equal(loss_of("step.pt", ""), loss_of("gpt2-lora/step-00000020", ""), 2e-6);
    runs("info gpt2-lora --json");
    json_t *o = printed();
    assert_string_equal(json_string_value(json_object_get(o, "format")), "PEFT's adapter");
    json_decref(o);
    runs("info gpt2-lora --tensors");
    assert_has(OUT, "base_model.model.transformer.h.1.attn.c_attn.lora_B.weight");
    runs("export gpt2-lora --to=llmc --out=merged.bin");
    runs("export merged.bin --to=hf --out=from-llmc");
    assert_true(path_is_file("from-llmc/model.safetensors"));
}

/* On nanoGPT's checkpoint of the same model, whose matrices lie the other way round. */
static void turned_base(void **state)
{
    (void)state;
    runs("export gpt2 --to=nanogpt --out=gpt2.pt");
    assert_float_equal(loss_of("gpt2-lora", "--base=gpt2.pt"), loss_of("gpt2-lora", ""), 2e-6);
    runs("export gpt2-lora --base=gpt2.pt --to=hf --out=turned-merged");
    runs("export gpt2-lora --to=hf --out=plain-merged");
    assert_same_in("turned-merged", "plain-merged", "model.safetensors");
    runs(ADAPTS "--init_from=gpt2.pt --out_dir=on-pt --lora_rank=3 --lora_alpha=6 --lora_dropout=0.1 --max_iters=20 --gelu=erf");
    assert_float_equal(loss_of("on-pt", ""), loss_of("gpt2-lora", ""), 1e-4);
    runs("train --init_from=resume --out_dir=on-pt --max_iters=21");
}

/* Opened, not trained, and saved: the same bits.  Then it is trained on, with what it had. */
static void trained_on(void **state)
{
    (void)state;
    for (int i = 0; i < BASES; i++) {
        const char *run_ = name_of("%s-lora", i), *same = name_of("%s-same", i), *more = name_of("%s-more", i);
        runs(ADAPTS "--init_from=%s --out_dir=%s --max_iters=0", run_, same);
        assert_same_in(run_, same, ADAPTER_MODEL);
        assert_same_in(run_, same, ADAPTER_CONFIG);
        runs(ADAPTS "--init_from=%s --out_dir=%s --max_iters=20", run_, more);
        assert_true(loss_of(more, "") < loss_of(run_, ""));
        runs("train --init_from=resume --out_dir=%s --max_iters=22", more);
        runs(ADAPTS "--init_from=%s --out_dir=%s --max_iters=22", run_, name_of("%s-at-once", i));
        assert_same_in(more, name_of("%s-at-once", i), "step-00000022/" ADAPTER_MODEL);
        fails(E_USAGE, "is an adapter, whose rank, alpha and layers cannot change", ADAPTS "--init_from=%s --out_dir=never --lora_rank=3", run_);
    }
    assert_false(path_is_dir("never"));
}

/* Where its base is: as it says, as somebody says, in Hugging Face's cache by its name. */
static void where_the_base_is(void **state)
{
    static const char config[] = "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"target_modules\": [\"c_attn\"]%s}";
    char text[512];
    (void)state;
    copy_folder("gpt2-lora", "moved");
    double loss = loss_of("gpt2-lora", "");
    snprintf(text, sizeof text, config, ", \"base_model_name_or_path\": \"somebody/small\"");
    write_text("moved/" ADAPTER_CONFIG, text);
    fails(E_IO, "moved adapts a model that was not found; --base=MODEL says where it is: somebody/small: no such model", "sample moved");
    fails(E_IO, "--base=MODEL", "train --init_from=moved " SHAPE " --dataset=my --out_dir=never");
    assert_float_equal(loss_of("moved", "--base=gpt2"), loss, 0);
    runs("sample moved --base=gpt2 --num_samples=1 --max_new_tokens=3");
    runs("info moved --base=gpt2");
    assert_has(OUT, "LoRA of rank 3, alpha 6, on c_attn of somebody/small\n");
    runs("export moved --base=gpt2 --out=moved-merged");
    runs(ADAPTS "--init_from=moved --base=gpt2 --max_iters=1 --out_dir=found");
    json_t *o = config_of("found");
    assert_string_equal(json_string_value(json_object_get(o, "base_model_name_or_path")), "gpt2");
    json_decref(o);
    copy_folder("gpt2", "hub/models--somebody--small/snapshots/0123");
    assert_float_equal(loss_of("moved", ""), loss, 0);
    snprintf(text, sizeof text, config, "");
    write_text("moved/" ADAPTER_CONFIG, text);
    fails(E_USAGE, "moved is an adapter that does not say of which model; --base=MODEL says it", "eval moved --dataset=my");
    fails(E_MODEL, "is an adapter itself; merge it: nib export gpt2-lora --to=hf --out=MERGED", "eval moved --dataset=my --base=gpt2-lora");
    fails(E_USAGE, "the model has no dense layer transformer.h.", "eval moved --dataset=my --base=llama");
    snprintf(text, sizeof text, config, ", \"base_model_name_or_path\": \"/etc/passwd\"");
    write_text("moved/" ADAPTER_CONFIG, text);
    fails(E_DATA, "no kind of model", "eval moved --dataset=my");
}

/* Its own tokenizer, else the base's. */
static void whose_tokenizer(void **state)
{
    (void)state;
    copy_folder("gpt2-lora", "bare");
    assert_int_equal(unlink("bare/tokenizer.json") | unlink("bare/tokenizer_config.json") | unlink("bare/meta.pkl"), 0);
    runs("sample gpt2-lora --num_samples=1 --max_new_tokens=9 --threads=1");
    char *words = strdup(OUT);
    runs("sample bare --num_samples=1 --max_new_tokens=9 --threads=1");
    assert_string_equal(OUT, words);
    free(words);
    write_text("other.txt", "0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n0123456789 abc\n");
    runs("data other.txt --out other --val=other.txt");
    fails(E_DATA, "was made by another tokenizer", "eval bare --dataset=other");
}

/* ---- which layers ---- */

static double trained_by(const char *base, const char *targets)
{
    runs("plan --init_from=%s --dataset=my --block_size=16 --batch_size=2 --seconds=0 --lora_rank=2 --lora_targets=%s", base, targets);
    const char *line = strstr(OUT, "\ntrained     ");
    assert_non_null(line);
    char digits[32];
    int n = 0;
    for (const char *c = line + strlen("\ntrained     "); *c != ' '; c++)
        if (*c != ',') digits[n++] = *c;
    digits[n] = 0;
    return strtod(digits, NULL);
}

/* rank (in + out) of each layer that the words fit, in both layers of the model. */
static void targets(void **state)
{
    static const struct { const char *base, *targets; int widths; } cases[] = {
        { "gpt2", "auto", 16 + 48 }, { "gpt2", "c_proj", 16 + 16 + 64 + 16 }, { "gpt2", "mlp.c_proj", 64 + 16 }, { "gpt2", "c_attn,mlp.c_fc", 16 + 48 + 16 + 64 },
        { "gpt2", "all", 16 + 48 + 16 + 16 + 16 + 64 + 64 + 16 }, { "gpt2", "h.1.attn.c_attn", (16 + 48) / 2 },
        { "llama", "auto", 16 + 16 + 16 + 8 }, { "llama", "down_proj", 64 + 16 }, { "llama", "all", 16 + 16 + 16 + 8 + 16 + 8 + 16 + 16 + 3 * (16 + 64) },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_int_equal(trained_by(cases[i].base, cases[i].targets), 2 * 2 * cases[i].widths);
    fails(E_USAGE, "no dense layer _attn in its blocks; those of gpt2 are attn.c_attn,attn.c_proj,mlp.c_fc,mlp.c_proj", ADAPTS "--init_from=gpt2 --out_dir=never --lora_rank=2 --lora_targets=_attn");
    fails(E_USAGE, "no dense layer lm_head", ADAPTS "--init_from=llama --out_dir=never --lora_rank=2 --lora_targets=q_proj,lm_head");
    fails(E_USAGE, "no layers to adapt", ADAPTS "--init_from=llama --out_dir=never --lora_rank=2 --lora_targets=,");
    fails(E_USAGE, "--lora_rank: adapters need a model that they adapt; --init_from=MODEL", ADAPTS "--out_dir=never --lora_rank=2");
    runs(ADAPTS "--init_from=llama --out_dir=rank1 --lora_rank=1 --lora_targets=all --max_iters=10");          /* B of rank 1 is still a matrix */
    assert_true(loss_of("rank1", "") < loss_of("llama", ""));
    runs("train --init_from=resume --out_dir=rank1 --max_iters=11");
}

/* ---- memory ---- */

#define LARGER "--n_layer=3 --n_head=4 --n_embd=256 --block_size=128 --batch_size=8 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=3 --eval_interval=3 --warmup_iters=0 --threads=1"

static double said(const char *word)                         /* "weights 8.0, gradients 8.0" */
{
    const char *line = strstr(OUT, "\nmemory   "), *at_ = line ? strstr(line, word) : NULL;
    if (!at_) fail_msg("\"%s\" is not in:\n%s", word, OUT);
    return strtod(at_ + strlen(word), NULL);
}

/* Said as it is; neither gradients nor moments of the base, nor a copy of what can stay in its file. */
static void memory(void **state)
{
    static const char *const types[] = { "float32", "bfloat16" };
    char out[32];
    (void)state;
    if (SANITIZED) print_message("skipped: a sanitizer has memory of its own\n"), skip();
    runs("train --dataset=my --out_dir=large " LARGER " --dtype=float32");
    double whole = memory_said();
    for (int i = 0; i < 2; i++) {
        snprintf(out, sizeof out, "slight%d", i);
        runs("train --init_from=large --dataset=my --out_dir=%s " LARGER " --lora_rank=4 --dtype=%s", out, types[i]);
        double all = memory_said(), measured = memory_measured(out);
        if (fabs(all - measured) > 0.05 * measured) fail_msg("%s: %.1f MiB were said and %.1f measured", types[i], all, measured);
        assert_true(all < 0.75 * whole && said("gradients ") < 0.2 && said("moments ") < 0.2 && said("weights ") < (i ? 6.9 : 0.2));                    /* in bf16 a copy of half the file, in whole pages of 2 MiB */
    }
    runs("train --init_from=large --dataset=my --out_dir=slight2 " LARGER " --lora_rank=4 --dtype=float32");
    assert_true(said("; ") > 9);                             /* MiB in the file */
    double train = memory_said();
    runs("plan --init_from=large --dataset=my " LARGER " --lora_rank=4 --dtype=float32 --seconds=0 --json");
    json_t *o = printed();
    assert_float_equal(number(o, "memory_mib"), train, 0.05 * train);
    assert_true(number(o, "checkpoint_mib") < 1);
    json_decref(o);
}

/* ---- others' adapters ---- */

/* An adapter on gpt2: c_attn of one layer, its matrices of some rank. */
static void write_adapter(const char *folder_, const char *config, const char *module, int64_t rank, int64_t in, int64_t out)
{
    static float ones[4096];
    char a[128], b[128], path[PATH_SIZE];
    snprintf(a, sizeof a, "%s.lora_A.weight", module);
    snprintf(b, sizeof b, "%s.lora_B.weight", module);
    struct file_tensor t[] = { { .name = a, .type = F32, .n_dims = 2, .dim = { rank, in }, .data = ones, .size = (size_t)(rank * in) * 4 },
                               { .name = b, .type = F32, .n_dims = 2, .dim = { out, rank }, .data = ones, .size = (size_t)(rank * out) * 4 } };
    assert_ok(dir_make(folder_));
    assert_ok(path_join(path, folder_, ADAPTER_MODEL));
    assert_ok(safetensors_write(path, t, 2, NULL, NULL, NULL, NULL));
    assert_ok(path_join(path, folder_, ADAPTER_CONFIG));
    write_text(path, config);
}

#define OF(keys) "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"gpt2\"" keys "}"
#define HERE "base_model.model.transformer.h.1.attn.c_attn"

static void scales(void **state)
{
    static const struct { const char *config; int rank; double scale; } cases[] = {
        { OF(", \"r\": 2, \"lora_alpha\": 5, \"target_modules\": [\"c_attn\"]"), 2, 2.5 },
        { OF(", \"target_modules\": \"all-linear\""), 8, 1 },                                      /* PEFT's own r and alpha */
        { OF(", \"r\": 4, \"lora_alpha\": 6, \"use_rslora\": true, \"target_modules\": [\"attn.c_attn\"]"), 4, 3 },
        { OF(", \"r\": 2, \"lora_alpha\": 1, \"target_modules\": \".*c_attn\", \"rank_pattern\": {\"mlp.c_fc\": 7, \"h\\\\.[12]\\\\..*\": 4}"), 4, 0.25 },
        { OF(", \"r\": 2, \"lora_alpha\": 1, \"target_modules\": [\"c_attn\"], \"alpha_pattern\": {\"attn\": 100, \"c_attn\": 3, \"^transformer.h.1.attn.c_attn\": 9}"), 2, 1.5 },
        { OF(", \"r\": 2, \"lora_alpha\": 2.5, \"target_modules\": [\"c_attn\"], \"alpha_pattern\": {\"^transformer.h.1.attn.c_attn\": 9}, \"inference_mode\": false"), 2, 4.5 },
        { OF(", \"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"c_attn\"], \"layers_to_transform\": [1], \"bias\": \"none\", \"new_key\": null, \"other\": {}"), 2, 2 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_files f;
        write_adapter("scaled", cases[i].config, HERE, cases[i].rank, 16, 48);
        if (model_open(&f, "scaled")) fail_msg("%s: %s", cases[i].config, error_text());
        assert_int_equal(f.adapter->lora.n, 1);
        assert_string_equal(f.adapter->lora.adapt->layer, "h.1.attn.c_attn");
        assert_int_equal(f.adapter->lora.adapt->rank, cases[i].rank);
        assert_float_equal(f.adapter->lora.adapt->scale, cases[i].scale, 1e-6);
        model_close(&f);
    }
}

static void refusals(void **state)
{
    static const struct { const char *keys; int code; const char *says; } cases[] = {
        { "\"use_dora\": true", E_MODEL, "\"use_dora\" is true; nib has LoRA of dense layers alone" }, { "\"bias\": \"all\"", E_MODEL, "\"bias\" is \"all\"" },
        { "\"modules_to_save\": [\"lm_head\"]", E_MODEL, "\"modules_to_save\" is [\"lm_head\"]" }, { "\"trainable_token_indices\": [1, 2]", E_MODEL, "\"trainable_token_indices\" is [1,2]" },
        { "\"lora_bias\": true", E_MODEL, "\"lora_bias\"" }, { "\"layer_replication\": [[0, 2]]", E_MODEL, "\"layer_replication\"" }, { "\"target_parameters\": [\"x\"]", E_MODEL, "\"target_parameters\"" },
        { "\"init_lora_weights\": \"pissa\"", E_MODEL, "\"init_lora_weights\" is \"pissa\"" }, { "\"task_type\": \"SEQ_CLS\"", E_MODEL, "\"task_type\" is \"SEQ_CLS\"" },
        { "\"peft_type\": \"IA3\"", E_MODEL, "\"peft_type\" is \"IA3\"" }, { "\"something_new\": 3", E_MODEL, "\"something_new\" is 3" }, { "\"r\": 0", E_DATA, "\"r\"" },
        { "\"r\": 1e3", E_DATA, "\"r\"" }, { "\"r\": 65537", E_DATA, "\"r\"" }, { "\"lora_alpha\": 1e300", E_DATA, "\"lora_alpha\" is 1e+300" }, { "\"lora_alpha\": \"8\"", E_DATA, "lora_alpha" },
        { "\"lora_dropout\": 1.0", E_DATA, "\"lora_dropout\" is 1" }, { "\"target_modules\": 3", E_DATA, "\"target_modules\" is neither" }, { "\"target_modules\": [3]", E_DATA, "\"target_modules\" is neither" },
        { "\"target_modules\": null", E_DATA, "\"target_modules\" is neither" }, { "\"rank_pattern\": [1]", E_DATA, "rank_pattern" }, { "\"rank_pattern\": {\"c_attn\": 0}", E_DATA, "\"rank_pattern\" of \"c_attn\" is 0" },
        { "\"alpha_pattern\": {\"c_attn\": null}", E_DATA, "c_attn" }, { "\"base_model_name_or_path\": 1", E_DATA, "base_model_name_or_path" }, { "\"use_rslora\": 1", E_DATA, "use_rslora" },
    };
    static const struct { const char *config, *module; int rank, in, out, code; const char *says; } files[] = {
        { OF(", \"r\": 3, \"target_modules\": [\"c_attn\"]"), HERE, 2, 16, 48, E_DATA, "has matrices of rank 2, and adapter_config.json says 3" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_fc\"]"), HERE, 2, 16, 48, E_DATA, "target_modules do not name it" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"]"), HERE, 2, 12, 48, E_DATA, "h.1.attn.c_attn.lora_A.weight is (2, 12), the model needs (2, 16)" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"]"), HERE, 2, 16, 16, E_DATA, "h.1.attn.c_attn.lora_B.weight is (16, 2), the model needs (48, 2)" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"]"), "base_model.model.transformer.h.2.attn.c_attn", 2, 16, 48, E_USAGE, "no dense layer h.2.attn.c_attn" },
        { OF(", \"r\": 2, \"target_modules\": [\"lm_head\"]"), "base_model.model.lm_head", 2, 16, 48, E_DATA, "is no layer of a gpt2 model" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"]"), "transformer.h.1.attn.c_attn", 2, 16, 48, E_MODEL, "is no matrix of a LoRA layer" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"], \"alpha_pattern\": {\"(\": 3}"), HERE, 2, 16, 48, E_DATA, "the pattern \"(\" is no regular expression" },
        { OF(", \"r\": 2, \"target_modules\": [\"c_attn\"], \"alpha_pattern\": {\"(([a-z_.0-9]+)+)+[A-Z]\": 3}"), HERE, 2, 16, 48, E_DATA, "takes too long" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char *const defaults[] = { "\"peft_type\": \"LORA\"", "\"target_modules\": [\"c_attn\"]" };
        struct adapter a = { 0 };
        struct text t = { 0 };
        json_t *root;
        text_format(&t, "{%s", cases[i].keys);
        for (int k = 0; k < 2; k++)
            if (strncmp(cases[i].keys, defaults[k], strcspn(defaults[k], ":"))) text_format(&t, ", %s", defaults[k]);
        text_add(&t, "}");
        assert_ok(json_parse(&root, t.at, t.size, "it"));
        assert_fails(adapter_parse(&a, root, "it"), cases[i].code, cases[i].says);
        json_decref(root);
        text_free(&t);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_adapter("bad", files[i].config, files[i].module, files[i].rank, files[i].in, files[i].out);
        fails(files[i].code, files[i].says, "eval bad --dataset=my --threads=1");
    }
    assert_int_equal(unlink("bad/" ADAPTER_MODEL), 0);
    fails(E_IO, "neither adapter_model.safetensors nor adapter_model.bin", "eval bad --dataset=my");
    write_text("bad/" ADAPTER_CONFIG, "{\"r\": 2, \"target_modules\": [\"c_attn\"]}");
    fails(E_DATA, "it has no \"peft_type\"", "info bad");
    nib_trainer *t;
    assert_int_equal(nib_train_open(&t, "gpt2-lora", 1, 8), NIB_MODEL);
}

/* A file cut off anywhere, and half of a pair. */
static void damaged(void **state)
{
    struct text t = { 0 };
    struct model_files f;
    (void)state;
    copy_folder("gpt2-lora", "cut");
    assert_ok(file_read("gpt2-lora/" ADAPTER_MODEL, LIMIT, &t));
    for (size_t n = 0; n < t.size; n += n < 700 ? 13 : 331) {
        assert_ok(file_write("cut/" ADAPTER_MODEL, t.at, n));
        assert_int_equal(model_open(&f, "cut"), E_DATA);
    }
    text_free(&t);
    fails(E_DATA, "adapter_model.safetensors is not what was written", "check cut");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_run_writes), cmocka_unit_test(levels_and_types), cmocka_unit_test(resumed), cmocka_unit_test(merged), cmocka_unit_test(turned_base), cmocka_unit_test(trained_on),

        cmocka_unit_test(where_the_base_is), cmocka_unit_test(whose_tokenizer), cmocka_unit_test(targets), cmocka_unit_test(memory), cmocka_unit_test(scales), cmocka_unit_test(refusals),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
