/* test_known_faults_cli.c -- the rest of test_known_faults.c: what must hold of the program as a whole.  What nib does not have is held to
 * be absent, and the comment says what must be tested when it comes.
 *
 *   CVE-2024-34359                                      templates_are_text
 *   CVE-2024-37032, -45436, CVE-2026-103663             names_in_files
 *   CVE-2024-28224, -42477, -42478, -42479              no_sockets_and_no_programs
 *   CVE-2025-59425, CVE-2026-34159, -118375             no_sockets_and_no_programs
 *   CVE-2025-52566                                      more_tokens_than_expected
 *   CVE-2026-7482, while the file is mapped             cut_off_while_read
 *   CVE-2026-21869, -34756                              numbers_of_all_options
 *   CVE-2026-43629                                      state_of_a_run
 *   CVE-2026-43630                                      no_addresses_in_messages
 *   llama.cpp: n * layer from a tensor's name           numbers_in_names
 *   llama.cpp 9195, 11738, 14937                        half_characters_in_words */
#include "hostile.h"

#include <ctype.h>

/* ---- what files say ---- */

/* The number of a prompt's tokens was compared as signed and copied as unsigned; any prompt reached it. */
static void more_tokens_than_expected(void **state)
{
    (void)state;
    put_many("long.txt", "", "ROMEO: I would ", 20000, "");
    runs("sample good --start=FILE:long.txt --num_samples=1 --max_new_tokens=3 --threads=1");
    runs("sample good --start=R --num_samples=1 --max_new_tokens=100 --crop=exact --threads=1");       /* more than the 16 it knows */
    runs("tokenizer encode good long.txt");
    put_many("ids.txt", "", "4294967295 ", 9, "");
    fails(E_DATA, "4294967295", "tokenizer decode good ids.txt");
    put_text("ids.txt", "1 4294967296");
    fails(E_DATA, "\"4294967296\" is no id", "tokenizer decode good ids.txt");
}

/* A mapped file loses its pages when somebody cuts it off, and whoever reads them is ended by SIGBUS. */
static void cut_off_while_read(void **state)
{
    struct program p = { 0 };
    (void)state;
    runs("data my.txt --out cut");
    starts(&p, "train --dataset=cut --out_dir=lost " TINY " --max_iters=1000000 --eval_interval=1000000");
    await(&p, "step 0/1000000");
    assert_int_equal(truncate("cut/train.bin", 0), 0);
    int code = end(&p);
    if (code != E_IO || !strstr(p.text[1].at, "nib: a file that is being read was cut off meanwhile")) fail_msg("ended with %d:\n%s", code, p.text[1].at);
    for (int i = 0; i < 2; i++) text_free(&p.text[i]);
}

/* The tensors of a file under another name: its header is written anew. */
static void rename_tensor(const char *path, const char *from, const char *to)
{
    struct text t = { 0 }, header = { 0 }, all = { 0 };
    uint64_t n;
    assert_ok(file_read(path, LIMIT, &t));
    memcpy(&n, t.at, sizeof n);
    char *found = memmem(t.at + 8, n, from, strlen(from));
    assert_non_null(found);
    text_bytes(&header, t.at + 8, (size_t)(found - t.at) - 8);
    text_add(&header, to);
    text_bytes(&header, found + strlen(from), n - (size_t)(found + strlen(from) - t.at - 8));
    uint64_t size = header.size;
    text_bytes(&all, &size, sizeof size);
    text_bytes(&all, header.at, header.size);
    text_bytes(&all, t.at + 8 + n, t.size - 8 - n);
    put(path, all.at, all.size);
    text_free(&t);
    text_free(&header);
    text_free(&all);
}

/* The number in a tensor's name was multiplied by a size in 32 bits, and so decided where its data went.  Here a name is compared as a
 * whole, and a number in it means nothing. */
static void numbers_in_names(void **state)
{
    static const char *const names[] = { "h.4294967296.ln_1.weight", "h.-1.ln_1.weight", "h.99999999999999999999.ln_1.weight", "h.00.ln_1.weight", "h.0x0.ln_1.weight", "h..ln_1.weight", "h.%n.ln_1.weight" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        copy_good();
        rename_tensor("bad/good/model.safetensors", "h.0.ln_1.weight", names[i]);
        refused(of_model, "bad/good/config.json", E_DATA, "h.0.ln_1.weight is missing");
        fails(E_DATA, "h.0.ln_1.weight is missing", "sample bad/good --threads=1");
    }
}

