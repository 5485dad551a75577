/* test_plan.c -- the core: pages become plans, and every plan is proved on scalars.  No kernel runs here. */
#include "test.h"

#include "base/text.h"
#include "encdec.h"
#include "graph/core.h"

/* ---- a null backend whose kernels ask for workspaces, so that these are placed and proved too ---- */

static size_t some_work(const struct step *s) { return s->node->id % 3 ? (size_t)(s->node->id % 7) * 300 : 0; }
static const struct kernel working = { .name = "working", .work = some_work, .form = F32 };
static const struct kernel *pick_working(const struct step *s) { (void)s; return &working; }
static const struct kernel *pick_unfused(const struct step *s) { return s->then ? NULL : &working; }

static struct backend with_work(int fused)
{
    struct backend b = null_backend;
    b.pick = fused ? pick_working : pick_unfused;
    return b;
}

/* ---- pages ---- */

struct page {
    const char *name;
    tensor *(*build)(graph *, const struct config *);
    struct config c;
    struct space space[MAX_SPACES];
    int spaces;
};

static const struct config small = { .layers = 3, .heads = 4, .kv_heads = 2, .width = 16, .hidden = 64, .head_dim = 4, .vocab = 40, .context = 32,
                                     .tied = 1, .eps = 1e-5f, .dropout = 0.1f, .bias = 1, .activation = GELU_TANH, .theta = 1e4f };

enum { UNTIED = 1, PLAIN = 2, NORMED = 4 };

static struct config small_with(int change)
{
    struct config c = small;
    if (change & UNTIED) c.tied = 0;
    if (change & PLAIN) c.dropout = 0, c.bias = 0;
    if (change & NORMED) c.qk_norm = 1, c.qkv_bias = 1;
    return c;
}

static const struct space text_spaces[] = { { "text", 24, 3 }, { "wanted", 3, 0 } };
static const struct space both_spaces[] = { { "source", 20, 3 }, { "target", 24, 3 }, { "wanted", 3, 0 } };

static struct weights *new_weights(const struct backend *b, enum use use, int lora)
{
    static const struct low_rank targets[] = { { "c_attn", 2, 2 }, { "q_proj", 2, 2 }, { "layers.1.self_attn.v_proj", 1, 2 }, { "v_proj", 3, 2 }, { "mlp.down_proj", 2, 2 }, { "self.q", 2, 2 } };
    struct weights *w;
    assert_ok(weights_new(&w, b, lora && use == TRAINED ? FROZEN : use));
    if (lora) weights_lora(w, &(struct lora){ .adapt = targets, .n = 6, .dropout = 0.1f });
    weights_state_rows(w, 100);
    return w;
}

static void prove(const struct backend *b, struct weights *w, tensor *(*build)(graph *, const struct config *), const struct config *c, enum phase phase,
                  const struct space *s, int n, int level, int fuse)
{
    graph *g;
    (void)b;
    assert_ok(graph_open(&g, w, phase, F32, s, n));
    tensor *out = build(g, c);
    struct plan *p;
    assert_ok(plan_new(&p, g, &out, 1, &(struct plan_options){ .recompute = level, .fuse = fuse }));
    const char *why = plan_prove(p);
    if (why) fail_msg("phase %d, level %d, fuse %d: %s", phase, level, fuse, why);
}

/* Each page in TRAIN at four levels, EVAL without and with `wanted`, which is the last space, and INFER; fused and not; plain, with LoRA over frozen and over mapped weights. */
static void prove_page(tensor *(*build)(graph *, const struct config *), struct config c, const struct space *s, int n)
{
    for (int lora = 0; lora < 2; lora++)
        for (int fuse = 0; fuse < 2; fuse++)
            for (int mode = 0; mode < 7; mode++) {
                struct backend b = with_work(fuse);
                struct weights *w = new_weights(&b, TRAINED, lora);
                enum phase phase = mode < 4 ? TRAIN : mode < 6 ? EVAL : INFER;
                prove(&b, w, build, &c, phase, s, n - (mode == 4 && !strcmp(s[n - 1].name, "wanted")), mode < 4 ? mode : 0, fuse);
                weights_free(w);
            }
}

static void gpt_pages(void **state)
{
    (void)state;
    prove_page(model_gpt2.build, small, text_spaces, 2);
    prove_page(model_gpt2.build, small_with(UNTIED | PLAIN), text_spaces, 2);
}

