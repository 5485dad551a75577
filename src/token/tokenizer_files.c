/* tokenizer_files.c -- which files hold a tokenizer, where GPT-2's come from, and what is written. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "file/fetch.h"
#include "file/pickle.h"
#include "token/tokenizer_stages.h"

/* Bytes.  The largest vocabularies in use take half of the first; all characters there are would take the second. */
enum { FILE_LIMIT = 64 << 20, META_LIMIT = 32 << 20 };

/* ---- vocab.json + merges.txt, which OpenAI called encoder.json + vocab.bpe ---- */

static size_t count_lines(const struct text *text)           /* at least as many as there are */
{
    size_t n = 1;
    for (size_t i = 0; i < text->size; i++) n += text->at[i] == '\n';
    return n;
}

/* Ends a line where it ends.  Returns the next, NULL if it was the last. */
static char *cut_line(char *line)
{
    char *end = strchr(line, '\n');
    if (!end) return NULL;
    *end = 0;
    if (end > line && end[-1] == '\r') end[-1] = 0;
    return end + 1;
}

/* The first line may state the format's version; empty lines are fine. */
static int read_merge_lines(const struct tokenizer *t, struct merges *merges, char *text, const char *what)
{
    size_t number = 1;
    for (char *line = text, *next; line; line = next, number++) {
        next = cut_line(line);
        if (!*line || (number == 1 && !strncmp(line, "#version", 8))) continue;
        int failed = merge_from_line(t, &merges->at[merges->n], line);
        if (failed) return error_prefix(failed, "%s: line %zu", what, number);
        merges->n++;
    }
    return 0;
}

/* What goes without saying in these two files: text is cut as for GPT-2, and the end of text is a special token. */
static int add_gpt2_rules(struct tokenizer *t, struct parts *p, const json_t *vocab)
{
    const json_t *end = json_object_get(vocab, END_OF_TEXT);
    struct token *token = arena_take(&t->memory, sizeof *token);
    FAIL_IF(!token, E_MEMORY, "no memory for a vocabulary");
    *token = (struct token){ .bytes = END_OF_TEXT, .size = sizeof END_OF_TEXT - 1, .id = (uint32_t)json_integer_value(end),
                             .flags = TOKEN_ADDED | TOKEN_SPECIAL };
    p->added = (struct tokens){ token, json_is_integer(end) };
    p->kind = MODEL_BYTES;
    p->stage[p->stages++].pattern = SPLIT_GPT2;
    return 0;
}

static int make_of_pair(struct tokenizer *t, const json_t *vocab, const char *vocab_path, const struct text *lines,
                        const char *lines_path)
{
    struct parts p = { 0 };
    struct merges merges = { 0 };
    FAIL_IF(memchr(lines->at, 0, lines->size), E_DATA, "%s: a NUL, which no list of merges contains", lines_path);
    TRY(add_gpt2_rules(t, &p, vocab));
    TRY(vocab_from_json(t, &p, vocab, vocab_path));
    TRY(tokenizer_vocabulary(t, &p, vocab_path));
    merges.at = take_array(&t->memory, count_lines(lines), sizeof *merges.at);
    FAIL_IF(!merges.at, E_MEMORY, "%s: no memory for the merges", lines_path);
    TRY(read_merge_lines(t, &merges, lines->at, lines_path));
    TRY(tokenizer_merges(t, &p, merges, lines_path));
    tokenizer_ready(t);
    return 0;
}

static int read_pair(struct tokenizer **out, const char *vocab_path, const char *lines_path)
{
    json_t *vocab = NULL;
    struct text lines = { 0 };
    struct tokenizer *t = NULL;
    int failed = json_read(&vocab, vocab_path, FILE_LIMIT);
    if (!failed) failed = file_read(lines_path, FILE_LIMIT, &lines);
    if (!failed) failed = tokenizer_new(&t);
    if (!failed) failed = make_of_pair(t, vocab, vocab_path, &lines, lines_path);
    json_decref(vocab);
    text_free(&lines);
    if (failed) tokenizer_free(t);
    else *out = t;
    return failed;
}

/* ---- nanoGPT's meta.pkl ---- */

