/* hub.c -- models by name. */
#include "model/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "file/fetch.h"

static const char *const known[] = { "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl" };

static int is_known(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], name)) return 1;
    return 0;
}

static int has_model(const char *folder)
{
    static const char *const files[] = { "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin" };
    char path[PATH_SIZE];
    int has = 0;
    if (path_join(path, folder, "config.json") || !path_is_file(path)) return 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) has |= !path_join(path, folder, files[i]) && path_is_file(path);
    return has;
}

/* ---- Hugging Face's cache: models--OWNER--NAME/snapshots/COMMIT/ ---- */

static int hub_folder(char folder[PATH_SIZE])
{
    const char *hub = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"), *user = getenv("HOME");
    if (hub && *hub) return snprintf(folder, PATH_SIZE, "%s", hub) < PATH_SIZE;
    if (home && *home) return !path_join(folder, home, "hub");
    return user && !path_join(folder, user, ".cache/huggingface/hub");
}

static int in_snapshots(char folder[PATH_SIZE], const char *snapshots)
{
    char **names;
    size_t n;
    if (!path_is_dir(snapshots) || dir_list(snapshots, &names, &n)) return 0;
    int found = 0;
    for (size_t i = 0; i < n && !found; i++) found = !path_join(folder, snapshots, names[i]) && has_model(folder);
    free(names);
    return found;
}

static int in_hub(char folder[PATH_SIZE], const char *name)
{
    static const char *const owners[] = { "openai-community--", "" };
    const char *slash = strchr(name, '/');
    char hub[PATH_SIZE], sub[256], snapshots[PATH_SIZE];
    if (!hub_folder(hub)) return 0;
    for (int i = 0; i < 2; i++) {
        int n = slash ? snprintf(sub, sizeof sub, "models--%.*s--%s/snapshots", (int)(slash - name), name, slash + 1) : snprintf(sub, sizeof sub, "models--%s%s/snapshots", owners[i], name);
        if (n >= (int)sizeof sub) return 0;
        if (!path_join(snapshots, hub, sub) && in_snapshots(folder, snapshots)) return 1;
    }
    return 0;
}

/* ---- a download ---- */

static int download(const char *folder, const char *name, void (*progress)(void *, uint64_t, uint64_t), void *context)
{
    static const char *const files[] = { "config.json", "generation_config.json", "vocab.json", "merges.txt", "tokenizer.json", "model.safetensors" };
    char url[256], path[PATH_SIZE], instead[256];
    snprintf(instead, sizeof instead, "with a network: hf download openai-community/%s; then give its folder", name);
    TRY(dir_make(folder));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(url, sizeof url, "https://huggingface.co/openai-community/%s/resolve/main/%s", name, files[i]);
        TRY(path_join(path, folder, files[i]));
        TRY(fetch(url, path, NULL, instead, progress, context));
    }
    return 0;
}

/* "OWNER/NAME", as the hub has them. */
static int is_owned(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n && name[0] != '.' && name[n] == '/' && name[n + 1] && name[n + 1] != '.' && !strchr(name + n + 1, '/');
}

int hub_find(char folder[PATH_SIZE], const char *name, void (*progress)(void *context, uint64_t now, uint64_t all), void *context)
{
    static const char owner[] = "openai-community/";
    int here = path_is_dir(name) || path_is_file(name);
    if (!here && !strncmp(name, owner, strlen(owner)) && is_known(name + strlen(owner))) name += strlen(owner);
    if (!here && is_owned(name) && in_hub(folder, name)) return 0;
    if (here || !is_known(name)) {
        FAIL_IF(snprintf(folder, PATH_SIZE, "%s", name) >= PATH_SIZE, E_USAGE, "the name of the model is too long");
        FAIL_IF(!path_is_dir(folder) && !path_is_file(folder), E_IO, "%s: no such model folder or file (nor one of gpt2, gpt2-medium, gpt2-large, gpt2-xl)", name);
        return 0;
    }
    if (in_hub(folder, name)) return 0;
    TRY(cache_path(folder, name));
    return has_model(folder) ? 0 : download(folder, name, progress, context);
}
