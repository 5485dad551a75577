/* test_known_faults.c -- the faults that programs for language models were published with, looked for in nib's readers of files.
 *
 * A test bears the name of a class of faults; its comment tells the published case, and what of it could be here.  Files are made
 * by hand.  Each is refused with the right code and one line that says why (hostile.h).  What must hold of the whole program is
 * in test_known_faults_cli.c.
 *
 *   CVE-2024-21802, -21825, -21836, -23496, -23605      counts_times_sizes
 *   CVE-2024-32878, -41130                              cut_off_anywhere
 *   CVE-2025-1945, -10156                               zip_archives
 *   CVE-2025-29770, GHSA-hf3c-wxg2-49q9                 memories_of_what_was_met
 *   CVE-2025-32434                                      pickles_call_nothing
 *   CVE-2025-46728, -52887, -53629, CVE-2026-45352      limits_on_every_path
 *   CVE-2025-49847                                      lengths_beyond_32_bits
 *   CVE-2025-53630, CVE-2026-27940                      sums_that_wrap
 *   CVE-2025-62426, CVE-2026-55574                      expressions_that_never_end
 *   CVE-2026-2069, llama.cpp 26600, 25283               deep_nesting
 *   CVE-2026-7482                                       more_than_the_file_has
 *   CVE-2026-33298                                      elements_are_not_bytes
 *   CVE-2026-43631, -43632                              used_by_several_threads
 *   CVE-2026-107183, llama.cpp 25959                    what_contains_itself
 *   llama.cpp 24759, 26318                              padding_that_wraps
 *   llama.cpp: dimensions of zero                       dimensions_of_zero
 *   llama.cpp: u8 read as f32, alignment unchecked      types_that_are_others
 *   llama.cpp 14655, 15594, 21919, 26965, 27783         long_runs_of_one_class
 *   llama.cpp 9195, 11738, 14937                        half_characters
 *
 * Many of these were found in readers of GGUF.  What they mean for nib's is a row of files_that_lie and alignments (test_gguf.c), of lies in
 * test_llamacpp.c (keys and tensors of models) and in test_tokenizer_gguf.c (vocabularies, scores, types and ids of tokens). */
#include "hostile.h"

#include <zlib.h>

#include "base/checked.h"
#include "base/grow.h"
#include "base/utf8.h"
#include "text/token_files.h"
#include "token/split.h"

/* ---- sizes ---- */

/* The readers of GGUF multiplied dimensions, or a count and the size of a thing, without looking whether the product fits: memory for a
 * few bytes, and a copy of gigabytes into it.  Here: shapes, shards, tokens, strings of pickles. */
