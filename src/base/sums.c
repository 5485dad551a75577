/* sums.c -- written and read back to the letter. */
#include "base/sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/grow.h"

enum { HEX = 64, MOST_BYTES = 1 << 22 };

/* A name of one file in the folder, that can stand in a line and be shown. */
static int is_name(const char *name, size_t n)
{
    if (n == 0 || n >= sizeof ((struct sum *)0)->name || name[0] == '.') return 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == '/' || name[i] == '\\' || name[i] == 127) return 0;
    return 1;
}

static int is_sum(const char *hex) { return strspn(hex, "0123456789abcdef") >= HEX; }

int sums_add(struct sums *s, const char *name, const char sha256[65])
{
    FAIL_IF(!is_name(name, strlen(name)), E_DATA, "\"%.80s\" cannot be the name of a file in %s", name, SUMS_FILE);
    FAIL_IF(!grow(&s->at, &s->room, s->n + 1, sizeof *s->at), E_MEMORY, "no memory for checksums");
    struct sum *to = &s->at[s->n++];
    snprintf(to->name, sizeof to->name, "%s", name);
    snprintf(to->sha256, sizeof to->sha256, "%.*s", HEX, sha256);
    return 0;
}

int sums_add_file(struct sums *s, const char *folder, const char *name)
{
    char path[PATH_SIZE], sha256[65];
    TRY(path_join(path, folder, name));
    TRY(file_sha256(path, sha256));
    return sums_add(s, name, sha256);
}

void sums_free(struct sums *s)
{
    free(s->at);
    *s = (struct sums){ 0 };
}

int sums_write(const struct sums *s, const char *folder)
{
    char path[PATH_SIZE];
    struct text t = { 0 };
    TRY(path_join(path, folder, SUMS_FILE));
    for (size_t i = 0; i < s->n; i++) text_format(&t, "%s  %s\n", s->at[i].sha256, s->at[i].name);
    int code = t.failed ? error_set(E_MEMORY, __FILE__, __LINE__, "no memory for %s", path) : file_write(path, t.at, t.size);
    text_free(&t);
    return code;
}

/* ---- reading ---- */

static int parse_line(struct sums *s, const char *line, size_t n, const char *what)
{
    char name[sizeof s->at->name];
    int good = n > HEX + 2 && is_sum(line) && line[HEX] == ' ' && line[HEX + 1] == ' ' && is_name(line + HEX + 2, n - HEX - 2);
    FAIL_IF(!good, E_DATA, "%s: line %zu is no checksum with a name", what, s->n + 1);
    snprintf(name, sizeof name, "%.*s", (int)(n - HEX - 2), line + HEX + 2);
    FAIL_IF(sums_find(s, name), E_DATA, "%s: %s is listed twice", what, name);
    return sums_add(s, name, line);
}

int sums_parse(struct sums *s, const char *text, size_t n, const char *what)
{
    *s = (struct sums){ 0 };
    FAIL_IF(memchr(text, 0, n), E_DATA, "%s: a byte of it is 0", what);
    for (const char *at = text, *end = text + n, *line; at < end; at = line + 1) {
        line = memchr(at, '\n', (size_t)(end - at));
        FAIL_IF(!line, E_DATA, "%s: its last line is cut off", what);
        TRY(parse_line(s, at, (size_t)(line - at), what));
    }
    return 0;
}

int sums_look(const char *folder, int *are)
{
    char path[PATH_SIZE];
    TRY(path_join(path, folder, SUMS_FILE));
    return path_look(path, are);
}

int sums_read(struct sums *s, const char *folder)
{
    char path[PATH_SIZE];
    struct text t = { 0 };
    *s = (struct sums){ 0 };
    TRY(path_join(path, folder, SUMS_FILE));
    int code = file_read(path, MOST_BYTES, &t);
    if (!code) code = sums_parse(s, t.at, t.size, path);
    text_free(&t);
    return code;
}

const char *sums_find(const struct sums *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->at[i].name, name)) return s->at[i].sha256;
    return NULL;
}

int sums_verify(const struct sums *s, const char *folder)
{
    char path[PATH_SIZE], now[65];
    for (size_t i = 0; i < s->n; i++) {
        TRY(path_join(path, folder, s->at[i].name));
        FAIL_IF(!path_is_file(path), E_DATA, "%s is not there, but %s lists it", path, SUMS_FILE);
        TRY(file_sha256(path, now));
        FAIL_IF(strcmp(now, s->at[i].sha256), E_DATA, "%s is not what was written: its SHA-256 is another than in %s", path, SUMS_FILE);
    }
    return 0;
}

int sums_verify_folder(const char *folder, const char *const *needed)
{
    struct sums s;
    int code = sums_read(&s, folder);
    for (; *needed && !code; needed++)
        if (!sums_find(&s, *needed)) code = error_set(E_DATA, __FILE__, __LINE__, "%s/%s does not list %s", folder, SUMS_FILE, *needed);
    if (!code) code = sums_verify(&s, folder);
    sums_free(&s);
    return code;
}

#ifdef FUZZ_SUMS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sums s;
    struct text again = { 0 };
    text_bytes(&again, "", 0);
    if (!sums_parse(&s, (const char *)data, size, "fuzz")) {
        for (size_t i = 0; i < s.n; i++) text_format(&again, "%s  %s\n", s.at[i].sha256, s.at[i].name);
        if (again.size != size || (size && memcmp(again.at, data, size))) abort();       /* each bit counts */
    }
    sums_free(&s);
    text_free(&again);
    return 0;
}
#endif
