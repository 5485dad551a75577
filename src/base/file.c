/* file.c -- files and folders, by plain POSIX calls. */
#define _GNU_SOURCE                                          /* locks of open files */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"

enum { PIECE = 1 << 16, MAX_DEPTH = 64 };

/* ---- reading ---- */

static int open_regular(const char *path, int *fd, size_t *size)
{
    struct stat st;
    /* O_NONBLOCK: to open a pipe that nobody writes must not wait.  It means nothing to a regular file. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FAIL_IF(*fd < 0, E_IO, "cannot open %s: %m", path);
    if (!fstat(*fd, &st) && S_ISREG(st.st_mode)) {
        *size = (size_t)st.st_size;
        return 0;
    }
    close(*fd);
    FAIL(E_DATA, "%s is not a regular file", path);
}

static ssize_t read_some(int fd, void *bytes, size_t room)
{
    for (;;) {
        ssize_t n = read(fd, bytes, room);
        if (n >= 0 || errno != EINTR) return n;
    }
}

int file_open_map(struct file_map *m, const char *path)
{
    static const uint8_t nothing;
    int fd;
    *m = (struct file_map){ .at = &nothing };
    TRY(open_regular(path, &fd, &m->size));
    void *at = m->size ? mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (at == MAP_FAILED) {
        *m = (struct file_map){ .at = &nothing };
        FAIL(E_IO, "cannot map %s: %m", path);
    }
    if (at) m->at = at;
    return 0;
}

void file_close_map(struct file_map *m)
{
    if (m->size) munmap((void *)m->at, m->size);
    *m = (struct file_map){ 0 };
}

int file_read(const char *path, size_t limit, struct text *out)
{
    int fd;
    size_t size, all = 0;
    ssize_t n = 0;
    char piece[PIECE];
    TRY(open_regular(path, &fd, &size));
    text_bytes(out, "", 0);                                  /* an empty file is a valid string, too */
    while (size <= limit && all <= limit && (n = read_some(fd, piece, sizeof piece)) > 0) {
        text_bytes(out, piece, (size_t)n);
        all += (size_t)n;
    }
    int error = errno;
    close(fd);
    errno = error;
    FAIL_IF(size > limit || all > limit, E_DATA, "%s is larger than the %zu bytes that are allowed for it", path, limit);
    FAIL_IF(n < 0, E_IO, "cannot read %s: %m", path);
    FAIL_IF(out->failed, E_MEMORY, "no memory for the %zu bytes of %s", size, path);
    return 0;
}

int file_sha256(const char *path, char hex[65])
{
    int fd;
    size_t size;
    ssize_t n;
    char piece[PIECE];
    struct sha256 sum;
    TRY(open_regular(path, &fd, &size));
    sha256_start(&sum);
    while ((n = read_some(fd, piece, sizeof piece)) > 0) sha256_add(&sum, piece, (size_t)n);
    int error = errno;
    close(fd);
    errno = error;
    FAIL_IF(n < 0, E_IO, "cannot read %s: %m", path);
    sha256_end(&sum, hex);
    return 0;
}

/* ---- writing ---- */

int file_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FAIL_IF(fd < 0, E_IO, "cannot open %s: %m", path);
    /* EINVAL: a file system that has no fsync for folders. */
    int failed = fsync(fd) && errno != EINVAL, error = errno;
    close(fd);
    errno = error;
    FAIL_IF(failed, E_IO, "cannot bring %s to the disk: %m", path);
    return 0;
}

static int sync_parent(const char *path)
{
    const char *name = path_base(path);
    char folder[PATH_SIZE] = ".";
    if (name > path) snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    return file_sync(folder);
}

void file_discard(struct file_writer *w)
{
    if (w->fd < 0) return;
    close(w->fd);
    if (*w->temporary) unlink(w->temporary);
    w->fd = -1;
}

static int write_failed(struct file_writer *w, int error)
{
    file_discard(w);
    errno = error;
    FAIL(E_IO, "cannot write %s: %m%s", w->path, *w->temporary ? "; what was there before is untouched" : "");
}

/* A pipe or a device: no file can take its place. */
static int is_stream(const char *path)
{
    struct stat st;
    return !stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int open_stream(struct file_writer *w, const char *path)
{
    *w->temporary = 0;
    w->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);   /* a pipe that nobody reads is an error, not a wait */
    FAIL_IF(w->fd < 0, E_IO, "cannot open %s: %m", path);
    return fcntl(w->fd, F_SETFL, 0) ? write_failed(w, errno) : 0;
}

