/* test_tfevents.c -- event files decoded again: records, sums, messages; and what is left when the disk is full.  tests/twin/check_tensorboard.py lets
 * TensorBoard read them. */
#include "file/tfevents.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "folder.h"

/* ---- decoding, by the format's own description ---- */

/* CRC-32C of RFC 3720, appendix B.4, by a table. */
static uint32_t crc_of(const uint8_t *bytes, size_t n)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256 && !table[255]; i++) {
        uint32_t x = i;
        for (int k = 0; k < 8; k++) x = x & 1 ? x >> 1 ^ 0x82f63b78 : x >> 1;
        table[i] = x;
    }
    uint32_t crc = 0xffffffff;
    while (n--) crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return crc ^ 0xffffffff;
}

static uint32_t unmasked(uint32_t masked)
{
    uint32_t turned = masked - 0xa282ead8;
    return turned >> 17 | turned << 15;
}

struct span { const uint8_t *at; size_t n; };
struct field { int number, wire; uint64_t value; struct span bytes; };

static uint64_t varint(struct span *s)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(s->n > 0 && shift < 64);
        uint8_t byte = *s->at++;
        s->n--;
        x |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return x;
    }
}

static int next_field(struct span *s, struct field *f)
{
    if (!s->n) return 0;
    uint64_t key = varint(s);
    *f = (struct field){ .number = (int)(key >> 3), .wire = (int)(key & 7) };
    size_t n = f->wire == 0 ? 0 : f->wire == 1 ? 8 : f->wire == 5 ? 4 : SIZE_MAX;
    if (f->wire == 0) f->value = varint(s);
    if (f->wire == 2) n = (size_t)varint(s);
    assert_true(n <= s->n);
    f->bytes = (struct span){ s->at, n };
    if (f->wire == 1 || f->wire == 5) memcpy(&f->value, s->at, n);
    s->at += n;
    s->n -= n;
    return 1;
}

/* The one field of this number; the message may have others. */
static struct field field_of(struct span s, int number)
{
    struct field f, found = { .number = -1 };
    while (next_field(&s, &f))
        if (f.number == number) assert_int_equal(found.number, -1), found = f;
    return found;
}

static struct span inside(struct span s, int number)
{
    struct field f = field_of(s, number);
    assert_int_equal(f.wire, 2);
    return f.bytes;
}

static int is(struct span s, const char *text) { return s.n == strlen(text) && !memcmp(s.at, text, s.n); }

static double double_of(struct field f)
{
    double x;
    assert_int_equal(f.wire, 1);
    memcpy(&x, &f.value, sizeof x);
    return x;
}

