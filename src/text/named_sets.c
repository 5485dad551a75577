/* named_sets.c -- sets by name: nanoGPT's two of Shakespeare, and nib's own stories. */
#include <string.h>

#include "base/embed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "file/fetch.h"
#include "text/prepare.h"
#include "text/tales.h"
#include "text/token_files.h"

static const struct set { const char *name, *tokenizer; } sets[] = {
    { "shakespeare_char", "char" },
    { "shakespeare", "gpt2" },
    { "tales", NULL },                                       /* made here, by a tokenizer of its own */
};
enum { SETS = sizeof sets / sizeof *sets };

static const struct set *find_set(const char *name)
{
    for (int i = 0; i < SETS; i++)
        if (!strcmp(sets[i].name, name)) return &sets[i];
    return NULL;
}

int prepare_is_named(const char *name)
{
    return find_set(name) != NULL;
}

/* ---- Shakespeare ---- */

#define SHAKESPEARE_URL "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
#define SHAKESPEARE_SHA256 "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

/* Downloaded once; a damaged copy is replaced. */
static int find_shakespeare(char path[PATH_SIZE], const struct prepare_options *o)
{
    char hex[65];
    TRY(cache_path(path, "tinyshakespeare.txt"));
    if (path_is_file(path) && !file_sha256(path, hex) && !strcmp(hex, SHAKESPEARE_SHA256)) return 0;
    return fetch(SHAKESPEARE_URL, path, SHAKESPEARE_SHA256, "get this text some other way and name it with --file PATH",
                 o->progress, o->context);
}

static int prepare_shakespeare(const char *file, const struct prepare_options *o, struct prepared *done)
{
    char path[PATH_SIZE];
    struct prepare_options text = *o;
    if (!file) TRY(find_shakespeare(path, o));
    text.inputs = (const char *const[]){ file ? file : path };
    text.n = 1;
    return prepare(&text, done);
}

/* ---- tales ---- */

enum { VALIDATION_STORIES = 400 };                           /* evaluated in a moment */

EMBED(tales_tokenizer, "text/tales_tokenizer.json");         /* tests/twin/make_tales_tokenizer.py made it */

struct teller {
    const struct prepare_options *o;
    struct grammar *grammar;
    struct tokenizer *tokenizer;
    struct token_files files;
    struct text story;
    struct ids ids;
    double nats;                         /* -log p of the stories told last, together */
    uint64_t all, stories, bytes;        /* how many stories there will be; those told so far, and their length */
};

static int tell(struct teller *t, enum split s, uint64_t seed, uint64_t index)
{
    double log_p;
    uint32_t end = (uint32_t)t->files.set.end;
    text_clear(&t->story);
    t->ids.n = 0;
    TRY(grammar_tell(t->grammar, seed, index, &t->story, &log_p));
    TRY(tokenizer_encode(t->tokenizer, t->story.at, t->story.size, SPECIALS_AS_TEXT, &t->ids));
    TRY(ids_add(&t->ids, &end, 1));
    t->nats -= log_p;
    t->stories++;
    t->bytes += t->story.size;
    if (t->ids.n > (size_t)t->files.set.longest) t->files.set.longest = (int64_t)t->ids.n;
    return token_files_add(&t->files, s, t->ids.at, t->ids.n);
}

/* How long the stories to come will be is guessed from those that were told. */
static void report(const struct teller *t)
{
    if (t->o->progress) t->o->progress(t->o->context, t->bytes, t->bytes + (t->all - t->stories) * (t->bytes / t->stories));
}

/* The first end token stands before the first story, so that every story has one before it. */
static int tell_split(struct teller *t, enum split s, uint64_t seed, uint64_t count)
{
    TRY(token_files_add(&t->files, s, &(uint32_t){ (uint32_t)t->files.set.end }, 1));
    t->nats = 0;
    for (uint64_t i = 0; i < count; i++) {
        TRY(tell(t, s, seed, i));
        report(t);
    }
    return 0;
}

static int tell_all(struct teller *t, uint64_t seed, uint64_t count)
{
    struct dataset *set = &t->files.set;
    t->all = count + VALIDATION_STORIES;
    token_files_use(&t->files, t->tokenizer);
    set->by_document = 1;
    TRY(tell_split(t, SPLIT_TRAIN, seed, count));
    TRY(tell_split(t, SPLIT_VAL, rng_key(seed, rng_hash("validation")), VALIDATION_STORIES));
    /* Every id but the first is a target.  After a story's last word its end is certain: end tokens add to the count alone. */
    set->floor = t->nats / (double)(token_files_all(&t->files, SPLIT_VAL) - 1);
    return token_files_commit(&t->files, t->tokenizer);
}

static int open_and_tell(struct teller *t, const char *out, uint64_t seed, uint64_t count)
{
    TRY(tales_open(&t->grammar));
    TRY(tokenizer_parse(&t->tokenizer, tales_tokenizer, (size_t)(tales_tokenizer_end - tales_tokenizer), "tales_tokenizer.json"));
    TRY(token_files_create(&t->files, out, t->o->format, 0));
    return tell_all(t, seed, count);
}

static int prepare_tales(const struct prepare_options *o, uint64_t seed, uint64_t count, struct prepared *done)
{
    struct teller t = { .o = o, .files = { .file.fd = -1, .lock = -1 } };
    int failed = open_and_tell(&t, o->out, seed, count ? count : PREPARE_TALES);
    if (!failed) *done = (struct prepared){ token_files_all(&t.files, SPLIT_TRAIN), token_files_all(&t.files, SPLIT_VAL), t.stories, t.bytes, t.files.set.vocab };
    token_files_discard(&t.files);
    grammar_free(t.grammar);
    tokenizer_free(t.tokenizer);
    text_free(&t.story);
    ids_free(&t.ids);
    return failed;
}

int prepare_named(const char *name, const char *file, const char *out, int64_t count, uint64_t seed,
                  const struct prepare_options *o, struct prepared *done)
{
    const struct set *set = find_set(name);
    struct prepare_options of_set = *o;
    FAIL_IF(!set, E_USAGE, "there is no set \"%.80s\"; there are shakespeare_char, shakespeare and tales", name);
    FAIL_IF(!set->tokenizer && o->tokenizer, E_USAGE, "%s brings a tokenizer of its own; leave out --tokenizer", name);
    of_set.out = out;
    if (!o->tokenizer) of_set.tokenizer = set->tokenizer;
    return set->tokenizer ? prepare_shakespeare(file, &of_set, done) : prepare_tales(&of_set, seed, (uint64_t)count, done);
}
