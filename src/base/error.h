/* error.h -- how nib reports what goes wrong in the world: files, memory, devices, networks.
 *
 * A function that can fail returns int: 0, or one of the codes below, after it has recorded one line of text for
 * the user.  TRY forwards a failure, FAIL_IF makes one.  Nothing here prints or exits; only src/cli does. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/* The codes are stable: they are the exit codes of the program and the error codes of nib.h. */
#define ERROR_CODES(X)                                                          \
    X(E_OK,        0, "no error")                                               \
    X(E_FAILED,    1, "failed")                                                 \
    X(E_USAGE,     2, "wrong command line or configuration")                    \
    X(E_DATA,      3, "data or a file is not what it should be")                \
    X(E_MEMORY,    4, "not enough memory")                                      \
    X(E_IO,        5, "reading, writing or the network failed")                 \
    X(E_MODEL,     6, "the model cannot be built, or its parts do not fit")     \
    X(E_DIVERGED,  7, "training diverged")                                      \
    X(E_BUSY,      8, "another process is using it")                            \
    X(E_STOPPED, 130, "interrupted")

enum error_code {
#define X(name, number, text) name = number,
    ERROR_CODES(X)
#undef X
};

/* Records code and message (printf style, cut at ERROR_TEXT bytes) for this thread; returns code. */
int error_set(int code, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "context: " in front of the recorded message: for callers who know what the failing part was for.  Returns code. */
int error_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *error_text(void);            /* the last message of this thread, never NULL; "no error" */
void error_clear(void);                  /* that again */
const char *error_where(void);           /* "file.c:line" of it, for debug builds and bug reports */
const char *error_name(int code);        /* the fixed text of a code */

enum { ERROR_TEXT = 1024 };
const char *error_copy(char copy[ERROR_TEXT]);       /* error_text, in the caller's memory: for who goes on and may fail again */

#define FAIL(code, ...) return error_set(code, __FILE__, __LINE__, __VA_ARGS__)
#define FAIL_IF(condition, code, ...) \
    do {                              \
        if (condition) FAIL(code, __VA_ARGS__); \
    } while (0)
#define TRY(call)              \
    do {                       \
        int try_code = (call); \
        if (try_code) return try_code; \
    } while (0)

#endif
