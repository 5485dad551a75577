/* file.h -- files and folders: mapped, read whole, written so that a crash leaves the old one or the new one. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { PATH_SIZE = 4096 };

/* A regular file mapped read-only.  An empty file maps to size 0 and a valid pointer. */
struct file_map { const uint8_t *at; size_t size; };
int  file_open_map(struct file_map *m, const char *path);
void file_close_map(struct file_map *m);

int file_read(const char *path, size_t limit, struct text *out);         /* appends the whole file; larger than limit: E_DATA */

/* Writes path by way of a temporary file beside it: written, fsynced, renamed, folder fsynced.  On failure the old file stays. */
int file_write(const char *path, const void *bytes, size_t n);
int file_sync(const char *path);                                         /* fsync of a file or a folder */
int file_sha256(const char *path, char hex[65]);                         /* lower-case hex of the whole file */

int  path_join(char out[PATH_SIZE], const char *folder, const char *name);       /* E_USAGE if it does not fit */
int  path_is_file(const char *path);
int  path_is_dir(const char *path);
int  path_has_suffix(const char *path, const char *suffix);              /* "train.txt.gz" has ".gz" */
const char *path_base(const char *path);                                 /* what follows the last slash */
int  dir_make(const char *path);                                         /* and its parents; that it exists is fine */
int  dir_remove(const char *path);                                       /* with what is in it, links not followed; that it is absent is fine */
/* Names in a folder, sorted, without . and ..; the strings and the array are in one block, freed by one free(). */
int  dir_list(const char *path, char ***names, size_t *n);
int  cache_path(char out[PATH_SIZE], const char *name);                  /* $XDG_CACHE_HOME/nib/name, else ~/.cache/nib/name; folder made */

/* SHA-256 (FIPS 180-4) of bytes as they come. */
struct sha256 { uint32_t h[8]; uint64_t size; uint8_t block[64]; };
void sha256_start(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
void sha256_end(struct sha256 *s, char hex[65]);

#endif