static void llama_pages(void **state)
{
    (void)state;
    prove_page(model_llama.build, small, text_spaces, 2);
    prove_page(model_llama.build, small_with(UNTIED | NORMED), text_spaces, 2);
}

static void encoder_decoder(void **state)
{
    (void)state;
    prove_page(encdec, small, both_spaces, 2);
    struct config c = small_with(0);
    struct backend b = with_work(1);
    struct weights *w = new_weights(&b, TRAINED, 0);
    prove(&b, w, encdec, &c, INFER, both_spaces, 1, 0, 1);                    /* source alone: fills the states */
    prove(&b, w, encdec, &c, INFER, both_spaces + 1, 2, 0, 1);                /* target alone: reads them */
    weights_free(w);
}

/* Training, evaluation and decode share weights and one arena. */
static void shared_weights(void **state)
{
    (void)state;
    struct backend b = with_work(1);
    struct weights *w = new_weights(&b, TRAINED, 0);
    prove(&b, w, model_gpt2.build, &small, TRAIN, text_spaces, 1, 1, 1);
    int params = w->n_param;
    prove(&b, w, model_gpt2.build, &small, EVAL, text_spaces, 1, 0, 1);
    prove(&b, w, model_gpt2.build, &small, INFER, text_spaces, 2, 0, 1);
    assert_int_equal(w->n_param, params);
    assert_ok(weights_place(w));
    assert_int_equal(w->arena_bytes, w->plan->next->next->arena);             /* the TRAIN plan, made first, is the largest */
    for (const struct param *p = w->param; p; p = p->next) assert_true(p->graded);
    weights_free(w);
}

/* q, k and v of a mapped file lie apart: one linear step each, into columns of one y; the same where they touch: one step. */
static int count(const struct plan *p, int op, char dir)
{
    int n = 0;
    for (int i = 0; i < p->n_step; i++)
        for (const struct step *s = p->step[i]; s; s = s->then) n += s->dir == dir && s->node->kind == K_OP && s->node->op == op;
    return n;
}

static int linears_when_mapped(int apart, int lora, enum phase phase)
{
    static const char *const names[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj" };
    static const int64_t size[] = { 16 * 16, 8 * 16, 8 * 16, 16 * 16, 64 * 16, 64 * 16, 64 * 16 };
    static float file[2][200000];
    struct weights *w = new_weights(&null_backend, MAPPED, lora);
    size_t at = 0;
    for (int l = 0; l < small.layers; l++)
        for (int i = 0; i < 7; i++) {
            char name[64];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, names[i]);
            assert_ok(weights_offer(w, name, F32, 0, file[0] + at));
            at += (size_t)size[i] + (apart ? 16 : 0);
        }
    assert_ok(weights_offer(w, "model.embed_tokens.weight", F32, 0, file[1]));
    graph *g;
    struct plan *p;
    assert_ok(graph_open(&g, w, phase, F32, text_spaces, 2));
    tensor *out = model_llama.build(g, &small);
    assert_ok(plan_new(&p, g, &out, 1, &(struct plan_options){ .fuse = 1 }));
    assert_null(plan_prove(p));
    int n = count(p, OP_linear, 'F');
    weights_free(w);
    return n;
}

static void mapped_blocks(void **state)
{
    (void)state;
    assert_int_equal(linears_when_mapped(0, 0, INFER), 3 * 4 + 1);            /* qkv, o, gate_up, down; the head */
    assert_int_equal(linears_when_mapped(1, 0, INFER), 3 * 7 + 1);
    assert_int_equal(linears_when_mapped(1, 1, TRAIN), 3 * 7 + 3 * 3 * 2);    /* LoRA on q, v and down; the head is head_loss */
}

/* ---- what the planner promises about GPT-2 124M at B = 4, T = 1024, bf16 ---- */

