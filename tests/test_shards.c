/* test_shards.c -- large sets: cut into shards, read as one, trained in turn, and prepared although somebody kills nib meanwhile.
 * SEED and COUNT (kills) may be given in the environment. */
#include "program.h"

#include <zlib.h>

#include "base/rng.h"
#include "text/dataset.h"

/* ---- texts, and what becomes of them ---- */

static const char *const texts[] = { "play.txt", "play.jsonl", "play.txt.gz", "folder", "play.jsonl --val=other.txt" };
enum { TEXTS = sizeof texts / sizeof *texts, SHARD = 3000 };

static char tokenizer[PATH_SIZE];                            /* a BPE, by its whole path */

static void write_gz(const char *to, const char *from)
{
    struct text t = { 0 };
    gzFile gz = gzopen(to, "wb");
    assert_ok(file_read(from, LIMIT, &t));
    assert_int_equal(gzwrite(gz, t.at, (unsigned)t.size), t.size);
    gzclose(gz);
    text_free(&t);
}

static void write_lines_of(const char *to, const char *from)
{
    struct text t = { 0 }, lines = { 0 };
    assert_ok(file_read(from, LIMIT, &t));
    for (size_t at = 0, n; at < t.size; at += n) {
        n = at % 11 ? 300 : 40000;                           /* some of more than one part */
        if (n > t.size - at) n = t.size - at;
        json_t *o = json_pack("{s:s%}", "text", t.at + at, n);
        char *line = json_dumps(o, JSON_COMPACT);
        text_format(&lines, "%s\n", line);
        free(line);
        json_decref(o);
    }
    assert_ok(file_write(to, lines.at, lines.size));
    text_free(&t);
    text_free(&lines);
}

static int enter(void **state)
{
    char here[PATH_SIZE];
    if (!getcwd(here, sizeof here) || snprintf(tokenizer, sizeof tokenizer, "%s/tests/golden/bpe300", here) >= (int)sizeof tokenizer) return -1;
    if (enter_program(state)) return -1;
    write_play("play.txt", 4000);
    write_play("other.txt", 300);
    write_lines_of("play.jsonl", "play.txt");
    write_gz("play.txt.gz", "play.txt");
    assert_ok(dir_make("folder/more"));
    write_play("folder/a.txt", 1000);
    write_gz("folder/more/c.gz", "other.txt");
    write_lines_of("folder/b.jsonl", "other.txt");
    return 0;
}

/* The bytes of all files of a split, one after the other. */
static void joined(const char *folder_, const char *split, size_t shards, struct text *all)
{
    char path[PATH_SIZE];
    text_clear(all);
    for (size_t i = 0; i < shards; i++) {
        snprintf(path, sizeof path, shards > 1 ? "%s/%s_%06zu.bin" : "%s/%s.bin", folder_, split, i);
        assert_ok(file_read(path, LIMIT, all));
        if (i + 1 < shards) assert_int_equal(all->size, (i + 1) * SHARD * 2);
    }
}

static void same_data(const char *whole, const char *sharded)
{
    static const char *const names[] = { "train", "val" };
    struct text a = { 0 }, b = { 0 };
    struct dataset d;
    assert_ok(dataset_open(&d, sharded));
    for (int s = 0; s < 2; s++) {
        joined(whole, names[s], 1, &a);
        joined(sharded, names[s], d.split[s].shards, &b);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.at, b.at, a.size);
        assert_int_equal(d.split[s].shards, (d.split[s].n + SHARD - 1) / SHARD);
        for (size_t i = 0; i < d.split[s].n; i += 997) assert_int_equal(dataset_id(&d, (enum split)s, i), (unsigned char)a.at[2 * i] | (unsigned char)a.at[2 * i + 1] << 8);
    }
    dataset_close(&d);
    text_free(&a);
    text_free(&b);
}

/* ---- tests ---- */

static void the_same_ids(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * TEXTS; i++) {
        const char *vocabulary = i < TEXTS ? tokenizer : "char";
        runs("data %s --tokenizer=%s --shard_size=0 --out=whole", texts[i % TEXTS], vocabulary);
        runs("data %s --tokenizer=%s --shard_size=%d --out=sharded", texts[i % TEXTS], vocabulary, SHARD);
        same_data("whole", "sharded");
    }
    runs("data info sharded");
    assert_has(OUT, " shards\n");
}

