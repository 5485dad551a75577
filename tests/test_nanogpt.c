/* test_nanogpt.c -- nanoGPT's users need not learn anything: its command lines with `nib train` for `python train.py` and `nib
 * sample` for `python sample.py`, its configuration files, its data folders, its names of GPT-2.
 *
 * Weights are tiny ones that lie where Hugging Face's cache has the real ones; every run takes two iterations. */
#include "program.h"

#include <sys/stat.h>

#include "base/json.h"

#define SMALL "--n_layer=1 --n_head=2 --n_embd=16 --block_size=16 --batch_size=2 --gradient_accumulation_steps=1"
#define TWO "--max_iters=2 --eval_iters=1 --threads=1"
#define PROMPT "What is the answer to life, the universe, and everything?"

static char root[PATH_SIZE], gpt2_bpe[PATH_SIZE];            /* the repository; GPT-2's tokenizer, if it is there */

/* What nanoGPT's files set. */
static const struct { const char *name, *text; } configs[] = {
    { "train_gpt2", "wandb_log = True\nwandb_project = 'owt'\nwandb_run_name = 'gpt2-124M'\nbatch_size = 12\nblock_size = 1024\n"
                    "gradient_accumulation_steps = 5 * 8 # micro-batches\nmax_iters = 600000\nlr_decay_iters = 600000\neval_interval = 1000\neval_iters = 200\n"
                    "log_interval = 10\nweight_decay = 1e-1\n" },
    { "train_shakespeare_char", "out_dir = 'out-shakespeare-char'\neval_interval = 250\neval_iters = 200\nlog_interval = 10\nalways_save_checkpoint = False\n\n"
                    "wandb_log = False\nwandb_project = 'shakespeare-char'\nwandb_run_name = 'mini-gpt'\n\ndataset = 'shakespeare_char'\n"
                    "gradient_accumulation_steps = 1\nbatch_size = 64\nblock_size = 256\n\nn_layer = 6\nn_head = 6\nn_embd = 384\ndropout = 0.2\n\n"
                    "learning_rate = 1e-3\nmax_iters = 5000\nlr_decay_iters = 5000\nmin_lr = 1e-4\nbeta2 = 0.99\n\nwarmup_iters = 100\n# device = 'cpu'\n" },
    { "finetune_shakespeare", "import time\n\nout_dir = 'out-shakespeare'\neval_interval = 5\neval_iters = 40\nwandb_log = False\nwandb_project = 'shakespeare'\n"
                    "wandb_run_name = 'ft-' + str(time.time())\n\ndataset = 'shakespeare'\ninit_from = 'gpt2-xl'\nalways_save_checkpoint = False\n"
                    "batch_size = 1\ngradient_accumulation_steps = 32\nmax_iters = 20\n\nlearning_rate = 3e-5\ndecay_lr = False\n" },
#define EVAL(size) "batch_size = 8\neval_iters = 500\neval_only = True\nwandb_log = False\ninit_from = '" size "'\n"
    { "eval_gpt2", EVAL("gpt2") }, { "eval_gpt2_medium", EVAL("gpt2-medium") }, { "eval_gpt2_large", EVAL("gpt2-large") }, { "eval_gpt2_xl", EVAL("gpt2-xl") },
};
enum { CONFIGS = sizeof configs / sizeof *configs };

/* ---- nanoGPT's folder ---- */

static void write_configs(void)
{
    char path[PATH_SIZE];
    assert_ok(dir_make("config"));
    for (int i = 0; i < CONFIGS; i++) {
        snprintf(path, sizeof path, "config/%s.py", configs[i].name);
        write_text(path, configs[i].text);
    }
}

/* n ids of GPT-2's vocabulary, as data/openwebtext/prepare.py leaves them: nothing but two files. */
static void write_ids(const char *path, int n)
{
    struct text t = { 0 };
    uint64_t state = 1;
    for (int i = 0; i < n; i++) {
        int id = i % 300 == 299 ? 50256 : roll(&state, 50256);
        text_bytes(&t, (const uint8_t[2]){ (uint8_t)id, (uint8_t)(id >> 8) }, 2);
    }
    assert_ok(file_write(path, t.at, t.size));
    text_free(&t);
}

