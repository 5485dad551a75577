/* documents.h -- texts from outside, one after the other: files, what lies in folders, JSON lines; plain or gzip.
 *
 * A plain file is one document.  Of JSON lines (.jsonl, .json) each line is an object, and one of its fields is a document.
 * Empty lines and empty texts are passed over.  For who reads JSON himself, each line is a document as it stands, and so is each entry of a
 * file that is one array. */
#ifndef FILE_DOCUMENTS_H
#define FILE_DOCUMENTS_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct documents;
struct sha256;

struct place {                           /* where a text begins: */
    size_t file;                         /* number of the file, */
    uint64_t line;                       /* line, 1 for the first; 0: the file is one text, */
    uint64_t byte;                       /* and byte of that text */
};

struct document {
    const char *text; size_t n;          /* at least one byte, at most 2^30; valid during the visit */
    const char *path; struct place at;
    int is_entry;                        /* of a JSON array: its number is in at.line */
    int more;                            /* the next one goes on with the same text */
    uint64_t read;                       /* bytes of all files up to here, as they are on disk: for progress */
};

extern const char documents_whole[];     /* a field that is none: lines and entries as they stand */

/* Finds the files; field and notices (may be NULL) must live as long as *d.
 *   A file that is empty, or of a format that is no text (Parquet, PDF ...), is E_DATA, and the message says how to make
 *     text of it.
 *   A folder's files come sorted by name, those of the folders in it at their place.  What is hidden, empty, binary, no
 *     text, a link to a folder, or a .json without the field is skipped, and notices get a line that says so.
 *   "-", standard input, and pipes are plain text.  They are read here, since they can be read but once, into a file without a
 *     name in $TMPDIR, else in /var/tmp or /tmp.
 * E_IO: something cannot be read, and the message names it.  *d is NULL after a failure. */
int  documents_open(struct documents **d, const char *const *inputs, int n, const char *field, struct text *notices);
void documents_close(struct documents *d);                               /* NULL is fine */

int      documents_are_one(const struct documents *d);                   /* one plain file: a text, not a collection */
uint64_t documents_size(const struct documents *d);                      /* bytes on disk */
/* Adds to a sum what tells these files from others: names, sizes, when they were last changed. */
void     documents_sum(const struct documents *d, struct sha256 *sum);

/* The last place, at `most` or before, where a text may be cut in two; 0: nowhere. */
typedef size_t documents_apart(void *context, const char *text, size_t n, size_t most);
/* One between characters. */
size_t documents_between(void *context, const char *text, size_t n, size_t most);

/* Hands every document from a place on (NULL: all of them) to visit, in order, until one of the calls fails.  May be repeated.  The text
 * of a large file comes in stretches of some megabytes, cut where `apart` says.  A line that is not JSON or lacks the field, damaged
 * gzip and a text that is too long to be held without a cut are E_DATA and name file and line.  `from`: where a document was that an
 * earlier call handed out, or a later byte of a file, at which it may be cut. */
int documents_each(const struct documents *d, const struct place *from, documents_apart *apart, int (*visit)(void *context, const struct document *doc), void *context);

/* Puts "file: " or "file: line 7: " in front of the recorded error; returns code. */
int document_error(int code, const struct document *doc);

#endif
