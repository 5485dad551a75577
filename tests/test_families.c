/* test_families.c -- nib train and its kin on llama, mistral, qwen2 and qwen3: from scratch, resumed, at every level, finetuned; what does
 * not go together. */
#include "runs.h"

#include "base/json.h"

#define SMALL TINY " --n_head=4 --n_kv_head=2 --n_layer=2 --n_embd=16 --dataset=my --warmup_iters=2 --lr_decay_iters=8 --learning_rate=1e-2 --eval_interval=4"

static const struct family { const char *name, *class, *more; } families[] = {
    { "llama", "LlamaForCausalLM", "--bias=true --tie_word_embeddings=false --n_inner=20 --dropout=0.1" },
    { "mistral", "MistralForCausalLM", "--sliding_window=5 --head_dim=6" },
    { "qwen2", "Qwen2ForCausalLM", "--sliding_window=7 --rope_theta=1e6" },
    { "qwen3", "Qwen3ForCausalLM", "--head_dim=8 --dropout=0.1" },
};
enum { FAMILIES = sizeof families / sizeof *families };

static int set_up(void **state)
{
    static const char *const configs[] = { "llama_tiny.conf", "smollm_135m.conf" };
    char root[PATH_SIZE], path[PATH_SIZE];
    if (!getcwd(root, sizeof root) || enter_program(state)) return -1;
    for (int i = 0; i < 2; i++) {
        if (snprintf(path, sizeof path, "%.*s/config/%s", PATH_SIZE - 64, root, configs[i]) >= (int)sizeof path) return -1;
        copy_file(path, configs[i]);
    }
    write_play("my.txt", 200);
    return run("data my.txt") ? print_error("%s", ERR), -1 : 0;
}

static json_t *config_of(const char *out)
{
    char path[PATH_SIZE];
    json_t *root;
    assert_ok(path_join(path, out, "config.json"));
    assert_ok(json_read(&root, path, 1 << 20));
    return root;
}

/* From scratch; the same with another level, more threads and an interruption, to the same bits; in bf16; evaluated, sampled, described. */
static void runs_of_each(void **state)
{
    (void)state;
    for (const struct family *f = families; f < families + FAMILIES; f++) {
        runs("train %s --model=%s %s --dtype=float32 --max_iters=8 --out_dir=%s", SMALL, f->name, f->more, f->name);
        for (int level = 1; level < 4; level++) {
            runs("train %s --model=%s %s --dtype=float32 --max_iters=4 --out_dir=%s-%d --recompute=%d --threads=2", SMALL, f->name, f->more, f->name, level, level);
            runs("train --init_from=resume --out_dir=%s-%d --max_iters=8", f->name, level);
            char other[32];
            snprintf(other, sizeof other, "%s-%d", f->name, level);
            assert_same_runs(f->name, other, 8);
        }
        json_t *root = config_of(f->name);
        assert_string_equal(json_string_value(json_array_get(json_object_get(root, "architectures"), 0)), f->class);
        json_decref(root);
        runs("train %s --model=%s %s --dtype=bfloat16 --max_iters=2 --sample_interval=1 --out_dir=%s-bf16", SMALL, f->name, f->more, f->name);
        runs("eval %s --dataset=my", f->name);
        runs("sample %s --num_samples=2 --max_new_tokens=40 --dtype=bfloat16", f->name);      /* more than its 16 positions */
        runs("info %s --plan", f->name);
        assert_has(OUT, ": 2 layers, 4 heads (2 of keys and values), width 16, context 16");
        runs("plan %s --model=%s %s --seconds=0", SMALL, f->name, f->more);
        assert_has(OUT, "model.layers.*.self_attn.qkv.weight");
    }
}

/* A run that begins with a folder takes its shape, whatever the settings say, and its positions go on beyond the blocks it learns from. */
static void finetuned(void **state)
{
    (void)state;
    for (const struct family *f = families; f < families + FAMILIES; f++) {
        runs("train %s --init_from=%s --out_dir=%s-tuned --block_size=8 --max_iters=2 --sample_interval=1", SMALL, f->name, f->name);
        char tuned[32];
        snprintf(tuned, sizeof tuned, "%s-tuned", f->name);
        json_t *was = config_of(f->name), *is = config_of(tuned);
        json_object_set_new(was, "attention_dropout", json_real(0));         /* a setting of the run */
        assert_true(json_equal(was, is));
        json_decref(was);
        json_decref(is);
    }
}

/* SmolLM-135M has 134,515,008 parameters. */
static void known_shapes(void **state)
{
    (void)state;
    runs("train llama_tiny.conf --dataset=my --max_iters=1 --eval_iters=1 --out_dir=tiny");
    runs("plan smollm_135m.conf --dataset=my --seconds=0 --json --dtype=float32");
    json_t *plan = printed();
    assert_true(number(plan, "parameters") == 134515008);
    json_decref(plan);
}

static void what_does_not_go_together(void **state)
{
    (void)state;
    fails(E_MODEL, "a gpt2 model has as many key/value heads as heads (4)", "train %s --max_iters=1", SMALL);
    fails(E_MODEL, "a gpt2 model has no sliding window", "train %s --n_kv_head=0 --sliding_window=8 --max_iters=1", SMALL);
    fails(E_MODEL, "a llama model has no sliding window; choose model = mistral or qwen2", "train %s --model=llama --sliding_window=8 --max_iters=1", SMALL);
    fails(E_MODEL, "a qwen2 model has no biases of one's choice; leave out bias", "train %s --model=qwen2 --bias=true --max_iters=1", SMALL);
    fails(E_MODEL, "heads of width 5 have an odd one", "train %s --model=mistral --head_dim=5 --max_iters=1", SMALL);
    fails(E_MODEL, "4 heads do not divide by 3 key/value heads", "train %s --model=mistral --n_kv_head=3 --max_iters=1", SMALL);
    fails(E_USAGE, "--model=lama: one of gpt2|llama|mistral|qwen2|qwen3 is expected", "train %s --model=lama", SMALL);
    static const char *const changes[] = { "model=qwen3", "n_kv_head=1", "head_dim=4", "n_inner=40", "rope_theta=2e4", "sliding_window=9", "tie_word_embeddings=true" };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        fails(E_USAGE, "cannot change when a run is resumed", "train --init_from=resume --out_dir=llama --max_iters=9 --%s", changes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(runs_of_each), cmocka_unit_test(finetuned), cmocka_unit_test(known_shapes), cmocka_unit_test(what_does_not_go_together) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
