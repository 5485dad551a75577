/* power.h -- a power cut, as a traced program's files may come out of it: whatever was not brought to the disk by fsync may be lost.
 *
 * What is known of disks (Pillai et al., OSDI 2014; POSIX): the bytes of a file are safe when it was fsynced; that a name was made, moved or
 * taken away is safe when its folder was.  What is not safe is undone from some moment on, newest first, as journals of file systems do it; bytes
 * that are not safe are cut off somewhere, or zero from there on. */
#ifndef POWER_H
#define POWER_H
#include "tracer.h"

#include <sys/sysmacros.h>

enum change { MADE, MOVED, LINKED, TAKEN, DIR_MADE, DIR_TAKEN };
struct changed {
    enum change change;
    int parent, to_parent;               /* folders, open; to_parent: MOVED, LINKED */
    char name[256], to_name[256];        /* in them */
    char kept[64];                       /* another name of the file that was taken away or replaced; "" none */
    ino_t folder;                        /* DIR_TAKEN: which it was */
    int safe;
};
struct bytes { ino_t inode; int file; off_t safe; };     /* of a file, open, so many are; files are only appended to */

enum { MOST_CHANGED = 4096, MOST_FILES = 512 };
struct power {
    struct changed changed[MOST_CHANGED];
    struct bytes bytes[MOST_FILES];
    int n, n_files, n_kept;
    struct changed now;                  /* of the call that is going on */
    int is_change, fd, is_write, is_sync;
};

/* ---- paths of another process ---- */

/* A call's folder, opened, and the name in it; 0: it is not there. */
static inline int open_parent(pid_t pid, long at_fd, uint64_t address, int *parent, char name[256])
{
    char path[PATH_SIZE], base[64], whole[PATH_SIZE + 64];
    read_path(pid, address, path);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') path[--n] = 0;
    if (!n) return 0;
    if ((int)at_fd == AT_FDCWD) snprintf(base, sizeof base, "/proc/%d/cwd/", pid);
    else snprintf(base, sizeof base, "/proc/%d/fd/%d/", pid, (int)at_fd);
    snprintf(whole, sizeof whole, "%s%s", path[0] == '/' ? "" : base, path);
    char *slash = strrchr(whole, '/');
    snprintf(name, 256, "%.255s", slash + 1);
    *slash = 0;
    *parent = open(*whole ? whole : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *parent >= 0;
}

static inline int open_file_of(pid_t pid, int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    return open(path, flags | O_CLOEXEC);
}

/* ---- before a call ---- */

static inline void keep_file(struct power *w, int parent, const char *name, char kept[64])
{
    snprintf(kept, 64, ".kept-%d", w->n_kept++);
    if (linkat(parent, name, AT_FDCWD, kept, 0)) kept[0] = 0;
}

static inline int exists(int parent, const char *name)
{
    struct stat st;
    return !fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW);
}

static inline void close_folders(const struct changed *c)
{
    if (c->parent >= 0) close(c->parent);
    if (c->to_parent >= 0) close(c->to_parent);
}

static inline void forget(struct power *w)                   /* nothing is changed by this call */
{
    close_folders(&w->now);
    w->is_change = 0;
}

static inline void note_name(struct power *w, pid_t pid, enum change change, long at_fd, uint64_t path)
{
    w->now = (struct changed){ .change = change, .parent = -1, .to_parent = -1 };
    w->is_change = open_parent(pid, at_fd, path, &w->now.parent, w->now.name);
    if (w->is_change && change == TAKEN) keep_file(w, w->now.parent, w->now.name, w->now.kept);
    struct stat st;
    if (w->is_change && change == DIR_TAKEN && !fstatat(w->now.parent, w->now.name, &st, 0)) w->now.folder = st.st_ino;
    if (w->is_change && change == MADE && exists(w->now.parent, w->now.name)) forget(w);
}

static inline void note_two(struct power *w, pid_t pid, enum change change, uint64_t from, uint64_t to)
{
    note_name(w, pid, change, AT_FDCWD, from);
    if (w->is_change && !open_parent(pid, AT_FDCWD, to, &w->now.to_parent, w->now.to_name)) forget(w);
    if (w->is_change && change == MOVED) keep_file(w, w->now.to_parent, w->now.to_name, w->now.kept);
}

static inline void power_before(struct power *w, pid_t pid, const struct __ptrace_syscall_info *call)
{
    const uint64_t *a = (const uint64_t *)call->entry.args;
    w->is_change = w->is_write = w->is_sync = 0;
    switch (call->entry.nr) {
    case SYS_write: w->is_write = 1, w->fd = (int)a[0]; break;
    case SYS_fsync: case SYS_fdatasync: w->is_sync = 1, w->fd = (int)a[0]; break;
    case SYS_openat: if (a[2] & O_CREAT) note_name(w, pid, MADE, (long)a[0], a[1]); break;
    case SYS_unlinkat: note_name(w, pid, a[2] & AT_REMOVEDIR ? DIR_TAKEN : TAKEN, (long)a[0], a[1]); break;
    case SYS_renameat: note_two(w, pid, MOVED, a[1], a[3]); break;
    case SYS_linkat: note_two(w, pid, LINKED, a[1], a[3]); break;
    case SYS_mkdirat: note_name(w, pid, DIR_MADE, (long)a[0], a[1]); break;
#ifdef SYS_open
    case SYS_unlink: note_name(w, pid, TAKEN, AT_FDCWD, a[0]); break;
    case SYS_mkdir: note_name(w, pid, DIR_MADE, AT_FDCWD, a[0]); break;
    case SYS_rename: note_two(w, pid, MOVED, a[0], a[1]); break;
    case SYS_link: note_two(w, pid, LINKED, a[0], a[1]); break;
#endif
    }
}