/* From a pipe, too, of which no copy is left. */
static void from_a_pipe(void **state)
{
    (void)state;
    runs_how(HOW("TMPDIR", folder, .in = "play.txt"), "data - --tokenizer=%s --shard_size=%d --out=piped", tokenizer, SHARD);
    runs("data play.txt --tokenizer=%s --shard_size=0 --out=whole", tokenizer);
    same_data("whole", "piped");
    fails_how(HOW("TMPDIR", "/nowhere", .in = "play.txt"), 5, "name another folder by TMPDIR", "data - --out=piped");
    same_data("whole", "piped");
    fails_how(HOW("TMPDIR", folder, .in = "play.txt", .file_limit = 10000), 5, "no room for the text of standard input", "data - --out=piped");
}

/* What another preparation left is gone, whichever has more shards. */
static void one_after_the_other(void **state)
{
    (void)state;
    static const int sizes[] = { 3000, 0, 3000, 50000, 3000 };
    runs("data play.txt --tokenizer=%s --shard_size=0 --out=whole", tokenizer);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct dataset d;
        runs("data play.txt --tokenizer=%s --shard_size=%d --out=changing", tokenizer, sizes[i]);
        assert_ok(dataset_open(&d, "changing"));
        assert_int_equal(names_in("changing"), 4 + d.split[0].shards + d.split[1].shards);
        dataset_close(&d);
    }
    same_data("whole", "changing");
}

/* Each window of a turn begins in its shard, each shard has as many as cover it, and rounds differ. */
static void in_turn(void **state)
{
    (void)state;
    struct dataset d;
    size_t at, order[2][64];
    int32_t ids[65], targets[65];
    enum { LENGTH = 64, TURN = (SHARD + LENGTH - 1) / LENGTH };
    runs("data play.jsonl --tokenizer=%s --shard_size=%d --out=sharded", tokenizer, SHARD);
    assert_ok(dataset_open(&d, "sharded"));
    const struct split_tokens *t = &d.split[SPLIT_TRAIN];
    size_t last = t->shards - 1, short_turn = (t->shard[last].n + LENGTH - 1) / LENGTH;
    assert_true(t->shards > 5 && t->shards < 64);
    uint64_t w = 0;
    for (int round = 0; round < 2; round++) {
        int seen[64] = { 0 };
        for (size_t turn = 0; turn < t->shards; turn++) {
            size_t first = SIZE_MAX, shard, windows, half = 0;
            assert_ok(dataset_draw_in_turn(&d, LENGTH, 7, w, &at));
            order[round][turn] = shard = at / SHARD;
            windows = shard == last ? short_turn : TURN;
            for (size_t i = 0; i < windows; i++, w++) {
                assert_ok(dataset_draw_in_turn(&d, LENGTH, 7, w, &at));
                assert_int_equal(at / SHARD, shard);
                half += at % SHARD < SHARD / 2;
                if (at < first) first = at;
                dataset_window(&d, SPLIT_TRAIN, at, LENGTH, ids, targets);
                for (size_t k = 0; k < LENGTH; k++) {
                    assert_int_equal(ids[k], dataset_id(&d, SPLIT_TRAIN, at + k));
                    assert_int_equal(targets[k], dataset_id(&d, SPLIT_TRAIN, at + k + 1));
                }
            }
            if (shard != last) assert_in_range(half, windows / 2 - 2, windows / 2 + 2);
            assert_int_equal(seen[shard]++, 0);
        }
    }
    assert_memory_not_equal(order[0], order[1], t->shards * sizeof **order);
    int found = 0;                                           /* an evaluation sees all of them */
    for (w = 0; w < 4 * t->shards; w++) {
        assert_ok(dataset_draw(&d, SPLIT_TRAIN, LENGTH, 7, w, &at));
        found |= 1 << at / SHARD % 31;
    }
    assert_int_equal(__builtin_popcount((unsigned)found), t->shards < 31 ? t->shards : 31);
    dataset_close(&d);
    runs("train --dataset=sharded --out_dir=run --max_iters=3 " TINY);
    runs("eval run --dataset=sharded");
}

/* ---- llm.c's ---- */

static void same_runs(const char *a, const char *b)
{
    runs("train --dataset=%s --out_dir=run-a --vocab_size=600 --max_iters=8 " TINY, a);
    runs("train --dataset=%s --out_dir=run-b --vocab_size=600 --max_iters=8 " TINY, b);
    assert_same_file("run-a/step-00000008/model.safetensors", "run-b/step-00000008/model.safetensors");
    assert_ok(dir_remove("run-a"));
    assert_ok(dir_remove("run-b"));
}