static int is_entry(const struct pickle *id, const struct pickle *symbol)
{
    int is_id = id->kind == PICKLE_INT && id->integer >= 0 && id->integer < MAX_IDS;
    return is_id && symbol->kind == PICKLE_STRING && symbol->size <= 4;          /* that it is one character is checked later */
}

/* "itos" says all; "stoi" is the same the other way round, and "vocab_size" its length. */
static int read_symbols(struct tokenizer *t, struct tokens *list, const struct pickle *root, const char *what)
{
    const struct pickle *itos = pickle_get(root, "itos");
    FAIL_IF(!itos || itos->kind != PICKLE_DICT, E_DATA, "%s: no dictionary \"itos\" from ids to characters", what);
    list->at = take_array(&t->memory, itos->n / 2, sizeof *list->at);
    FAIL_IF(!list->at, E_MEMORY, "%s: no memory for %zu characters", what, itos->n / 2);
    for (; list->n < itos->n / 2; list->n++) {
        const struct pickle *id = itos->item[2 * list->n], *symbol = itos->item[2 * list->n + 1];
        FAIL_IF(!is_entry(id, symbol), E_DATA, "%s: entry %zu of \"itos\" is not an id and a character", what, list->n);
        char *bytes = arena_take(&t->memory, symbol->size + 1);
        FAIL_IF(!bytes, E_MEMORY, "%s: no memory for %zu characters", what, itos->n / 2);
        memcpy(bytes, symbol->string, symbol->size);
        list->at[list->n] = (struct token){ .bytes = bytes, .size = (uint32_t)symbol->size, .id = (uint32_t)id->integer };
    }
    return 0;
}

/* The pickle's memory is its own: the tokenizer keeps copies of the characters alone. */
static int make_of_meta(struct tokenizer *t, const struct text *all, const char *path)
{
    struct arena memory = { 0 };
    struct pickle *root;
    struct parts p = { 0 };
    int failed = pickle_parse(&root, &memory, (const uint8_t *)all->at, all->size, NULL, path);
    if (!failed) failed = read_symbols(t, &p.model, root, path);
    if (!failed) failed = tokenizer_vocabulary(t, &p, path);
    if (!failed) tokenizer_ready(t);
    arena_free(&memory);
    return failed;
}

/* ---- files that are read whole ---- */

static int read_whole(struct tokenizer **out, const char *path, size_t limit, int (*make)(struct tokenizer *t, const struct text *all, const char *path))
{
    struct text all = { 0 };
    struct tokenizer *t = NULL;
    int failed = file_read(path, limit, &all);
    if (!failed) failed = tokenizer_new(&t);
    if (!failed) failed = make(t, &all, path);
    text_free(&all);
    if (failed) tokenizer_free(t);
    else *out = t;
    return failed;
}

static int read_meta(struct tokenizer **t, const char *path, const char *unused)
{
    (void)unused;
    return read_whole(t, path, META_LIMIT, make_of_meta);
}

/* ---- tokenizer.json, or BERT's vocab.txt ---- */

#define BERT_FILE "vocab.txt"

/* The folder a file is in. */
static int folder_of(char out[PATH_SIZE], const char *path)
{
    size_t n = (size_t)(path_base(path) - path);
    if (n == 0) return path_join(out, ".", "");
    FAIL_IF(n >= PATH_SIZE, E_USAGE, "path too long: %.200s...", path);
    memcpy(out, path, n);
    out[n] = 0;
    return 0;
}

