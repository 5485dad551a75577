/* verb_sample.c -- nib sample [MODEL]: texts to stdout, and nothing else. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "infer/engine.h"
#include "infer/generate.h"
#include "model/hub.h"

struct sample_options {
    const char *out_dir, *init_from, *start, *stop, *crop, *tokenizer, *base, *device, *dtype;
    int64_t num_samples, max_new_tokens, top_k, seed, threads;
    double temperature, top_p, min_p, repetition_penalty;
    int greedy, stream, past_end, compile;
};

#define FIELD(name) #name, .offset = offsetof(struct sample_options, name)
static const struct option table[] = {
    { FIELD(out_dir), .kind = OPTION_TEXT, .initial = "out", .group = "model", .help = "a run folder, or any model folder; the same as MODEL" },
    { FIELD(init_from), .kind = OPTION_TEXT, .initial = "resume", .group = "model", .help = "resume: the model in out_dir; else a model folder, or gpt2 ... gpt2-xl" },
    { FIELD(tokenizer), .kind = OPTION_TEXT, .initial = "auto", .group = "model", .help = "auto: the model folder's own; else gpt2, or a file" },
    { FIELD(base), .kind = OPTION_TEXT, .initial = NULL, .group = "model", .help = "of an adapter: the model that it adapts, if it is not where that says" },
    { FIELD(start), .kind = OPTION_TEXT, .initial = NULL, .group = "text", .help = "the prompt, or FILE:path; by default a line break, or the end-of-text token where the tokenizer has one" },
    { FIELD(num_samples), .kind = OPTION_INT, .initial = "10", .least = 1, .most = 1 << 20, .group = "text", .help = "how many texts" },
    { FIELD(max_new_tokens), .kind = OPTION_INT, .initial = "500", .least = 1, .most = 1 << 30, .group = "text", .help = "tokens of each, prompt not counted" },
    { FIELD(stop), .kind = OPTION_TEXT, .initial = NULL, .group = "text", .help = "a text at which a sample ends, or a JSON list of such" },
    { FIELD(past_end), .kind = OPTION_BOOL, .initial = "false", .group = "text", .help = "go on behind the end-of-text token" },
    { FIELD(crop), .kind = OPTION_TEXT, .initial = "half", .choices = "half|exact", .group = "text", .help = "a full context keeps its last half and goes on; exact: each token sees the last block_size tokens, as in nanoGPT, slowly" },
    { FIELD(stream), .kind = OPTION_BOOL, .initial = "true", .group = "text", .help = "show text as it is written" },
    { FIELD(temperature), .kind = OPTION_REAL, .initial = "0.8", .least = 0, .most = 1e3, .group = "choice", .help = "below 1 bolder, above 1 wilder; 0: the most likely token" },
    { FIELD(top_k), .kind = OPTION_INT, .initial = "200", .least = 0, .most = 1 << 24, .group = "choice", .help = "only the k most likely tokens; 0: all" },
    { FIELD(top_p), .kind = OPTION_REAL, .initial = "1.0", .least = 0, .most = 1, .group = "choice", .help = "only the fewest tokens that together have this probability" },
    { FIELD(min_p), .kind = OPTION_REAL, .initial = "0.0", .least = 0, .most = 1, .group = "choice", .help = "only tokens with this share of the likeliest one's probability" },
    { FIELD(repetition_penalty), .kind = OPTION_REAL, .initial = "1.0", .least = 0.01, .most = 100, .group = "choice", .help = "above 1: tokens seen before become less likely" },
    { FIELD(greedy), .kind = OPTION_BOOL, .initial = "false", .group = "choice", .help = "the same as temperature 0" },
    { FIELD(seed), .kind = OPTION_INT, .initial = "1337", .least = 0, .most = 1LL << 53, .group = "choice", .help = "of all that is drawn" },
    { FIELD(dtype), .kind = OPTION_TEXT, .initial = "auto", .choices = "auto|float32|bfloat16|float16", .group = "machine", .help = "auto: float32; bfloat16: half the memory" },
    { FIELD(threads), .kind = OPTION_INT, .initial = "0", .least = 0, .most = 1024, .group = "machine", .help = "0: one a core" },
    { FIELD(device), .kind = OPTION_TEXT, .initial = "auto", .group = "nanoGPT's, without effect", .help = "", .flags = OPTION_NO_EFFECT },
    { FIELD(compile), .kind = OPTION_BOOL, .initial = "false", .group = "nanoGPT's, without effect", .help = "", .flags = OPTION_NO_EFFECT },
};

/* ---- printing: the first unfinished sample goes out as it is written, later ones wait ---- */

