/* cpu.c -- the CPU backend: which build of the kernels runs here, and how a list of steps becomes work for threads. */
#define _GNU_SOURCE
#include "cpu/cpu.h"

#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/quantize.h"
#include "base/rng.h"
#include "base/threads.h"
#include "cpu/barrier.h"
#include "cpu/product.h"
#include "cpu/profile.h"

/* ---- which build ---- */

extern const struct cpu_table cpu_table_scalar;
#ifdef __x86_64__
extern const struct cpu_table cpu_table_avx2, cpu_table_avx512, cpu_table_avx512bf16;
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static int has_avx512bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif
#ifdef __aarch64__
#include <sys/auxv.h>
extern const struct cpu_table cpu_table_neon, cpu_table_dotprod;
static int has_dotprod(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif
static int always(void) { return 1; }

/* In ascending order; the first that is missing ends the climb.  A feature bit says that an instruction exists, not that it
 * is fast: bf16 products run at twice the f32 rate on one machine and at half of it on the next.  So that build is taken
 * only by name. */
static const struct { const struct cpu_table *table; int (*runs_here)(void); int by_name; } builds[] = {
    { &cpu_table_scalar, always, 0 },
#ifdef __x86_64__
    { &cpu_table_avx2, has_avx2, 0 },
    { &cpu_table_avx512, has_avx512, 0 },
    { &cpu_table_avx512bf16, has_avx512bf16, 1 },
#endif
#ifdef __aarch64__
    { &cpu_table_neon, always, 0 },
    { &cpu_table_dotprod, has_dotprod, 0 },
#endif
};
enum { BUILDS = sizeof builds / sizeof *builds };

enum { MAX_THREADS = 1024 };

static struct {
    const struct cpu_table *table;
    int threads;
    size_t scratch_size;                 /* of one thread: the most that a planned kernel asked for */
    size_t scratch_room;
    char *scratch;
    uint64_t shuffle;
    double peak[DTYPE_COUNT];
} cpu;

static int cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

const struct cpu_table *cpu_build(int i)
{
    for (int k = 0; k <= i; k++)
        if (k == BUILDS || !builds[k].runs_here()) return NULL;
    return builds[i].table;
}

static const struct cpu_table *choose(const char *isa)
{
    const struct cpu_table *best = NULL, *t;
    for (int i = 0; (t = cpu_build(i)); i++) {
        if (isa && !strcmp(isa, t->name)) return t;
        if (!builds[i].by_name) best = t;
    }
    return isa ? NULL : best;
}

int cpu_init(const char *isa, int threads)
{
    const char *wish = isa ? isa : getenv("NIB_CPU");
    const struct cpu_table *t = choose(wish && *wish ? wish : NULL);
    if (!t) {
        char names[128] = "";
        for (int i = 0; (t = cpu_build(i)); i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", t->name);
        FAIL(E_USAGE, "NIB_CPU=%s does not run here; what does: %s", wish, names);
    }
    cpu.table = t;
    cpu.threads = threads > 0 ? threads : cores();
    if (cpu.threads > MAX_THREADS) cpu.threads = MAX_THREADS;
    free(cpu.scratch);
    cpu.scratch = NULL;
    cpu.scratch_room = 0;
    memset(cpu.peak, 0, sizeof cpu.peak);
    int code = threads_try(cpu.threads);
    if (code) cpu.threads = 1;
    return code;
}

static const struct cpu_table *table(void)
{
    if (!cpu.table && cpu_init(NULL, 0)) cpu_init("scalar", 0);      /* NIB_CPU may be wrong: the cli says so, a library runs on */
    return cpu.table;
}

static size_t whole_pages(size_t bytes) { return (bytes + 4095) & ~(size_t)4095; }       /* threads do not share them */
static size_t scratch_stride(void) { return whole_pages(cpu.scratch_size); }

const char *cpu_isa(void) { return table()->name; }
int cpu_threads(void) { table(); return cpu.threads; }
size_t cpu_scratch(void) { return scratch_stride() * (size_t)cpu_threads(); }
void cpu_shuffle_tasks(uint64_t seed) { cpu.shuffle = seed; }

const char *cpu_model(void)
{
    static char model[128] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(model, sizeof model, "%s", colon + 2);
        model[strcspn(model, "\n")] = 0;
        break;
    }
    if (f) fclose(f);
    return model;
}

double cpu_peak_now(enum dtype type)
{
    double sum = 0, (*measure)(double) = type == BF16 ? table()->peak_bf16 : table()->peak;
#pragma omp parallel num_threads(cpu.threads) reduction(+ : sum)
    {
        double best = 0;
        for (int i = 0; i < 3; i++) {
            double now = measure(0.004);
            best = now > best ? now : best;
        }
        sum += best;
    }
    return sum;
}

double cpu_peak(enum dtype type)
{
    if (!cpu.peak[type]) cpu.peak[type] = cpu_peak_now(type);
    return cpu.peak[type];
}

double cpu_bandwidth(void)
{
    enum { ROUNDS = 6, UNIT = 1 << 12 };
    const size_t all = (size_t)1 << 28;                      /* floats: more than caches hold */
    size_t part = all / (size_t)cpu_threads() / UNIT * UNIT;
    float *x = cpu_backend.alloc(all * sizeof *x);
    double best = 0;
    for (int i = 0; i <= ROUNDS && x; i++) {                 /* the first time each thread fills its part */
        double start = clock_seconds(), floats = 0;
#pragma omp parallel num_threads(cpu.threads) reduction(+ : floats)
        {
            float *mine = x + part * (size_t)omp_get_thread_num();
            if (i == 0) memset(mine, 0, part * sizeof *mine);
            else cpu.table->read(mine, part);
            floats += (double)part;
        }
        double now = floats * sizeof *x / (clock_seconds() - start);
        if (i > 0 && now > best) best = now;
    }
    cpu_backend.free(x);
    return best;
}

double cpu_bf16_gain(const char **isa)
{
    const struct cpu_table *dots = NULL;
    double least = 0;
    for (int i = 0; i < BUILDS && builds[i].runs_here(); i++)
        if (builds[i].table->peak_bf16(0) > 0) dots = builds[i].table;
    for (int i = 0; i < 3 && dots; i++) {
        double gain = dots->peak_bf16(0.004) / dots->peak(0.004);
        least = i == 0 || gain < least ? gain : least;
    }
    *isa = dots ? dots->name : NULL;
    return least;
}

/* ---- running steps ---- */

/* A phase's tasks are dealt out in equal parts: steps that go through rows from first to last find in a core's cache what
 * it wrote the step before.  Who is done helps the others.  Bits do not depend on who computes a task. */
struct part { _Alignas(64) _Atomic int next[2]; };           /* task of this thread's part, in phases of even and odd turn */
static struct part parts[MAX_THREADS];

static int first_task(int tasks, int thread) { return (int)((int64_t)tasks * thread / cpu.threads); }

static void run_phase(const struct cpu_kernel *k, const struct step *s, int phase, int tasks, int me, int turn, char *scratch)
{
    for (int help = 0; help < cpu.threads; help++) {
        int whose = (me + help) % cpu.threads, first = first_task(tasks, whose), n = first_task(tasks, whose + 1) - first, i;
        while ((i = atomic_fetch_add_explicit(&parts[whose].next[turn], 1, memory_order_relaxed)) < n) k->run(s, phase, first + i, scratch);
    }
}

static void run_alone(const struct cpu_kernel *k, const struct step *s, int phase, int tasks, char *scratch)
{
    for (int i = 0; i < tasks; i++) k->run(s, phase, i, scratch);
}

/* Tests: the tasks in an order drawn at random, on one thread. */
static void run_shuffled(const struct cpu_kernel *k, const struct step *s, int phase, int tasks, char *scratch)
{
    static int *order;
    static int room;
    if (tasks > room) {
        free(order);
        order = malloc(sizeof *order * (size_t)tasks);
        room = order ? tasks : 0;
    }
    for (int i = 0; i < room && i < tasks; i++) order[i] = i;
    for (int i = tasks - 1; i > 0; i--) {
        int j = (int)rng_below(cpu.shuffle, (uint64_t)s->node->id * 1000003 + (uint64_t)i, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < tasks; i++) k->run(s, phase, order[i], scratch);
}

enum { SMALL = 30000 };                  /* operations: below, a barrier costs more than the second thread brings */

static int is_small(const struct cpu_kernel *k, const struct step *s) { return k->cost && k->cost(s) < SMALL; }

/* What a thread needs to walk the list. */
struct walk { int me, turn, behind; char *scratch; };                /* behind: thread 0 may still be at small steps */
static struct barrier barrier;

static void walk_phase(struct walk *w, const struct step *s, const struct cpu_kernel *k, int phase, struct profile_row *row)
{
    int tasks = k->tasks(s, phase), alone = tasks <= 1 || is_small(k, s) || cpu.shuffle;
    if (!alone && w->behind) barrier_meet(&barrier);
    double start = row ? clock_seconds() : 0;
    if (alone && w->me == 0) {
        if (cpu.shuffle) run_shuffled(k, s, phase, tasks, w->scratch);
        else run_alone(k, s, phase, tasks, w->scratch);
    } else if (!alone) {
        run_phase(k, s, phase, tasks, w->me, w->turn, w->scratch);
    }
    if (row && (!alone || w->me == 0)) profile_busy(row, start);
    if (!alone) {
        for (int i = 0; i < cpu.threads && w->me == 0; i++) parts[i].next[!w->turn] = 0;       /* nobody uses them before the barrier, nobody after it yet */
        barrier_meet(&barrier);
        w->turn = !w->turn;
    }
    w->behind = alone;
}

/* One parallel region for all steps.  Every thread walks the list; a small step is thread 0's alone, and the others wait
 * for it only when the next large one comes. */
static void run_steps(struct step *const *steps, int n)
{
    struct profile_row *rows = profile_of(steps, n);
    for (int i = 0; i < cpu.threads; i++) parts[i].next[0] = parts[i].next[1] = 0;
#pragma omp parallel num_threads(cpu.threads)
    {
#pragma omp single
        barrier_open(&barrier, omp_get_num_threads());
        struct walk w = { .me = omp_get_thread_num(), .scratch = cpu.scratch + (size_t)omp_get_thread_num() * scratch_stride() };
        for (int i = 0; i < n; i++) {
            const struct cpu_kernel *k = (const struct cpu_kernel *)steps[i]->kernel;
            double start = rows ? clock_seconds() : 0;
            for (int p = 0, phases = k->phases ? k->phases(steps[i]) : 1; p < phases; p++) walk_phase(&w, steps[i], k, p, rows ? rows + i : NULL);
            if (rows && w.me == 0) profile_done(rows + i, start);
        }
    }
}

static int cpu_run(struct step *const *steps, int n)
{
    size_t need = cpu_scratch();
    if (need > cpu.scratch_room) {
        free(cpu.scratch);
        cpu.scratch = aligned_alloc(4096, need);
        cpu.scratch_room = cpu.scratch ? need : 0;
        FAIL_IF(!cpu.scratch, E_MEMORY, "no memory for %d threads of %zu bytes each", cpu.threads, scratch_stride());
        memset(cpu.scratch, 0, need);                        /* its pages come now, not when a kernel happens to need more of it */
    }
    run_steps(steps, n);
    return 0;
}

/* ---- a product by itself ---- */

size_t cpu_product_work(const struct product *p)
{
    const struct product_kernel *k = table()->product;
    return whole_pages(k->work(p)) + (size_t)cpu.threads * whole_pages(k->scratch());
}

void cpu_product(const struct product *p, void *work)
{
    const struct product_kernel *k = table()->product;
    char *scratch = (char *)work + whole_pages(k->work(p));
#pragma omp parallel num_threads(cpu.threads)
    for (int phase = 0; phase < 2; phase++) {
        int tasks = k->tasks(p, phase, work);
#pragma omp for schedule(static)
        for (int i = 0; i < tasks; i++) k->run(p, phase, i, work, scratch + (size_t)omp_get_thread_num() * whole_pages(k->scratch()));
    }
}

/* ---- picking kernels ---- */

static int computes_in(enum dtype t) { return t == F32 || t == BF16; }

/* Activations and matrices may be f32 or bf16, matrices of some ops quantized, too; vectors, losses and gradients of parameters are f32; indices are integers. */
static int types_fit(const struct step *s, int quantized)
{
    for (int i = 0; i < s->node->n_in; i++) {
        const tensor *t = s->node->in[i];
        if (s->in[i].value >= 0 && t->kind != K_INPUT && !computes_in(s->in[i].type) && !(quantized && i == 1 && is_quantized(s->in[1].type))) return 0;
    }
    return s->node->kind != K_OP || computes_in(s->node->type);
}

static const struct kernel *cpu_pick(const struct step *s)
{
    const struct cpu_table *t = table();
    const struct cpu_kernel *k = s->dir == 'C' ? t->copy : s->dir == 'Z' ? t->clear : s->dir == 'G' ? t->ready : NULL;
    if (!k) {
        const struct cpu_op *op = t->op[s->node->op];
        k = s->dir == 'B' ? &op->backward : &op->forward;
        for (const struct step *f = s->then; f; f = f->then)
            if (!op->fuses || !t->op[f->node->op]->flow) return NULL;
        if (!k->run || !types_fit(s, op->quantized)) return NULL;
    }
    size_t scratch = k->scratch ? k->scratch(s) : 0;
    if (scratch > cpu.scratch_size) cpu.scratch_size = scratch;
    return &k->base;
}

/* ---- memory ---- */

enum { HUGE_PAGE = 2 << 20 };

static size_t page_of(size_t bytes) { return bytes >= HUGE_PAGE ? HUGE_PAGE : 4096; }

size_t cpu_taken(size_t bytes) { return (bytes + page_of(bytes) - 1) & ~(page_of(bytes) - 1); }

static void *cpu_alloc(size_t bytes)
{
    size_t align = page_of(bytes), size = cpu_taken(bytes);
    void *p = size < bytes ? NULL : aligned_alloc(align, size);
    if (p && align == HUGE_PAGE) madvise(p, size, MADV_HUGEPAGE);
    return p;
}

static void cpu_copy(void *to, const void *from, size_t bytes) { if (bytes) memmove(to, from, bytes); }

static void cpu_zero(void *p, size_t bytes)              /* by all threads: the first to touch a page waits for the system to find it */
{
#pragma omp parallel for num_threads(cpu_threads()) schedule(static)
    for (size_t i = 0; i < bytes; i += HUGE_PAGE) memset((char *)p + i, 0, bytes - i < HUGE_PAGE ? bytes - i : HUGE_PAGE);
}

/* ---- the optimizer ---- */

enum { UPDATE_BLOCK = 1 << 13 };                        /* small, so that each thread has its part of every parameter */

static void for_blocks(struct weights *w, const struct adamw *a)         /* a NULL: only the bf16 forms */
{
    const struct cpu_table *t = table();
#pragma omp parallel num_threads(cpu.threads)
    for (const struct param *p = w->param; p; p = p->next) {
        size_t n = param_size(p);
        if (p->use != TRAINED || (a ? !p->graded : !p->form)) continue;
#pragma omp for schedule(static) nowait
        for (size_t i = 0; i < n; i += UPDATE_BLOCK) {
            size_t end = i + UPDATE_BLOCK < n ? i + UPDATE_BLOCK : n;
            if (a) t->adamw(w, p, a, i, end);
            else t->narrow(w, p, i, end);
        }
    }
}

static void cpu_update(struct weights *w, const struct adamw *a)
{
    struct profile_row *row = profile_update(w);
    double start = row ? clock_seconds() : 0;
    for_blocks(w, a);
    if (row) profile_done(row, start);
}

static void cpu_refresh(struct weights *w) { for_blocks(w, NULL); }

const struct backend cpu_backend = {
    .name = "cpu", .alloc = cpu_alloc, .free = free, .copy = cpu_copy, .zero = cpu_zero,
    .pick = cpu_pick, .run = cpu_run, .update = cpu_update, .refresh = cpu_refresh,
};
