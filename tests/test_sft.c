/* test_sft.c -- nib data, train, eval and chat on conversations, as users do it. */
#include "runs.h"
#include "terminal.h"

#include "base/quantize.h"
#include "file/tensors.h"
#include "model/model.h"

#define SMALL "--n_layer=2 --n_head=2 --n_embd=32 --block_size=112 --eval_iters=4 --eval_interval=20 --warmup_iters=5 --learning_rate=1e-2 --lr_decay_iters=150 --threads=1"

static const struct { const char *asked, *answered; } facts[] = {
    { "What is the sky?", "The sky is blue." }, { "Who sings?", "A gull sings." }, { "How many legs?", "Eight." }, { "Say nothing.", "..." },
};
enum { FACTS = sizeof facts / sizeof *facts };

/* Each fact alone, and two in a row in every order. */
static void write_facts(const char *path)
{
    struct text t = { 0 };
    for (int i = 0; i < FACTS; i++)
        for (int k = 0; k < FACTS; k++) {
            text_format(&t, "{\"prompt\": \"%s\", \"completion\": \"%s\"}\n", facts[i].asked, facts[i].answered);
            text_format(&t, "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, {\"role\": \"assistant\", \"content\": \"%s\"}, {\"role\": \"user\", \"content\": \"%s\"}, {\"role\": \"assistant\", \"content\": \"%s\"}]}\n",
                        facts[i].asked, facts[i].answered, facts[k].asked, facts[k].answered);
        }
    write_text(path, t.at);
    text_free(&t);
}

static char gpt2_bpe[PATH_SIZE];                             /* empty: not there */

static int setup(void **state)
{
    char root[PATH_SIZE], path[PATH_SIZE];
    if (!getcwd(root, sizeof root) || enter_program(state)) return -1;
    if (snprintf(path, sizeof path, "%.*s/config/finetune_chat.conf", PATH_SIZE - 64, root) < (int)sizeof path) copy_file(path, "finetune_chat.conf");
    snprintf(gpt2_bpe, sizeof gpt2_bpe, "%.*s/../shared/data/gpt2-bpe", PATH_SIZE - 64, root);
    if (!path_is_dir(gpt2_bpe)) *gpt2_bpe = 0;
    write_facts("facts.jsonl");
    runs("data facts.jsonl --tokenizer=char --out=facts");
    assert_has(OUT, "32 conversations by chatml");
    assert_has(ERR, "2 special tokens for the chat template chatml");
    runs("train --dataset=facts " SMALL " --batch_size=4 --gradient_accumulation_steps=1 --max_iters=150 --out_dir=learnt");
    assert_has(ERR, "28 conversations in");
    return 0;
}

/* What was learnt is said, on and on; commands; nothing else stands on standard output. */
static void learnt_and_said(void **state)
{
    (void)state;
    write_text("in", "What is the sky?\nWho sings?\n/reset\n\nHow many legs?\n/save talk.jsonl\n/what\n/reset\nSay nothing.");
    runs_how(HOW(.in = "in"), "chat learnt --temperature=0");
    assert_string_equal(OUT, "The sky is blue.\nA gull sings.\nEight.\n...\n");
    assert_has(ERR, "there is no /what");
    assert_holds("talk.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"How many legs?\"},{\"role\":\"assistant\",\"content\":\"Eight.\"}]}\n");
    runs_how(HOW(.in = "in"), "chat --out_dir=learnt --temperature=0 --max_new_tokens=3");
    assert_has(OUT, "The\n");
    assert_has(ERR, "the answer was cut at 3 tokens");
    runs("sample learnt --temperature=0 --num_samples=1 '--start=<|im_start|>user\nWho sings?<|im_end|>\n<|im_start|>assistant\n'");       /* whose end token is the mark */
    assert_has(OUT, "assistant\nA gull sings.\n---");
    write_text("in", "/help\n/system Who\n/save talk2.jsonl\n/quit\nWho sings?\n");
    runs_how(HOW(.in = "in"), "chat learnt");
    assert_has(OUT, "/reset");
    assert_holds("talk2.jsonl", "{\"messages\":[{\"role\":\"system\",\"content\":\"Who\"}]}\n");
    assert_null(strstr(OUT, "gull"));
}

