/* test_prepare.c -- texts become token files: which files, which ids, which split, and what is said when something is wrong. */
#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/utf8.h"
#include "file/pickle.h"
#include "folder.h"
#include "text/dataset.h"
#include "text/prepare.h"
#include "text/tales.h"
#include "token/tokenizer.h"

#define BPE300 "tests/golden/bpe300"
#define GPT2 "../shared/data/gpt2-bpe"
#define SHAKESPEARE "../shared/data/tinyshakespeare/input.txt"
#define END "<|endoftext|>"

enum { LIMIT = 1 << 24, NOBODY = 65534 };

static int lacks(const char *path)                           /* says so, for those who skip */
{
    if (path_is_file(path) || path_is_dir(path)) return 0;
    print_message("skipped: %s is not there\n", path);
    return 1;
}

/* ---- preparing ---- */

#define INPUTS(...) .inputs = (const char *const[]){ __VA_ARGS__ }, .n = sizeof(const char *[]){ __VA_ARGS__ } / sizeof(char *)

static char out[PATH_SIZE];
static struct text notices;

static int set_up(void **state)
{
    return enter_folder(state) || path_join(out, folder, "out");
}

static int tear_down(void **state)
{
    text_free(&notices);
    return leave_folder(state);
}

/* Into `out`; what is not given: characters, "text", the last tenth. */
static int prepare_with(struct prepare_options o, struct prepared *done)
{
    static struct prepared unused;
    text_clear(&notices);
    o.out = o.out ? o.out : out;
    o.tokenizer = o.tokenizer ? o.tokenizer : "char";
    o.field = o.field ? o.field : "text";
    o.val = o.val ? o.val : "0.1";
    o.notices = &notices;
    return prepare(&o, done ? done : &unused);
}
#define PREPARE(...) prepare_with((struct prepare_options){ __VA_ARGS__ }, NULL)

/* ---- looking at what came of it ---- */

static struct dataset opened(void)
{
    struct dataset d;
    assert_ok(dataset_open(&d, out));
    return d;
}

/* The text of ids `from` .. `end` - 1 of a split, end tokens as END. */
static void decode(const struct tokenizer *t, const struct dataset *d, enum split s, size_t from, size_t end, struct text *text)
{
    text_clear(text);
    for (size_t i = from; i < end; i++) assert_ok(tokenizer_decode(t, &(uint32_t){ dataset_id(d, s, i) }, 1, text));
}

static void assert_texts(const char *train, const char *val)
{
    struct dataset d = opened();
    struct tokenizer *t;
    struct text text = { 0 };
    assert_ok(tokenizer_open(&t, out));
    decode(t, &d, SPLIT_TRAIN, 0, d.split[SPLIT_TRAIN].n, &text);
    assert_string_equal(text.at, train);
    decode(t, &d, SPLIT_VAL, 0, d.split[SPLIT_VAL].n, &text);
    assert_string_equal(text.at, val);
    text_free(&text);
    tokenizer_free(t);
    dataset_close(&d);
}

static size_t count_ends(enum split s)
{
    struct dataset d = opened();
    size_t n = 0;
    for (size_t i = 0; i < d.split[s].n; i++) n += dataset_id(&d, s, i) == d.end;
    dataset_close(&d);
    return n;
}

static void assert_bytes(const char *name, const void *bytes, size_t n)
{
    char path[PATH_SIZE];
    struct text all = { 0 };
    assert_ok(path_join(path, out, name));
    assert_ok(file_read(path, LIMIT, &all));
    assert_int_equal(all.size, n);
    assert_memory_equal(all.at, bytes, n);
    text_free(&all);
}

/* Names and checksums of all files in `out`: equal ones, equal folders. */
static void summary(struct text *sum)
{
    char **names, path[PATH_SIZE], hex[65];
    size_t n;
    text_clear(sum);
    assert_ok(dir_list(out, &names, &n));
    for (size_t i = 0; i < n; i++) {
        assert_ok(path_join(path, out, names[i]));
        assert_ok(file_sha256(path, hex));
        text_format(sum, "%s %s\n", names[i], hex);
    }
    free(names);
}

/* ---- one text ---- */

