/* test_formats.c -- what tensors and vocabularies are kept in: safetensors, pickles. */
#include "test.h"

#include "file/pickle.h"
#include "file/safetensors.h"
#include "folder.h"

/* ---- file/safetensors.h ---- */

static const enum dtype all_types[] = { F32, BF16, F16, F64, I32, I64, U16, U8 };
enum { TYPES = sizeof all_types / sizeof *all_types, TENSORS = 40 };

struct made { struct file_tensor t[TENSORS]; char name[TENSORS][24]; void *data[TENSORS]; int filled; };

static int fill_from(void *context, int i, void *buffer)
{
    struct made *m = context;
    memcpy(buffer, m->data[i], m->t[i].size);
    m->filled++;
    return 0;
}

static int fill_badly(void *context, int i, void *buffer)
{
    (void)context, (void)i, (void)buffer;
    FAIL(E_DIVERGED, "no such tensor");
}

static void make_tensor(struct made *m, int i, uint64_t *r)
{
    struct file_tensor *t = &m->t[i];
    snprintf(m->name[i], sizeof m->name[i], "h.%d.\"\xc3\xa4\\%d", roll(r, 10), i);
    *t = (struct file_tensor){ .name = m->name[i], .type = all_types[i % TYPES], .n_dims = roll(r, MAX_DIMS + 1) };
    t->size = dtype_size(t->type);
    for (int d = 0; d < t->n_dims; d++) {
        t->dim[d] = roll(r, 12) ? 1 + roll(r, 3) : 0;
        t->size *= (size_t)t->dim[d];
    }
    m->data[i] = malloc(t->size + 1);
    for (size_t b = 0; b < t->size; b++) ((uint8_t *)m->data[i])[b] = (uint8_t)dice(r);
    if (roll(r, 2)) t->data = m->data[i];
}

static void assert_same(const struct file_tensor *x, const struct file_tensor *t, const void *data)
{
    assert_non_null(x);
    assert_int_equal(x->type, t->type);
    assert_int_equal(x->n_dims, t->n_dims);
    assert_memory_equal(x->dim, t->dim, (size_t)t->n_dims * sizeof *t->dim);
    assert_int_equal(x->size, t->size);
    if (t->size) assert_memory_equal(x->data, data, t->size);
}

static void round_trip_of(uint64_t seed)
{
    static const char *const metadata[] = { "step", "7", "\xc3\xa9", "\n\"", NULL };
    struct made m = { 0 };
    struct tensors *s;
    char hex[65], whole[65];
    for (int i = 0; i < TENSORS; i++) make_tensor(&m, i, &seed);
    assert_ok(safetensors_write(at("it.safetensors"), m.t, TENSORS, metadata, fill_from, &m, hex));
    assert_ok(file_sha256(at("it.safetensors"), whole));
    assert_string_equal(hex, whole);
    assert_ok(safetensors_open(&s, at("it.safetensors")));
    assert_int_equal(tensors_count(s), TENSORS);
    for (int i = 0; i < TENSORS; i++) assert_same(tensors_find(s, m.name[i]), &m.t[i], m.data[i]);
    assert_int_equal((uintptr_t)tensors_at(s, 0)->data % 64, 0);                 /* maps begin at a page */
    assert_null(tensors_find(s, "h.0"));
    assert_string_equal(tensors_metadata(s, "format"), "pt");
    assert_string_equal(tensors_metadata(s, "\xc3\xa9"), "\n\"");
    assert_null(tensors_metadata(s, "Format"));
    tensors_close(s);
    for (int i = 0; i < TENSORS; i++) free(m.data[i]);
    assert_true(m.filled > 0);
}

static void round_trips(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) round_trip_of(seed);
}

