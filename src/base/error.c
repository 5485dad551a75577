/* error.c -- the last error of each thread. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct {
    char text[ERROR_TEXT];
    const char *file;
    int line;
} last;

int error_set(int code, const char *file, int line, const char *format, ...)
{
    /* The arguments may point into last.text, as when one message wraps another. */
    char text[ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(last.text, text, sizeof text);
    last.file = file;
    last.line = line;
    return code;
}

int error_prefix(int code, const char *format, ...)
{
    char context[ERROR_TEXT / 2], text[2 * ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", context, last.text);
    snprintf(last.text, sizeof last.text, "%.*s", ERROR_TEXT - 1, text);
    return code;
}

void error_clear(void) { last.text[0] = 0; }

const char *error_text(void)
{
    return last.text[0] ? last.text : "no error";
}

const char *error_copy(char copy[ERROR_TEXT])
{
    snprintf(copy, ERROR_TEXT, "%s", error_text());
    return copy;
}

const char *error_where(void)
{
    static _Thread_local char where[256];
    snprintf(where, sizeof where, "%s:%d", last.file ? last.file : "?", last.line);
    return where;
}

const char *error_name(int code)
{
    switch (code) {
#define X(name, number, text) \
    case number:              \
        return text;
        ERROR_CODES(X)
#undef X
    }
    return "unknown error";
}
