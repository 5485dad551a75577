/* tfevents.c -- messages from the inside out, then a record around them. */
#include "file/tfevents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* ---- numbers ---- */

/* Bit by bit: records are short and few. */
static uint32_t crc32c(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

static void put_little(struct text *out, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++) text_bytes(out, &(unsigned char){ (unsigned char)(x >> 8 * i) }, 1);
}

static void put_varint(struct text *out, uint64_t x)
{
    for (; x >= 128; x >>= 7) put_little(out, (x & 127) | 128, 1);
    put_little(out, x, 1);
}

/* ---- fields of messages ---- */

enum wire { VARINT = 0, EIGHT_BYTES = 1, LENGTH = 2, FOUR_BYTES = 5 };

static void put_key(struct text *out, int field, enum wire wire) { put_varint(out, (uint64_t)field << 3 | wire); }

static void put_int(struct text *out, int field, int64_t x)
{
    put_key(out, field, VARINT);
    put_varint(out, (uint64_t)x);
}

static void put_double(struct text *out, int field, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(out, field, EIGHT_BYTES);
    put_little(out, bits, 8);
}

static void put_float(struct text *out, int field, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(out, field, FOUR_BYTES);
    put_little(out, bits, 4);
}

static void put_bytes(struct text *out, int field, const void *bytes, size_t n)
{
    put_key(out, field, LENGTH);
    put_varint(out, n);
    text_bytes(out, bytes, n);
}

static void put_string(struct text *out, int field, const char *string) { put_bytes(out, field, string, strlen(string)); }

static void put_message(struct text *out, int field, struct text *inner)     /* which is freed */
{
    put_bytes(out, field, inner->at, inner->size);
    out->failed |= inner->failed;
    text_free(inner);
}

/* ---- the messages ---- */

static void put_scalar(struct text *summary, const struct tfevents_scalar *s)
{
    struct text value = { 0 };
    put_string(&value, 1, s->tag);
    put_float(&value, 2, (float)s->value);                   /* simple_value */
    put_message(summary, 1, &value);
}

/* A tensor without dimensions. */
static void put_tensor(struct text *value, int field, const struct text *string)
{
    enum { DT_STRING = 7 };
    struct text tensor = { 0 };
    put_int(&tensor, 1, DT_STRING);
    put_bytes(&tensor, 2, "", 0);                            /* its shape */
    put_bytes(&tensor, 8, string->at, string->size);
    put_message(value, field, &tensor);
}

static void put_plugin(struct text *value, int field, const char *name)
{
    struct text plugin = { 0 }, metadata = { 0 };
    put_string(&plugin, 1, name);
    put_message(&metadata, 1, &plugin);
    put_message(value, field, &metadata);
}

static void put_text(struct text *summary, const char *tag, const char *text)
{
    struct text value = { 0 }, indented = { 0 };
    for (const char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        end += *end == '\n';
        text_add(&indented, "    ");
        text_bytes(&indented, line, (size_t)(end - line));
    }
    put_string(&value, 1, tag);
    put_tensor(&value, 8, &indented);
    put_plugin(&value, 9, "text");
    put_message(summary, 1, &value);
    summary->failed |= indented.failed;
    text_free(&indented);
}

/* ---- the file ---- */

static int write_record(struct tfevents *t)
{
    ssize_t n;
    do n = pwrite(t->file, t->record.at, t->record.size, (off_t)t->size);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)t->record.size) {
        t->size += n;
        return 0;
    }
    int error = n < 0 ? errno : ENOSPC, cut = ftruncate(t->file, (off_t)t->size);
    (void)cut;                                               /* the next record will be written over what is left */
    errno = error;
    FAIL(E_IO, "%s: %m", t->path);
}

/* An Event whose only content besides time and step is in this field; `content` is freed. */
static int put_event(struct tfevents *t, double time, int64_t step, int field, struct text *content)
{
    struct text event = { 0 };
    put_double(&event, 1, time);
    if (step) put_int(&event, 2, step);
    put_message(&event, field, content);
    text_clear(&t->record);
    put_little(&t->record, event.size, 8);
    put_little(&t->record, t->record.failed ? 0 : masked(crc32c(t->record.at, 8)), 4);
    text_bytes(&t->record, event.at, event.size);
    put_little(&t->record, masked(crc32c(event.at, event.size)), 4);
    int failed = event.failed || t->record.failed;
    text_free(&event);
    FAIL_IF(failed, E_MEMORY, "no memory for a record of %s", t->path);
    return write_record(t);
}

/* TensorBoard reads the files of a folder in the order of their names. */
static int create(struct tfevents *t, const char *folder, double time)
{
    enum { MOST = 1000 };
    char host[64] = "", name[128];
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c; c++)
        if (*c == '/' || *c <= ' ' || *c > '~') *c = '-';
    for (int i = 0; i < MOST && t->file < 0; i++) {
        snprintf(name, sizeof name, "events.out.tfevents.%010.0f.%s.%ld.%d", time, host, (long)getpid(), i);
        TRY(path_join(t->path, folder, name));
        t->file = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (t->file < 0 && errno != EEXIST) break;
    }
    FAIL_IF(t->file < 0, E_IO, "cannot create %s: %m", t->path);
    return 0;
}

int tfevents_open(struct tfevents *t, const char *folder, double time, int64_t step)
{
    enum { START = 1, FILE_VERSION = 3, SESSION_LOG = 7 };
    struct text version = { 0 }, session = { 0 };
    *t = (struct tfevents){ .file = -1 };
    TRY(create(t, folder, time));
    text_add(&version, "brain.Event:2");
    int code = put_event(t, time, 0, FILE_VERSION, &version);
    put_int(&session, 1, START);
    if (!code) code = put_event(t, time, step, SESSION_LOG, &session);
    text_free(&session);
    if (code) tfevents_close(t);
    return code;
}

void tfevents_close(struct tfevents *t)
{
    if (t->path[0] && t->file >= 0) close(t->file);
    text_free(&t->record);
    *t = (struct tfevents){ .file = -1 };
}

enum { SUMMARY = 5 };

int tfevents_scalars(struct tfevents *t, double time, int64_t step, const struct tfevents_scalar *scalar, int n)
{
    struct text summary = { 0 };
    for (int i = 0; i < n; i++) put_scalar(&summary, &scalar[i]);
    return put_event(t, time, step, SUMMARY, &summary);
}

int tfevents_text(struct tfevents *t, double time, int64_t step, const char *tag, const char *text)
{
    struct text summary = { 0 };
    put_text(&summary, tag, text);
    return put_event(t, time, step, SUMMARY, &summary);
}
