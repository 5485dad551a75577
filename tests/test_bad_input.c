/* test_bad_input.c -- what is wrong in the world: files, folders, sizes, disks, rights.  Each time nib ends with the right code
 * and one line that names what and where, and a run that was there before is there after. */
#include "program.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <zlib.h>

enum { NOBODY = 65534 };
static char good[65];                                        /* hash of the model of the run in good/ */

/* my.txt; its tokens in data/my; a run in good/ with two checkpoints, the best and the newest: a rate of 0 leaves the weights as
 * they are, and one of 1 ruins them. */
static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 30);
    if (run("data my.txt")) return print_error("%s", ERR), -1;
    if (run("train --dataset=my --out_dir=good " TINY " --max_iters=2 --eval_interval=2 --learning_rate=0 --decay_lr=False")
        || run("train --init_from=resume --out_dir=good --max_iters=4 --learning_rate=1")) return print_error("%s", ERR), -1;
    return file_sha256("good/model.safetensors", good);
}

static void assert_good(const char *run_)                    /* the run is what it was, where it was */
{
    char now[65], path[PATH_SIZE];
    assert_ok(path_join(path, run_, "model.safetensors"));
    hash_of(path, now);
    assert_string_equal(now, good);
    runs("check %s", run_);
}

/* ---- damaged folders ---- */

enum harm { ABSENT, CUT, TEXT, SWAP, ADD };

/* What is done to a file of a copy, called bad/, and what nib then says. */
struct damage {
    const char *file;
    enum harm harm;
    long n;                              /* CUT: bytes kept; negative: taken away */
    const char *text, *other;            /* TEXT: all of it; ADD: behind it; SWAP: the first becomes the other */
    int code;
    const char *part;
    const char *lines;                   /* which of the lines below; NULL: all that are given */
};

static void harm(const struct damage *d)
{
    char path[PATH_SIZE];
    struct text t = { 0 }, changed = { 0 };
    assert_ok(path_join(path, "bad", d->file));
    if (d->harm == ABSENT) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    assert_ok(file_read(path, LIMIT, &t));
    size_t kept = d->harm == TEXT ? 0 : d->harm != CUT ? t.size : d->n < 0 ? t.size - (size_t)-d->n : (size_t)d->n;
    assert_true(kept <= t.size);
    if (d->harm == SWAP) {
        char *at_ = memmem(t.at, t.size, d->text, strlen(d->text));
        if (!at_) fail_msg("%s has no %s", path, d->text);
        text_bytes(&changed, t.at, (size_t)(at_ - t.at));
        text_add(&changed, d->other);
        text_bytes(&changed, at_ + strlen(d->text), (size_t)(t.at + t.size - at_) - strlen(d->text));
    } else {
        text_bytes(&changed, t.at, kept);
        if (d->text) text_add(&changed, d->text);
    }
    assert_ok(file_write(path, changed.size ? changed.at : "", changed.size));
    text_free(&t);
    text_free(&changed);
}

struct line { char name; const char *line; };

static void try_all(const char *of, const struct damage *d, int n, const struct line *lines, int n_lines)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n_lines; k++) {
            if (d[i].lines && !strchr(d[i].lines, lines[k].name)) continue;
            assert_ok(dir_remove("bad"));
            copy_folder(of, "bad");
            harm(&d[i]);
            run("%s", lines[k].line);
            if (!has_failed(d[i].code, d[i].part))
                fail_msg("%s, harm %d: nib %s ended with %d, not %d for \"%s\":\n%s", d[i].file, d[i].harm, lines[k].line, nib.status, d[i].code, d[i].part, ERR);
            assert_good("good");
        }
}
#define TRY_ALL(of, damages, lines) try_all(of, damages, sizeof damages / sizeof *damages, lines, sizeof lines / sizeof *lines)

