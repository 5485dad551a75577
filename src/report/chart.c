/* chart.c -- a chart as SVG that fits any width.
 *
 * Within the outer svg a unit is a pixel and places are percentages, so lines of the grid and the numbers beside them stand where they belong at any
 * size and keep theirs.  The curves lie in an inner svg of SIZE by SIZE units that is stretched over it, and whose strokes are not
 * (vector-effect); a dot is a line of no length with round ends. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "report/html.h"

enum { SIZE = 10000, MOST_DOTS = 100, TICKS_X = 5, TICKS_Y = 5 };

void curve_values(const struct curve *c, int calm, double *out)
{
    if (calm && c->style == CURVE_NOISY) series_smooth(c->series, out);
    else for (size_t i = 0; i < c->series->n; i++) out[i] = point_mean(&c->series->point[i]);
}

static int has_range(const struct curve *c) { return c->style == CURVE_NOISY && c->series->each > 1; }

/* ---- axes ---- */

int chart_is_empty(const struct chart *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->curve[i].series->n) return 0;
    return 1;
}

static struct axis steps_of(const struct chart *c)
{
    double first = INFINITY, last = (double)c->last;
    for (int i = 0; i < c->n; i++) {
        const struct series *s = c->curve[i].series;
        if (s->n) first = fmin(first, (double)s->point[0].first), last = fmax(last, (double)s->point[s->n - 1].last);
    }
    if (isinf(first)) first = 0;
    return (struct axis){ .from = first, .to = last > first ? last : first + 1 };
}

struct values { double *at, least, most; size_t n; };        /* at: of the steps that count; the extremes are those of all */

static void take(struct values *v, double x, int counts)
{
    v->least = fmin(v->least, x);
    v->most = fmax(v->most, x);
    if (counts) v->at[v->n++] = x;
}

/* What is drawn of the curves: of one whose range is drawn, its ends. */
static int gather(struct values *v, const struct chart *c, double from)
{
    *v = (struct values){ .at = v->at, .least = INFINITY, .most = -INFINITY };
    for (int i = 0; i < c->n; i++) {
        const struct series *s = c->curve[i].series;
        double *value = malloc((s->n + 1) * sizeof *value);
        FAIL_IF(!value, E_MEMORY, "no memory for a curve");
        curve_values(&c->curve[i], c->calm, value);
        for (size_t k = 0; k < s->n; k++) {
            const struct point *p = &s->point[k];
            int counts = point_step(p) >= from, ranges = has_range(&c->curve[i]) && !c->calm;
            take(v, ranges ? p->least : value[k], counts);
            take(v, ranges ? p->most : value[k], counts);
        }
        free(value);
    }
    return 0;
}

static int fit(const struct chart *c, struct values *v, const struct axis *x, struct axis *y)
{
    enum { ENOUGH = 10 };                                    /* two a point */
    TRY(gather(v, c, c->zero ? x->from : x->from + (x->to - x->from) / 20));
    if (v->n < ENOUGH) TRY(gather(v, c, x->from));
    *y = v->n ? axis_fit(v->at, v->n, v->least, v->most, c->log, c->zero) : (struct axis){ 0, 1, 0 };
    return 0;
}

/* Where a chart need not reach to zero, the fall at the beginning, its first twentieth, must not press all that follows against the bottom. */
int chart_axes(const struct chart *c, struct axis *x, struct axis *y)
{
    struct values v;
    size_t room = 1;
    for (int i = 0; i < c->n; i++) room += 2 * c->curve[i].series->n;
    v.at = malloc(room * sizeof *v.at);
    FAIL_IF(!v.at, E_MEMORY, "no memory for a chart");
    *x = steps_of(c);
    int code = fit(c, &v, x, y);
    free(v.at);
    return code;
}

/* ---- curves ---- */

struct pen { struct text *out; const struct axis *x, *y; };

static int across(const struct pen *p, double step) { return (int)lround(SIZE * axis_at(p->x, step)); }
static int down(const struct pen *p, double value) { return (int)lround(SIZE * (1 - axis_at(p->y, value))); }

static int draw_line(const struct pen *p, const struct curve *c, int calm)
{
    const struct series *s = c->series;
    double *value = malloc((s->n + 1) * sizeof *value);
    FAIL_IF(!value, E_MEMORY, "no memory for a curve");
    curve_values(c, calm, value);
    text_add(p->out, "points=\"");
    for (size_t i = 0; i < s->n; i++) text_format(p->out, "%s%d,%d", i ? " " : "", across(p, point_step(&s->point[i])), down(p, value[i]));
    text_add(p->out, "\"/>\n");
    free(value);
    return 0;
}

static void draw_range(const struct pen *p, const struct series *s)
{
    text_add(p->out, "points=\"");
    for (size_t i = 0; i < s->n; i++) text_format(p->out, "%d,%d ", across(p, point_step(&s->point[i])), down(p, s->point[i].most));
    for (size_t i = s->n; i-- > 0;) text_format(p->out, "%d,%d ", across(p, point_step(&s->point[i])), down(p, s->point[i].least));
    text_add(p->out, "\"/>\n");
}

static const char *class_of(const struct curve *c, char class[16])
{
    snprintf(class, 16, "c%d%s", c->colour % COLOURS, c->colour >= COLOURS ? " dashed" : "");
    return class;
}

