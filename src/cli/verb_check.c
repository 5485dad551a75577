/* verb_check.c -- nib check RUN: every checkpoint of a run against its manifest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "train/checkpoint.h"

static int check(struct options *options, int argc, char **argv)
{
    char **names, path[PATH_SIZE];
    size_t n;
    int good = 0, code = 0;
    (void)options;
    FAIL_IF(!argc, E_USAGE, "nib check RUN: the folder of which run?");
    TRY(dir_list(argv[0], &names, &n));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], "step-", 5) || path_has_suffix(names[i], ".tmp") || path_join(path, argv[0], names[i])) continue;
        int bad = checkpoint_verify(path);
        printf("%s: %s\n", path, bad ? error_text() : "verified");
        if (bad) code = bad;
        else good++;
    }
    free(names);
    FAIL_IF(!good && !code, E_IO, "%s has no checkpoint", argv[0]);
    return code;
}

int verb_check(int argc, char **argv)
{
    return cli_run(&(struct command){ NULL, 0, 0, 1, "nib check RUN\n\nWhether every file of every checkpoint of a run is what was written, by its SHA-256.\n", check }, NULL, argc, argv);
}
