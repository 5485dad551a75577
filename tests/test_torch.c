/* test_torch.c -- ZIP archives and what torch.save puts into them: written and read, and read though they lie.  That PyTorch reads ours
 * and we its is checked by tests/twin/check_files.py. */
#define _GNU_SOURCE                                          /* memmem */
#include "file/torch.h"

#include "base/error.h"
#include "folder.h"

/* ---- file/zip.h ---- */

static void put_archive(struct text *bytes, const char *path)
{
    struct zip_writer z;
    assert_ok(zip_create(&z, path));
    assert_ok(zip_put(&z, "a/one", "1", 1));
    assert_ok(zip_put(&z, "a/none", "", 0));
    assert_ok(zip_put(&z, "b", "two and more", 12));
    assert_ok(zip_commit(&z));
    zip_discard(&z);
    text_clear(bytes);
    assert_ok(file_read(path, 1 << 20, bytes));
}

static int parse(struct zip *z, struct arena *memory, const struct text *t) { return zip_parse(z, memory, (const uint8_t *)t->at, t->size, "it"); }

static void archives(void **state)
{
    struct text t = { 0 };
    struct arena memory = { 0 };
    struct zip z;
    (void)state;
    put_archive(&t, at("it.zip"));
    assert_ok(parse(&z, &memory, &t));
    assert_int_equal(z.n, 3);
    const struct zip_entry *one = zip_find(&z, "a/one"), *none = zip_find(&z, "a/none"), *two = zip_find(&z, "b");
    assert_true(one && one->size == 1 && *one->data == '1' && none && none->size == 0 && two && two->size == 12 && !memcmp(two->data, "two and more", 12));
    for (size_t i = 0; i < z.n; i++) assert_int_equal((z.entry[i].data - (const uint8_t *)t.at) % 64, 0);
    assert_null(zip_find(&z, "a"));
    for (size_t n = 0; n < t.size; n++) {                    /* cut off anywhere */
        struct text cut = { .at = t.at, .size = n };
        assert_int_equal(parse(&z, &memory, &cut), E_DATA);
    }
    arena_free(&memory);
    text_free(&t);
}

/* The bytes behind a mark, from the last of them on. */
static char *behind(struct text *t, const char *mark, size_t at)
{
    char *found = NULL;
    for (char *p = t->at; (p = memmem(p, t->size - (size_t)(p - t->at), mark, 4)); p++) found = p;
    assert_non_null(found);
    return found + at;
}