/* From many turns no crash and no lost message, with the least context that is left. */
static void full_context(void **state)
{
    struct text in = { 0 };
    int notes = 0;
    (void)state;
    for (int i = 0; i < 12; i++) text_add(&in, "Who sings?\n");
    write_text("in", in.at);
    runs_how(HOW(.in = "in"), "chat learnt --temperature=0");
    for (const char *at = ERR; (at = strstr(at, "the oldest turns are left out")); at++) notes++;
    assert_int_equal(notes, 1);
    text_free(&in);
}

static void no_chat(void **state)
{
    (void)state;
    write_play("play.txt", 50);
    runs("data play.txt --out=play");
    runs("train --dataset=play " TINY " --max_iters=2 --out_dir=plain");
    fails(E_DATA, "no chat template", "chat plain");
    fails(E_DATA, "no special token <|im_start|>", "chat plain --template=chatml");
    fails(E_USAGE, "template", "chat plain --template=alpaca");
    fails(E_IO, "nowhere", "chat nowhere");
}

/* ---- runs ---- */

#define RUN "train --dataset=facts " SMALL " --batch_size=2 --gradient_accumulation_steps=3 --dropout=0.1 --always_save_checkpoint=true --max_iters="

static void same_bits(void **state)
{
    (void)state;
    runs(RUN "40 --out_dir=one");
    runs(RUN "40 --out_dir=two --threads=3");
    assert_same_runs("one", "two", 40);
    runs(RUN "20 --out_dir=three");
    runs(RUN "40 --out_dir=three --init_from=resume");
    assert_same_runs("one", "three", 40);
    runs("data facts.jsonl --tokenizer=char --template=nanochat --out=facts2");
    fails(E_USAGE, "a run keeps its data", RUN "60 --out_dir=one --init_from=resume --dataset=facts2");
}

static double loss_at(const char *out, int step)
{
    char path[PATH_SIZE], wanted[32];
    struct text all = { 0 };
    assert_ok(path_join(path, out, "metrics.jsonl"));
    assert_ok(file_read(path, LIMIT, &all));
    snprintf(wanted, sizeof wanted, "{\"step\": %d, ", step);
    const char *at = strstr(all.at, wanted);
    assert_non_null(at);
    at = strstr(at, "\"loss\": ");
    assert_non_null(at);
    double loss = strtod(at + 8, NULL);
    text_free(&all);
    return loss;
}

/* The same windows, however they are divided among micro-batches; so the same losses, but for rounding. */
static void any_micro_batch(void **state)
{
    static const char *const ways[] = { "--batch_size=6 --gradient_accumulation_steps=1", "--batch_size=3 --gradient_accumulation_steps=2", "--batch_size=1 --gradient_accumulation_steps=6" };
    double first = 0, last = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        runs("train --dataset=facts " SMALL " --log_interval=1 --learning_rate=1e-3 --max_iters=8 --out_dir=way%d %s", i, ways[i]);
        char out[8];
        snprintf(out, sizeof out, "way%d", i);
        if (!i) first = loss_at(out, 0), last = loss_at(out, 7);
        assert_float_equal(loss_at(out, 0), first, 1e-5);
        assert_float_equal(loss_at(out, 7), last, 1e-4);
    }
    assert_true(last < first);
}

/* Only answers count: nib eval says how many ids, and a model that knows them has next to no loss although it knows no question. */
static void only_answers(void **state)
{
    (void)state;
    runs("eval learnt --dataset=facts --split=train --json");
    json_t *o = printed();
    size_t answers = 0;
    struct text flags = { 0 };
    assert_ok(file_read("facts/train.flags", LIMIT, &flags));
    for (size_t i = 0; i < flags.size; i++) answers += flags.at[i] & 1;
    assert_int_equal((size_t)number(o, "tokens"), answers);
    assert_true(number(o, "loss") < 0.05);
    json_decref(o);
    text_free(&flags);
    runs("eval learnt --dataset=facts --block_size=40 --json");          /* what is longer loses turns, and no answer is half counted */
    o = printed();
    assert_true(number(o, "loss") < 0.3);
    json_decref(o);
}

