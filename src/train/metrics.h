/* metrics.h -- metrics.jsonl: what happened, one JSON object a line, the source of every curve.
 *     {"step": 10, "time": 1790000000.125, "loss": 2.51, "lr": 0.001, "grad_norm": 1.2, "ms": 14.8, "tok_s": 51891, "mfu": 0.41}
 *     {"step": 251, "time": ..., "skipped": "its loss is not finite"}
 *     {"step": 250, "time": ..., "train_loss": 2.45, "val_loss": 2.47, "mib": 61.2}
 *     {"step": 250, "time": ..., "sample": "ROMEO: ..."}
 *     {"step": 250, "time": ..., "event": "resumed", "text": "resumed at iteration 250"}
 *
 * Event files for TensorBoard say the same once more, if somebody wants them.
 *
 * A run does not end because its metrics cannot be written: lines wait in memory, up to a megabyte, until they can. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H
#include "file/tfevents.h"
#include "train/trainer.h"

struct metrics {
    int file;
    struct text line, waiting;           /* the one that is made; what is not yet in the file */
    int64_t lost;                        /* lines for which there was no memory */
    char why[128];                       /* lines wait; empty: none does */
    struct tfevents board;               /* what TensorBoard shows of the lines; a disk that is full leaves gaps in it */
};

/* For appending.  What a resumed run is about to do again is cut off: steps from `iteration` on, evaluations after `evaluated`. */
int  metrics_open(struct metrics *m, const char *out, int64_t iteration, int64_t evaluated, int tensorboard);
void metrics_sync(struct metrics *m);        /* what was told so far is on the disk: a checkpoint's past goes before it */
void metrics_close(struct metrics *m);
void metrics_step(struct metrics *m, int64_t step, const struct step_result *r, double lr, double seconds, double flops_share);
void metrics_evaluation(struct metrics *m, int64_t step, double train_loss, double val_loss);
void metrics_sample(struct metrics *m, int64_t step, const char *text);
void metrics_event(struct metrics *m, int64_t step, const char *kind, const char *text);     /* text may be "" */

#endif
