/* documents.c -- finds all files before it reads any, so that a wrong name is told at once; then reads one document at a time.
 *
 * A file is looked at twice.  When it is found, its first bytes decide whether it is text at all: better to name a Parquet file
 * than to train on it.  When it is read, its suffix decides whether it is JSON lines. */
#include "file/documents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/value.h"
#include "file/stream.h"

enum {
    MAX_DEPTH = 64,                      /* folders within each other */
    MOST_NOTICES = 20,
    FIRST_BYTES = 4096,                  /* a binary file without a 0 among so many is rare */
    REASON = 512,
    DOCUMENT_LIMIT = 1 << 30,            /* bytes; a gzip file of 1 MB may hold that much */
};

#ifdef SMALL_PIECES                      /* as in stream.c */
enum { STRETCH = 1 << 9 };
#else
enum { STRETCH = 16 << 20 };             /* bytes of a text that are read before it is cut */
#endif

const char documents_whole[] = "";

struct source {
    const char *path;
    int lines, array;                    /* it is JSON lines; one JSON array */
    int copy;                            /* a copy of standard input or a pipe: an open file; -1 for files */
};

struct documents {
    struct source *source; size_t n, room;
    struct arena memory;                 /* of the paths */
    uint64_t size;                       /* of all files, on disk */
    const char *field;                   /* of JSON lines: which one is the text; */
    int whole;                           /* or each line, each entry of an array, as it stands */
    struct text *notices;
    size_t skipped;                      /* files and folders, whether noticed or not */
    char reason[REASON];                 /* "%s is %s": why the last file that was not taken was not */
};

/* ---- what a file is ---- */

/* x.jsonl and x.jsonl.gz have the suffix .jsonl. */
static int has_suffix(const char *path, const char *suffix)
{
    char gz[16];
    snprintf(gz, sizeof gz, "%s.gz", suffix);
    return path_has_suffix(path, suffix) || path_has_suffix(path, gz);
}

/* Formats that hold text, but are none.  Marks as in the formats' specifications, at byte `at`; where several share one, the
 * suffix tells them apart.  The command makes text of the file that is written behind it. */
