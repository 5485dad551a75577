/* tokenizer.h -- text to ids and back: characters; BPE over bytes (GPT-2's) or over characters (llama 2's); Unigram (T5's); WordPiece (BERT's).
 *
 * All kinds are stored as Hugging Face's tokenizer.json; a character tokenizer is a BPE without merges.  Ids of the same
 * vocabulary are exactly those of tiktoken and of Hugging Face's tokenizers; a file that asks for what nib cannot do exactly
 * (another pre-tokenizer, dropout ...) is E_DATA, and the message names what it asks for.
 *
 * A tokenizer does not change once it is made; any number of threads may use it. */
#ifndef TOKEN_TOKENIZER_H
#define TOKEN_TOKENIZER_H
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct tokenizer;

struct ids { uint32_t *at; size_t n, room; };            /* grows; starts zeroed, freed by ids_free */
int  ids_reserve(struct ids *ids, size_t more);          /* room for that many behind the last */
int  ids_add(struct ids *ids, const uint32_t *more, size_t n);           /* more does not point into ids */
void ids_free(struct ids *ids);

/* ---- making one: *t is set only if it went well, and freed by tokenizer_free ---- */

/* A file, or a folder with one of, the first that is there: tokenizer.json; vocab.bpe + encoder.json; vocab.json + merges.txt; nanoGPT's
 * meta.pkl; llama2.c's tokenizer.bin; llm.c's gpt2_tokenizer.bin; BERT's vocab.txt (by that name, with the tokenizer_config.json beside it if there is one).  Files alone also: tiktoken's
 * *.tiktoken and Llama 3's tokenizer.model (by names that are known), llm.c's and llama2.c's tokenizer .bin, minbpe's .model. */
int tokenizer_open(struct tokenizer **t, const char *path);
/* Does a folder have one of these files, so that tokenizer_open is worth a try?  Not by a vocab.txt, which may be anybody's. */
int tokenizer_look(const char *folder, int *is);
int tokenizer_open_in(struct tokenizer **t, const char *folder);          /* that one; NULL if there is none */
/* "gpt2": looked for in the folder `beside` (may be NULL), then in the cache, by what the files say and not by their names;
 * else downloaded into the cache and checksummed; else E_IO, and the text says which files to put where.  Other names are paths. */
int tokenizer_find(struct tokenizer **t, const char *name, const char *beside);
/* One id for each code point that occurs, in order of code points.  E_DATA if the text is empty, not UTF-8, or contains a NUL. */
int tokenizer_of_characters(struct tokenizer **t, const char *text, size_t n);
/* The same of texts that nobody holds together: the characters that utf8_mark (base/utf8.h) found in them. */
int tokenizer_of_marked(struct tokenizer **t, const uint8_t *seen);
/* A tokenizer.json in memory.  `what` names it in messages. */
int tokenizer_parse(struct tokenizer **t, const char *json, size_t n, const char *what);
/* GPT-2's if it is in the cache, else NULL. */
struct tokenizer *tokenizer_gpt2_at_hand(void);
void tokenizer_free(struct tokenizer *t);                        /* NULL is fine */

/* ---- what it is ---- */

uint32_t tokenizer_vocab(const struct tokenizer *t);         /* ids are 0 .. vocab - 1; a hole stands for nothing */
int64_t  tokenizer_end(const struct tokenizer *t);           /* "eos_token" of tokenizer_config.json, else <|endoftext|>, else -1 */
int      tokenizer_is_bytes(const struct tokenizer *t);      /* made of words or bytes.  Characters: encodes only its own */
/* Ids that the file puts before (behind = 0) and behind (1) a text by itself, such as <|begin_of_text|>.  Encoding leaves that to its caller. */
const uint32_t *tokenizer_template(const struct tokenizer *t, int behind, size_t *n);
int      tokenizer_is_special(const struct tokenizer *t, uint32_t id);
/* 16 hex digits.  Equal tokens, merges and rules have equal fingerprints, whatever the files they came from. */
const char *tokenizer_fingerprint(const struct tokenizer *t);
void tokenizer_describe(const struct tokenizer *t, struct text *out);    /* a few lines for people */
/* The n bytes that a token decodes to, where it is not the first; n = 0: a hole, or no id of the vocabulary. */
const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n);

/* ---- text to ids and back ---- */

/* What to do with the text of a special token ("<|endoftext|>"): encode it like any text, or as the token, or fail (E_DATA names
 * it).  Added tokens that are not special are always found. */
enum specials { SPECIALS_AS_TEXT, SPECIALS_AS_TOKENS, SPECIALS_REFUSED };
/* Appends; a failure appends nothing.  Bytes that are not UTF-8 are encoded like others, and come back as they were (split.h says
 * how they are cut).  Characters: the first one that is not in the vocabulary is E_DATA and names itself and its byte. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, enum specials s, struct ids *out);

/* The same text after text: an encoder remembers the words it has met.  One per thread.  expected: bytes in all, about.  from: where
 * the text begins in a larger one, for messages. */
struct encoder;
int  encoder_open(struct encoder **e, const struct tokenizer *t, enum specials s, uint64_t expected);
int  encoder_add(struct encoder *e, const char *text, size_t n, uint64_t from, struct ids *out);
void encoder_close(struct encoder *e);                           /* NULL is fine */

/* The same by several threads (0: one a core), where it is known how to cut the text: the ids do not depend on their number. */
struct encoders;
int  encoders_open(struct encoders **e, const struct tokenizer *t, enum specials s, int threads, uint64_t expected);
int  encoders_add(struct encoders *e, const char *text, size_t n, struct ids *out);
void encoders_forget(struct encoders *e);                        /* the words, to be met anew */
void encoders_close(struct encoders *e);                         /* NULL is fine */
int  tokenizer_encode_by(const struct tokenizer *t, const char *text, size_t n, enum specials s, int threads, struct ids *out);
/* The last place, at `most` or before, where a text may be cut in two whose ids, one after the other, are those of the whole; 0: none is known. */
size_t tokenizer_apart(const struct tokenizer *t, const char *text, size_t n, size_t most);

/* What a model is to go on with: special tokens in the text are tokens, and what the file puts before a text by itself stands there. */
int tokenizer_encode_prompt(const struct tokenizer *t, const char *text, size_t n, struct ids *out);

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct text *out);    /* appends bytes as they are */

/* Decoding as ids come: only whole UTF-8 characters are appended to out; the rest waits.  What cannot become a character comes
 * out as U+FFFD, as from any decoder that replaces; id = -1 flushes what waits.  Start with a zeroed struct; goes_on: ids came before
 * these, so a space at the front of the first one stays. */
struct decoder { unsigned char wait[8]; int n, goes_on; };
int tokenizer_stream(const struct tokenizer *t, struct decoder *d, int64_t id, struct text *out);

/* ---- saving ---- */

/* tokenizer.json and tokenizer_config.json into a folder; characters also as meta.pkl, so that nanoGPT's sample.py reads them. */
int tokenizer_save(const struct tokenizer *t, const char *folder);
/* llama2.c's tokenizer.bin, for a model of so many entries (at least tokenizer_vocab).  E_MODEL says why it cannot hold this one. */
int tokenizer_write_llama2c(const struct tokenizer *t, int64_t entries, const char *path);

#endif