static void token_folders(void **state)
{
    static const struct line lines[] = {
        { 't', "train --dataset=bad --out_dir=good " TINY " --max_iters=2" }, { 'e', "eval good --dataset=bad --threads=1" },
    };
    static const struct damage damages[] = {
        { "train.bin", ABSENT, .code = E_IO, .part = "bad/train.bin: no such file; prepare data with: nib data" },
        { "val.bin", ABSENT, .code = E_IO, .part = "bad/val.bin: no such file" },
        { "train.bin", CUT, 0, .code = E_DATA, .part = "bad/train.bin: 0 bytes, but " },
        { "val.bin", CUT, 0, .code = E_DATA, .part = "bad/val.bin: 0 bytes, but " },
        { "train.bin", CUT, -1, .code = E_DATA, .part = " ids of 2 bytes belong into it; is the file cut off?" },
        { "val.bin", ADD, .text = "x", .code = E_DATA, .part = "bad/val.bin: " },
        { "val.bin", CUT, 2, .code = E_DATA, .part = "bad/val.bin: 2 bytes, but " },
        { "dataset.json", CUT, 0, .code = E_DATA, .part = "bad/dataset.json" },
        { "dataset.json", CUT, -3, .code = E_DATA, .part = "bad/dataset.json" },
        { "dataset.json", SWAP, .text = "16", .other = "17", .code = E_DATA, .part = "bits is 17; ids have 16 or 32" },
        { "dataset.json", SWAP, .text = "16", .other = "\"16\"", .code = E_DATA, .part = "bad/dataset.json: \"bits\"" },
        { "dataset.json", SWAP, .text = "16", .other = "32", .code = E_DATA, .part = "bad/train.bin: " },
        { "dataset.json", SWAP, .text = "\"vocab\"", .other = "\"vocabulary\"", .code = E_DATA, .part = "\"vocab\"" },
        { "tokenizer.json", CUT, 0, .code = E_DATA, .part = "bad/tokenizer.json", .lines = "t" },
        { "tokenizer.json", CUT, -9, .code = E_DATA, .part = "bad/tokenizer.json", .lines = "t" },
        { "tokenizer.json", TEXT, .text = "{\"model\": 3}", .code = E_DATA, .part = "bad/tokenizer.json", .lines = "t" },
    };
    (void)state;
    TRY_ALL("data/my", damages, lines);
}

/* What nanoGPT's own folders may suffer. */
static void nanogpt_folders(void **state)
{
    static const struct line lines[] = { { 't', "train --dataset=bad --out_dir=good " TINY " --max_iters=2" } };
    static const struct damage damages[] = {
        { "meta.pkl", CUT, 0, .code = E_DATA, .part = "bad/meta.pkl" },
        { "meta.pkl", CUT, -4, .code = E_DATA, .part = "bad/meta.pkl" },
        { "meta.pkl", TEXT, .text = "cos\nsystem\n(S'true'\ntR.", .code = E_DATA, .part = "bad/meta.pkl" },
        { "meta.pkl", SWAP, .text = "vocab_size", .other = "vocab_sizf", .code = E_DATA, .part = "bad/meta.pkl: no vocab_size" },
        { "train.bin", CUT, -1, .code = E_DATA, .part = "no whole number of 2-byte ids" },
        { "val.bin", CUT, 0, .code = E_DATA, .part = "bad/val.bin is empty" },
        { "train.bin", ADD, .text = "xy", .code = E_DATA, .part = "bad/train.bin: id 31096 at position " },
        { "val.bin", ADD, .text = "xy", .code = E_DATA, .part = "is outside of the vocabulary of " },
        { "train.bin", CUT, 32, .code = E_DATA, .part = "bad: train has 16 tokens; a block_size of 16 needs one more than that: choose" },
        { "val.bin", CUT, 2, .code = E_DATA, .part = "bad: val has 1 tokens" },
    };
    (void)state;
    copy_folder("data/my", "nano");
    assert_int_equal(unlink("nano/dataset.json") | unlink("nano/tokenizer.json"), 0);
    TRY_ALL("nano", damages, lines);
}