static void gpt2_124m_memory(void **state)
{
    (void)state;
    const struct config c = { .layers = 12, .heads = 12, .head_dim = 64, .width = 768, .hidden = 3072, .vocab = 50304, .context = 1024, .tied = 1, .eps = 1e-5f, .bias = 1, .activation = GELU_TANH };
    const struct space s = { "text", 4096, 4 };
    static const double limit[] = { 1190, 925, 780, 195 };                    /* MiB, without the kernels' workspaces */
    for (int level = 0; level < 4; level++) {
        struct weights *w = new_weights(&null_backend, TRAINED, 0);
        graph *g;
        struct plan *p;
        assert_ok(graph_open(&g, w, TRAIN, BF16, &s, 1));
        tensor *out = model_gpt2.build(g, &c);
        assert_ok(plan_new(&p, g, &out, 1, &(struct plan_options){ .recompute = level, .fuse = 1 }));
        assert_null(plan_prove(p));
        assert_true((double)plan_memory(p).arena / 1048576 < limit[level]);
        assert_int_equal(plan_memory(p).arena, plan_memory(p).bound);         /* no gap is left anywhere */
        for (int op = 0; op < OP_COUNT; op++) assert_int_equal(count(p, op, 'C') + count(p, op, 'Z'), 0);
        weights_free(w);
        }
}

static void printed_plan(void **state)
{
    (void)state;
    struct config c = small_with(PLAIN);
    c.layers = 1;
    struct weights *w = new_weights(&null_backend, TRAINED, 0);
    graph *g;
    struct plan *p;
    struct text out = { 0 };
    assert_ok(graph_open(&g, w, TRAIN, F32, text_spaces, 1));
    tensor *loss = model_gpt2.build(g, &c);
    assert_ok(plan_new(&p, g, &loss, 1, &(struct plan_options){ .recompute = 1, .fuse = 1 }));
    plan_print(p, &out);
    assert_non_null(strstr(out.at, "= attention(h.0.attn.c_attn#10[0:16], text.seqs, h.0.attn.c_attn#10[16:32], h.0.attn.c_attn#10[32:48])"));
    assert_non_null(strstr(out.at, "= gelu(h.0.mlp.c_fc#22) again"));
    assert_non_null(strstr(out.at, "d(wte.weight) += embed'("));
    assert_non_null(strstr(out.at, "d(wte.weight) (+)="));
    assert_non_null(strstr(out.at, "ready d(wte.weight)"));
    text_free(&out);
    weights_free(w);
}

/* ---- what a plan does and does not do, on graphs drawn by hand ---- */

static struct weights *hand_weights;

static graph *open_hand(enum phase phase, enum dtype type)
{
    graph *g;
    hand_weights = new_weights(&null_backend, TRAINED, 0);
    assert_ok(graph_open(&g, hand_weights, phase, type, text_spaces, 2));
    return g;
}

static tensor *hand_input(graph *g) { return t_embed(t_input(graph_rows(g, "text"), "ids", 1, I32), nn_table(g, 9, 8, "table")); }
static tensor *hand_loss(graph *g, tensor *x) { return nn_head(x, nn_table(g, 7, x->cols, "head"), NULL); }

static struct plan *plan_hand(graph *g, tensor *const *out, int n, int level)
{
    struct plan *p;
    assert_ok(plan_new(&p, g, out, n, &(struct plan_options){ .recompute = level }));
    const char *why = plan_prove(p);
    if (why) fail_msg("%s", why);
    return p;
}

static const struct step *find_step(const struct plan *p, const tensor *t, char dir)
{
    for (int i = 0; i < p->n_step; i++)
        if (p->step[i]->node == t && p->step[i]->dir == dir) return p->step[i];
    return NULL;
}

static int buffer_of(const struct plan *p, const struct operand *o) { return p->value[o->value].buffer; }

/* What nobody needs is not computed, unless it writes a state. */
static void pruning(void **state)
{
    (void)state;
    graph *g = open_hand(INFER, F32);
    tensor *x = hand_input(g), *unused = nn_dense(x, 4, 0, "unused"), *y = nn_dense(x, 8, 0, "y");
    struct heads h = { .q = 2, .kv = 2, .dim = 4, .causal = 1 };
    tensor *written = nn_attention(x, y, y, h, "written"), *read = nn_attention(x, NULL, NULL, h, "read"), *kept = nn_store(y, y, "kept");
    struct plan *p = plan_hand(g, &x, 1, 0);
    assert_null(find_step(p, unused, 'F'));
    assert_null(find_step(p, read, 'F'));
    assert_non_null(find_step(p, written, 'F'));
    assert_non_null(find_step(p, kept, 'F'));
    weights_free(hand_weights);
}

static void two_losses(void **state)
{
    (void)state;
    graph *g = open_hand(TRAIN, F32);
    tensor *x = hand_input(g), *out[2] = { hand_loss(g, x), nn_head(x, nn_table(g, 5, 8, "head2"), NULL) };
    struct plan *p = plan_hand(g, out, 2, 0);
    assert_int_equal(find_step(p, out[0], 'F')->loss, 0);
    assert_int_equal(find_step(p, out[1], 'F')->loss, 1);
    weights_free(hand_weights);
}

