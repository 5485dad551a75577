/* settings.h -- everything that can be said about a training run: nanoGPT's options with its names and defaults, and ours. */
#ifndef TRAIN_SETTINGS_H
#define TRAIN_SETTINGS_H
#include "base/options.h"

struct settings {
    /* run */
    const char *out_dir, *init_from;
    int64_t eval_interval, log_interval, eval_iters, sample_interval;
    int eval_only, always_save_checkpoint;
    const char *keep;
    int report, tensorboard;
    /* data */
    const char *dataset, *tokenizer;
    int verify;
    int64_t gradient_accumulation_steps, batch_size, block_size;
    /* model */
    const char *model;
    int64_t n_layer, n_head, n_embd, vocab_size, pad_vocab, n_kv_head, head_dim, n_inner, sliding_window;
    double dropout, rope_theta;
    int bias, tie_word_embeddings;
    const char *gelu;
    /* LoRA */
    int64_t lora_rank;
    double lora_alpha, lora_dropout;
    const char *lora_targets, *base;
    /* optimizer */
    double learning_rate, weight_decay, beta1, beta2, grad_clip, max_spike;
    int64_t max_iters, rollback;
    /* schedule */
    int decay_lr;
    const char *schedule;
    int64_t warmup_iters, lr_decay_iters;
    double min_lr;
    /* machine */
    const char *device, *dtype;
    int64_t threads, recompute, seed;
    const char *max_memory;
    int profile, debug_nan;
    double minutes;
    /* accepted, without effect */
    int wandb_log, compile;
    const char *wandb_project, *wandb_run_name, *backend;
};

extern const struct option settings_table[];
extern const int settings_count;

/* What cannot change when a run is resumed, its shape and seed, is again as recorded, whatever a CONFIG says, as in nanoGPT.  On the
 * command line something else is E_USAGE. */
int settings_keep(struct options *o, const struct settings *recorded);

#endif
