/* stream.h -- text files read in pieces, plain or gzip (recognised by its first bytes). */
#ifndef FILE_STREAM_H
#define FILE_STREAM_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct stream;
int  stream_open(struct stream **s, const char *path);       /* "-" is standard input */
void stream_close(struct stream *s);
int  stream_read(struct stream *s, void *bytes, size_t room, size_t *n);         /* *n = 0 at the end; a cut-off gzip is E_DATA */
/* One line without its end ("\n" or "\r\n"); *got = 0 at the end.  A line longer than limit is E_DATA. */
int  stream_line(struct stream *s, struct text *line, size_t limit, int *got);
uint64_t stream_position(const struct stream *s);            /* bytes of the file on disk consumed so far, for progress */
uint64_t stream_size(const struct stream *s);                /* bytes on disk; 0 if unknown */

#endif