static void counts_times_sizes(void **state)
{
    static const struct { const char *type, *shape; } tensors[] = {
        { "F32", "4611686018427387904" }, { "F64", "2305843009213693952" }, { "U8", "4294967296,4294967296" }, { "U8", "65536,65536,65536,65536" },
        { "F32", "4611686018427387904,4611686018427387904,0" }, { "I64", "9223372036854775807,9223372036854775807" },
    };
    char json[256];
    (void)state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        snprintf(json, sizeof json, "{\"x\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[0,0]}}", tensors[i].type, tensors[i].shape);
        put_tensors("bad/x.safetensors", json, 0);
        refused(of_tensors, "bad/x.safetensors", E_DATA, "its shape does not fit its 0 bytes");
    }
    put_text("bad/train.bin", "");
    put_text("bad/val.bin", "");
    put_text("bad/dataset.json", "{\"bits\": 32, \"vocab\": 5, \"train\": [4611686018427387904], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "shard 0 has no number of ids");
    put_text("bad/dataset.json", "{\"bits\": 32, \"vocab\": 5, \"train\": [1152921504606846975, 1], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "train: shard 1 has no number of ids");
    put_text("bad/dataset.json", "{\"bits\": 32, \"vocab\": 5, \"train\": [1152921504606846975], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "0 bytes, but 1152921504606846975 ids of 4 bytes belong into it");
    put("bad/x.pkl", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", 11);
    refused(of_pickle, "bad/x.pkl", E_DATA, "BINUNICODE8: the file is cut off");
    uint32_t header[256] = { 20240328, 2, 1 << 24, 0 };      /* llm.c's: as many tokens as may be, and none of them */
    put("bad/tokenizer.bin", header, sizeof header);
    refused(of_tokenizer, "bad/tokenizer.bin", E_DATA, "16777216 tokens in 1024 bytes");
    put_text("bad/config.json", "{\"model_type\": \"gpt2\", \"vocab_size\": 3, \"n_positions\": 2, \"n_embd\": 4194304, \"n_head\": 1, \"n_layer\": 4096}");
    refused(of_config, "bad/config.json", E_MODEL, "parameters, more than any machine holds");
    put_text("bad/x.model", "minbpe v1\n\n0\n97 97\n256 256\n257 257\n258 258\n259 259\n260 260\n261 261\n262 262\n263 263\n264 264\n265 265\n266 266\n267 267\n268 268\n269 269\n"
                            "270 270\n271 271\n272 272\n273 273\n274 274\n275 275\n276 276\n277 277\n278 278\n");     /* each token twice the one before it */
    refused(of_tokenizer, "bad/x.model", E_DATA, "much more than the file has");
}

/* A later fix counted elements, and believed that so many bytes were there.  Here: ids of several bytes each. */
static void elements_are_not_bytes(void **state)
{
    struct token_files f;
    int is;
    (void)state;
    put("bad/train.bin", "\0\0\0\0\0\0\0\0", 8);
    put("bad/val.bin", "\0\0\0\0", 4);
    put_text("bad/dataset.json", "{\"bits\": 32, \"vocab\": 5, \"train\": [8], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "8 bytes, but 8 ids of 4 bytes belong into it");
    put_tensors("bad/x.safetensors", "{\"x\":{\"dtype\":\"F64\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8);
    refused(of_tensors, "bad/x.safetensors", E_DATA, "its shape does not fit its 8 bytes");
    assert_ok(token_files_create(&f, "bad/begun", TOKENS_NANOGPT, 0));       /* shards without end, none of which has a byte */
    f.set.width = 4;
    put_text("bad/begun/unfinished.tmp/train_000000.bin", "");
    assert_ok(token_files_resume(&f, (const uint64_t[]){ (uint64_t)1 << 62, 0 }, 0, &is));
    assert_false(is);
    token_files_discard(&f);
    assert_ok(token_files_create(&f, "bad/begun", TOKENS_NANOGPT, 1));       /* 2^62 shards of one id: the first that is not there ends it */
    f.set.width = 4;
    assert_ok(token_files_resume(&f, (const uint64_t[]){ (uint64_t)1 << 62, 0 }, 0, &is));
    assert_false(is);
    token_files_discard(&f);
}

/* Sizes of all tensors were added up, first without a check, then with a check of one addition and not of the one behind it. */
static void sums_that_wrap(void **state)
{
    static const struct { const char *first, *second, *part; } tensors[] = {
        { "\"shape\":[4611686018427387903],\"data_offsets\":[0,18446744073709551612]", "\"shape\":[2],\"data_offsets\":[18446744073709551612,4]", "ends at byte 18446744073709551612 of 4" },
        { "\"shape\":[1],\"data_offsets\":[0,4]", "\"shape\":[4611686018427387903],\"data_offsets\":[4,0]", "tensor b: its data_offsets are 4, 0" },
        { "\"shape\":[1],\"data_offsets\":[0,4]", "\"shape\":[4611686018427387903],\"data_offsets\":[4,18446744073709551615]", "its shape does not fit" },
        { "\"shape\":[1],\"data_offsets\":[18446744073709551612,0]", "\"shape\":[0],\"data_offsets\":[0,0]", "tensor a: its data_offsets are 18446744073709551612, 0" },
    };
    static const uint64_t headers[] = { UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 8, (uint64_t)1 << 63, 9 };
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"F32\",%s},\"b\":{\"dtype\":\"F32\",%s}}", tensors[i].first, tensors[i].second);
        put_tensors("bad/x.safetensors", json, 4);
        refused(of_tensors, "bad/x.safetensors", E_DATA, tensors[i].part);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        put("bad/x.safetensors", &headers[i], sizeof headers[i]);
        refused(of_tensors, "bad/x.safetensors", E_DATA, "a header of ");
    }
}

/* (x + n - 1) & ~(n - 1) is 0 for a large x, and then less than any limit. */
static void padding_that_wraps(void **state)
{
    struct arena memory = { 0 };
    struct text t = { 0 };
    size_t aligned, room = 0;
    char *array = NULL;
    (void)state;
    for (size_t less = 0; less < 64; less++) {
        assert_int_equal(size_align(SIZE_MAX - less, 64, &aligned), less == 63);
        assert_null(arena_take(&memory, SIZE_MAX - less));
        assert_null(cpu_backend.alloc(SIZE_MAX - less));
        assert_false(grow(&array, &room, SIZE_MAX - less, 16));
    }
    assert_null(text_more(&t, SIZE_MAX));
    assert_true(t.failed);
    arena_free(&memory);
    text_free(&t);
}

/* The guard against products that do not fit divided by a dimension, and files of 53 bytes had one of 0. */
static void dimensions_of_zero(void **state)
{
    static const char *const keys[] = { "vocab_size", "n_positions", "n_embd", "n_layer", "n_head" }, *const texts[] = { "", "{}", "[]" };
    static const char *const lines[] = { "--block_size=0", "--batch_size=0", "--n_head=0", "--n_layer=0", "--n_embd=0", "--eval_interval=0", "--gradient_accumulation_steps=0", "--pad_vocab=0" };
    char json[256];
    (void)state;
    for (int i = 0; i < 5; i++) {
        int n = snprintf(json, sizeof json, "{\"model_type\": \"gpt2\"");
        for (int k = 0; k < 5; k++) n += snprintf(json + n, sizeof json - (size_t)n, ", \"%s\": %d", keys[k], k != i);
        snprintf(json + n, sizeof json - (size_t)n, "}");
        put_text("bad/config.json", json);
        refused(of_config, "bad/config.json", E_MODEL, "of 1 to 16777216, not 0");
    }
    put_text("bad/config.json", "{\"model_type\": \"llama\", \"vocab_size\": 1, \"max_position_embeddings\": 1, \"hidden_size\": 1, \"intermediate_size\": 1, \"num_hidden_layers\": 1, \"num_attention_heads\": 2}");
    refused(of_config, "bad/config.json", E_MODEL, "width 1 does not divide by 2 heads");
    put_tensors("bad/x.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[0,5,0],\"data_offsets\":[0,0]}}", 0);
    accepted(of_tensors, "bad/x.safetensors");
    put("bad/train.bin", "\0\0", 2);
    put("bad/val.bin", "\0\0", 2);
    put_text("bad/dataset.json", "{\"bits\": 16, \"vocab\": 0, \"train\": [1], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "\"vocab\" is 0");
    put_text("bad/dataset.json", "{\"bits\": 16, \"vocab\": 1, \"train\": [0], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "has no number of ids");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put_text("bad/tokenizer.json", texts[i]);
        refused(of_tokenizer, "bad/tokenizer.json", E_DATA, "bad/tokenizer.json");
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) fails(E_USAGE, lines[i], "train --dataset=my --out_dir=no " TINY " %s", lines[i]);
}

/* A token's length became an int before it was compared, and was negative then. */
static void lengths_beyond_32_bits(void **state)
{
    static const uint32_t lengths[] = { 0xffffffff, 0x80000000, 0x7fffffff, 0xfffffff8 };
    static const char *const maps[] = { "/////w==", "////fw==", "AAAAgA==", "/P///wAAAAA=" };     /* the size of its tree: 2^32 - 1, 2^31 - 1, 2^31, 2^32 - 4 */
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint32_t llama[4] = { 8, 0, lengths[i], 0x61616161 };          /* llama2.c's: the longest token, a score, a length, bytes */
        put("bad/tokenizer.bin", llama, sizeof llama);
        refused(of_tokenizer, "bad/tokenizer.bin", E_DATA, "token 0 has ");
        llama[0] = lengths[i];
        put("bad/tokenizer.bin", llama, sizeof llama);
        refused(of_tokenizer, "bad/tokenizer.bin", E_DATA, "a longest token of ");
        char pickle[] = { 'X', (char)lengths[i], (char)(lengths[i] >> 8), (char)(lengths[i] >> 16), (char)(lengths[i] >> 24), '.' };
        put("bad/x.pkl", pickle, sizeof pickle);
        refused(of_pickle, "bad/x.pkl", E_DATA, "BINUNICODE: the file is cut off");
        snprintf(json, sizeof json, "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"%s\"}, \"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"a\", 0.0]]}}", maps[i]);
        put_text("bad/tokenizer.json", json);
        refused(of_tokenizer, "bad/tokenizer.json", E_DATA, "precompiled_charsmap");
    }
}

/* ---- files that end, and files that lie ---- */

/* Sizes of tensors were believed, and what lay behind the file in memory was read, and sent. */
static void more_than_the_file_has(void **state)
{
    (void)state;
    put_tensors("bad/x.safetensors", "{\"x\":{\"dtype\":\"U8\",\"shape\":[100],\"data_offsets\":[0,100]}}", 99);
    refused(of_tensors, "bad/x.safetensors", E_DATA, "ends at byte 100 of 99: the file is cut off");
    put_tensors("bad/x.safetensors", "{\"x\":{\"dtype\":\"U8\",\"shape\":[1099511627776],\"data_offsets\":[0,1099511627776]}}", 8);
    refused(of_tensors, "bad/x.safetensors", E_DATA, "ends at byte 1099511627776 of 8: the file is cut off");
    put("bad/train.bin", "\0\0\0", 3);
    put("bad/val.bin", "\0\0", 2);
    put_text("bad/dataset.json", "{\"bits\": 16, \"vocab\": 1, \"train\": [2], \"val\": [1]}");
    refused(of_dataset, "bad/dataset.json", E_DATA, "3 bytes, but 2 ids of 2 bytes belong into it; is the file cut off?");
    uint32_t llmc[257] = { 20240328, 2, 2, 1, [256] = 0x6161ff };      /* llm.c's: a token of 255 bytes, of which there are three */
    put("bad/tokenizer.bin", llmc, sizeof llmc);
    refused(of_tokenizer, "bad/tokenizer.bin", E_DATA, "it ends within token 0 of 2");
}

/* On the way out of a file that ends too early, pointers were freed that nobody had set.  Here: each reader sees the first n bytes, for
 * many n; what is leaked or freed twice shows where there are sanitizers. */
static void cut_off_anywhere(void **state)
{
    struct text config = { 0 }, tensors = { 0 }, description = { 0 }, gz = { 0 };
    (void)state;
    assert_ok(file_read("good/config.json", LIMIT, &config));
    assert_ok(file_read("good/model.safetensors", LIMIT, &tensors));
    assert_ok(file_read("my/dataset.json", LIMIT, &description));
    gzFile z = gzopen("bad/text.jsonl.gz", "wb");
    assert_true(gzputs(z, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n") > 0);
    gzclose(z);
    assert_ok(file_read("bad/text.jsonl.gz", LIMIT, &gz));
    copy_folder("my", "bad/my");
    copy_folder("good", "bad/good");
    const struct { reader *read; const char *path; const struct text *whole; size_t step; } files[] = {
        { of_pickle, "bad/x.pkl", &seeds[SEED_META], 1 }, { of_grammar, "bad/x.grammar", &seeds[SEED_GRAMMAR], 1 }, { of_options, "bad/x.conf", &seeds[SEED_CONF], 1 },
        { of_options, "bad/x.py", &seeds[SEED_CONF], 1 }, { of_tokenizer, "bad/tokenizer.json", &seeds[SEED_BPE], 97 }, { of_config, "bad/good/config.json", &config, 5 },
        { of_tensors, "bad/x.safetensors", &tensors, 61 }, { of_model, "bad/good/model.safetensors", &tensors, 997 }, { of_dataset, "bad/my/dataset.json", &description, 1 },
        { of_documents, "bad/text.jsonl.gz", &gz, 1 },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t n = 0; n < files[i].whole->size; n += files[i].step) {
            struct job job = { files[i].read, files[i].path, 0, "" };
            put(files[i].path, files[i].whole->at, n);
            job_done(&job);
            if (job.code && job.code != E_DATA && job.code != E_USAGE) fail_msg("%s, %zu bytes: %d: %s", files[i].path, n, job.code, job.says);
        }
    text_free(&config);
    text_free(&tensors);
    text_free(&description);
    text_free(&gz);
}

/* A checkpoint's zip archive said one thing at its end and another before each file, and who looked for malice read the one, who loaded the
 * other.  One reader does both here, and refuses names that are there twice, headers that disagree, wrong checksums and what overlaps
 * (test_torch.c); an archive among texts is refused by its first bytes. */
static void zip_archives(void **state)
{
    static const struct { const char *name, *says; } files[] = {
        { "ckpt.pt", "ckpt.pt: it is no ZIP archive, or cut off" }, { "pytorch_model.bin", "pytorch_model.bin: it is no ZIP archive, or cut off" }, { "model.safetensors.index.json", "index.json: line 1" },
    };
    char path[64];
    (void)state;
    copy_good();
    assert_int_equal(unlink("bad/good/model.safetensors"), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "bad/good/%s", files[i].name);
        put(path, "PK\3\4", 4);
        refused(of_model, "bad/good/config.json", E_DATA, files[i].says);
        assert_int_equal(unlink(path), 0);
    }
    put("bad/x.txt", "PK\3\4 and so on", 14);
    refused(of_documents, "bad/x.txt", E_DATA, "bad/x.txt is a zip archive");
}

/* A body was limited where its length was given, and not where it came in pieces; a limit must stand where the bytes come in.  Here: files
 * whose size says nothing, and what is compressed. */
static void limits_on_every_path(void **state)
{
    struct text t = { 0 };
    (void)state;
    assert_fails(file_read("/proc/self/maps", 10, &t), E_DATA, "larger than the 10 bytes");          /* its size is 0 */
    assert_int_equal(mkfifo("bad/fifo", 0644), 0);
    assert_fails(file_read("bad/fifo", 10, &t), E_DATA, "is not a regular file");                    /* without waiting for a writer */
    assert_fails(file_read("/dev/zero", 10, &t), E_DATA, "is not a regular file");
    text_free(&t);
    put_text("bad/huge.json", "{\"");
    assert_int_equal(truncate("bad/huge.json", (off_t)1 << 40), 0);
    refused(of_tokenizer, "bad/huge.json", E_DATA, "is larger than the 67108864 bytes");
    gzFile z = gzopen("bad/bomb.gz", "wb1");
    static const char zeros[1 << 16];
    for (int i = 0; i < 64 << 4; i++) assert_true(gzwrite(z, zeros, sizeof zeros) > 0);      /* 64 MB in 300 KB */
    gzclose(z);
    refused(of_line, "bad/bomb.gz", E_DATA, "line 1 is longer than 65536 bytes");
}

/* ---- what files say ---- */

/* An array of bytes was read as one of floats, since nobody had asked what it was. */
static void types_that_are_others(void **state)
{
    static const char *const others[] = { "\"1\"", "1.0", "true", "[]", "[1]", "{}", "-1", "1e3" };
    static const char *const keys[] = { "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner" }, *const sizes[] = { "bits", "vocab", "end", "longest" };
    static const char *const texts[] = { "1", "1.0", "true", "[]", "{}" };
    char json[512];
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        for (int key = 0; key < 6; key++) {
            int n = snprintf(json, sizeof json, "{\"model_type\": \"gpt2\"");
            for (int k = 0; k < 6; k++) n += snprintf(json + n, sizeof json - (size_t)n, ", \"%s\": %s", keys[k], k == key ? others[i] : "1");
            snprintf(json + n, sizeof json - (size_t)n, "}");
            put_text("bad/config.json", json);
            refused(of_config, "bad/config.json", E_DATA, keys[key]);
        }
        for (int key = 0; key < 4; key++) {
            snprintf(json, sizeof json, "{\"%s\": %s%s%s, \"train\": [1], \"val\": [1]}", sizes[key], others[i], key == 0 ? "" : ", \"bits\": 16", key == 1 ? "" : ", \"vocab\": 5");
            put_text("bad/dataset.json", json);
            refused(of_dataset, "bad/dataset.json", E_DATA, sizes[key]);
        }
        snprintf(json, sizeof json, "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": %s}, \"merges\": []}}", others[i]);
        put_text("bad/tokenizer.json", json);
        refused(of_tokenizer, "bad/tokenizer.json", E_DATA, "bad/tokenizer.json");
        snprintf(json, sizeof json, "{\"x\":{\"dtype\":\"U8\",\"shape\":[%s],\"data_offsets\":[0,1]}}", others[i]);
        put_tensors("bad/x.safetensors", json, 1);
        refused(of_tensors, "bad/x.safetensors", E_DATA, "was expected");
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(json, sizeof json, "{\"bits\": 16, \"vocab\": 5, \"tokenizer\": %s, \"train\": [1], \"val\": [1]}", texts[i]);
        put_text("bad/dataset.json", json);
        refused(of_dataset, "bad/dataset.json", E_DATA, "\"tokenizer\"");
        snprintf(json, sizeof json, "{\"__metadata__\":{\"format\":%s}}", texts[i]);
        put_tensors("bad/x.safetensors", json, 0);
        refused(of_tensors, "bad/x.safetensors", E_DATA, "was expected");
        snprintf(json, sizeof json, "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[%s, 0.0]]}}", texts[i]);
        put_text("bad/tokenizer.json", json);
        refused(of_tokenizer, "bad/tokenizer.json", E_DATA, "bad/tokenizer.json");
    }
}

/* Pickles call what they name, and lists of what may be called were got around.  Here there is nothing that calls; test_formats.c has
 * each opcode by itself. */
static void pickles_call_nothing(void **state)
{
#define PICKLE(bytes, part) { bytes, sizeof bytes - 1, part }
    static const struct { const char *bytes; size_t n; const char *part; } pickles[] = {
        PICKLE("\x80\4\x8c\5posix\x8c\6system\x93\x8c\x0etouch executed\x85R.", "STACK_GLOBAL: refused"),
        PICKLE("cos\nsystem\n(S'touch executed'\ntR.", "GLOBAL: refused"),
        PICKLE("(S'touch executed'\nios\nsystem\n.", "STRING: refused"),
        PICKLE("}(X\4\0\0\0itoscposix\nsystem\nu.", "GLOBAL: refused"),
        PICKLE("\x80\2]\x81.", "NEWOBJ: refused"),
        PICKLE("\x80\2\x82\1.", "EXT1: refused"),
        PICKLE("\x80\4}.\x80\4cposix\nsystem\n.", "STOP: bytes follow the end"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        put("bad/meta.pkl", pickles[i].bytes, pickles[i].n);
        refused(of_pickle, "bad/meta.pkl", E_DATA, pickles[i].part);
        refused(of_tokenizer, "bad/meta.pkl", E_DATA, pickles[i].part);
        assert_ok(dir_remove("bad/nano"));
        copy_folder("my", "bad/nano");
        assert_int_equal(unlink("bad/nano/dataset.json"), 0);
        put("bad/nano/meta.pkl", pickles[i].bytes, pickles[i].n);
        refused(of_dataset, "bad/nano/meta.pkl", E_DATA, pickles[i].part);
    }
    assert_false(path_is_file("executed"));
}

/* ---- depth and length ---- */

/* Brackets within each other, each a call of a function, until there was no stack left. */
static void deep_nesting(void **state)
{
    enum { MANY = 15000 };                                    /* config.json and dataset.json may have 1 MB */
    static const char *const opens[] = { "[", "{\"a\":", "[{\"a\":[", "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" };
    (void)state;
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        static const struct { reader *read; const char *path; } readers[] = { { of_tokenizer, "bad/tokenizer.json" }, { of_config, "bad/config.json" }, { of_dataset, "bad/deep/dataset.json" }, { of_documents, "bad/x.jsonl" } };
        assert_ok(dir_make("bad/deep"));
        for (size_t k = 0; k < sizeof readers / sizeof *readers; k++) {
            put_many(readers[k].path, "", opens[i], MANY, "");
            refused(readers[k].read, readers[k].path, E_DATA, "JSON nested deeper than 64");
        }
        put_text("bad/tokenizer.json", "{}");
        put_many("bad/tokenizer_config.json", "", opens[i], MANY, "");
        refused(of_tokenizer, "bad/tokenizer.json", E_DATA, "tokenizer_config.json: byte ");
        assert_int_equal(unlink("bad/tokenizer_config.json"), 0);
    }
    put_many("bad/x.safetensors", "\377\377\1\0\0\0\0\0", "[", MANY, "");
    refused(of_tensors, "bad/x.safetensors", E_DATA, "a header of ");
    put_many("bad/x.pkl", "", "]", MANY, "a.");
    refused(of_pickle, "bad/x.pkl", E_DATA, "bad/x.pkl");
    put_many("bad/x.pkl", "", "(", MANY, "t.");
    refused(of_pickle, "bad/x.pkl", E_DATA, "bad/x.pkl");
    put_many("bad/x.grammar", "rule a\n", "(b ", MANY, "");
    refused(of_grammar, "bad/x.grammar", E_DATA, "bad/x.grammar");
    put_many("bad/x.py", "n = ", "(", MANY, "1\n");
    refused(of_options, "bad/x.py", E_USAGE, "bad/x.py line 1");
    put_many("bad/x.conf", "n = ", "(", MANY, "1\n");
    refused(of_options, "bad/x.conf", E_USAGE, "bad/x.conf line 1");
    put_many("bad/x.regex", "", "(", MANY, "a");
    refused(of_regex, "bad/x.regex", E_DATA, "");
    put_many("bad/x.regex", "", "(?:a", 200, "");
    refused(of_regex, "bad/x.regex", E_DATA, "");
}

/* A description that a client sent contained itself, and was followed for ever, or freed twice. */
static void what_contains_itself(void **state)
{
    (void)state;
    put("bad/x.pkl", "]q\0h\0a.", 6);
    refused(of_pickle, "bad/x.pkl", E_DATA, "that is there twice or contains itself");
    put_text("bad/x.grammar", "rule a: b a\n");
    refused(of_grammar, "bad/x.grammar", E_DATA, "bad/x.grammar");
    put_text("bad/x.model", "minbpe v1\n\n0\n256 256\n");
    refused(of_tokenizer, "bad/x.model", E_DATA, "line 4: the ids of two earlier tokens were expected");
    assert_ok(dir_make("bad/loop"));
    assert_int_equal(symlink("..", "bad/loop/up") | symlink("self", "bad/loop/self"), 0);
    put_text("bad/loop/x.txt", "a text\n");
    accepted(of_documents, "bad/loop");
    refused(of_documents, "bad/loop/self", E_IO, "Too many levels of symbolic links");
    put_text("bad/x.py", "n = n\nn = n + n\n");
    accepted(of_options, "bad/x.py");
}

static int count(void *n, const char *text, size_t size) { (void)text, (void)size; ++*(size_t *)n; return 0; }

/* Where text is cut: each named pattern, over a mebibyte of one character after another. */
static int cut_long_runs(const char *path)
{
    static const char *const characters[] = { "a", "A", "1", " ", "\n", "^", "-", "'", "\xcc\x81", "\xf0\x9f\x98\x80", "\xff", "\xe4\xb8\xad", "aA", "a1" };
    struct text all = { 0 };
    (void)path;
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        text_clear(&all);
        while (all.size < 1 << 20) text_add(&all, characters[i]);
        for (int p = 0; p < SPLIT_PATTERNS; p++) {
            struct splitter *s;
            size_t pieces = 0;
            TRY(split_open(&s, &(struct split_stage){ (enum split_pattern)p, "[a-z]+|[^a-z]+" }, 1));
            int code = split_text(s, all.at, all.size, count, &pieces);
            split_close(s);
            if (code) return code;
        }
    }
    text_free(&all);
    return 0;
}