/* Files of llm.c's, named by others. */
static void rename_shards(const char *to, const char *from, int split_numbers)
{
    static const char *const names[] = { "train", "val" };
    char one[PATH_SIZE], other[PATH_SIZE];
    assert_ok(dir_make(to));
    for (int s = 0; s < 2; s++)
        for (int i = 0;; i++) {
            snprintf(one, sizeof one, "%s/tokens_%s_%06d.bin", from, names[s], i);
            if (!path_is_file(one)) break;
            snprintf(other, sizeof other, split_numbers ? "%s/fine_web_%s_%06d.bin" : "%s/fine_web_%s.bin", to, names[s], i + s);
            copy_file(one, other);
        }
}

/* The same ids, and the same windows of them, whether nib says what the files are or only they do. */
static void headed(void **state)
{
    struct dataset plain, d;
    (void)state;
    for (int size = 0; size <= SHARD; size += SHARD) {
        runs("data play.jsonl --tokenizer=%s --shard_size=%d --out=plain", tokenizer, size);
        runs("data play.jsonl --tokenizer=%s --shard_size=%d --format=llmc --out=headed", tokenizer, size);
        assert_ok(dir_remove("foreign"));
        rename_shards("foreign", "headed", size > 0);
        assert_ok(dataset_open(&plain, "plain"));
        static const char *const folders[] = { "headed", "foreign" };
        for (int f = 0; f < 2; f++) {
            assert_ok(dataset_open(&d, folders[f]));
            assert_int_equal(d.format, TOKENS_LLMC);
            for (int s = 0; s < 2; s++) {
                assert_int_equal(d.split[s].n, plain.split[s].n);
                assert_int_equal(d.split[s].shards, plain.split[s].shards);
                for (size_t i = 0; i < d.split[s].n; i += 7) assert_int_equal(dataset_id(&d, (enum split)s, i), dataset_id(&plain, (enum split)s, i));
            }
            for (uint64_t w = 0; w < 200; w++) {
                size_t a, b;
                assert_ok(dataset_draw_in_turn(&d, 64, 7, w, &a));
                assert_ok(dataset_draw_in_turn(&plain, 64, 7, w, &b));
                assert_int_equal(a, b);
            }
            dataset_close(&d);
            same_runs("plain", folders[f]);
        }
        dataset_close(&plain);
        runs("check headed");
        assert_has(OUT, "headed: verified");
        runs("check foreign");
        assert_has(OUT, "nothing says what its files were");
        runs("data info foreign");
        assert_has(OUT, "llm.c's token files\n");
    }
    runs("data play.jsonl --tokenizer=%s --out=headed", tokenizer);              /* the other format leaves nothing of it */
    assert_int_equal(names_in("headed"), 6);
    assert_true(path_is_file("headed/train.bin"));
}

/* One file is a set. */
static void one_headed_file(void **state)
{
    (void)state;
    runs("data play.txt --tokenizer=%s --format=llmc --out=headed", tokenizer);
    runs("train headed/tokens_train_000000.bin --out_dir=alone --vocab_size=600 --max_iters=2 " TINY);
    assert_has(ERR, "note: headed/tokens_train_000000.bin is one file: what is trained on validates, too");
    runs("eval alone --dataset=headed/tokens_val_000000.bin");
    assert_has(OUT, "of headed/tokens_val_000000.bin, block_size");
    char *loss = strdup(strstr(OUT, "loss"));
    *strstr(loss, " of headed") = 0;
    runs("eval alone --dataset=headed");
    assert_has(OUT, loss);
    free(loss);
    runs("info headed/tokens_val_000000.bin");
    assert_has(OUT, "llm.c's token files, of which this one is for both");
}

static void harm_header(int at, uint32_t value, const char *says)
{
    uint32_t old;
    FILE *f = fopen("headed/tokens_val_000000.bin", "r+b");
    assert_true(f && !fseek(f, 4 * at, SEEK_SET) && fread(&old, 4, 1, f) == 1 && !fseek(f, 4 * at, SEEK_SET) && fwrite(&value, 4, 1, f) == 1);
    assert_int_equal(fclose(f), 0);
    fails(E_DATA, says, "data info headed");
    f = fopen("headed/tokens_val_000000.bin", "r+b");
    assert_true(f && !fseek(f, 4 * at, SEEK_SET) && fwrite(&old, 4, 1, f) == 1);
    assert_int_equal(fclose(f), 0);
}

