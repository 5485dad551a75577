/* test_cli.c -- nib as its users see it: the first minutes with each verb, what a run writes, and that a run that was
 * interrupted ends as if it had not been. */
#include "runs.h"

#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#include "base/json.h"

static const char *const verbs[] = { "data", "train", "sample", "eval", "info", "tokenizer", "tales", "plan", "sweep", "report", "watch", "check", "bench" };
enum { VERBS = sizeof verbs / sizeof *verbs };
static const char DASHES[] = "\n---------------\n";

/* my.txt, its tokens in data/my, and a run on them; the run's best step is its last. */
static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 100);
    if (run("data my.txt")) return print_error("%s", ERR), -1;
    if (run("train --dataset=my --out_dir=run " TINY " --max_iters=60 --eval_interval=20 --eval_iters=20 --warmup_iters=0 --learning_rate=1e-2"))
        return print_error("%s", ERR), -1;
    return 0;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* ---- the first minutes ---- */

static void first_words(void **state)
{
    static const char *const lines[] = { "", "--help", "-h", "help" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        runs("%s", lines[i]);
        assert_string_equal(ERR, "");
        for (int v = 0; v < VERBS; v++) {
            char line[32];
            snprintf(line, sizeof line, "\n  nib %-7s ", verbs[v]);
            assert_has(OUT, line);
        }
    }
    runs("--version");
    assert_memory_equal(OUT, "nib ", 4);
}

static void help_of_verbs(void **state)
{
    (void)state;
    for (int v = 0; v < VERBS; v++) {
        char line[32];
        snprintf(line, sizeof line, "nib %s ", verbs[v]);
        runs("%s --help", verbs[v]);
        assert_has(OUT, line);
        assert_string_equal(ERR, "");
        runs("%s -h", verbs[v]);
    }
    runs("train --help");
    assert_has(OUT, "--gradient_accumulation_steps=40");
}

static void unknown_words(void **state)
{
    (void)state;
    fails(E_USAGE, "nib has no verb frobnicate; nib --help lists them", "frobnicate");
    fails(E_USAGE, "unknown option --blok_size; did you mean --block_size?", "train --blok_size=3");
    fails(E_USAGE, "unknown option --temprature; did you mean --temperature?", "sample run --temprature=1");
    fails(E_USAGE, "unknown option -n; options begin with two dashes", "sample run -n 3");
    fails(E_USAGE, "--top_k=many: an integer is expected", "sample run --top_k=many");
    fails(E_USAGE, "from 0 to 1 is expected", "sample run --top_p=2");
    fails(E_USAGE, "one of half|exact", "sample run --crop=quarter");
    fails(E_USAGE, "--seed needs a value", "sample run --seed");
    fails(E_USAGE, "unexpected argument other", "sample run other");
}

/* ---- nib data and nib train: from a text to a run ---- */

static void assert_files(const char *where, const char *const *names)
{
    char path[PATH_SIZE];
    for (; *names; names++) {
        assert_ok(path_join(path, where, *names));
        if (!path_is_file(path)) fail_msg("%s is not there", path);
    }
}

static const char *const run_files[] = { "config.json", "generation_config.json", "metrics.jsonl", "model.safetensors", "run.conf", "tokenizer.json", NULL };

static void train_a_text(void **state)
{
    (void)state;
    write_play("hamlet.txt", 60);
    runs("train hamlet.txt --minutes=0.01 --threads=1 --max_iters=20");
    assert_has(OUT, "hamlet.txt: ");
    assert_has(OUT, " tokens to train on, ");
    assert_has(OUT, "step 20: train loss ");
    assert_has(OUT, "done: nib sample out\n");
    assert_has(ERR, "note: chosen for 0.01 minutes here: --n_layer=2 --n_head=2 --n_embd=64 ");
    assert_files("out", run_files);
    assert_files("data/hamlet", (const char *const[]){ "train.bin", "val.bin", "meta.pkl", "dataset.json", "tokenizer.json", NULL });
    runs("train hamlet.txt --out_dir=own " TINY " --max_iters=2");       /* what the user says stands */
    assert_has(OUT, "gpt2: 1 layers, 2 heads, width 16, context 16, ");
    assert_has(OUT, ", 2 iterations, ");
    runs("train --dataset=data/hamlet --out_dir=again " TINY " --max_iters=2");
    assert_same_file("own/tokenizer.json", "again/tokenizer.json");
}

