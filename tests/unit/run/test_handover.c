#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/run/handover.h"

static sheaf_socket_t listening(const char *text, bool is_admin)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sheaf_socket_t sock = {.is_admin = is_admin, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    snprintf(sock.text, sizeof(sock.text), "%s", text);
    assert_int_equal(bind(sock.fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(sock.fd, 1), 0);
    return sock;
}

static bool is_closed_on_exec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void what_is_given_is_taken(void **state)
{
    sheaf_tickets_t *keys = sheaf_tickets_new(), *copy = sheaf_tickets_new();
    sheaf_sockets_t given = {.count = 2}, taken;
    int word[2];
    char byte;

    (void)state;
    given.items[0] = listening("127.0.0.1:0", false);
    given.items[1] = listening("unix:/a path", true);
    assert_int_equal(pipe2(word, O_CLOEXEC), 0);
    sheaf_tickets_rotate(keys, 5000, 1000);
    assert_true(sheaf_handover_give(&given, keys, word[1]));
    assert_false(is_closed_on_exec(given.items[0].fd));
    assert_false(is_closed_on_exec(word[1]));

    sheaf_handover_take(&taken); /* this process named itself */
    assert_int_equal(taken.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(taken.items[i].fd, given.items[i].fd);
        assert_string_equal(taken.items[i].text, given.items[i].text);
        assert_int_equal(taken.items[i].is_admin, given.items[i].is_admin);
        assert_true(is_closed_on_exec(taken.items[i].fd));
        assert_true((fcntl(taken.items[i].fd, F_GETFL) & O_NONBLOCK) != 0);
    }
    assert_null(getenv("SHEAF_HANDOVER"));
    sheaf_handover_take_tickets(copy, 5500);
    assert_int_equal(sheaf_tickets_rotate(copy, 5500, 1000), 6000); /* it has the key, and its age */
    sheaf_tickets_free(keys);
    sheaf_tickets_free(copy);

    sheaf_handover_ready();
    assert_int_equal(read(word[0], &byte, 1), 1);
    assert_int_equal(read(word[0], &byte, 1), 0); /* and no more */
    close(word[0]);
    sheaf_sockets_close(&taken, NULL);
}

static void take_from(const char *variable, const char *value, uint32_t want)
{
    sheaf_sockets_t taken;

    setenv(variable, value, 1);
    sheaf_handover_take(&taken);
    assert_int_equal(taken.count, want);
    assert_null(getenv(variable));
}

static void what_is_meant_for_others_or_makes_no_sense_is_left(void **state)
{
    sheaf_socket_t sock = listening("x", false);
    char value[128];

    (void)state;
    snprintf(value, sizeof(value), "%d 99\n%d client x\n", (int)getpid() + 1, sock.fd);
    take_from("SHEAF_HANDOVER", value, 0);
    snprintf(value, sizeof(value), "%d\n%d client x\n", (int)getpid(), sock.fd);
    take_from("SHEAF_HANDOVER", value, 0);
    snprintf(value, sizeof(value), "%d 99\nx client x\n0 client y\n77777 client z\n%d\n%d client\n\n", (int)getpid(),
             sock.fd, sock.fd);
    take_from("SHEAF_HANDOVER", value, 0);
    take_from("SHEAF_HANDOVER", "", 0);
    take_from("LISTEN_PID", "1", 0);
    sheaf_handover_forget();
    close(sock.fd);
}

static void sockets_of_systemd_are_known_by_what_they_are_bound_to(void **state)
{
    sheaf_socket_t sock = listening("", false);
    sheaf_sockets_t old = {.count = 1, .items = {sock}}, new;
    sheaf_listener_conf_t listener = {.address = {SHEAF_STR("127.0.0.1:1"), SHEAF_STR("127.0.0.1"), 0, false}};
    sheaf_conf_t conf = {.listen = {&listener, 1}};
    sheaf_fail_t fail;

    (void)state;
    listener.address.port = sheaf_sockets_port(&old, 0);
    assert_int_equal(sheaf_sockets_open(&conf, &old, NULL, 0, &new, &fail), SHEAF_OK);
    assert_int_equal(new.items[0].fd, sock.fd);
    assert_string_equal(new.items[0].text, "127.0.0.1:1");
    sheaf_handover_close_unused(&old, &new);
    assert_true(fcntl(sock.fd, F_GETFD) >= 0);

    listener.address.host = SHEAF_STR("127.0.0.2");
    assert_int_equal(sheaf_sockets_open(&conf, &old, NULL, 0, &new, &fail), SHEAF_OK);
    assert_true(new.items[0].fd != sock.fd);
    sheaf_handover_close_unused(&old, &new);
    assert_int_equal(fcntl(sock.fd, F_GETFD), -1);
    sheaf_sockets_close(&new, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_is_taken),
        cmocka_unit_test(what_is_meant_for_others_or_makes_no_sense_is_left),
        cmocka_unit_test(sockets_of_systemd_are_known_by_what_they_are_bound_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