static void one_small_text(void **state)
{
    (void)state;
    struct prepared done;
    write_text(at("small.txt"), "banana bandana\nban");       /* 18 characters: 16 train */
    assert_ok(prepare_with((struct prepare_options){ INPUTS(at("small.txt")) }, &done));
    /* \n 0, space 1, a 2, b 3, d 4, n 5 */
    assert_bytes("train.bin", "\3\0\2\0\5\0\2\0\5\0\2\0\1\0\3\0\2\0\5\0\4\0\2\0\5\0\2\0\0\0\3\0", 32);
    assert_bytes("val.bin", "\2\0\5\0", 4);
    assert_int_equal(done.train, 16);
    assert_int_equal(done.val, 2);
    assert_int_equal(done.vocab, 6);
    assert_int_equal(done.documents, 1);
    assert_int_equal(done.bytes, 18);
    assert_string_equal(notices.at ? notices.at : "", "");
    struct dataset d = opened();
    assert_int_equal(d.width, 2);
    assert_int_equal(d.vocab, 6);
    assert_int_equal(d.end, -1);
    assert_false(d.by_document);
    dataset_close(&d);
}

/* Ten characters of up to four bytes: the cut counts characters. */
static void cut_by_characters(void **state)
{
    (void)state;
    write_text(at("wide.txt"), "aé€🌊aé€🌊é🌊");
    assert_ok(PREPARE(INPUTS(at("wide.txt"))));
    assert_texts("aé€🌊aé€🌊é", "🌊");
    assert_ok(PREPARE(INPUTS(at("wide.txt")), .tokenizer = BPE300, .val = "0.35"));
    assert_texts("aé€🌊aé", "€🌊é🌊");
    assert_int_equal(count_ends(SPLIT_TRAIN) + count_ends(SPLIT_VAL), 0);
    assert_ok(file_write(at("latin.txt"), "\xe9t\xe9 \xe0 la mer", 12));       /* ISO 8859-1, by bytes */
    assert_ok(PREPARE(INPUTS(at("latin.txt")), .tokenizer = BPE300, .val = "0.25"));
    assert_texts("\xe9t\xe9 \xe0 la ", "mer");
}

static void validation_file(void **state)
{
    (void)state;
    write_text(at("train.txt"), "abcabc");
    write_text(at("val.txt"), "cadx");
    assert_ok(PREPARE(INPUTS(at("train.txt")), .val = at("val.txt")));
    assert_texts("abcabc", "cadx");
    struct dataset d = opened();
    assert_int_equal(d.vocab, 5);                            /* the characters of both */
    dataset_close(&d);
    assert_ok(PREPARE(INPUTS(at("train.txt"), at("val.txt")), .val = at("val.txt"), .tokenizer = BPE300));
    assert_texts("abcabc" END "cadx" END, "cadx");
}

static void meta_of_nanogpt(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    struct arena memory = { 0 };
    struct file_map map;
    struct pickle *root;
    write_text(at("meta.txt"), "no é, no ø");
    assert_ok(PREPARE(INPUTS(at("meta.txt"))));
    assert_ok(path_join(path, out, "meta.pkl"));
    assert_ok(file_open_map(&map, path));
    assert_ok(pickle_parse(&root, &memory, map.at, map.size, NULL, path));
    assert_int_equal(pickle_get(root, "vocab_size")->integer, 6);
    const struct pickle *itos = pickle_get(root, "itos"), *stoi = pickle_get(root, "stoi");
    assert_int_equal(itos->n, 12);
    assert_int_equal(itos->item[8]->integer, 4);
    assert_string_equal(itos->item[9]->string, "é");
    assert_int_equal(pickle_get(stoi, "ø")->integer, 5);
    arena_free(&memory);
    file_close_map(&map);
    assert_ok(PREPARE(INPUTS(at("meta.txt")), .tokenizer = BPE300));
    assert_false(path_is_file(path));                        /* it would tell nanoGPT of six characters */
}

/* nanoGPT's data/shakespeare says nothing of itself: it is taken for GPT-2's, but any model that has its ids will do. */
static void nothing_but_ids(void **state)
{
    static const char train[] = "\1\0\x50\x04\2\0", val[] = "\3\0\4\0";
    struct dataset d;
    (void)state;
    assert_ok(dir_make(at("ids")));
    assert_ok(file_write(at("ids/train.bin"), train, sizeof train - 1));
    assert_ok(file_write(at("ids/val.bin"), val, sizeof val - 1));
    assert_ok(dataset_open(&d, at("ids")));
    assert_int_equal(d.vocab, 50257);
    assert_int_equal(d.needs, 0x451);
    dataset_close(&d);
    write_text(at("ids/dataset.json"), "{\"bits\": 16, \"vocab\": 50300}");
    assert_ok(dataset_open(&d, at("ids")));
    assert_int_equal(d.vocab, 50300);
    assert_int_equal(d.needs, 50300);
    dataset_close(&d);
}