/* The bytes that the reference writer makes of the same two tensors, but for spaces that pad the header to 64. */
static void written_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    const struct file_tensor t[] = {
        { .name = "u", .type = U8, .n_dims = 1, .dim = { 3 }, .data = bytes, .size = 3 },
        { .name = "b", .type = F32, .n_dims = 0, .data = bytes, .size = 4 },
        { .name = "a", .type = F32, .n_dims = 2, .dim = { 2, 0 }, .size = 0 },
    };
    const char *json = "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]},"
                       "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]}}";
    struct text x = { 0 };
    assert_ok(safetensors_write(at("x"), t, 3, NULL, NULL, NULL, NULL));
    assert_ok(file_read(at("x"), 1000, &x));
    size_t n = (uint8_t)x.at[0] | (size_t)(uint8_t)x.at[1] << 8;
    assert_int_equal((8 + n) % 64, 0);
    assert_int_equal(x.size, 8 + n + 7);
    assert_memory_equal(x.at + 8, json, strlen(json));
    assert_int_equal(strspn(x.at + 8 + strlen(json), " "), n - strlen(json));
    assert_memory_equal(x.at + 8 + n, "\1\2\3\4\1\2\3", 7);
    text_free(&x);
    write_text(at("x"), "old");
    struct file_tensor wrong = t[0];
    wrong.dim[0] = 4;
    assert_fails(safetensors_write(at("x"), &wrong, 1, NULL, NULL, NULL, NULL), E_DATA, "tensor u: its shape does not fit");
    wrong = t[1];
    wrong.name = "u";
    assert_fails(safetensors_write(at("x"), (struct file_tensor[]){ t[0], wrong }, 2, NULL, NULL, NULL, NULL), E_DATA, "two tensors named u");
    assert_fails(safetensors_write(at("x"), t, 1, (const char *[]){ "format", "tf", NULL }, NULL, NULL, NULL), E_DATA, "the key format twice");
    wrong.name = "\xff";
    assert_fails(safetensors_write(at("x"), &wrong, 1, NULL, NULL, NULL, NULL), E_MEMORY, "a name in it is not UTF-8");
    wrong = t[1];
    wrong.data = NULL;
    size_t before = names_in(folder);
    assert_fails(safetensors_write(at("x"), &wrong, 1, NULL, fill_badly, NULL, NULL), E_DIVERGED, "no such tensor");
    assert_int_equal(names_in(folder), before);
    assert_holds(at("x"), "old");
}

/* A file from a header's text, `data` bytes long behind it. */
static void st_bytes(struct text *out, const char *json, size_t data)
{
    uint64_t n = strlen(json);
    text_clear(out);
    text_bytes(out, &n, sizeof n);
    text_add(out, json);
    for (size_t i = 0; i < data; i++) text_bytes(out, "", 1);
}

static int st_parse(struct tensors **s, const struct text *t)
{
    return safetensors_parse(s, (const uint8_t *)t->at, t->size, "it");
}

#define ONE(shape, offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}}"
#define TWO(first, second) \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" first "]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" second "]}}"

static void hostile_headers(void **state)
{
    (void)state;
    static const struct { const char *json; size_t data; const char *part; } bad[] = {
        { TWO("0,4", "5,9"), 9, "tensor b: its data_offsets are 5, 9; the first should be 4" },
        { TWO("0,4", "3,7"), 7, "the first should be 4" },
        { TWO("0,4", "0,4"), 4, "the first should be 4" },
        { TWO("4,8", "8,12"), 12, "the first should be 0" },
        { TWO("0,4", "4,8"), 9, "1 bytes of data belong to no tensor" },
        { TWO("0,4", "4,8"), 7, "tensor b: ends at byte 8 of 7: the file is cut off" },
        { ONE("1", "4,0"), 4, "should be 0" },
        { ONE("2", "0,4"), 4, "its shape does not fit its 4 bytes" },
        { ONE("4611686018427387904,4", "0,0"), 0, "does not fit" },                  /* 2^62 * 4 * 4 wraps to 0 */
        { ONE("4294967296,4294967296,4294967296", "0,0"), 0, "does not fit" },
        { ONE("9223372036854775808,0", "0,0"), 0, "a dimension of 9223372036854775808" },
        { ONE("18446744073709551616", "0,0"), 0, "a smaller number was expected" },
        { ONE("1", "0,18446744073709551615"), 4, "does not fit" },
        { ONE("-1", "0,4"), 4, "a whole number" },
        { ONE("1.0", "0,4"), 4, "']'" },
        { ONE("01", "0,4"), 4, "a whole number" },
        { ONE("1,", "0,4"), 4, "a whole number" },
        { ONE("1,1,1,1,1,1,1,1,1", "0,4"), 4, "the end of the list" },
        { ONE("1", "0"), 4, "a second offset" },
        { ONE("1", "0,4,4"), 4, "the end of the list" },
        { "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a: its type F8_E4M3 is not supported" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"shape\":[]}}", 4, "\"shape\" is there twice" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"strides\":[]}}", 4, "\"strides\" is unknown" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "byte 38: ',' was expected" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
          "two tensors named a" },
        { "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "has the key k twice" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ is there twice" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "'\"' was expected" },
        { "{\"\xff\":{}}", 0, "UTF-8" },
        { "{\"a\\u0000\":{}}", 0, "UTF-8, without NUL" },
        { "{\"a", 0, "a JSON string" },
        { "{\"a\\", 0, "a JSON string" },
        { "[]", 0, "byte 8: '{' was expected" },
        { "{} {}", 0, "the end of the header was expected" },
        { "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, "'{' was expected" },
        { "", 0, "'{' was expected" },
    };
    struct text t = { 0 };
    struct tensors *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        st_bytes(&t, bad[i].json, bad[i].data);
        assert_fails(st_parse(&s, &t), E_DATA, bad[i].part);
        assert_null(s);
    }
    assert_fails(safetensors_parse(&s, (const uint8_t *)"1234567", 7, "it"), E_DATA, "too few");
    assert_fails(safetensors_parse(&s, (const uint8_t *)"\1\xe1\xf5\5\0\0\0\0{}", 10, "it"), E_DATA, "header of 100000001 bytes, at most");
    assert_fails(safetensors_parse(&s, (const uint8_t *)"\3\0\0\0\0\0\0\0{}", 10, "it"), E_DATA, "header of 3 bytes in a file of 10");
    assert_fails(safetensors_parse(&s, (const uint8_t *)"\7\0\0\0\0\0\0\0{\"a\0b\":", 15, "it"), E_DATA, "NUL bytes in its header");
    text_free(&t);
}

