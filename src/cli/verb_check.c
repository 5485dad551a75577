/* verb_check.c -- nib check FOLDER ...: is a run, a model or prepared data what was written? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/sums.h"
#include "cli/cli.h"
#include "cpu/cpu.h"
#include "file/tensors.h"
#include "infer/engine.h"
#include "model/adapter.h"
#include "train/checkpoint.h"
#include "train/retention.h"

static const char USAGE[] =
    "nib check FOLDER ...\n\n"
    "Whether a run, a model or prepared data is what was written: every file of every checkpoint by its SHA-256, and where\n"
    "nothing says what a file was, whether it can be read, fits the others and holds finite numbers.\n";

static int has(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    return !path_join(path, folder, name) && path_is_file(path);
}

/* "out/step-00000250: verified", or why not, which is also returned. */
static int tell(const char *folder, int code, const char *how)
{
    if (code) printf("%s: %s\n", folder, error_text());
    else printf("%s: %s\n", folder, how);
    return code;
}

/* ---- a model ---- */

static int check_numbers(const struct tensors *file, const char *folder)
{
    for (int i = 0; i < tensors_count(file); i++) {
        const struct file_tensor *t = tensors_at(file, i);
        FAIL_IF(!are_finite(t->data, t->type, t->size / dtype_size(t->type)), E_DATA, "%s: %s holds a number that is not finite", folder, t->name);
    }
    return 0;
}

static int check_unsigned_model(const char *folder)
{
    struct engine e;
    TRY(cpu_init(NULL, 0));
    TRY(engine_open(&e, folder, &(struct engine_options){ .type = F32, .rows = 1 }));
    int code = check_numbers(e.files.tensors, folder);
    if (!code && e.files.adapter) code = check_numbers(e.files.adapter->tensors, folder);
    engine_close(&e);
    return code;
}

static int check_model(const char *folder)
{
    static const char *const of_model[] = { "config.json", "model.safetensors", NULL }, *const of_adapter[] = { ADAPTER_CONFIG, ADAPTER_MODEL, NULL };
    int are, adapts;
    TRY(adapter_look(folder, &adapts));
    TRY(sums_look(folder, &are));
    if (!are) return tell(folder, check_unsigned_model(folder), "nothing says what its files were; they can be read, fit each other, and all numbers are finite");
    return tell(folder, sums_verify_folder(folder, adapts ? of_adapter : of_model), "verified");
}

/* ---- a run ---- */

static int check_run(const char *out, const int64_t *steps, size_t n)
{
    char name[32], path[PATH_SIZE];
    int worst = 0, code, are;
    for (size_t i = 0; i < n; i++) {
        step_name(name, steps[i], "");
        TRY(path_join(path, out, name));
        if ((code = tell(path, checkpoint_verify(path), "verified"))) worst = code;
    }
    TRY(sums_look(out, &are));
    if (are && (code = check_model(out))) worst = code;
    return worst;
}

/* ---- data ---- */

static int check_data(const char *folder)
{
    struct dataset d;
    int known = 0, code = dataset_open(&d, folder);
    if (!code) code = dataset_verify(&d, &known);
    dataset_close(&d);
    return tell(folder, code, known ? "verified" : "nothing says what its files were; they are whole, and all ids are in the vocabulary");
}

/* ---- any of them ---- */

static int check_folder(const char *folder)
{
    int64_t *steps;
    size_t n;
    TRY(steps_in(folder, &steps, &n));
    int is_run = n || has(folder, "run.conf"), is_model = has(folder, "config.json") || has(folder, ADAPTER_CONFIG), is_data = dataset_look(folder);
    int code = is_run ? check_run(folder, steps, n) : is_model ? check_model(folder) : is_data ? check_data(folder) : E_IO;
    free(steps);
    FAIL_IF(is_run && !n, E_IO, "%s has no checkpoint yet", folder);
    FAIL_IF(!is_run && !is_model && !is_data, E_IO, "%s has no checkpoint, no model and no prepared data", folder);
    return code;
}

static int check(struct options *options, int argc, char **argv)
{
    int worst = 0;
    (void)options;
    for (int i = 0; i < argc; i++) {
        int code = check_folder(argv[i]);
        if (code) worst = code;
    }
    return worst;
}

int verb_check(int argc, char **argv)
{
    return cli_run(&(struct command){ NULL, 0, 1, 64, 0, USAGE, check }, NULL, argc, argv);
}