#define MARK(bytes) bytes, sizeof bytes - 1
static const struct format {
    const char *suffix;
    size_t at; const char *mark; size_t n;
    const char *what, *command;
} formats[] = {
    { "", 0, MARK("PAR1"), "a Parquet file",
      "python3 -c \"import pandas, sys; pandas.read_parquet(sys.argv[1]).to_json('text.jsonl', orient='records', lines=True)\"" },
    { "", 0, MARK("%PDF-"), "a PDF file", "pdftotext" },
    { ".docx", 0, MARK("PK\3\4"), "a Word document", "pandoc -t plain -o text.txt" },
    { "", 0, MARK("PK\3\4"), "a zip archive", "unzip" },
    { "", 257, MARK("ustar"), "a tar archive", "tar -xf" },
    { "", 0, MARK("\x28\xb5\x2f\xfd"), "compressed by zstd", "zstd -d" },
    { "", 0, MARK("\xfd" "7zXZ"), "compressed by xz", "xz -dk" },
    { "", 0, MARK("BZh91AY&SY"), "compressed by bzip2", "bzip2 -dk" },
    { "", 0, MARK("\xff\xfe"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8 -o text.txt" },
    { "", 0, MARK("\xfe\xff"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8 -o text.txt" },
    { ".json", 0, MARK("["), "one JSON array, not JSON lines", "jq -c '.[]' >text.jsonl" },
    { ".json", 0, MARK("{\n"), "JSON over several lines, not JSON lines", "jq -c . >text.jsonl" },
    { ".json", 0, MARK("{\r\n"), "JSON over several lines, not JSON lines", "jq -c . >text.jsonl" },
};

/* Each of the next three says whether a file is something else than text, and in d->reason what it is.  bytes: its first n. */
static int is_foreign(struct documents *d, const char *path, const char *bytes, size_t n)
{
    if (n == 0) {
        snprintf(d->reason, sizeof d->reason, "empty");
        return 1;
    }
    for (const struct format *f = formats; f < formats + sizeof formats / sizeof *formats; f++) {
        if (!has_suffix(path, f->suffix) || n < f->at + f->n || memcmp(bytes + f->at, f->mark, f->n) || (d->whole && f->mark[0] == '[')) continue;
        snprintf(d->reason, sizeof d->reason, "%s; make text of it first: %s %s", f->what, f->command, path);
        return 1;
    }
    return 0;
}

static int is_binary(struct documents *d, const char *bytes, size_t n)
{
    const char *nul = memchr(bytes, 0, n);
    if (nul) snprintf(d->reason, sizeof d->reason, "binary: byte %zu is 0", (size_t)(nul - bytes));
    return nul != NULL;
}

/* For who reads JSON all else in a folder is nothing. */
static int is_no_json(struct documents *d, const char *path)
{
    if (!d->whole || has_suffix(path, ".json") || has_suffix(path, ".jsonl")) return 0;
    snprintf(d->reason, sizeof d->reason, "no .json or .jsonl");
    return 1;
}

/* In a folder a .json may be anything, such as somebody's settings.  It is JSON lines if the first line has the field. */
static int is_other_json(struct documents *d, const char *path)
{
    struct stream *in;
    struct text line = { 0 };
    json_t *object = NULL;
    int got = 0;
    if (!has_suffix(path, ".json") || d->whole) return 0;
    int failed = stream_open(&in, path) || stream_line(in, &line, DOCUMENT_LIMIT, &got) || !got;
    failed = failed || json_parse(&object, line.at, line.size, path);
    int is_other = failed || !json_is_string(json_object_get(object, d->field));
    snprintf(d->reason, sizeof d->reason, "without a field \"%s\" in its first line", d->field);
    json_decref(object);
    text_free(&line);
    stream_close(in);
    return is_other;
}

/* ---- finding files ---- */

static int begins_array(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", bytes[i]) && bytes[i]) i++;
    return i < n && bytes[i] == '[';
}

static struct source *add_source(struct documents *d, const char *path)
{
    char *copy = arena_copy(&d->memory, path);
    if (!copy || !grow(&d->source, &d->room, d->n + 1, sizeof *d->source)) return NULL;
    d->source[d->n] = (struct source){ .path = copy, .copy = -1 };
    return &d->source[d->n++];
}

/* A folder may hold ten thousand pictures; MOST_NOTICES of them tell what is left out. */
static void skip(struct documents *d, const char *path)
{
    if (d->notices && d->skipped < MOST_NOTICES) text_format(d->notices, "skipped: %s is %s\n", path, d->reason);
    d->skipped++;
}

static void skip_because(struct documents *d, const char *path, const char *reason)
{
    snprintf(d->reason, sizeof d->reason, "%s", reason);
    skip(d, path);
}

static int open_source(struct stream **in, const struct source *s)
{
    return s->copy < 0 ? stream_open(in, s->path) : stream_open_again(in, s->copy, s->path);
}

/* The first bytes of the text, that is, behind gzip; *size: of the file on disk. */
static int first_bytes(const struct source *source, char bytes[FIRST_BYTES], size_t *n, uint64_t *size)
{
    struct stream *s;
    size_t more = 1;
    int failed = open_source(&s, source);
    for (*n = 0; !failed && more && *n < FIRST_BYTES; *n += more) failed = stream_read(s, bytes + *n, FIRST_BYTES - *n, &more);
    if (!failed) *size = stream_size(s);
    stream_close(s);
    return failed;
}

/* What is named by itself is meant: it is taken, zeros and all, unless it is known to be no text.  What only lies in a folder
 * must look like text. */
static int add_file(struct documents *d, const char *path, int in_folder)
{
    char bytes[FIRST_BYTES];
    size_t n;
    uint64_t size;
    TRY(first_bytes(&(struct source){ .path = path, .copy = -1 }, bytes, &n, &size));
    int foreign = is_foreign(d, path, bytes, n);
    FAIL_IF(foreign && !in_folder, E_DATA, "%s is %s", path, d->reason);
    if (foreign || (in_folder && (is_binary(d, bytes, n) || is_other_json(d, path) || is_no_json(d, path)))) {
        skip(d, path);
        return 0;
    }
    struct source *s = add_source(d, path);
    FAIL_IF(!s, E_MEMORY, "no memory for the names of files");
    s->lines = d->whole || has_suffix(path, ".jsonl") || has_suffix(path, ".json");
    s->array = d->whole && begins_array(bytes, n);
    d->size += size;
    return 0;
}

static int add_entries(struct documents *d, const char *folder, char *const *names, size_t n, int depth);

static int add_folder(struct documents *d, const char *path, int depth)
{
    char **names;
    size_t n;
    FAIL_IF(depth > MAX_DEPTH, E_DATA, "%s lies more than %d folders deep", path, MAX_DEPTH);
    TRY(dir_list(path, &names, &n));
    int failed = add_entries(d, path, names, n, depth);
    free(names);
    return failed;
}

static int is_link(const char *path)
{
    struct stat st;
    return !lstat(path, &st) && S_ISLNK(st.st_mode);
}

static int add_entries(struct documents *d, const char *folder, char *const *names, size_t n, int depth)
{
    char path[PATH_SIZE];
    for (size_t i = 0; i < n; i++) {
        TRY(path_join(path, folder, names[i]));
        int is_dir = path_is_dir(path), is_file;
        TRY(path_look(path, &is_file));
        if (names[i][0] == '.') skip_because(d, path, "hidden");
        else if (is_dir && is_link(path)) skip_because(d, path, "a link to a folder");       /* perhaps to one around it */
        else if (is_dir) TRY(add_folder(d, path, depth + 1));
        else if (is_file) TRY(add_file(d, path, 1));
        else skip_because(d, path, "not a regular file");
    }
    return 0;
}

static int add_tree(struct documents *d, const char *path)
{
    size_t before = d->n, skipped = d->skipped;
    TRY(add_folder(d, path, 0));
    FAIL_IF(d->n == before && d->skipped == skipped, E_DATA, "%s: the folder is empty", path);
    FAIL_IF(d->n == before, E_DATA, "%s: no text in it; %zu skipped, the last one is %s", path, d->skipped - skipped, d->reason);
    return 0;
}

/* A file without a name. */
static int open_unnamed(int *fd)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_SIZE];
    if (!folder || !*folder) folder = path_is_dir("/var/tmp") ? "/var/tmp" : "/tmp";
    TRY(path_join(path, folder, "nib_text_XXXXXX"));
    *fd = mkstemp(path);
    FAIL_IF(*fd < 0, E_IO, "cannot make a file in %s for what comes from a pipe: %m; name another folder by TMPDIR", folder);
    unlink(path);
    return 0;
}

static int copy_stream(struct stream *in, int to, const char *name)
{
    char bytes[1 << 16];
    for (size_t n = 1; n;) {
        TRY(stream_read(in, bytes, sizeof bytes, &n));
        for (size_t done = 0; done < n;) {
            ssize_t now = write(to, bytes + done, n - done);
            FAIL_IF(now < 0 && errno != EINTR, E_IO, "no room for the text of %s: %m; name a folder with more by TMPDIR", name);
            if (now > 0) done += (size_t)now;
        }
    }
    return 0;
}

static int add_copy(struct documents *d, const char *path)
{
    char bytes[FIRST_BYTES];
    size_t n;
    uint64_t size;
    struct stream *in;
    struct source *s = add_source(d, strcmp(path, "-") ? path : "standard input");
    FAIL_IF(!s, E_MEMORY, "no memory for the names of files");
    s->lines = d->whole;
    TRY(open_unnamed(&s->copy));
    TRY(stream_open(&in, path));
    int failed = copy_stream(in, s->copy, s->path);
    stream_close(in);
    if (failed) return failed;
    TRY(first_bytes(s, bytes, &n, &size));
    FAIL_IF(is_foreign(d, s->path, bytes, n), E_DATA, "%s is %s", s->path, d->reason);
    s->array = d->whole && begins_array(bytes, n);
    d->size += size;
    return 0;
}

/* ---- reading ---- */

struct reading {
    const struct documents *d;
    documents_apart *apart;
    int (*visit)(void *context, const struct document *doc);
    void *context;
    struct text text;                    /* a file, or a line */
    size_t file; uint64_t before;        /* number of the file, bytes of those before it */
};

/* Names the fields that there are, since one of them will be meant. */
static int no_field(const struct reading *r, const json_t *object, const struct document *doc)
{
    struct text fields = { 0 };
    char shown[EXCERPT];
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) text_format(&fields, "%s%s", fields.size ? ", " : "", key);
    excerpt(shown, fields.size ? fields.at : "none");
    text_free(&fields);
    FAIL(E_DATA, "%s: line %llu: there is no field \"%s\"; name one with --field (there are: %s)", doc->path,
         (unsigned long long)doc->at.line, r->d->field, shown);
}

static int visit_field(const struct reading *r, const json_t *object, struct document *doc, const char *what)
{
    if (json_is_object(object) && !json_object_get(object, r->d->field)) return no_field(r, object, doc);
    TRY(json_get_string(object, r->d->field, &doc->text, what));
    doc->n = strlen(doc->text);
    return doc->n ? r->visit(r->context, doc) : 0;
}

/* json_parse names nothing here, so its message starts with a colon; and that an error is in line 1 of a line says nothing. */
static int not_json(int code, const struct document *doc)
{
    static const char colon[] = ": ", first[] = "line 1, ";
    const char *why = error_text() + sizeof colon - 1;
    if (!strncmp(why, first, sizeof first - 1)) why += sizeof first - 1;
    FAIL(code, "%s: line %llu is not JSON: %s", doc->path, (unsigned long long)doc->at.line, why);
}

static int visit_line(const struct reading *r, struct document *doc)
{
    char what[PATH_SIZE + 32];
    json_t *object;
    if (r->d->whole) {
        doc->text = r->text.at;
        doc->n = r->text.size;
        return r->visit(r->context, doc);
    }
    int failed = json_parse(&object, r->text.at, r->text.size, "");
    if (failed) return not_json(failed, doc);
    snprintf(what, sizeof what, "%s: line %llu", doc->path, (unsigned long long)doc->at.line);
    failed = visit_field(r, object, doc, what);
    json_decref(object);
    return failed;
}

/* Empty lines are no JSON, but files have them, at least at their end. */
static int visit_lines(struct reading *r, const struct source *s, struct stream *in, const struct place *from)
{
    struct document doc = { .path = s->path, .at.file = r->file };
    for (int got;;) {
        TRY(stream_line(in, &r->text, DOCUMENT_LIMIT, &got));
        if (!got) return 0;
        if (++doc.at.line < from->line) continue;
        doc.read = r->before + stream_position(in);
        if (strspn(r->text.at, " \t\r") < r->text.size) TRY(visit_line(r, &doc));
    }
}

/* The end of the JSON value that begins at `at`, as far as brackets and quotes say; `size` if it has none. */
static size_t value_end(const struct text *t, size_t at)
{
    int depth = 0, quoted = 0;
    for (; at < t->size; at++) {
        char c = t->at[at];
        if (quoted) at += c == '\\', quoted = c != '"';
        else if (c == '"') quoted = 1;
        else if (c == '[' || c == '{') depth++;
        else if (c == ',' && !depth) return at;
        else if ((c == ']' || c == '}') && depth-- == 0) return at;
    }
    return t->size;
}

static size_t skip_blanks(const struct text *t, size_t at) { return at + strspn(t->at + at, " \t\r\n"); }

static int read_whole(struct reading *r, const struct source *s, struct stream *in)
{
    int more = 1;
    for (size_t wanted = STRETCH; more; wanted *= 2) {
        FAIL_IF(wanted > DOCUMENT_LIMIT, E_DATA, "%s: a JSON array of more than 1 GiB; make JSON lines of it: jq -c '.[]' %s >text.jsonl", s->path, s->path);
        TRY(stream_append(in, &r->text, wanted, &more));
    }
    return 0;
}

/* A file that is one array, which is held whole. */
static int visit_entries(struct reading *r, const struct source *s, struct stream *in, const struct place *from)
{
    struct document doc = { .path = s->path, .at.file = r->file, .is_entry = 1 };
    TRY(read_whole(r, s, in));
    doc.read = r->before + stream_position(in);
    size_t at = skip_blanks(&r->text, skip_blanks(&r->text, 0) + 1), end;
    for (; at < r->text.size && r->text.at[at] != ']'; at = r->text.at[end] == ',' ? skip_blanks(&r->text, end + 1) : end) {
        end = value_end(&r->text, at);
        doc.text = r->text.at + at;
        doc.n = end - at;
        doc.at.line++;
        FAIL_IF(!doc.n || end == r->text.size || r->text.at[end] == '}', E_DATA, "%s: entry %llu does not end as it should; is the file cut off?", s->path, (unsigned long long)doc.at.line);
        if (doc.at.line >= from->line) TRY(r->visit(r->context, &doc));
    }
    FAIL_IF(at >= r->text.size || skip_blanks(&r->text, at + 1) < r->text.size, E_DATA, "%s: the JSON array does not end where the file does", s->path);
    return 0;
}

/* A file's text, in stretches.  At least its last byte stays for the one without `more`. */
static int visit_stretches(struct reading *r, const struct source *s, struct stream *in, const struct place *from)
{
    struct document doc = { .path = s->path, .at = { .file = r->file, .byte = from->byte }, .more = 1 };
    TRY(stream_skip(in, from->byte));
    for (size_t wanted = STRETCH; doc.more;) {
        TRY(stream_append(in, &r->text, wanted, &doc.more));
        doc.n = doc.more ? r->apart(r->context, r->text.at, r->text.size, r->text.size - 1) : r->text.size;
        doc.text = r->text.at;
        doc.read = r->before + stream_position(in);
        FAIL_IF(!doc.n && doc.more && r->text.size > DOCUMENT_LIMIT, E_DATA, "%s: more than 1 GiB from byte %llu on without a place to cut; put line ends into it, or make JSON lines of it", s->path, (unsigned long long)doc.at.byte);
        wanted = doc.n ? STRETCH : 2 * r->text.size;
        if (!doc.n) continue;
        TRY(r->visit(r->context, &doc));
        doc.at.byte += doc.n;
        r->text.size -= doc.n;
        memmove(r->text.at, r->text.at + doc.n, r->text.size);
    }
    return 0;
}

static int visit_source(struct reading *r, const struct source *s, const struct place *from)
{
    struct stream *in;
    TRY(open_source(&in, s));
    text_clear(&r->text);
    int failed = r->file < from->file ? 0 : s->array ? visit_entries(r, s, in, from) : s->lines ? visit_lines(r, s, in, from) : visit_stretches(r, s, in, from);
    r->before += stream_size(in);
    stream_close(in);
    return failed;
}

size_t documents_between(void *context, const char *text, size_t n, size_t most)
{
    (void)context;
    if (most >= n) return n;
    for (size_t at = most; at && at + 3 >= most; at--)       /* the first byte of a character is among these, unless text[most] is none's */
        if (((unsigned char)text[at] & 0xc0) != 0x80) return at;
    return most;
}

int documents_each(const struct documents *d, const struct place *from, documents_apart *apart, int (*visit)(void *context, const struct document *doc), void *context)
{
    struct reading r = { .d = d, .apart = apart, .visit = visit, .context = context };
    static const struct place beginning;
    int failed = 0;
    for (; r.file < d->n && !failed; r.file++) failed = visit_source(&r, &d->source[r.file], from && r.file <= from->file ? from : &beginning);
    text_free(&r.text);
    return failed;
}

int document_error(int code, const struct document *doc)
{
    if (doc->at.line) return error_prefix(code, "%s: %s %llu", doc->path, doc->is_entry ? "entry" : "line", (unsigned long long)doc->at.line);
    return error_prefix(code, "%s", doc->path);
}

/* ---- all of it ---- */

static int add_input(struct documents *d, const char *path)
{
    if (path_is_dir(path)) return add_tree(d, path);
    int is_pipe = !strcmp(path, "-") || (!path_is_file(path) && !access(path, F_OK));
    return is_pipe ? add_copy(d, path) : add_file(d, path, 0);
}

int documents_open(struct documents **out, const char *const *inputs, int n, const char *field, struct text *notices)
{
    struct documents *d = *out = calloc(1, sizeof *d);
    int failed = 0;
    FAIL_IF(!d, E_MEMORY, "no memory for the names of files");
    d->field = field;
    d->whole = field == documents_whole;
    d->notices = notices;
    for (int i = 0; i < n && !failed; i++) failed = add_input(d, inputs[i]);
    if (notices && d->skipped > MOST_NOTICES) text_format(notices, "skipped: %zu more\n", d->skipped - MOST_NOTICES);
    if (!failed) return 0;
    documents_close(d);
    *out = NULL;
    return failed;
}

void documents_close(struct documents *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n; i++)
        if (d->source[i].copy >= 0) close(d->source[i].copy);
    free(d->source);
    arena_free(&d->memory);
    free(d);
}

