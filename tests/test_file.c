/* test_file.c -- what reads and writes files: whole files, folders, JSON, streams, downloads. */
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/base64.h"
#include "base/finite.h"
#include "base/json.h"
#include "base/sums.h"
#include "file/fetch.h"
#include "file/stream.h"
#include "folder.h"

/* ---- base/file.h ---- */

static void whole_files(void **state)
{
    (void)state;
    struct text t = { 0 };
    struct file_map m;
    assert_ok(file_write(at("a"), "one\0two", 7));
    assert_ok(file_read(at("a"), 7, &t));
    assert_ok(file_read(at("a"), 7, &t));                    /* appends */
    assert_int_equal(t.size, 14);
    assert_memory_equal(t.at, "one\0twoone\0two", 15);
    assert_fails(file_read(at("a"), 6, &t), E_DATA, "larger than the 6 bytes");
    text_free(&t);
    assert_ok(file_open_map(&m, at("a")));
    assert_ok(file_write(at("a"), "replaced", 8));
    assert_int_equal(m.size, 7);
    assert_memory_equal(m.at, "one\0two", 7);                /* the map keeps the old file */
    file_close_map(&m);
    assert_ok(file_write(at("a"), NULL, 0));
    assert_ok(file_open_map(&m, at("a")));
    assert_true(m.at && m.size == 0);
    file_close_map(&m);
    assert_ok(file_read(at("a"), 0, &t));
    assert_string_equal(t.at, "");
    text_free(&t);
    assert_ok(file_sync(at("a")));
}

static void not_files(void **state)
{
    (void)state;
    struct text t = { 0 };
    struct file_map m;
    char hex[65];
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_fails(file_open_map(&m, at("pipe")), E_DATA, "pipe is not a regular file");
    assert_fails(file_read(at("pipe"), 9, &t), E_DATA, "not a regular file");
    assert_fails(file_read("/dev/zero", 9, &t), E_DATA, "/dev/zero is not");
    assert_fails(file_sha256(folder, hex), E_DATA, "not a regular file");
    assert_fails(file_open_map(&m, at("absent")), E_IO, "absent: No such file");
    assert_fails(file_write(at("absent/a"), "x", 1), E_IO, "cannot create");
    text_free(&t);
}

/* A write that fails half-way leaves the old file, and nothing beside it. */
static void failed_writes(void **state)
{
    (void)state;
    static char big[100000];
    struct rlimit old, small = { 50000, RLIM_INFINITY };
    struct file_writer w;
    assert_ok(dir_make(at("full")));
    write_text(at("full/a"), "old");
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int code = file_write(at("full/a"), big, sizeof big);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(code, E_IO);
    assert_non_null(strstr(error_text(), "untouched"));
    assert_holds(at("full/a"), "old");
    assert_ok(dir_make(at("full/taken")));
    assert_fails(file_write(at("full/taken"), "x", 1), E_IO, "cannot write");        /* a folder cannot be replaced */
    assert_ok(file_create(&w, at("full/a")));
    assert_ok(file_append(&w, "new", 3));
    assert_int_equal(names_in(at("full")), 3);
    file_discard(&w);
    file_discard(&w);
    assert_holds(at("full/a"), "old");
    assert_int_equal(names_in(at("full")), 2);
}

