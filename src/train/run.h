/* run.h -- what the files of a run share (tell.c, folder.c, loop.c, train.c) and nobody else needs. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H
#include "report/report.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/retention.h"
#include "train/train.h"

struct run {
    struct options *options;
    const struct settings *s;
    void (*tell)(void *, const struct train_event *);
    void *context;
    const volatile sig_atomic_t *interrupted;

    struct dataset data;
    struct tokenizer *tokenizer;         /* NULL: neither the data nor the model brings one */
    struct surroundings around;
    const struct model *model;
    struct config config;
    enum dtype type;
    char from[PATH_SIZE];                /* the folder whose weights are taken; empty: none */
    int resumes, lock;                   /* resumes: a checkpoint of ours */
    int continues;                       /* a run of nanoGPT's (foreign.h) */
    int64_t first;                       /* the iteration this process began with */
    struct keep keep;
    int64_t saved;                       /* the iteration of the newest checkpoint, -1: none */
    int published;                       /* the run folder's model is that of the best checkpoint */
    double retry;                        /* seconds until a checkpoint that could not be written is tried again, 0: none could not; */
    double retry_at;                     /* by clock_seconds */
    struct model_files files;            /* those whose weights are taken, until they are */
    struct trainer trainer;
    struct metrics metrics;
    int waits;                           /* it was told that its lines wait */
    struct history history;              /* of metrics.jsonl, for the report */
    int undrawn;                         /* it was told that the report cannot be written */
    struct { int64_t iterations; double seconds; } profiled;
    struct text notices, rejected;       /* rejected: checkpoints that do not verify, a line each */
};

/* ---- tell.c ---- */

struct train_event run_event(const struct run *r, enum train_kind kind);
void run_tell(const struct run *r, struct train_event e);
void run_tell_text(const struct run *r, enum train_kind kind, const char *text);
void run_tell_notices(struct run *r);
/* Something that whoever looks at the run later should know: told, and a line of metrics.jsonl.  kind: one word. */
void run_happened(struct run *r, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- folder.c ---- */

int folder_lock(struct run *r);          /* an evaluation alone locks nothing */
/* Everything is in its place, and there is room for what comes: an older run has moved aside, or the run that goes on says what is new. */
int folder_open(struct run *r);
void folder_report(struct run *r, int alive);        /* draws report.html anew; what goes wrong is told, once */

/* ---- loop.c ---- */

int loop(struct run *r);

#endif