int file_create(struct file_writer *w, const char *path)
{
    static atomic_uint count;                                /* two threads may write the same path: the last rename wins */
    unsigned number = atomic_fetch_add(&count, 1);
    w->fd = -1;
    int n = snprintf(w->temporary, sizeof w->temporary, "%s.%ld-%u.tmp", path, (long)getpid(), number);
    FAIL_IF(n < 0 || n >= PATH_SIZE, E_USAGE, "path too long: %.200s...", path);
    memcpy(w->path, path, strlen(path) + 1);
    if (is_stream(path)) return open_stream(w, path);
    unlink(w->temporary);                                    /* what a killed process of the same number may have left */
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FAIL_IF(w->fd < 0, E_IO, "cannot create %s: %m", w->temporary);
    return 0;
}

int file_append(struct file_writer *w, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(w->fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return write_failed(w, done ? errno : EIO);
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

int file_begin_with(struct file_writer *w, const void *bytes, size_t n)
{
    const char *at = bytes;
    for (size_t from = 0; from < n;) {
        ssize_t done = pwrite(w->fd, at + from, n - from, (off_t)from);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return write_failed(w, done ? errno : EIO);
        from += (size_t)done;
    }
    return 0;
}

int file_commit(struct file_writer *w)
{
    /* The name follows the bytes to the disk, never the other way round. */
    if (*w->temporary && (fsync(w->fd) || rename(w->temporary, w->path))) return write_failed(w, errno);
    close(w->fd);
    w->fd = -1;
    return *w->temporary ? sync_parent(w->path) : 0;
}

int file_write(const char *path, const void *bytes, size_t n)
{
    struct file_writer w;
    TRY(file_create(&w, path));
    TRY(file_append(&w, bytes, n));
    return file_commit(&w);
}

/* ---- paths ---- */

int path_join(char out[PATH_SIZE], const char *folder, const char *name)
{
    size_t n = strlen(folder);
    const char *slash = n == 0 || folder[n - 1] == '/' ? "" : "/";
    int size = snprintf(out, PATH_SIZE, "%s%s%s", folder, slash, name);
    FAIL_IF(size < 0 || size >= PATH_SIZE, E_USAGE, "path too long: %.200s.../%.200s", folder, name);
    return 0;
}

int path_is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

int path_is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int path_look(const char *path, int *is_file)
{
    struct stat st;
    *is_file = 0;
    if (stat(path, &st)) {
        FAIL_IF(errno != ENOENT && errno != ENOTDIR && errno != ELOOP, E_IO, "cannot look at %s: %m", path);
        return 0;
    }
    *is_file = S_ISREG(st.st_mode);
    return 0;
}

int path_has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && !strcmp(path + n - m, suffix);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int path_parent(char parent[PATH_SIZE], const char *path)
{
    int n = (int)(path_base(path) - path);
    FAIL_IF(n >= PATH_SIZE, E_USAGE, "%s: the path is too long", path);
    snprintf(parent, PATH_SIZE, "%.*s", n ? n : 1, n ? path : ".");
    return 0;
}

/* ---- folders ---- */

static int make_one(const char *path)
{
    if (!mkdir(path, 0777)) return 0;
    int error = errno;
    if (path_is_dir(path)) return 0;
    errno = error;
    FAIL(E_IO, "cannot make the folder %s: %m", path);
}

int dir_make(const char *path)
{
    char part[PATH_SIZE];
    TRY(path_join(part, path, ""));                          /* now every folder of it ends in a slash */
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        TRY(make_one(part));
        *slash = '/';
    }
    return 0;
}

int dir_lock(int *lock, const char *folder, const char *instead)
{
    char path[PATH_SIZE];
    *lock = -1;
    TRY(path_join(path, folder, ".lock"));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    FAIL_IF(fd < 0, E_IO, "cannot open %s: %m", path);
    if (fcntl(fd, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET })) {
        close(fd);
        FAIL(E_BUSY, "another run is writing to %s; %s", folder, instead);
    }
    *lock = fd;
    return 0;
}

/* A lock of an open file, unlike flock's, can be asked about without being taken, so that whoever looks is in nobody's way. */
int dir_locked(const char *folder)
{
    char path[PATH_SIZE];
    struct flock wanted = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = path_join(path, folder, ".lock") ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return 0;
    int locked = !fcntl(fd, F_OFD_GETLK, &wanted) && wanted.l_type != F_UNLCK;
    close(fd);
    return locked;
}