/* A digest in a request, or a name in an archive, led out of the folder of models.  nib takes no name of a file from within a file: neither
 * what a tensor or token is called nor a record of a run says where anything is read or written. */
static void names_in_files(void **state)
{
    struct text t = { 0 };
    (void)state;
    copy_good();
    rename_tensor("bad/good/model.safetensors", "ln_f.weight", "../../ln_f.weight");
    refused(of_model, "bad/good/config.json", E_DATA, "ln_f.weight is missing");
    copy_good();
    assert_ok(file_read("bad/good/run.conf", LIMIT, &t));
    text_add(&t, "out_dir = bad/elsewhere\nmax_iters = 3\n");
    put("bad/good/run.conf", t.at, t.size);
    text_free(&t);
    runs("train --init_from=resume --out_dir=bad/good");     /* three steps, where the user said */
    copy_folder("bad/good", "out");                          /* which is where a run is if nothing is said */
    run("train --init_from=resume --max_iters=4");
    assert_false(path_is_dir("bad/elsewhere"));
}

/* A template in a model's metadata was run as it stood, and could call anything.  Here templates, and all that a configuration could be
 * taken for, are text. */
static void templates_are_text(void **state)
{
    static const char template[] = "{\"eos_token\": null, \"chat_template\": \"{{ cycler.__init__.__globals__.os.popen('touch executed').read() }}\", \"auto_map\": {\"AutoTokenizer\": \"x.py\"}}";
    (void)state;
    copy_good();
    put_text("bad/good/tokenizer_config.json", template);
    put_text("bad/good/x.py", "open('executed', 'w')\n");
    runs_how(HOW(.sealed = 1), "sample bad/good --num_samples=1 --max_new_tokens=3 --threads=1");
    put_text("bad/x.py", "import os\nos.system('touch executed')\n");
    refused(of_options, "bad/x.py", E_USAGE, "bad/x.py line 2");
    put_text("bad/x.py", "n = __import__('os').system('touch executed')\n");
    refused(of_options, "bad/x.py", E_USAGE, "bad/x.py line 1");
    put_text("bad/x.conf", "text = $(touch executed)`touch executed`\n");
    accepted(of_options, "bad/x.conf");
    assert_false(path_is_file("executed"));
}

/* Sizes in a saved state were believed.  A checkpoint has a sum for each of its files: whatever is changed, it is named, and the one
 * before it is taken. */
static void state_of_a_run(void **state)
{
    char **names, newest[64] = "", step[PATH_SIZE], path[PATH_SIZE];
    size_t n;
    (void)state;
    assert_ok(dir_list("good", &names, &n));
    for (size_t i = 0; i < n; i++)
        if (!strncmp(names[i], "step-", 5)) snprintf(newest, sizeof newest, "%.63s", names[i]);
    free(names);
    assert_true(*newest);
    assert_ok(path_join(path, "good", newest));
    assert_ok(path_join(step, "bad/good", newest));
    assert_ok(dir_list(path, &names, &n));
    for (size_t i = 0; i < n; i++) {
        struct text t = { 0 };
        copy_good();
        assert_ok(path_join(path, step, names[i]));
        assert_ok(file_read(path, LIMIT, &t));
        memset(t.at, 0xff, t.size < 8 ? t.size : 8);         /* of a safetensors file the size of its header */
        put(path, t.at, t.size);
        text_free(&t);
        fails(E_DATA, newest, "check bad/good");
        runs("train --init_from=resume --out_dir=bad/good --max_iters=2");
        assert_has(ERR, "note: checkpoint rejected: ");
    }
    free(names);
}

/* Messages told where things lay in memory, which is half of an attack.  Nothing that nib prints is an address. */
static void no_addresses_in_messages(void **state)
{
    static const char *const lines[] = { "info good --plan", "sample good --num_samples=1 --max_new_tokens=3", "check good", "eval good --dataset=my", "sample bad", "train --dataset=bad --out_dir=no", "tokenizer info good" };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        run("%s", lines[i]);
        for (int out = 0; out < 2; out++)
            for (const char *x = nib.text[out].at; (x = strstr(x, "0x")); x++)
                if (strspn(x + 2, "0123456789abcdef") >= 8) fail_msg("nib %s prints an address: %.20s", lines[i], x);
    }
}

