/* history.h -- what a run did, from its metrics.jsonl, read as it grows.
 *
 *     struct history h = { 0 };
 *     TRY(history_open(&h, "out"));
 *     for (;;) TRY(history_follow(&h)), look_at(&h);
 *
 * Each line of the file is an object with "step" and mostly "time", in seconds since 1970, and one of
 *     an iteration    "loss", "lr", "grad_norm", "tok_s", "mfu"
 *     an evaluation   "train_loss", "val_loss", "mib"
 *     "skipped"       an iteration that was not applied, and why
 *     "sample"        what the model wrote
 *     "event"         "resumed", "saved" ..., and in "text" what happened, for people
 * Other keys are passed over; lines that are none of this, among them what a crash has cut off, are counted.
 *
 * Whatever the length of the file, memory stays bounded: a series has SERIES_POINTS points at most and halves itself when it is full, each point
 * keeping the mean and the extremes of what it stands for; of notes the first and the newest are kept. */
#ifndef REPORT_HISTORY_H
#define REPORT_HISTORY_H
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/text.h"

enum { SERIES_POINTS = 2048, NOTES_KEPT = 64, NOTE_NAME = 24, NOTE_TEXT = 4096 };

/* ---- numbers ---- */

enum series_kind { SERIES_LOSS, SERIES_LR, SERIES_GRAD_NORM, SERIES_TOK_S, SERIES_MFU, SERIES_TRAIN_LOSS, SERIES_VAL_LOSS, SERIES_MIB, SERIES_KINDS };

/* n values of the steps first to last; the least of them stood at least_at */
struct point { int64_t first, last, n, least_at; double sum, least, most; };

struct series { struct point *point; size_t n, room; int64_t each; };            /* in the order of steps; a point stands for at most `each` values, if they came in order */

int    series_add(struct series *s, int64_t step, double x);                     /* in whatever order */
double series_last(const struct series *s);                                      /* the mean of the last point; NaN if there is none */
const struct point *series_best(const struct series *s);                         /* the one with the least value, or NULL */
void   series_smooth(const struct series *s, double *out);                       /* a value a point */
static inline double point_mean(const struct point *p) { return p->sum / (double)p->n; }
static inline double point_step(const struct point *p) { return ((double)p->first + (double)p->last) / 2; }

/* ---- words ---- */

enum note_kind { NOTE_EVENT, NOTE_SKIPPED, NOTE_SAMPLE, NOTE_KINDS };

/* name: the event's, or "skipped", "sample".  Steps that were skipped one after the other for one reason are one note of n, from `step` to `last`; so is
 * what was saved and saved again: then time and text are the last one's. */
struct note { int64_t step, last, n; double time; char name[NOTE_NAME], *text; };    /* time 0: unknown; text is cut at NOTE_TEXT bytes */

/* count: lines in all.  Of NOTES_KEPT notes the older half are the first, the others the newest; `dropped` were between them. */
struct notes { struct note kept[NOTES_KEPT]; size_t n; int64_t count, dropped; };

/* ---- the whole ---- */

struct history {
    struct series series[SERIES_KINDS];
    struct notes notes[NOTE_KINDS];
    char state[NOTE_NAME];               /* the last event that says where the run stands: started, resumed, finished, stopped; empty: none */
    int64_t done;                        /* iterations */
    double time, seconds;                /* the latest moment; seconds of running, pauses apart; 0: unknown */
    double seconds_a_step;               /* since the run was started last, evaluations included; 0: unknown */
    int64_t lines, unreadable;
    uint64_t version;                    /* another one when anything has come or gone */

    /* private: the file, where reading goes on, and the bytes before that place */
    char path[PATH_SIZE], tail[32];
    int file;
    int64_t at;
    struct text line;                    /* its beginning */
    int overlong;
    struct { double time; int64_t step; } began;             /* the process that wrote last */
    double worked;                       /* until when seconds are counted */
};

int  history_open(struct history *h, const char *folder);    /* the file need not be there yet */
/* Reads what was appended.  If the file was replaced, or is not what it was up to there, it is read anew. */
int  history_follow(struct history *h);
int  history_take(struct history *h, const char *bytes, size_t n);               /* what follows in the file, cut anywhere; of one that nobody opened, too */
void history_close(struct history *h);                       /* { 0 } is fine */

/* Events and what was skipped, in the order of time: how many, at most 2 NOTES_KEPT. */
size_t history_happened(const struct history *h, const struct note *list[2 * NOTES_KEPT]);

/* "running", "finished", "stopped", or "broke off": nobody works at it, and it did not say why.  alive: somebody has the lock of its folder; iterations: how many it
 * is to have, 0: unknown. */
const char *history_state(const struct history *h, int alive, int64_t iterations);

#endif
