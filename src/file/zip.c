/* zip.c -- PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
 *
 *     header of a file, 30 bytes, its name, an extra field; the file          ... one after another
 *     directory: 46 bytes, name, extra field, comment                         ... a record for each file
 *     where the directory is, 56 bytes, and where that stands, 20 bytes       (ZIP64 only)
 *     where the directory is, 22 bytes, and a comment                         the end
 *
 * Sizes come from the directory; a file's own header may leave them open.  Fields of a record that are all ones stand in its extra
 * field 1 instead, as 64 bits each, in order. */
#include "file/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/error.h"

enum { HEADER = 30, RECORD = 46, END = 22, LOCATOR = 20, END64 = 56, MOST_COMMENT = 65535, STORED = 0, ENCRYPTED = 1, EXTRA64 = 1 };
#define OPEN32 0xffffffffu                                   /* stands elsewhere */

struct archive { const uint8_t *bytes; size_t size; const char *what; };
struct directory { uint64_t at, size, records; };

static int cut_off(const struct archive *a) { FAIL(E_DATA, "%s: the archive is cut off or damaged", a->what); }

/* Do n bytes from `at` on lie within it? */
static int holds(const struct archive *a, uint64_t at, uint64_t n) { return at <= a->size && n <= a->size - at; }

static int is_at(const struct archive *a, uint64_t at, uint64_t n, const char *mark) { return holds(a, at, n) && !memcmp(a->bytes + at, mark, 4); }

/* ---- where the directory is ---- */

static int find_end(const struct archive *a, uint64_t *end)
{
    uint64_t least = a->size > END + MOST_COMMENT ? a->size - END - MOST_COMMENT : 0;
    for (*end = a->size; *end > least; --*end)
        if (is_at(a, *end - 1, END, "PK\5\6")) return --*end, 0;
    FAIL(E_DATA, "%s: it is no ZIP archive, or cut off", a->what);
}

static int find_directory(const struct archive *a, struct directory *d)
{
    uint64_t end;
    TRY(find_end(a, &end));
    const uint8_t *e = a->bytes + end;
    *d = (struct directory){ .records = little_u16(e + 10), .size = little_u32(e + 12), .at = little_u32(e + 16) };
    if (end >= LOCATOR && is_at(a, end - LOCATOR, LOCATOR, "PK\6\7")) {
        uint64_t at = little_u64(e - LOCATOR + 8);
        if (!is_at(a, at, END64, "PK\6\6")) return cut_off(a);
        const uint8_t *e64 = a->bytes + at;
        *d = (struct directory){ .records = little_u64(e64 + 32), .size = little_u64(e64 + 40), .at = little_u64(e64 + 48) };
    }
    return holds(a, d->at, d->size) && d->records <= d->size / RECORD ? 0 : cut_off(a);
}

/* ---- its records ---- */

struct record { uint64_t size, stored, header; uint32_t sum; unsigned flags, method; };

/* Fields that stand in the extra field: the size, the size as stored, the place of the header, those that are open. */
static int read_extra(const struct archive *a, const uint8_t *extra, size_t n, struct record *r)
{
    uint64_t *const open[] = { r->size == OPEN32 ? &r->size : NULL, r->stored == OPEN32 ? &r->stored : NULL, r->header == OPEN32 ? &r->header : NULL };
    for (size_t length; n >= 4; extra += 4 + length, n -= 4 + length) {
        length = little_u16(extra + 2);
        if (length > n - 4) return cut_off(a);
        if (little_u16(extra) != EXTRA64) continue;
        size_t at = 0;
        for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
            if (!open[i]) continue;
            if (length - at < 8) return cut_off(a);
            *open[i] = little_u64(extra + 4 + at);
            at += 8;
        }
        return 0;
    }
    return 0;
}

/* Sizes may be left open there: 0 before the file is written, all ones where they stand in the extra field. */
static int agrees(const uint8_t *h, const struct record *r, const struct zip_entry *e)
{
    uint32_t size = little_u32(h + 22);
    size_t n = strlen(e->name);
    return little_u16(h + 6) == r->flags && little_u16(h + 8) == r->method && (!size || size == OPEN32 || size == r->size) && little_u16(h + 26) == n && !memcmp(h + HEADER, e->name, n);
}

