/* stream.h -- text files read in pieces or in lines, plain or gzip (recognised by its first two bytes). */
#ifndef FILE_STREAM_H
#define FILE_STREAM_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct stream;
int  stream_open(struct stream **s, const char *path);       /* "-" is standard input; pipes are fine */
int  stream_open_again(struct stream **s, int fd, const char *name);     /* an open file from its beginning; fd stays the caller's */
void stream_close(struct stream *s);                         /* NULL is fine */

/* The next bytes, at most room; *n = 0 at the end.  A gzip file may have several members (cat a.gz b.gz); one that is cut off or
 * damaged, or followed by anything else, is E_DATA.  Reads and lines may be mixed. */
int stream_read(struct stream *s, void *bytes, size_t room, size_t *n);

int stream_skip(struct stream *s, uint64_t n);               /* passes over bytes, at most up to the end */

/* Appends to *text until it has `wanted` bytes, or a little more, or the file has ended: then *more = 0. */
int stream_append(struct stream *s, struct text *text, size_t wanted, int *more);

/* Replaces *line by the next line without its end ("\n" or "\r\n"); *got = 0 at the end.  The last line needs no end.  A line of
 * more than limit bytes is E_DATA. */
int stream_line(struct stream *s, struct text *line, size_t limit, int *got);

uint64_t stream_position(const struct stream *s);            /* bytes of the file on disk read so far, for progress */
uint64_t stream_size(const struct stream *s);                /* bytes on disk; 0 if unknown */

#endif