static int merge_long_runs(const char *path)
{
    struct tokenizer *t;
    struct ids ids = { 0 };
    struct text all = { 0 };
    TRY(tokenizer_open(&t, path));
    while (all.size < 1 << 20) text_add(&all, "he");
    int code = tokenizer_encode(t, all.at, all.size, SPECIALS_AS_TEXT, &ids);
    ids_free(&ids);
    text_free(&all);
    tokenizer_free(t);
    return code;
}

/* A regular expression recursed for each character, and a few ten thousand of one kind overflowed the stack; merging them took time that
 * grew with their square: 119 s for 512 KB. */
static void long_runs_of_one_class(void **state)
{
    (void)state;
    accepted(cut_long_runs, "");
    put("bad/bpe.json", seeds[SEED_BPE].at, seeds[SEED_BPE].size);
    struct job job = { merge_long_runs, "bad/bpe.json", 0, "" };
    do_job(&job);                                            /* 28 bytes each, as bpe.h says: more than the others may have */
    if (job.code) fail_msg("%s", job.says);
}

/* An expression that comes with a file or a request ran without a limit. */
static void expressions_that_never_end(void **state)
{
    static const char *const patterns[] = { "(a+)+$", "(a|aa)+$", "(a|a)*b", "(.*)*x" };
    struct text all = { 0 };
    struct regex *r;
    struct regex_match *m;
    size_t from, end_;
    (void)state;
    for (int i = 0; i < 100000; i++) text_add(&all, "a");
    text_add(&all, "!");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        put_text("bad/x.regex", patterns[i]);
        if (regex_open(&r, patterns[i])) continue;           /* refused: it could match nothing at all, or is read differently elsewhere */
        assert_ok(regex_match_open(&m));
        int code = regex_find(r, m, all.at, all.size, 0, &from, &end_);
        if (code) assert_int_equal(code, E_DATA);
        regex_match_close(m);
        regex_close(r);
    }
    text_free(&all);
}