static int place(const struct archive *a, const struct record *r, struct zip_entry *e)
{
    FAIL_IF(r->flags & ENCRYPTED || r->method != STORED || r->size != r->stored, E_DATA, "%s: %.200s is compressed or encrypted; torch.save stores files as they are", a->what, e->name);
    if (!is_at(a, r->header, HEADER, "PK\3\4")) return cut_off(a);
    const uint8_t *h = a->bytes + r->header;
    uint64_t skip = HEADER + (uint64_t)little_u16(h + 26) + little_u16(h + 28);
    if (!holds(a, r->header, skip) || !holds(a, r->header + skip, r->size)) return cut_off(a);
    FAIL_IF(!agrees(h, r, e), E_DATA, "%s: the directory says something else of %.200s than its own header", a->what, e->name);
    e->header = h;
    e->data = h + skip;
    e->size = (size_t)r->size;
    e->sum = r->sum;
    return 0;
}

static int read_record(const struct archive *a, struct arena *memory, uint64_t *at, uint64_t end, struct zip_entry *e)
{
    if (end - *at < RECORD || !is_at(a, *at, RECORD, "PK\1\2")) return cut_off(a);
    const uint8_t *p = a->bytes + *at;
    struct record r = { .flags = little_u16(p + 8), .method = little_u16(p + 10), .sum = little_u32(p + 16), .stored = little_u32(p + 20), .size = little_u32(p + 24), .header = little_u32(p + 42) };
    size_t name = little_u16(p + 28), extra = little_u16(p + 30), comment = little_u16(p + 32);
    if (end - *at - RECORD < name + extra + comment) return cut_off(a);
    char *copy = arena_take(memory, name + 1);
    FAIL_IF(!copy, E_MEMORY, "%s: no memory for the names of its files", a->what);
    e->name = memcpy(copy, p + RECORD, name);
    TRY(read_extra(a, p + RECORD + name, extra, &r));
    *at += RECORD + name + extra + comment;
    return place(a, &r, e);
}

static int by_place(const void *a, const void *b)
{
    const uint8_t *x = ((const struct zip_entry *)a)->header, *y = ((const struct zip_entry *)b)->header;
    return (x > y) - (x < y);
}

/* Files follow one another, and the directory follows them. */
static int check_places(const struct archive *a, struct zip *z, const uint8_t *directory)
{
    qsort(z->entry, z->n, sizeof *z->entry, by_place);
    for (size_t i = 0; i < z->n; i++) {
        const struct zip_entry *e = &z->entry[i];
        const uint8_t *next = i + 1 < z->n ? e[1].header : directory;
        FAIL_IF(e->data > next || e->size > (size_t)(next - e->data), E_DATA, "%s: %.200s overlaps what follows it", a->what, e->name);
    }
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name); }

int zip_parse(struct zip *z, struct arena *memory, const uint8_t *bytes, size_t size, const char *what)
{
    struct archive a = { bytes, size, what };
    struct directory d;
    TRY(find_directory(&a, &d));
    *z = (struct zip){ .entry = arena_take(memory, (size_t)d.records * sizeof *z->entry), .n = (size_t)d.records };
    FAIL_IF(memory->failed, E_MEMORY, "%s: no memory for the names of its files", what);
    uint64_t at = d.at;
    for (size_t i = 0; i < z->n; i++) TRY(read_record(&a, memory, &at, d.at + d.size, &z->entry[i]));
    TRY(check_places(&a, z, bytes + d.at));
    qsort(z->entry, z->n, sizeof *z->entry, by_name);
    for (size_t i = 1; i < z->n; i++) FAIL_IF(!by_name(&z->entry[i - 1], &z->entry[i]), E_DATA, "%s: two files named %.200s", what, z->entry[i].name);
    return 0;
}

int zip_check(const struct zip_entry *e, const char *what)
{
    FAIL_IF(e->sum && e->sum != (uint32_t)crc32_z(crc32_z(0, NULL, 0), e->data, e->size), E_DATA, "%s: %.200s is damaged: another checksum", what, e->name);
    return 0;
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    return bsearch(&(struct zip_entry){ .name = name }, z->entry, z->n, sizeof *z->entry, by_name);
}

/* ---- writing ---- */

enum { ALIGN = 64, UTF8 = 0x800, DATE = 0x21, NEEDS = 20, NEEDS64 = 45, PADDING = 0x4246 };     /* the first of January 1980; "FB", as torch.save has it */

static void put(struct text *t, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) text_bytes(t, &(char){ (char)(value >> 8 * i) }, 1);
}

static uint64_t or_open(uint64_t value) { return value < OPEN32 ? value : OPEN32; }