/* What no file can take the place of is written, and stays what it is. */
static void streams(void **state)
{
    (void)state;
    char bytes[16] = { 0 };
    struct stat st;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_fails(file_write(at("fifo"), "x", 1), E_IO, "fifo: No such device");      /* nobody reads it */
    int fd = open(at("fifo"), O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_ok(file_write(at("fifo"), "through", 7));
    assert_int_equal(read(fd, bytes, sizeof bytes), 7);
    assert_string_equal(bytes, "through");
    close(fd);
    assert_true(!stat(at("fifo"), &st) && S_ISFIFO(st.st_mode));
    assert_ok(file_write("/dev/null", "x", 1));
    assert_fails(file_write("/dev/full", "x", 1), E_IO, "/dev/full: No space left on device");
    assert_true(!stat("/dev/null", &st) && S_ISCHR(st.st_mode));
}

static void checksums(void **state)
{
    (void)state;
    /* The examples of FIPS 180 (csrc.nist.gov, SHA256.pdf and SHA2_Additional.pdf). */
    static const struct { const char *text; int times; const char *hex; } known[] = {
        { "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaa", 40000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
    };
    char hex[65];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct sha256 s;
        sha256_start(&s);
        for (int k = 0; k < known[i].times; k++) sha256_add(&s, known[i].text, strlen(known[i].text));
        sha256_end(&s, hex);
        assert_string_equal(hex, known[i].hex);
    }
    write_text(at("abc"), "abc");
    assert_ok(file_sha256(at("abc"), hex));
    assert_string_equal(hex, known[1].hex);
}

/* ---- SHA256SUMS ---- */

#define SUM "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void sums(void **state)
{
    static const struct { const char *text, *why; } bad[] = {
        { SUM "  a", "its last line is cut off" }, { SUM " a\n", "line 1 is no checksum with a name" }, { SUM "  a\n\n", "line 2 is no checksum" }, { SUM "  \n", "line 1" },
        { SUM "  ../a\n", "line 1" }, { SUM "  .a\n", "line 1" }, { SUM "  a\tb\n", "line 1" }, { SUM "  a\n" SUM "  a\n", "a is listed twice" },
        { "E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n", "line 1" }, { "e3b0  a\n", "line 1" },
    };
    (void)state;
    struct sums s = { 0 };
    char long_name[300];
    int are;
    assert_ok(dir_make(at("summed")));
    write_text(at("summed/empty"), "");
    write_text(at("summed/abc"), "abc");
    assert_ok(sums_look(at("summed"), &are));
    assert_false(are);
    assert_ok(sums_add_file(&s, at("summed"), "empty"));
    assert_ok(sums_add_file(&s, at("summed"), "abc"));
    assert_string_equal(sums_find(&s, "empty"), SUM);
    assert_null(sums_find(&s, "ab"));
    assert_ok(sums_write(&s, at("summed")));
    assert_holds(at("summed/SHA256SUMS"), SUM "  empty\nba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n");
    assert_ok(sums_verify_folder(at("summed"), (const char *const[]){ "abc", NULL }));
    assert_fails(sums_verify_folder(at("summed"), (const char *const[]){ "abc", "abd", NULL }), E_DATA, "summed/SHA256SUMS does not list abd");
    write_text(at("summed/abc"), "abd");
    assert_fails(sums_verify(&s, at("summed")), E_DATA, "summed/abc is not what was written");
    assert_int_equal(unlink(at("summed/abc")), 0);
    assert_fails(sums_verify(&s, at("summed")), E_DATA, "summed/abc is not there, but SHA256SUMS lists it");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_fails(sums_add(&s, long_name, SUM), E_DATA, "cannot be the name of a file");
    assert_fails(sums_add(&s, "a\nb", SUM), E_DATA, "cannot be the name");
    sums_free(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(sums_parse(&s, bad[i].text, strlen(bad[i].text), "it"), E_DATA, bad[i].why);
        sums_free(&s);
    }
    assert_fails(sums_parse(&s, "\0", 1, "it"), E_DATA, "a byte of it is 0");
    sums_free(&s);
}

/* What the system cannot say is not taken for absent; what killed writers left is swept away, and nothing else. */
static void looks_and_sweeps(void **state)
{
    static const char *const kept[] = { "a", "a.tmp", "a.1-2.tmp.b", "1-2.tmp", "a.1-.tmp", "a.-2.tmp", "a1-2.tmp", "a.1-2.tm" }, *const swept[] = { "a.1-2.tmp", "model.safetensors.30453-17.tmp" };
    (void)state;
    int is;
    char longest[PATH_SIZE];
    assert_ok(dir_make(at("swept")));
    assert_ok(path_look(at("swept"), &is));
    assert_false(is);
    assert_ok(path_look(at("swept/absent"), &is));
    assert_false(is);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        assert_ok(path_join(longest, at("swept"), kept[i]));
        write_text(longest, "");
        assert_ok(path_look(longest, &is));
        assert_true(is);
    }
    for (size_t i = 0; i < sizeof swept / sizeof *swept; i++) {
        assert_ok(path_join(longest, at("swept"), swept[i]));
        write_text(longest, "");
    }
    assert_ok(dir_sweep(at("swept")));
    assert_int_equal(names_in(at("swept")), sizeof kept / sizeof *kept);
    memset(longest, 'x', 300);
    longest[300] = 0;
    assert_fails(path_look(longest, &is), E_IO, "cannot look at");
}

