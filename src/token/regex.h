/* regex.h -- regular expressions of tokenizer files that nib has no program for, run by PCRE2 within limits. */
#ifndef TOKEN_REGEX_H
#define TOKEN_REGEX_H
#include <stddef.h>

struct regex;                            /* does not change once it is open */
struct regex_match;                      /* memory that one search uses again and again: one per thread */

/* E_DATA: the expression cannot be compiled, could match nothing at all, or uses what Rust's regex, Oniguruma (Hugging Face) and PCRE2 do not
 * read alike; the message names it. */
int  regex_open(struct regex **r, const char *pattern);
void regex_close(struct regex *r);
int  regex_match_open(struct regex_match **m);
void regex_match_close(struct regex_match *m);

/* The first match in text at or behind `at`: from .. end, both n if there is none.  The text is valid UTF-8.  E_DATA: the search takes too long. */
int  regex_find(const struct regex *r, struct regex_match *m, const char *text, size_t n, size_t at, size_t *from, size_t *end);

#endif
