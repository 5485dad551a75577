/* eval_items.c -- nib eval MODEL --items=FILE: how many answers are right, and a line for each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/eval.h"

static const struct { const char *key, *what, *name[2]; } measures[MEASURES] = {       /* name: what it is called elsewhere, by prompts */
    [BY_SUM] = { "acc", "of the likeliest choice", { [PROMPTS_HARNESS] = ": lm-evaluation-harness's acc", [PROMPTS_PLAIN] = ": hellaswag.py's acc" } },
    [BY_CHARACTER] = { "acc_norm", "of the likeliest a character", { [PROMPTS_HARNESS] = ": its acc_norm", [PROMPTS_PLAIN] = "" } },
    [BY_TOKEN] = { "acc_token", "of the likeliest a token", { [PROMPTS_HARNESS] = "", [PROMPTS_PLAIN] = ": llm.c's accuracy, hellaswag.py's acc_norm" } },
};

/* ---- a line for each ---- */

struct writing { const struct items *items; const struct tally *tally; struct file_writer file; int writes; struct text line; };

static void add_list(struct text *out, const char *key, const struct answer *a, void (*one)(struct text *out, const struct answer *a, int i))
{
    text_format(out, ", \"%s\": [", key);
    for (int i = 0; i < a->item->choices; i++) {
        if (i) text_add(out, ", ");
        one(out, a, i);
    }
    text_add(out, "]");
}

static void add_log_p(struct text *out, const struct answer *a, int i) { text_add(out, eval_number((char[NUMBER_SIZE]){ 0 }, 6, a->score[i].log_p)); }
static void add_tokens(struct text *out, const struct answer *a, int i) { text_format(out, "%lld", (long long)a->score[i].tokens); }
static void add_characters(struct text *out, const struct answer *a, int i) { text_format(out, "%zu", a->item->choice[i].characters); }
static void add_cut(struct text *out, const struct answer *a, int i) { text_format(out, "%lld", (long long)a->score[i].cut); }

static void write_answer(struct text *out, const struct answer *a, int is_cloze)
{
    text_format(out, "{\"line\": %llu", (unsigned long long)a->item->line);
    if (is_cloze) {
        text_format(out, ", \"right\": %s, \"log_p\": ", a->score->greedy ? "true" : "false");
        add_log_p(out, a, 0);
        text_format(out, ", \"tokens\": %lld, \"cut\": %lld}\n", (long long)a->score->tokens, (long long)a->score->cut);
        return;
    }
    text_format(out, ", \"answer\": %d", a->item->answer);
    for (int m = 0; m < MEASURES; m++)
        if (a->pick[m] >= 0) text_format(out, ", \"%s\": %d", measures[m].key, a->pick[m]);
    add_list(out, "log_p", a, add_log_p);
    add_list(out, "tokens", a, add_tokens);
    if (a->pick[BY_CHARACTER] >= 0) add_list(out, "characters", a, add_characters);
    add_list(out, "cut", a, add_cut);
    text_add(out, "}\n");
}

static int on_answer(void *context, const struct answer *a)
{
    struct writing *w = context;
    char line[80];
    snprintf(line, sizeof line, "item %zu of %zu, %.1f%% right", w->tally->items, w->items->n, 100.0 * (double)w->tally->right[BY_SUM] / (double)w->tally->items);
    screen_line(line, 0);
    if (!w->writes) return 0;
    text_clear(&w->line);
    write_answer(&w->line, a, w->items->is_cloze);
    FAIL_IF(w->line.failed, E_MEMORY, "no memory for an answer");
    return file_append(&w->file, w->line.at, w->line.size);
}

/* ---- the whole ---- */

/* llm.c encodes texts as they stand. */
static enum prompts prompts_of(const struct eval_options *o, const struct items *items)
{
    return items->at->choice->context.ids || !strcmp(o->prompts, "plain") ? PROMPTS_PLAIN : PROMPTS_HARNESS;
}

static void print_json(const struct eval_options *o, const struct items *items, const struct tally *t, int64_t block)
{
    printf("{\"kind\": \"%s\", \"items\": %zu, \"tokens\": %lld", items->kind, t->items, (long long)t->tokens);
    for (int m = 0; m < (items->is_cloze ? 1 : MEASURES); m++) {
        double error, share = tally_share(t, (enum measure)m, &error);
        if (isfinite(share)) printf(", \"%s\": %.6f", measures[m].key, share);
        if (isfinite(share) && isfinite(error)) printf(", \"%s_stderr\": %.6f", measures[m].key, error);
    }
    if (items->is_cloze) {
        char perplexity[NUMBER_SIZE], token_loss[NUMBER_SIZE], of_it[NUMBER_SIZE];
        double error, loss = tally_loss(t, &error);
        printf(", \"perplexity\": %s, \"perplexity_stderr\": %s, \"token_loss\": %s", eval_number(perplexity, 4, exp(loss)), eval_number(of_it, 4, exp(loss) * error),
               eval_number(token_loss, 6, -t->log_p / (double)t->tokens));
    } else {
        printf(", \"chance\": %.6f", t->chance);
    }
    printf(", \"cut\": %zu, \"prompts\": \"%s\", \"block_size\": %lld}\n", t->cut, prompts_of(o, items) == PROMPTS_PLAIN ? "plain" : "harness", (long long)block);
}

static void print_share(const struct tally *t, enum measure m, const char *key, const char *what, const char *name)
{
    double error, share = tally_share(t, m, &error);
    if (!isfinite(share)) return;
    printf("%-9s %5.1f%%", key, 100 * share);
    if (isfinite(error)) printf(" +- %.1f", 100 * error);
    printf("  %s%s\n", what, name);
}

static void print_text(const struct eval_options *o, const struct items *items, const struct tally *t, int64_t block)
{
    enum prompts p = prompts_of(o, items);
    printf("%zu items of %s (%s%s)", t->items, o->items, items->kind, items->is_cloze ? "" : p == PROMPTS_PLAIN ? ", plain" : ", as lm-evaluation-harness asks");
    if (!items->is_cloze) printf(", %.1f%% are right by chance", 100 * t->chance);
    printf("\n");
    if (items->is_cloze) {
        double error, loss = tally_loss(t, &error);
        print_share(t, BY_SUM, "acc", "of what the model would write, always taking the likeliest token", "");
        printf("perplexity %.2f", exp(loss));
        if (isfinite(error)) printf(" +- %.2f", exp(loss) * error);
        printf(" of an answer, %.2f of one of its %lld tokens\n", exp(-t->log_p / (double)t->tokens), (long long)t->tokens);
    }
    for (int m = 0; m < MEASURES && !items->is_cloze; m++) print_share(t, (enum measure)m, measures[m].key, measures[m].what, measures[m].name[p]);
    if (t->cut) printf("%zu items did not fit into %lld tokens and lost their beginnings\n", t->cut, (long long)block);
}

int eval_items(const struct eval_options *o, struct engine *e, const struct items *items, int64_t block)
{
    struct tally t;
    struct writing w = { .items = items, .tally = &t, .writes = o->out != NULL };
    if (o->out) TRY(file_create(&w.file, o->out));
    int code = answers_each(&e->scorer, e->tokenizer, items, &t, on_answer, &w);
    text_free(&w.line);
    screen_clear();
    if (!code && o->out) code = file_commit(&w.file);
    if (code && o->out) file_discard(&w.file);
    if (code) return code;
    if (o->json) print_json(o, items, &t, block);
    else print_text(o, items, &t, block);
    return 0;
}
