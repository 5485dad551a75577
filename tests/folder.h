/* folder.h -- a folder of the test's own, made by enter_folder and removed by leave_folder (cmocka's group fixtures). */
#ifndef FOLDER_H
#define FOLDER_H
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[64];

/* In memory where a test says so (TEST_IN_MEMORY) and the system has such a place: thousands of fsyncs would take their time. */
static inline int enter_folder(void **state)
{
    (void)state;
#ifdef TEST_IN_MEMORY
    strcpy(folder, "/dev/shm/nib_test_XXXXXX");
    if (mkdtemp(folder)) return 0;
#endif
    strcpy(folder, "/tmp/nib_test_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static inline int leave_folder(void **state) { (void)state; return dir_remove(folder); }

static inline const char *at(const char *name)               /* a path in it; four may be held at once */
{
    static char path[4][PATH_SIZE];
    static int i;
    i = (i + 1) % 4;
    assert_ok(path_join(path[i], folder, name));
    return path[i];
}

static inline void write_text(const char *path, const char *text)
{
    assert_ok(file_write(path, text, strlen(text)));
}

static inline void assert_holds(const char *path, const char *wanted)
{
    struct text t = { 0 };
    assert_ok(file_read(path, 1 << 20, &t));
    assert_string_equal(t.at, wanted);
    text_free(&t);
}

static inline size_t names_in(const char *path)
{
    char **names;
    size_t n;
    assert_ok(dir_list(path, &names, &n));
    free(names);
    return n;
}

#endif