/* nanoGPT's numbers (data/shakespeare_char and data/shakespeare). */
static void shakespeare_by_characters(void **state)
{
    (void)state;
    struct prepared done;
    struct text all = { 0 };
    uint8_t rank[256] = { 0 }, present[256] = { 0 };
    if (lacks(SHAKESPEARE)) skip();
    assert_ok(prepare_with((struct prepare_options){ INPUTS(SHAKESPEARE) }, &done));
    assert_int_equal(done.train, 1003854);
    assert_int_equal(done.val, 111540);
    assert_int_equal(done.vocab, 65);
    assert_ok(file_read(SHAKESPEARE, LIMIT, &all));
    for (size_t i = 0; i < all.size; i++) present[(uint8_t)all.at[i]] = 1;
    for (int c = 0, n = 0; c < 256; c++)
        if (present[c]) rank[c] = (uint8_t)n++;
    struct dataset d = opened();
    for (size_t i = 0; i < all.size; i++) {
        enum split s = i < done.train ? SPLIT_TRAIN : SPLIT_VAL;
        assert_int_equal(dataset_id(&d, s, s == SPLIT_TRAIN ? i : i - done.train), rank[(uint8_t)all.at[i]]);
    }
    dataset_close(&d);
    text_free(&all);
}

static void shakespeare_by_gpt2(void **state)
{
    (void)state;
    struct prepared done;
    if (lacks(SHAKESPEARE) || lacks(GPT2)) skip();
    assert_ok(prepare_with((struct prepare_options){ INPUTS(SHAKESPEARE), .tokenizer = GPT2 }, &done));
    assert_int_equal(done.train, 301966);
    assert_int_equal(done.val, 36059);
    assert_int_equal(done.vocab, 50257);
    static const uint8_t first[] = { 0x4a, 0x17, 0x23, 0x57, 25, 0, 198, 0 };        /* 5962 22307 25 198: "First Citizen:\n" */
    struct dataset d = opened();
    assert_memory_equal(d.split[SPLIT_TRAIN].shard[0].map.at, first, sizeof first);
    assert_int_equal(d.end, 50256);
    dataset_close(&d);
}

/* ---- several documents ---- */

/* Writes {"text": "d0"} ... */
static void write_lines(const char *path, int n)
{
    struct text lines = { 0 };
    for (int i = 0; i < n; i++) text_format(&lines, "{\"text\": \"d%d\"}\n", i);
    write_text(path, lines.at);
    text_free(&lines);
}

