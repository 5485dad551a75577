/* tokenizer_stages.h -- what those who read a tokenizer.json, or make one of another file, share. */
#ifndef TOKEN_TOKENIZER_STAGES_H
#define TOKEN_TOKENIZER_STAGES_H
#include "token/tokenizer_core.h"

/* `what` names the file in messages.  All failures are E_DATA, or E_MEMORY. */
int asks_nothing(const json_t *value);                       /* absent, null, false, 0, "", [] or {} */
int is_type(const json_t *object, const char *type);
int refuse(const json_t *value, const char *key, const char *what);      /* what nib does not do */
int check_keys(const json_t *object, const char *const *known, const char *what);        /* refuses others (known ends with NULL) that ask for something */
int optional_bool(const json_t *object, const char *key, int *value, const char *what);  /* *value stays if the key is absent */

const char *token_in_config(const json_t *config, const char *key);      /* tokenizer_config.json's, a string or an object with its "content"; NULL: none */
json_t *added_to_json(const struct token *t);
json_t *pre_tokenizer_to_json(const struct split_stage *stage, int n);   /* of bytes */
json_t *template_to_json(const char *before, int64_t before_id, const char *behind, int64_t behind_id);     /* tokens around a text by itself; NULL: none */
void token_spell(struct text *out, const struct tokenizer *t, uint32_t id);          /* as a vocabulary lists it: added tokens as they stand */

int keep_string(struct tokenizer *t, const json_t *object, const char *key, const char **string, const char *what);

/* The stages around the model, into *p, whose kind is known for the last two. */
int read_pre_tokenizer(struct tokenizer *t, struct parts *p, const json_t *pre, const char *what);
int read_normalizer(struct tokenizer *t, struct parts *p, const json_t *normalizer, const char *what);
int read_post_processor(struct parts *p, const json_t *post, const char *what);
int read_decoder(struct tokenizer *t, struct parts *p, const json_t *decoder, const char *what);

#endif
