/* session.c -- one plan, many streams. */
#include "infer/session.h"

#include <stdlib.h>

#include "base/error.h"

enum { RUN_ROWS = 512 };

static int take_memory(struct session *s)
{
    size_t rows = (size_t)s->rows, streams = (size_t)s->streams;
    s->seq = malloc(streams * sizeof *s->seq);
    s->ids = malloc(rows * sizeof *s->ids);
    s->pos = malloc(rows * sizeof *s->pos);
    s->wanted = malloc(streams * sizeof *s->wanted);
    s->whose = malloc(streams * sizeof *s->whose);
    FAIL_IF(!s->seq || !s->ids || !s->pos || !s->wanted || !s->whose, E_MEMORY, "no memory for a session of %d streams", s->streams);
    return 0;
}

int session_plan(struct session *s, struct weights *w, const struct model *m, const struct config *c, enum dtype type, int streams)
{
    int64_t rows = RUN_ROWS < c->context * streams ? RUN_ROWS : c->context * streams;
    *s = (struct session){ .context = c->context, .vocab = c->vocab, .streams = streams, .rows = rows > streams ? rows : streams };
    const struct space spaces[] = { { "text", s->rows, streams }, { "wanted", streams, 0 } };
    graph *g;
    TRY(take_memory(s));
    TRY(graph_open(&g, w, INFER, type, spaces, 2));
    tensor *logits = m->build(g, c);
    return plan_new(&s->plan, g, &logits, 1, &(struct plan_options){ .fuse = 1 });
}

void session_free(struct session *s)
{
    free(s->seq);
    free(s->ids);
    free(s->pos);
    free(s->wanted);
    free(s->whose);
    *s = (struct session){ 0 };
}

static int bind(struct session *s, int64_t rows, int64_t seqs, int64_t wanted)
{
    const struct { const char *name; const void *data; int64_t n; } inputs[] = {
        { "text.ids", s->ids, rows }, { "text.pos", s->pos, rows }, { "text.seqs", s->seq, seqs }, { "wanted.wanted", s->wanted, wanted },
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (plan_wants(s->plan, inputs[i].name)) TRY(plan_bind(s->plan, inputs[i].name, inputs[i].data, inputs[i].n));
    return 0;
}

int session_step(struct session *s, struct stream *const *st, const float **logits, const int **whose, int *got)
{
    int64_t rows = 0, seqs = 0;
    *got = 0;
    for (int i = 0; i < s->streams; i++) {
        struct stream *t = st[i];
        size_t todo = t ? t->ids.n - t->from - t->shown : 0, room = (size_t)(s->rows - rows), now = todo < room ? todo : room;
        if (!now) continue;
        FAIL_IF(t->shown + now > (size_t)s->context, E_MODEL, "a text of %zu tokens does not fit a context of %lld", t->shown + now, (long long)s->context);
        s->seq[seqs++] = (struct seq){ .row = (int32_t)rows, .rows = (int32_t)now, .past = (int32_t)t->shown, .base = (int32_t)(i * s->context), .keys = (int32_t)(t->shown + now) };
        for (size_t k = 0; k < now; k++) {
            s->ids[rows + (int64_t)k] = (int32_t)t->ids.at[t->from + t->shown + k];
            s->pos[rows + (int64_t)k] = (int32_t)(t->shown + k);
        }
        rows += (int64_t)now;
        t->shown += now;
        if (now < todo) continue;
        s->whose[*got] = i;
        s->wanted[(*got)++] = (int32_t)(rows - 1);
    }
    TRY(bind(s, rows, seqs, *got));
    TRY(plan_run(s->plan, &(struct run_scalars){ .last_micro = 1 }));
    *logits = plan_result(s->plan, 0);
    *whose = s->whose;
    return 0;
}

void stream_crop(struct stream *st, size_t keep)
{
    st->from = st->ids.n - keep;
    st->shown = 0;
}