static void model_folders(void **state)
{
    static const struct line lines[] = {
        { 's', "sample bad --num_samples=1 --threads=1" }, { 'e', "eval bad --dataset=my --threads=1" }, { 'i', "info bad --threads=1" },
        { 't', "train --init_from=bad --dataset=my --out_dir=good " TINY " --max_iters=2" },
    };
    static const struct damage damages[] = {
        { "config.json", ABSENT, .code = E_IO, .part = "bad/config.json: No such file" },
        { "config.json", CUT, 0, .code = E_DATA, .part = "bad/config.json" },
        { "config.json", CUT, -5, .code = E_DATA, .part = "bad/config.json" },
        { "config.json", TEXT, .text = "[]", .code = E_DATA, .part = "bad/config.json" },
        { "config.json", SWAP, .text = "\"n_layer\": 1", .other = "\"n_layer\": \"1\"", .code = E_DATA, .part = "bad/config.json: n_layer should be an integer" },
        { "config.json", SWAP, .text = "\"n_layer\"", .other = "\"n_lager\"", .code = E_DATA, .part = "bad/config.json: n_layer is missing" },
        { "config.json", SWAP, .text = "\"gpt2\"", .other = "\"gpt9\"", .code = E_MODEL, .part = "bad/config.json: model_type \"gpt9\" is not one of nib's" },
        { "config.json", SWAP, .text = "\"n_head\": 2", .other = "\"n_head\": 3", .code = E_MODEL, .part = "bad/config.json: width 16 does not divide by 3 heads" },
        { "config.json", SWAP, .text = "\"n_head\": 2", .other = "\"n_head\": 0", .code = E_MODEL, .part = "heads of 1 to 16777216, not 0" },
        { "config.json", SWAP, .text = "\"n_layer\": 1", .other = "\"n_layer\": 99999999999999", .code = E_DATA, .part = "n_layer is 99999999999999" },
        { "config.json", SWAP, .text = "\"n_layer\": 1", .other = "\"n_layer\": 16777216", .code = E_MODEL, .part = "16777216 layers" },
        { "config.json", SWAP, .text = "\"n_layer\": 1", .other = "\"n_layer\": 2", .code = E_DATA, .part = "h.1.ln_1.weight is missing", .lines = "set" },
        { "config.json", SWAP, .text = "\"n_embd\": 16", .other = "\"n_embd\": 18", .code = E_DATA, .part = "the model needs (", .lines = "set" },
        { "config.json", SWAP, .text = "\"n_embd\": 16", .other = "\"n_embd\": 4194304", .code = E_DATA, .part = "wte.weight is (", .lines = "se" },
        { "config.json", TEXT, .text = "{\"model_type\": \"gpt2\", \"vocab_size\": 40, \"n_positions\": 16, \"n_embd\": 4194304, \"n_head\": 2, \"n_layer\": 4096}",
          .code = E_MODEL, .part = "parameters, more than any machine holds" },
        { "model.safetensors", ABSENT, .code = E_IO, .part = "bad holds no model: a config.json with model.safetensors", .lines = "set" },
        { "model.safetensors", CUT, 0, .code = E_DATA, .part = "bad/model.safetensors", .lines = "set" },
        { "model.safetensors", CUT, 7, .code = E_DATA, .part = "bad/model.safetensors", .lines = "set" },
        { "model.safetensors", CUT, 100, .code = E_DATA, .part = "bad/model.safetensors: a header of ", .lines = "set" },
        { "model.safetensors", CUT, -1, .code = E_DATA, .part = "the file is cut off", .lines = "set" },
        { "model.safetensors", ADD, .text = "xyz", .code = E_DATA, .part = "bytes of data belong to no tensor", .lines = "set" },
        { "model.safetensors", TEXT, .text = "not a safetensors file at all", .code = E_DATA, .part = "not a safetensors file", .lines = "set" },
        { "model.safetensors", SWAP, .text = "ln_f.weight", .other = "ln_g.weight", .code = E_DATA, .part = "ln_f.weight is missing", .lines = "set" },
        { "tokenizer.json", CUT, 0, .code = E_DATA, .part = "bad/tokenizer.json", .lines = "s" },
        { "tokenizer.json", CUT, -9, .code = E_DATA, .part = "bad/tokenizer.json", .lines = "s" },
        { "tokenizer.json", TEXT, .text = "{}", .code = E_DATA, .part = "bad/tokenizer.json", .lines = "s" },
    };
    (void)state;
    TRY_ALL("good", damages, lines);
    copy_folder("good", "mute");                             /* of its tokenizer nothing is left */
    assert_int_equal(unlink("mute/tokenizer.json") | unlink("mute/meta.pkl"), 0);
    fails(E_DATA, "mute has no tokenizer; give one with --tokenizer", "sample mute");
}

