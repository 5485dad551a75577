/* tracer.h -- runs nib and does something to one of its system calls: it is killed there, or the call fails, or does half of its work.
 *
 * Calls are counted from the first that names a file by a relative path: what the loader and the libraries do before main is not ours.
 * Every call of every thread counts, so whatever nib does, there is a number for each moment between two of its calls. */
#ifndef TRACER_H
#define TRACER_H
#include "program.h"

#include <linux/elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

enum harmed { UNHARMED, KILLED, FAILS, HALVED };
struct fault {
    enum harmed what;
    long at;                             /* which of the counted calls, from 1 */
    int error;                           /* FAILS: the errno that it gets instead of being done */
    int (*counts)(long call);            /* which calls are counted; NULL: all */
    int (*ignores)(long call);           /* which calls are left out although the program is told that they went well; NULL: none */
    void (*look)(void *context, pid_t pid, const struct __ptrace_syscall_info *call, int ends);      /* at each counted call's begin and end; may be NULL */
    void *context;
};
struct traced { long calls; long call; };        /* counted in all; the number of the one that was harmed, -1: none */

/* ---- registers: where a call's number, third argument and result are ---- */

#ifdef __x86_64__
enum { CAN_TRACE = 1 };
static inline void change_registers(pid_t pid, int cancels, int halves, int error)
{
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, NULL, &r);
    if (cancels) r.orig_rax = (unsigned long long)-1;
    if (halves) r.rdx /= 2;
    if (error >= 0) r.rax = (unsigned long long)-error;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
}
#else
enum { CAN_TRACE = 0 };
static inline void change_registers(pid_t pid, int cancels, int halves, int error) { (void)pid, (void)cancels, (void)halves, (void)error; }
#endif

/* ---- what a call is about ---- */

static inline int path_argument(long call)                   /* which argument is a path; -1: none */
{
    switch (call) {
    case SYS_openat: case SYS_newfstatat: case SYS_unlinkat: return 1;
#ifdef SYS_open
    case SYS_open: case SYS_stat: case SYS_mkdir: case SYS_unlink: case SYS_access: return 0;
#endif
    default: return -1;
    }
}

static inline void read_path(pid_t pid, uint64_t address, char path[PATH_SIZE])
{
    struct iovec here = { path, PATH_SIZE - 1 }, there = { (void *)(uintptr_t)address, PATH_SIZE - 1 };
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
    while (n < 0 && there.iov_len > 1) {                     /* up to the end of a page that the next one is missing behind */
        here.iov_len = there.iov_len /= 2;
        n = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    path[n > 0 ? n : 0] = 0;
}

static inline int is_ours(pid_t pid, const struct __ptrace_syscall_info *call)
{
    char path[PATH_SIZE];
    int k = path_argument((long)call->entry.nr);
    if (k < 0) return 0;
    read_path(pid, call->entry.args[k], path);
    return path[0] && path[0] != '/';
}

/* What can fail because of the disk, of limits or of memory. */
static inline int can_fail(long call)
{
    static const long calls[] = {
        SYS_openat, SYS_read, SYS_write, SYS_close, SYS_fsync, SYS_newfstatat, SYS_fstat, SYS_lseek, SYS_mmap, SYS_flock, SYS_getdents64, SYS_unlinkat, SYS_linkat, SYS_statfs,
        SYS_ftruncate, SYS_fcntl,
#ifdef SYS_open
        SYS_open, SYS_stat, SYS_mkdir, SYS_unlink, SYS_rename, SYS_link,
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i] == call) return 1;
    return 0;
}

static inline int only_writes(long call) { return call == SYS_write; }

/* ---- running ---- */

static inline void drain(struct program *p)
{
    struct pollfd f[2] = { { p->pipe[0], POLLIN, 0 }, { p->pipe[1], POLLIN, 0 } };
    while (poll(f, 2, 0) > 0 && read_more(p)) f[0].fd = p->pipe[0], f[1].fd = p->pipe[1];
}

struct tracing { const struct fault *f; struct traced *t; int begun; pid_t harmed, ignored; };

/* A thread stands before a call or behind it. */
static inline void at_call(struct tracing *t, pid_t pid)
{
    struct __ptrace_syscall_info call;
    const struct fault *f = t->f;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call) <= 0) return;
    if (call.op == PTRACE_SYSCALL_INFO_EXIT) {
        int ignored = t->ignored == pid;
        if (t->harmed == pid && f->what == FAILS) change_registers(pid, 0, 0, f->error);
        if (t->ignored == pid) change_registers(pid, 0, 0, 0);
        if (t->harmed == pid) t->harmed = 0;
        if (t->ignored == pid) t->ignored = 0;
        if (f->look && t->begun && !ignored) f->look(f->context, pid, &call, 1);
        return;
    }
    if (!t->begun && !(t->begun = is_ours(pid, &call))) return;
    if (f->counts && !f->counts((long)call.entry.nr)) return;
    if (++t->t->calls == f->at && f->what) {
        t->t->call = (long)call.entry.nr;
        if (f->what == KILLED) kill(pid, SIGKILL);
        if (f->what == FAILS) change_registers(pid, 1, 0, -1);
        if (f->what == HALVED) change_registers(pid, 0, 1, -1);
        t->harmed = pid;
    }
    if (f->ignores && f->ignores((long)call.entry.nr)) {
        change_registers(pid, 1, 0, -1);
        t->ignored = pid;
    } else if (f->look) {
        f->look(f->context, pid, &call, 0);
    }
}

/* Until the program has ended; its threads come and go. */
static inline void trace(struct program *p, const struct fault *f, struct traced *t)
{
    struct tracing now = { .f = f, .t = t };
    int status;
    *t = (struct traced){ .call = -1 };
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, p->pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE);
    ptrace(PTRACE_SYSCALL, p->pid, NULL, NULL);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) break;
        drain(p);
        if (!WIFSTOPPED(status)) {
            if (pid == p->pid) p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status), is_call = signal == (SIGTRAP | 0x80);
        if (is_call) at_call(&now, pid);
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)(is_call || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal));
    }
    while (read_more(p)) continue;
    p->ended = 1;
}

/* nib's exit status, or minus the signal that ended it. */
__attribute__((format(printf, 3, 4))) static inline int run_traced(const struct fault *f, struct traced *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    start_line(&nib, HOW(.traced = 1), format, args);
    va_end(args);
    trace(&nib, f, t);
    return nib.status;
}

#endif