/* ---- behind it ---- */

static inline struct bytes *bytes_of(struct power *w, ino_t inode)
{
    for (int i = 0; i < w->n_files; i++)
        if (w->bytes[i].inode == inode) return &w->bytes[i];
    return NULL;
}

static inline void note_written(struct power *w, pid_t pid)
{
    struct stat st;
    int file = open_file_of(pid, w->fd, O_RDWR);
    if (file < 0) return;
    if (fstat(file, &st) || !S_ISREG(st.st_mode) || bytes_of(w, st.st_ino)) {
        close(file);
        return;
    }
    assert_true(w->n_files < MOST_FILES);
    w->bytes[w->n_files++] = (struct bytes){ st.st_ino, file, 0 };
}

static inline int is_folder(int fd, const struct stat *st)
{
    struct stat other;
    return fd >= 0 && !fstat(fd, &other) && other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

static inline void note_synced(struct power *w, pid_t pid)
{
    struct stat st;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, w->fd);
    if (stat(path, &st)) return;
    struct bytes *b = bytes_of(w, st.st_ino);
    if (b) b->safe = st.st_size;
    for (int i = 0; i < w->n && S_ISDIR(st.st_mode); i++)
        w->changed[i].safe |= is_folder(w->changed[i].parent, &st) || is_folder(w->changed[i].to_parent, &st);
}

static inline void power_behind(struct power *w, pid_t pid, const struct __ptrace_syscall_info *call)
{
    int well = !call->exit.is_error;
    if (w->is_write && well) note_written(w, pid);
    if (w->is_sync && well) note_synced(w, pid);
    if (!w->is_change) return;
    if (!well) {
        forget(w);
        return;
    }
    assert_true(w->n < MOST_CHANGED);
    w->changed[w->n++] = w->now;
    w->is_change = 0;
}

static inline void power_look(void *context, pid_t pid, const struct __ptrace_syscall_info *call, int ends)
{
    (ends ? power_behind : power_before)(context, pid, call);
}

/* ---- the cut ---- */

static inline void give_back(const char *kept, int parent, const char *name)
{
    struct stat st;
    if (!fstat(parent, &st) && !st.st_nlink) return;         /* the folder is gone for good, and all that was in it */
    if (*kept && linkat(AT_FDCWD, kept, parent, name, 0)) fail_msg("%s cannot become %s again: %m", kept, name);
}

/* The folder is there again, as another one: what happened in it before is to be undone in this one. */
static inline void make_again(struct power *w, const struct changed *c)
{
    struct stat st;
    assert_int_equal(mkdirat(c->parent, c->name, 0755), 0);
    int again = openat(c->parent, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < w->n; i++) {
        int *const folders[] = { &w->changed[i].parent, &w->changed[i].to_parent };
        for (int k = 0; k < 2; k++)
            if (*folders[k] >= 0 && !fstat(*folders[k], &st) && st.st_ino == c->folder) dup2(again, *folders[k]);
    }
    close(again);
}

static inline void undo(struct power *w, const struct changed *c)
{
    char trash[80];
    static int thrown;
    switch (c->change) {
    case MADE: unlinkat(c->parent, c->name, 0); break;
    case LINKED: unlinkat(c->to_parent, c->to_name, 0); break;
    case TAKEN: give_back(c->kept, c->parent, c->name); break;
    case DIR_TAKEN: make_again(w, c); break;
    case DIR_MADE:
        snprintf(trash, sizeof trash, ".lost-%d", thrown++);
        renameat(c->parent, c->name, AT_FDCWD, trash);
        break;
    case MOVED:
        renameat(c->to_parent, c->to_name, c->parent, c->name);
        give_back(c->kept, c->to_parent, c->to_name);
    }
}

/* Bytes behind a random place are gone, or were never written there. */
static inline void tear(const struct bytes *b, uint64_t *dice_)
{
    struct stat st;
    if (fstat(b->file, &st) || st.st_size <= b->safe) return;
    off_t at_ = b->safe + (off_t)(dice(dice_) % (uint64_t)(st.st_size - b->safe + 1));
    int zeros = roll(dice_, 2);
    if (ftruncate(b->file, at_)) return;
    if (zeros && ftruncate(b->file, st.st_size)) return;
}

/* After the program was killed. */
static inline void power_cut(struct power *w, uint64_t *dice_)
{
    int pending = 0, kept;
    for (int i = 0; i < w->n; i++) pending += !w->changed[i].safe;
    kept = roll(dice_, pending + 1);
    for (int i = w->n - 1, left = pending; i >= 0; i--) {
        if (w->changed[i].safe) continue;
        if (--left >= kept) undo(w, &w->changed[i]);
    }
    for (int i = 0; i < w->n_files; i++) tear(&w->bytes[i], dice_);
}

static inline void power_close(struct power *w)
{
    for (int i = 0; i < w->n; i++) close_folders(&w->changed[i]);
    if (w->is_change) forget(w);                             /* of the call that it was killed before */
    for (int i = 0; i < w->n_files; i++) close(w->bytes[i].file);
    for (int i = 0; i < w->n_kept; i++) {
        char name[64];
        snprintf(name, sizeof name, ".kept-%d", i);
        unlink(name);
    }
    *w = (struct power){ 0 };
}

#endif