/* A damaged checkpoint is named and an older one taken; where there is none, that is said. */
static void runs_to_resume(void **state)
{
    static const struct line lines[] = { { 'r', "train --init_from=resume --out_dir=bad" } };
    static const struct damage damages[] = {
        { "run.conf", ABSENT, .code = E_IO, .part = "bad has no run to resume (no run.conf)" },
        { "run.conf", ADD, .text = "colour = blue\n", .code = E_USAGE, .part = "unknown option colour" },
        { "run.conf", SWAP, .text = "n_layer = 1", .other = "n_layer = one", .code = E_USAGE, .part = "n_layer = one: an integer is expected" },
    };
    static const struct damage steps[] = {
        { "step-00000004/config.json", CUT, .n = 10 }, { "step-00000004/tokenizer.json", ADD, .text = " " },
        { "step-00000004/model.safetensors", CUT, .n = -1 }, { "step-00000004/optimizer.safetensors", CUT, .n = 0 },
        { "step-00000004/trainer.json", ADD, .text = " " }, { "step-00000004/trainer.json", ABSENT, .n = 0 },
        { "step-00000004/SHA256SUMS", CUT, .n = 20 }, { "step-00000004/SHA256SUMS", ABSENT, .n = 0 },
        { "step-00000004/SHA256SUMS", TEXT, .text = "{}" },
    };
    (void)state;
    TRY_ALL("good", damages, lines);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_ok(dir_remove("bad"));
        copy_folder("good", "bad");
        harm(&steps[i]);
        runs("train --init_from=resume --out_dir=bad");
        assert_has(ERR, "note: checkpoint rejected: ");
        assert_has(ERR, "bad/step-00000004");
        assert_has(OUT, "resumed at iteration 2\n");
        assert_good("bad");
    }
    assert_ok(dir_remove("bad/step-00000002"));
    assert_int_equal(unlink("bad/step-00000004/trainer.json"), 0);
    fails(E_IO, "bad has no checkpoint that can be resumed", "train --init_from=resume --out_dir=bad");
    assert_has(ERR, "note: checkpoint rejected: ");
    fails(E_IO, "nowhere has no run to resume", "train --init_from=resume --out_dir=nowhere");
    assert_false(path_is_dir("nowhere"));
}

/* ---- texts ---- */

static void write_gz(const char *path, const char *text, int kept)
{
    struct text t = { 0 };
    gzFile z = gzopen(path, "wb");
    assert_int_equal(gzputs(z, text), (int)strlen(text));
    gzclose(z);
    assert_ok(file_read(path, LIMIT, &t));
    assert_ok(file_write(path, t.at, (size_t)kept < t.size ? (size_t)kept : t.size));
    text_free(&t);
}