/* ---- in use ---- */

/* Caches of what clients had sent grew until memory or disk were full.  An encoder remembers words, in a place of fixed size. */
static int meet_many_words(const char *path)
{
    struct tokenizer *t;
    struct encoder *e;
    struct ids ids = { 0 };
    char word[32];
    TRY(tokenizer_open(&t, path));
    int code = encoder_open(&e, t, SPECIALS_AS_TEXT, (uint64_t)1 << 40);
    for (int i = 0; i < 2000000 && !code; i++) {
        ids.n = 0;
        code = encoder_add(e, word, (size_t)snprintf(word, sizeof word, " word%d", i), 0, &ids);
    }
    encoder_close(e);
    ids_free(&ids);
    tokenizer_free(t);
    return code;
}

static void memories_of_what_was_met(void **state)
{
    (void)state;
    put("bad/bpe.json", seeds[SEED_BPE].at, seeds[SEED_BPE].size);
    accepted(meet_many_words, "bad/bpe.json");
}

/* Threads read a vocabulary that another one had freed.  A tokenizer here does not change while it is used, by any number of threads, and
 * its owner frees it; what they make of a text is the same.  (make config=tsan test watches them.)  With a server: a model must not be
 * unloaded while a request holds it. */
static void *encode_often(void *tokenizer_)
{
    const struct tokenizer *t = tokenizer_;
    struct ids ids = { 0 };
    uint64_t sum = 0;
    for (int i = 0; i < 200; i++) {
        ids.n = 0;
        if (tokenizer_encode(t, "the hen and the other one, then", 31, SPECIALS_AS_TEXT, &ids)) return NULL;
        for (size_t k = 0; k < ids.n; k++) sum = sum % 1000003 * 31 + ids.at[k];
    }
    ids_free(&ids);
    return (void *)(uintptr_t)(sum + 1);
}