static void data_of_all_kinds(void **state)
{
    static const char lines[] = "{\"story\": \"once upon\"}\n{\"story\": \"a time\"}\n{\"story\": \"the end\"}\n";
    (void)state;
    runs("data my.txt --out D");
    assert_has(OUT, "D: ");
    assert_same_file("D/train.bin", "data/my/train.bin");
    assert_int_equal(mkdir("texts", 0755), 0);
    write_text("texts/a.txt", "first text");
    write_text("texts/b.txt", "second text");
    runs("data texts --tokenizer=char --out F");
    assert_has(OUT, ", 2 documents\n");
    write_text("s.jsonl", lines);
    gzFile z = gzopen("s.jsonl.gz", "wb");
    assert_int_equal(gzputs(z, lines), (int)strlen(lines));
    gzclose(z);
    runs("data s.jsonl --field=story --out J");
    assert_has(OUT, ", 3 documents\n");
    runs("data s.jsonl.gz --field=story --out Z");
    assert_same_file("J/train.bin", "Z/train.bin");
    fails(E_DATA, "\"text\"", "data s.jsonl --out X");
    runs("data tales --count=200 --out T");
    assert_has(OUT, "T: ");
    runs("data texts/a.txt texts/b.txt --tokenizer=char --val=texts/b.txt");
    assert_files("data/a", (const char *const[]){ "train.bin", "val.bin", NULL });
    runs_how(HOW(.in = "my.txt"), "data - --tokenizer=char --out P");
    assert_same_file("P/train.bin", "D/train.bin");
}

/* Into a pipe come the first step and, a while later, another; whoever asks for each gets each. */
static void quiet_or_not(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=quiet " TINY " --max_iters=40");
    assert_int_equal(count(OUT, "\nstep "), 3);             /* iteration 0, and two evaluations */
    assert_has(OUT, "\nstep 0/40  loss ");
    assert_null(strpbrk(OUT, "\r\033"));
    runs("train --dataset=my --out_dir=loud " TINY " --max_iters=40 --log_interval=10");
    assert_int_equal(count(OUT, "/40  loss "), 4);
    assert_null(strpbrk(ERR, "\r\033"));
}

/* What a run is seen by: its page, and files for TensorBoard; or not. */
static void seen_at_a_glance(void **state)
{
    (void)state;
    struct text t = { 0 };
    char **names;
    size_t n;
    int events = 0;
    runs("train --dataset=my --out_dir=seen " TINY " --max_iters=20 --eval_interval=10 --sample_interval=10 --learning_rate=2e-3");
    assert_ok(file_read("seen/report.html", LIMIT, &t));
    assert_has(t.at, "finished");
    assert_has(t.at, "gpt2: 1 layers, 2 heads, width 16");
    assert_has(t.at, "learning_rate");
    assert_has(t.at, "<svg");
    text_free(&t);
    assert_ok(dir_list("seen", &names, &n));
    for (size_t i = 0; i < n; i++) events += !strncmp(names[i], "events.out.tfevents.", 20);
    free(names);
    assert_int_equal(events, 1);
    runs("train --dataset=my --out_dir=unseen " TINY " --max_iters=2 --report=False --tensorboard=False");
    assert_false(path_is_file("unseen/report.html"));
    assert_int_equal(names_in("unseen") + 3, names_in("run"));           /* run has a page and events, and one checkpoint more */
}

/* ---- metrics.jsonl ---- */

static const char *const step_keys[] = { "step", "time", "loss", "lr", "grad_norm", "ms", "tok_s", "mfu", NULL },
                  *const evaluation_keys[] = { "step", "time", "train_loss", "val_loss", "mib", NULL };

/* The object has these keys, each a finite number, and no others. */
static void assert_numbers(const json_t *o, const char *const *keys, const char *line)
{
    size_t n = 0;
    for (; keys[n]; n++) {
        double x;
        if (json_get_real(o, keys[n], &x, line) || !isfinite(x)) fail_msg("%s: %s", keys[n], line);
    }
    assert_int_equal(json_object_size(o), n);
}

