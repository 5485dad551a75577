/* split.h -- cutting text into pieces before merging; no merge crosses the border of a piece.
 *
 * Where to cut is part of a vocabulary: another rule gives other ids.  Files state it as a regular expression.  One from
 * outside is never compiled, because expressions can be made to run for years.  A file's is looked up in a table of those
 * that are in use, and nib's own form of it is run, which cuts at the same places in linear time.
 *
 * Letters and numbers are those of PCRE2's Unicode tables (14.0 in PCRE2 10.42); characters added to Unicode since then may be
 * cut differently by programs with newer tables. */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H
#include <stddef.h>

/* The numbers go into fingerprints (tokenizer.h): a new pattern goes to the end. */
enum split_pattern {
    SPLIT_GPT2,                          /* also what Hugging Face's "ByteLevel" does by itself, unless told not to */
    SPLIT_LLAMA3, SPLIT_QWEN2, SPLIT_NANOCHAT,
    SPLIT_DIGIT, SPLIT_DIGITS,           /* Hugging Face's "Digits": each digit, or each run of digits, is a piece */
    SPLIT_PATTERNS
};

/* A file's regular expression; -1 if it is none of the table's. */
int split_find(const char *regex);
const char *split_regex(enum split_pattern p);               /* as files write it; NULL: not written as an expression */

/* One pattern after the other: each cuts the pieces that the one before it made. */
enum { SPLIT_STAGES = 4 };
struct splitter;                         /* does not change once it is open */
int  split_open(struct splitter **s, const enum split_pattern *stage, int n);
void split_close(struct splitter *s);
int  split_stages(const struct splitter *s, const enum split_pattern **stage);   /* as opened */

/* Calls piece() for each piece, in order; together they are the text.  A run of bytes that are not UTF-8 is a piece, and what lies
 * between such runs is cut as if it were a text by itself.  Stops when piece() fails.  Any number of threads may use a splitter. */
int split_text(const struct splitter *s, const char *text, size_t n,
               int (*piece)(void *context, const char *text, size_t n), void *context);

#endif
