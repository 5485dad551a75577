/* chart.h -- curves over steps: what is drawn, and one of the two ways to draw it (the other is cli/plot.h). */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H
#include "base/text.h"
#include "report/history.h"
#include "report/axis.h"

enum curve_style {
    CURVE_PLAIN,                         /* a line through the points */
    CURVE_NOISY,                         /* the points and their range faint, their smoothed course strong */
    CURVE_DOTTED,                        /* a line with a dot at each point */
    CURVE_DOTS,                          /* no line */
};

/* name: in the key; "": there is no other.  colour: one of COLOURS; beyond them the line is dashed. */
struct curve { const char *name; const struct series *series; enum curve_style style; int colour; };
enum { COLOURS = 8 };

void curve_values(const struct curve *c, int calm, double *out);     /* a value a point; calm: smoothed, if it is noisy */

struct chart {
    const char *title;
    const struct curve *curve;
    int n;
    int log, zero;                       /* see axis_fit */
    int wide;                            /* the one that is looked at first */
    int calm;                            /* it shows what is noisy only smoothed */
    int64_t last;                        /* a step to which it reaches at least */
    const int64_t *mark;                 /* steps at which something happened */
    size_t marks;
};

int chart_is_empty(const struct chart *c);                   /* no curve has a point */
int chart_axes(const struct chart *c, struct axis *x, struct axis *y);

/* A figure of HTML: title, key, and an SVG as wide as there is room, whose text keeps its size.  Looks are in report.css. */
int chart_figure(struct text *out, const struct chart *c);

#endif