static void metrics(void **state)
{
    (void)state;
    struct text all = { 0 };
    int64_t steps = 0, evaluations = 0, events = 0, step;
    char *rest;
    assert_ok(file_read("run/metrics.jsonl", LIMIT, &all));
    assert_int_equal(all.at[all.size - 1], '\n');
    for (char *line = strtok_r(all.at, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *o;
        assert_ok(json_parse(&o, line, strlen(line), line));
        assert_ok(json_get_int(o, "step", 0, 60, &step, line));
        if (json_has(o, "event")) {
            events++;
        } else if (json_has(o, "val_loss")) {
            assert_numbers(o, evaluation_keys, line);
            assert_int_equal(step, 20 * evaluations++);
        } else {
            assert_numbers(o, step_keys, line);
            assert_int_equal(step, steps++);
        }
        json_decref(o);
    }
    assert_int_equal(steps, 60);
    assert_int_equal(evaluations, 4);
    assert_int_equal(events, 5);                             /* started, three times saved, finished */
    text_free(&all);
}

/* ---- nib eval ---- */

static json_t *evaluated(const char *line)
{
    runs("%s --json", line);
    return printed();
}

static void eval(void **state)
{
    (void)state;
    char part[32];
    json_t *val = evaluated("eval run --dataset=my"), *train = evaluated("eval run --dataset=data/my --split=train"),
           *rows = evaluated("eval run --dataset=my --batch_size=3 --threads=2"), *half = evaluated("eval run --dataset=my --block_size=8");
    assert_true(number(val, "loss") > 0.5 && number(val, "loss") < 3.6);         /* it has learned something: ln(37) = 3.6 */
    assert_float_equal(number(val, "perplexity"), exp(number(val, "loss")), 1e-3);
    assert_int_equal((int)number(val, "tokens") % 16, 0);
    assert_true(number(train, "tokens") > 5 * number(val, "tokens"));
    assert_true(number(rows, "loss") == number(val, "loss"));
    assert_true(number(half, "loss") > number(val, "loss"));
    runs("eval run --dataset=my");
    snprintf(part, sizeof part, "loss %.4f", number(val, "loss"));
    assert_has(OUT, part);
    json_decref(val);
    json_decref(train);
    json_decref(rows);
    json_decref(half);
    fails(E_USAGE, "which data", "eval run");
    fails(E_USAGE, "block_size 17 is more than the 16 positions", "eval run --dataset=my --block_size=17");
}

static void floor_of_tales(void **state)
{
    (void)state;
    runs("data tales --count=50 --out T50");
    runs("train --dataset=T50 --out_dir=teller " TINY " --max_iters=2");
    json_t *e = evaluated("eval teller --dataset=T50");
    assert_true(number(e, "floor") > 0 && number(e, "floor") < number(e, "loss"));
    json_decref(e);
    runs("sample teller --num_samples=3 --max_new_tokens=20 --past_end");
    write_text("heard.txt", OUT);
    runs("tales judge heard.txt --stories=10");
    assert_string_equal(OUT, "0 of 3 stories hold together (0%); 0 of these are new (0%)\n");
}

/* ---- nib sample ---- */

static struct text sampled;                                  /* what sample() returned last */

/* The texts that `nib sample run ...` prints; nothing else may come. */
static const char *sample(const char *options)
{
    runs("sample run --threads=1 %s", options);
    assert_string_equal(ERR, "");
    text_clear(&sampled);
    text_add(&sampled, OUT);
    return sampled.at;
}

/* The same, of one sample without its dashes. */
static char *one(const char *options)
{
    char line[WORDS_SIZE];
    snprintf(line, sizeof line, "--num_samples=1 %s", options);
    const char *all = sample(line), *dashes = strstr(all, DASHES);
    assert_non_null(dashes);
    assert_string_equal(dashes, DASHES);
    return strndup(all, (size_t)(dashes - all));
}

static void assert_same_samples(const char *a, const char *b)
{
    char *x = strdup(sample(a));
    if (strcmp(x, sample(b))) fail_msg("%s: %s\n%s: %s", a, x, b, sampled.at);
    free(x);
}

static void assert_other_samples(const char *a, const char *b)
{
    char *x = strdup(sample(a));
    if (!strcmp(x, sample(b))) fail_msg("%s and %s: %s", a, b, x);
    free(x);
}

static void prompts_and_lengths(void **state)
{
    (void)state;
    char *x = one("--max_new_tokens=40");
    assert_int_equal(strlen(x), 41);
    assert_int_equal(x[0], '\n');                            /* nanoGPT's prompt */
    free(x);
    x = one("'--start=ROMEO:' --max_new_tokens=7");
    assert_int_equal(strlen(x), 13);
    assert_memory_equal(x, "ROMEO:", 6);
    free(x);
    write_text("prompt.txt", "JULIET:\nI must wait");
    x = one("--start=FILE:prompt.txt --max_new_tokens=5");   /* longer than the context */
    assert_memory_equal(x, "JULIET:\nI must wait", 19);
    assert_int_equal(strlen(x), 24);
    free(x);
    assert_int_equal(count(sample("--num_samples=40 --max_new_tokens=3 --start=ROMEO"), "ROMEO"), 40);
    assert_int_equal(count(sampled.at, DASHES), 40);
    sample("--num_samples=3 --max_new_tokens=30");
    x = one("--max_new_tokens=30");
    assert_memory_equal(sampled.at, x, strlen(x));           /* the first of three */
    free(x);
    assert_same_samples("--max_new_tokens=9", "--max_new_tokens=9 --stream=false");
    assert_same_samples("--max_new_tokens=9", "--max_new_tokens=9 --out_dir=run --init_from=resume");
    fails(E_DATA, "~", "sample run --start=~");              /* not in its vocabulary */
    fails(E_USAGE, "empty", "sample run --start=");
    fails(E_IO, "absent.txt", "sample run --start=FILE:absent.txt");
}

static void choices(void **state)
{
    (void)state;
    static const char *const greedy[] = { "--temperature=0", "--top_k=1", "--top_p=1e-6", "--min_p=1", "--temperature=1e-3 --top_k=0" };
    char line[128];
    for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
        snprintf(line, sizeof line, "--num_samples=2 --max_new_tokens=30 %s", greedy[i]);
        assert_same_samples("--num_samples=2 --max_new_tokens=30 --greedy", line);
    }
    assert_same_samples("--max_new_tokens=30", "--max_new_tokens=30 --seed=1337");
    assert_other_samples("--max_new_tokens=30", "--max_new_tokens=30 --seed=2");
    assert_other_samples("--max_new_tokens=30 --top_k=2", "--max_new_tokens=30 --top_k=0");
    assert_other_samples("--max_new_tokens=30 --temperature=3", "--max_new_tokens=30 --temperature=0.3");
    assert_same_samples("--max_new_tokens=30 --top_p=1", "--max_new_tokens=30 --top_p=1 --min_p=0 --repetition_penalty=1");
    assert_other_samples("--greedy --num_samples=1 --max_new_tokens=30", "--greedy --num_samples=1 --max_new_tokens=30 --repetition_penalty=5");
    assert_same_samples("--max_new_tokens=30", "--max_new_tokens=30 --threads=2");
    sample("--max_new_tokens=30 --dtype=bfloat16");
}

