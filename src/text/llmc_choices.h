/* llmc_choices.h -- llm.c's file of choices, already encoded (dev/data/data_common.py: write_evalfile), such as its hellaswag_val.bin.
 *
 * 256 little-endian i32: 20240522, version 1, number of examples, bytes of the longest one.  Then the examples, in u16:
 *
 *     65535   bytes of this example, all of it   its number, from 0   the right choice   choices
 *     ids of the context, and their number before them
 *     ids of each choice, and their number before them */
#ifndef TEXT_LLMC_CHOICES_H
#define TEXT_LLMC_CHOICES_H
#include "text/items.h"
#include "token/tokenizer.h"

int llmc_choices_look(const char *path, int *is);                        /* does a file begin so?  By its first four bytes; a pipe does not */
int llmc_choices_read(struct items *s, const char *path);
/* Encodes items that are texts and writes them.  llm.c reads only items of four choices.  E_DATA: ids above 65534, or an item too long. */
int llmc_choices_write(const struct items *s, const struct tokenizer *t, const char *path);

#endif
