/* html.h -- text from anywhere, as the text or an attribute of a page. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H
#include "base/text.h"

/* Appended escaped; what is no UTF-8, and control characters but for line ends and tabs, as U+FFFD. */
void html_add(struct text *out, const char *text);

#endif
