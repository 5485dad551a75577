/* replay.c -- the inputs in tests/fuzz/, each shown to a parser as libFuzzer would: nothing may crash, and what the entry checks holds.
 * Linked with one source file that was compiled with its entry; the program's name says whose inputs: replay_tokenizer_json takes those in
 * tests/fuzz/tokenizer_json and in tests/fuzz/tokenizer. */
#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *name;

static size_t replay_folder(const char *inputs)
{
    char **names, path[PATH_SIZE];
    size_t n;
    if (!path_is_dir(inputs)) return 0;
    assert_ok(dir_list(inputs, &names, &n));
    for (size_t i = 0; i < n; i++) {
        struct text input = { 0 };
        assert_ok(path_join(path, inputs, names[i]));
        assert_ok(file_read(path, 1 << 20, &input));
        print_message("%s\n", path);                         /* the last one is the one that crashed */
        LLVMFuzzerTestOneInput((const uint8_t *)input.at, input.size);
        text_free(&input);
    }
    free(names);
    return n;
}

static void replay(void **state)
{
    char own[PATH_SIZE], family[PATH_SIZE];
    (void)state;
    assert_ok(path_join(own, "tests/fuzz", name));
    snprintf(family, sizeof family, "tests/fuzz/%.*s", (int)strcspn(name, "_"), name);
    assert_true(replay_folder(own) + (strcmp(own, family) ? replay_folder(family) : 0) > 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    name = path_base(argv[0]) + sizeof "replay_" - 1;
    const struct CMUnitTest tests[] = { cmocka_unit_test(replay) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