static int draw_faint(const struct pen *p, const struct curve *c)
{
    char class[16];
    if (c->style != CURVE_NOISY || !c->series->n) return 0;
    class_of(c, class);
    if (has_range(c)) {
        text_format(p->out, "<polygon class=\"range %s\" ", class);
        draw_range(p, c->series);
    }
    text_format(p->out, "<polyline class=\"raw %s\" ", class);
    return draw_line(p, c, 0);
}

/* data-key: whose values the script shows */
static int draw_strong(const struct pen *p, const struct curve *c, int key)
{
    char class[16];
    if (!c->series->n) return 0;
    text_format(p->out, "<polyline class=\"%s %s\" data-key=\"%d\" ", c->style == CURVE_DOTS ? "none" : "line", class_of(c, class), key);
    return draw_line(p, c, 1);
}

static void draw_dots(const struct pen *p, const struct curve *c)
{
    char class[16];
    const struct series *s = c->series;
    if (s->n != 1 && c->style != CURVE_DOTS && (c->style != CURVE_DOTTED || s->n > MOST_DOTS)) return;
    text_format(p->out, "<path class=\"dots %s%s\" d=\"", class_of(c, class), s->n > MOST_DOTS ? " small" : "");
    for (size_t i = 0; i < s->n; i++) {
        int y = down(p, point_mean(&s->point[i]));
        if (y >= 0 && y <= SIZE) text_format(p->out, "M%d,%dh0", across(p, point_step(&s->point[i])), y);
    }
    text_add(p->out, "\"/>\n");
}

/* Dots lie in an svg of their own, which does not cut them in half at the edges. */
static int draw_curves(const struct pen *p, const struct chart *c)
{
    static const char open[] = "<svg class=\"%s\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">\n";
    text_format(p->out, open, "curves", SIZE, SIZE);
    for (size_t i = 0; i < c->marks; i++) text_format(p->out, "<path class=\"mark\" d=\"M%d,0v%d\"/>\n", across(p, (double)c->mark[i]), SIZE);
    for (int i = 0; i < c->n; i++) TRY(draw_faint(p, &c->curve[i]));
    for (int i = 0; i < c->n; i++) TRY(draw_strong(p, &c->curve[i], i));
    text_add(p->out, "</svg>\n");
    text_format(p->out, open, "over", SIZE, SIZE);
    for (int i = 0; i < c->n; i++) draw_dots(p, &c->curve[i]);
    text_add(p->out, "</svg>\n");
    return 0;
}

/* ---- what stands around ---- */

static void draw_axes(const struct pen *p)
{
    double tick[MOST_TICKS];
    int n = axis_ticks(p->y, TICKS_Y, tick);
    for (int i = 0; i < n; i++) {
        double y = 100 * (1 - axis_at(p->y, tick[i]));
        text_format(p->out, "<line class=\"grid\" x2=\"100%%\" y1=\"%.2f%%\" y2=\"%.2f%%\"/><text class=\"y\" x=\"-10\" y=\"%.2f%%\" dy=\".35em\">", y, y, y);
        axis_label(p->out, p->y, tick, n, i);
        text_add(p->out, "</text>\n");
    }
    n = axis_ticks(p->x, TICKS_X, tick);
    for (int i = 0; i < n; i++) {
        text_format(p->out, "<text class=\"x\" x=\"%.2f%%\" y=\"100%%\" dy=\"1.7em\">", 100 * axis_at(p->x, tick[i]));
        axis_label(p->out, p->x, tick, n, i);
        text_add(p->out, "</text>\n");
    }
    text_add(p->out, "<line class=\"axis\" x2=\"100%\" y1=\"100%\" y2=\"100%\"/>\n");
}

static void draw_key(struct text *out, const struct chart *c)
{
    char class[16];
    text_add(out, "<figcaption><b>");
    html_add(out, c->title);
    text_add(out, "</b>");
    for (int i = 0; i < c->n; i++) {
        if (!c->curve[i].series->n) continue;
        const char *look = !*c->curve[i].name ? "" : c->curve[i].style == CURVE_DOTS ? "key dot " : "key ";
        text_format(out, "<span class=\"%s%s\" data-key=\"%d\">", look, class_of(&c->curve[i], class), i);
        html_add(out, c->curve[i].name);
        text_add(out, "</span>");
    }
    if (c->wide && c->marks) text_add(out, "<span class=\"key event\">events</span>");
    text_add(out, "</figcaption>\n");
}

int chart_figure(struct text *out, const struct chart *c)
{
    struct axis x, y;
    struct pen p = { out, &x, &y };
    TRY(chart_axes(c, &x, &y));
    text_format(out, "<figure%s>\n", c->wide ? " class=\"wide\"" : "");
    draw_key(out, c);
    text_format(out, "<svg class=\"chart\" role=\"img\" data-x=\"%.17g %.17g\" data-y=\"%.17g %.17g\"%s aria-label=\"", x.from, x.to, y.from, y.to, y.log ? " data-log" : "");
    html_add(out, c->title);
    text_add(out, "\">\n");
    draw_axes(&p);
    TRY(draw_curves(&p, c));
    text_add(out, "</svg>\n</figure>\n");
    return 0;
}