/* The tables of two models: the same rows, and behind them, in the second, their mean. */
static void assert_grown(const char *one, const char *other)
{
    struct model_files a, b;
    assert_ok(model_open(&a, one));
    assert_ok(model_open(&b, other));
    const struct file_tensor *t = model_find_tensor(a.model, a.tensors, a.model->table), *grown = model_find_tensor(b.model, b.tensors, b.model->table);
    size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1];
    float *x = malloc(t->size), *y = malloc(grown->size);
    numbers_widen(t->type, t->data, x, rows * cols);
    numbers_widen(grown->type, grown->data, y, (size_t)grown->dim[0] * cols);
    assert_true(grown->dim[0] > t->dim[0] && grown->dim[0] % 8 == 0 && grown->dim[0] == b.config.vocab);
    assert_memory_equal(x, y, rows * cols * sizeof *x);
    for (size_t c = 0; c < cols; c++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) sum += x[r * cols + c];
        for (size_t r = rows; r < (size_t)grown->dim[0]; r++) assert_float_equal(y[r * cols + c], sum / (double)rows, 1e-7);
    }
    free(x);
    free(y);
    model_close(&a);
    model_close(&b);
}

/* A model that knows no marks is finetuned on conversations by its own tokenizer: it gets rows for them. */
static void vocabulary_grows(void **state)
{
    struct text text = { 0 };
    (void)state;
    for (int i = 0; i < 200; i++) text_format(&text, "user assistant %s %s %d\n", facts[i % FACTS].asked, facts[i % FACTS].answered, i);
    write_text("base.txt", text.at);
    text_free(&text);
    runs("data base.txt --tokenizer=char --out=base_data");
    runs("train --dataset=base_data --n_layer=1 --n_head=2 --n_embd=32 --block_size=96 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=5 --threads=1 --out_dir=base");
    runs("data facts.jsonl --tokenizer=base --out=facts_base --template=llama3 '--system=Say 8'");
    assert_has(OUT, "by llama3");
#define TUNE "train --init_from=base --dataset=facts_base --block_size=96 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=5 --eval_interval=5 --threads=1 --pad_vocab=8 --out_dir=tuned"
    runs(TUNE);
    assert_has(ERR, "its vocabulary grows");
    runs("check tuned");
    runs(TUNE "0 --max_iters=0");       /* as it begins */
    assert_grown("base", "tuned0");
    runs("train --init_from=resume --out_dir=tuned --dataset=facts_base --block_size=96 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=7 --threads=1");
    runs("export tuned --out=exported");
    assert_same_file("tuned/tokenizer_config.json", "exported/tokenizer_config.json");
    write_text("in", "Who sings?\n");
    runs_how(HOW(.in = "in"), "chat exported --max_new_tokens=4");
    fails(E_DATA, "another tokenizer", "train --init_from=learnt --dataset=facts_base --block_size=96 --batch_size=2 --max_iters=2 --out_dir=never");
    fails(E_DATA, "do not belong together", "eval base --dataset=facts_base");
}

/* What README shows: GPT-2's tokenizer, where it is at hand, and our configuration. */
static void as_in_readme(void **state)
{
    (void)state;
    bring_gpt2(gpt2_bpe);
    runs("data facts.jsonl --out=data/talks");
    assert_has(OUT, "vocabulary 50259, 32 conversations by chatml");
    write_text("in", "Who sings?\n");
    runs("train finetune_chat.conf --init_from=scratch --n_layer=1 --n_head=2 --n_embd=8 --max_iters=2 --batch_size=1 --gradient_accumulation_steps=1 --sample_interval=1");
    runs_how(HOW(.in = "in"), "chat out-chat --max_new_tokens=5");
}

/* ---- sets ---- */

