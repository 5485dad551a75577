/* axis.c -- round numbers on an axis. */
#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is shown ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The middle 98 %, around them what there is within half of what these span, and a margin. */
struct axis axis_fit(double *v, size_t n, double least, double most, int log, int zero)
{
    qsort(v, n, sizeof *v, ascending);
    double low = v[n / 100], high = v[n - 1 - n / 100];
    least = fmin(least, v[0]);
    most = fmax(most, v[n - 1]);
    if (log && low > 0 && high / low > AXIS_WIDE) {
        double half = sqrt(high / low), margin = pow(high / low, 0.03);
        return (struct axis){ fmax(least, low / half) / margin, fmin(most, high * half) * margin, 1 };
    }
    double half = (high - low) / 2, from = fmax(least, low - half), to = fmin(most, high + half);
    if (zero && from >= 0) from = 0;
    double margin = fmax((to - from) * 0.04, fmax(fmax(fabs(from), fabs(to)) * 1e-3, 1e-12));
    return (struct axis){ zero && from == 0 ? 0 : from - margin, to + margin, 0 };
}

double axis_at(const struct axis *a, double x)
{
    double at = a->log ? (x > 0 ? log(x / a->from) / log(a->to / a->from) : -9) : (x - a->from) / (a->to - a->from);
    return at < -9 ? -9 : at > 10 ? 10 : at;
}

/* ---- ticks ---- */

static int has_decades(const struct axis *a) { return a->log && a->to >= AXIS_WIDE * a->from; }

/* The numbers m * 10^e within a, for the e from low to high; how many there are, though no more than MOST_TICKS are stored. */
static int decades(const struct axis *a, const char *mantissas, int every, double *tick)
{
    int n = 0, low = (int)floor(log10(a->from)), high = (int)ceil(log10(a->to));
    for (int e = low; e <= high; e++) {
        for (const char *m = mantissas; *m && ((e % every) + every) % every == 0; m++) {
            double x = (*m - '0') * pow(10, e);
            if (x < a->from || x > a->to) continue;
            if (n < MOST_TICKS) tick[n] = x;
            n++;
        }
    }
    return n;
}

static int steps(const struct axis *a, int most, double *tick)
{
    static const double factors[] = { 1, 2, 5, 10 };
    double rough = (a->to - a->from) / (most + 1), power = pow(10, floor(log10(rough))), step = power;
    int n = 0;
    for (int i = 0; i < 4 && step < rough * (1 - 1e-9); i++) step = factors[i] * power;
    for (double k = ceil(a->from / step - 1e-9); k * step <= a->to + 1e-9 * step && n < MOST_TICKS; k++) tick[n++] = k * step;
    return n;
}

int axis_ticks(const struct axis *a, int most, double tick[MOST_TICKS])
{
    static const char *const mantissas[] = { "125", "13", "1" };
    if (most >= MOST_TICKS) most = MOST_TICKS - 1;
    if (most < 1) return 0;
    if (!has_decades(a)) return steps(a, most, tick);
    for (int i = 0; i < 3; i++) {
        int n = decades(a, mantissas[i], 1, tick);
        if (n <= most && n > 1) return n;
    }
    for (int every = 2; every < 64; every *= 2) {
        int n = decades(a, "1", every, tick);
        if (n <= most) return n;
    }
    return 0;
}

/* ---- numbers ---- */

static int digits_behind(double unit, double step)           /* that units need to tell multiples of step apart */
{
    double d = ceil(log10(unit / step) - 1e-6);
    return d < 0 ? 0 : d > 6 ? 6 : (int)d;
}

/* "3e-4", "1.5e-3" */
static void scientific(struct text *out, double x, double step)
{
    int e = (int)floor(log10(fabs(x)) + 1e-9), digits = digits_behind(pow(10, e), step);
    text_format(out, "%.*ge%d", digits + 1, x / pow(10, e), e);
}

static void grouped(struct text *out, double x)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.0f", fabs(x));
    if (x < 0) text_add(out, "-");
    for (int i = 0; i < n; i++) text_format(out, "%s%c", i && (n - i) % 3 == 0 ? "," : "", digits[i]);
}

void axis_number(struct text *out, double x, double step, double largest)
{
    static const struct { double unit; const char *letter; } units[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };
    step = fabs(step) > 0 ? fabs(step) : 1;
    if (fabs(x) < step * 1e-6) {
        text_add(out, "0");
    } else if (largest >= 1e13 || largest < 1e-3 || (largest < 2e-2 && step < 1e-3)) {
        scientific(out, x, step);
    } else if (step >= 100 && largest >= 1e4) {
        size_t i = 0;
        while (i < 2 && largest < 10 * units[i].unit) i++;
        text_format(out, "%.*f%s", digits_behind(units[i].unit, step), x / units[i].unit, units[i].letter);
    } else if (step >= 1) {
        grouped(out, x);
    } else {
        text_format(out, "%.*f", digits_behind(1, step), x);
    }
}

void axis_label(struct text *out, const struct axis *a, const double *tick, int n, int i)
{
    double x = fabs(tick[i]), largest = fmax(fabs(tick[0]), fabs(tick[n - 1]));
    if (has_decades(a)) axis_number(out, tick[i], pow(10, floor(log10(x) + 1e-9)), x);
    else axis_number(out, tick[i], n > 1 ? tick[1] - tick[0] : x, largest);
}
