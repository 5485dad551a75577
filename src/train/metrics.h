/* metrics.h -- metrics.jsonl: what happened, one JSON object a line, the source of every curve.
 *     {"step": 10, "loss": 2.51, "lr": 0.001, "grad_norm": 1.2, "ms": 14.8, "tok_s": 51891, "mfu": 0.41}
 *     {"step": 250, "train_loss": 2.45, "val_loss": 2.47}
 *     {"step": 251, "skipped": "loss"} */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H
#include "train/trainer.h"

struct metrics { int file; struct text line; };

/* For appending.  What a resumed run is about to do again is cut off: steps from `iteration` on, evaluations after `evaluated`. */
int  metrics_open(struct metrics *m, const char *out, int64_t iteration, int64_t evaluated);
void metrics_close(struct metrics *m);
int  metrics_step(struct metrics *m, int64_t step, const struct step_result *r, double lr, double seconds, double flops_share);
int  metrics_evaluation(struct metrics *m, int64_t step, double train_loss, double val_loss);

#endif
