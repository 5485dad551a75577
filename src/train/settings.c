/* settings.c -- the table. */
#include "train/settings.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define FIELD(name) #name, .offset = offsetof(struct settings, name)
#define INT(name, value, low, high, where, text) { FIELD(name), .kind = OPTION_INT, .initial = value, .least = low, .most = high, .group = where, .help = text }
#define REAL(name, value, low, high, where, text) { FIELD(name), .kind = OPTION_REAL, .initial = value, .least = low, .most = high, .group = where, .help = text }
#define BOOL(name, value, where, text) { FIELD(name), .kind = OPTION_BOOL, .initial = value, .group = where, .help = text }
#define TEXT(name, value, among, where, text) { FIELD(name), .kind = OPTION_TEXT, .initial = value, .choices = among, .group = where, .help = text }

enum { LARGE = 1 << 30 };

const struct option settings_table[] = {
    TEXT(out_dir, "out", NULL, "run", "the run folder, which is a Hugging Face model folder: weights, configuration, tokenizer, metrics.jsonl, checkpoints"),
    TEXT(init_from, "scratch", NULL, "run", "scratch; resume: go on with the run in out_dir, nanoGPT's, too; else a model folder, an adapter, which is then trained on, or gpt2, gpt2-medium, gpt2-large, gpt2-xl"),
    INT(eval_interval, "2000", 1, LARGE, "run", "evaluate every so many iterations, and save"),
    INT(log_interval, "1", 1, LARGE, "run", "report every so many iterations"),
    INT(eval_iters, "200", 1, LARGE, "run", "random batches of each split in an evaluation"),
    INT(sample_interval, "0", 0, LARGE, "run", "write a sample every so many iterations; 0: never"),
    BOOL(eval_only, "false", "run", "evaluate once and stop"),
    BOOL(always_save_checkpoint, "true", "run", "save after every evaluation, not only when the validation loss has fallen"),
    BOOL(report, "true", "run", "draw report.html in out_dir after every evaluation: curves, samples, what happened"),
    BOOL(tensorboard, "true", "run", "write event files for TensorBoard into out_dir"),
    TEXT(keep, "last:2,best", NULL, "run", "which checkpoints stay: last, last:N, best, every:N (iterations)"),

    TEXT(dataset, "openwebtext", NULL, "data", "a folder that nib data, nanoGPT or llm.c has prepared, its name under data/, one of llm.c's token files, or a text file"),
    TEXT(tokenizer, "auto", NULL, "data", "for a dataset that is a text: char, gpt2, or a tokenizer file; auto: char"),
    BOOL(verify, "true", "data", "before the first iteration, check that the token files are what nib data wrote"),
    INT(gradient_accumulation_steps, "40", 1, 1 << 16, "data", "micro-batches of one iteration"),
    INT(batch_size, "12", 1, 1 << 16, "data", "sequences of one micro-batch"),
    INT(block_size, "1024", 1, 1 << 20, "data", "tokens of one sequence: the context"),

    TEXT(model, "gpt2", "gpt2|llama|mistral|qwen2|qwen3", "model", "the family of a model from scratch"),
    INT(n_layer, "12", 1, 1 << 12, "model", "layers"),
    INT(n_head, "12", 1, 1 << 12, "model", "attention heads"),
    INT(n_embd, "768", 1, 1 << 17, "model", "width"),
    INT(vocab_size, "0", 0, 1 << 24, "model", "entries of the vocabulary; 0: as many as the data's tokenizer has, padded"),
    INT(pad_vocab, "64", 1, 1 << 16, "model", "vocabularies over 1024 are padded to a multiple of this; padding is never sampled"),
    INT(n_kv_head, "0", 0, 1 << 12, "model", "heads of keys and values (not gpt2); 0: n_head"),
    INT(head_dim, "0", 0, 1 << 16, "model", "width of a head (not gpt2); 0: n_embd / n_head"),
    INT(n_inner, "0", 0, 1 << 20, "model", "width of the MLP; 0: 4 n_embd, or about 8/3 of it where a gate takes part (not gpt2)"),
    REAL(rope_theta, "10000", 1, 1e15, "model", "base of rotary positions (not gpt2); more for longer contexts"),
    INT(sliding_window, "0", 0, 1 << 20, "model", "tokens that each sees (mistral, qwen2, qwen3); 0: all"),
    BOOL(tie_word_embeddings, "true", "model", "the head is the table of tokens"),
    REAL(dropout, "0.0", 0, 0.99, "model", "probability of dropout: everywhere in gpt2, of attention in others"),
    BOOL(bias, "false", "model", "biases in linear layers (gpt2, llama, qwen3) and norms (gpt2)"),
    TEXT(gelu, "erf", "erf|tanh", "model", "gpt2's GELU: exact, as nanoGPT has it, or GPT-2's approximation"),

    INT(lora_rank, "0", 0, 1 << 14, "LoRA", "adapters of this rank on init_from's model, whose own weights stay as they are; out_dir is an adapter for PEFT; 0: train all weights"),
    REAL(lora_alpha, "0", 0, 1e6, "LoRA", "adapters count alpha / rank; 0: as much as lora_rank"),
    REAL(lora_dropout, "0.0", 0, 0.99, "LoRA", "probability of dropout before adapters"),
    TEXT(lora_targets, "auto", NULL, "LoRA", "layers to adapt: c_attn,mlp.c_proj; all; auto: c_attn (gpt2), q_proj,v_proj (others)"),
    TEXT(base, NULL, NULL, "LoRA", "the model that an adapter in init_from or out_dir adapts, if it is not where that says"),

    REAL(learning_rate, "6e-4", 0, 1e3, "optimizer", "AdamW's, at its highest"),
    INT(max_iters, "600000", 0, LARGE, "optimizer", "iterations in all"),
    REAL(weight_decay, "0.1", 0, 1e3, "optimizer", "of matrices; vectors do not decay"),
    REAL(beta1, "0.9", 0, 1, "optimizer", "AdamW's first moment"),
    REAL(beta2, "0.95", 0, 1, "optimizer", "AdamW's second moment"),
    REAL(grad_clip, "1.0", 0, 1e9, "optimizer", "largest global norm of the gradient; 0: no limit"),

    REAL(max_spike, "8", 0, 1e9, "optimizer", "a step whose loss lies so many standard deviations above the last 128 is not applied; 0: every finite one is"),
    INT(rollback, "0", 0, LARGE, "optimizer", "how often a run that diverges may go back to its newest checkpoint, leaving out the data since then, before it stops"),

    BOOL(decay_lr, "true", "schedule", "false: learning_rate from first to last, without warmup"),
    TEXT(schedule, "cosine", "cosine|linear|constant", "schedule", "how the learning rate falls to min_lr"),
    INT(warmup_iters, "2000", 0, LARGE, "schedule", "iterations in which the learning rate rises"),
    INT(lr_decay_iters, "600000", 0, LARGE, "schedule", "iteration at which min_lr is reached"),
    REAL(min_lr, "6e-5", 0, 1e3, "schedule", "the lowest learning rate"),

    TEXT(device, "auto", NULL, "machine", "auto or cpu; others are taken for cpu, with a notice"),
    TEXT(dtype, "auto", "auto|float32|bfloat16|float16", "machine", "of activations; auto: what is fast here; float16 is taken for auto"),
    INT(threads, "0", 0, 1024, "machine", "0: one a core"),
    INT(recompute, "0", 0, 3, "machine", "compute again rather than keep: 1 activations, 2 norms too, 3 all but one tensor a layer; less memory, same bits"),
    TEXT(max_memory, NULL, NULL, "machine", "8GiB, 80%: find the micro-batch and recompute level that fit, with as many sequences an iteration"),
    INT(seed, "1337", 0, 1LL << 53, "machine", "of initial weights, batches and dropout"),
    BOOL(profile, "false", "machine", "at the end, a table of where the time went, by op and by step of the plan"),
    BOOL(debug_nan, "true", "machine", "run an iteration that was not finite once more, step by step, to name the op that made the first such number"),
    REAL(minutes, "5", 0.01, 1e6, "machine", "nib train TEXT: choose a model that is good after so long"),

    { FIELD(wandb_log), .kind = OPTION_BOOL, .initial = "false", .group = "nanoGPT's, without effect", .help = "see metrics.jsonl instead", .flags = OPTION_NO_EFFECT },
    { FIELD(wandb_project), .kind = OPTION_TEXT, .initial = "owt", .group = "nanoGPT's, without effect", .help = "", .flags = OPTION_NO_EFFECT },
    { FIELD(wandb_run_name), .kind = OPTION_TEXT, .initial = "gpt2", .group = "nanoGPT's, without effect", .help = "", .flags = OPTION_NO_EFFECT },
    { FIELD(backend), .kind = OPTION_TEXT, .initial = "nccl", .group = "nanoGPT's, without effect", .help = "", .flags = OPTION_NO_EFFECT },
    { FIELD(compile), .kind = OPTION_BOOL, .initial = "true", .group = "nanoGPT's, without effect", .help = "there is nothing to compile", .flags = OPTION_NO_EFFECT },
};
const int settings_count = sizeof settings_table / sizeof *settings_table;