/* d(a + a) = 2 d lies nowhere where d is still to be read. */
static void twice_the_same(void **state)
{
    (void)state;
    graph *g = open_hand(TRAIN, F32);
    tensor *x = hand_input(g), *u = nn_dense(x, 8, 0, "u"), *a = nn_dense(x, 8, 0, "a");
    tensor *y = t_add(a, a), *z = t_add(u, y), *loss = hand_loss(g, nn_dense(z, 8, 0, "z"));
    struct plan *p = plan_hand(g, &loss, 1, 0);
    assert_int_not_equal(buffer_of(p, &find_step(p, a, 'B')->dy), buffer_of(p, &find_step(p, u, 'B')->dy));
    weights_free(hand_weights);
}

static void results_in_place(void **state)
{
    (void)state;
    graph *g = open_hand(EVAL, F32);
    tensor *x = hand_input(g), *fc = nn_dense(x, 8, 0, "fc"), *y = t_gelu(fc, 1), *last = t_relu(y), *given = t_input(x->rows, "pixels", 8, F32);
    tensor *out[] = { y, last, t_gelu(given, 1) };
    struct plan *p = plan_hand(g, out, 3, 0);
    assert_int_equal(buffer_of(p, &find_step(p, y, 'F')->y), buffer_of(p, &find_step(p, fc, 'F')->y));
    assert_int_not_equal(buffer_of(p, &find_step(p, last, 'F')->y), buffer_of(p, &find_step(p, y, 'F')->y));      /* y is an output */
    assert_int_equal(p->value[find_step(p, out[2], 'F')->y.value].where, IN_ARENA);                                /* not over an input */
    weights_free(hand_weights);

    g = open_hand(EVAL, BF16);
    tensor *wide = t_linear(hand_input(g), nn_table(g, 8, 8, "wide"), NULL, F32), *narrow = t_gelu(wide, 1);
    p = plan_hand(g, &narrow, 1, 0);
    assert_int_not_equal(buffer_of(p, &find_step(p, narrow, 'F')->y), buffer_of(p, &find_step(p, wide, 'F')->y));  /* other types */
    weights_free(hand_weights);
}

static void gradients_in_place(void **state)
{
    (void)state;
    for (int type = 0; type < 2; type++) {
        graph *g = open_hand(TRAIN, type ? BF16 : F32);
        tensor *fc = t_linear(hand_input(g), nn_table(g, 8, 8, "fc"), NULL, F32), *y = t_gelu(fc, 1), *loss = hand_loss(g, nn_dense(y, 8, 0, "proj"));
        struct plan *p = plan_hand(g, &loss, 1, 0);
        const struct step *s = find_step(p, y, 'B');
        assert_int_equal(buffer_of(p, &s->d[0]) == buffer_of(p, &s->dy), !type);
        weights_free(hand_weights);
    }
    graph *g = open_hand(TRAIN, F32);                        /* d(y) is also d(u), and u is read later */
    tensor *x = hand_input(g), *u = nn_dense(x, 8, 0, "u"), *fc = nn_dense(x, 8, 0, "fc"), *y = t_gelu(fc, 1), *loss = hand_loss(g, nn_dense(t_add(u, y), 8, 0, "z"));
    struct plan *p = plan_hand(g, &loss, 1, 0);
    const struct step *s = find_step(p, y, 'B');
    assert_int_not_equal(buffer_of(p, &s->d[0]), buffer_of(p, &s->dy));
    weights_free(hand_weights);
}

/* A gradient is declared ready right after its last writer, not at the end; what the caller reads is not made twice; a value is
 * not dropped if another would have to be kept for it. */