/* Each of these fields of the last record, of the last file's header or of the end is another. */
static void archives_that_lie(void **state)
{
    static const struct { const char *mark; size_t at, n; uint64_t value; const char *says; } lies[] = {
        { "PK\1\2", 8, 2, 1, "compressed or encrypted" }, { "PK\1\2", 10, 2, 8, "compressed or encrypted" }, { "PK\1\2", 20, 4, 11, "compressed or encrypted" },
        { "PK\1\2", 42, 4, 0xfffffff0, "cut off or damaged" }, { "PK\1\2", 28, 2, 0xffff, "cut off or damaged" }, { "PK\1\2", 30, 2, 0xffff, "cut off or damaged" },
        { "PK\3\4", 26, 2, 0xffff, "cut off or damaged" }, { "PK\3\4", 0, 4, 0, "cut off or damaged" }, { "PK\5\6", 10, 2, 4, "cut off or damaged" },
        { "PK\5\6", 10, 2, 0xffff, "cut off or damaged" }, { "PK\5\6", 12, 4, 0xffffffff, "cut off or damaged" }, { "PK\5\6", 16, 4, 0xffffffff, "cut off or damaged" },
        { "PK\5\6", 0, 4, 0, "no ZIP archive" }, { "PK\1\2", 46, 1, 'c', "says something else" }, { "PK\1\2", 8, 2, 2, "says something else" }, { "PK\3\4", 22, 4, 11, "says something else" },
        { "PK\3\4", 8, 2, 8, "says something else" }, { "PK\1\2", 42, 4, 0, "says something else" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct text t = { 0 };
        struct arena memory = { 0 };
        struct zip z;
        put_archive(&t, at("it.zip"));
        memcpy(behind(&t, lies[i].mark, lies[i].at), &lies[i].value, lies[i].n);
        assert_fails(parse(&z, &memory, &t), E_DATA, lies[i].says);
        arena_free(&memory);
        text_free(&t);
    }
}

/* Sizes and places of 64 bits, some of which wrap: believed only where they lie within the bytes. */
static void archives_of_64_bits(void **state)
{
    static const struct { uint64_t size, header; int ok; } cases[] = {
        { 12, 0, 1 }, { UINT64_MAX, 0, 0 }, { 12, UINT64_MAX, 0 }, { 12, UINT64_MAX - 29, 0 }, { UINT64_MAX - 40, 0, 0 }, { (uint64_t)1 << 63, (uint64_t)1 << 63, 0 },
        { 13, 0, 0 },                                        /* with a byte of what follows */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text t = { 0 };
        struct arena memory = { 0 };
        struct zip z;
        const uint32_t sizes[2] = { UINT32_MAX, UINT32_MAX };
        text_bytes(&t, "PK\3\4\55\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\1\0\0\0" "btwo and more", 30 + 13);
        uint64_t directory = t.size, extra[3] = { cases[i].size, cases[i].size, cases[i].header };
        text_bytes(&t, "PK\1\2\55\0\55\0\0\0\0\0\0\0\0\0" "\0\0\0\0", 20), text_bytes(&t, sizes, 8);
        text_bytes(&t, "\1\0\34\0\0\0\0\0\0\0\0\0\0\0" "\xff\xff\xff\xff" "b\1\0\30\0", 14 + 4 + 5), text_bytes(&t, extra, 24);
        uint64_t size = t.size - directory, end = t.size, one = 1;
        text_bytes(&t, "PK\6\6\54\0\0\0\0\0\0\0\55\0\55\0\0\0\0\0\0\0\0\0", 24);
        text_bytes(&t, &one, 8), text_bytes(&t, &one, 8), text_bytes(&t, &size, 8), text_bytes(&t, &directory, 8);
        text_bytes(&t, "PK\6\7\0\0\0\0", 8), text_bytes(&t, &end, 8), text_bytes(&t, "\1\0\0\0", 4);
        text_bytes(&t, "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 22);
        int code = parse(&z, &memory, &t);
        if (code != (cases[i].ok ? 0 : E_DATA)) fail_msg("case %zu: %d, %s", i, code, error_text());
        if (cases[i].ok) assert_memory_equal(zip_find(&z, "b")->data, "two and more", 12);
        arena_free(&memory);
        text_free(&t);
    }
}

static void one_name_twice(void **state)
{
    struct zip_writer w;
    struct text t = { 0 };
    struct arena memory = { 0 };
    struct zip z;
    (void)state;
    assert_ok(zip_create(&w, at("twice.zip")));
    assert_ok(zip_put(&w, "a/data.pkl", "1", 1));
    assert_ok(zip_put(&w, "a/data.pkl", "2", 1));
    assert_ok(zip_commit(&w));
    zip_discard(&w);
    assert_ok(file_read(at("twice.zip"), 1 << 20, &t));
    assert_fails(parse(&z, &memory, &t), E_DATA, "two files named a/data.pkl");
    arena_free(&memory);
    text_free(&t);
}

/* A byte of the tensor, or of the pickle, is another: damaged, unless the directory says that no checksum was computed (0). */
static void checksums(void **state)
{
    static const char *const parts[] = { "ABCD", "storage" };
    const struct file_tensor one = { .type = U8, .n_dims = 1, .dim = { 4 }, .data = "ABCD", .size = 4 };
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct text p = { 0 }, t = { 0 };
        struct torch file;
        pickle_begin(&p), pickle_open_dict(&p), pickle_put_string(&p, "x"), torch_put(&p, &one, 0), pickle_close_dict(&p), pickle_end(&p);
        assert_ok(torch_write(at("sum.pt"), &p, &one, 1, NULL, NULL));
        assert_ok(file_read(at("sum.pt"), 1 << 20, &t));
        if (i < 3) *(char *)memmem(t.at, t.size, parts[i % 2], 4) ^= 32;
        for (char *r = t.at; i == 2 && (r = memmem(r, t.size - (size_t)(r - t.at), "PK\1\2", 4)); r++) memset(r + 16, 0, 4);
        int code = torch_parse(&file, (const uint8_t *)t.at, t.size, "it");
        if (!code) code = torch_add(&file, file.root), torch_close(&file);
        assert_int_equal(code, i < 2 ? E_DATA : 0);
        if (code) assert_non_null(strstr(error_text(), "another checksum"));
        text_free(&p);
        text_free(&t);
    }
}

/* ---- file/torch.h ---- */

static const float numbers[12] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

/* {"x": <what is given>}, and numbers in data/0. */
static void save(const char *path, const char *value, size_t n)
{
    struct text p = { 0 };
    const struct file_tensor t = { .type = F32, .n_dims = 1, .dim = { 12 }, .data = numbers, .size = sizeof numbers };
    pickle_begin(&p);
    pickle_open_dict(&p);
    pickle_put_string(&p, "x");
    text_bytes(&p, value, n);
    pickle_close_dict(&p);
    pickle_end(&p);
    assert_ok(torch_write(path, &p, &t, 1, NULL, NULL));
    text_free(&p);
}

#define STORAGE(class, key) "((X\7\0\0\0storagectorch\n" class "\nX\1\0\0\0" key "X\3\0\0\0cpuK\14tQ"
#define TENSOR(rest) "ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("FloatStorage", "0") rest "\x89" "ccollections\nOrderedDict\n)RtR"
#define SAVE(value) save(at("it.pt"), value, sizeof value - 1)

/* The tensor x of the file, or the code. */
static int read_x(struct torch *t, const struct file_tensor **x)
{
    TRY(torch_open(t, at("it.pt")));
    int code = torch_add(t, t->root);
    if (code) torch_close(t);
    else *x = tensors_find(t->tensors, "x");
    return code;
}

static void assert_x(int n_dims, int64_t rows, int64_t cols, const float *wanted, size_t n)
{
    struct torch t;
    const struct file_tensor *x = NULL;
    assert_ok(read_x(&t, &x));
    assert_true(x && x->type == F32 && x->n_dims == n_dims && x->size == n * sizeof *wanted);
    if (n_dims > 0) assert_int_equal(x->dim[0], rows);
    if (n_dims > 1) assert_int_equal(x->dim[1], cols);
    if (n) assert_memory_equal(x->data, wanted, x->size);
    torch_close(&t);
}

static void views(void **state)
{
    (void)state;
    SAVE(TENSOR("K\0K\3K\4\x86K\4K\1\x86"));                 /* (3, 4) as it lies */
    assert_x(2, 3, 4, numbers, 12);
    SAVE(TENSOR("K\0K\4K\3\x86K\1K\4\x86"));                 /* turned */
    assert_x(2, 4, 3, (float[]){ 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11 }, 12);
    SAVE(TENSOR("K\1K\2K\2\x86K\4K\2\x86"));                 /* every other column, from the second on */
    assert_x(2, 2, 2, (float[]){ 1, 3, 5, 7 }, 4);
    SAVE(TENSOR("K\5))"));                                   /* a scalar */
    assert_x(0, 0, 0, (float[]){ 5 }, 1);
    SAVE(TENSOR("K\0K\0K\4\x86K\4K\1\x86"));                 /* nothing */
    assert_x(2, 0, 4, NULL, 0);
    SAVE("ctorch._utils\n_rebuild_parameter\n(" TENSOR("K\2K\3\x85K\1\x85") "\x88" "ccollections\nOrderedDict\n)RtR");
    assert_x(1, 3, 0, (float[]){ 2, 3, 4 }, 3);
    SAVE(TENSOR("K\0ctorch\nSize\n(K\2\x85tRK\1\x85"));
    assert_x(1, 2, 0, numbers, 2);
}

/* Out of their storage, more elements than that has, numbers that wrap; storages that are not there or of no kind; values that are no
 * tensors; and whatever would call something. */
static void tensors_that_lie(void **state)
{
#define LIE(value, says) { value, sizeof value - 1, says }
#define HUGE_ "\x8a\x8\0\0\0\0\0\0\0\x40"                    /* 2^62 */
    static const struct { const char *value; size_t n; const char *says; } lies[] = {
        LIE(TENSOR("K\1K\3K\4\x86K\4K\1\x86"), "does not lie in its storage"),
        LIE(TENSOR("K\0K\3K\4\x86K\5K\1\x86"), "does not lie in its storage"),
        LIE(TENSOR("K\0K\14K\2\x86K\0K\0\x86"), "does not lie in its storage"),          /* one number, many times */
        LIE(TENSOR("K\0" HUGE_ HUGE_ "\x86K\1K\1\x86"), "does not lie in its storage"),
        LIE(TENSOR("K\0K\2K\2\x86" HUGE_ HUGE_ "\x86"), "does not lie in its storage"),
        LIE(TENSOR(HUGE_ "K\2K\2\x86K\1K\1\x86"), "does not lie in its storage"),
        LIE(TENSOR("K\0K\2\x85K\1K\1\x86"), "does not lie in its storage"),
        LIE(TENSOR("K\0J\xff\xff\xff\xff\x85K\1\x85"), "not up to eight numbers"),
        LIE(TENSOR("K\0K\1\x85J\xff\xff\xff\xff\x85"), "not up to eight numbers"),
        LIE(TENSOR("K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"), "not up to eight numbers"),
        LIE(TENSOR("J\xff\xff\xff\xffK\1\x85K\1\x85"), "a tensor was expected"),
        LIE(TENSOR("NK\1\x85K\1\x85"), "a tensor was expected"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("FloatStorage", "7") "K\0))\x89NtR", "data/7 is missing"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("QInt8Storage", "0") "K\0))\x89NtR", "torch.QInt8Storage is not known here"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n" STORAGE("Size", "0") "K\0))\x89NtR", "a storage of class torch Size"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n(NK\0))\x89NtR", "a tensor without a storage"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n(NQK\0))\x89NtR", "a tensor without a storage"),
        LIE("ctorch._utils\n_rebuild_tensor_v2\n)R", "a tensor was expected"),
        LIE("K\1", "a tensor was expected"),
        LIE("}", "a tensor was expected"),
        LIE("cos\nsystem\n(X\1\0\0\0:tR", "GLOBAL: os.system is not known here, and nothing is executed"),
        LIE("X\2\0\0\0osX\6\0\0\0system\x93", "STACK_GLOBAL: os.system is not known here"),
        LIE("ctorch\nload\n", "torch.load is not known here"),
        LIE("ccollections\nOrderedDict\n(K\1tR", "arguments of a dict"),
        LIE("NK\1R", "a name and its arguments were expected"),
        LIE("K\1}b", "no value that could have attributes"),
        LIE("c\n\n", "is not known here"),
        LIE("(K\1tq\0(h\0tq\1h\1", "there twice or contains itself"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct torch t;
        const struct file_tensor *x;
        save(at("it.pt"), lies[i].value, lies[i].n);
        assert_fails(read_x(&t, &x), E_DATA, lies[i].says);
    }
}

