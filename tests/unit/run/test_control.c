#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/run/control.h"

static void a_note_arrives_with_its_descriptors(void **state)
{
    int ends[2];
    sheaf_note_t sent = {.kind = SHEAF_NOTE_PREPARE, .generation = 7, .fd_count = 1}, got;
    char *text;
    size_t len;

    assert_true(sheaf_control_pair(ends));
    sent.fds[0] = sheaf_control_text_fd(SHEAF_STR("workers: 2\n"));
    assert_true(sheaf_control_send(ends[0], &sent));

    assert_int_equal(sheaf_control_receive(ends[1], &got), 1);
    assert_int_equal(got.kind, SHEAF_NOTE_PREPARE);
    assert_int_equal(got.generation, 7);
    assert_int_equal(got.fd_count, 1);
    assert_true(sheaf_control_read_fd(got.fds[0], 100, &text, &len));
    assert_int_equal(len, 11);
    assert_memory_equal(text, "workers: 2\n", 11);
    free(text);
    close(sent.fds[0]);
    close(got.fds[0]);
    close(ends[0]);
    close(ends[1]);
}

static void an_empty_queue_and_a_gone_peer_are_told_apart(void **state)
{
    int ends[2];
    sheaf_note_t note;

    assert_true(sheaf_control_pair(ends));
    assert_int_equal(sheaf_control_receive(ends[1], &note), 0);
    close(ends[0]);
    assert_int_equal(sheaf_control_receive(ends[1], &note), -1);
    close(ends[1]);
}

static void two_readers_of_one_text_both_see_all_of_it(void **state)
{
    int fd = sheaf_control_text_fd(SHEAF_STR("abc"));
    char *text;
    size_t len;

    for (int i = 0; i < 2; i++) {
        assert_true(sheaf_control_read_fd(fd, 100, &text, &len));
        assert_int_equal(len, 3);
        free(text);
    }
    assert_false(sheaf_control_read_fd(fd, 2, &text, &len)); /* over the limit */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_arrives_with_its_descriptors),
        cmocka_unit_test(an_empty_queue_and_a_gone_peer_are_told_apart),
        cmocka_unit_test(two_readers_of_one_text_both_see_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