static void stops(void **state)
{
    (void)state;
    char *x = one("--max_new_tokens=60 --start=R"), *stop = strndup(x + 20, 3), line[128], *y;
    snprintf(line, sizeof line, "--max_new_tokens=60 --start=R '--stop=%s'", stop);
    y = one(line);
    const char *first = strstr(x + 1, stop);
    assert_int_equal(strlen(y), first - x);                  /* up to it, without it */
    assert_memory_equal(x, y, strlen(y));
    free(y);
    y = one("--max_new_tokens=60 --start=R '--stop=[\"~~\", \"e\", \" \"]'");
    assert_int_equal(strcspn(x + 1, "e ") + 1, strlen(y));
    assert_memory_equal(x, y, strlen(y));
    free(y);
    free(x);
    free(stop);
    fails(E_USAGE, "none of them empty", "sample run --stop=");
    fails(E_DATA, "--stop", "sample run --stop=[1");
}

/* Of a text that reaches far beyond the context, each last character follows from the 16 before it. */
static void exact_crop(void **state)
{
    (void)state;
    enum { CONTEXT = 16 };
    char *x = one("--greedy --crop=exact --max_new_tokens=40 --start=I"), *half = one("--greedy --max_new_tokens=40 --start=I");
    assert_int_equal(strlen(x), 41);
    assert_int_equal(strlen(half), 41);
    assert_memory_equal(x, half, CONTEXT + 1);
    for (int i = CONTEXT; i < 41; i += 6) {
        struct text part = { 0 };
        text_bytes(&part, x + i - CONTEXT, CONTEXT);
        write_text("part.txt", part.at);
        char *next = one("--greedy --max_new_tokens=1 --start=FILE:part.txt");
        assert_int_equal(next[CONTEXT], x[i]);
        free(next);
        text_free(&part);
    }
    free(x);
    free(half);
}