static void damaged_headers(void **state)
{
    (void)state;
    runs("data play.txt --tokenizer=%s --format=llmc --out=headed", tokenizer);
    copy_file("headed/dataset.json", "dataset.json");
    for (int described = 1; described >= 0; described--) {
        if (!described) assert_int_equal(unlink("headed/dataset.json"), 0);
        harm_header(0, 20240522, "it does not begin as llm.c's token files do");
        harm_header(0, 20240801, "version 1 of llm.c's token files; nib reads 7");
        harm_header(1, 2, "version 2 of llm.c's token files; nib reads 1");
        harm_header(2, 0, "which says that there are 0 ids of 2 bytes");
        harm_header(2, UINT32_MAX, "which says that there are 4294967295 ids of 2 bytes");
        harm_header(2, 5, "which says that there are 5 ids of 2 bytes; is the file cut off?");
        runs("data info headed");
    }
    copy_file("headed/tokens_val_000000.bin", "headed/tok_val.bin");
    fails(E_DATA, "are of two sets; give each a folder, or name one file", "data info headed");
    assert_int_equal(unlink("headed/tok_val.bin"), 0);
    copy_file("headed/tokens_val_000000.bin", "headed/tokens_tokens_val.bin");
    fails(E_DATA, "are of two sets; give each a folder, or name one file", "data info headed");
    assert_int_equal(unlink("headed/tokens_tokens_val.bin"), 0);
    copy_file("headed/tokens_val_000000.bin", "headed/other_val.bin");
    fails(E_DATA, "are of two sets; give each a folder, or name one file", "data info headed");
    assert_int_equal(unlink("headed/other_val.bin") | unlink("headed/tokens_val_000000.bin"), 0);
    fails(E_DATA, "none of its files is *_val.bin or *_val_*.bin; name one file to take it for both", "data info headed");
    assert_int_equal(truncate("headed/tokens_train_000000.bin", 1000), 0);
    fails(E_DATA, "1000 bytes, and the header of a token file of llm.c's has 1024: cut off?", "data info headed");
    copy_file("dataset.json", "headed/dataset.json");
    write_text("headed/dataset.json", "{\"bits\": 16, \"vocab\": 600, \"format\": \"llmc\"}");
    fails(E_DATA, "dataset.json lists no shards of train", "data info headed");
    write_text("headed/dataset.json", "{\"bits\": 16, \"vocab\": 600, \"format\": \"arrow\"}");
    fails(E_DATA, "format is arrow; nib knows nanogpt and llmc", "data info headed");
}

static void damaged(void **state)
{
    (void)state;
    runs("data play.txt --tokenizer=%s --shard_size=%d --out=damaged", tokenizer, SHARD);
    assert_int_equal(truncate("damaged/train_000001.bin", 5998), 0);
    fails(E_DATA, "damaged/train_000001.bin: 5998 bytes, but 3000 ids of 2 bytes belong into it", "data info damaged");
    assert_int_equal(unlink("damaged/train_000001.bin"), 0);
    fails(E_IO, "damaged/train_000001.bin: no such file; prepare", "data info damaged");
    write_text("damaged/dataset.json", "{\"bits\": 16, \"vocab\": 600, \"train\": [3000, 0]}");
    fails(E_DATA, "train: shard 1 has no number of ids", "data info damaged");
    write_text("damaged/dataset.json", "{\"bits\": 16, \"vocab\": 600, \"train\": [9223372036854775807, 9223372036854775807]}");
    fails(E_DATA, "train: shard 0 has no number of ids", "data info damaged");
    write_text("damaged/dataset.json", "{\"bits\": 16, \"vocab\": 600, \"val\": 7}");
    fails(E_DATA, "val is no list of numbers", "data info damaged");
}

/* ---- going on ---- */

static void same_folders(const char *a, const char *b)
{
    char **names, one[PATH_SIZE], other[PATH_SIZE];
    size_t n;
    assert_ok(dir_list(a, &names, &n));
    assert_int_equal(names_in(b), n);
    for (size_t i = 0; i < n; i++) {
        assert_ok(path_join(one, a, names[i]));
        assert_ok(path_join(other, b, names[i]));
        assert_same_file(one, other);
    }
    free(names);
}

#define PREPARES "data %s --tokenizer=%s --shard_size=3000 --threads=2 --out=%s"
#define PREPARES_SO PREPARES " --format=%s"

