/* slate: what one process writes, all read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/base/slate.h"

static uint64_t key_of(const char *text)
{
    return sheaf_slate_key(SHEAF_SLATE_KEY_SEED, sheaf_str_of(text));
}

static void a_reader_hears_of_what_is_news_once(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    uint64_t version = UINT64_MAX;
    sheaf_slate_line_t *line;

    assert_true(sheaf_slate_is_news(slate, &version));
    assert_false(sheaf_slate_is_news(slate, &version));
    assert_int_equal(sheaf_slate_read(slate, key_of("a")), 0);
    sheaf_slate_begin_round(slate);
    line = sheaf_slate_hold(slate, key_of("a"));
    sheaf_slate_end_round(slate);
    assert_true(sheaf_slate_is_news(slate, &version));
    sheaf_slate_write(slate, line, 6, false);
    assert_false(sheaf_slate_is_news(slate, &version));
    sheaf_slate_write(slate, line, 7, true);
    assert_true(sheaf_slate_is_news(slate, &version));
    assert_false(sheaf_slate_is_news(slate, &version));
    assert_int_equal(sheaf_slate_read(slate, key_of("a")), 7);
    assert_int_equal(sheaf_slate_read(slate, key_of("b")), 0);
    sheaf_slate_free(slate);
    sheaf_slate_free(NULL);
}

static void what_one_process_writes_another_reads_and_its_successor_goes_on(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    uint64_t version = UINT64_MAX;
    sheaf_slate_line_t *line;
    int status = -1;
    pid_t pid;

    assert_true(sheaf_slate_is_news(slate, &version));
    pid = fork();
    if (pid == 0) {
        sheaf_slate_write(slate, sheaf_slate_hold(slate, key_of("a")), 41, true);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(sheaf_slate_is_news(slate, &version));
    assert_int_equal(sheaf_slate_read(slate, key_of("a")), 41);
    sheaf_slate_begin_round(slate);
    line = sheaf_slate_hold(slate, key_of("a"));
    sheaf_slate_end_round(slate);
    assert_int_equal(sheaf_slate_value(line), 41);
    sheaf_slate_free(slate);
}

static void what_a_round_does_not_hold_is_wiped_and_its_line_is_free(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(8);
    char name[32];

    for (int round = 0; round < 100; round++) {
        sheaf_slate_begin_round(slate);
        assert_non_null(sheaf_slate_hold(slate, key_of("stays")));
        if (round == 0)
            sheaf_slate_write(slate, sheaf_slate_hold(slate, key_of("stays")), 5, true);
        for (int i = 0; i < 3; i++) {
            sheaf_slate_line_t *line;

            snprintf(name, sizeof(name), "%d of %d", i, round);
            line = sheaf_slate_hold(slate, key_of(name));
            assert_non_null(line);
            assert_int_equal(sheaf_slate_value(line), 0); /* nothing of whose line it was */
            sheaf_slate_write(slate, line, 9, true);
        }
        sheaf_slate_end_round(slate);
        assert_int_equal(sheaf_slate_read(slate, key_of("stays")), 5);
        assert_int_equal(sheaf_slate_read(slate, key_of(name)), 9);
        snprintf(name, sizeof(name), "0 of %d", round - 1);
        assert_int_equal(sheaf_slate_read(slate, key_of(name)), 0);
    }
    sheaf_slate_free(slate);
}

static void a_full_slate_takes_no_more_and_keeps_what_it_has(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(64);
    uint32_t held = 0;
    char name[32];

    sheaf_slate_begin_round(slate);
    for (int i = 0; i < 100; i++) {
        sheaf_slate_line_t *line;

        snprintf(name, sizeof(name), "%d", i);
        line = sheaf_slate_hold(slate, key_of(name));
        if (line == NULL)
            continue;
        held++;
        sheaf_slate_write(slate, line, (uint64_t)i + 1, false);
    }
    sheaf_slate_end_round(slate);
    assert_int_equal(held, 64);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(sheaf_slate_read(slate, key_of(name)), i < 64 ? i + 1 : 0);
    }
    sheaf_slate_free(slate);
}

static void keys_tell_where_texts_end(void **state)
{
    uint64_t seed = SHEAF_SLATE_KEY_SEED;

    assert_int_equal(key_of("a"), key_of("a"));
    assert_int_not_equal(key_of("a"), key_of("b"));
    assert_int_not_equal(sheaf_slate_key(key_of("ab"), SHEAF_STR("c")), sheaf_slate_key(key_of("a"), SHEAF_STR("bc")));
    assert_int_not_equal(sheaf_slate_key(key_of("a"), SHEAF_STR("")), key_of("a"));
    assert_true(sheaf_slate_key(seed, SHEAF_STR("")) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_hears_of_what_is_news_once),
        cmocka_unit_test(what_one_process_writes_another_reads_and_its_successor_goes_on),
        cmocka_unit_test(what_a_round_does_not_hold_is_wiped_and_its_line_is_free),
        cmocka_unit_test(a_full_slate_takes_no_more_and_keeps_what_it_has),
        cmocka_unit_test(keys_tell_where_texts_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