static void lenient_headers(void **state)
{
    (void)state;
    struct text t = { 0 };
    struct tensors *s;
    st_bytes(&t, " {\n\t\"m\" : { \"shape\" : [ 1 , 3 ] , \"data_offsets\" : [ 0 , 3 ],\"dtype\":\"BOOL\" } } \r\n", 3);
    assert_ok(st_parse(&s, &t));
    assert_int_equal(tensors_at(s, 0)->type, U8);
    assert_int_equal(tensors_at(s, 0)->dim[1], 3);
    assert_null(tensors_metadata(s, "format"));
    tensors_close(s);
    st_bytes(&t, "{}", 0);
    assert_ok(st_parse(&s, &t));
    assert_int_equal(tensors_count(s), 0);
    assert_null(tensors_find(s, "a"));
    tensors_close(s);
    st_bytes(&t, TWO("4,8", "0,4"), 8);                      /* in any order in the header */
    assert_ok(st_parse(&s, &t));
    assert_string_equal(tensors_at(s, 0)->name, "b");
    tensors_close(s);
    st_bytes(&t, TWO("0,4", "4,8"), 8);
    for (size_t n = 0; n < t.size; n++) assert_int_equal(safetensors_parse(&s, (const uint8_t *)t.at, n, "it"), E_DATA);
    text_free(&t);
}

static void many_tensors(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct text t = { 0 };
    struct tensors *s;
    char name[32];
    text_bytes(&t, "\0\0\0\0\0\0\0\0{", 9);
    for (int i = 0; i < MANY; i++)
        text_format(&t, "%s\"layer.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i, i + 1);
    text_add(&t, "}");
    uint64_t n = t.size - 8;
    for (int i = 0; i < MANY; i++) text_bytes(&t, "x", 1);
    memcpy(t.at, &n, sizeof n);
    assert_ok(st_parse(&s, &t));
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "layer.%d", i);
        assert_ptr_equal(tensors_find(s, name), tensors_at(s, i));
    }
    tensors_close(s);
    text_free(&t);
}

/* ---- file/pickle.h ---- */

static int parse(struct pickle **root, struct arena *memory, const void *bytes, size_t n)
{
    return pickle_parse(root, memory, bytes, n, NULL, "it");
}
#define PARSE(bytes) parse(&root, &memory, bytes, sizeof bytes - 1)

static void assert_string(const struct pickle *p, const char *wanted)
{
    assert_true(p && p->kind == PICKLE_STRING && p->size == strlen(wanted));
    assert_string_equal(p->string, wanted);
}

static void assert_int(const struct pickle *p, int64_t wanted)
{
    assert_true(p && p->kind == PICKLE_INT);
    assert_int_equal(p->integer, wanted);
}

