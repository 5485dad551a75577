/* machine.h -- what kind of numbers and which kernels a run uses.  Runs made of other kernels have other bits, so the choice
 * is said aloud, stored with the run and made again on resume. */
#ifndef TRAIN_MACHINE_H
#define TRAIN_MACHINE_H
#include "base/dtype.h"
#include "base/text.h"
#include "train/settings.h"

/* By settings->dtype, device and threads; auto is f32 unless products of bf16 are at least 1.3 times as fast.  isa, dtype: what
 * a resumed run was made with, or empty.  Starts the CPU backend. */
int machine_choose(const struct settings *s, const char *isa, const char *dtype, enum dtype *type, struct text *notices);

#endif