/* ---- nib info, nib check, nib tales ---- */

static void info(void **state)
{
    (void)state;
    runs("info run");
    assert_has(OUT, "gpt2: 1 layers, 2 heads, width 16, context 16, vocabulary ");
    assert_has(OUT, " parameters, ");
    runs("info");
    assert_has(OUT, "124,373,760 parameters");               /* nanoGPT's default model */
    write_text("char.conf", "block_size = 256\nbatch_size = 4\nn_layer = 6\nn_head = 6\nn_embd = 384\n");
    runs("info char.conf --vocab_size=65");
    assert_has(OUT, "10,745,088 parameters");
    static const char *const phases[] = { "train", "eval", "infer" };
    for (int i = 0; i < 3; i++) {
        runs("info run --plan --phase=%s --threads=1", phases[i]);
        assert_has(OUT, "h.0.attn.c_attn");
        assert_has(OUT, phases[i]);
    }
    fails(E_IO, "nowhere: no such model", "info nowhere");
}

static json_t *info_json(const char *what)
{
    json_t *root;
    runs("info %s --json", what);
    assert_ok(json_parse(&root, OUT, strlen(OUT), what));
    return root;
}

/* Its tensors, and all of it for programs; token files. */
static void contents(void **state)
{
    size_t i;
    json_t *one;
    int64_t bytes = 0;
    (void)state;
    runs("info run --tensors");
    assert_has(OUT, "run: safetensors\n");
    assert_has(OUT, "transformer.h.0.attn.c_attn.weight  f32   (16, 48)                 3072\n");
    fails(E_USAGE, "nib info MODEL --tensors", "info --tensors");
    json_t *root = info_json("run");
    assert_string_equal(json_string_value(json_object_get(root, "format")), "safetensors");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "config"), "n_embd")), 16);
    assert_true(json_integer_value(json_object_get(json_object_get(root, "tokenizer"), "vocabulary")) > 10);
    json_array_foreach (json_object_get(root, "tensors"), i, one) {
        bytes += json_integer_value(json_object_get(one, "bytes"));
        assert_int_equal(json_array_size(json_object_get(one, "shape")), strstr(json_string_value(json_object_get(one, "name")), "ln_") || strstr(json_string_value(json_object_get(one, "name")), "bias") ? 1 : 2);
    }
    assert_true(bytes >= 4 * json_integer_value(json_object_get(root, "parameters")));       /* biases of 0 are not parameters */
    json_decref(root);
    root = info_json("");
    assert_true(json_is_null(json_object_get(root, "format")));
    assert_int_equal(json_integer_value(json_object_get(root, "parameters")), 124373760);
    json_decref(root);
    root = info_json("data/my/val.bin");
    assert_string_equal(json_string_value(json_object_get(root, "format")), "nanoGPT's token files");
    assert_int_equal(json_integer_value(json_object_get(root, "bits")), 16);
    json_decref(root);
    runs("info data/my");
    assert_has(OUT, "data/my: ");
    assert_has(OUT, " tokens to train on, ");
}

static void check(void **state)
{
    static const char *const files[] = { "model.safetensors", "optimizer.safetensors", "trainer.json", "tokenizer.json", "config.json", "SHA256SUMS" };
    enum { FILES = sizeof files / sizeof *files };
    (void)state;
    char path[PATH_SIZE];
    runs("train --dataset=my --out_dir=sound " TINY " --max_iters=2 --eval_interval=2 --learning_rate=0 --decay_lr=False");
    runs("train --init_from=resume --out_dir=sound --max_iters=4 --learning_rate=1");        /* the worse, so that both steps stay */
    runs("check sound");
    assert_has(OUT, "sound/step-00000004: verified\n");
    for (int i = 0; i < FILES; i++) {
        struct stat st;
        snprintf(path, sizeof path, "sound/step-00000004/%s", files[i]);
        assert_int_equal(stat(path, &st), 0);
        flip(path, (size_t)st.st_size / 2);
        fails(E_DATA, i == FILES - 1 ? "step-00000004" : files[i], "check sound");
        assert_has(OUT, "sound/step-00000002: verified\n");
        assert_has(OUT, "\nsound: verified\n");
        assert_int_equal(count(OUT, ": verified\n"), 2);
        flip(path, (size_t)st.st_size / 2);
        runs("check sound");
    }
    assert_int_equal(unlink(path), 0);
    fails(E_IO, "step-00000004/SHA256SUMS", "check sound");
    fails(E_IO, "data has no checkpoint, no model and no prepared data", "check data");
    fails(E_IO, "nowhere", "check nowhere");
    fails(E_USAGE, "nib check FOLDER", "check");
}