static void early_and_once(void **state)
{
    (void)state;
    graph *g = open_hand(TRAIN, F32);
    tensor *x = hand_input(g), *y = t_gelu(nn_dense(x, 8, 0, "fc"), 1), *d = nn_drop(nn_dense(y, 8, 0, "proj"), 0.1f, "drop");
    tensor *z = t_mul(d, d), *out[] = { hand_loss(g, nn_dense(z, 8, 0, "z")), z };
    struct plan *p = plan_hand(g, out, 2, 3);
    for (int i = 0; i + 1 < p->n_step; i++)
        if (p->step[i]->dir == 'G') assert_true(strchr("BFG", p->step[i - 1]->dir) != NULL);
    assert_int_equal(p->step[p->n_step - 2]->dir, 'B');      /* the table's own is last */
    assert_null(find_step(p, z, 'A'));
    weights_free(hand_weights);

    g = open_hand(TRAIN, F32);
    x = hand_input(g);
    d = nn_drop(nn_dense(x, 8, 0, "fc"), 0.1f, "drop");
    z = nn_dense(d, 8, 0, "z");
    out[0] = hand_loss(g, z);
    p = plan_hand(g, out, 1, 1);
    assert_null(find_step(p, d, 'A'));                       /* to make it again, fc would have to be kept */
    weights_free(hand_weights);
}

/* ---- errors are sticky and name the place ---- */

static void sticky_errors(void **state)
{
    (void)state;
    struct weights *w = new_weights(&null_backend, TRAINED, 0);
    graph *g;
    struct plan *p;
    assert_ok(graph_open(&g, w, TRAIN, F32, text_spaces, 1));
    tensor *x = t_embed(t_input(graph_rows(g, "text"), "ids", 1, I32), nn_table(g, 10, 8, "table"));
    graph_scope(g, "h.%d.", 3);
    tensor *wrong = t_linear(x, t_param(g, "attn.weight", OUT_IN, 9, 1, &(struct block){ "attn.weight", 4 }), NULL, F32);
    assert_null(wrong);
    assert_null(t_add(wrong, x));
    assert_null(nn_dense(wrong, 4, 1, "next"));
    assert_null(t_cols(x, 4, 8));                                             /* a second error does not cover the first */
    assert_fails(plan_new(&p, g, &wrong, 1, &(struct plan_options){ 0 }), E_MODEL, "h.3.attn.weight: linear: (text, 8) does not fit (4, 9)");

    assert_ok(graph_open(&g, w, TRAIN, F32, text_spaces, 1));
    tensor *same = nn_table(g, 10, 9, "table");
    assert_fails(plan_new(&p, g, &same, 1, &(struct plan_options){ 0 }), E_MODEL, "table (10, 9): asked for in two shapes");

    assert_ok(graph_open(&g, w, TRAIN, F32, text_spaces, 1));
    assert_null(graph_rows(g, "wanted"));
    assert_null(t_input(graph_rows(g, "wanted"), "wanted", 1, I32));
    assert_null(graph_error(g));
    weights_free(w);
}

static void missing_kernel(void **state)
{
    (void)state;
    struct backend b = null_backend;
    b.pick = pick_unfused;
    struct weights *w = new_weights(&b, TRAINED, 0);
    graph *g;
    struct plan *p;
    assert_ok(graph_open(&g, w, TRAIN, F32, text_spaces, 1));
    tensor *loss = model_gpt2.build(g, &small);
    assert_ok(plan_new(&p, g, &loss, 1, &(struct plan_options){ .fuse = 1 }));    /* no fused kernel: planned apart */
    for (int i = 0; i < p->n_step; i++) assert_null(p->step[i]->then);
    weights_free(w);
}

/* ---- binding checks everything, so that kernels need not ---- */