static void finite_numbers(void **state)
{
    (void)state;
    const float f[] = { 0, -0.f, 1e-45f, 3.4e38f, -3.4e38f, NAN, INFINITY, -INFINITY };
    const double d[] = { 0, 1e308, -1e308, 5e-324, 1, NAN, INFINITY, -INFINITY };
    const uint16_t bf16[] = { 0, 0x7f7f, 0xff7f, 1, 0x8000, 0x7fc0, 0x7f80, 0xff80 }, f16[] = { 0, 0x7bff, 0xfbff, 1, 0x8000, 0x7e00, 0x7c00, 0xfc00 };
    const struct { const void *x; enum dtype type; } all[] = { { f, F32 }, { d, F64 }, { bf16, BF16 }, { f16, F16 } };
    for (int i = 0; i < 4; i++) {
        size_t size = dtype_size(all[i].type);
        assert_true(are_finite(all[i].x, all[i].type, 5));
        for (size_t k = 5; k < 8; k++) {
            assert_false(are_finite((const char *)all[i].x + k * size, all[i].type, 1));
            assert_false(are_finite(all[i].x, all[i].type, k + 1));
        }
    }
    assert_true(are_finite(bf16, U16, 8));
}

static void paths(void **state)
{
    (void)state;
    char out[PATH_SIZE], home[PATH_SIZE], longest[PATH_SIZE];
    assert_ok(path_join(out, "a/b", "c"));
    assert_string_equal(out, "a/b/c");
    assert_ok(path_join(out, "a/", "c"));
    assert_string_equal(out, "a/c");
    assert_ok(path_join(out, "", "c"));
    assert_string_equal(out, "c");
    memset(longest, 'x', sizeof longest);
    longest[PATH_SIZE - 3] = 0;
    assert_ok(path_join(out, longest, "c"));
    assert_fails(path_join(out, longest, "cd"), E_USAGE, "path too long");
    assert_fails(file_write(longest, "x", 1), E_USAGE, "path too long");
    assert_true(path_has_suffix("train.txt.gz", ".gz") && !path_has_suffix("gz", ".gz") && path_has_suffix("x", ""));
    assert_string_equal(path_base("a/b"), "b");
    assert_string_equal(path_base("b"), "b");
    assert_true(path_is_dir(folder) && !path_is_file(folder) && !path_is_dir("/absent"));
    assert_ok(path_join(home, folder, "home"));
    setenv("HOME", home, 1);
    setenv("XDG_CACHE_HOME", "relative/is/ignored", 1);
    assert_ok(cache_path(out, "gpt2/vocab.bpe"));
    assert_string_equal(out, at("home/.cache/nib/gpt2/vocab.bpe"));
    assert_true(path_is_dir(at("home/.cache/nib/gpt2")) && !path_is_dir(out));
    setenv("XDG_CACHE_HOME", home, 1);
    assert_ok(cache_path(out, "x"));
    assert_string_equal(out, at("home/nib/x"));
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_fails(cache_path(out, "x"), E_USAGE, "set HOME");
}