/* Kills at moments drawn from the time that all of it takes; returns how often a run went on behind shards. */
static int killed(const char *text, const char *vocabulary, const char *format, uint64_t *dice_, int n)
{
    int went_on = 0;
    assert_ok(dir_remove("straight"));
    long start = microseconds();
    runs(PREPARES_SO, text, vocabulary, "straight", format);
    int whole = (int)(microseconds() - start);
    for (int i = 0, code = 0; i < n || code; i++) {
        if (!code) assert_ok(dir_remove("killed"));
        starts(&nib, PREPARES_SO, text, vocabulary, "killed", format);
        if (i < n) usleep((useconds_t)roll(dice_, whole)), kill(nib.pid, SIGKILL);
        code = end(&nib);
        if (code && code != -SIGKILL) fail_msg("nib ended with %d:\n%s%s", code, OUT, ERR);
        went_on += strstr(ERR, "went on behind") != NULL;
        if (!code) same_folders("straight", "killed");
    }
    return went_on;
}

static void kills(void **state)
{
    (void)state;
    uint64_t dice_ = (uint64_t)number_from("SEED", 1);
    int n = (int)number_from("COUNT", 60), went_on = 0;
    for (int i = 0; i < 2 * TEXTS; i++) went_on += killed(texts[i % TEXTS], i < TEXTS ? tokenizer : "char", i % 2 ? "llmc" : "nanogpt", &dice_, n / (2 * TEXTS));
    assert_true(went_on > 0);
}

/* The tokenizer's file is too large for the disk: all shards are complete, and none is made again when there is room. */
static void after_a_full_disk(void **state)
{
    (void)state;
    needs_files_of(7000);
    runs(PREPARES, texts[1], tokenizer, "straight");
    assert_ok(dir_remove("full"));
    fails_how(HOW(.file_limit = 7000), E_IO, "tokenizer", PREPARES, texts[1], tokenizer, "full");
    assert_has(ERR, "note: complete shards are kept in full/unfinished.tmp; the same nib data goes on behind them");
    fails(E_IO, "its preparation was not finished: run the same nib data again", "data info ./full");
    runs(PREPARES, texts[1], tokenizer, "full");
    assert_has(ERR, "went on behind ");
    same_folders("straight", "full");
}

/* Nobody else prepares into a folder meanwhile, nor takes away what is there. */
static void one_at_a_time(void **state)
{
    int lock;
    (void)state;
    assert_ok(dir_make("busy/unfinished.tmp"));
    write_text("busy/unfinished.tmp/train_000000.bin", "theirs");
    assert_ok(dir_lock(&lock, "busy/unfinished.tmp", ""));
    fails(E_BUSY, "another run is writing to busy/unfinished.tmp; wait for it, or choose another --out", "data play.txt --out=busy");
    fails(E_BUSY, "another run", "data tales --count=2 --out=busy");
    assert_holds("busy/unfinished.tmp/train_000000.bin", "theirs");
    dir_unlock(lock);
    runs("data play.txt --tokenizer=%s --out=busy", tokenizer);
    assert_false(path_is_dir("busy/unfinished.tmp"));
}

/* What no longer fits is not gone on with: other texts, options, shards; a record that is damaged. */
static void begins_anew(void **state)
{
    (void)state;
    needs_files_of(7000);
    for (int i = 0; i < 5; i++) {
        assert_ok(dir_remove("full"));
        fails_how(HOW(.file_limit = 7000), E_IO, "tokenizer", PREPARES, "other.txt", tokenizer, "full");
        if (i == 0) write_play("other.txt", 301);
        if (i == 1) assert_int_equal(truncate("full/unfinished.tmp/train_000001.bin", 10), 0);
        if (i == 2) assert_int_equal(truncate("full/unfinished.tmp/unfinished.json", 100), 0);
        if (i == 3) write_text("full/unfinished.tmp/unfinished.json", "{\"job\": 7}");
        runs("data other.txt --tokenizer=%s --shard_size=3000 --val=%s --out=full", tokenizer, i == 4 ? "0.2" : "0.1");
        assert_null(strstr(ERR, "went on"));
        runs("data other.txt --tokenizer=%s --shard_size=0 --val=%s --out=whole", tokenizer, i == 4 ? "0.2" : "0.1");
        same_data("whole", "full");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_ids), cmocka_unit_test(from_a_pipe), cmocka_unit_test(one_after_the_other), cmocka_unit_test(in_turn), cmocka_unit_test(damaged),
        cmocka_unit_test(headed), cmocka_unit_test(one_headed_file), cmocka_unit_test(damaged_headers),
        cmocka_unit_test(kills), cmocka_unit_test(after_a_full_disk), cmocka_unit_test(one_at_a_time), cmocka_unit_test(begins_anew),
    };
    return cmocka_run_group_tests(tests, enter, leave_program);
}