/* ---- the command line ---- */

/* Counts in requests were negative, or so large that the answer filled memory.  Every number has a range, and what is beyond it is
 * refused by its name before anything is done. */
static void numbers_of_all_options(void **state)
{
    static const char *const lines[] = { "data my.txt", "train", "sample good", "eval good", "info", "plan", "tales", "tokenizer train my.txt", "tokenizer encode good", "bench train", "bench decode tiny", "bench gemm", "bench tokenizer good" };
    static const char *const values[] = { "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e999", "nan" };
    (void)state;
    for (size_t l = 0; l < sizeof lines / sizeof *lines; l++) {
        struct text help = { 0 };
        runs("%s --help", lines[l]);
        text_add(&help, OUT);
        for (const char *option = help.at; (option = strstr(option, "\n  --")); option++) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(option + 5, "= \n"), option + 5);
            if (!isdigit((unsigned char)option[5 + strlen(name) + 1])) continue;
            for (size_t i = 0; i < sizeof values / sizeof *values; i++) fails(E_USAGE, name, "%s --%s=%s", lines[l], name, values[i]);
        }
        text_free(&help);
    }
}

/* Half a character in a name, a text or a prompt: what is recorded reads back, and messages are UTF-8 (test_command_lines.c has more). */
static void half_characters_in_words(void **state)
{
    (void)state;
    runs("train --dataset=my --out_dir=bad/\xf0\x9f\x98 --wandb_run_name='half \xc3' " TINY " --max_iters=1");
    runs("train --init_from=resume --out_dir=bad/\xf0\x9f\x98 --max_iters=2");
    fails(E_IO, "absent?: no such", "sample absent\xf0\x9f");
    fails(E_IO, "absent?[31m: no such", "sample absent\033[31m");
    fails(E_DATA, "", "sample good --start=\xe2\x82 --threads=1");           /* characters: it has none of these */
}

/* Servers took commands from a network without asking who sends them (RPC: 9.8 and 10.0), were reached by web pages under another name
 * (DNS rebinding), and compared keys byte by byte, so that time told them.  nib opens no socket except to download what its user
 * names, and starts no program; SIGSYS would end it.  With a server: a handshake, the Host and Origin headers, and a comparison in
 * constant time have to be tested in its place. */
static void no_sockets_and_no_programs(void **state)
{
    static const char *const lines[] = {
        "data my.txt --out sealed_data", "train --dataset=sealed_data --out_dir=sealed " TINY " --max_iters=2", "train --init_from=resume --out_dir=sealed --max_iters=3", "train my.txt --out_dir=sealed_text " TINY " --max_iters=1",
        "sample sealed --num_samples=2 --max_new_tokens=5", "eval sealed --dataset=sealed_data", "info sealed --plan", "check sealed", "watch sealed", "report sealed", "plan --dataset=sealed_data " TINY, "sweep --dataset=sealed_data " TINY " --max_iters=1 --seed=1,2", "tales --count=1", "tokenizer train my.txt --out sealed_tok --vocab=300",
        "tokenizer info sealed_tok my.txt", "tokenizer encode sealed_tok my.txt", "bench gemm --model=tiny --milliseconds=0 --product=dw", "bench decode sealed --prompt=2 --tokens=2 --threads=1",
    };
    (void)state;
    if (run_how(HOW(.sealed = 1), "--version")) {
        print_message("skipped: no seccomp here, or a sanitizer that needs more\n");
        skip();
    }
    run_how(HOW(.sealed = 1), "data shakespeare_char --out sealed_download");        /* the seal holds */
    assert_int_equal(nib.status, -SIGSYS);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) runs_how(HOW(.sealed = 1), "%s", lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_tokens_than_expected),
        cmocka_unit_test(cut_off_while_read),
        cmocka_unit_test(numbers_in_names),
        cmocka_unit_test(names_in_files),
        cmocka_unit_test(templates_are_text),
        cmocka_unit_test(state_of_a_run),
        cmocka_unit_test(no_addresses_in_messages),
        cmocka_unit_test(numbers_of_all_options),
        cmocka_unit_test(half_characters_in_words),
        cmocka_unit_test(no_sockets_and_no_programs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
