/* sums.h -- SHA256SUMS: what the files of a folder were when they were written.  `sha256sum -c SHA256SUMS` reads it, too:
 *
 *     e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  model.safetensors
 *
 * Nothing else stands in it, so that each of its bits counts. */
#ifndef BASE_SUMS_H
#define BASE_SUMS_H
#include <stddef.h>

#include "base/text.h"

#define SUMS_FILE "SHA256SUMS"

struct sum { char name[256], sha256[65]; };
struct sums { struct sum *at; size_t n, room; };

int  sums_add(struct sums *s, const char *name, const char sha256[65]);
int  sums_add_file(struct sums *s, const char *folder, const char *name);            /* as it is now on the disk */
int  sums_write(const struct sums *s, const char *folder);                           /* atomically (base/file.h) */
void sums_free(struct sums *s);

int  sums_look(const char *folder, int *are);                                        /* are they there? */
int  sums_parse(struct sums *s, const char *text, size_t n, const char *what);       /* E_DATA: not as sums_write would write it */
int  sums_read(struct sums *s, const char *folder);
const char *sums_find(const struct sums *s, const char *name);                       /* NULL: not listed */

/* Is every file what it was?  E_DATA or E_IO names the first that is not. */
int  sums_verify(const struct sums *s, const char *folder);
/* The same, of a folder whose SHA256SUMS must list what is needed, up to a NULL. */
int  sums_verify_folder(const char *folder, const char *const *needed);

#endif