static void folders(void **state)
{
    (void)state;
    char **names;
    size_t n;
    assert_ok(dir_make(at("tree/a/b")));
    assert_ok(dir_make(at("tree/a/b/")));
    write_text(at("tree/z"), "z");
    write_text(at("tree/M"), "m");
    write_text(at("outside"), "stays");
    assert_int_equal(symlink(at("outside"), at("tree/a/file")), 0);
    assert_int_equal(symlink(folder, at("tree/a/folder")), 0);
    assert_ok(dir_list(at("tree"), &names, &n));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "M");
    assert_string_equal(names[1], "a");
    assert_string_equal(names[2], "z");
    free(names);
    assert_fails(dir_make(at("tree/z/y")), E_IO, "cannot make the folder");
    assert_fails(dir_list(at("tree/z"), &names, &n), E_IO, "cannot read the folder");
    assert_ok(dir_remove(at("tree")));
    assert_false(path_is_dir(at("tree")));
    assert_holds(at("outside"), "stays");
    assert_ok(dir_remove(at("tree")));                       /* absent */
    assert_fails(dir_remove(at("outside/x")), E_IO, "cannot remove");
    assert_ok(dir_remove(at("outside")));                    /* a file */
    assert_fails(file_sync(at("outside")), E_IO, "No such file");
    char deep[PATH_SIZE];
    assert_ok(path_join(deep, folder, "deep"));
    for (int i = 0; i < 65; i++) strcat(deep, "/d");
    assert_ok(dir_make(deep));
    assert_fails(dir_remove(at("deep")), E_DATA, "more than 64 folders deep");
    assert_ok(dir_remove(at("deep/d")));
}

static void *ask(void *enough)
{
    while (!__atomic_load_n((const int *)enough, __ATOMIC_RELAXED)) dir_locked(folder);
    return NULL;
}

/* Whoever asks is in nobody's way. */
static void locks(void **state)
{
    int lock, other, enough = 0;
    pthread_t asks;
    (void)state;
    assert_false(dir_locked(folder) || dir_locked(at("nowhere")));
    assert_ok(dir_lock(&lock, folder, "wait"));
    assert_true(dir_locked(folder));
    assert_fails(dir_lock(&other, folder, "wait"), E_BUSY, "; wait");
    dir_unlock(other);
    assert_true(dir_locked(folder));
    dir_unlock(lock);
    assert_false(dir_locked(folder));
    pthread_create(&asks, NULL, ask, &enough);
    for (int i = 0; i < 2000; i++) {
        assert_ok(dir_lock(&lock, folder, "wait"));
        dir_unlock(lock);
    }
    __atomic_store_n(&enough, 1, __ATOMIC_RELAXED);
    pthread_join(asks, NULL);
    assert_ok(dir_remove(at(".lock")));
}

/* ---- base/base64.h ---- */

