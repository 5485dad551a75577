/* screen.c -- one line that moves, on a terminal; nothing that moves elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"

static int shown;                                            /* a line stands on the screen */

int screen_is_terminal(void) { return isatty(STDERR_FILENO); }

static int width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || w.ws_col < 20 ? 80 : w.ws_col;
}

/* Bytes of the first n characters; what follows a lead byte belongs to it. */
static int bytes_of(const char *text, int n)
{
    int i = 0;
    for (; text[i]; i++)
        if ((text[i] & 0xc0) != 0x80 && n-- == 0) break;
    return i;
}

void screen_line(const char *text, int force)
{
    static double last;
    if (!screen_is_terminal() || (!force && clock_seconds() - last < 0.1)) return;
    last = clock_seconds();
    fprintf(stderr, "\r%.*s\033[K", bytes_of(text, width() - 1), text);
    fflush(stderr);
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
