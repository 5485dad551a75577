/* file.h -- files and folders: mapped, read whole, written so that a crash leaves the old one or the new one. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { PATH_SIZE = 4096 };

/* A regular file mapped read-only; pipes, devices and folders are E_DATA.  An empty file maps to size 0 and a valid pointer.
 * The map stays whole when the file is replaced or removed, as everything here does; who truncates it in place
 * sends us SIGBUS, which the program turns into E_IO. */
struct file_map { const uint8_t *at; size_t size; };
int  file_open_map(struct file_map *m, const char *path);
void file_close_map(struct file_map *m);

int file_read(const char *path, size_t limit, struct text *out);         /* appends a whole regular file; larger than limit: E_DATA */

/* Writes path by way of a temporary file beside it: written, fsynced, renamed, folder fsynced.  On failure the old file stays
 * and the temporary one is removed; only if the fsync of the folder fails may either be found after a power cut.  A pipe or a device
 * (/dev/stdout) is written as it is, and never replaced; E_IO: nobody reads the pipe. */
int file_write(const char *path, const void *bytes, size_t n);

/* The same in pieces, for what is too large to hold.  After file_create, file_commit ends well; file_discard gives up, and does
 * nothing after a commit.  A failed append or commit has discarded already: an fsync that failed once is never tried again,
 * because the kernel then believes that the lost pages are clean (Rebello et al., ATC 2020). */
struct file_writer { char path[PATH_SIZE], temporary[PATH_SIZE]; int fd; };
int  file_create(struct file_writer *w, const char *path);
int  file_append(struct file_writer *w, const void *bytes, size_t n);
int  file_begin_with(struct file_writer *w, const void *bytes, size_t n);        /* in place of the first n that were appended: what is known last */
int  file_commit(struct file_writer *w);
void file_discard(struct file_writer *w);

int file_sync(const char *path);                                         /* fsync of a file or a folder */
int file_sha256(const char *path, char hex[65]);                         /* lower-case hex of a whole regular file */

int  path_join(char out[PATH_SIZE], const char *folder, const char *name);       /* E_USAGE if too long; out is neither */
int  path_is_file(const char *path);
int  path_is_dir(const char *path);
int  path_look(const char *path, int *is_file);                          /* the same for who must not be wrong: E_IO if the system cannot say */
int  path_has_suffix(const char *path, const char *suffix);              /* "train.txt.gz" has ".gz" */
const char *path_base(const char *path);                                 /* what follows the last slash */
int  path_parent(char parent[PATH_SIZE], const char *path);                /* what stands before it; "." if nothing does */
int  dir_make(const char *path);                                         /* and its parents; existing is fine */
/* Until dir_unlock or the end of the process, whichever way it ends, nobody else gets folder/.lock.  E_BUSY, and `instead` says what to do: somebody has it. */
int  dir_lock(int *lock, const char *folder, const char *instead);
void dir_unlock(int lock);                                               /* -1 is fine */
int  dir_locked(const char *folder);                                     /* somebody has it now */
int  dir_free(const char *path, uint64_t *bytes);                        /* room for files of ours on its disk */
int  dir_remove(const char *path);                                       /* with its contents, links not followed; absent is fine */
int  dir_sweep(const char *path);                                        /* removes the temporary files that killed writers left in it */
/* Names in a folder, sorted, without . and ..; the strings and the array are in one block, freed by one free(). */
int  dir_list(const char *path, char ***names, size_t *n);
int  cache_path(char out[PATH_SIZE], const char *name);                  /* $XDG_CACHE_HOME/nib/name or ~/.cache/nib/name; folder made */

/* SHA-256 (FIPS 180-4) of bytes as they come. */
struct sha256 { uint64_t state[16]; };
void sha256_start(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
void sha256_end(struct sha256 *s, char hex[65]);                         /* lower case */

#endif
