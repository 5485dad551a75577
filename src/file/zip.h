/* zip.h -- the directory of a ZIP archive whose files are stored, not compressed, as torch.save writes them; ZIP64 included.
 *
 * Readers of ZIP have been deceived by archives that say one thing in their directory and another before each file.  So what both say must
 * agree, names are there once, nothing overlaps, and checksums are right.  The names mean nothing here: nobody makes paths of them. */
#ifndef FILE_ZIP_H
#define FILE_ZIP_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/file.h"

struct zip_entry { const char *name; const uint8_t *data, *header; size_t size; uint32_t sum; };
struct zip { struct zip_entry *entry; size_t n; };           /* in the order of names */

/* The archive is bytes that outlive it; names live in memory.  E_DATA: no archive, cut off, compressed or encrypted, or it lies. */
int zip_parse(struct zip *z, struct arena *memory, const uint8_t *bytes, size_t size, const char *what);
int zip_check(const struct zip_entry *e, const char *what);              /* E_DATA: another checksum.  One of 0 was not computed. */
const struct zip_entry *zip_find(const struct zip *z, const char *name);     /* NULL if absent; O(log n) */

/* Writing, atomically (base/file.h): files in order, stored, each from a multiple of 64 bytes on, as torch.save has them. */
struct zip_writer { struct file_writer file; struct text directory; uint64_t at; size_t n; };
int  zip_create(struct zip_writer *z, const char *path);
int  zip_put(struct zip_writer *z, const char *name, const void *data, size_t size);
int  zip_commit(struct zip_writer *z);
void zip_discard(struct zip_writer *z);                      /* nothing after a commit */

#endif