static void write_data(void)
{
    write_play("input.txt", 60);
    struct text t = { 0 };
    assert_ok(file_read("input.txt", LIMIT, &t));
    text_add(&t, PROMPT " 1+1=2\n" PROMPT "\n");             /* the characters of the prompts */
    assert_ok(file_write("input.txt", t.at, t.size));
    runs("data input.txt --tokenizer char --out data/shakespeare_char");
    copy_file("data/shakespeare_char/tokenizer.json", "characters.json");
    assert_int_equal(unlink("data/shakespeare_char/dataset.json") | unlink("data/shakespeare_char/tokenizer.json"), 0);
    assert_int_equal(unlink("data/shakespeare_char/tokenizer_config.json"), 0);
    static const char *const sets[] = { "openwebtext", "shakespeare" };
    for (int i = 0; i < 2; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "data/%s", sets[i]);
        assert_ok(dir_make(path));
        snprintf(path, sizeof path, "data/%s/train.bin", sets[i]);
        write_ids(path, 4000);
        snprintf(path, sizeof path, "data/%s/val.bin", sets[i]);
        write_ids(path, 1200);
    }
    text_free(&t);
}

/* Four GPT-2s of one layer, with GPT-2's vocabulary and context. */
static void write_weights(void)
{
    static const char *const names[] = { "gpt2", "gpt2-medium", "openai-community--gpt2-large", "gpt2-xl" };
    char path[128];
    copy_file("characters.json", "tokenizer.json");
    runs("train --dataset=openwebtext --vocab_size=50257 --out_dir=tiny " SMALL
         " --bias=True --gelu=tanh --n_embd=8 --block_size=1024 --batch_size=1 --max_iters=0 --eval_iters=1");
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "hub/models--%s/snapshots/607a30d", names[i]);
        assert_ok(dir_make(path));
        copy_into(path, "tiny", "config.json");
        copy_into(path, "tiny", "model.safetensors");
        copy_into(path, folder, "tokenizer.json");
    }
}

static int set_up(void **state)
{
    if (!getcwd(root, sizeof root)) return -1;
    if (!realpath("../shared/data/gpt2-bpe", gpt2_bpe)) gpt2_bpe[0] = 0;
    if (enter_program(state)) return -1;
    write_configs();
    write_data();
    write_weights();
    return 0;
}

