/* screen.c -- one line that moves, on a terminal; nothing that moves elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/cli.h"

enum { MOST_COLUMNS = 10000, WIDER = 0xfe0f };               /* WIDER: what it follows may take another column */

static int shown;                                            /* a line stands on the screen */

int screen_is_terminal(void) { return isatty(STDERR_FILENO); }

static int number_of(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n < MOST_COLUMNS ? (int)n : otherwise;
}

void screen_size(int fd, int *columns, int *rows)
{
    struct winsize w = { 0 };
    if (ioctl(fd, TIOCGWINSZ, &w)) w = (struct winsize){ 0 };
    *columns = w.ws_col ? w.ws_col : number_of("COLUMNS", 80);
    *rows = w.ws_row ? w.ws_row : number_of("LINES", 24);
}

int screen_columns(int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);
    int columns = point < 0 ? 0 : utf8proc_charwidth(point);
    if (columns > 0) return columns;
    return (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME) && point != WIDER ? 0 : -1;
}

/* What of a text fits into so many columns of one line. */
static void add_fitting(struct text *out, const char *text, int room)
{
    for (size_t n = strlen(text), size; n; text += size, n -= size) {
        int columns = screen_columns(utf8_next(text, n, &size));
        room -= columns < 0 ? 1 : columns;
        if (room < 0) return;
        if (columns < 0) text_add(out, "?");
        else text_bytes(out, text, size);
    }
}

void screen_line(const char *text, int force)
{
    static double last;
    if (!screen_is_terminal() || (!force && clock_seconds() - last < 0.1)) return;
    int columns, rows;
    struct text line = { 0 };
    last = clock_seconds();
    screen_size(STDERR_FILENO, &columns, &rows);
    text_add(&line, "\r");
    add_fitting(&line, text, columns - 1);                   /* the last column stays free: who writes there may be sent to the next line */
    text_add(&line, "\033[K");
    if (!line.failed) fputs(line.at, stderr);
    fflush(stderr);
    text_free(&line);
    shown = 1;
}

void screen_clear(void)
{
    if (!shown) return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
    shown = 0;
}

void screen_transfer(void *context, uint64_t n, uint64_t all)
{
    char line[160];
    if (all) snprintf(line, sizeof line, "%s  %.1f of %.1f MB  %.0f%%", (const char *)context, (double)n / 1e6, (double)all / 1e6, 100 * (double)n / (double)all);
    else snprintf(line, sizeof line, "%s  %.1f MB", (const char *)context, (double)n / 1e6);
    screen_line(line, 0);
}

void screen_time(struct text *out, double s)
{
    if (s < 100) text_format(out, "%.0f s", s);
    else if (s < 100 * 60) text_format(out, "%.0f min", s / 60);
    else if (s < 100 * 3600) text_format(out, "%.1f h", s / 3600);
    else text_format(out, "%.1f days", s / 86400);
}

void screen_number(struct text *out, double n)
{
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%.0f", n);
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) text_add(out, ",");
        text_bytes(out, digits + i, 1);
    }
}

void screen_spark(struct text *out, const double *v, int n)
{
    static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    double least = v[0], most = v[0];
    for (int i = 1; i < n; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    for (int i = 0; i < n; i++) text_add(out, bars[most > least ? (int)((v[i] - least) / (most - least) * 7.999) : 0]);
}