static void base64(void **state)
{
    static const char *const rows[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {        /* those of RFC 4648, section 10, and one with the last digits */
        struct text t = { 0 };
        char back[16];
        size_t n;
        text_add(&t, "");
        base64_encode(&t, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(t.at, rows[i][1]);
        assert_ok(base64_decode(back, &n, t.at, t.size));
        assert_int_equal(n, strlen(rows[i][0]));
        assert_memory_equal(back, rows[i][0], n);
        text_free(&t);
    }
}

/* ---- base/json.h ---- */

static void json_texts(void **state)
{
    (void)state;
    static const struct { const char *text, *part; } bad[] = {
        { "", "line 1" },
        { "{\"a\": 1,}", "line 1, column 9" },
        { "{\"a\": 1, \"a\": 2}", "duplicate" },
        { "[\"\xff\"]", "unable to decode byte 0xff" },
        { "[\"\\ud800\"]", "line 1" },
        { "{\"a\\u0000\": 1}", "line 1" },
        { "[\"\\u0000\"]", "line 1" },
        { "[1] 2", "end of file" },
        { "[NaN]", "line 1" },
        { "[9223372036854775808]", "too big" },
        { "[1e999]", "overflow" },
        { "'a'", "line 1" },
    };
    json_t *root;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(json_parse(&root, bad[i].text, strlen(bad[i].text), "it"), E_DATA, bad[i].part);
    assert_fails(json_parse(&root, "[1\0]", 4, "it"), E_DATA, "it: not JSON, there are NUL bytes in it");
    char deep[2 * JSON_DEPTH + 2];
    memset(deep, '[', JSON_DEPTH + 1);
    memset(deep + JSON_DEPTH + 1, ']', JSON_DEPTH + 1);
    assert_ok(json_parse(&root, deep + 1, 2 * JSON_DEPTH, "it"));
    json_decref(root);
    assert_fails(json_parse(&root, deep, sizeof deep, "it"), E_DATA, "byte 64: JSON nested deeper than 64");
    const char *quoted = "[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\"]";
    assert_ok(json_parse(&root, quoted, strlen(quoted), "it"));
    json_decref(root);
}

static void json_getters(void **state)
{
    (void)state;
    const char *text = "{\"i\": 12, \"r\": 0.5, \"t\": true, \"s\": \"x\", \"o\": {}, \"a\": [], \"n\": null}", *s;
    int64_t i;
    double r;
    int b;
    json_t *root, *v;
    assert_ok(json_parse(&root, text, strlen(text), "c"));
    assert_ok(json_get_int(root, "i", 12, 12, &i, "c"));
    assert_int_equal(i, 12);
    assert_ok(json_get_real(root, "r", &r, "c"));
    assert_true(r == 0.5);
    assert_ok(json_get_real(root, "i", &r, "c"));
    assert_true(r == 12);
    assert_ok(json_get_bool(root, "t", &b, "c"));
    assert_int_equal(b, 1);
    assert_ok(json_get_string(root, "s", &s, "c"));
    assert_string_equal(s, "x");
    assert_ok(json_get_object(root, "o", &v, "c"));
    assert_ok(json_get_array(root, "a", &v, "c"));
    assert_true(json_has(root, "i") && !json_has(root, "n") && !json_has(root, "absent") && !json_has(v, "i"));
    assert_fails(json_get_int(root, "i", 13, 20, &i, "c"), E_DATA, "c: \"i\" is 12, which is not within 13 .. 20");
    assert_fails(json_get_int(root, "i", 0, 11, &i, "c"), E_DATA, "not within 0 .. 11");
    assert_fails(json_get_int(root, "r", 0, 9, &i, "c"), E_DATA, "\"r\" must be an integer, not a real");
    assert_fails(json_get_real(root, "s", &r, "c"), E_DATA, "must be a number, not a string");
    assert_fails(json_get_bool(root, "i", &b, "c"), E_DATA, "must be true or false, not an integer");
    assert_fails(json_get_string(root, "n", &s, "c"), E_DATA, "must be a string, not null");
    assert_fails(json_get_object(root, "a", &v, "c"), E_DATA, "must be an object, not an array");
    assert_fails(json_get_array(root, "o", &v, "c"), E_DATA, "must be an array, not an object");
    assert_fails(json_get_int(root, "z", 0, 9, &i, "c"), E_DATA, "the key \"z\" is missing");
    assert_fails(json_get_int(json_object_get(root, "a"), "z", 0, 9, &i, "c"), E_DATA, "an object with the key \"z\" was expected");
    json_decref(root);
}

static void json_files(void **state)
{
    (void)state;
    const char *text = "{\n  \"z\": 1,\n  \"a\": [\n    0.1,\n    1e-5,\n    2.0,\n    0.30000000000000004,\n    \"\\\"\xc3\xa4\\n\"\n  ],\n"
                       "  \"m\": {\n    \"e\": {},\n    \"f\": [],\n    \"t\": true\n  }\n}\n";
    static const double real[] = { 0.1, 1.0 / 3, 1e-5, 6e-4, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789, 1e22, 2e15 + 1 };
    json_t *root, *again;
    assert_ok(json_parse(&root, text, strlen(text), "it"));
    assert_ok(json_write(at("it.json"), root));
    assert_holds(at("it.json"), text);
    assert_fails(json_read(&again, at("it.json"), 20), E_DATA, "larger than the 20 bytes");
    assert_null(again);
    json_decref(root);
    root = json_array();
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) json_array_append_new(root, json_real(real[i]));
    assert_ok(json_write(at("it.json"), root));
    assert_ok(json_read(&again, at("it.json"), 1000));
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        const json_t *v = json_array_get(again, i);
        double r = json_real_value(v);
        assert_true(json_is_real(v) && r == real[i] && signbit(r) == signbit(real[i]));
    }
    json_decref(root);
    json_decref(again);
}

