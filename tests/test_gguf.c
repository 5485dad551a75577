/* test_gguf.c -- numbers in blocks, and GGUF files: written and read, and read though they lie.  That gguf's package and we agree is checked
 * by tests/twin/check_files.py. */
#define _GNU_SOURCE                                          /* memmem */
#include "file/gguf.h"

#include <math.h>
#include <zlib.h>

#include "base/quantize.h"
#include "base/error.h"
#include "folder.h"

/* ---- base/quantize.h: checksums of what the quants of the gguf package make of the same numbers ---- */

static uint32_t sum_of(const void *bytes, size_t n) { return (uint32_t)crc32_z(0, bytes, n); }

static void narrowed(void **state)
{
    static const struct { enum dtype blocks; uint32_t sum; } golden[] = { { Q8_0, 0xe1c6a51a }, { Q4_0, 0x72bd12d3 } };
    float x[64], back[64];
    uint8_t q[68];
    (void)state;
    for (int i = 0; i < 64; i++) x[i] = (float)(((i * 37) % 64 - 31) / 17.0);
    x[3] = 0;
    for (size_t k = 0; k < 2; k++) {
        enum dtype b = golden[k].blocks;
        quantize(b, x, q, 64);
        assert_int_equal(sum_of(q, dtype_bytes(b, 64)), golden[k].sum);
        dequantize(b, q, back, 64);
        for (int i = 0; i < 64; i++) assert_true(fabsf(back[i] - x[i]) <= (b == Q8_0 ? 0.0085f : 0.2f));         /* half of a step of 32 / 17 / 127, and a scale of 11 bits; Q4_0 clips one end, too */
        memset(x, 0, sizeof x);
        quantize(b, x, q, 64);
        dequantize(b, q, back, 64);
        for (int i = 0; i < 64; i++) assert_true(back[i] == 0);
        for (int i = 0; i < 64; i++) x[i] = (float)(((i * 37) % 64 - 31) / 17.0);
        x[3] = 0;
    }
}

static void widened(void **state)
{
    static const struct { enum dtype blocks; int halves, half[2]; uint32_t sum; } golden[] = {
        { Q8_0, 1, { 0 }, 0x688759c5 }, { Q4_0, 1, { 0 }, 0xf24233c4 }, { Q5_0, 1, { 0 }, 0xd7f9fea0 }, { Q5_1, 2, { 0, 2 }, 0xe967a2b8 },
        { Q4_K, 2, { 0, 2 }, 0x3e297679 }, { Q5_K, 2, { 0, 2 }, 0x50def77a }, { Q6_K, 1, { 208 }, 0x5b96bc3e },
    };
    (void)state;
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
        enum dtype b = golden[k].blocks;
        size_t size = dtype_size(b), n = 3 * dtype_values(b);
        uint8_t bytes[3 * 210];
        float y[3 * 256];
        uint32_t s = 1;
        for (size_t i = 0; i < 3 * size; i++) s = (s * 1103515245u + 12345) & 0x7fffffff, bytes[i] = (uint8_t)(s >> 16);
        for (int i = 0; i < 3; i++)
            for (int h = 0; h < golden[k].halves; h++) {
                uint8_t *upper = &bytes[(size_t)i * size + (size_t)golden[k].half[h] + 1];
                *upper = (*upper & 0x83) | 0x24;             /* a half of a sane size */
            }
        dequantize(b, bytes, y, n);
        if (sum_of(y, n * sizeof *y) != golden[k].sum) fail_msg("%s: %g %g %g %g %g", dtype_name(b), (double)y[0], (double)y[1], (double)y[17], (double)y[31], (double)y[n - 1]);
    }
}

/* Every half there is comes back, and what lies between two goes to the nearer, of equals to the even one. */
static void halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float f = f16_to_f32((uint16_t)h), next = h == 0x7bff ? 65536 : f16_to_f32((uint16_t)(h + 1)), middle = (f + next) / 2;
        assert_int_equal(f32_to_f16(f), h);
        assert_int_equal(f32_to_f16(-f), h | 0x8000);
        assert_int_equal(f32_to_f16(middle), h % 2 ? h + 1 : h);
        assert_int_equal(f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
}

/* ---- file/gguf.h ---- */

static const int32_t ints[] = { 1, -2, 3 };
static const struct gguf_bytes texts[] = { { "one", 3 }, { "", 0 }, { "a\0b", 3 } };

static int fill(void *context, size_t i, void *buffer)
{
    (void)context;
    if (i == 0) memcpy(buffer, (float[]){ 1, 2, 3, 4, 5, 6 }, 24);
    if (i == 1) quantize(Q8_0, (const float[64]){ [7] = 1 }, buffer, 64);
    return 0;
}