struct printer { struct text *text; int *done; int n, at, live; };

static int print_text(const char *text, size_t n)
{
    FAIL_IF(fwrite(text, 1, n, stdout) != n, E_IO, "standard output: %s", strerror(errno));
    return 0;
}

static int print_ready(struct printer *p)
{
    while (p->at < p->n) {
        struct text *t = &p->text[p->at];
        if (t->size && (p->live || p->done[p->at])) {
            TRY(print_text(t->at, t->size));
            text_clear(t);
        }
        if (!p->done[p->at]) break;
        p->at++;
        TRY(print_text("\n---------------\n", 17));
    }
    FAIL_IF(p->live && fflush(stdout), E_IO, "standard output: %s", strerror(errno));
    return 0;
}

static int on_text(void *context, int stream, const char *text, size_t n, int done)
{
    struct printer *p = context;
    text_bytes(&p->text[stream], text, n);
    FAIL_IF(p->text[stream].failed, E_MEMORY, "no memory for the samples");
    p->done[stream] = done;
    return print_ready(p);
}

/* ---- the prompt ---- */

static int read_prompt(const struct sample_options *o, const struct tokenizer *t, struct text *prompt, struct ids *ids)
{
    const char *start = o->start;
    int64_t end = tokenizer_end(t);
    if (!start) TRY(tokenizer_encode_prompt(t, "", 0, ids));
    if (!start && ids->n) return 0;
    if (!start && end >= 0) return ids_add(ids, &(uint32_t){ (uint32_t)end }, 1);
    if (start && !strncmp(start, "FILE:", 5)) TRY(file_read(start + 5, 64 << 20, prompt));
    else text_add(prompt, start ? start : "\n");
    TRY(tokenizer_encode_prompt(t, prompt->at ? prompt->at : "", prompt->size, ids));
    FAIL_IF(!ids->n, E_USAGE, "the prompt is empty; --start=\"...\" gives one");
    return 0;
}

static int read_stops(const char *stop, json_t **list)
{
    *list = json_array();
    if (!stop) return 0;
    if (stop[0] == '[') {
        json_decref(*list);
        TRY(json_parse(list, stop, strlen(stop), "--stop"));
    } else {
        json_array_append_new(*list, json_string(stop));
    }
    for (size_t i = 0; i < json_array_size(*list); i++)
        FAIL_IF(!json_is_string(json_array_get(*list, i)) || !json_string_length(json_array_get(*list, i)), E_USAGE, "--stop: a text or a JSON list of texts, none of them empty");
    return 0;
}

/* ---- the run ---- */

enum { MOST_STREAMS = 32 };
static const double STATE_BYTES = 2e9;

/* Bytes of keys and values at one position. */
static double state_of(const struct config *c) { return 4.0 * (double)(c->layers * 2 * c->kv_heads * c->head_dim); }

static int streams_for(const struct sample_options *o, const struct config *c)
{
    double fit = STATE_BYTES / state_of(c) / (double)c->context;
    int64_t n = o->num_samples < MOST_STREAMS ? o->num_samples : MOST_STREAMS;
    return fit < 1 ? 1 : fit < (double)n ? (int)fit : (int)n;
}

int64_t cli_context(const struct config *c, struct text *notices)
{
    double fit = floor(STATE_BYTES / state_of(c));
    if (fit >= (double)c->context || fit < 1) return 0;
    text_format(notices, "keys and values of all %lld positions would take %.1f GB; a token sees the last %.0f at most\n", (long long)c->context, state_of(c) * (double)c->context / 1e9, fit);
    return (int64_t)fit;
}

