/* split.h -- cutting text into pieces before merging; no merge crosses the border of a piece.
 *
 * Where to cut is part of a vocabulary: another rule gives other ids.  Files state it as a regular expression.  One that is in
 * use is looked up in a table, and a program of our own cuts as it would, in linear time.  Any other is run by PCRE2, within
 * limits, because expressions can be made to run for years.
 *
 * Letters, marks, numbers and white space are those of Unicode 16.0, as in tiktoken 0.14 and tokenizers 0.23. */
#ifndef TOKEN_SPLIT_H
#define TOKEN_SPLIT_H
#include <stddef.h>

/* The numbers go into fingerprints (tokenizer.h): a new pattern goes to the end. */
enum split_pattern {
    SPLIT_GPT2,                          /* also what Hugging Face's "ByteLevel" does by itself, unless told not to */
    SPLIT_LLAMA3, SPLIT_QWEN2, SPLIT_NANOCHAT,
    SPLIT_DIGIT, SPLIT_DIGITS,           /* Hugging Face's "Digits": each digit, or each run of digits, is a piece */
    SPLIT_CL100K, SPLIT_O200K,
    SPLIT_REGEX,                         /* none of these: `regex` of the stage says it */
    SPLIT_BERT,                          /* each punctuation character, each run of others between white space, which the model drops */
    SPLIT_METASPACE,                     /* before each U+2581 */
    SPLIT_PATTERNS
};

struct split_stage { enum split_pattern pattern; const char *regex; };   /* regex: as its file spells it, of SPLIT_REGEX alone */

struct split_stage split_find(const char *regex);            /* a file's regular expression; the text must live as long as the stage */
const char *split_regex(const struct split_stage *s);        /* as files write it; NULL: not written as an expression */
/* "gpt2", "llama3" ...; *p is the pattern.  Returns 0 if there is no such name. */
int split_named(const char *name, enum split_pattern *p);
const char *split_name(enum split_pattern p);                /* NULL: it has none */

/* One stage after the other: each cuts the pieces that the one before it made. */
enum { SPLIT_STAGES = 4 };
struct splitter;                         /* does not change once it is open */
int  split_open(struct splitter **s, const struct split_stage *stage, int n);    /* E_DATA: nib or PCRE2 cannot do a regex exactly */
void split_close(struct splitter *s);
int  split_stages(const struct splitter *s, const struct split_stage **stage);   /* as opened */

/* Calls piece() for each piece, in order; together they are the text.  A run of bytes that are not UTF-8 is a piece, and what lies
 * between such runs is cut as if it were a text by itself.  Stops when piece() fails.  Any number of threads may use a splitter. */
int split_text(const struct splitter *s, const char *text, size_t n,
               int (*piece)(void *context, const char *text, size_t n), void *context);

/* The last place in the text, at `most` or before, where it may be cut in two that give the same pieces by themselves; 0: none is known. */
size_t split_apart(const struct splitter *s, const char *text, size_t n, size_t most);
/* The last space between letters, at `most` or before; 0: there is none.  only_ascii: behind two letters of ASCII and before one. */
size_t split_at_space(const char *text, size_t n, size_t most, int only_ascii);

#endif
