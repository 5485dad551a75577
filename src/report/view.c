/* view.c -- the table of charts. */
#include "report/view.h"

const struct view views[] = {
    { "Loss", .log = 1, .wide = 1, .n = 3, .curve = {
        { SERIES_LOSS, CURVE_NOISY, "training", "Training loss" },
        { SERIES_VAL_LOSS, CURVE_DOTTED, "validation", "Validation loss" },
        { SERIES_TRAIN_LOSS, CURVE_DOTS, "training, evaluated", NULL } } },
    { "Learning rate", .zero = 1, .n = 1, .curve = { { SERIES_LR, CURVE_PLAIN, "", "Learning rate" } } },
    { "Gradient norm", .log = 1, .n = 1, .curve = { { SERIES_GRAD_NORM, CURVE_NOISY, "", "Gradient norm" } } },
    { "Tokens a second", .zero = 1, .n = 1, .curve = { { SERIES_TOK_S, CURVE_NOISY, "", "Tokens a second" } } },
    { "Memory in MiB", .zero = 1, .n = 1, .curve = { { SERIES_MIB, CURVE_DOTTED, "", "Memory in MiB" } } },
};
const int view_count = sizeof views / sizeof *views;

struct chart view_chart(const struct view *v, const struct history *h, struct curve curve[VIEW_CURVES])
{
    for (int i = 0; i < v->n; i++) curve[i] = (struct curve){ v->curve[i].name, &h->series[v->curve[i].kind], v->curve[i].style, i };
    return (struct chart){ .title = v->title, .curve = curve, .n = v->n, .log = v->log, .zero = v->zero, .wide = v->wide, .last = h->done };
}