static void texts(void **state)
{
    static const struct { const char *line; int code; const char *part; } cases[] = {
        { "data absent.txt", E_IO, "absent.txt: No such file" },
        { "train absent.txt", E_IO, "no prepared data in absent.txt, nor in data/absent.txt; prepare a text with: nib data" },
        { "data empty.txt", E_DATA, "empty.txt is empty" },
        { "train empty.txt", E_DATA, "empty.txt is empty" },
        { "data a.txt", E_DATA, "a.txt: too short to be cut" },
        { "data latin.txt", E_DATA, "latin.txt: byte 3 (0xe9) is not UTF-8; convert the text, or choose" },
        { "train latin.txt", E_DATA, "latin.txt: byte 3 (0xe9) is not UTF-8" },
        { "data cut.gz --tokenizer=char", E_DATA, "cut.gz: its gzip is cut off" },
        { "train cut.gz", E_DATA, "cut.gz: its gzip is cut off" },
        { "data broken.jsonl --tokenizer=char", E_DATA, "broken.jsonl: line 2 is not JSON" },
        { "data other.jsonl --tokenizer=char", E_DATA, "other.jsonl: line 1: there is no field \"text\"; name one with --field" },
        { "data nothing", E_DATA, "nothing: the folder is empty" },
        { "data my.txt --val=2", E_USAGE, "it must be a share between 0 and 1, or a file" },
        { "data my.txt --val=absent", E_IO, "absent" },
        { "data my.txt --out my.txt", E_IO, "cannot make the folder my.txt" },
        { "data my.txt --tokenizer=absent.json", E_IO, "absent.json" },
        { "data my.txt --tokenizer=my.txt", E_DATA, "my.txt" },
        { "data my.txt --tokenizer=gpt2", E_IO, "by hand" },
        { "data shakespeare", E_IO, "; " },
        { "data", E_USAGE, "which text?" },
        { "tales judge empty.txt --stories=5", E_DATA, "empty.txt: no samples" },
        { "tales judge absent.txt --stories=5", E_IO, "absent.txt" },
        { "tales tell", E_USAGE, "only judge is known" },
    };
    (void)state;
    write_text("empty.txt", "");
    write_text("a.txt", "a");
    write_text("latin.txt", "caf\xe9 ol\xe9 caf\xe9 ol\xe9");
    write_gz("cut.gz", "some text that is compressed, and some more of it", 30);
    write_text("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"\n");
    write_text("other.jsonl", "{\"story\": \"a\"}\n");
    assert_ok(dir_make("nothing"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fails(cases[i].code, cases[i].part, "%s", cases[i].line);
        assert_false(path_is_file("data/absent/train.bin") || path_is_file("data/empty/train.bin") || path_is_file("data/latin/train.bin"));
    }
    assert_good("good");
}

/* ---- options and sizes ---- */

static void configurations(void **state)
{
    static const struct { const char *conf; const char *part; } cases[] = {
        { "n_layer = many\n", "line 1: n_layer = many: an integer is expected" },
        { "\n\nbias = 3\n", "line 3: bias = 3: true or false is expected" },
        { "dropout = 1.5\n", "line 1: dropout = 1.5: a number from 0 to 0.99 is expected" },
        { "n_head = 0\n", "line 1: n_head = 0: an integer from 1 to 4096 is expected" },
        { "colour = blue\n", "line 1: unknown option colour" },
        { "learning_rat = 1\n", "line 1: unknown option learning_rat; did you mean learning_rate?" },
        { "gelu = relu\n", "line 1: gelu = relu: one of erf|tanh is expected" },
        { "n_layer 3\n", "line 1: 'n_layer 3' is not of the form key = value" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("bad.conf", cases[i].conf);
        fails(E_USAGE, cases[i].part, "train bad.conf --dataset=my --out_dir=good");
        assert_has(ERR, "bad.conf");
    }
    fails(E_IO, "absent.conf", "train absent.conf --out_dir=good");
    assert_ok(file_write("nul.conf", "n_layer\0 = 3", 12));
    fails(E_USAGE, "nul.conf is not a text", "train nul.conf --out_dir=good");
    assert_good("good");
}

#define TRAIN "train --dataset=my --out_dir=good " TINY " --max_iters=2 "

static void sizes(void **state)
{
    static const struct { const char *options; int code; const char *part; } cases[] = {
        { "--n_head=3", E_MODEL, "width 16 does not divide by 3 heads: choose n_embd as a multiple of n_head" },
        { "--n_head=32", E_MODEL, "32 heads" },
        { "--vocab_size=5", E_DATA, "data/my has ids up to " },
        { "--block_size=100000", E_DATA, "tokens; a block_size of 100000 needs one more than that: choose a smaller block_size or more text" },
        { "--batch_size=65536 --gradient_accumulation_steps=65536 --n_embd=8192", E_MEMORY, " are free; try " },
        { "--n_embd=131072 --n_layer=8", E_MEMORY, "MiB are free; try " },
        { "--n_embd=131072 --n_layer=64 --batch_size=65536 --block_size=128", E_MEMORY, "; try " },
        { "--vocab_size=16777216 --n_embd=131072", E_MEMORY, "MiB are free; try " },
        { "--n_layer=999999", E_USAGE, "an integer from 1 to 4096 is expected" },
        { "--max_iters=99999999999999999999", E_USAGE, "--max_iters=99999999999999999999: an integer" },
        { "--learning_rate=nan", E_USAGE, "--learning_rate=nan: a number" },
        { "--batch_size=0", E_USAGE, "--batch_size=0" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fails(cases[i].code, cases[i].part, TRAIN "%s", cases[i].options);
        assert_good("good");
    }
    /* So large that what counts bytes would overflow. */
    fails(E_MEMORY, "choose a smaller --batch_size or --block_size", TRAIN "--n_layer=4096 --n_embd=131072 --block_size=100 --batch_size=65536");
    fails(E_MEMORY, "choose a smaller --batch_size or --block_size", "info --n_layer=4096 --n_head=1 --n_embd=131072 --block_size=1048576 --batch_size=65536");
    fails(E_MEMORY, "choose a smaller --batch_size or --block_size", "info --n_layer=256 --n_embd=98304 --block_size=1048576 --batch_size=65536 --phase=infer");
    fails(E_USAGE, "block_size 17 is more than the 16 positions of good", "train --init_from=good --out_dir=other --dataset=my --block_size=17");
    fails(E_USAGE, "init_from and out_dir are both good", "train --init_from=good --out_dir=good --dataset=my --block_size=16");
    assert_good("good");
}

/* Not so with a sanitizer, which takes terabytes of addresses for itself. */
static int runs_in_little_memory(void)
{
    int can = run_how(HOW(.memory_limit = 200 << 20), "--version") == 0;
    if (!can) print_message("skipped: %s does not run in 200 MiB\n", nib_path);
    return can;
}

/* A refused resumption leaves the record as it was: the next one goes on. */
static void refused_resumption(void **state)
{
    (void)state;
    char before[65], after[65];
    copy_folder("good", "goes_on");
    hash_of("goes_on/run.conf", before);
    fails(E_USAGE, "block_size 17 is more than the 16 positions of goes_on", "train --init_from=resume --out_dir=goes_on --block_size=17 --learning_rate=3");
    fails(E_USAGE, "--seed cannot change", "train --init_from=resume --out_dir=goes_on --seed=3");
    if (runs_in_little_memory()) {
        fails_how(HOW(.memory_limit = 200 << 20), E_MEMORY, "no memory for ", TRAIN "--n_embd=1024 --n_layer=4");
        fails_how(HOW(.memory_limit = 300 << 20), E_MEMORY, "no memory for ", "train --init_from=resume --out_dir=goes_on --batch_size=65536");
    }
    hash_of("goes_on/run.conf", after);
    assert_string_equal(before, after);
    runs("train --init_from=resume --out_dir=goes_on --max_iters=5");
    runs("check goes_on");
}

/* ---- full disks, missing rights, company ---- */

static void full_disk(void **state)
{
    (void)state;
    needs_files_of(1);
    static const int limits[] = { 1, 500, 3000, 20000 };     /* in config.json, run.conf, the weights, the moments */
    for (int i = 0; i < 4; i++) {
        char out[32];
        snprintf(out, sizeof out, "full%d", i);
        run_how(HOW(.file_limit = (size_t)limits[i]), "train --dataset=my --out_dir=%s " TINY " --max_iters=2", out);
        if (!has_failed(E_IO, "File too large")) fail_msg("%d bytes: %d\n%s", limits[i], nib.status, ERR);
        run_how(HOW(.file_limit = (size_t)limits[i]), "train --init_from=resume --out_dir=good --max_iters=6");
        if (!has_failed(E_IO, "")) fail_msg("%d bytes: %d\n%s", limits[i], nib.status, ERR);
        assert_good("good");
    }
    fails_how(HOW(.file_limit = 100), E_IO, "what was there before is untouched", "data my.txt --out data/my");
    runs("eval good --dataset=my");
}

static void full_output(void **state)
{
    static const char *const lines[] = {
        "--help", "sample good --num_samples=2", "eval good --dataset=my", "eval good --dataset=my --json", "info good --plan", "check good", "tales --count=2",
        "train --help", "data my.txt --out again", "train --dataset=my --out_dir=deaf " TINY " --max_iters=2",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) fails_how(HOW(.out = "/dev/full"), E_IO, "standard output", "%s", lines[i]);
    runs("check deaf");                                      /* the run was worth saving all the same */
    assert_same_file("again/train.bin", "data/my/train.bin");
}

/* What is opened first would be descriptor 0 or 1, and what is printed would go there. */
static void closed_output(void **state)
{
    (void)state;
    runs_how(HOW(.closed = 1), "data my.txt --out unheard");
    assert_same_file("unheard/train.bin", "data/my/train.bin");
    assert_same_file("unheard/tokenizer.json", "data/my/tokenizer.json");
    runs_how(HOW(.closed = 1), "train --dataset=my --out_dir=mute_run " TINY " --max_iters=4 --eval_interval=2 --learning_rate=0");
    assert_good("mute_run");
    assert_same_file("mute_run/config.json", "good/config.json");
}

/* ---- a disk that fills up: a file system of our own, in a name space of our own ---- */

/* In a child, so that the name space ends with it.  Its status: 0; 77, nothing can be mounted here; else it has said what went wrong. */
static void on_a_small_disk(const char *size, int (*test)(void))
{
    int status;
    assert_ok(dir_make("small"));
    pid_t child = fork();
    if (!child) {
        if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "small", "tmpfs", 0, size)) _exit(77);
        int well = test();
        if (!well) print_error("%s%s", OUT, ERR);
        _exit(!well);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no tmpfs can be mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* It is known before the first step that two checkpoints have room and four do not. */
static int foretold(void)
{
    run("train --dataset=my --out_dir=small/run " TINY " --max_iters=40 --eval_interval=1");
    if (!has_failed(E_IO, " more: 4 of 0.1 MiB each, the one being written included, of which 0 are there; make room, or keep fewer") || path_is_file("small/run/metrics.jsonl")) return 0;
    return !run("train --dataset=my --out_dir=small/run " TINY " --max_iters=40 --eval_interval=1 --keep=last") && !run("check small/run");
}

static int no_drafts(const char *out)
{
    char **names;
    size_t n;
    int none = 1;
    if (dir_list(out, &names, &n)) return 0;
    for (size_t i = 0; i < n; i++) none = none && !strstr(names[i], ".tmp");
    free(names);
    return none;
}

static void fill_up(void)
{
    static const char zeros[4096];
    int fd = open("small/others", O_WRONLY | O_CREAT, 0644);
    for (size_t n = sizeof zeros; n; n /= 2)
        while (write(fd, zeros, n) > 0) continue;
    close(fd);
}

/* Somebody else fills it while the run goes on, and makes room again, or does not. */
static int filled(int makes_room)
{
    struct program p = { 0 };
    const char *noted = "note: checkpoint step-";
    starts(&p, "train --dataset=my --out_dir=small/run " TINY " --max_iters=3000 --eval_interval=50 --learning_rate=0 --log_interval=1");
    await(&p, "saved small/run/step-00000050");
    fill_up();
    while (!strstr(p.text[1].at, noted) && read_more(&p)) continue;
    if (makes_room) unlink("small/others");
    int status = end(&p), well = strstr(p.text[1].at, "No space left on device") && strstr(p.text[1].at, "; training goes on, and it is tried again at the next evaluation, or in 10 s");
    for (int i = 0; i < 2; i++) {
        text_clear(&nib.text[i]);
        text_add(&nib.text[i], p.text[i].at);
        text_free(&p.text[i]);
    }
    nib.status = status;
    well = well && (makes_room ? !status && strstr(OUT, "saved small/run/step-00003000") && strstr(ERR, "note: metrics.jsonl is written again; 0 lines were lost")
                               : has_failed(E_IO, "checkpoint step-00003000 was not written"));
    return well && !run("check small/run") && no_drafts("small/run");
}

static int filled_and_cleared(void) { return filled(1); }
static int filled_for_good(void) { return filled(0); }

static void full_disk_foretold(void **state) { (void)state; on_a_small_disk("size=400k", foretold); }
static void full_disk_survived(void **state) { (void)state; on_a_small_disk("size=3m", filled_and_cleared); }
static void full_disk_to_the_end(void **state) { (void)state; on_a_small_disk("size=3m", filled_for_good); }

static void no_rights(void **state)
{
    (void)state;
    struct how nobody = { .user = getuid() ? 0 : NOBODY };   /* root may do everything: somebody else then */
    assert_int_equal(chmod(folder, 0755), 0);
    if (run_how(&nobody, "--version")) {
        print_message("skipped: user %d cannot run %s\n", NOBODY, nib_path);
        skip();
    }
    assert_int_equal(chmod("good", 0555) | chmod("data/my", 0555), 0);
    fails_how(&nobody, E_IO, "good", "train --init_from=resume --out_dir=good --max_iters=6");
    fails_how(&nobody, E_IO, "good", TRAIN);
    fails_how(&nobody, E_IO, "good/new", "train --dataset=my --out_dir=good/new " TINY " --max_iters=2");
    fails_how(&nobody, E_IO, "data/my", "data my.txt --out data/my");
    runs_how(&nobody, "sample good --num_samples=1 --max_new_tokens=5");         /* reading needs no more */
    runs_how(&nobody, "eval good --dataset=my --threads=1");
    runs_how(&nobody, "check good");
    assert_int_equal(chmod("my.txt", 0) | chmod("good", 0755) | chmod("data/my", 0755), 0);
    fails_how(&nobody, E_IO, "my.txt: Permission denied", "data my.txt --out else");
    assert_int_equal(chmod("my.txt", 0644), 0);
    assert_good("good");
}

static void two_runs_in_one_folder(void **state)
{
    (void)state;
    struct program first = { 0 };
    starts(&first, "train --dataset=my --out_dir=shared " TINY " --max_iters=1000 --eval_interval=500 --learning_rate=0 --log_interval=1");
    await(&first, "step 3/1000");
    fails(E_BUSY, "another run is writing to shared; choose another --out_dir", "train --dataset=my --out_dir=shared " TINY " --max_iters=2");
    fails(E_BUSY, "another run is writing to shared", "train --init_from=resume --out_dir=shared");
    runs("train --dataset=my --out_dir=shared " TINY " --eval_only");            /* writes nothing */
    assert_false(path_is_dir("shared.1"));
    assert_int_equal(end(&first), 0);
    runs("check shared");
    for (int i = 0; i < 2; i++) text_free(&first.text[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_folders),
        cmocka_unit_test(nanogpt_folders),
        cmocka_unit_test(model_folders),
        cmocka_unit_test(runs_to_resume),
        cmocka_unit_test(texts),
        cmocka_unit_test(configurations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(refused_resumption),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(full_output),
        cmocka_unit_test(closed_output),
        cmocka_unit_test(full_disk_foretold),
        cmocka_unit_test(full_disk_survived),
        cmocka_unit_test(full_disk_to_the_end),
        cmocka_unit_test(no_rights),
        cmocka_unit_test(two_runs_in_one_folder),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