/* A line of run.conf. */
static void assert_recorded(const char *out, const char *line)
{
    char path[PATH_SIZE], whole[256];
    struct text t = { 0 };
    snprintf(path, sizeof path, "%s/run.conf", out);
    snprintf(whole, sizeof whole, "\n%s\n", line);
    assert_ok(file_read(path, LIMIT, &t));
    assert_has(t.at, whole);
    text_free(&t);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* ---- the command lines of its README ---- */

static void shakespeare_char_on_a_gpu(void **state)
{
    (void)state;
    runs("train config/train_shakespeare_char.py " SMALL " " TWO);
    assert_has(OUT, "step 0: train loss ");
    assert_has(OUT, "step 2: train loss ");
    assert_recorded("out-shakespeare-char", "learning_rate = 0.001");
    assert_recorded("out-shakespeare-char", "dropout = 0.2");
    assert_recorded("out-shakespeare-char", "always_save_checkpoint = False");
    runs("sample --out_dir=out-shakespeare-char");
    assert_string_equal(ERR, "");
    assert_int_equal(count(OUT, "\n---------------\n"), 10);
    assert_int_equal(strlen(OUT), 10 * (1 + 500 + 17));      /* a line break and 500 characters each */
}

static void shakespeare_char_on_a_laptop(void **state)
{
    (void)state;
    runs("train config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 "
         "--n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0 --max_iters=2 --eval_iters=1 --out_dir=out-laptop");
    assert_has(OUT, "gpt2: 4 layers, 4 heads, width 128, context 64, vocabulary ");
    assert_has(OUT, " in 18 matrices, which decay, 1,152 in 9 vectors, which do not\n");
    assert_has(OUT, "768 tokens an iteration, ");
    assert_has(OUT, "\nstep 0/2  loss ");
    assert_has(OUT, "\nstep 1/2  loss ");
    assert_has(ERR, "note: command line: compile has no effect here\n");
    runs("sample --out_dir=out-laptop --device=cpu --num_samples=1 --max_new_tokens=9");
    assert_has(ERR, "note: command line: device has no effect here\n");
    runs("train config/train_shakespeare_char.py --device=mps --out_dir=out-mac " SMALL " " TWO);
    assert_has(ERR, "note: device mps: this is a build for the CPU, which is used\n");
    runs("train config/train_shakespeare_char.py --device=cuda:1 --dtype=float16 --backend=gloo --out_dir=out-mac2 " SMALL " " TWO);
    assert_has(ERR, "note: device cuda:1: ");
    assert_has(ERR, "note: dtype float16: ");
    assert_has(ERR, "backend has no effect here\n");
}

/* torchrun ... train.py config/train_gpt2.py; and train.py alone, whose vocabulary is GPT-2's, rounded up to a multiple of 64. */
static void gpt2_from_scratch(void **state)
{
    (void)state;
    runs("train config/train_gpt2.py " SMALL " " TWO);
    assert_has(OUT, "vocabulary 50304\n");
    assert_has(ERR, "wandb_log has no effect here\n");
    assert_recorded("out", "max_iters = 2");
    assert_recorded("out", "lr_decay_iters = 600000");
    assert_recorded("out", "weight_decay = 0.1");
    runs("train --out_dir=alone " SMALL " " TWO);
    assert_has(OUT, "data     data/openwebtext: ");
    assert_recorded("alone", "dataset = \"openwebtext\"");
    assert_recorded("alone", "eval_interval = 2000");
    runs("sample --out_dir=alone --tokenizer=characters.json --num_samples=2 --max_new_tokens=20");
    assert_int_equal(strlen(OUT), 2 * (1 + 20 + 17));        /* what stands for no character is never drawn */
}

static void evaluated_gpt2(void **state)
{
    (void)state;
    static const char *const sizes[] = { "gpt2", "gpt2_medium", "gpt2_large", "gpt2_xl" };
    for (int i = 0; i < 4; i++) {
        runs("train config/eval_%s.py --batch_size=1 --eval_iters=1 --out_dir=none", sizes[i]);
        assert_has(OUT, "context 1024, vocabulary 50257\n");
        assert_has(OUT, "step 0: train loss 10.");           /* ln 50257 = 10.8 */
        assert_null(strstr(OUT, "step 0/"));
        assert_false(path_is_dir("none"));
    }
}

static void finetuned(void **state)
{
    (void)state;
    runs("train config/finetune_shakespeare.py " TWO " --block_size=64");
    assert_has(ERR, "config/finetune_shakespeare.py line 8: wandb_run_name is left out: ");
    assert_has(OUT, "context 64, vocabulary 50257\n");
    assert_has(OUT, "2,048 tokens an iteration, 2 iterations, ");
    assert_recorded("out-shakespeare", "init_from = \"gpt2-xl\"");
    assert_recorded("out-shakespeare", "decay_lr = False");
    runs("check out-shakespeare");
    runs("sample --out_dir=out-shakespeare --tokenizer=characters.json --num_samples=1 --max_new_tokens=9");
    bring_gpt2(gpt2_bpe);
    runs("sample --out_dir=out-shakespeare --num_samples=2 --max_new_tokens=20");
    assert_int_equal(count(OUT, "\n---------------\n"), 2);
}

static void sampled_gpt2(void **state)
{
    (void)state;
    runs("sample --init_from=gpt2-xl '--start=" PROMPT "' --num_samples=5 --max_new_tokens=100");
    assert_int_equal(count(OUT, PROMPT), 5);
    assert_int_equal(strlen(OUT), 5 * (strlen(PROMPT) + 100 + 17));
    write_text("prompt.txt", "ROMEO:\nI shall");
    runs("sample --init_from=gpt2 --start=FILE:prompt.txt --num_samples=1 --max_new_tokens=3 --seed=7 --top_k=5 --temperature=1.5 --compile=True");
    assert_memory_equal(OUT, "ROMEO:\nI shall", 14);
    runs("sample --init_from=gpt2 --start='1+1=' --num_samples=1 --max_new_tokens=3");   /* nanoGPT stumbles here */
    assert_memory_equal(OUT, "1+1=", 4);
    unsetenv("HF_HUB_CACHE");
    setenv("HF_HOME", folder, 1);
    runs("sample --init_from=gpt2-medium --num_samples=1 --max_new_tokens=3");
    setenv("HF_HUB_CACHE", at("elsewhere"), 1);
    fails(E_IO, "cannot download https://huggingface.co/openai-community/gpt2-medium/", "sample --init_from=gpt2-medium");
    setenv("HF_HUB_CACHE", at("hub"), 1);
    unsetenv("HF_HOME");
}

/* ---- its options ---- */

static void defaults(void **state)
{
    static const char *const train[] = {
        "out_dir=out", "eval_interval=2000", "log_interval=1", "eval_iters=200", "eval_only=false", "always_save_checkpoint=true", "init_from=scratch",
        "wandb_log=false", "wandb_project=owt", "wandb_run_name=gpt2", "dataset=openwebtext", "gradient_accumulation_steps=40", "batch_size=12", "block_size=1024",
        "n_layer=12", "n_head=12", "n_embd=768", "dropout=0.0", "bias=false", "learning_rate=6e-4", "max_iters=600000", "weight_decay=0.1",
        "beta1=0.9", "beta2=0.95", "grad_clip=1.0", "decay_lr=true", "warmup_iters=2000", "lr_decay_iters=600000", "min_lr=6e-5",
        "backend=nccl", "device=", "dtype=", "compile=true",
    }, *const sample[] = {
        "init_from=resume", "out_dir=out", "start=", "num_samples=10", "max_new_tokens=500", "temperature=0.8", "top_k=200", "seed=1337", "device=", "dtype=", "compile=false",
    };
    char flag[64];
    (void)state;
    runs("train --help");
    for (size_t i = 0; i < sizeof train / sizeof *train; i++) {
        snprintf(flag, sizeof flag, "  --%s%s", train[i], train[i][strlen(train[i]) - 1] == '=' ? "" : " ");
        if (!strstr(OUT, flag)) flag[strlen(flag) - 1] = '\n';
        assert_has(OUT, flag);
    }
    runs("sample --help");
    for (size_t i = 0; i < sizeof sample / sizeof *sample; i++) {
        snprintf(flag, sizeof flag, "  --%s", sample[i]);
        assert_has(OUT, flag);
    }
}

static void ways_to_write_options(void **state)
{
    (void)state;
    runs("train config/train_shakespeare_char.py --out_dir way --learning_rate 1 --dropout=0 --bias --decay_lr False --wandb_run_name=a=b " SMALL " " TWO);
    assert_recorded("way", "learning_rate = 1.0");
    assert_recorded("way", "dropout = 0.0");
    assert_recorded("way", "bias = True");
    assert_recorded("way", "decay_lr = False");
    assert_recorded("way", "wandb_run_name = \"a=b\"");
    assert_has(ERR, "wandb_run_name has no effect here\n");
    runs("train --batch_size=3 config/train_shakespeare_char.py --out_dir=way --eval_only " SMALL " " TWO);     /* from left to right */
    assert_null(strstr(OUT, "step 0/"));
    runs("train config/train_shakespeare_char.py --out_dir=way --eval_only True " SMALL " " TWO);
    assert_null(strstr(OUT, "step 0/"));
    assert_false(path_is_dir("way.1"));
    fails(E_USAGE, "--eval_only=1: true or false is expected", "train --eval_only=1");
    fails(E_USAGE, "--max_iters=1.5: an integer", "train --max_iters=1.5");
    fails(E_USAGE, "unknown option --lr_decay_iter; did you mean --lr_decay_iters?", "train --lr_decay_iter=5");
}

/* Nothing is executed: what would have to be is left out where it only names a run, and refused elsewhere. */
static void expressions(void **state)
{
    static const struct { const char *text, *part; } wrong[] = {
        { "batch_size = int(3)\n", "line 1: batch_size = int(3): " },
        { "import os\nmax_iters = 5 if os.name else 6\n", "line 2: max_iters = 5 if os.name else 6: " },
        { "for i in range(3): print(i)\n", "line 1: " },
        { "dataset = 'a' + x\n", "line 1: dataset = " },
        { "lr_decay_iters = max_iters = 4\n", "line 1: lr_decay_iters = " },
        { "no_such = 3\n", "line 1: unknown option no_such" },
        { "n_layer = 'six'\n", "line 1: n_layer = 'six': an integer is expected" },
        { "os.system('touch executed')\n", "line 1: " },
    };
    (void)state;
    write_text("config/sums.py", "batch_size = 2 * 3\nmax_iters = 2\nn_embd = 4 * (2 + 2)\nlr_decay_iters = max_iters * 3\nimport datetime\n"
                                 "wandb_run_name = 'run' + str(datetime.datetime.now())\nwandb_log = True\n");
    runs("train config/sums.py --out_dir=sums --dataset=shakespeare_char --n_layer=1 --n_head=2 --block_size=16 --gradient_accumulation_steps=1 --eval_iters=1");
    assert_recorded("sums", "batch_size = 6");
    assert_recorded("sums", "n_embd = 16");
    assert_recorded("sums", "lr_decay_iters = 6");
    assert_recorded("sums", "wandb_run_name = \"gpt2\"");
    assert_has(ERR, "note: config/sums.py line 6: wandb_run_name is left out: ");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text("config/wrong.py", wrong[i].text);
        fails(E_USAGE, wrong[i].part, "train config/wrong.py");
        assert_has(ERR, "config/wrong.py");
    }
    assert_false(path_is_file("executed"));
}