static void last_documents_validate(void **state)
{
    (void)state;
    static const struct { int n; const char *share; int train; } cases[] = {
        { 10, "0.1", 9 }, { 10, "0.25", 7 }, { 2, "0.001", 1 }, { 2, "0.999", 1 }, { 7, "0.5", 3 }, { 3, "1e-20", 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text want[2] = { 0 };
        for (int k = 0; k < cases[i].n; k++) text_format(&want[k >= cases[i].train], "d%d" END, k);
        write_lines(at("n.jsonl"), cases[i].n);
        assert_ok(PREPARE(INPUTS(at("n.jsonl")), .tokenizer = BPE300, .val = cases[i].share));
        assert_texts(want[0].at, want[1].at);
        text_free(&want[0]);
        text_free(&want[1]);
    }
}

/* An end token in the text is text; only the one that nib puts behind each document is a token. */
static void json_lines(void **state)
{
    (void)state;
    static const char lines[] = "{\"id\": 1, \"story\": \"one\\ntwo \\u00e9\"}\r\n\n  \n{\"story\": \"\"}\n"
                                "{\"story\": \"a " END " b\"}\n{\"story\": \"last\"}";
    struct prepared done;
    struct text plain = { 0 }, packed = { 0 };
    write_text(at("s.jsonl"), lines);
    gzFile z = gzopen(at("z.jsonl.gz"), "wb");
    assert_int_equal(gzwrite(z, lines, sizeof lines - 1), sizeof lines - 1);
    gzclose(z);
    assert_ok(prepare_with((struct prepare_options){ INPUTS(at("s.jsonl")), .tokenizer = BPE300, .field = "story" }, &done));
    assert_int_equal(done.documents, 3);
    assert_int_equal(done.bytes, 10 + 17 + 4);
    assert_texts("one\ntwo é" END "a " END " b" END, "last" END);
    assert_int_equal(count_ends(SPLIT_TRAIN), 2);
    summary(&plain);
    assert_ok(PREPARE(INPUTS(at("z.jsonl.gz")), .tokenizer = BPE300, .field = "story"));
    summary(&packed);
    assert_string_equal(packed.at, plain.at);
    assert_ok(PREPARE(INPUTS(at("s.jsonl")), .field = "story"));         /* characters have no end token */
    assert_texts("one\ntwo éa " END " b", "last");
    text_free(&plain);
    text_free(&packed);
}

static void a_folder(void **state)
{
    (void)state;
    char link[PATH_SIZE], target[PATH_SIZE];
    assert_ok(dir_make(at("mixed/b/deep")));
    assert_ok(dir_make(at("mixed/.git")));
    write_text(at("mixed/c.txt"), "see");
    write_text(at("mixed/a.md"), "ay");
    write_text(at("mixed/b/deep/x"), "ex");
    write_text(at("mixed/b/lines.jsonl"), "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    write_text(at("mixed/.git/config"), "no");
    write_text(at("mixed/.hidden"), "no");
    write_text(at("mixed/package.json"), "{\n  \"name\": \"no\"\n}\n");
    write_text(at("mixed/object.json"), "{\"name\": \"no\"}\n");
    write_text(at("mixed/records.json"), "{\"text\": \"record\"}\n");
    write_text(at("mixed/table.parquet"), "PAR1....PAR1");
    write_text(at("mixed/nothing.txt"), "");
    assert_ok(file_write(at("mixed/picture.png"), "\x89PNG\r\n\x1a\n\0\0", 10));
    assert_int_equal(mkfifo(at("mixed/pipe"), 0600), 0);
    assert_ok(path_join(link, folder, "mixed/b/up"));
    assert_ok(path_join(target, folder, "mixed"));
    assert_int_equal(symlink(target, link), 0);
    assert_ok(PREPARE(INPUTS(target), .tokenizer = BPE300, .val = "0.33"));
    assert_texts("ay" END "ex" END "one" END "two" END, "see" END "record" END);
    static const char *const said[] = {
        "/.git is hidden\n", "/.hidden is hidden\n", "/b/up is a link to a folder\n", "/nothing.txt is empty\n",
        "/pipe is not a regular file\n",
        "/object.json is without a field \"text\" in its first line\n",
        "/package.json is JSON over several lines, not JSON lines; make text of it first: jq -c . >text.jsonl /",
        "/picture.png is binary: byte 8 is 0\n", "/table.parquet is a Parquet file; make text of it first: python3 -c",
    };
    int lines = 0;
    for (const char *c = notices.at; (c = strchr(c, '\n')); c++) lines++;
    assert_int_equal(lines, sizeof said / sizeof *said);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(notices.at, said[i])) fail_msg("no \"%s\" in:\n%s", said[i], notices.at);
}

/* Many of a kind are not all told. */
static void many_skipped(void **state)
{
    (void)state;
    char name[32];
    assert_ok(dir_make(at("pictures")));
    write_text(at("pictures/a.txt"), "a text");
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "pictures/%02d.png", i);
        assert_ok(file_write(at(name), "\0", 1));
    }
    assert_ok(PREPARE(INPUTS(at("pictures")), .val = "0.5"));
    assert_texts("a t", "ext");                              /* a single text is one, wherever it lies */
    assert_non_null(strstr(notices.at, "19.png is binary: byte 0 is 0\nskipped: 10 more\n"));
    assert_null(strstr(notices.at, "20.png"));
}

struct told { uint64_t now, all; int calls; };

static void on_progress(void *context, uint64_t now, uint64_t all)
{
    struct told *t = context;
    assert_true(now >= t->now && now <= all);
    *t = (struct told){ now, all, t->calls + 1 };
}

static void pipes(void **state)
{
    (void)state;
    char path[32];
    struct told t = { 0 };
    int fd[2], input = dup(STDIN_FILENO);
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "from a pipe", 11), 11);
    close(fd[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", fd[0]);
    assert_ok(PREPARE(INPUTS(path)));
    assert_texts("from a pi", "pe");
    close(fd[0]);
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "standard", 8), 8);
    close(fd[1]);
    dup2(fd[0], STDIN_FILENO);
    write_text(at("beside.txt"), "beside");
    int code = PREPARE(INPUTS("-", at("beside.txt")), .tokenizer = BPE300, .progress = on_progress, .context = &t);
    dup2(input, STDIN_FILENO);
    close(fd[0]);
    close(input);
    assert_int_equal(code, 0);
    assert_texts("standard" END, "beside" END);
    assert_int_equal(t.now, t.all);
}

/* ---- the rest of what is written ---- */