/* ---- file/stream.h ---- */

static void add_gzip(struct text *out, const void *bytes, size_t n)
{
    uint8_t piece[1 << 16];
    z_stream z = { .next_in = (Bytef *)bytes, .avail_in = (unsigned)n };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    int status;
    do {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        status = deflate(&z, Z_FINISH);
        text_bytes(out, piece, sizeof piece - z.avail_out);
    } while (status == Z_OK);
    assert_int_equal(status, Z_STREAM_END);
    deflateEnd(&z);
}

/* Reads all of a stream in pieces of this size; returns the error. */
static int read_stream(struct text *out, const char *path, size_t piece)
{
    struct stream *s;
    char bytes[100];
    size_t n = 1;
    int failed = stream_open(&s, path);
    text_clear(out);
    while (!failed && n) {
        failed = stream_read(s, bytes, piece, &n);
        text_bytes(out, bytes, n);
    }
    if (!failed) assert_int_equal(stream_position(s), stream_size(s));
    stream_close(s);
    return failed;
}

static void plain_and_gzip(void **state)
{
    (void)state;
    struct text plain = { 0 }, gz = { 0 }, back = { 0 };
    for (int i = 0; i < 30000; i++) text_format(&plain, "line %d\n", i * i);
    assert_ok(file_write(at("plain"), plain.at, plain.size));
    add_gzip(&gz, plain.at, 100000);
    add_gzip(&gz, "", 0);
    add_gzip(&gz, plain.at + 100000, plain.size - 100000);
    assert_ok(file_write(at("gz"), gz.at, gz.size));
    for (size_t piece = 1; piece <= 100; piece += 33)
        for (int compressed = 0; compressed < 2; compressed++) {
            assert_ok(read_stream(&back, at(compressed ? "gz" : "plain"), piece));
            assert_int_equal(back.size, plain.size);
            assert_memory_equal(back.at, plain.at, plain.size);
        }
    for (size_t n = 0; n < 2; n++) {                         /* too short to be gzip */
        assert_ok(file_write(at("plain"), "\x1f\x8b", n));
        assert_ok(read_stream(&back, at("plain"), 100));
        assert_int_equal(back.size, n);
    }
    text_free(&plain);
    text_free(&gz);
    text_free(&back);
}