/* Without nanoGPT's own files their names still work, by the ones that come with nib, which say the same. */
static void files_of_ours(void **state)
{
    static const char *const ours[] = { "gpt2", "shakespeare_char", "finetune_shakespeare" };
    static const char *const theirs[] = { "train_gpt2", "train_shakespeare_char", "finetune_shakespeare" };
    static const char ignored[] = "--wandb_log=False --wandb_project=a --wandb_run_name=b";
    (void)state;
    char from[PATH_SIZE], name[128];
    assert_ok(path_join(from, root, "config"));
    assert_ok(dir_make("bare/config"));
    assert_int_equal(symlink("../data", "bare/data"), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s.conf", ours[i]);
        copy_into("bare/config", from, name);
        runs("train config/%s.py --out_dir=ab " SMALL " %s " TWO, theirs[i], ignored);
        assert_int_equal(rename("ab/run.conf", "bare/their.conf"), 0);
        assert_ok(dir_remove("ab"));
        assert_int_equal(chdir("bare"), 0);
        runs("train config/%s.py --out_dir=ab " SMALL " %s " TWO, theirs[i], ignored);
        snprintf(name, sizeof name, "note: config/%s.py is not here; config/%s.conf is used\n", theirs[i], ours[i]);
        assert_has(ERR, name);
        assert_same_file("ab/run.conf", "their.conf");
        assert_ok(dir_remove("ab"));
        assert_int_equal(chdir(".."), 0);
    }
    fails(E_IO, "config/train_nothing.py", "train config/train_nothing.py");
}

