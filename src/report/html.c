/* html.c -- five characters, and those that are none. */
#include "report/html.h"

#include <string.h>

#include "base/utf8.h"

static const char *escape_of(int32_t c)
{
    switch (c) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\n': case '\t': return NULL;
    default: return c < ' ' || (c >= 127 && c < 160) ? "\xef\xbf\xbd" : NULL;
    }
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