void dir_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

int dir_free(const char *path, uint64_t *bytes)
{
    struct statvfs s;
    FAIL_IF(statvfs(path, &s), E_IO, "cannot ask for the room in %s: %m", path);
    *bytes = (uint64_t)s.f_bavail * s.f_frsize;
    return 0;
}

static int is_dots(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

static int remove_at(int folder, const char *name, int depth);

static int remove_contents(int fd, const char *name, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        FAIL(E_IO, "cannot read the folder %s: %m", name);
    }
    int failed = 0;
    for (struct dirent *e; !failed && (e = readdir(dir));)
        if (!is_dots(e->d_name)) failed = remove_at(fd, e->d_name, depth + 1);
    closedir(dir);
    return failed;
}

/* Names are looked up in open folders, so that nobody can slip a link into the path meanwhile. */
static int remove_at(int folder, const char *name, int depth)
{
    FAIL_IF(depth > MAX_DEPTH, E_DATA, "%s lies more than %d folders deep", name, MAX_DEPTH);
    if (!unlinkat(folder, name, 0) || errno == ENOENT) return 0;
    FAIL_IF(errno != EISDIR && errno != EPERM, E_IO, "cannot remove %s: %m", name);
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    FAIL_IF(fd < 0, E_IO, "cannot remove %s: %m", name);
    TRY(remove_contents(fd, name, depth));
    FAIL_IF(unlinkat(folder, name, AT_REMOVEDIR), E_IO, "cannot remove %s: %m", name);
    return 0;
}

int dir_remove(const char *path)
{
    return remove_at(AT_FDCWD, path, 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int dir_list(const char *path, char ***names, size_t *n)
{
    struct text all = { 0 };                                 /* the names, each with its final 0 */
    size_t bytes;
    DIR *dir = opendir(path);
    FAIL_IF(!dir, E_IO, "cannot read the folder %s: %m", path);
    *n = 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (!is_dots(e->d_name)) text_bytes(&all, e->d_name, strlen(e->d_name) + 1), ++*n;
    closedir(dir);
    int fits = size_mul(*n, sizeof **names, &bytes) && size_add(bytes, all.size + 1, &bytes);
    *names = fits && !all.failed ? malloc(bytes) : NULL;
    if (*names) {
        char *at = (char *)(*names + *n);
        if (all.size) memcpy(at, all.at, all.size);
        for (size_t i = 0; i < *n; at += strlen(at) + 1) (*names)[i++] = at;
        qsort(*names, *n, sizeof **names, by_name);
    }
    text_free(&all);
    FAIL_IF(!*names, E_MEMORY, "no memory for the names in %s", path);
    return 0;
}

/* Of "NAME.1234-5.tmp" the part that file_create appended? */
static int is_temporary(const char *name)
{
    size_t n = strlen(name), digits;
    if (n < 4 || strcmp(name + n - 4, ".tmp")) return 0;
    n -= 4;
    for (digits = 0; n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9'; n--) digits++;
    if (!digits || n == 0 || name[--n] != '-') return 0;
    for (digits = 0; n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9'; n--) digits++;
    return digits && n > 1 && name[n - 1] == '.';
}

int dir_sweep(const char *path)
{
    char **names, file[PATH_SIZE];
    size_t n;
    int code = dir_list(path, &names, &n);
    if (code) return code;
    for (size_t i = 0; i < n && !code; i++) {
        if (!is_temporary(names[i])) continue;
        code = path_join(file, path, names[i]);
        if (!code && unlink(file) && errno != ENOENT) code = error_set(E_IO, __FILE__, __LINE__, "cannot remove %s: %m", file);
    }
    free(names);
    return code;
}

int cache_path(char out[PATH_SIZE], const char *name)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[PATH_SIZE], nib[PATH_SIZE];
    if (cache && cache[0] == '/') TRY(path_join(folder, cache, "nib"));      /* the specification ignores relative ones */
    else if (home && home[0]) TRY(path_join(folder, home, ".cache/nib"));
    else FAIL(E_USAGE, "no place for downloaded files: set HOME or XDG_CACHE_HOME");
    TRY(path_join(out, folder, name));
    snprintf(nib, sizeof nib, "%.*s", (int)(path_base(out) - out), out);     /* name may lie in a folder of its own */
    return dir_make(nib);
}
