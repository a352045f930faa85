#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/run/sockets.h"

static sheaf_listener_conf_t listeners[2];

static sheaf_conf_t conf_of(const char *first, const char *second)
{
    sheaf_conf_t conf = {.listen = {listeners, second != NULL ? 2 : 1}};
    const char *texts[2] = {first, second};

    for (int i = 0; i < 2 && texts[i] != NULL; i++)
        listeners[i].address = (sheaf_address_t){sheaf_str_of(texts[i]), SHEAF_STR("127.0.0.1"), 0, false};
    return conf;
}

static void an_address_that_stays_keeps_its_socket(void **state)
{
    sheaf_conf_t before = conf_of("127.0.0.1:0", NULL);
    sheaf_sockets_t old, new;
    sheaf_fail_t fail;

    assert_int_equal(sheaf_sockets_open(&before, NULL, NULL, 0, &old, &fail), SHEAF_OK);
    assert_true(sheaf_sockets_port(&old, 0) > 0);

    sheaf_conf_t after = conf_of("127.0.0.1:0", "localhost-a:0");
    assert_int_equal(sheaf_sockets_open(&after, &old, NULL, 0, &new, &fail), SHEAF_OK);
    assert_int_equal(new.count, 2);
    assert_int_equal(new.items[0].fd, old.items[0].fd);
    assert_true(new.items[1].fd != old.items[0].fd);
    sheaf_sockets_close(&new, NULL);
}

static void an_address_that_cannot_be_had_is_named_and_nothing_stays_open(void **state)
{
    sheaf_conf_t conf = conf_of("127.0.0.1:0", "nowhere:1");
    sheaf_sockets_t sockets;
    sheaf_fail_t fail;
    int before = dup(0), after;

    listeners[1].address.host = SHEAF_STR("nowhere");
    assert_int_equal(sheaf_sockets_open(&conf, NULL, NULL, 0, &sockets, &fail), SHEAF_ERR_SYSTEM);
    assert_non_null(strstr(fail.detail, "nowhere:1"));
    close(before);
    after = dup(0);
    assert_int_equal(after, before);
    close(after);
}

static void received_sockets_are_taken_in_order(void **state)
{
    sheaf_conf_t conf = conf_of("a", "b");
    int received[2] = {dup(0), dup(0)};
    sheaf_sockets_t sockets;
    sheaf_fail_t fail;

    assert_int_equal(sheaf_sockets_open(&conf, NULL, received, 2, &sockets, &fail), SHEAF_OK);
    assert_int_equal(sockets.items[0].fd, received[0]);
    assert_int_equal(sockets.items[1].fd, received[1]);
    sheaf_sockets_close(&sockets, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_that_stays_keeps_its_socket),
        cmocka_unit_test(an_address_that_cannot_be_had_is_named_and_nothing_stays_open),
        cmocka_unit_test(received_sockets_are_taken_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