static void tales(void **state)
{
    (void)state;
    char *told;
    runs("tales --count=4 --seed=5");
    told = strdup(OUT);
    assert_int_equal(count(told, "\n\n"), 3);
    runs("tales --count=4 --seed=5");
    assert_string_equal(OUT, told);
    runs("tales --count=4 --seed=6");
    assert_string_not_equal(OUT, told);
    struct text samples = { 0 };
    char *rest;
    for (char *story = strtok_r(told, "\n", &rest); story; story = strtok_r(NULL, "\n", &rest)) text_format(&samples, "%s%s", story, DASHES);
    text_format(&samples, "This is no tale.%s", DASHES);
    write_text("told.txt", samples.at);
    runs("tales judge told.txt --seed=5 --stories=3");
    assert_string_equal(OUT, "4 of 5 stories hold together (80%); 1 of these are new (25%)\n");
    runs_how(HOW(.in = "told.txt"), "tales judge --seed=5 --stories=4");
    assert_has(OUT, "; 0 of these are new");
    text_free(&samples);
    free(told);
}

/* ---- the examples ---- */

static const char *example(const char *name)
{
    static char path[PATH_SIZE];
    const char *where = getenv("EXAMPLES");
    if (!where || path_join(path, where, name) || !path_is_file(path)) {
        print_message("skipped: no examples in $EXAMPLES\n");
        return NULL;
    }
    return path;
}

static void examples(void **state)
{
    (void)state;
    const char *path = example("learn");
    double first = 0, last = 0;
    if (!path) skip();
    runs_how(HOW(.program = path), "my.txt");
    assert_int_equal(sscanf(OUT, "step 0 loss %lf", &first), 1);
    assert_non_null(strstr(OUT, "step 180  loss "));
    sscanf(strstr(OUT, "step 180  loss "), "step 180 loss %lf", &last);
    assert_true(first > 5 && last < 3);
    path = example("write");
    runs_how(HOW(.program = path), "run ROMEO");
    assert_memory_equal(OUT, "ROMEO", 5);
    assert_int_equal(strlen(OUT), 5 + 200 + 1);
    assert_int_equal(run_how(HOW(.program = path), "nowhere"), E_IO);
}

/* ---- a run that stops goes on as if it had not ---- */

static void interrupt(const char *options, const char *straight, const char *out, int signal)
{
    struct program p = { 0 };
    runs("train --dataset=my --out_dir=%s " LEARNS " %s --log_interval=1", straight, options);
    starts(&p, "train --dataset=my --out_dir=%s " LEARNS " %s --log_interval=1", out, options);
    await(&p, "step 12/60");
    kill(p.pid, signal);                                     /* it is still running: nobody has read what it printed since */
    assert_int_equal(end(&p), E_STOPPED);
    assert_has(p.text[1].at, "nib: stopped at iteration ");
    assert_has(p.text[1].at, "; go on with: nib train --init_from=resume --out_dir=");
    assert_int_equal(count(p.text[1].at, "nib: "), 1);
    runs("check %s", out);
    runs("train --init_from=resume --out_dir=%s", out);      /* all else is recorded */
    assert_has(OUT, "resumed at iteration ");
    assert_same_runs(straight, out, 60);
    for (int i = 0; i < 2; i++) text_free(&p.text[i]);
}

/* Ctrl-C ends at once what has nothing to save, and a sample with a whole character; the line that says so is the only one. */
static void interrupts(void **state)
{
    (void)state;
    starts(&nib, "tales --count=1000000");
    await(&nib, "\n\n");
    kill(nib.pid, SIGINT);
    assert_int_equal(end(&nib), -SIGINT);
    assert_string_equal(ERR, "");
    starts(&nib, "sample run --num_samples=1 --max_new_tokens=1000000 --threads=1 '--start=ROMEO:'");
    await(&nib, "ROMEO:");
    kill(nib.pid, SIGINT);
    end(&nib);
    if (!has_failed(E_STOPPED, "interrupted")) fail_msg("%d: %s", nib.status, ERR);
}