static void sets(void **state)
{
    (void)state;
    runs("data info facts");
    assert_has(OUT, "28 and 4 conversations by the chat template chatml");
    runs("check facts");
    flip("facts/val.flags", 3);
    fails(E_DATA, "val.flags", "check facts");
    flip("facts/val.flags", 3);
    runs("check facts");
    write_text("bad.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n");
    fails(E_DATA, "bad.jsonl: line 2: no conversation", "data bad.jsonl --tokenizer=char --out=facts");
    runs("check facts");                                     /* the older set is still there */
    fails(E_USAGE, "template", "data facts.jsonl --template=alpaca");
    fails(E_DATA, "no field \"text\"", "data facts.jsonl --template=none --tokenizer=char --out=none");
    write_text("alone.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n");
    fails(E_DATA, "cannot both train and validate", "data alone.jsonl --tokenizer=char --out=alone");
    write_text("silent.jsonl", "{\"prompt\": \"a\", \"completion\": \"\"}\n");
    fails(E_DATA, "no conversation with an answer", "data silent.jsonl --tokenizer=char --out=silent");
    runs("data facts.jsonl --val=alone.jsonl --tokenizer=char --out=with");
    assert_has(OUT, "33 conversations");
    fails(E_DATA, "choose a larger one", "train --dataset=facts --n_layer=1 --n_head=2 --n_embd=16 --block_size=8 --batch_size=2 --max_iters=2 --threads=1 --out_dir=never");
    runs("train --dataset=facts --n_layer=1 --n_head=2 --n_embd=16 --block_size=64 --batch_size=2 --gradient_accumulation_steps=1 --eval_iters=1 --max_iters=2 --threads=1 --out_dir=short --sample_interval=1");
    assert_has(ERR, "lose their oldest turns");
}

/* ---- Ctrl-C ---- */

static void await_shown(struct terminal *t, const char *text)
{
    while (!terminal_shows(t, text))
        if (!terminal_read(t)) fail_msg("\"%s\" was never shown", text);
}

static void type(struct terminal *t, const char *line) { assert_int_equal(write(t->master, line, strlen(line)), strlen(line)); }

/* On a terminal it ends an answer, if there is one at hand, and never the program. */
static void interrupted_terminal(void **state)
{
    static struct terminal t;
    struct program p = { 0 };
    char *words[] = { nib_path, (char *)(uintptr_t) "chat", (char *)(uintptr_t) "learnt", (char *)(uintptr_t) "--temperature=0", NULL };
    (void)state;
    int slave = terminal_open(&t, 80, 60);
    start_words(&p, HOW(.in = ptsname(t.master), .out = ptsname(t.master)), words);
    await_shown(&t, "chatml, 112 tokens of context");
    await_shown(&t, ">");
    kill(p.pid, SIGINT);
    await_shown(&t, "(/quit or Ctrl-D ends)");
    for (int i = 0; i < 5; i++) {                            /* at any time */
        type(&t, "Who sings?\n");
        kill(p.pid, SIGINT);
        for (int k = 0; k < 2; k++) {                        /* who reads the second line has seen the signal */
            char mark[64], line[32];
            snprintf(mark, sizeof mark, "there is no /%d_%d", i, k);
            snprintf(line, sizeof line, "/%d_%d\n", i, k);
            type(&t, line);
            while (!strstr(p.text[1].at, mark))
                if (!read_more(&p)) fail_msg("it ended:\n%s", p.text[1].at);
        }
    }
    type(&t, "/reset\nHow many legs?\n");
    await_shown(&t, "Eight.");
    type(&t, "/quit\n");
    assert_int_equal(end(&p), 0);
    close(slave);
    close(t.master);
    for (int i = 0; i < 2; i++) text_free(&p.text[i]);
}

/* From a pipe it ends the program, with what was said. */
static void interrupted_pipe(void **state)
{
    struct program p = { 0 };
    struct text in = { 0 };
    (void)state;
    for (int i = 0; i < 2000; i++) text_add(&in, "Who sings?\n");
    write_text("in", in.at);
    char *words[] = { nib_path, (char *)(uintptr_t) "chat", (char *)(uintptr_t) "learnt", (char *)(uintptr_t) "--temperature=2", NULL };
    start_words(&p, HOW(.in = "in"), words);
    await(&p, "\n");
    kill(p.pid, SIGINT);
    int code = end(&p);
    assert_true(code == E_STOPPED || code == 0);
    for (int i = 0; i < 2; i++) text_free(&p.text[i]);
    text_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learnt_and_said), cmocka_unit_test(full_context), cmocka_unit_test(no_chat), cmocka_unit_test(same_bits), cmocka_unit_test(any_micro_batch),
        cmocka_unit_test(only_answers), cmocka_unit_test(vocabulary_grows), cmocka_unit_test(as_in_readme), cmocka_unit_test(sets), cmocka_unit_test(interrupted_terminal), cmocka_unit_test(interrupted_pipe),
    };
    return cmocka_run_group_tests_name("sft", tests, setup, leave_program);
}
