/* axis.h -- an axis: where a value stands on it, which values are written beside it, and how. */
#ifndef REPORT_AXIS_H
#define REPORT_AXIS_H
#include <stddef.h>

#include "base/text.h"

enum { MOST_TICKS = 16 };

struct axis { double from, to; int log; };                  /* from < to; of a logarithmic one both are positive */

/* What shows n values well, and sorts them.  A few that lie far from all others may be left outside, and so may what is not among the values but
 * between least and most.  log: logarithmic, if those that count are positive and reach over a factor of AXIS_WIDE; zero: from 0, if none is negative. */
enum { AXIS_WIDE = 8 };
struct axis axis_fit(double *values, size_t n, double least, double most, int log, int zero);      /* n > 0 */

double axis_at(const struct axis *a, double x);            /* 0 at its beginning, 1 at its end; not beyond -9 and 10 */
int    axis_ticks(const struct axis *a, int most, double tick[MOST_TICKS]);    /* 1, 2 or 5 times powers of ten; about `most`, seldom less than half as many */
void   axis_label(struct text *out, const struct axis *a, const double *tick, int n, int i);   /* what is written beside tick i of n */

/* x with the digits that tell it from its neighbours `step` away, in the form in which numbers up to `largest` are at ease: "0.25", "1,500", "50k", "3e-4". */
void axis_number(struct text *out, double x, double step, double largest);

#endif