static void used_by_several_threads(void **state)
{
    enum { THREADS = 4 };
    struct tokenizer *t, *other;
    pthread_t thread[THREADS];
    void *sum[THREADS];
    (void)state;
    put("bad/bpe.json", seeds[SEED_BPE].at, seeds[SEED_BPE].size);
    assert_ok(tokenizer_open(&t, "bad/bpe.json"));
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, encode_often, t), 0);
    for (int i = 0; i < 20; i++) {
        assert_ok(tokenizer_open(&other, "bad/bpe.json"));   /* another one comes and goes meanwhile */
        tokenizer_free(other);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(thread[i], &sum[i]), 0);
    for (int i = 0; i < THREADS; i++) assert_true(sum[i] && sum[i] == sum[0]);
    tokenizer_free(t);
}

/* Bytes that are not UTF-8, such as half a character at the limit of tokens, threw an exception in whoever wrote JSON. */
static void half_characters(void **state)
{
    struct tokenizer *t;
    uint64_t r = 1;
    (void)state;
    put("bad/bpe.json", seeds[SEED_BPE].at, seeds[SEED_BPE].size);
    assert_ok(tokenizer_open(&t, "bad/bpe.json"));
    for (int i = 0; i < 2000; i++) {                         /* tokens as no model would choose them, ended anywhere */
        struct decoder d = { 0 };
        struct text out = { 0 };
        for (int n = roll(&r, 12); n >= 0; n--) {
            assert_ok(tokenizer_stream(t, &d, n ? roll(&r, 256) : -1, &out));
            assert_int_equal(utf8_good(out.size ? out.at : "", out.size), out.size);
        }
        text_free(&out);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_times_sizes),
        cmocka_unit_test(elements_are_not_bytes),
        cmocka_unit_test(sums_that_wrap),
        cmocka_unit_test(padding_that_wraps),
        cmocka_unit_test(dimensions_of_zero),
        cmocka_unit_test(lengths_beyond_32_bits),
        cmocka_unit_test(more_than_the_file_has),
        cmocka_unit_test(cut_off_anywhere),
        cmocka_unit_test(zip_archives),
        cmocka_unit_test(limits_on_every_path),
        cmocka_unit_test(types_that_are_others),
        cmocka_unit_test(pickles_call_nothing),
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(what_contains_itself),
        cmocka_unit_test(long_runs_of_one_class),
        cmocka_unit_test(expressions_that_never_end),
        cmocka_unit_test(memories_of_what_was_met),
        cmocka_unit_test(used_by_several_threads),
        cmocka_unit_test(half_characters),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
