/* plot.c -- dots, texts, charts. */
#include "cli/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/cli.h"

enum { BRAILLE = 0x2800, BRAILLE_END = 0x2900, RIGHT_HALF = -1 };

int plot_open(struct plot *p, int width, int height)
{
    p->width = width < 1 ? 1 : width < PLOT_SIDE ? width : PLOT_SIDE;
    p->height = height < 1 ? 1 : height < PLOT_SIDE ? height : PLOT_SIDE;
    p->cell = calloc((size_t)p->width * (size_t)p->height, sizeof *p->cell);
    FAIL_IF(!p->cell, E_MEMORY, "no memory for a picture");
    return 0;
}

void plot_close(struct plot *p)
{
    free(p->cell);
    *p = (struct plot){ 0 };
}

static struct cell *cell_at(const struct plot *p, int x, int y)
{
    return x >= 0 && x < p->width && y >= 0 && y < p->height ? &p->cell[y * p->width + x] : NULL;
}

/* ---- texts ---- */

int plot_text(struct plot *p, int x, int y, enum ink ink, const char *text)
{
    for (size_t n = strlen(text), size; n; text += size, n -= size) {
        int32_t point = utf8_next(text, n, &size);
        int columns = screen_columns(point);
        struct cell *left, *right;
        if (columns == 0) continue;                          /* an accent has no cell of its own */
        if (columns < 0) point = '?', columns = 1;
        left = cell_at(p, x, y);
        right = cell_at(p, x + columns - 1, y);
        if (left && right) *right = (struct cell){ RIGHT_HALF, (uint8_t)ink }, *left = (struct cell){ point, (uint8_t)ink };
        x += columns;
    }
    return x;
}

static int columns_of(const char *text)
{
    struct plot nowhere = { 0 };
    return plot_text(&nowhere, 0, 0, INK_PLAIN, text);
}

/* ---- curves ---- */

struct box { struct plot *plot; int x, y, width, height; struct axis across, down; };      /* in characters */

static void dot(const struct box *b, int x, int y, int colour)               /* from the box's upper left corner, in dots */
{
    static const uint8_t bits[4][2] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };      /* the Unicode standard, block 2800 */
    if (x < 0 || y < 0 || x >= 2 * b->width || y >= 4 * b->height) return;
    struct cell *c = cell_at(b->plot, b->x + x / 2, b->y + y / 4);
    if (!c) return;
    if (c->point < BRAILLE || c->point >= BRAILLE_END) c->point = BRAILLE;
    c->point |= bits[y % 4][x % 2];
    c->ink = (uint8_t)(INK_CURVE + colour);
}

static void line(const struct box *b, int x0, int y0, int x1, int y1, int colour)
{
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; i++) dot(b, x0 + (steps ? (x1 - x0) * i / steps : 0), y0 + (steps ? (y1 - y0) * i / steps : 0), colour);
}

static int dots_across(const struct box *b, double step) { return (int)lround((2 * b->width - 1) * axis_at(&b->across, step)); }
static int dots_down(const struct box *b, double x) { return (int)lround((4 * b->height - 1) * (1 - axis_at(&b->down, x))); }

/* A mark on each point, if they stand apart. */
static void draw_marks(const struct box *b, const struct curve *c)
{
    const struct series *s = c->series;
    if (s->n * 3 > (size_t)b->width) return;
    for (size_t i = 0; i < s->n; i++) {
        int x = dots_across(b, point_step(&s->point[i])), y = dots_down(b, point_mean(&s->point[i]));
        if (y >= 0 && y < 4 * b->height) plot_text(b->plot, b->x + x / 2, b->y + y / 4, INK_CURVE + (enum ink)c->colour, "o");
    }
}

static int draw_curve(const struct box *b, const struct curve *c)
{
    const struct series *s = c->series;
    if (!s->n || c->style == CURVE_DOTS) return 0;
    double *value = malloc(s->n * sizeof *value);
    FAIL_IF(!value, E_MEMORY, "no memory for a curve");
    curve_values(c, 1, value);
    for (size_t i = 0, before = 0; i < s->n; before = i++)
        line(b, dots_across(b, point_step(&s->point[before])), dots_down(b, value[before]), dots_across(b, point_step(&s->point[i])), dots_down(b, value[i]), c->colour);
    free(value);
    if (c->style == CURVE_DOTTED) draw_marks(b, c);
    return 0;
}

/* ---- what stands around ---- */

struct labels { struct axis s; double tick[MOST_TICKS]; int n; struct text text; };