static void write_file(struct text *bytes)
{
    struct gguf_keys k = { 0 };
    const struct file_tensor t[] = {
        { .name = "plain", .type = F32, .n_dims = 2, .dim = { 2, 3 } }, { .name = "blocks", .type = Q8_0, .n_dims = 2, .dim = { 2, 32 } }, { .name = "empty", .type = F16, .n_dims = 1, .dim = { 0 } },
    };
    gguf_put_text(&k, "text", "some");
    gguf_put_int(&k, "int", 7);
    gguf_put_real(&k, "real", 0.5f);
    gguf_put_bool(&k, "bool", 1);
    gguf_put_ints(&k, "ints", ints, 3);
    gguf_put_texts(&k, "texts", texts, 3);
    assert_ok(gguf_write(at("it.gguf"), &k, t, 3, fill, NULL));
    text_free(&k.text);
    text_clear(bytes);
    assert_ok(file_read(at("it.gguf"), 1 << 20, bytes));
}

static int parse(struct gguf **g, const struct text *t) { return gguf_parse(g, (const uint8_t *)t->at, t->size, "it"); }

static void round_trip(void **state)
{
    struct text t = { 0 };
    struct gguf *g;
    int64_t n;
    double r;
    int b;
    const char *text;
    const struct gguf_bytes *list;
    const int32_t *numbers;
    const float *reals;
    size_t count;
    (void)state;
    write_file(&t);
    assert_ok(parse(&g, &t));
    assert_ok(gguf_text(g, "text", &text));
    assert_string_equal(text, "some");
    assert_ok(gguf_int(g, "int", 0, 9, &n));
    assert_int_equal(n, 7);
    assert_ok(gguf_real(g, "real", &r));
    assert_true(r == 0.5);
    assert_ok(gguf_bool(g, "bool", &b));
    assert_int_equal(b, 1);
    assert_ok(gguf_ints(g, "ints", &numbers, &count));
    assert_true(count == 3 && !memcmp(numbers, ints, sizeof ints));
    assert_ok(gguf_texts(g, "texts", &list, &count));
    assert_true(count == 3 && list[0].size == 3 && list[1].size == 0 && !memcmp(list[2].at, "a\0b", 3));
    assert_fails(gguf_int(g, "int", 8, 9, &n), E_DATA, "int is 7, not in 8 to 9");
    assert_fails(gguf_int(g, "text", 0, 9, &n), E_DATA, "text is of another type; a whole number is needed");
    assert_fails(gguf_int(g, "bool", 0, 9, &n), E_DATA, "bool is of another type");
    assert_fails(gguf_int(g, "absent", 0, 9, &n), E_DATA, "absent is missing");
    assert_fails(gguf_text(g, "int", &text), E_DATA, "a text is needed");
    assert_fails(gguf_real(g, "int", &r), E_DATA, "a real number is needed");
    assert_fails(gguf_bool(g, "int", &b), E_DATA, "true or false is needed");
    assert_fails(gguf_texts(g, "ints", &list, &count), E_DATA, "an array of texts is needed");
    assert_fails(gguf_ints(g, "texts", &numbers, &count), E_DATA, "an array of whole numbers is needed");
    assert_fails(gguf_reals(g, "ints", &reals, &count), E_DATA, "an array of real numbers is needed");
    assert_int_equal(gguf_count(g), 3);
    const struct file_tensor *plain = gguf_find(g, "plain"), *blocks = gguf_find(g, "blocks");
    assert_true(plain && plain->dim[0] == 2 && plain->dim[1] == 3 && plain->size == 24 && ((const float *)plain->data)[5] == 6);
    assert_true(blocks && blocks->type == Q8_0 && blocks->size == 68 && !gguf_find(g, "x"));
    struct file_tensor wide = *blocks;
    struct arena memory = { 0 };
    assert_ok(file_tensor_widen(&wide, &memory));
    assert_true(wide.type == F32 && wide.size == 256 && ((const float *)wide.data)[8] == 0);
    assert_float_equal(((const float *)wide.data)[7], 1, 1e-3);
    assert_ok(file_tensor_turn(&wide, &memory));
    assert_true(wide.turned && wide.dim[0] == 32 && wide.dim[1] == 2);
    assert_float_equal(((const float *)wide.data)[14], 1, 1e-3);
    arena_free(&memory);
    gguf_close(g);
    for (size_t i = 0; i < t.size - 28; i++) {               /* cut off anywhere before the padding of what is last */
        struct text cut = { .at = t.at, .size = i };
        assert_int_equal(parse(&g, &cut), E_DATA);
        assert_null(g);
    }
    text_free(&t);
}

