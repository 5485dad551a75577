/* llamacpp_rope.c -- scaled rotary positions in GGUF.  Linear and yarn are keys.  What Llama 3.1 does is a tensor of D / 2 divisors of frequencies,
 * from which its settings are found again: of a share s that stays of a frequency f (rotary.c) the divisor is 1 / (s + (1 - s) / factor). */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "model/llamacpp.h"

static const double CIRCLE = 6.283185307179586, CLOSE = 1e-4;            /* divisors that differ by less, of 1, are the same */
enum { USUAL_ORIGINAL = 8192 };          /* positions that Llama 3.1 was scaled from */

/* ---- llama3 ---- */

static double frequency(const struct config *c, int64_t j) { return pow(c->theta, -2.0 * (double)j / (double)c->head_dim); }

static double divisor(const struct config *c, int64_t j)
{
    double turns = frequency(c, j) * (double)c->original / CIRCLE, s = (turns - c->slow) / (c->fast - c->slow);
    s = s > 1 ? 1 : s > 0 ? s : 0;
    return 1 / (s + (1 - s) / c->factor);
}

static int is_so(const struct config *c, const float *d)
{
    for (int64_t j = 0; j < c->head_dim / 2; j++)
        if (!(fabs((double)d[j] - divisor(c, j)) <= CLOSE * (double)d[j])) return 0;
    return 1;
}

/* The line that s lies on between 0 and 1: between which frequencies it rises.  From the first and the last pair in between; of fewer than two any line
 * will do that leaves the pairs around them at 0 and 1. */
static void fit_line(const struct config *c, const float *d, double *from, double *to)
{
    int64_t pairs = c->head_dim / 2, first = 0, behind;
    double s[2];
    while (first < pairs && (double)d[first] < 1 + CLOSE) first++;
    for (behind = first; behind < pairs && (double)d[behind] < c->factor * (1 - CLOSE);) behind++;
    double above = first ? frequency(c, first - 1) : 2 * frequency(c, 0), below = frequency(c, behind);
    double f[2] = { frequency(c, first), frequency(c, behind - 1) };
    for (int i = 0; i < 2 && behind > first; i++) s[i] = (1 / (double)d[i ? behind - 1 : first] - 1 / c->factor) / (1 - 1 / c->factor);
    *from = below, *to = above;
    if (behind == first + 1) {
        *from = fmax((f[0] - s[0] * above) / (1 - s[0]), below);
        *to = *from + (f[0] - *from) / s[0];
    } else if (behind > first) {
        double slope = (s[0] - s[1]) / (f[0] - f[1]);
        *from = f[0] - s[0] / slope;
        *to = *from + 1 / slope;
    }
}

static int fits(struct config *c, const float *d)
{
    double from, to;
    fit_line(c, d, &from, &to);
    c->slow = from * (double)c->original / CIRCLE;
    c->fast = to * (double)c->original / CIRCLE;
    return to > from && is_so(c, d);
}

/* Is each pair scaled alike? */
static int are_equal(const float *d, int64_t n)
{
    int64_t j = 1;
    while (j < n && fabsf(d[j] - d[0]) <= (float)CLOSE * d[0]) j++;
    return j == n;
}

static int read_divisors(const struct file_tensor *t, struct config *c, const char *what)
{
    float d[1024], most = 1;
    int64_t n = c->head_dim / 2;
    FAIL_IF(t->type != F32 || t->n_dims != 1 || t->dim[0] != n || n > 1024, E_DATA, "%s: %s should be %lld numbers in f32", what, t->name, (long long)n);
    memcpy(d, t->data, (size_t)n * sizeof *d);
    for (int64_t j = 0; j < n; j++) most = fmaxf(most, d[j]);                /* NaN is no such number: it fits nothing later */
    struct config scaled = *c;
    scaled.scaling = are_equal(d, n) ? ROPE_LINEAR : ROPE_LLAMA3;
    scaled.factor = (double)most, scaled.slow = 1, scaled.fast = 4, scaled.original = USUAL_ORIGINAL;
    FAIL_IF(scaled.scaling == ROPE_LLAMA3 && !is_so(&scaled, d) && !fits(&scaled, d), E_MODEL, "%s: %s scales positions as none of linear, llama3 and yarn does", what, t->name);
    if (most > 1) *c = scaled;
    return 0;
}

/* ---- keys ---- */

static int optional_real(const struct gguf *g, const char *key, double *value) { return gguf_has(g, key) ? gguf_real(g, key, value) : 0; }

/* What sines and cosines grow by where nothing else is said. */
static double growth(double factor, double by) { return factor > 1 ? 0.1 * by * log(factor) + 1 : 1; }

