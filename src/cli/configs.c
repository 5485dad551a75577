/* configs.c -- where a configuration lies, and the options of verbs that take those of nib train. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "train/settings.h"

static int exists_in(char path[PATH_SIZE], const char *folder, const char *name)
{
    return !path_join(path, folder, name) && path_is_file(path);
}

/* nanoGPT's config/train_NAME.py, where there is none, is our config/NAME.conf: beside us, or installed. */
static int find_config(const char *wanted, char path[PATH_SIZE])
{
    char name[256], exe[PATH_SIZE], folder[PATH_SIZE];
    const char *base = path_base(wanted);
    if (!strncmp(base, "train_", 6)) base += 6;
    snprintf(name, sizeof name, "%.*s.conf", (int)strcspn(base, "."), base);
    if (exists_in(path, "config", name)) return 1;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return 0;
    exe[n] = 0;
    exe[path_base(exe) - exe] = 0;
    if (!path_join(folder, exe, "config") && exists_in(path, folder, name)) return 1;
    return !path_join(folder, exe, "../share/nib/config") && exists_in(path, folder, name);
}

int cli_find_configs(int argc, char **argv, struct arena *memory, struct text *notices, int *configs)
{
    char path[PATH_SIZE];
    for (int i = 0; i < argc; i++) {
        int is_py = path_has_suffix(argv[i], ".py"), is_conf = path_has_suffix(argv[i], ".conf");
        if (argv[i][0] == '-' || (!is_py && !is_conf)) continue;
        ++*configs;
        if (path_is_file(argv[i]) || !find_config(argv[i], path)) continue;
        text_format(notices, "%s is not here; %s is used\n", argv[i], path);
        FAIL_IF(!(argv[i] = arena_copy(memory, path)), E_MEMORY, "no memory for arguments");
    }
    return 0;
}

int cli_settings(struct option *table, const struct option *more, int n)
{
    memcpy(table, settings_table, (size_t)settings_count * sizeof *table);
    memcpy(table + settings_count, more, (size_t)n * sizeof *table);
    return settings_count + n;
}
