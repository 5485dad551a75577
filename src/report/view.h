/* view.h -- which charts show a run. */
#ifndef REPORT_VIEW_H
#define REPORT_VIEW_H
#include "report/chart.h"

enum { VIEW_CURVES = 3 };

struct view {
    const char *title;
    int log, zero, wide;
    struct {
        enum series_kind kind;
        enum curve_style style;
        const char *name;                /* of the curve, where there are others */
        const char *alone;               /* the title of a chart that has this curve of several runs; NULL: there is none */
    } curve[VIEW_CURVES];
    int n;
};

extern const struct view views[];        /* the loss first */
extern const int view_count;

/* The chart of a run; its curves are put into `curve`, and live as long as that and the history. */
struct chart view_chart(const struct view *v, const struct history *h, struct curve curve[VIEW_CURVES]);

#endif