const char *token_in_config(const json_t *config, const char *key)
{
    const json_t *token = json_object_get(config, key);
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static int set_end(struct tokenizer *t, const json_t *config, const char *config_path)
{
    const char *content = token_in_config(config, "eos_token");
    char name[QUOTE_SIZE];
    if (!content) return 0;
    t->end = tokenizer_added(t, content);
    FAIL_IF(t->end < 0, E_DATA, "%s: the \"eos_token\" is %s, which is not among the added tokens", config_path,
            quote(name, content, strlen(content)));
    return 0;
}

/* transformers writes 10^30 as "model_max_length" where there is none, which no 64-bit integer holds; a real does. */
static int parse_config(json_t **config, const struct text *all, const char *path)
{
    TRY(json_parse_reals(config, all->at, all->size, path));
    if (json_is_object(*config)) return 0;
    json_decref(*config);
    *config = NULL;
    FAIL(E_DATA, "%s: it is no object", path);
}

/* The tokenizer_config.json beside a file; NULL if there is none. */
static int read_config(json_t **config, char config_path[PATH_SIZE], const char *path)
{
    char folder[PATH_SIZE];
    struct text all = { 0 };
    *config = NULL;
    TRY(folder_of(folder, path));
    TRY(path_join(config_path, folder, "tokenizer_config.json"));
    if (!path_is_file(config_path)) return 0;
    int failed = file_read(config_path, FILE_LIMIT, &all);
    if (!failed) failed = parse_config(config, &all, config_path);
    text_free(&all);
    return failed;
}

/* The config names the end token, and what is done to a vocab.txt's text. */
static int make_of_both(struct tokenizer *t, const struct text *all, const char *path, const json_t *config, const char *config_path)
{
    json_t *root = NULL;
    int is_bert = !strcmp(path_base(path), BERT_FILE);
    int failed = is_bert ? tokenizer_of_bert(t, all, path, config, config_path) : json_parse(&root, all->at, all->size, path);
    if (!failed && root) failed = tokenizer_of_json(t, root, path);
    if (!failed) failed = set_end(t, config, config_path);
    json_decref(root);
    return failed;
}

static int make_by_config(struct tokenizer *t, const struct text *all, const char *path)
{
    char config_path[PATH_SIZE];
    json_t *config;
    TRY(read_config(&config, config_path, path));
    int failed = make_of_both(t, all, path, config, config_path);
    json_decref(config);
    return failed;
}

static int read_by_config(struct tokenizer **t, const char *path, const char *unused)
{
    (void)unused;
    return read_whole(t, path, FILE_LIMIT, make_by_config);
}

static int read_other(struct tokenizer **t, const char *path, const char *unused)
{
    (void)unused;
    return read_whole(t, path, FILE_LIMIT, tokenizer_of_other);
}

/* ---- open: by what is there ---- */

static const struct form {
    const char *file, *other;            /* other: the second of a pair, else NULL */
    int is_common;                       /* data and models may have a file of this name that is no tokenizer: tokenizer_look passes over it */
    int (*read)(struct tokenizer **t, const char *path, const char *other_path);
} forms[] = {
    { "tokenizer.json", NULL, 0, read_by_config },
    { "encoder.json", "vocab.bpe", 0, read_pair },
    { "vocab.json", "merges.txt", 0, read_pair },
    { "meta.pkl", NULL, 0, read_meta },
    { "tokenizer.bin", NULL, 0, read_other },
    { "gpt2_tokenizer.bin", NULL, 0, read_other },
    { BERT_FILE, NULL, 1, read_by_config },
};
enum { FORMS = sizeof forms / sizeof *forms };

static int read_form(struct tokenizer **t, const struct form *f, const char *folder, int *found)
{
    char path[PATH_SIZE], other[PATH_SIZE];
    TRY(path_join(path, folder, f->file));
    TRY(path_join(other, folder, f->other ? f->other : f->file));
    *found = path_is_file(path) && path_is_file(other);
    return *found ? f->read(t, path, other) : 0;
}

/* The first form whose files are all there.  Its failure is the answer: another form's would only hide it. */
static int open_folder(struct tokenizer **t, const char *folder, int *found)
{
    int failed = 0;
    *found = 0;
    for (int i = 0; i < FORMS && !failed && !*found; i++) failed = read_form(t, &forms[i], folder, found);
    return failed;
}

static int look_for(const char *folder, const char *name, int *is)
{
    char path[PATH_SIZE];
    *is = 0;
    if (!name) return 0;
    TRY(path_join(path, folder, name));
    return path_look(path, is);
}

int tokenizer_look(const char *folder, int *is)
{
    *is = 0;
    for (int i = 0; i < FORMS && !*is; i++) {
        if (forms[i].is_common) continue;
        TRY(look_for(folder, forms[i].file, is));
        if (!*is) TRY(look_for(folder, forms[i].other, is));
    }
    return 0;
}

/* One of a pair stands for both. */
static int open_file(struct tokenizer **t, const char *path)
{
    char folder[PATH_SIZE];
    const char *name = path_base(path);
    int found = 0;
    for (int i = 0; i < FORMS; i++) {
        if (!forms[i].other || (strcmp(name, forms[i].file) && strcmp(name, forms[i].other))) continue;
        TRY(folder_of(folder, path));
        TRY(read_form(t, &forms[i], folder, &found));
        FAIL_IF(!found, E_DATA, "%s: %s and %s belong together, and one of them is missing", path, forms[i].file, forms[i].other);
        return 0;
    }
    if (path_has_suffix(path, ".tiktoken") || path_has_suffix(path, ".bin") || path_has_suffix(path, ".model")) return read_other(t, path, NULL);
    return path_has_suffix(path, ".pkl") ? read_meta(t, path, NULL) : read_by_config(t, path, NULL);
}

int tokenizer_open(struct tokenizer **t, const char *path)
{
    int found;
    if (!path_is_dir(path)) return open_file(t, path);
    TRY(open_folder(t, path, &found));
    FAIL_IF(!found, E_DATA, "%s: no tokenizer there; it would be tokenizer.json, vocab.bpe and encoder.json, vocab.json and "
            "merges.txt, meta.pkl, or vocab.txt", path);
    return 0;
}

int tokenizer_open_in(struct tokenizer **t, const char *folder)
{
    int is;
    *t = NULL;
    TRY(tokenizer_look(folder, &is));
    return is ? tokenizer_open(t, folder) : 0;
}

/* ---- find: by name ---- */

#define GPT2_URL "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
#define GPT2_FINGERPRINT "f39dc2522e1e6f1d"                  /* of these two files, and of the tokenizer.json that says the same */
static const struct { const char *name, *sha256; } gpt2_files[] = {
    { "vocab.bpe", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5" },
    { "encoder.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783" },
};

/* NULL if the folder has no tokenizer, or that of something else, or a damaged one.  The fingerprint decides. */
static struct tokenizer *gpt2_in(const char *folder)
{
    struct tokenizer *t = NULL;
    int found;
    if (!path_is_dir(folder) || open_folder(&t, folder, &found) || !found) return NULL;
    if (!strcmp(tokenizer_fingerprint(t), GPT2_FINGERPRINT)) return t;
    tokenizer_free(t);
    return NULL;
}

struct tokenizer *tokenizer_gpt2_at_hand(void)
{
    char folder[PATH_SIZE];
    return cache_path(folder, "gpt2") ? NULL : gpt2_in(folder);
}

/* The same files, from the same place and with the same checksums, as tiktoken fetches. */
static int download_gpt2(const char *folder)
{
    char url[256], path[PATH_SIZE], instead[PATH_SIZE + 128];
    snprintf(instead, sizeof instead, "put GPT-2's vocab.bpe and encoder.json into %s by hand", folder);
    TRY(dir_make(folder));
    for (size_t i = 0; i < sizeof gpt2_files / sizeof *gpt2_files; i++) {
        snprintf(url, sizeof url, GPT2_URL "%s", gpt2_files[i].name);
        TRY(path_join(path, folder, gpt2_files[i].name));
        TRY(fetch(url, path, gpt2_files[i].sha256, instead, NULL, NULL));
    }
    return 0;
}

int tokenizer_find(struct tokenizer **t, const char *name, const char *beside)
{
    char folder[PATH_SIZE];
    if (strcmp(name, "gpt2")) return tokenizer_open(t, name);
    if (beside && (*t = gpt2_in(beside))) return 0;
    TRY(cache_path(folder, name));
    if ((*t = gpt2_in(folder))) return 0;
    TRY(download_gpt2(folder));
    *t = gpt2_in(folder);
    FAIL_IF(!*t, E_DATA, "%s: the tokenizer in there is not GPT-2's; remove it, and nib will download that", folder);
    return 0;
}

/* ---- save ---- */

/* No "model_max_length": a vocabulary knows no context, and without it transformers assumes none. */
static int save_config(const struct tokenizer *t, const char *folder)
{
    char path[PATH_SIZE];
    const char *end = t->end >= 0 ? t->vocab.at[t->end].bytes : NULL;
    const char *start = end && !strcmp(end, END_OF_TEXT) ? end : NULL;           /* GPT-2's also begins texts */
    TRY(path_join(path, folder, "tokenizer_config.json"));
    json_t *root = json_pack("{s:s, s:b, s:s*, s:s*}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0, "bos_token", start, "eos_token", end);
    FAIL_IF(!root, E_MEMORY, "no memory for %s", path);
    int failed = json_write(path, root);
    json_decref(root);
    return failed;
}

static int save_json(const struct tokenizer *t, const char *folder)
{
    char path[PATH_SIZE];
    json_t *root;
    TRY(path_join(path, folder, "tokenizer.json"));
    TRY(tokenizer_to_json(t, &root));
    int failed = json_write(path, root);
    json_decref(root);
    return failed;
}

/* What nanoGPT's sample.py looks for beside the data; a hole becomes an empty symbol there. */
static int save_meta(const struct tokenizer *t, const char *folder)
{
    char path[PATH_SIZE];
    struct text out = { 0 };
    TRY(path_join(path, folder, "meta.pkl"));
    const char **symbol = calloc(t->vocab.n, sizeof *symbol);
    FAIL_IF(!symbol, E_MEMORY, "no memory for %s", path);
    for (uint32_t id = 0; id < t->vocab.n; id++) symbol[id] = t->vocab.at[id].bytes ? t->vocab.at[id].bytes : "";
    pickle_write_meta(&out, symbol, t->vocab.n);
    int failed = out.failed ? E_MEMORY : file_write(path, out.at, out.size);
    text_free(&out);
    free(symbol);
    FAIL_IF(failed == E_MEMORY, E_MEMORY, "no memory for %s", path);
    return failed;
}

int tokenizer_save(const struct tokenizer *t, const char *folder)
{
    TRY(save_json(t, folder));
    TRY(save_config(t, folder));
    return t->kind != MODEL_CHARACTERS ? 0 : save_meta(t, folder);
}

#ifdef FUZZ_TOKENIZER_FILES
enum { KIND_META, KIND_PAIR, KIND_BERT, KIND_JSON, KINDS };

static int make(struct tokenizer *t, int kind, const struct text *first, const struct text *second)
{
    json_t *root;
    if (kind == KIND_META) return make_of_meta(t, second, "meta.pkl");
    TRY(kind == KIND_PAIR ? json_parse(&root, first->at, first->size, "vocab.json") : parse_config(&root, second, "tokenizer_config.json"));
    int failed = kind == KIND_PAIR ? make_of_pair(t, root, "vocab.json", second, "merges.txt")
                                   : make_of_both(t, first, kind == KIND_BERT ? BERT_FILE : "tokenizer.json", root, "tokenizer_config.json");
    json_decref(root);
    return failed;
}

/* A byte that says the kind, a file and a NUL, and the file that belongs to it; a meta.pkl is alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text file[2] = { 0 }, back = { 0 };
    struct tokenizer *t;
    struct ids ids = { 0 };
    int kind = size ? data[0] % KINDS : KIND_META;
    const uint8_t *at = data + (size > 0), *end = data + size, *nul = kind == KIND_META ? NULL : memchr(at, 0, (size_t)(end - at)), *second = nul ? nul + 1 : at;
    if (tokenizer_new(&t)) return 0;
    text_bytes(&file[0], at, nul ? (size_t)(nul - at) : 0);
    text_bytes(&file[1], second, (size_t)(end - second));
    if (!make(t, kind, &file[0], &file[1]) && !tokenizer_encode(t, file[1].at, file[1].size, SPECIALS_AS_TOKENS, &ids) && tokenizer_decode(t, ids.at, ids.n, &back)) abort();
    tokenizer_free(t);
    ids_free(&ids);
    for (int i = 0; i < 2; i++) text_free(&file[i]);
    text_free(&back);
    return 0;
}
#endif