/* ---- its data ---- */

/* data/shakespeare_char/prepare.py of "ab\n...": pickle.dump of Python 3.8 and later. */
static const char META[] = "\200\4\225H\0\0\0\0\0\0\0}\224(\214\12vocab_size\224K\3\214\4itos\224}\224(K\0\214\1\12\224K\1\214\1a\224K\2\214\1b\224u\214\4stoi\224}\224(h\4K\0h\5K\1h\6K\2uu.";

static void data_by_hand(void **state)
{
    static const char *const files[] = { "train.bin", "val.bin", "meta.pkl" };
    (void)state;
    char path[PATH_SIZE], before[3][65], after[65];
    uint8_t ids[400];
    for (int i = 0; i < 200; i++) ids[2 * i] = (uint8_t)(i * i % 3), ids[2 * i + 1] = 0;
    assert_ok(dir_make("data/ab"));
    assert_ok(file_write("data/ab/train.bin", ids, 400));
    assert_ok(file_write("data/ab/val.bin", ids, 100));
    assert_ok(file_write("data/ab/meta.pkl", META, sizeof META - 1));
    for (int i = 0; i < 3; i++) {
        assert_ok(path_join(path, "data/ab", files[i]));
        hash_of(path, before[i]);
    }
    runs("train --dataset=ab --out_dir=out-ab " SMALL " " TWO);
    assert_has(OUT, "vocabulary 3\n");
    assert_has(OUT, "200 tokens to train on, 50 to validate\n");
    for (int i = 0; i < 3; i++) {
        assert_ok(path_join(path, "data/ab", files[i]));
        hash_of(path, after);
        assert_string_equal(before[i], after);
    }
    assert_int_equal(names_in("data/ab"), 3);                /* nothing was added */
    runs("sample --out_dir=out-ab --start=ab --num_samples=4 --max_new_tokens=30");
    assert_int_equal(strspn(OUT, "ab\n-"), strlen(OUT));
    runs("eval out-ab --dataset=ab --json");
    fails(E_DATA, "c", "sample --out_dir=out-ab --start=c");
}