/* More than 65,536 different characters in ascending order: ids 0, 1, 2 ... of 32 bits. */
static void wide_ids(void **state)
{
    (void)state;
    enum { FIRST = 0x20, LAST = 0x12000, COUNT = LAST - FIRST + 1 - 0x800 };          /* no surrogates */
    struct text all = { 0 };
    struct prepared done;
    char utf8[4];
    for (uint32_t point = FIRST; point <= LAST; point++)
        if (point < 0xd800 || point > 0xdfff) text_bytes(&all, utf8, utf8_put(utf8, point));
    assert_ok(file_write(at("wide.txt"), all.at, all.size));
    assert_ok(prepare_with((struct prepare_options){ INPUTS(at("wide.txt")) }, &done));
    assert_int_equal(done.vocab, COUNT);
    assert_int_equal(done.train + done.val, COUNT);
    struct dataset d = opened();
    assert_int_equal(d.width, 4);
    assert_int_equal(d.split[SPLIT_TRAIN].shard[0].map.size, 4 * done.train);
    for (size_t i = 0; i < COUNT; i++) {
        enum split s = i < done.train ? SPLIT_TRAIN : SPLIT_VAL;
        assert_int_equal(dataset_id(&d, s, s == SPLIT_TRAIN ? i : i - done.train), i);
    }
    assert_non_null(strstr(notices.at, "the vocabulary of 71649 needs ids of 32 bits, which nanoGPT does not read\n"));
    dataset_close(&d);
    text_free(&all);
}

static void same_bytes_again(void **state)
{
    (void)state;
    struct text once = { 0 }, again = { 0 };
    write_lines(at("again.jsonl"), 20);
    assert_ok(PREPARE(INPUTS(at("again.jsonl"))));
    summary(&once);
    assert_true(strstr(once.at, "dataset.json") && strstr(once.at, "meta.pkl") && strstr(once.at, "tokenizer.json"));
    assert_ok(PREPARE(INPUTS(at("again.jsonl"))));
    summary(&again);
    assert_string_equal(again.at, once.at);
    text_free(&once);
    text_free(&again);
}

static void progress(void **state)
{
    (void)state;
    struct told t = { 0 };
    write_lines(at("p.jsonl"), 5000);
    write_text(at("p.txt"), "and a text");
    assert_ok(PREPARE(INPUTS(at("p.jsonl"), at("p.txt")), .val = at("p.jsonl"), .progress = on_progress, .context = &t));
    assert_int_equal(t.now, t.all);
    assert_int_equal(t.calls, 2 * 10001);
}

/* ---- what goes wrong ---- */

/* Files by name and content, and what is said of them.  No tokenizer: characters; ALPHABET: a few characters. */
#define ALPHABET "alphabet"
static const struct { const char *name, *content, *tokenizer, *says; } bad[] = {
    { "empty.txt", "", NULL, "/empty.txt is empty" },
    { "short.txt", "a", NULL, "/short.txt: too short to be cut into train and val" },
    { "latin.txt", "caf\xe9s", NULL, "/latin.txt: byte 3 (0xe9) is not UTF-8; convert the text, or choose a tokenizer of bytes" },
    { "cut.txt", "caf\xc3", NULL, "/cut.txt: byte 3 (0xc3) is not UTF-8" },
    { "field.jsonl", "{\"text\": \"a\"}\n\n{\"ctx\": 1, \"label\": 2}\n", NULL,
      "/field.jsonl: line 3: there is no field \"text\"; name one with --field (there are: ctx, label)" },
    { "number.jsonl", "{\"text\": 7}\n", NULL, "/number.jsonl: line 1: \"text\" must be a string, not an integer" },
    { "array.jsonl", "[\"text\"]\n", NULL, "/array.jsonl: line 1: an object with the key \"text\" was expected" },
    { "prose.jsonl", "{\"text\": \"a\"}\nThis is not JSON.\n", NULL, "/prose.jsonl: line 2 is not JSON: column " },
    { "deep.jsonl", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n", NULL,
      "/deep.jsonl: line 1 is not JSON: byte 64: JSON nested" },
    { "blank.jsonl", "\n \n{\"text\": \"\"}\n", NULL, "/blank.jsonl: no text in it" },
    { "one.jsonl", "{\"text\": \"a\"}\n", NULL,
      "/one.jsonl: one document cannot both train and validate; give another text with --val FILE" },
    { "whole.json", "[{\"text\": \"a\"}]", NULL, "/whole.json is one JSON array, not JSON lines; make text of it first: jq -c" },
    { "t.parquet", "PAR1", NULL, "/t.parquet is a Parquet file; make text of it first: python3 -c \"import pandas" },
    { "t.pdf", "%PDF-1.7", BPE300, "/t.pdf is a PDF file; make text of it first: pdftotext /" },
    { "t.docx", "PK\3\4", BPE300, "/t.docx is a Word document; make text of it first: pandoc -t plain -o text.txt /" },
    { "t.zip", "PK\3\4", BPE300, "/t.zip is a zip archive; make text of it first: unzip /" },
    { "t.zst", "\x28\xb5\x2f\xfd", BPE300, "/t.zst is compressed by zstd; make text of it first: zstd -d /" },
    { "windows.txt", "\xff\xfeH", BPE300, "/windows.txt is UTF-16 text; make text of it first: iconv -f UTF-16 -t UTF-8" },
    { "t.gz", "\x1f\x8b\x08", BPE300, "/t.gz: its gzip is cut off" },
    { "strange.txt", "all \xc3\xbf that I know", ALPHABET, "/strange.txt: the character U+00FF" },
    { "late.txt", "all that I know, I know \xc3\xbf", ALPHABET, "/late.txt: the character U+00FF" },
};

