/* drawn.h -- a model folder of weights that nobody trained, so large that texts are lively. */
#ifndef DRAWN_H
#define DRAWN_H
#include "test.h"
#include "token/tokenizer.h"
#include "train/trainer.h"

static inline void write_drawn(const char *path, const struct trainer_options *o, float by, const struct tokenizer *tokenizer)
{
    struct trainer t;
    char file[PATH_SIZE];
    assert_ok(trainer_open(&t, o));
    assert_ok(model_init_weights(t.weights, o->model, &o->config, 3));
    for (size_t i = 0; i < t.weights->n_trained; i++) t.weights->master[i] *= by;
    assert_ok(dir_make(path));
    assert_ok(config_write(o->model, &o->config, -1, path));
    assert_ok(path_join(file, path, "model.safetensors"));
    assert_ok(model_save_weights(t.weights, o->model, &o->config, file, NULL));
    assert_ok(tokenizer_save(tokenizer, path));
    trainer_close(&t);
}

#endif