/* Copies one option's value from settings to settings. */
static void restore(const struct option *o, struct settings *to, const struct settings *from)
{
    size_t size = o->kind == OPTION_INT ? sizeof(int64_t) : o->kind == OPTION_BOOL ? sizeof(int) : sizeof(char *);
    memcpy((char *)to + o->offset, (const char *)from + o->offset, size);
}

static int is_fixed(const struct option *o)
{
    static const char *const names[] = { "model", "n_layer", "n_head", "n_embd", "n_kv_head", "head_dim", "n_inner", "rope_theta", "sliding_window",
                                         "tie_word_embeddings", "bias", "gelu", "seed", "lora_rank", "lora_alpha", "lora_targets" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(o->name, names[i])) return 1;
    return 0;
}

/* Is this option another than was recorded?  change: "n_layer 2 -> 3". */
static int differs(const struct options *o, const struct option *p, const struct settings *recorded, char *change, size_t size)
{
    struct options before = { .table = p, .n = 1, .values = (void *)(uintptr_t)recorded }, now = { .table = p, .n = 1, .values = o->values };
    struct text t = { 0 };
    options_differences(&before, &now, &t);
    int is = t.size > 0;
    snprintf(change, size, "%s", is ? t.at : "");
    text_free(&t);
    return is;
}

int settings_keep(struct options *o, const struct settings *recorded)
{
    for (int i = 0; i < settings_count; i++) {
        const struct option *p = &settings_table[i];
        char change[256];
        if (!is_fixed(p) || !differs(o, p, recorded, change, sizeof change)) continue;
        restore(p, o->values, recorded);
        const char *origin = options_origin(o, p->name);
        FAIL_IF(origin && !strcmp(origin, "command line"), E_USAGE, "--%s cannot change when a run is resumed (%s); leave it out, or choose another --out_dir for a new run", p->name, change);
    }
    return 0;
}
