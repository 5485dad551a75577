/* stream.c -- gzip is RFC 1952; zlib does the work. */
#include "file/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"

#ifdef SMALL_PIECES                                          /* sanitized builds: a short input has many, and what happens between them is seen */
enum { PIECE = 1 << 8 };
#else
enum { PIECE = 1 << 16 };
#endif
enum { GZIP_WINDOW = 15 + 16 };                              /* zlib's window bits; + 16: gzip and nothing else */

struct stream {
    const uint8_t *at;                   /* what the reader has not taken yet: in raw (plain) or text (gzip) */
    size_t left;
    z_stream z;                          /* next_in, avail_in: what of raw was not used yet, for plain files, too */
    int fd, ended, gzip, members;        /* members: of gzip, finished so far */
    uint64_t read, size, lines;
    char *name;
    uint8_t raw[PIECE], text[PIECE];
};

/* ---- opening ---- */

/* Reads on, behind the first `have` bytes of raw, which are still unused. */
static int read_raw(struct stream *s, unsigned have)
{
    ssize_t n;
    do n = read(s->fd, s->raw + have, sizeof s->raw - have);
    while (n < 0 && errno == EINTR);
    FAIL_IF(n < 0, E_IO, "cannot read %s: %m", s->name);
    s->ended = n == 0;
    s->read += (uint64_t)n;
    s->z.next_in = s->raw;
    s->z.avail_in = have + (unsigned)n;
    return 0;
}

static int look_at_first_bytes(struct stream *s)
{
    TRY(read_raw(s, 0));
    if (s->z.avail_in == 1) TRY(read_raw(s, 1));             /* a pipe may hand out its first byte alone */
    s->gzip = s->z.avail_in >= 2 && s->raw[0] == 0x1f && s->raw[1] == 0x8b;
    FAIL_IF(s->gzip && inflateInit2(&s->z, GZIP_WINDOW) != Z_OK, E_MEMORY, "%s: no memory to uncompress it", s->name);
    return 0;
}

static int start(struct stream **out, int fd, const char *name)
{
    struct stat st;
    struct stream *s = *out = calloc(1, sizeof *s);
    if (s) s->name = strdup(name);
    if (!s || !s->name) {
        free(s);
        *out = NULL;
        FAIL(E_MEMORY, "no memory to read %s", name);
    }
    s->fd = fd;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode)) s->size = (uint64_t)st.st_size;
    int failed = look_at_first_bytes(s);
    if (failed) {
        s->fd = -1;
        stream_close(s);
        *out = NULL;
    }
    return failed;
}

int stream_open(struct stream **s, const char *path)
{
    *s = NULL;
    if (!strcmp(path, "-")) return start(s, STDIN_FILENO, "standard input");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FAIL_IF(fd < 0, E_IO, "cannot open %s: %m", path);
    int failed = start(s, fd, path);
    if (failed) close(fd);
    return failed;
}

int stream_open_again(struct stream **s, int fd, const char *name)
{
    *s = NULL;
    int copy = lseek(fd, 0, SEEK_SET) < 0 ? -1 : dup(fd);
    FAIL_IF(copy < 0, E_IO, "cannot read %s: %m", name);
    int failed = start(s, copy, name);
    if (failed) close(copy);
    return failed;
}

void stream_close(struct stream *s)
{
    if (!s) return;
    if (s->gzip) inflateEnd(&s->z);
    if (s->fd > STDIN_FILENO) close(s->fd);
    free(s->name);
    free(s);
}

/* ---- reading ---- */

static int damaged(const struct stream *s)
{
    /* Since the last member ended, zlib has not produced a byte: it did not like the header. */
    FAIL_IF(s->members && s->z.total_out == 0, E_DATA, "%s: near byte %llu: what follows the compressed text is not gzip", s->name,
            (unsigned long long)stream_position(s));
    FAIL(E_DATA, "%s: near byte %llu: damaged gzip: %s", s->name, (unsigned long long)stream_position(s), s->z.msg ? s->z.msg : "?");
}

/* Uncompresses until there is something to read, or nothing is left. */
static int inflate_more(struct stream *s)
{
    s->z.next_out = s->text;
    s->z.avail_out = sizeof s->text;
    while (s->z.avail_out == sizeof s->text) {
        if (!s->z.avail_in && !s->ended) TRY(read_raw(s, 0));
        if (!s->z.avail_in && s->z.total_in == 0) break;     /* nothing behind the last member */
        int status = inflate(&s->z, Z_NO_FLUSH);
        FAIL_IF(status == Z_BUF_ERROR && s->ended, E_DATA, "%s: its gzip is cut off after %llu bytes", s->name,
                (unsigned long long)s->read);
        FAIL_IF(status == Z_MEM_ERROR, E_MEMORY, "%s: no memory to uncompress it", s->name);
        if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END) return damaged(s);
        if (status != Z_STREAM_END) continue;
        s->members++;
        inflateReset(&s->z);                                 /* total_in and total_out are 0 again */
    }
    s->at = s->text;
    s->left = sizeof s->text - s->z.avail_out;
    return 0;
}

