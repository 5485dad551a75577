/* history.c -- lines become points and notes. */
#include "report/history.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/utf8.h"

static const char FILE_NAME[] = "metrics.jsonl";
enum { PIECE = 1 << 16, LONGEST_LINE = 1 << 20 };

/* Beyond these a number is no step, time or measurement; within them sums of any number of lines are exact enough and finite. */
static const int64_t MOST_STEP = 1LL << 53;
static const double MOST_TIME = 1e12, MOST_VALUE = 1e30;

/* ---- series ---- */

static struct point join(struct point a, struct point b)
{
    return (struct point){ .first = a.first < b.first ? a.first : b.first, .last = a.last > b.last ? a.last : b.last, .n = a.n + b.n, .sum = a.sum + b.sum,
                           .least = fmin(a.least, b.least), .most = fmax(a.most, b.most), .least_at = b.least < a.least ? b.least_at : a.least_at };
}

static void halve(struct series *s)
{
    for (size_t i = 0; i < s->n / 2; i++) s->point[i] = join(s->point[2 * i], s->point[2 * i + 1]);
    s->n /= 2;
    s->each *= 2;
}

/* The first point that reaches to this step or beyond. */
static size_t place(const struct series *s, int64_t step)
{
    size_t low = 0, high = s->n;
    if (s->n && s->point[s->n - 1].last < step) return s->n;             /* as it nearly always is */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->point[middle].last < step) low = middle + 1;
        else high = middle;
    }
    return low;
}

int series_add(struct series *s, int64_t step, double x)
{
    struct point new = { step, step, 1, step, x, x, x };
    size_t at = place(s, step);
    if (!s->each) s->each = 1;
    if (at < s->n && s->point[at].first <= step) {
        s->point[at] = join(s->point[at], new);
        return 0;
    }
    if (at == s->n && at && s->point[at - 1].n < s->each) {
        s->point[at - 1] = join(s->point[at - 1], new);
        return 0;
    }
    FAIL_IF(!grow(&s->point, &s->room, s->n + 1, sizeof *s->point), E_MEMORY, "no memory for a curve");
    memmove(&s->point[at + 1], &s->point[at], (s->n - at) * sizeof *s->point);
    s->point[at] = new;
    if (++s->n == SERIES_POINTS) halve(s);
    return 0;
}

double series_last(const struct series *s) { return s->n ? point_mean(&s->point[s->n - 1]) : NAN; }

const struct point *series_best(const struct series *s)
{
    const struct point *best = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (!best || s->point[i].least < best->least) best = &s->point[i];
    return best;
}

/* The mean of the points around, with weights that fall in a cosine: unlike an exponential average it does not lag behind.  The window is narrow
 * at the beginning, where a loss falls fast. */
void series_smooth(const struct series *s, double *out)
{
    size_t widest = s->n / 40 + 1;
    for (size_t i = 0; i < s->n; i++) {
        size_t half = i / 3 < widest ? i / 3 : widest, from = i - half, to = i + half < s->n ? i + half : s->n - 1;
        double sum = 0, weights = 0;
        for (size_t j = from; j <= to; j++) {
            double w = (double)s->point[j].n * (1 + cos(M_PI * ((double)j - (double)i) / (double)(half + 1)));
            sum += w * point_mean(&s->point[j]);
            weights += w;
        }
        out[i] = sum / weights;
    }
}

/* What a run is about to do again is forgotten. */
static void series_forget(struct series *s, int64_t from)
{
    while (s->n && s->point[s->n - 1].first >= from) s->n--;
}

/* ---- notes ---- */

static int is_named(const struct note *n, const char *name) { return !strcmp(n->name, name); }

static int goes_on(const struct note *before, const struct note *n)
{
    if (is_named(before, "saved")) return is_named(n, "saved");
    return is_named(before, "skipped") && is_named(n, "skipped") && before->last + 1 == n->step && !strcmp(before->text, n->text);
}

static void notes_drop(struct notes *s, size_t i)
{
    free(s->kept[i].text);
    memmove(&s->kept[i], &s->kept[i + 1], (s->n - i - 1) * sizeof *s->kept);
    s->n--;
}