static void damaged_gzip(void **state)
{
    (void)state;
    struct text gz = { 0 }, back = { 0 };
    add_gzip(&gz, "one\n", 4);
    size_t first = gz.size;
    add_gzip(&gz, "two\n", 4);
    for (size_t n = 2; n < gz.size; n++) {
        if (n == first) continue;                            /* that is a whole file */
        assert_ok(file_write(at("cut"), gz.at, n));
        assert_fails(read_stream(&back, at("cut"), 100), E_DATA, "cut off after");
    }
    text_bytes(&gz, "\0\0", 2);
    assert_ok(file_write(at("cut"), gz.at, gz.size));
    assert_fails(read_stream(&back, at("cut"), 100), E_DATA, "what follows the compressed text is not gzip");
    gz.at[first - 6] ^= 1;                                   /* in the first member's CRC */
    assert_ok(file_write(at("cut"), gz.at, gz.size));
    assert_fails(read_stream(&back, at("cut"), 100), E_DATA, "damaged gzip: incorrect data check");
    assert_fails(read_stream(&back, at("none"), 100), E_IO, "No such file");
    assert_fails(read_stream(&back, folder, 100), E_IO, "Is a directory");
    text_free(&gz);
    text_free(&back);
}

static void assert_lines(const char *path, const char *const *wanted)
{
    struct stream *s;
    struct text line = { 0 };
    int got;
    assert_ok(stream_open(&s, path));
    for (; *wanted; wanted++) {
        assert_ok(stream_line(s, &line, 9, &got));
        assert_true(got);
        assert_string_equal(line.at, *wanted);
    }
    assert_ok(stream_line(s, &line, 9, &got));
    assert_false(got);
    stream_close(s);
    text_free(&line);
}

static void lines(void **state)
{
    (void)state;
    static const char text[] = "one\ntwo\r\n\n\r\nfour\rfour\n123456789\nlast\r";
    static const char *const wanted[] = { "one", "two", "", "", "four\rfour", "123456789", "last\r", NULL };
    struct text t = { 0 }, line = { 0 };
    struct stream *s;
    int got;
    write_text(at("lines"), text);
    assert_lines(at("lines"), wanted);
    add_gzip(&t, text, sizeof text - 1);
    assert_ok(file_write(at("lines"), t.at, t.size));
    assert_lines(at("lines"), wanted);
    text_clear(&t);
    for (int i = 0; i < 70000; i++) text_add(&t, "x");       /* longer than any buffer of the stream */
    text_add(&t, "\n1234567890");
    assert_ok(file_write(at("lines"), t.at, t.size));
    assert_ok(stream_open(&s, at("lines")));
    assert_ok(stream_line(s, &line, 70000, &got));
    assert_int_equal(line.size, 70000);
    assert_fails(stream_line(s, &line, 9, &got), E_DATA, "line 2 is longer than 9 bytes");
    stream_close(s);
    text_free(&t);
    text_free(&line);
}

static void standard_input(void **state)
{
    (void)state;
    struct text t = { 0 }, back = { 0 };
    int old = dup(STDIN_FILENO), ends[2];
    add_gzip(&t, "from a pipe\n", 12);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], t.at, t.size), (ssize_t)t.size);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct stream *s;
    int got;
    assert_ok(stream_open(&s, "-"));
    assert_int_equal(stream_size(s), 0);
    assert_ok(stream_line(s, &back, 100, &got));
    assert_string_equal(back.at, "from a pipe");
    stream_close(s);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD) < 0, 0);   /* it is not ours to close */
    dup2(old, STDIN_FILENO);
    close(old);
    text_free(&t);
    text_free(&back);
}

/* ---- file/fetch.h ---- */

static void last_progress(void *context, uint64_t now, uint64_t all)
{
    (void)all;
    *(uint64_t *)context = now;
}

static void fetch_files(void **state)
{
    (void)state;
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", wrong[] = "00";
    char url[PATH_SIZE + 8];
    uint64_t now = 0;
    assert_ok(dir_make(at("fetched")));
    write_text(at("abc"), "abc");
    write_text(at("fetched/a"), "old");
    snprintf(url, sizeof url, "file://%s", at("abc"));
    assert_fails(fetch(url, at("fetched/a"), wrong, "get it elsewhere", NULL, NULL), E_DATA, "was expected: nothing was kept; get it elsewhere");
    assert_holds(at("fetched/a"), "old");
    assert_ok(fetch(url, at("fetched/a"), abc, NULL, last_progress, &now));
    assert_holds(at("fetched/a"), "abc");
    assert_int_equal(now, 3);
    assert_ok(fetch(url, at("fetched/b"), NULL, NULL, NULL, NULL));
    strcat(url, "d");
    assert_fails(fetch(url, at("fetched/c"), NULL, "or not", NULL, NULL), E_IO, url);
    assert_fails(fetch(url, at("absent/c"), NULL, NULL, NULL, NULL), E_IO, "cannot create");
    assert_int_equal(names_in(at("fetched")), 2);
}

