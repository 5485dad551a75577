/* html.c -- five characters, and those that are none. */
#include "report/html.h"

#include <string.h>

#include "base/utf8.h"

static const struct { int32_t point; const char *escape; } escapes[] = { { '<', "&lt;" }, { '>', "&gt;" }, { '&', "&amp;" }, { '"', "&quot;" }, { '\'', "&#39;" } };

/* NULL: it stands for itself. */
static const char *escape_of(int32_t point)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (escapes[i].point == point) return escapes[i].escape;
    int is_control = point < ' ' || (point >= 127 && point < 160);           /* and what is no UTF-8, which is negative */
    return is_control && point != '\n' && point != '\t' ? "\xef\xbf\xbd" : NULL;
}

void html_add(struct text *out, const char *text)
{
    size_t n = strlen(text);
    for (size_t size; n; text += size, n -= size) {
        const char *escape = escape_of(utf8_next(text, n, &size));
        if (escape) text_add(out, escape);
        else text_bytes(out, text, size);
    }
}