static float float_of(struct field f)
{
    uint32_t bits = (uint32_t)f.value;
    float x;
    assert_int_equal(f.wire, 5);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- files ---- */

enum { MOST = 64 };
static struct text bytes;
static struct span event[MOST];

/* The events of a file; every record is whole and its sums are right. */
static int read_events(const char *path)
{
    int n = 0;
    text_clear(&bytes);
    assert_ok(file_read(path, 1 << 24, &bytes));
    for (const uint8_t *at = (const uint8_t *)bytes.at, *end = at + bytes.size; at < end; n++) {
        assert_true(end - at >= 16 && n < MOST);
        size_t size = little_u32(at);
        assert_int_equal(little_u32(at + 4), 0);
        assert_int_equal(unmasked(little_u32(at + 8)), crc_of(at, 8));
        assert_true((size_t)(end - at) >= size + 16);
        assert_int_equal(unmasked(little_u32(at + 12 + size)), crc_of(at + 12, size));
        event[n] = (struct span){ at + 12, size };
        at += size + 16;
    }
    return n;
}

static void assert_at(struct span e, double time, int64_t step)
{
    struct field f = field_of(e, 2);
    assert_true(double_of(field_of(e, 1)) == time);
    assert_int_equal(f.number < 0 ? 0 : (int64_t)f.value, step);
}

static int close_file(void **state)
{
    (void)state;
    text_free(&bytes);
    return 0;
}

/* ---- tests ---- */

static void scalars_and_texts(void **state)
{
    static const struct tfevents_scalar two[] = { { "loss/train", 2.5 }, { "loss/val", -1e-3 } };
    struct tfevents t;
    char path[PATH_SIZE];
    (void)state;
    assert_int_equal(crc_of((const uint8_t *)"123456789", 9), 0xe3069283);       /* as the RFC has it */
    assert_ok(tfevents_open(&t, folder, 1700000000.25, 0));
    memcpy(path, t.path, sizeof path);
    assert_memory_equal(path_base(path), "events.out.tfevents.1700000000.", 31);
    assert_ok(tfevents_scalars(&t, 1700000001, 0, two, 2));
    assert_ok(tfevents_scalars(&t, 1700000002, 1LL << 40, two, 1));
    assert_ok(tfevents_text(&t, 1700000003, 300, "sample", "ROMEO:\n\nwho? *\n"));
    assert_ok(tfevents_text(&t, 1700000004, 300, "sample", ""));
    tfevents_close(&t);

    assert_int_equal(read_events(path), 6);
    assert_memory_equal(bytes.at, "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12);         /* so begins every such file there is */
    assert_at(event[0], 1700000000.25, 0);
    assert_true(is(inside(event[0], 3), "brain.Event:2"));
    assert_at(event[1], 1700000000.25, 0);
    assert_int_equal(field_of(inside(event[1], 7), 1).value, 1);     /* START */

    assert_at(event[2], 1700000001, 0);
    struct span summary = inside(event[2], 5);
    struct field value;
    for (int i = 0; i < 2; i++) {
        assert_true(next_field(&summary, &value) && value.number == 1);
        assert_true(is(inside(value.bytes, 1), two[i].tag));
        assert_true(float_of(field_of(value.bytes, 2)) == (float)two[i].value);
    }
    assert_int_equal(summary.n, 0);
    assert_at(event[3], 1700000002, 1LL << 40);

    assert_at(event[4], 1700000003, 300);
    struct span text = inside(inside(event[4], 5), 1), tensor = inside(text, 8);
    assert_true(is(inside(text, 1), "sample"));
    assert_true(is(inside(inside(inside(text, 9), 1), 1), "text"));
    assert_int_equal(field_of(tensor, 1).value, 7);          /* DT_STRING */
    assert_int_equal(inside(tensor, 2).n, 0);                /* no dimensions */
    assert_true(is(inside(tensor, 8), "    ROMEO:\n    \n    who? *\n"));
    assert_true(is(inside(inside(inside(inside(event[5], 5), 1), 8), 8), ""));
}

/* A resumed run has a file of its own, which says where it goes on, and comes behind the older ones in the order of names. */
static void resumed(void **state)
{
    struct tfevents t, u, v;
    (void)state;
    assert_ok(tfevents_open(&t, folder, 1700000100, 0));
    assert_ok(tfevents_open(&u, folder, 1700000100, 0));
    assert_ok(tfevents_open(&v, folder, 1700000200, 250));
    assert_true(strcmp(t.path, u.path) < 0 && strcmp(u.path, v.path) < 0);
    assert_int_equal(read_events(v.path), 2);
    assert_at(event[1], 1700000200, 250);
    assert_int_equal(field_of(inside(event[1], 7), 1).value, 1);
    tfevents_close(&t);
    tfevents_close(&u);
    tfevents_close(&v);
}

static void limit_files(rlim_t size)
{
    struct rlimit r;
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = size < r.rlim_max ? size : r.rlim_max;
    setrlimit(RLIMIT_FSIZE, &r);
}

/* What does not fit leaves nothing behind, wherever it was cut, and the next that fits is read. */
static void full_disk(void **state)
{
    static const struct tfevents_scalar one[] = { { "loss", 1 } };
    struct tfevents t;
    struct stat st;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(tfevents_open(&t, folder, 1700000300, 0));
    assert_ok(tfevents_scalars(&t, 1, 1, one, 1));
    assert_int_equal(stat(t.path, &st), 0);
    for (rlim_t more = 0; more < 40; more += 3) {
        limit_files((rlim_t)st.st_size + more);
        int code = tfevents_scalars(&t, 2, 2, one, 1);
        limit_files(RLIM_INFINITY);
        assert_int_equal(code, E_IO);
        assert_true(strstr(error_text(), t.path) != NULL);
        assert_int_equal(read_events(t.path), 3);
    }
    assert_ok(tfevents_scalars(&t, 3, 3, one, 1));
    assert_int_equal(read_events(t.path), 4);
    assert_at(event[3], 3, 3);
    tfevents_close(&t);
    tfevents_close(&t);
    assert_fails(tfevents_open(&t, at("nowhere"), 1, 0), E_IO, "nowhere/events.out.tfevents.0000000001.");
    tfevents_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(scalars_and_texts, close_file), cmocka_unit_test_teardown(resumed, close_file), cmocka_unit_test_teardown(full_disk, close_file),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