static void bad_texts(void **state)
{
    (void)state;
    struct text before = { 0 }, after = { 0 };
    struct tokenizer *t;
    assert_ok(tokenizer_of_characters(&t, "all that I know, \xc3\xa9", 19));
    assert_ok(dir_make(at(ALPHABET)));
    assert_ok(tokenizer_save(t, at(ALPHABET)));
    tokenizer_free(t);
    write_lines(at("good.jsonl"), 5);
    assert_ok(PREPARE(INPUTS(at("good.jsonl"))));
    summary(&before);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *tokenizer = bad[i].tokenizer && !strcmp(bad[i].tokenizer, ALPHABET) ? at(ALPHABET) : bad[i].tokenizer;
        write_text(at(bad[i].name), bad[i].content);
        assert_fails(PREPARE(INPUTS(at(bad[i].name)), .tokenizer = tokenizer), E_DATA, bad[i].says);
        assert_null(strchr(error_text(), '\n'));
        summary(&after);
        assert_string_equal(after.at, before.at);            /* an old preparation stays as it was */
    }
    text_free(&before);
    text_free(&after);
}

static void bad_bytes_in_text(void **state)
{
    (void)state;
    char tar[300] = "name";
    memcpy(tar + 257, "ustar", 6);
    assert_ok(file_write(at("t.tar"), tar, sizeof tar));
    assert_fails(PREPARE(INPUTS(at("t.tar")), .tokenizer = BPE300), E_DATA, "/t.tar is a tar archive; make text of it first: tar");
    assert_ok(file_write(at("nul.txt"), "a\0b", 3));
    assert_fails(PREPARE(INPUTS(at("nul.txt"))), E_DATA, "/nul.txt: byte 1 is 0, which is no character");
    assert_ok(PREPARE(INPUTS(at("nul.txt")), .tokenizer = BPE300));      /* any byte is fine, if it is asked for by name */
}

static void bad_names(void **state)
{
    (void)state;
    struct prepared done;
    struct prepare_options o = { .notices = &notices };
    write_text(at("fine.txt"), "a fine text");
    write_text(at("void.jsonl"), "\n");
    assert_ok(dir_make(at("void")));
    assert_ok(dir_make(at("parquets")));
    write_text(at("parquets/1.parquet"), "PAR1");
    assert_ok(dir_make(at("taken/train.bin")));
    assert_fails(PREPARE(INPUTS(at("absent.txt"))), E_IO, "cannot open /");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .val = at("absent.txt")), E_IO, "/absent.txt: No such file");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .val = at("void.jsonl")), E_DATA, "/void.jsonl: no text in it");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .val = "0"), E_USAGE, "val is 0; it must be a share between 0 and 1, or");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .val = "nan"), E_USAGE, "val is nan");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .val = "1.5"), E_USAGE, "val is 1.5");
    assert_fails(PREPARE(INPUTS(at("void"))), E_DATA, "/void: the folder is empty");
    assert_fails(PREPARE(INPUTS(at("parquets"))), E_DATA, "/parquets: no text in it; 1 skipped, the last one is a Parquet file;");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .tokenizer = at("absent")), E_IO, "/absent: No such file");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .out = at("fine.txt")), E_IO, "cannot make the folder /");
    assert_fails(PREPARE(INPUTS(at("fine.txt")), .out = at("taken")), E_IO, "cannot replace /");
    assert_ok(dir_remove(at("taken/train.bin")));            /* what was complete waited for that */
    assert_ok(PREPARE(INPUTS(at("fine.txt")), .out = at("taken")));
    assert_non_null(strstr(notices.at, "went on behind 2 shards"));
    assert_fails(prepare_named("hamlet", NULL, out, 0, 0, &o, &done), E_USAGE, "no set \"hamlet\"; there are shakespeare_char");
    assert_true(prepare_is_named("shakespeare") && prepare_is_named("tales") && !prepare_is_named("hamlet"));
}