static void assert_meta(const struct pickle *root)
{
    static const char *const symbol[] = { "\n", "a", "\xc3\xa9" };
    const struct pickle *itos = pickle_get(root, "itos"), *stoi = pickle_get(root, "stoi");
    assert_int(pickle_get(root, "vocab_size"), 3);
    assert_true(itos && itos->kind == PICKLE_DICT && itos->n == 6 && itos->depth == 1 && root->depth == 2);
    for (int i = 0; i < 3; i++) {
        assert_int(itos->item[2 * i], i);
        assert_string(itos->item[2 * i + 1], symbol[i]);
        assert_int(pickle_get(stoi, symbol[i]), i);
    }
    assert_null(pickle_get(root, "absent"));
    assert_null(pickle_get(root->item[1], "itos"));
    assert_null(pickle_get(NULL, "itos"));
}

/* {"vocab_size": 3, "itos": {0: "\n", 1: "a", 2: "\u00e9"}, "stoi": {...}}: by Python in two protocols, cut at every byte; by us. */
static void meta(void **state)
{
    (void)state;
    static const char *const files[] = { "tests/fuzz/pickle/meta2", "tests/fuzz/pickle/meta4" };
    static const char *const symbol[] = { "\n", "a", "\xc3\xa9" };
    struct pickle *root;
    for (int i = 0; i < 3; i++) {
        struct text t = { 0 };
        struct arena memory = { 0 };
        if (i < 2) assert_ok(file_read(files[i], 1000, &t));
        else pickle_write_meta(&t, symbol, 3);
        assert_ok(parse(&root, &memory, t.at, t.size));
        assert_meta(root);
        for (size_t n = 0; n < t.size; n++) assert_int_equal(parse(&root, &memory, t.at, n), E_DATA);
        arena_free(&memory);
        text_free(&t);
    }
}

/* [None, True, False, 1, 300, -1, 2**40, -2**62, 1.5, "s", b"by", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"k": [{}]}], protocol 5 */
static void kinds(void **state)
{
    (void)state;
    static const int64_t integer[] = { 1, 300, -1, (int64_t)1 << 40, -((int64_t)1 << 62) };
    struct text t = { 0 };
    struct arena memory = { 0 };
    struct pickle *root;
    assert_ok(file_read("tests/fuzz/pickle/kinds", 1000, &t));
    assert_ok(parse(&root, &memory, t.at, t.size));
    assert_true(root->kind == PICKLE_LIST && root->n == 17 && root->depth == 4);
    assert_true(root->item[0]->kind == PICKLE_NONE);
    assert_true(root->item[1]->kind == PICKLE_BOOL && root->item[1]->integer == 1);
    assert_true(root->item[2]->kind == PICKLE_BOOL && root->item[2]->integer == 0);
    for (int i = 0; i < 5; i++) assert_int(root->item[3 + i], integer[i]);
    assert_true(root->item[8]->kind == PICKLE_REAL && root->item[8]->real == 1.5);
    assert_string(root->item[9], "s");
    assert_string(root->item[10], "by");
    for (size_t i = 0; i < 5; i++) {
        const struct pickle *tuple = root->item[11 + i];
        assert_true(tuple->kind == PICKLE_TUPLE && tuple->n == i);
        if (i) assert_int(tuple->item[i - 1], (int64_t)i);
    }
    assert_true(pickle_get(root->item[16], "k")->kind == PICKLE_LIST);
    assert_ok(PARSE("\x80\x02}(X\1\0\0\0aK\1X\1\0\0\0aK\2u."));       /* the last of equal keys counts */
    assert_int(pickle_get(root, "a"), 2);
    assert_ok(PARSE("\x8a\0."));                             /* LONG1 of no bytes is 0 */
    assert_int(root, 0);
    arena_free(&memory);
    text_free(&t);
}

static void many_items(void **state)
{
    (void)state;
    enum { MANY = 2500 };                                    /* in batches of 1000, as pickle.dump writes them */
    struct text t = { 0 };
    struct arena memory = { 0 };
    struct pickle *root;
    text_add(&t, "]");
    for (int i = 0; i < MANY; i++) {
        if (i % 1000 == 0) text_add(&t, i ? "e(" : "(");
        text_bytes(&t, (char[]){ 'M', (char)i, (char)(i >> 8) }, 3);
    }
    text_add(&t, "eK\7a.");
    assert_ok(parse(&root, &memory, t.at, t.size));
    assert_int_equal(root->n, MANY + 1);
    for (int i = 0; i < MANY; i++) assert_int(root->item[i], i);
    assert_int(root->item[MANY], 7);
    arena_free(&memory);
    text_free(&t);
}

