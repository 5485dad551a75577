/* text.h -- a string that grows.  Failure is sticky: after one failed allocation every call does nothing and
 * text->failed stays set.  text->at is always a valid C string once something was appended. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include <stddef.h>

struct text {
    char *at;
    size_t size, room;                   /* bytes used without the final 0, bytes allocated */
    int failed;
};

void text_add(struct text *t, const char *string);
void text_bytes(struct text *t, const void *bytes, size_t n);
char *text_more(struct text *t, size_t n);   /* n bytes more, for the caller to write; NULL if there is no memory */
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_drop(struct text *t, size_t n);    /* the first n bytes */
void text_clear(struct text *t);         /* empty, memory kept */
void text_free(struct text *t);

#endif