/* One tuple, as the two groups of an optimizer share their betas: there again, but not without end. */
static void shared_tuples(void **state)
{
    struct text p = { 0 };
    struct torch t;
    (void)state;
    SAVE("}(X\1\0\0\0aG?\xf0\0\0\0\0\0\0K\2\x86q\5X\1\0\0\0bh\5u");
    assert_ok(torch_open(&t, at("it.pt")));
    const struct pickle *x = pickle_get(t.root, "x"), *a = pickle_get(x, "a"), *b = pickle_get(x, "b");
    assert_true(a == b && a->kind == PICKLE_TUPLE && a->n == 2 && a->item[0]->real == 1);
    torch_close(&t);
    text_add(&p, "](");
    for (int i = 0; i < 100; i++) text_add(&p, "K\1");
    text_add(&p, "tq\1");
    text_bytes(&p, "(", 1);
    for (int i = 0; i < 100; i++) text_add(&p, "h\1");
    text_add(&p, "t\x86");
    save(at("it.pt"), p.at, p.size);
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "one tuple is there too often");
    text_free(&p);
}

static void put_files(const char *const *name_and_text)
{
    struct zip_writer z;
    assert_ok(zip_create(&z, at("it.pt")));
    for (; *name_and_text; name_and_text += 2) assert_ok(zip_put(&z, name_and_text[0], name_and_text[1], strlen(name_and_text[1])));
    assert_ok(zip_commit(&z));
    zip_discard(&z);
}