static int read_yarn(const struct gguf *g, const struct architecture *a, struct config *c, const char *what)
{
    double attention = 1, all = 0, share = 1, fixed = 1;
    c->slow = 1, c->fast = 32, c->whole_pairs = 1;
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.yarn_beta_slow"), &c->slow));
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.yarn_beta_fast"), &c->fast));
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.attn_factor"), &attention));
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.yarn_log_multiplier"), &all));
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.yarn_ext_factor"), &share));
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.yarn_attn_factor"), &fixed));
    FAIL_IF((share >= 0 && share != 1) || fixed != 1, E_MODEL, "%s: yarn with a yarn_ext_factor of %g and a yarn_attn_factor of %g; nib knows 1 and 1", what, share, fixed);
    c->gain = attention * growth(c->factor, 1) / growth(c->factor, all);
    return 0;
}

/* A factor alone means linear, as it does to llama.cpp. */
static int read_kind(const struct gguf *g, const struct architecture *a, struct config *c, const char *what)
{
    static const struct { const char *name; enum scaling kind; } kinds[] = { { "none", ROPE_PLAIN }, { "linear", ROPE_LINEAR }, { "yarn", ROPE_YARN } };
    const char *type = "linear";
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    if (gguf_has(g, llamacpp_key(a, "rope.scaling.type"))) TRY(gguf_text(g, llamacpp_key(a, "rope.scaling.type"), &type));
    while (i < n && strcmp(kinds[i].name, type)) i++;
    FAIL_IF(i == n, E_MODEL, "%s: %s is %.50s; nib knows none, linear and yarn", what, llamacpp_key(a, "rope.scaling.type"), type);
    c->factor = 1;
    TRY(optional_real(g, llamacpp_key(a, "rope.scale_linear"), &c->factor));             /* older files' */
    TRY(optional_real(g, llamacpp_key(a, "rope.scaling.factor"), &c->factor));
    if (c->factor == 0) c->factor = 1;                       /* so llama.cpp reads it */
    c->scaling = kinds[i].kind == ROPE_LINEAR && c->factor == 1 ? ROPE_PLAIN : kinds[i].kind;
    return 0;
}

int llamacpp_read_scaling(const struct gguf *g, const struct architecture *a, struct config *c)
{
    const char *what = gguf_name(g);
    const struct file_tensor *divisors = gguf_find(g, ROPE_DIVISORS);
    if (gguf_has(g, llamacpp_key(a, "rope.freq_base"))) TRY(gguf_real(g, llamacpp_key(a, "rope.freq_base"), &c->theta));
    TRY(read_kind(g, a, c, what));
    if (gguf_has(g, llamacpp_key(a, "rope.scaling.original_context_length"))) TRY(gguf_int(g, llamacpp_key(a, "rope.scaling.original_context_length"), 1, INT32_MAX, &c->original));
    if (c->scaling == ROPE_YARN) TRY(read_yarn(g, a, c, what));
    FAIL_IF(divisors && c->scaling, E_MODEL, "%s: its positions are scaled by keys and by %s; nib does one of both", what, ROPE_DIVISORS);
    return divisors ? read_divisors(divisors, c, what) : 0;
}

/* ---- writing ---- */

static void put_yarn(struct gguf_keys *k, const struct architecture *a, const struct config *c)
{
    double attention = c->gain / growth(c->factor, 1);
    gguf_put_text(k, llamacpp_key(a, "rope.scaling.type"), "yarn");
    gguf_put_real(k, llamacpp_key(a, "rope.scaling.factor"), (float)c->factor);
    gguf_put_int(k, llamacpp_key(a, "rope.scaling.original_context_length"), (uint32_t)c->original);
    gguf_put_real(k, llamacpp_key(a, "rope.scaling.yarn_beta_fast"), (float)c->fast);
    gguf_put_real(k, llamacpp_key(a, "rope.scaling.yarn_beta_slow"), (float)c->slow);
    if (fabs(attention - 1) > 1e-6) gguf_put_real(k, llamacpp_key(a, "rope.scaling.attn_factor"), (float)attention);
}

int llamacpp_put_scaling(struct gguf_keys *k, const struct architecture *a, const struct config *c, float **divisors, struct arena *memory)
{
    *divisors = NULL;
    FAIL_IF(c->scaling == ROPE_YARN && !c->whole_pairs, E_MODEL, "llama.cpp's yarn begins and ends at whole pairs; this model's has \"truncate\": false");
    if (c->scaling == ROPE_YARN) put_yarn(k, a, c);
    if (c->scaling == ROPE_LINEAR) {
        gguf_put_text(k, llamacpp_key(a, "rope.scaling.type"), "linear");
        gguf_put_real(k, llamacpp_key(a, "rope.scaling.factor"), (float)c->factor);
    }
    if (c->scaling != ROPE_LLAMA3) return 0;                 /* dynamic: nothing is scaled within the context */
    *divisors = arena_take(memory, (size_t)c->head_dim / 2 * sizeof **divisors);
    FAIL_IF(!*divisors, E_MEMORY, "no memory for %s", ROPE_DIVISORS);
    for (int64_t j = 0; j < c->head_dim / 2; j++) (*divisors)[j] = (float)divisor(c, j);
    return 0;
}