/* What a file's own header and its record share. */
static void put_common(struct text *t, uint32_t sum, uint64_t size, size_t name, size_t extra)
{
    put(t, size < OPEN32 ? NEEDS : NEEDS64, 2), put(t, UTF8, 2), put(t, STORED, 2), put(t, 0, 2), put(t, DATE, 2), put(t, sum, 4);
    put(t, or_open(size), 4), put(t, or_open(size), 4), put(t, name, 2), put(t, extra, 2);
}

static void put_extra64(struct text *t, const uint64_t *value, size_t n)
{
    if (!n) return;
    put(t, EXTRA64, 2), put(t, 8 * n, 2);
    for (size_t i = 0; i < n; i++) put(t, value[i], 8);
}

static void put_header(struct text *t, const char *name, uint32_t sum, uint64_t size, uint64_t at)
{
    size_t n = strlen(name), wide = size < OPEN32 ? 0 : 2, extra = wide ? 4 + 8 * wide : 0;
    size_t padding = (size_t)((ALIGN - (at + HEADER + n + extra + 4) % ALIGN) % ALIGN);
    text_bytes(t, "PK\3\4", 4), put_common(t, sum, size, n, extra + 4 + padding), text_add(t, name);
    put_extra64(t, (uint64_t[]){ size, size }, wide);
    put(t, PADDING, 2), put(t, padding, 2);
    for (size_t i = 0; i < padding; i++) put(t, 0, 1);
}

static void put_record(struct text *t, const char *name, uint32_t sum, uint64_t size, uint64_t at)
{
    const uint64_t wide[] = { size, size, at };
    size_t from = size < OPEN32 ? 2 : 0, n = (size_t)(at < OPEN32 ? 2 : 3) - from;
    text_bytes(t, "PK\1\2", 4), put(t, NEEDS64, 2), put_common(t, sum, size, strlen(name), n ? 4 + 8 * n : 0);
    put(t, 0, 2), put(t, 0, 2), put(t, 0, 2), put(t, 0, 4), put(t, or_open(at), 4), text_add(t, name);
    put_extra64(t, wide + from, n);
}

static int append(struct zip_writer *z, const void *bytes, size_t n)
{
    TRY(file_append(&z->file, bytes, n));
    z->at += n;
    return 0;
}

int zip_create(struct zip_writer *z, const char *path)
{
    *z = (struct zip_writer){ .file.fd = -1 };
    return file_create(&z->file, path);
}

int zip_put(struct zip_writer *z, const char *name, const void *data, size_t size)
{
    struct text header = { 0 };
    uint32_t sum = (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, size);
    put_header(&header, name, sum, size, z->at);
    put_record(&z->directory, name, sum, size, z->at);
    int failed = header.failed || z->directory.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory to write %s", z->file.path) : append(z, header.at, header.size);
    if (!failed && size) failed = append(z, data, size);
    z->n++;
    text_free(&header);
    return failed;
}

static void put_end(struct text *t, uint64_t at, uint64_t size, uint64_t n)
{
    if (at + size >= OPEN32 || n >= 0xffff) {
        text_bytes(t, "PK\6\6", 4), put(t, END64 - 12, 8), put(t, NEEDS64, 2), put(t, NEEDS64, 2), put(t, 0, 8), put(t, n, 8), put(t, n, 8), put(t, size, 8), put(t, at, 8);
        text_bytes(t, "PK\6\7", 4), put(t, 0, 4), put(t, at + size, 8), put(t, 1, 4);
    }
    uint64_t few = n < 0xffff ? n : 0xffff;
    text_bytes(t, "PK\5\6", 4), put(t, 0, 4), put(t, few, 2), put(t, few, 2), put(t, or_open(size), 4), put(t, or_open(at), 4), put(t, 0, 2);
}

int zip_commit(struct zip_writer *z)
{
    put_end(&z->directory, z->at, z->directory.size, z->n);
    FAIL_IF(z->directory.failed, E_MEMORY, "no memory to write %s", z->file.path);
    TRY(append(z, z->directory.at, z->directory.size));
    return file_commit(&z->file);
}

void zip_discard(struct zip_writer *z)
{
    file_discard(&z->file);
    text_free(&z->directory);
}

#ifdef FUZZ_ZIP
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena memory = { 0 };
    struct zip z;
    if (!zip_parse(&z, &memory, data, size, "fuzz"))
        for (size_t i = 0; i < z.n; i++)
            if (zip_find(&z, z.entry[i].name) != &z.entry[i] || z.entry[i].data < data || z.entry[i].size > size - (size_t)(z.entry[i].data - data)) abort();
    arena_free(&memory);
    return 0;
}
#endif
