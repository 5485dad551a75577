/* plot.h -- a picture of characters, of any size: texts, and charts whose curves are dots of braille, two by four in a character. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H
#include "base/text.h"
#include "report/chart.h"

enum ink { INK_PLAIN, INK_BOLD, INK_FAINT, INK_WARN, INK_CURVE };        /* INK_CURVE + a curve's colour */

struct cell { int32_t point; uint8_t ink; };                 /* 0: a blank; -1: the right half of what stands before */
struct plot { struct cell *cell; int width, height; };

int  plot_open(struct plot *p, int width, int height);       /* blank; at most PLOT_SIDE by PLOT_SIDE */
void plot_close(struct plot *p);
enum { PLOT_SIDE = 1000 };

/* Whatever lies outside is not drawn.  plot_text returns the column behind its end. */
int  plot_text(struct plot *p, int x, int y, enum ink ink, const char *text);
int  plot_chart(struct plot *p, int x, int y, int width, int height, const struct chart *c);

/* Lines without blanks at their ends, the last without a line end; `before` stands in front of each.  colours: with SGR sequences. */
void plot_print(const struct plot *p, struct text *out, int colours, const char *before);

#endif