static void resumed(void **state)
{
    (void)state;
    runs("train config/train_shakespeare_char.py --out_dir=twice --eval_interval=1 " SMALL " " TWO);
    runs("train config/train_shakespeare_char.py --out_dir=twice --init_from=resume --eval_interval=1 " SMALL " --eval_iters=1 --threads=1 --max_iters=4");
    assert_has(OUT, "resumed at iteration ");
    assert_has(OUT, "step 4: train loss ");
    runs("check twice");
    /* Without the flags that made it smaller than its CONFIG: the shape is the run's, as in nanoGPT. */
    runs("train config/train_shakespeare_char.py --out_dir=twice --init_from=resume --batch_size=2 --block_size=16 --eval_iters=1 --threads=1 --max_iters=5");
    assert_has(OUT, "resumed at iteration 4");
    assert_recorded("twice", "n_embd = 16");
}

/* init_from=gpt2: only dropout may differ, and a smaller block_size crops. */
static void imported(void **state)
{
    (void)state;
    runs("train --init_from=gpt2 --dataset=shakespeare --dropout=0.1 --out_dir=cropped --block_size=32 --batch_size=2 --gradient_accumulation_steps=1 " TWO);
    assert_has(OUT, "gpt2: 1 layers, 2 heads, width 8, context 32, vocabulary 50257\n");
    runs("info cropped");
    assert_has(OUT, "context 32, vocabulary 50257\n");
    fails(E_USAGE, "block_size 1100 is more than the 1024 positions of ", "train --init_from=gpt2 --dataset=shakespeare --out_dir=x --block_size=1100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakespeare_char_on_a_gpu),
        cmocka_unit_test(shakespeare_char_on_a_laptop),
        cmocka_unit_test(gpt2_from_scratch),
        cmocka_unit_test(evaluated_gpt2),
        cmocka_unit_test(finetuned),
        cmocka_unit_test(sampled_gpt2),
        cmocka_unit_test(defaults),
        cmocka_unit_test(ways_to_write_options),
        cmocka_unit_test(expressions),
        cmocka_unit_test(files_of_ours),
        cmocka_unit_test(data_by_hand),
        cmocka_unit_test(resumed),
        cmocka_unit_test(imported),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
