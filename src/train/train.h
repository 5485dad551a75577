/* train.h -- a whole run, from settings to a finished folder. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H
#include <signal.h>

#include "base/options.h"
#include "train/settings.h"
#include "train/trainer.h"

enum train_kind {
    TRAIN_NOTICE,                        /* text: something the user should know */
    TRAIN_START,                         /* everything is in place; iterations follow */
    TRAIN_STEP,                          /* step, every log_interval iterations */
    TRAIN_EVALUATED,                     /* train_loss, val_loss */
    TRAIN_SAVED,                         /* a checkpoint of progress.iteration was written */
    TRAIN_SAMPLE,                        /* text: what the model writes now */
    TRAIN_PROFILE,                       /* text: where the time went */
    TRAIN_DONE,
};

struct train_event {
    enum train_kind kind;
    const struct settings *settings;
    const struct dataset *data;
    const struct trainer *trainer;
    const struct adapter *adapter;       /* NULL: the whole model is trained */
    const char *text;
    const struct step_result *step;
    int64_t iteration;                   /* of the step or evaluation */
    double lr, seconds, share;           /* of the step: seconds, and the share of the machine's peak */
    double train_loss, val_loss;
};

/* o: a table of settings, its values set from the command line.  The caller is told what happens; the text of an event lives
 * until tell returns.  A set `interrupted` ends the run after the iteration at hand, saved: E_STOPPED. */
int train_run(struct options *o, void (*tell)(void *context, const struct train_event *e), void *context, const volatile sig_atomic_t *interrupted);

/* The GPT that these settings describe, for data of this vocabulary (0: unknown, GPT-2's). */
void train_config(const struct settings *s, int64_t vocab, const struct model **m, struct config *c);

/* If these settings ask for LoRA, f gets a new adapter on its model, unless it has one. */
int train_adapter(const struct settings *s, struct model_files *f);

/* The shape of gpt2 ... gpt2-xl, which need not be here; 0: the name is another. */
int train_known(const char *name, struct config *c);

/* The settings of the run in a folder (its run.conf, or nanoGPT's ckpt.pt), as far as the table knows them: for resuming. */
int train_recorded(struct options *o, const char *out);

#endif
