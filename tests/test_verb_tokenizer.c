/* test_verb_tokenizer.c -- nib tokenizer and nib data info as people type them: what they print, what comes back, what is refused. */
#include "program.h"

static int set_up(void **state)
{
    if (enter_program(state)) return -1;
    write_play("my.txt", 300);
    if (run("tokenizer train my.txt --vocab 400 --special '<|endoftext|>,<|user|>' --out mine")) return print_error("%s", ERR), -1;
    return 0;
}

static void learns(void **state)
{
    (void)state;
    runs("tokenizer train my.txt --vocab=400 --special '<|endoftext|>,<|user|>' --out again --threads=3");
    assert_non_null(strstr(OUT, "again: vocabulary 400 of "));
    runs("tokenizer info mine");
    assert_non_null(strstr(OUT, "byte-level BPE, vocabulary 400, 142 merges\n"));
    assert_non_null(strstr(OUT, "text is cut as for gpt2\n"));
    assert_non_null(strstr(OUT, "\"<|endoftext|>\" 398 special ends texts \"<|user|>\" 399 special\n"));
    char *one = strdup(OUT);
    runs("tokenizer info again");
    assert_string_equal(OUT, one);
    free(one);
    runs("tokenizer info mine my.txt");
    assert_non_null(strstr(OUT, " bytes each\n"));
}

static void there_and_back(void **state)
{
    struct text text = { 0 };
    (void)state;
    assert_ok(file_read("my.txt", LIMIT, &text));
    for (int threads = 1; threads < 3; threads++) {
        runs("tokenizer encode mine my.txt --threads=%d", threads);
        write_text("ids.txt", OUT);
        runs("tokenizer decode mine ids.txt");
        assert_string_equal(OUT, text.at);
    }
    text_free(&text);
    write_text("end.txt", "a<|user|>b");
    runs("tokenizer encode mine end.txt --specials=tokens");
    assert_string_equal(OUT, "64 399 65\n");
    runs("tokenizer encode mine end.txt --show --specials=tokens");
    assert_string_equal(OUT, "64 \"a\"\n399 \"<|user|>\"\n65 \"b\"\n");
    fails(E_DATA, "the special token <|user|> stands in the text", "tokenizer encode mine end.txt --specials=refused");
    write_text("none.txt", "");
    runs("tokenizer encode mine none.txt");
    assert_string_equal(OUT, "");
}

static void trains_on_it(void **state)
{
    (void)state;
    runs("data my.txt --tokenizer mine --out data/own");
    runs("data info data/own");
    assert_non_null(strstr(OUT, "16 bits each, vocabulary 400\n"));
    assert_non_null(strstr(OUT, "it begins:\n"));
    runs("train --dataset=own --out_dir=run --n_layer=1 --n_head=1 --n_embd=8 --block_size=8 --batch_size=1 --max_iters=2 --eval_interval=2 --eval_iters=1");
    runs("data my.txt --tokenizer char --out data/letters");
    fails(E_DATA, "data/letters was made by another tokenizer", "eval run --dataset=letters");
    fails(E_DATA, "data/letters was made by another tokenizer", "train --init_from=run --dataset=letters --out_dir=other --block_size=8 --max_iters=2");
}

static void measures(void **state)
{
    (void)state;
    runs("bench tokenizer mine my.txt --threads=2 --seconds=0 --json");
    json_t *o = printed();
    assert_true(json_number_value(json_object_get(o, "encode_mb_s")) > 0);
    assert_true(json_number_value(json_object_get(o, "decode_mb_s")) > 0);
    assert_true(json_number_value(json_object_get(o, "bytes_per_id")) > 1);
    json_decref(o);
}

static void refused(void **state)
{
    (void)state;
    fails(E_USAGE, "which part?", "tokenizer");
    fails(E_USAGE, "has no part learn", "tokenizer learn");
    fails(E_USAGE, "where to?", "tokenizer train my.txt");
    fails(E_USAGE, "what is missing stands in capitals", "tokenizer encode");
    fails(E_USAGE, "regex", "tokenizer train my.txt --out x --regex=gpt3");
    fails(E_USAGE, "vocab", "tokenizer train my.txt --out x --vocab=100");
    fails(E_IO, "absent.txt", "tokenizer encode mine absent.txt");
    write_text("bad.txt", "12 x7");
    fails(E_DATA, "\"x7\" is no id", "tokenizer decode mine bad.txt");
    write_text("large.txt", "12 400");
    fails(E_DATA, "id 400 is not in the vocabulary", "tokenizer decode mine large.txt");
    fails(E_USAGE, "which folder?", "data info");
    fails(E_USAGE, "which tokenizer, and which text?", "bench tokenizer mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns), cmocka_unit_test(there_and_back), cmocka_unit_test(trains_on_it), cmocka_unit_test(measures), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