static int notes_add(struct notes *s, struct note n, const char *text)
{
    struct note *before = s->n ? &s->kept[s->n - 1] : NULL;
    n.text = strndup(text, utf8_good(text, strnlen(text, NOTE_TEXT)));
    FAIL_IF(!n.text, E_MEMORY, "no memory for what %s says", FILE_NAME);
    s->count++;
    if (before && goes_on(before, &n)) {
        n.step = before->step;
        n.n += before->n;
        notes_drop(s, s->n - 1);
    } else if (s->n == NOTES_KEPT) {
        notes_drop(s, NOTES_KEPT / 2);
        s->dropped++;
    }
    s->kept[s->n++] = n;
    return 0;
}

static void notes_forget(struct notes *s, int64_t from)
{
    while (s->n && s->kept[s->n - 1].step >= from) {
        s->count -= s->kept[s->n - 1].n;
        notes_drop(s, s->n - 1);
    }
}

/* ---- lines ---- */

/* `evaluates`: a number of an evaluation, which a run that goes on at its step does not repeat. */
static const struct { const char *key; int evaluates; } columns[SERIES_KINDS] = {
    [SERIES_LOSS] = { "loss", 0 }, [SERIES_LR] = { "lr", 0 }, [SERIES_GRAD_NORM] = { "grad_norm", 0 }, [SERIES_TOK_S] = { "tok_s", 0 }, [SERIES_MFU] = { "mfu", 0 },
    [SERIES_TRAIN_LOSS] = { "train_loss", 1 }, [SERIES_VAL_LOSS] = { "val_loss", 1 }, [SERIES_MIB] = { "mib", 1 },
};

static int number(const json_t *o, const char *key, double most, double *x)
{
    const json_t *v = json_object_get(o, key);
    *x = json_number_value(v);
    return json_is_number(v) && fabs(*x) <= most;
}

/* Events that say where a run stands, and whether a process begins with them. */
static const struct { const char *name; int begins; } states[] = { { "started", 1 }, { "resumed", 1 }, { "finished", 0 }, { "stopped", 0 } };

/* Time is counted from where a process begins, by what it does: an event may come after a pause, before the process says that it begins. */
static void take_time(struct history *h, double time, int begins, int works)
{
    if (time > h->time) h->time = time;
    if (begins || !h->worked) {
        h->began.time = h->worked = time;
        h->began.step = h->done;
    } else if (works && time > h->worked) {
        h->seconds += time - h->worked;
        h->worked = time;
    }
    if (h->done > h->began.step && h->worked > h->began.time) h->seconds_a_step = (h->worked - h->began.time) / (double)(h->done - h->began.step);
}

/* A run goes on at this step, perhaps not where it was. */
static void go_back(struct history *h, int64_t step)
{
    for (int k = 0; k < SERIES_KINDS; k++) series_forget(&h->series[k], columns[k].evaluates ? step + 1 : step);
    notes_forget(&h->notes[NOTE_SKIPPED], step);
    notes_forget(&h->notes[NOTE_SAMPLE], step + 1);
    h->done = step;
}

static int take_words(struct history *h, const json_t *o, struct note n)
{
    static const char *const keys[] = { [NOTE_EVENT] = "event", [NOTE_SKIPPED] = "skipped", [NOTE_SAMPLE] = "sample" };
    for (int k = 0; k < NOTE_KINDS; k++) {
        const char *word = json_string_value(json_object_get(o, keys[k])), *text = k == NOTE_EVENT ? json_string_value(json_object_get(o, "text")) : word;
        const char *name = k == NOTE_EVENT ? word : keys[k];
        if (!word) continue;
        snprintf(n.name, sizeof n.name, "%.*s", (int)utf8_good(name, strnlen(name, sizeof n.name - 1)), name);
        TRY(notes_add(&h->notes[k], n, text ? text : ""));
    }
    return 0;
}