/* Root may do everything, so it becomes nobody, for whom the rights of files count. */
static void no_rights(void **state)
{
    (void)state;
    uid_t me = geteuid();
    write_text(at("mine.txt"), "mine");
    write_text(at("locked.txt"), "locked");
    assert_ok(dir_make(at("locked")));
    assert_ok(dir_make(at("readonly")));
    chmod(folder, 0755);
    chmod(at("locked.txt"), 0);
    chmod(at("locked"), 0);
    chmod(at("readonly"), 0555);
    if (me == 0) assert_int_equal(seteuid(NOBODY), 0);
    assert_fails(PREPARE(INPUTS(at("locked.txt"))), E_IO, "/locked.txt: Permission denied");
    assert_fails(PREPARE(INPUTS(at("locked"))), E_IO, "/locked: Permission denied");
    assert_fails(PREPARE(INPUTS(at("mine.txt")), .out = at("readonly")), E_IO, "cannot make the folder /");
    assert_non_null(strstr(error_text(), "Permission denied"));
    assert_int_equal(seteuid(me), 0);
    assert_int_equal(names_in(at("readonly")), 0);
    chmod(at("locked"), 0755);                               /* so that it can be removed */
}

static void full_disk(void **state)
{
    (void)state;
    struct rlimit old, small = { 3000, RLIM_INFINITY };
    struct text before = { 0 }, after = { 0 };
    write_lines(at("few.jsonl"), 10);
    write_lines(at("many.jsonl"), 1000);
    assert_ok(PREPARE(INPUTS(at("few.jsonl"))));
    summary(&before);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int code = PREPARE(INPUTS(at("many.jsonl")));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(code, E_IO);
    assert_non_null(strstr(error_text(), "/train_000000.bin: File too large; what was there before is untouched"));
    summary(&after);
    assert_string_equal(after.at, before.at);
    text_free(&before);
    text_free(&after);
}

/* ---- sets by name ---- */

static void shakespeare_by_name(void **state)
{
    (void)state;
    struct prepared done;
    struct prepare_options o = { .val = "0.1", .notices = &notices };
    struct text all = { 0 };
    char cache[PATH_SIZE];
    write_text(at("play.txt"), "To be, or not to be");
    assert_ok(prepare_named("shakespeare_char", at("play.txt"), out, 0, 0, &o, &done));
    assert_texts("To be, or not to ", "be");
    o.tokenizer = BPE300;                                    /* said aloud, it goes before the set's own */
    assert_ok(prepare_named("shakespeare", at("play.txt"), out, 0, 0, &o, &done));
    assert_int_equal(done.vocab, 557);
    assert_fails(prepare_named("tales", NULL, out, 0, 0, &o, &done), E_USAGE, "tales brings a tokenizer of its own");
    o.tokenizer = NULL;
    if (lacks(SHAKESPEARE) || lacks(GPT2)) skip();
    /* What was downloaded before is found. */
    assert_ok(path_join(cache, folder, "cache"));
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_ok(cache_path(cache, "tinyshakespeare.txt"));
    assert_ok(file_read(SHAKESPEARE, LIMIT, &all));
    write_text(cache, all.at);
    assert_ok(prepare_named("shakespeare_char", NULL, out, 0, 0, &o, &done));
    assert_int_equal(done.train, 1003854);
    static const char *const files[] = { "gpt2/vocab.bpe", "gpt2/encoder.json" };
    for (int i = 0; i < 2; i++) {
        char from[PATH_SIZE];
        assert_ok(path_join(from, GPT2, path_base(files[i])));
        assert_ok(cache_path(cache, files[i]));
        text_clear(&all);
        assert_ok(file_read(from, LIMIT, &all));
        assert_ok(file_write(cache, all.at, all.size));
    }
    assert_ok(prepare_named("shakespeare", NULL, out, 0, 0, &o, &done));
    assert_int_equal(done.train, 301966);
    assert_int_equal(done.val, 36059);
    text_free(&all);
}

static void no_network(void **state)
{
    (void)state;
    struct prepared done;
    struct prepare_options o = { .val = "0.1", .notices = &notices };
    setenv("XDG_CACHE_HOME", at("elsewhere"), 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);          /* nobody listens there */
    int code = prepare_named("shakespeare", NULL, out, 0, 0, &o, &done);
    unsetenv("https_proxy");
    assert_int_equal(code, E_IO);
    assert_non_null(strstr(error_text(), "cannot download https://raw.githubusercontent.com/karpathy/char-rnn/"));
    assert_non_null(strstr(error_text(), "; get this text some other way and name it with --file PATH"));
    assert_int_equal(names_in(at("elsewhere/nib")), 0);
}

enum { STORIES = 300, SEED = 5 };

/* What the folder of tales is compared with: the grammar, which says of any text whether it is a tale. */
struct judge {
    struct grammar *grammar;
    struct tokenizer *tokenizer;
    struct text story, told;             /* in the folder; by the grammar */
    int64_t longest, tokens;             /* of the stories seen so far, with their end tokens */
    double nats;
};

