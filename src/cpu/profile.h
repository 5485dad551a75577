/* profile.h -- where the time goes, step by step of every plan that runs.  Off unless asked for. */
#ifndef CPU_PROFILE_H
#define CPU_PROFILE_H
#include "cpu/cpu.h"

struct profile_row {
    const struct step *step;             /* NULL: the optimizer's update */
    const char *name;                    /* of the kernel; a backward one ends with ' */
    double seconds;                      /* from the first thread's start to the last one's end, all runs together */
    double busy;                         /* seconds in which threads computed, all threads together */
    double flops, bytes;                 /* multiplications and additions; what the step reads and writes, each byte once */
};

void profile_clear(void);                /* forgets everything; before the steps of a plan that was counted are freed */
void profile_on(int on);                 /* what runs from here on counts, or does not */
int  profile_rows(const struct profile_row **rows);          /* in the order of first use; their number */

/* For cpu.c.  The rows of a list of steps, and of the update, NULL when off; what a thread, and what all together spent since then. */
struct profile_row *profile_of(struct step *const *steps, int n);
struct profile_row *profile_update(const struct weights *w);
void profile_busy(struct profile_row *r, double since);
void profile_done(struct profile_row *r, double since);

#endif