static int take_object(struct history *h, const json_t *o, int64_t step)
{
    double x, time;
    const char *event = json_string_value(json_object_get(o, "event"));
    int begins = 0;
    for (size_t i = 0; event && i < sizeof states / sizeof *states; i++)
        if (!strcmp(event, states[i].name)) memcpy(h->state, event, strlen(event) + 1), begins = states[i].begins;
    if (event && (begins || !strcmp(event, "rolled_back"))) go_back(h, step);
    for (int k = 0; k < SERIES_KINDS; k++)
        if (number(o, columns[k].key, MOST_VALUE, &x)) TRY(series_add(&h->series[k], step, x));
    int64_t done = step + (json_has(o, "loss") || json_has(o, "skipped"));       /* an evaluation stands before the iteration of its number */
    if (done > h->done) h->done = done;
    if (!number(o, "time", MOST_TIME, &time) || time < 0) time = 0;
    if (time > 0) take_time(h, time, begins, !event);
    return take_words(h, o, (struct note){ .step = step, .last = step, .n = 1, .time = time });
}

static int take_line(struct history *h, const char *line, size_t n)
{
    json_t *o;
    h->version++;
    h->lines++;
    int code = json_parse(&o, line, n, FILE_NAME);
    if (code == E_MEMORY) return code;
    const json_t *step = json_object_get(o, "step");
    int known = json_is_integer(step) && json_integer_value(step) >= 0 && json_integer_value(step) <= MOST_STEP;
    h->unreadable += !known;
    code = known ? take_object(h, o, json_integer_value(step)) : 0;
    json_decref(o);
    return code;
}

int history_take(struct history *h, const char *bytes, size_t n)
{
    for (const char *end; n; n -= (size_t)(end + 1 - bytes), bytes = end + 1) {
        end = memchr(bytes, '\n', n);
        size_t size = end ? (size_t)(end - bytes) : n;
        h->overlong |= h->line.size + size > LONGEST_LINE;
        if (!h->overlong) text_bytes(&h->line, bytes, size);
        FAIL_IF(h->line.failed, E_MEMORY, "no memory for a line of %s", FILE_NAME);
        if (!end) return 0;
        TRY(take_line(h, h->overlong || !h->line.at ? "" : h->line.at, h->overlong ? 0 : h->line.size));
        text_clear(&h->line);
        h->overlong = 0;
    }
    return 0;
}

/* ---- the file ---- */

static void forget(struct history *h)
{
    char path[PATH_SIZE];
    uint64_t version = h->version;
    memcpy(path, h->path, sizeof path);
    history_close(h);
    memcpy(h->path, path, sizeof path);
    h->version = version + 1;
}

int history_open(struct history *h, const char *folder)
{
    *h = (struct history){ .file = -1 };
    TRY(path_join(h->path, folder, FILE_NAME));
    return history_follow(h);
}

void history_close(struct history *h)
{
    for (int k = 0; k < SERIES_KINDS; k++) free(h->series[k].point);
    for (int k = 0; k < NOTE_KINDS; k++)
        for (size_t i = 0; i < h->notes[k].n; i++) free(h->notes[k].kept[i].text);
    text_free(&h->line);
    if (h->path[0] && h->file >= 0) close(h->file);
    *h = (struct history){ .file = -1 };
}

/* Is it still the file that was read, with what was read in it?  One that is gone for the moment is. */
static int is_same(const struct history *h)
{
    struct stat here, there;
    char tail[sizeof h->tail];
    size_t n = h->at < (int64_t)sizeof tail ? (size_t)h->at : sizeof tail;
    if (!stat(h->path, &there) && (fstat(h->file, &here) || here.st_ino != there.st_ino || here.st_dev != there.st_dev)) return 0;
    return pread(h->file, tail, n, (off_t)(h->at - (int64_t)n)) == (ssize_t)n && !memcmp(tail, h->tail + sizeof tail - n, n);
}