int documents_are_one(const struct documents *d)
{
    return d->n == 1 && !d->source[0].lines;
}

uint64_t documents_size(const struct documents *d)
{
    return d->size;
}

void documents_sum(const struct documents *d, struct sha256 *sum)
{
    for (size_t i = 0; i < d->n; i++) {
        struct stat st = { 0 };
        const struct source *s = &d->source[i];
        if (s->copy < 0 ? stat(s->path, &st) : fstat(s->copy, &st)) continue;
        sha256_add(sum, s->path, strlen(s->path) + 1);
        sha256_add(sum, (const int64_t[]){ (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec }, 3 * sizeof(int64_t));
    }
}

#ifdef FUZZ_DOCUMENTS
#include <sys/syscall.h>
#include <zlib.h>

static int check_document(void *sum, const struct document *doc)
{
    if (doc->n == 0 || doc->n > DOCUMENT_LIMIT) abort();
    *(uLong *)sum = crc32_z(*(uLong *)sum, (const Bytef *)doc->text, doc->n);
    return 0;
}

/* The bytes as a plain file, as JSON lines, as an array, and as lines that nobody looks into: two readings see the same, and of a file that is not compressed all that is in it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct documents *d;
    char path[32];
    if (fd < 0) fd = (int)syscall(SYS_memfd_create, "fuzz", 0);
    if (fd < 0 || ftruncate(fd, (off_t)size) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (documents_open(&d, (const char *const[]){ path }, 1, "text", NULL)) return 0;
    for (int lines = 0; lines < 4; lines++) {
        uLong sum[2] = { 0 };
        d->source[0].lines = lines & 1;
        d->source[0].array = lines == 2 && begins_array((const char *)data, size);
        if (lines >= 2) d->whole = 1;
        int failed = documents_each(d, NULL, documents_between, check_document, &sum[0]), again = documents_each(d, NULL, documents_between, check_document, &sum[1]);
        if (failed != again || sum[0] != sum[1]) abort();
        if (!lines && !failed && (size < 2 || memcmp(data, "\x1f\x8b", 2)) && sum[0] != crc32_z(0, data, size)) abort();
    }
    documents_close(d);
    return 0;
}
#endif