/* Samples first .. first + n, side by side. */
static int write_samples(struct engine *e, struct generation *g, const struct ids *ids, const struct text *prompt, struct printer *p, int n, int64_t first)
{
    struct stream stream[MOST_STREAMS] = { 0 }, *streams[MOST_STREAMS];
    int code = 0;
    *p = (struct printer){ .text = p->text, .done = p->done, .n = n, .live = p->live };
    for (int i = 0; i < n && !code; i++) {
        streams[i] = &stream[i];
        p->done[i] = 0;
        text_bytes(&p->text[i], prompt->at ? prompt->at : "", prompt->size);
        code = ids_add(&stream[i].ids, ids->at, ids->n);
    }
    if (!code) code = generate(&e->session, g, streams, n, (uint64_t)first);
    for (int i = 0; i < n; i++) ids_free(&stream[i].ids);
    return code;
}

static int sample(const struct sample_options *o, struct engine *e, const json_t *stops)
{
    const char *stop[64];
    struct text prompt = { 0 }, text[MOST_STREAMS] = { 0 };
    struct ids ids = { 0 };
    int done[MOST_STREAMS], n_stop = (int)json_array_size(stops), code = 0;
    FAIL_IF(n_stop > 64, E_USAGE, "--stop: at most 64 texts");
    for (int i = 0; i < n_stop; i++) stop[i] = json_string_value(json_array_get(stops, (size_t)i));
    struct printer p = { .text = text, .done = done, .live = o->stream };
    struct generation g = { .tokenizer = e->tokenizer, .max_new = o->max_new_tokens, .crop = strcmp(o->crop, "exact") ? CROP_HALF : CROP_EXACT,
                            .past_end = o->past_end, .stop = stop, .n_stop = n_stop, .emit = on_text, .context = &p, .interrupted = &interrupted,
                            .sampling = { .temperature = o->greedy ? 0 : o->temperature, .top_k = o->top_k, .top_p = o->top_p, .min_p = o->min_p,
                                          .repetition = o->repetition_penalty, .seed = (uint64_t)o->seed } };
    code = read_prompt(o, e->tokenizer, &prompt, &ids);
    for (int64_t i = 0; i < o->num_samples && !code; i += e->session.streams) {
        int64_t left = o->num_samples - i, many = left < e->session.streams ? left : e->session.streams;
        code = write_samples(e, &g, &ids, &prompt, &p, (int)many, i);
    }
    text_free(&prompt);
    for (int i = 0; i < MOST_STREAMS; i++) text_free(&text[i]);
    ids_free(&ids);
    return code;
}

static int open_and_sample(const struct sample_options *o, const char *folder, const json_t *stops, struct text *notices)
{
    const struct model *m;
    struct config c;
    struct engine e;
    TRY(model_describe(&m, &c, folder, o->base));
    struct engine_options eo = { .type = strcmp(o->dtype, "bfloat16") ? F32 : BF16, .streams = streams_for(o, &c), .context = cli_context(&c, notices), .base = o->base,
                                 .tokenizer = strcmp(o->tokenizer, "auto") ? o->tokenizer : NULL };
    cli_notices(notices);
    TRY(engine_open(&e, folder, &eo));
    int code = 0;
    if (!e.tokenizer && c.vocab >= 50257) code = tokenizer_find(&e.tokenizer, "gpt2", folder);
    if (!code && !e.tokenizer) code = error_set(E_DATA, __FILE__, __LINE__, "%s has no tokenizer; give one with --tokenizer", folder);
    if (!code) code = sample(o, &e, stops);
    engine_close(&e);
    return code;
}

static int sample_from_model(struct options *options, int argc, char **argv)
{
    const struct sample_options *o = options->values;
    char folder[PATH_SIZE];
    json_t *stops = NULL;
    TRY(cpu_init(NULL, (int)o->threads));
    const char *model = argc ? argv[0] : strcmp(o->init_from, "resume") ? o->init_from : o->out_dir;
    TRY(hub_find(folder, model, screen_transfer, (void *)(uintptr_t)model));
    screen_clear();
    TRY(read_stops(o->stop, &stops));
    int code = open_and_sample(o, folder, stops, options->notices);
    json_decref(stops);
    return code;
}

int verb_sample(int argc, char **argv)
{
    struct sample_options o;
    return cli_run(&(struct command){ CLI_TABLE(table), 0, 1, 0, "nib sample [MODEL] [--key=value ...]\n\nWrites texts to standard output. MODEL is a run folder, any model folder, an adapter's, or gpt2 ... gpt2-xl.\n\n", sample_from_model }, &o, argc, argv);
}