static int open_file(struct history *h)
{
    struct stat st;
    h->file = open(h->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (h->file < 0 && errno == ENOENT) return 0;
    FAIL_IF(h->file < 0, E_IO, "cannot open %s: %m", h->path);
    if (!fstat(h->file, &st) && S_ISREG(st.st_mode)) return 0;
    close(h->file);
    h->file = -1;
    FAIL(E_DATA, "%s is not a regular file", h->path);
}

/* The last bytes that were read, at the end of h->tail. */
static void remember(struct history *h, const char *bytes, size_t n)
{
    size_t size = n < sizeof h->tail ? n : sizeof h->tail;
    memmove(h->tail, h->tail + size, sizeof h->tail - size);
    memcpy(h->tail + sizeof h->tail - size, bytes + n - size, size);
    h->at += (int64_t)n;
}

int history_follow(struct history *h)
{
    char piece[PIECE];
    ssize_t n;
    if (h->file >= 0 && !is_same(h)) forget(h);
    if (h->file < 0) TRY(open_file(h));
    if (h->file < 0) return 0;
    while ((n = pread(h->file, piece, sizeof piece, (off_t)h->at)) > 0) {
        remember(h, piece, (size_t)n);
        TRY(history_take(h, piece, (size_t)n));
    }
    FAIL_IF(n < 0, E_IO, "cannot read %s: %m", h->path);
    return 0;
}

static int is_before(const struct note *a, const struct note *b)
{
    return a->time > 0 && b->time > 0 ? a->time <= b->time : a->step <= b->step;
}

size_t history_happened(const struct history *h, const struct note *list[2 * NOTES_KEPT])
{
    const struct note *a = h->notes[NOTE_EVENT].kept, *a_end = a + h->notes[NOTE_EVENT].n, *b = h->notes[NOTE_SKIPPED].kept, *b_end = b + h->notes[NOTE_SKIPPED].n;
    size_t n = 0;
    while (a < a_end || b < b_end) list[n++] = b == b_end || (a < a_end && is_before(a, b)) ? a++ : b++;
    return n;
}

const char *history_state(const struct history *h, int alive, int64_t iterations)
{
    if (!strcmp(h->state, "finished") || !strcmp(h->state, "stopped")) return h->state;
    if (alive) return "running";
    return iterations > 0 && h->done >= iterations ? "finished" : "broke off";
}

#ifdef FUZZ_HISTORY
static void check_history(const struct history *h)
{
    for (int k = 0; k < SERIES_KINDS; k++) {
        const struct series *s = &h->series[k];
        if (s->n >= SERIES_POINTS) abort();
        for (size_t i = 0; i < s->n; i++) {
            const struct point *p = &s->point[i];
            double slack = 1e-9 * (fabs(p->least) + fabs(p->most));
            if (p->n < 1 || p->first > p->last || (i && p[-1].last >= p->first) || !(point_mean(p) >= p->least - slack && point_mean(p) <= p->most + slack)) abort();
        }
    }
    for (int k = 0; k < NOTE_KINDS; k++)
        for (size_t i = 0; i < h->notes[k].n; i++)
            if (strlen(h->notes[k].kept[i].text) > NOTE_TEXT || h->notes[k].n > NOTES_KEPT || h->notes[k].count < (int64_t)h->notes[k].n) abort();
}

static void check_same(const struct history *a, const struct history *b)
{
    if (a->lines != b->lines || a->unreadable != b->unreadable || a->done != b->done || a->seconds != b->seconds || strcmp(a->state, b->state)) abort();
    for (int k = 0; k < SERIES_KINDS; k++)
        if (a->series[k].n != b->series[k].n || (a->series[k].n && memcmp(a->series[k].point, b->series[k].point, a->series[k].n * sizeof *a->series[k].point))) abort();
    for (int k = 0; k < NOTE_KINDS; k++)
        if (a->notes[k].n != b->notes[k].n || a->notes[k].count != b->notes[k].count) abort();
}

/* However the bytes come, the history is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history whole = { 0 }, pieces = { 0 };
    size_t piece = size % 13 + 1;
    if (history_take(&whole, (const char *)data, size)) abort();
    for (size_t at = 0; at < size; at += piece)
        if (history_take(&pieces, (const char *)data + at, at + piece < size ? piece : size - at)) abort();
    check_history(&whole);
    check_same(&whole, &pieces);
    history_close(&whole);
    history_close(&pieces);
    return 0;
}
#endif