static void binding(void **state)
{
    (void)state;
    struct weights *w = new_weights(&null_backend, FROZEN, 0);
    graph *g;
    struct plan *p;
    assert_ok(graph_open(&g, w, INFER, F32, text_spaces, 2));
    tensor *logits = model_gpt2.build(g, &small);
    assert_ok(plan_new(&p, g, &logits, 1, &(struct plan_options){ .fuse = 1 }));
    assert_ok(weights_place(w));
    const int32_t ids[] = { 1, 39, 40, -1 }, pos[] = { 0, 1, 2, 3 }, wanted[] = { 1, 2 };
    struct seq q[] = { { .row = 0, .rows = 2, .past = 98, .keys = 100 } };
    struct run_scalars s = { .last_micro = 1 };
    assert_fails(plan_bind(p, "text.idx", ids, 2), E_MODEL, "no input text.idx");
    assert_fails(plan_bind(p, "text.ids", ids, 25), E_MODEL, "25 rows, planned for 24");
    assert_fails(plan_bind(p, "text.ids", ids, 3), E_DATA, "id 40 in row 2 is not in 0 .. 39");
    assert_ok(plan_bind(p, "text.ids", ids, 2));
    assert_fails(plan_run(p, &s), E_MODEL, "was not given");
    assert_ok(plan_bind(p, "text.pos", pos, 3));
    assert_ok(plan_bind(p, "text.seqs", q, 1));
    assert_ok(plan_bind(p, "wanted.wanted", wanted, 1));
    assert_fails(plan_run(p, &s), E_MODEL, "rows, others of text have");
    assert_ok(plan_bind(p, "text.pos", pos, 2));
    assert_ok(plan_run(p, &s));
    assert_ok(plan_bind(p, "wanted.wanted", wanted, 2));
    assert_fails(plan_run(p, &s), E_DATA, "id 2 in row 1 is not in 0 .. 1");
    assert_ok(plan_bind(p, "wanted.wanted", wanted, 1));
    static const struct { struct seq q; const char *why; } bad[] = {
        { { .row = 1, .rows = 2 }, "not live" },
        { { .row = 0, .rows = 2, .past = -1 }, "negative" },
        { { .row = 0, .rows = 2, .past = 99 }, "writes past" },
        { { .row = 0, .rows = 2, .base = 50, .keys = 51 }, "reads past" },
        { { .row = 0, .rows = 2, .base = INT32_MAX, .past = INT32_MAX, .keys = 1 }, "writes past" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(plan_bind(p, "text.seqs", &bad[i].q, 1));
        assert_fails(plan_run(p, &s), E_DATA, bad[i].why);
    }
    weights_free(w);
}

/* ---- random graphs ---- */

enum { POOL = 40, UNIT = 4 };

struct pool { uint64_t *r; graph *g; struct rows *rows; tensor *t[POOL]; int n; };

static tensor *any(struct pool *q) { return q->t[roll(q->r, 3) ? q->n - 1 - roll(q->r, q->n < 3 ? q->n : 3) : roll(q->r, q->n)]; }
static int64_t some_width(uint64_t *r) { return UNIT * (1 + roll(r, 4)); }

static tensor *like(struct pool *q, const tensor *x)      /* something as wide as x, x itself perhaps */
{
    tensor *t = any(q);
    if (t->cols == x->cols && t->rows == x->rows) return t;
    if (t->cols > x->cols) return t_cols(t, UNIT * roll(q->r, (int)((t->cols - x->cols) / UNIT) + 1), x->cols);
    char name[32];
    snprintf(name, sizeof name, "like%d", q->n);
    return nn_dense(t, x->cols, roll(q->r, 2), name);
}

static tensor *random_op(struct pool *q)
{
    uint64_t *r = q->r;
    tensor *x = any(q), *y, *pos = t_input(q->rows, "pos", 1, I32), *seqs = t_seqs(q->rows, NULL);
    char name[32];
    snprintf(name, sizeof name, "p%d", roll(r, 4) ? q->n : roll(r, 8));       /* sometimes a parameter serves twice */
    switch (roll(r, 16)) {
    case 0: case 1: case 2: return t_add(x, like(q, x));
    case 3: return t_mul(x, like(q, x));
    case 4: return t_gelu(x, 1);
    case 5: return t_relu(x);
    case 6: return t_scale(x, 2);
    case 7: return nn_drop(x, 0.1f, name);
    case 8: return t_cols(x, UNIT * roll(r, (int)(x->cols / UNIT)), UNIT);
    case 9: return t_rope(x, pos, (struct rope){ .dim = UNIT, .theta = 1e4f });
    case 10:
        snprintf(name, sizeof name, "n%d", q->n);
        return roll(r, 2) ? nn_layernorm(x, roll(r, 2), 1e-5f, name) : nn_rmsnorm(x, 1e-5f, name);
    case 11: y = like(q, x); return t_swiglu(x, y);
    case 12: {
        tensor *k = like(q, x), *v = like(q, x);
        return t_attention(x, k, v, seqs, NULL, NULL, (struct heads){ .q = (int)(x->cols / UNIT), .kv = (int)(x->cols / UNIT), .dim = UNIT });
    }
    case 13: {
        struct block b[3] = { { "a", some_width(r) }, { "b", some_width(r) }, { "c", some_width(r) } };
        char names[3][32];
        for (int i = 0; i < 3; i++) snprintf(names[i], sizeof names[i], "s%d%s", q->n, b[i].name), b[i].name = names[i];
        tensor *p[3];
        nn_split(x, roll(r, 2), name, 1 + roll(r, 3), b, p);
        return p[0];
    }
    default:
        snprintf(name, sizeof name, "d%d", q->n);
        return nn_dense(x, some_width(r), roll(r, 2), name);
    }
}

/* A loss over a random graph; several scopes, sometimes a second loss, sometimes other outputs. */
static int random_graph(graph *g, uint64_t *r, tensor **out)
{
    struct pool q = { .r = r, .g = g, .rows = graph_rows(g, "text") };
    tensor *table = nn_table(g, 11, UNIT * 2, "table");
    q.t[q.n++] = t_embed(t_input(q.rows, "ids", 1, I32), table);
    int length = 3 + roll(r, 24);
    for (int i = 0; i < length; i++) {
        if (roll(r, 4) == 0) graph_scope(g, "%d.", i);
        tensor *t = random_op(&q);
        if (t) q.t[q.n++] = t;
    }
    int n = 0;
    tensor *x = q.t[q.n - 1];
    out[n++] = nn_head(x, x->cols == table->cols && roll(r, 2) ? table : nn_table(g, 7, x->cols, "head"), NULL);
    if (roll(r, 4) == 0) {
        x = any(&q);
        out[n++] = nn_head(x, nn_table(g, 5, x->cols, "head2"), NULL);
    }
    if (roll(r, 4) == 0) out[n++] = any(&q)->base;
    return n;
}

static void prove_random(uint64_t seed, int mode)
{
    uint64_t r = seed;
    enum use use = (enum use[]){ TRAINED, TRAINED, TRAINED, MAPPED }[roll(&r, 4)];
    struct backend b = with_work(roll(&r, 2));
    struct weights *w;
    static const struct low_rank targets[] = { { "d2", 2, 0.5f }, { "d4", 2, 0.5f }, { "d5", 2, 0.5f }, { "d7", 1, 0.5f }, { "d9", 2, 0.5f }, { "s3a", 2, 0.5f }, { "s6b", 2, 0.5f } };
    assert_ok(weights_new(&w, &b, use));
    if (roll(&r, 3) == 0 || use == MAPPED) weights_lora(w, &(struct lora){ .adapt = targets, .n = 7, .dropout = 0.1f });
    for (int i = 0; i < 40 && use == MAPPED; i++)
        for (const char *part = "abc"; *part; part++) {
            char name[32];
            snprintf(name, sizeof name, "s%d%c.weight", i, *part);
            assert_ok(weights_offer(w, name, F32, 0, &b));
        }
    graph *g;
    struct plan *p;
    tensor *out[4];
    assert_ok(graph_open(&g, w, mode < 4 ? TRAIN : EVAL, F32, (struct space[]){ { "text", 8, 2 } }, 1));
    int n = random_graph(g, &r, out);
    struct plan_options o = { .recompute = mode < 4 ? mode : 0, .fuse = roll(&r, 2) };
    if (plan_new(&p, g, out, n, &o)) {
        if (!strstr(error_text(), "two shapes")) fail_msg("graph %llu mode %d: %s", (unsigned long long)seed, mode, error_text());
    } else {
        const char *why = plan_prove(p);
        if (why) fail_msg("graph %llu mode %d: %s", (unsigned long long)seed, mode, why);
    }
    weights_free(w);
}

static void random_graphs(void **state)
{
    (void)state;
    const char *count = getenv("COUNT"), *seed = getenv("SEED");
    uint64_t n = count ? strtoull(count, NULL, 10) : 20000, first = seed ? strtoull(seed, NULL, 10) : 1;
    for (uint64_t i = 0; i < n; i++)
        for (int mode = 0; mode < 5; mode++) prove_random(first * 1000000007u + i, mode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt_pages), cmocka_unit_test(llama_pages), cmocka_unit_test(encoder_decoder), cmocka_unit_test(shared_weights),
        cmocka_unit_test(mapped_blocks), cmocka_unit_test(gpt2_124m_memory), cmocka_unit_test(printed_plan), cmocka_unit_test(pruning),
        cmocka_unit_test(two_losses), cmocka_unit_test(twice_the_same), cmocka_unit_test(results_in_place), cmocka_unit_test(gradients_in_place),
        cmocka_unit_test(early_and_once), cmocka_unit_test(sticky_errors),
        cmocka_unit_test(missing_kernel), cmocka_unit_test(binding), cmocka_unit_test(random_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