/* Story `i` of a split: an end token stands before and behind it, and it is a tale. */
static void judge_story(struct judge *j, const struct dataset *d, enum split s, size_t i)
{
    const struct split_tokens *t = &d->split[s];
    size_t from = t->start[i], end = i + 1 < t->n_starts ? t->start[i + 1] : t->n - 1;
    double log_p;
    assert_int_equal(dataset_id(d, s, from), d->end);
    assert_int_equal(dataset_id(d, s, end), d->end);
    decode(j->tokenizer, d, s, from + 1, end, &j->story);
    assert_true(grammar_accepts(j->grammar, j->story.at, j->story.size, &log_p, NULL));
    text_clear(&j->told);
    assert_ok(grammar_tell(j->grammar, SEED, i, &j->told, NULL));
    int64_t size = (int64_t)(end - from);
    if (size > j->longest) j->longest = size;
    j->tokens += size;
    j->nats -= log_p;
}

static void tales(void **state)
{
    (void)state;
    struct prepared done;
    struct told t = { 0 };
    struct prepare_options o = { .notices = &notices, .progress = on_progress, .context = &t };
    struct judge j = { 0 };
    size_t at;
    assert_ok(prepare_named("tales", NULL, out, STORIES, SEED, &o, &done));
    assert_ok(tales_open(&j.grammar));
    assert_ok(tokenizer_open(&j.tokenizer, out));
    struct dataset d = opened();
    assert_true(d.by_document && d.width == 2 && d.end >= 0);
    assert_int_equal(d.split[SPLIT_TRAIN].n_starts, STORIES);
    assert_int_equal(done.documents, STORIES + d.split[SPLIT_VAL].n_starts);
    assert_int_equal(t.calls, done.documents);
    assert_int_equal(t.now, t.all);
    for (size_t i = 0; i < STORIES; i++) {
        judge_story(&j, &d, SPLIT_TRAIN, i);
        assert_string_equal(j.story.at, j.told.at);
    }
    /* Practically each word is one token.  If this fails, run tests/twin/make_tales_tokenizer.py again. */
    assert_true((double)j.tokens / STORIES < grammar_facts(j.grammar)->words * 1.02);
    j.nats = 0;
    j.tokens = 0;
    for (size_t i = 0; i < d.split[SPLIT_VAL].n_starts; i++) {
        judge_story(&j, &d, SPLIT_VAL, i);
        if (i < STORIES) assert_string_not_equal(j.story.at, j.told.at);         /* of another stream */
    }
    assert_int_equal(j.tokens, d.split[SPLIT_VAL].n - 1);
    assert_int_equal(d.longest, j.longest);
    assert_true(d.floor > 0);
    assert_float_equal(d.floor, j.nats / (double)j.tokens, 1e-9);
    for (uint64_t w = 0; w < 1000; w++) {                    /* whatever is drawn starts where a story does */
        assert_ok(dataset_draw(&d, SPLIT_TRAIN, 64, 1, w, &at));
        assert_int_equal(dataset_id(&d, SPLIT_TRAIN, at), d.end);
    }
    dataset_close(&d);
    tokenizer_free(j.tokenizer);
    grammar_free(j.grammar);
    text_free(&j.story);
    text_free(&j.told);
}

static void same_tales_again(void **state)
{
    (void)state;
    struct prepared done;
    struct prepare_options o = { .notices = &notices };
    struct text once = { 0 }, again = { 0 }, other = { 0 };
    assert_ok(prepare_named("tales", NULL, out, 30, 1, &o, &done));
    summary(&once);
    assert_ok(prepare_named("tales", NULL, out, 30, 2, &o, &done));
    summary(&other);
    assert_ok(prepare_named("tales", NULL, out, 30, 1, &o, &done));
    summary(&again);
    assert_string_equal(again.at, once.at);
    assert_string_not_equal(other.at, once.at);
    text_free(&once);
    text_free(&again);
    text_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_small_text),
        cmocka_unit_test(cut_by_characters),
        cmocka_unit_test(validation_file),
        cmocka_unit_test(meta_of_nanogpt),
        cmocka_unit_test(nothing_but_ids),
        cmocka_unit_test(shakespeare_by_characters),
        cmocka_unit_test(shakespeare_by_gpt2),
        cmocka_unit_test(last_documents_validate),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(a_folder),
        cmocka_unit_test(many_skipped),
        cmocka_unit_test(pipes),
        cmocka_unit_test(wide_ids),
        cmocka_unit_test(same_bytes_again),
        cmocka_unit_test(progress),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(bad_bytes_in_text),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(no_rights),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(shakespeare_by_name),
        cmocka_unit_test(no_network),
        cmocka_unit_test(tales),
        cmocka_unit_test(same_tales_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
