/* machine.c -- choosing. */
#include "train/machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cpu/cpu.h"

enum { CACHE_BYTES = 1 << 16 };
static const double WORTH = 1.3;

/* The gain is measured once a processor model and then remembered: a probe may be disturbed, and runs should agree. */
static double remembered_gain(const char **isa)
{
    char path[PATH_SIZE];
    json_t *all = NULL;
    double gain = cpu_bf16_gain(isa);
    if (!*isa || cache_path(path, "bf16_gain.json")) return gain;
    if (path_is_file(path) && json_read(&all, path, CACHE_BYTES)) all = NULL;
    const json_t *known = json_object_get(all, cpu_model());
    if (json_is_number(known)) {
        gain = json_number_value(known);
    } else {
        if (!all) all = json_object();
        json_object_set_new(all, cpu_model(), json_real(gain));
        json_write(path, all);                               /* what cannot be remembered is measured again */
    }
    json_decref(all);
    return gain;
}

int machine_choose(const struct settings *s, const char *isa, const char *dtype, enum dtype *type, struct text *notices)
{
    const char *dots = NULL, *wish = getenv("NIB_CPU");
    if (strcmp(s->device, "auto") && strcmp(s->device, "cpu")) text_format(notices, "device %s: this is a build for the CPU, which is used\n", s->device);
    if (!strcmp(s->dtype, "float16")) text_add(notices, "dtype float16: not on the CPU; auto is used\n");
    double gain = remembered_gain(&dots);
    int is_auto = !strcmp(s->dtype, "auto") || !strcmp(s->dtype, "float16");
    *type = is_auto ? (gain >= WORTH ? BF16 : F32) : strcmp(s->dtype, "bfloat16") ? F32 : BF16;
    if (*dtype && is_auto) *type = strcmp(dtype, dtype_name(BF16)) ? F32 : BF16;
    const char *build = *type == BF16 && gain > 1 && !(wish && *wish) ? dots : NULL;
    if (*isa && !(wish && *wish)) build = isa;
    if (cpu_init(build, (int)s->threads)) {
        FAIL_IF(!*isa, E_USAGE, "%s", error_text());
        text_format(notices, "the run was made with %s kernels, which do not run here: it goes on, but not with the same bits\n", isa);
        TRY(cpu_init(NULL, (int)s->threads));
    }
    if (*type == BF16) text_format(notices, "bf16 activations, %s kernels (products of bf16 run at %.1f times the f32 rate here)\n", cpu_isa(), gain);
    return 0;
}
