/* crew.c -- parts are gathered until they are worth the threads, worked on, taken.  Small documents are copied; a large one is cut
 * into parts that lie where it lies. */
#include "token/crew.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/threads.h"

enum { PART = 32 << 10, GATHER = 8 << 20, PARTS = 4096 };   /* bytes of a part, about; bytes and parts that are gathered */

struct crew {
    struct crew_task task;
    int threads;
    struct part part[PARTS]; int n;
    struct ids ids[PARTS];               /* what comes of each */
    size_t gathered;                     /* bytes of the parts */
    char held[GATHER]; size_t used;      /* the copies */
};

int crew_open(struct crew **out, const struct crew_task *task, int threads)
{
    *out = NULL;
    if (!threads) threads = omp_get_max_threads();
    TRY(threads_try(threads));
    struct crew *c = *out = malloc(sizeof *c);
    FAIL_IF(!c, E_MEMORY, "no memory to read texts");
    c->task = *task;
    c->threads = threads;
    c->n = 0;
    c->gathered = c->used = 0;
    memset(c->ids, 0, sizeof c->ids);
    return 0;
}

int crew_threads(const struct crew *c) { return c->threads; }

void crew_close(struct crew *c)
{
    if (!c) return;
    for (int i = 0; i < PARTS; i++) ids_free(&c->ids[i]);
    free(c);
}

/* ---- working ---- */

struct failure { int part, code; char text[ERROR_TEXT]; };   /* the first in the order of the text */

static void work_one(struct crew *c, int i, struct failure *first)
{
    struct ids ids = c->ids[i];                              /* apart from its neighbours', which other threads write */
    ids.n = 0;
    int code = c->task.work(c->task.context, omp_get_thread_num(), &c->part[i], &ids);
    c->ids[i] = ids;
    if (!code) return;
#pragma omp critical(crew_failure)
    if (!first->code || i < first->part) {
        *first = (struct failure){ .part = i, .code = code };
        memcpy(first->text, error_text(), strlen(error_text()) + 1);
    }
}

int crew_finish(struct crew *c)
{
    struct failure first = { 0 };
    int n = c->n;
#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int i = 0; i < n; i++) work_one(c, i, &first);
    for (int i = 0; i < n && c->task.take && !(first.code && i >= first.part); i++) TRY(c->task.take(c->task.context, &c->part[i], &c->ids[i]));
    FAIL_IF(first.code, first.code, "%s", first.text);
    c->n = 0;
    c->gathered = c->used = 0;
    return 0;
}

/* ---- gathering ---- */

static int gather(struct crew *c, const struct part *p)
{
    c->part[c->n++] = *p;
    c->gathered += p->doc.n;
    return c->n == PARTS || c->gathered >= GATHER ? crew_finish(c) : 0;
}

/* Parts of about a size.  Where a text cannot be cut for long, a part is as long as it has to be. */
static int gather_parts(struct crew *c, const struct document *doc)
{
    struct part p = { *doc, 0 };
    for (size_t most = PART, left = doc->n; left > 0; most *= 2) {
        p.doc.n = most < left ? c->task.apart(c->task.context, p.doc.text, left, most) : left;
        if (!p.doc.n) continue;
        p.last = p.doc.n == left && !doc->more;
        TRY(gather(c, &p));
        left -= p.doc.n;
        p.doc.text += p.doc.n;
        p.doc.at.byte += p.doc.n;
        most = PART / 2;
    }
    return crew_finish(c);                                   /* the text is the caller's */
}

int crew_add(struct crew *c, const struct document *doc)
{
    if (doc->n > PART) return gather_parts(c, doc);
    if (doc->n > GATHER - c->used) TRY(crew_finish(c));
    struct part p = { *doc, !doc->more };
    p.doc.text = memcpy(c->held + c->used, doc->text, doc->n);
    c->used += doc->n;
    return gather(c, &p);
}