static void other_files(void **state)
{
    struct torch t;
    (void)state;
    put_files((const char *const[]){ "word/document.xml", "<w/>", NULL });
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "not by torch.save");
    put_files((const char *const[]){ "data.pkl", "N.", NULL });              /* in no folder */
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "not by torch.save");
    put_files((const char *const[]){ "a/data.pkl", "N.", "a/byteorder", "big", NULL });
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "big-endian");
    put_files((const char *const[]){ "a/data.pkl", "N.", NULL });
    assert_ok(torch_open(&t, at("it.pt")));
    assert_fails(torch_add(&t, t.root), E_DATA, "a state dict was expected");
    torch_close(&t);
    assert_ok(file_write(at("it.pt"), "\x80\2}q\0.", 6));
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "older than 1.6");
    assert_ok(file_write(at("it.pt"), "", 0));
    assert_fails(torch_open(&t, at("it.pt")), E_DATA, "no ZIP archive");
    assert_int_equal(torch_open(&t, at("absent.pt")), E_IO);
}

static void written_numbers(void **state)
{
    static const int64_t integers[] = { 0, -1, INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1, INT64_MIN, INT64_MAX };
    struct arena memory = { 0 };
    struct text p = { 0 };
    struct pickle *root;
    (void)state;
    pickle_begin(&p);
    text_add(&p, "(");
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) pickle_put_int(&p, integers[i]);
    pickle_put_real(&p, -0.1);
    pickle_put_bool(&p, 1);
    text_add(&p, "t");
    pickle_end(&p);
    assert_ok(pickle_parse(&root, &memory, (const uint8_t *)p.at, p.size, NULL, "it"));
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) assert_true(root->item[i]->kind == PICKLE_INT && root->item[i]->integer == integers[i]);
    assert_true(root->item[7]->real == -0.1 && root->item[8]->kind == PICKLE_BOOL && root->item[8]->integer == 1);
    arena_free(&memory);
    text_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives), cmocka_unit_test(archives_that_lie), cmocka_unit_test(archives_of_64_bits), cmocka_unit_test(one_name_twice), cmocka_unit_test(checksums), cmocka_unit_test(views),
        cmocka_unit_test(tensors_that_lie), cmocka_unit_test(shared_tuples), cmocka_unit_test(other_files), cmocka_unit_test(written_numbers),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