/* Bytes of a file that are others, found behind a mark. */
static void files_that_lie(void **state)
{
#define HUGE_ "\0\0\0\0\0\0\0\x40"
    static const struct { const char *mark; size_t n, at; const char *bytes; size_t m; const char *says; } lies[] = {
        { "GGUF", 4, 0, "GGML", 4, "no GGUF file" }, { "GGUF", 4, 4, "\1\0\0\0", 4, "GGUF version 1" }, { "GGUF", 4, 4, "\0\0\0\3", 4, "big-endian" },
        { "GGUF", 4, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "cut off" }, { "GGUF", 4, 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "cut off" }, { "GGUF", 4, 8, HUGE_, 8, "cut off" },
        { "\4\0\0\0\0\0\0\0text", 12, 0, HUGE_, 8, "a text of 4611686018427387904 bytes" }, { "\4\0\0\0\0\0\0\0text", 12, 0, "\0\0\0\0\0\0\0\0", 8, "a name that is empty" },
        { "\4\0\0\0\0\0\0\0text", 12, 9, "\0", 1, "a NUL in it" }, { "\4\0\0\0\0\0\0\0text", 12, 12, "\x0d", 1, "a value of type 13" }, { "\4\0\0\0\0\0\0\0text", 12, 8, "bool", 4, "the key bool is there twice" },
        { "\4\0\0\0\0\0\0\0ints", 12, 16, "\x09", 1, "an array of arrays" }, { "\4\0\0\0\0\0\0\0ints", 12, 16, "\x0e", 1, "a value of type 14" }, { "\4\0\0\0\0\0\0\0ints", 12, 20, HUGE_, 8, "cut off" },
        { "\4\0\0\0\0\0\0\0ints", 12, 20, "\0\0\0\0\0\0\0\xc0", 8, "cut off" }, { "\5\0\0\0\0\0\0\0texts", 13, 21, HUGE_, 8, "cut off" },
        { "\5\0\0\0\0\0\0\0plain", 13, 13, "\5\0\0\0", 4, "has 5 dimensions" }, { "\5\0\0\0\0\0\0\0plain", 13, 17, HUGE_ HUGE_, 16, "too many values" },
        { "\5\0\0\0\0\0\0\0plain", 13, 17, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "a dimension of 18446744073709551615" }, { "\5\0\0\0\0\0\0\0plain", 13, 33, "\x10", 1, "has type 16 of ggml's" },
        { "\5\0\0\0\0\0\0\0plain", 13, 33, "\2", 1, "rows of 3 values are not in blocks of 32" }, { "\5\0\0\0\0\0\0\0plain", 13, 37, "\x20", 1, "begins at byte 32 of the data instead of 0" },
        { "\5\0\0\0\0\0\0\0plain", 13, 17, HUGE_ "\0\0\0\0\0\0\0\0", 16, "begins at byte 32 of the data instead of 0" },      /* 2^62 x 0: nothing, and so is what follows */
        { "\6\0\0\0\0\0\0\0blocks", 14, 38, "\xc0\xff\xff\xff\xff\xff\xff\xff", 8, "begins at byte" }, { "\5\0\0\0\0\0\0\0empty", 13, 8, "plain", 5, "two tensors named plain" },
        { "\5\0\0\0\0\0\0\0empty", 13, 17, "\xff\xff\xff\xff\xff\xff\xff\x3f", 8, "is not there: the file is cut off" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct text t = { 0 };
        struct gguf *g;
        write_file(&t);
        char *found = memmem(t.at, t.size, lies[i].mark, lies[i].n);
        assert_non_null(found);
        memcpy(found + lies[i].at, lies[i].bytes, lies[i].m);
        int code = parse(&g, &t);
        if (code != E_DATA || !strstr(error_text(), lies[i].says)) fail_msg("lie %zu: %d, %s", i, code, code ? error_text() : "");
        text_free(&t);
    }
}

/* The alignment is a power of two that the file names. */
static void alignments(void **state)
{
    static const struct { uint32_t value; const char *says; } cases[] = { { 32, NULL }, { 0, "not in 1 to" }, { 48, "an alignment of 48 bytes" }, { 1u << 31, "not in 1 to" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_keys k = { 0 };
        struct text t = { 0 };
        struct gguf *g;
        gguf_put_int(&k, "general.alignment", cases[i].value);
        assert_ok(gguf_write(at("a.gguf"), &k, &(struct file_tensor){ .name = "x", .type = F32, .n_dims = 1, .dim = { 6 } }, 1, fill, NULL));
        assert_ok(file_read(at("a.gguf"), 1 << 20, &t));
        if (cases[i].says) assert_fails(parse(&g, &t), E_DATA, cases[i].says);
        else assert_ok(parse(&g, &t));
        gguf_close(g);
        text_free(&k.text);
        text_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(narrowed), cmocka_unit_test(widened), cmocka_unit_test(halves), cmocka_unit_test(round_trip), cmocka_unit_test(files_that_lie), cmocka_unit_test(alignments),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
