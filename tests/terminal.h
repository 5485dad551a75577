/* terminal.h -- a terminal for programs under test: a pseudo-terminal of any size, and what stands on its screen after what they wrote. */
#ifndef TERMINAL_H
#define TERMINAL_H
#define _GNU_SOURCE                                          /* posix_openpt */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "test.h"

enum { SCREEN_SIDE = 512 };

struct terminal {
    int master;
    int columns, rows;
    int32_t cell[SCREEN_SIDE][SCREEN_SIDE];                  /* row, column; 0: blank; -1: the right half of what stands before */
    int x, y, wraps, scrolls, frames;                        /* frames: how often the cursor went home */
    int hidden, other, entered;                              /* the cursor is hidden; it is the other screen; how often that was entered */
    char pending[64];                                        /* what a read has cut apart */
    size_t n;
};

static inline void terminal_resize(struct terminal *t, int columns, int rows)
{
    struct winsize w = { .ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows };
    t->columns = columns ? columns : 80;
    t->rows = rows ? rows : 24;
    assert_int_equal(ioctl(t->master, TIOCSWINSZ, &w), 0);
}

/* Returns the end that programs use.  Columns and rows 0: it does not know its size; then it has 80 and 24. */
static inline int terminal_open(struct terminal *t, int columns, int rows)
{
    *t = (struct terminal){ .master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };
    assert_true(t->master >= 0);
    assert_int_equal(grantpt(t->master) | unlockpt(t->master), 0);
    int slave = open(ptsname(t->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    terminal_resize(t, columns, rows);
    return slave;
}

static inline void terminal_blank(struct terminal *t, int y, int from)
{
    for (int x = from; x < t->columns; x++) t->cell[y][x] = 0;
}

static inline void terminal_down(struct terminal *t)
{
    if (t->y + 1 < t->rows) {
        t->y++;
        return;
    }
    t->scrolls++;
    memmove(t->cell[0], t->cell[1], sizeof t->cell[0] * (size_t)(t->rows - 1));
    terminal_blank(t, t->y, 0);
}

static inline void terminal_put(struct terminal *t, int32_t point)
{
    int width = utf8proc_charwidth(point);
    if (t->x + width > t->columns) t->wraps++, t->x = 0, terminal_down(t);
    for (int i = 0; i < width && t->x + i < t->columns; i++) t->cell[t->y][t->x + i] = i ? -1 : point;
    t->x += width;
}

/* The sequences that nib uses; any other is a failure. */
static inline void terminal_sequence(struct terminal *t, const char *s)
{
    size_t n = strlen(s);
    if (!strcmp(s, "[H")) t->x = t->y = 0, t->frames++;
    else if (!strcmp(s, "[K")) terminal_blank(t, t->y, t->x < t->columns ? t->x : t->columns - 1);     /* behind the last column the cursor is still on it */
    else if (!strcmp(s, "[?25l") || !strcmp(s, "[?25h")) t->hidden = s[4] == 'l';
    else if (!strcmp(s, "[?1049h") || !strcmp(s, "[?1049l")) {
        t->other = s[6] == 'h';
        t->entered += t->other;
        memset(t->cell, 0, sizeof t->cell);
        t->x = t->y = 0;
    } else if (s[n - 1] != 'm' || strspn(s + 1, "0123456789;") != n - 2) fail_msg("an unexpected sequence: ESC %s", s);
}

/* The bytes of the first character or sequence that is whole; 0: none is. */
static inline size_t terminal_step(struct terminal *t, const char *s, size_t n)
{
    size_t size = 0;
    char sequence[32];
    if (!n) return 0;
    if (*s != '\033') {
        int32_t point = utf8_next(s, n, &size);
        if (point == UTF8_CUT) return 0;
        if (*s == '\r') t->x = 0;
        else if (*s == '\n') terminal_down(t);
        else if (point < ' ' || point == 127) fail_msg("a control character: %d", (int)point);
        else terminal_put(t, point);
        return size;
    }
    for (size = 1; size < n && !(s[size] >= '@' && s[size] != '['); size++) continue;
    if (size == n) return 0;
    assert_true(size < sizeof sequence);
    snprintf(sequence, sizeof sequence, "%.*s", (int)size, s + 1);
    terminal_sequence(t, sequence);
    return size + 1;
}

/* What was written meanwhile, waiting for it; 0: nobody writes any more. */
static inline int terminal_read(struct terminal *t)
{
    ssize_t n = read(t->master, t->pending + t->n, sizeof t->pending - t->n);
    if (n <= 0) return 0;
    t->n += (size_t)n;
    size_t at = 0;
    for (size_t size; (size = terminal_step(t, t->pending + at, t->n - at)); at += size) continue;
    memmove(t->pending, t->pending + at, t->n - at);
    t->n -= at;
    return 1;
}

/* A row as text, without the blanks at its end. */
static inline const char *terminal_row(const struct terminal *t, int y)
{
    static char row[4 * SCREEN_SIDE + 1];
    size_t n = 0, end = 0;
    for (int x = 0; x < t->columns; x++) {
        if (t->cell[y][x] < 0) continue;
        n += utf8_put(row + n, t->cell[y][x] ? (uint32_t)t->cell[y][x] : ' ');
        if (t->cell[y][x]) end = n;
    }
    row[end] = 0;
    return row;
}

static inline int terminal_shows(const struct terminal *t, const char *text)
{
    for (int y = 0; y < t->rows; y++)
        if (strstr(terminal_row(t, y), text)) return 1;
    return 0;
}

#endif
