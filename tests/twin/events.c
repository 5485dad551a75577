/* events.c -- an event file in FOLDER, by src/file/tfevents.c, of a run that begins at step FROM:
 *   events FOLDER TIME FROM TO
 * with the scalars loss/train = 4 - step / 10 and lr = step / 1000 of the steps FROM to TO - 1, and behind them a text of step TO - 1. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "file/tfevents.h"

static int write_events(struct tfevents *t, double time, int64_t from, int64_t to)
{
    for (int64_t step = from; step < to; step++) {
        const struct tfevents_scalar two[] = { { "loss/train", 4 - (double)step / 10 }, { "lr", (double)step / 1000 } };
        TRY(tfevents_scalars(t, time + (double)step, step, two, 2));
    }
    return tfevents_text(t, time + (double)to, to - 1, "sample", "ROMEO:\n<b>&amp; who</b>\n\n* not a list: \xc3\xa9");
}

int main(int argc, char **argv)
{
    struct tfevents t;
    if (argc != 5) return E_USAGE;
    double time = strtod(argv[2], NULL);
    int code = tfevents_open(&t, argv[1], time, atoll(argv[3]));
    if (!code) code = write_events(&t, time, atoll(argv[3]), atoll(argv[4]));
    tfevents_close(&t);
    if (code) fprintf(stderr, "%s\n", error_text());
    return code;
}
