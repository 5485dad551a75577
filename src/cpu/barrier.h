/* barrier.h -- where threads wait for each other between phases.
 *
 * A phase of a small model takes microseconds, so a waiting thread spins.  But on a machine with other work it may be waiting for
 * a thread that is not running: then spinning keeps the very core that thread needs.  So after some 200 us it sleeps until
 * it is woken (a futex).  OpenMP's own barrier spins for milliseconds, and two such programs on one machine stop each other. */
#ifndef CPU_BARRIER_H
#define CPU_BARRIER_H
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

struct barrier { _Atomic int threads, arrived, turn, asleep; };      /* turn: how often all have met */

static inline void barrier_open(struct barrier *b, int threads)
{
    b->threads = threads;
    b->arrived = b->asleep = 0;
}

static inline void spin_once(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* Returns when all threads have called it; what any of them wrote before, all of them see. */
static inline void barrier_meet(struct barrier *b)
{
    enum { SPINS = 4000 };
    int turn = b->turn;
    if (b->arrived++ + 1 == b->threads) {
        b->arrived = 0;
        b->turn = turn + 1;
        if (b->asleep) syscall(SYS_futex, &b->turn, FUTEX_WAKE_PRIVATE, b->threads, NULL, NULL, 0);
        return;
    }
    for (int i = 0; i < SPINS && b->turn == turn; i++) spin_once();
    b->asleep++;
    while (b->turn == turn) syscall(SYS_futex, &b->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
    b->asleep--;
}

#endif