static void refused_urls(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "http://example.com/a", "ftp://localhost/a", "http://localhost.example.com/a", "http://localhost@example.com/a", "dict://localhost/a",
        "http://localhost:80@example.com/a", "no url", "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_fails(fetch(bad[i], at("a"), NULL, NULL, NULL, NULL), E_USAGE, bad[i]);
}

/* A server that answers each connection with one of these, by the path's first letter. */
static const struct { char path; const char *answer; } answers[] = {
    { 'o', "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes" },
    { 's', "HTTP/1.0 200 OK\r\nContent-Length: 30\r\n\r\nyes" },
    { 'g', "HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\nno" },
    { 'r', "HTTP/1.0 302 Found\r\nLocation: /o\r\nContent-Length: 2\r\n\r\nno" },
};
enum { ANSWERS = sizeof answers / sizeof *answers };

static void *serve(void *listener)
{
    for (int n = 0; n < ANSWERS; n++) {
        char request[1000] = "";
        int s = accept(*(int *)listener, NULL, NULL);
        ssize_t size = read(s, request, sizeof request - 1);
        for (int i = 0; i < ANSWERS && size > 5; i++)        /* "GET /o HTTP/1.1" */
            if (request[5] == answers[i].path) size = write(s, answers[i].answer, strlen(answers[i].answer));
        close(s);
    }
    return NULL;
}

static void http(void **state)
{
    (void)state;
    static const struct { char path; int code; const char *part; } wanted[] = {
        { 'o', 0, "" }, { 's', E_IO, "/s: " }, { 'g', E_IO, "/g: The requested URL returned error: 404" }, { 'r', E_IO, "/r: status 302" },
    };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    pthread_t server;
    char url[100];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pthread_create(&server, NULL, serve, &listener);
    assert_ok(dir_make(at("http")));
    for (int i = 0; i < ANSWERS; i++) {
        snprintf(url, sizeof url, "http://127.0.0.1:%d/%c", ntohs(address.sin_port), wanted[i].path);
        int code = fetch(url, at("http/a"), NULL, NULL, NULL, NULL);
        if (code != wanted[i].code || (code && !strstr(error_text(), wanted[i].part))) fail_msg("%s: %d: %s", url, code, error_text());
    }
    pthread_join(server, NULL);
    close(listener);
    assert_holds(at("http/a"), "yes");                       /* the first; nothing is left of the others */
    assert_int_equal(names_in(at("http")), 1);
    assert_fails(fetch(url, at("http/a"), NULL, NULL, NULL, NULL), E_IO, "Failed to connect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files), cmocka_unit_test(not_files), cmocka_unit_test(failed_writes), cmocka_unit_test(streams), cmocka_unit_test(checksums), cmocka_unit_test(sums), cmocka_unit_test(looks_and_sweeps), cmocka_unit_test(finite_numbers),
        cmocka_unit_test(paths), cmocka_unit_test(folders), cmocka_unit_test(locks), cmocka_unit_test(base64), cmocka_unit_test(json_texts), cmocka_unit_test(json_getters),
        cmocka_unit_test(json_files), cmocka_unit_test(plain_and_gzip), cmocka_unit_test(damaged_gzip), cmocka_unit_test(lines),
        cmocka_unit_test(standard_input), cmocka_unit_test(fetch_files), cmocka_unit_test(refused_urls), cmocka_unit_test(http),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