static const char *label(struct labels *l, int i)
{
    text_clear(&l->text);
    axis_label(&l->text, &l->s, l->tick, l->n, i);
    return l->text.failed ? "" : l->text.at;
}

/* Beside the lines where they belong; returns how many columns they take. */
static int draw_labels_down(const struct box *b, int draw)
{
    struct labels l = { .s = b->down };
    int widest = 0;
    l.n = axis_ticks(&l.s, (b->height + 1) / 3, l.tick);
    for (int i = 0; i < l.n; i++) {
        int columns = columns_of(label(&l, i));
        if (draw) plot_text(b->plot, b->x - 1 - columns, b->y + dots_down(b, l.tick[i]) / 4, INK_FAINT, label(&l, i));
        widest = columns > widest ? columns : widest;
    }
    text_free(&l.text);
    return widest + 1;
}

/* From the left, as long as there is room. */
static void draw_labels_across(const struct box *b)
{
    struct labels l = { .s = b->across };
    int end = b->x - 2;
    l.n = axis_ticks(&l.s, b->width / 14, l.tick);
    for (int i = 0; i < l.n; i++) {
        int columns = columns_of(label(&l, i)), x = b->x + dots_across(b, l.tick[i]) / 2 - columns / 2, last = b->x + b->width - columns;
        if (x > last) x = last;
        if (x > end + 1) end = plot_text(b->plot, x < b->x ? b->x : x, b->y + b->height, INK_FAINT, label(&l, i));
    }
    text_free(&l.text);
}

static void draw_key(struct plot *p, int x, int y, int width, const struct chart *c)
{
    struct plot row = { cell_at(p, 0, y), x + width < p->width ? x + width : p->width, 1 };     /* what is too long ends with the chart */
    if (!row.cell) return;
    x = plot_text(&row, x, 0, INK_BOLD, c->title);
    for (int i = 0; i < c->n; i++) {
        const struct curve *v = &c->curve[i];
        if (!v->series->n || !*v->name || v->style == CURVE_DOTS) continue;
        x = plot_text(&row, x + 2, 0, INK_CURVE + (enum ink)v->colour, v->style == CURVE_DOTTED ? "o " : "⠒ ");
        x = plot_text(&row, x, 0, INK_FAINT, v->name);
    }
}

int plot_chart(struct plot *p, int x, int y, int width, int height, const struct chart *c)
{
    enum { LEAST_WIDTH = 16, LEAST_HEIGHT = 5 };             /* of what has a title and numbers */
    struct box b = { .plot = p, .x = x, .y = y, .width = width, .height = height };
    int has_room = width >= LEAST_WIDTH && height >= LEAST_HEIGHT;
    struct chart calm = *c;
    calm.calm = 1;
    TRY(chart_axes(&calm, &b.across, &b.down));
    if (has_room) {
        b.y++;
        b.height -= 2;
        int columns = draw_labels_down(&b, 0);
        b.x += columns;
        b.width -= columns;
        draw_key(p, x, y, width, c);
        draw_labels_down(&b, 1);
        draw_labels_across(&b);
    }
    for (int i = 0; i < c->n; i++) TRY(draw_curve(&b, &c->curve[i]));
    return 0;
}

/* ---- printing ---- */

static void print_ink(struct text *out, int ink)
{
    static const char *const codes[] = { [INK_PLAIN] = "0", [INK_BOLD] = "0;1", [INK_FAINT] = "0;2", [INK_WARN] = "0;31" };
    static const char *const curves[] = { "0;94", "0;33", "0;32", "0;35" };
    text_format(out, "\033[%sm", ink < INK_CURVE ? codes[ink] : curves[(ink - INK_CURVE) % 4]);
}

void plot_print(const struct plot *p, struct text *out, int colours, const char *before)
{
    char bytes[4];
    for (int y = 0; y < p->height; y++) {
        const struct cell *c = &p->cell[y * p->width], *end = c + p->width;
        int ink = INK_PLAIN;
        while (end > c && !end[-1].point) end--;
        text_add(out, before);
        for (; c < end; c++) {
            if (c->point == RIGHT_HALF) continue;
            if (colours && c->point && c->ink != ink) print_ink(out, ink = c->ink);
            if (c->point) text_bytes(out, bytes, utf8_put(bytes, (uint32_t)c->point));
            else text_add(out, " ");
        }
        if (ink != INK_PLAIN) print_ink(out, INK_PLAIN);
        if (y + 1 < p->height) text_add(out, "\n");
    }
}
