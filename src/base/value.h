/* value.h -- values in Python's notation, as configurations hold them: read, computed, written; never executed.
 *
 *     sum     = product { ("+" | "-") product }
 *     product = factor { ("*" | "/") factor }
 *     factor  = { "+" | "-" } ( number | text { text } | word | "(" sum ")" )
 *
 * As in Python, 5 * 8 is an int and 10 / 2 a real, numbers may have underscores (1_000), texts stand in one or three quotes
 * of either kind and join when they follow each other, and inside parentheses a line may end anywhere.
 * The escapes of a text are \n \t \r \a \b \f \v \\ \' \" \xhh \uhhhh \Uhhhhhhhh.  A word is True, False, None, or a name
 * that the reader's owner knows; true and false may be written small. */
#ifndef BASE_VALUE_H
#define BASE_VALUE_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum value_kind { VALUE_NONE, VALUE_BOOL, VALUE_INT, VALUE_REAL, VALUE_TEXT };

struct value {
    enum value_kind kind;
    int64_t whole;                       /* of an INT, |whole| < 2^63; of a BOOL, 0 or 1 */
    double real;                         /* of a REAL, finite */
    const char *text;                    /* of a TEXT */
};

/* A place in a text that ends with 0.  Open one with .at, .line = 1 and .memory. */
struct reader {
    const char *at;
    int line;                            /* of `at`, from 1 */
    int open;                            /* parentheses around `at` */
    struct arena *memory;                /* texts that were read live here */
    int (*find)(const void *known, const char *name, size_t n, struct value *v);     /* a name's value; 0 if it has none */
    const void *known;                   /* for find, which may be NULL: then no name has a value */
};

int    reader_ends(struct reader *r);              /* skips blanks and a comment; is this the end of a line or of the text? */
void   reader_space(struct reader *r);             /* skips blanks; inside parentheses comments and line ends, too */
size_t reader_name(const struct reader *r);        /* the length of the name at r->at; 0 if there is none */
int    reader_skip_text(struct reader *r);         /* from a text's first quote to behind its last; 0 if it is not closed */

/* Reads one sum and the blanks behind it.  E_USAGE with the reason alone (the caller knows file, line and key) for what is not
 * in the notation, does not fit its type or nests deeper than 64; r is then somewhere inside. */
int value_read(struct reader *r, struct value *v);

void value_write(struct value v, struct text *out);      /* value_read and Python read the same value back, to the last bit */

/* The start of a text in a form that is safe in messages: its first line, at most EXCERPT bytes, printable ASCII. */
enum { EXCERPT = 64 };
const char *excerpt(char out[EXCERPT], const char *text);

#endif