static void resume_after_interrupt(void **state) { (void)state; interrupt("", "straight", "stopped", SIGINT); }
static void resume_after_interrupt_bf16(void **state) { (void)state; interrupt("--dtype=bfloat16", "straight16", "stopped16", SIGTERM); }

static void resume_with_other_threads(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=half " LEARNS " --max_iters=30 --threads=2");
    runs("train --init_from=resume --out_dir=half --max_iters=60 --threads=1");
    assert_same_runs("straight", "half", 60);
    runs("train --init_from=resume --out_dir=half");         /* nothing is left to do */
    assert_same_runs("straight", "half", 60);
    fails(E_USAGE, "--n_embd cannot change when a run is resumed (n_embd 16 -> 32)", "train --init_from=resume --out_dir=half --n_embd=32");
    fails(E_USAGE, "--seed cannot change", "train --init_from=resume --out_dir=half --seed=7");
    assert_same_runs("straight", "half", 60);
}

/* Data that say nothing of their tokens: the new model speaks as the one it came from. */
static void finetuning_keeps_the_tokenizer(void **state)
{
    (void)state;
    assert_ok(dir_make("data/bare"));
    copy_into("data/bare", "data/my", "train.bin");
    copy_into("data/bare", "data/my", "val.bin");
    runs("train --init_from=run --dataset=bare --out_dir=tuned " TINY " --max_iters=2");
    assert_same_file("run/tokenizer.json", "tuned/tokenizer.json");
    runs("sample tuned --num_samples=1 --max_new_tokens=5");
}

static void same_bits_with_two_threads(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=one " LEARNS " --n_embd=64 --n_layer=2 --threads=1");
    runs("train --dataset=my --out_dir=two " LEARNS " --n_embd=64 --n_layer=2 --threads=2 --profile=true");
    assert_has(OUT, "where the time of 59 iterations went");         /* looking changes nothing */
    assert_has(OUT, "\nlinear' ");
    assert_has(OUT, " h.1.mlp.c_proj.weight\n");
    assert_same_runs("one", "two", 60);
    runs("train --dataset=my --out_dir=one16 " LEARNS " --dtype=bfloat16 --n_embd=64 --threads=1");
    runs("train --dataset=my --out_dir=two16 " LEARNS " --dtype=bfloat16 --n_embd=64 --threads=2");
    assert_same_runs("one16", "two16", 60);
}

/* A run from scratch moves an older one aside; nothing of it is lost. */
static void another_run_in_the_folder(void **state)
{
    (void)state;
    char before[65], after[65];
    runs("train --dataset=my --out_dir=used " TINY " --max_iters=2");
    hash_of("used/model.safetensors", before);
    runs("train --dataset=my --out_dir=used " TINY " --max_iters=3");
    assert_has(ERR, "note: used held a run, which is now in used.1 ");
    hash_of("used.1/model.safetensors", after);
    assert_string_equal(before, after);
    runs("check used.1");
    runs("check used");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_words),
        cmocka_unit_test(help_of_verbs),
        cmocka_unit_test(unknown_words),
        cmocka_unit_test(train_a_text),
        cmocka_unit_test(data_of_all_kinds),
        cmocka_unit_test(quiet_or_not),
        cmocka_unit_test(seen_at_a_glance),
        cmocka_unit_test(metrics),
        cmocka_unit_test(eval),
        cmocka_unit_test(floor_of_tales),
        cmocka_unit_test(prompts_and_lengths),
        cmocka_unit_test(choices),
        cmocka_unit_test(stops),
        cmocka_unit_test(exact_crop),
        cmocka_unit_test(info), cmocka_unit_test(contents),
        cmocka_unit_test(check),
        cmocka_unit_test(tales),
        cmocka_unit_test(examples),
        cmocka_unit_test(interrupts),
        cmocka_unit_test(resume_after_interrupt),
        cmocka_unit_test(resume_after_interrupt_bf16),
        cmocka_unit_test(resume_with_other_threads),
        cmocka_unit_test(finetuning_keeps_the_tokenizer),
        cmocka_unit_test(same_bits_with_two_threads),
        cmocka_unit_test(another_run_in_the_folder),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