static int refill(struct stream *s)
{
    if (s->gzip) return inflate_more(s);
    if (!s->z.avail_in && !s->ended) TRY(read_raw(s, 0));
    s->at = s->z.next_in;
    s->left = s->z.avail_in;
    s->z.avail_in = 0;
    return 0;
}

int stream_read(struct stream *s, void *bytes, size_t room, size_t *n)
{
    *n = 0;
    if (!s->left) TRY(refill(s));
    *n = room < s->left ? room : s->left;
    if (*n) memcpy(bytes, s->at, *n);
    s->at += *n;
    s->left -= *n;
    return 0;
}

int stream_skip(struct stream *s, uint64_t n)
{
    while (n > 0) {
        if (!s->left) TRY(refill(s));
        if (!s->left) return 0;
        size_t now = n < s->left ? (size_t)n : s->left;
        s->at += now;
        s->left -= now;
        n -= now;
        if (!n || s->gzip || !s->size || n >= s->size - s->read) continue;
        FAIL_IF(lseek(s->fd, (off_t)n, SEEK_CUR) < 0, E_IO, "cannot read %s: %m", s->name);
        s->read += n;
        n = 0;
    }
    return 0;
}

int stream_append(struct stream *s, struct text *text, size_t wanted, int *more)
{
    for (*more = 1; text->size < wanted && *more;) {
        size_t n = 0, size = text->size;
        char *to = text_more(text, PIECE);
        FAIL_IF(!to, E_MEMORY, "%s: no memory for its text", s->name);
        int failed = stream_read(s, to, PIECE, &n);
        text->size = size + n;
        text->at[text->size] = 0;
        if (failed) return failed;
        *more = n > 0;
    }
    return 0;
}

int stream_line(struct stream *s, struct text *line, size_t limit, int *got)
{
    const uint8_t *end = NULL;
    text_clear(line);
    s->lines++;
    for (*got = 0; !end; *got = 1) {
        if (!s->left) TRY(refill(s));
        if (!s->left) break;
        end = memchr(s->at, '\n', s->left);
        size_t n = end ? (size_t)(end - s->at) : s->left;
        FAIL_IF(n > limit - line->size, E_DATA, "%s: line %llu is longer than %zu bytes", s->name,
                (unsigned long long)s->lines, limit);
        text_bytes(line, s->at, n);
        s->at += n + (end != NULL);
        s->left -= n + (end != NULL);
    }
    FAIL_IF(line->failed, E_MEMORY, "%s: no memory for line %llu", s->name, (unsigned long long)s->lines);
    if (end && line->size && line->at[line->size - 1] == '\r') line->at[--line->size] = 0;
    return 0;
}

uint64_t stream_position(const struct stream *s)
{
    return s->read - s->z.avail_in;
}

uint64_t stream_size(const struct stream *s)
{
    return s->size;
}

#ifdef FUZZ_STREAM
#include <sys/syscall.h>

enum { ENOUGH = 1 << 15 };                                   /* gzip grows a thousandfold; the beginning tells */

/* What comes line by line is the text from `at` on, cut at its line ends. */
static void check_lines(struct stream *s, const struct text *text, size_t at, int whole)
{
    static struct text line;
    for (int got; !stream_line(s, &line, ENOUGH, &got); at++) {
        size_t left = at < text->size ? text->size - at : 0;
        const char *from = text->at + at, *end = left ? memchr(from, '\n', left) : NULL;
        if (!end && !whole) return;                          /* the line goes on where we did not look */
        if (got != (left > 0)) abort();
        if (!got) return;
        size_t n = end ? (size_t)(end - from) : left;
        at += n;
        if (end && n && from[n - 1] == '\r') n--;
        if (line.size != n || memcmp(line.at, from, n)) abort();
    }
    if (whole) abort();
}

/* A file in pieces, and, behind a third of them, in lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static struct text text;
    struct stream *s;
    int more = 1;
    if (fd < 0) fd = (int)syscall(SYS_memfd_create, "fuzz", 0);
    if (fd < 0 || ftruncate(fd, (off_t)size) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    text_clear(&text);
    if (stream_open_again(&s, fd, "fuzz")) abort();
    int failed = stream_append(s, &text, ENOUGH, &more);
    stream_close(s);
    if (stream_open_again(&s, fd, "fuzz")) abort();
    if (!stream_skip(s, text.size / 3)) check_lines(s, &text, text.size / 3, !failed && !more);
    stream_close(s);
    return 0;
}
#endif
