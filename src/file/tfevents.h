/* tfevents.h -- event files, which TensorBoard draws: scalars and texts over steps.
 *
 * A file is a row of records { u64 length; u32 crc of it; the bytes of an Event; u32 crc of them }, little end first; the crc is CRC-32C (Castagnoli),
 * turned right by 15 bits, plus 0xa282ead8.  Event, Summary and the rest are messages of Protocol Buffers; their numbers are those of
 * TensorFlow's event.proto, summary.proto and tensor.proto.
 *
 * Each record goes out in one write, and what of it could not be written is cut off again: a file ends with a whole record, unless the machine dies. */
#ifndef FILE_TFEVENTS_H
#define FILE_TFEVENTS_H
#include <stdint.h>

#include "base/file.h"

struct tfevents {                        /* private */
    int file;
    int64_t size;
    char path[PATH_SIZE];
    struct text record;
};

/* A new file in the folder, events.out.tfevents.SECONDS.HOST.PROCESS.NUMBER, of a run that begins or goes on at this step: of the older files beside it nothing
 * is shown from there on.  TensorBoard takes the first such mark of a folder for a beginning, so every file has one.  Times are seconds since 1970. */
int  tfevents_open(struct tfevents *t, const char *folder, double time, int64_t step);
void tfevents_close(struct tfevents *t);

struct tfevents_scalar { const char *tag; double value; };   /* a tag is the name of a chart; those with the same word before a slash stand together */
int tfevents_scalars(struct tfevents *t, double time, int64_t step, const struct tfevents_scalar *scalar, int n);

/* TensorBoard reads a text as Markdown: it is indented, so that its lines stay as they are. */
int tfevents_text(struct tfevents *t, double time, int64_t step, const char *tag, const char *text);

#endif