static void hostile_pickles(void **state)
{
    (void)state;
#define BAD(bytes, part) { bytes, sizeof bytes - 1, part }
    static const struct { const char *bytes; size_t n; const char *part; } bad[] = {
        BAD("\x80\x02" "cos\nsystem\n(X\2\0\0\0lstR.", "it: byte 2: GLOBAL: refused"),
        BAD("\x80\x04\x8c\2os\x8c\6system\x93.", "byte 14: STACK_GLOBAL: refused"),
        BAD("])R.", "byte 2: REDUCE: refused"),
        BAD("]}b.", "byte 2: BUILD: refused"),
        BAD("(ios\nsystem\n.", "INST: refused"),
        BAD("(]o.", "OBJ: refused"),
        BAD("])\x81.", "NEWOBJ: refused"),
        BAD("P1\n.", "PERSID: refused"),
        BAD("\x82\1.", "EXT1: refused"),
        BAD("I01\n.", "INT: refused"),
        BAD("]q\0h\0a.", "byte 3: BINGET: a list, tuple or dict that is there twice or contains itself"),
        BAD("]q\0(]h\0a.", "BINGET: a list"),
        BAD("]q\0K\1\x85q\1h\0.", "BINGET: a list"),
        BAD("h\0.", "BINGET: nothing was stored there"),
        BAD("j\xff\xff\xff\xff.", "LONG_BINGET: nothing was stored"),
        BAD("]r\xff\xff\xff\xff.", "LONG_BINPUT: a place"),
        BAD("q\0.", "BINPUT: there is no value to store"),
        BAD("(\x94.", "MEMOIZE: there is no value"),
        BAD("X\xff\xff\xff\xff" "a.", "BINUNICODE: the file is cut off"),
        BAD("\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", "BINUNICODE8: the file is cut off"),
        BAD("\x95\xff\0\0\0\0\0\0\0N.", "FRAME: the file is cut off"),
        BAD("\x8a\x09\1\1\1\1\1\1\1\1\1.", "LONG1: an integer of more than 64 bits"),
        BAD("K\1a.", "APPEND: there is no list"),
        BAD("a.", "APPEND: too few values"),
        BAD("](a.", "APPEND: too few values"),
        BAD("]K\1e.", "APPENDS: no mark"),
        BAD("}(K\1u.", "SETITEMS: a key without a value"),
        BAD("](K\1K\2u.", "SETITEMS: there is no dict"),
        BAD("}K\1s.", "SETITEM: there is no dict"),
        BAD("K\1\x86.", "TUPLE2: too few values"),
        BAD("NN.", "STOP: there is not exactly one value"),
        BAD("(.", "STOP: there is not exactly one value"),
        BAD(".", "STOP: there is not exactly one value"),
        BAD("N.N.", "byte 1: STOP: bytes follow the end"),
        BAD("\x80\6N.", "PROTO: only protocols 2 to 5"),
        BAD("\xff", "byte 0: 0xff is no opcode"),
        BAD("", "byte 0: no STOP"),
        BAD("N", "byte 1: no STOP"),
    };
    struct arena memory = { 0 };
    struct pickle *root;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(parse(&root, &memory, bad[i].bytes, bad[i].n), E_DATA, bad[i].part);
        assert_null(root);
    }
    for (int depth = PICKLE_DEPTH; depth <= PICKLE_DEPTH + 1; depth++) {
        char deep[2 * PICKLE_DEPTH + 2];
        memset(deep, ']', (size_t)depth);
        memset(deep + depth, 'a', (size_t)depth - 1);
        deep[2 * depth - 1] = '.';
        if (depth == PICKLE_DEPTH) assert_ok(parse(&root, &memory, deep, (size_t)(2 * depth)));
        else assert_fails(parse(&root, &memory, deep, (size_t)(2 * depth)), E_DATA, "APPEND: lists, tuples and dicts nested deeper than 64");
    }
    arena_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(written_bytes), cmocka_unit_test(hostile_headers), cmocka_unit_test(lenient_headers),
        cmocka_unit_test(many_tensors), cmocka_unit_test(meta), cmocka_unit_test(kinds), cmocka_unit_test(many_items),
        cmocka_unit_test(hostile_pickles),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
