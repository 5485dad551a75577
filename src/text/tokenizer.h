/* tokenizer.h -- text to ids and back: characters, or byte-level BPE (GPT-2's).
 *
 * Both kinds are stored as Hugging Face's tokenizer.json; a character tokenizer is a BPE without merges.  Ids of the
 * same vocabulary are exactly those of tiktoken and of Hugging Face's tokenizers. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct tokenizer;

struct ids { uint32_t *at; size_t n, room; };            /* grows; freed by ids_free */
void ids_free(struct ids *ids);

/* A file or a folder: tokenizer.json; vocab.bpe + encoder.json; vocab.json + merges.txt; nanoGPT's meta.pkl. */
int tokenizer_open(struct tokenizer **t, const char *path);
/* "gpt2", looked for in the folder `beside` (may be NULL), then in the cache, then downloaded and checksummed; else a path. */
int tokenizer_find(struct tokenizer **t, const char *name, const char *beside);
int tokenizer_of_characters(struct tokenizer **t, const char *text, size_t n);       /* one id a code point that occurs, in order of code points */
int tokenizer_parse(struct tokenizer **t, const char *json, size_t n, const char *what);
void tokenizer_free(struct tokenizer *t);

uint32_t tokenizer_vocab(const struct tokenizer *t);             /* ids are 0 .. vocab - 1 */
int64_t  tokenizer_end(const struct tokenizer *t);               /* the end-of-text token, -1 if there is none */
int      tokenizer_is_bytes(const struct tokenizer *t);          /* byte-level BPE: encodes anything.  Characters: only its own */
const char *tokenizer_fingerprint(const struct tokenizer *t);    /* 16 hex digits: equal vocabularies, equal fingerprints */
const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n);      /* what a token decodes to; n = 0: an id that stands for nothing */

/* What to do with the text of a special token ("<|endoftext|>"): encode it like any text, or as the token. */
enum specials { SPECIALS_AS_TEXT, SPECIALS_AS_TOKENS };
/* Appends.  Characters: the first one that is not in the vocabulary is E_DATA and names itself and its byte. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, enum specials s, struct ids *out);
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct text *out);        /* appends bytes as they are */

/* Decoding as ids come: only whole UTF-8 characters are appended to out; the rest waits.  id = -1 flushes: what is left and
 * cannot become a character comes out as U+FFFD.  Start with a zeroed struct. */
struct decoder { unsigned char wait[8]; int n; };
int tokenizer_stream(const struct tokenizer *t, struct decoder *d, int64_t id, struct text *out);

/* tokenizer.json and tokenizer_config.json into a folder; characters also as meta.pkl, so that nanoGPT's sample.py reads them. */
int tokenizer_save(const struct tokenizer *t, const char *folder);

#endif
