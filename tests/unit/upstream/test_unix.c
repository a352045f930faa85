/* Servers that are unix sockets, real ones. */
#include "tests/unit/upstream/harness.h"

#include <sys/un.h>

/* A listening socket file under `w->a` instead of its port. */
static void listen_at(worker_t *w, const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    backend_stop(&w->a);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    uv_tcp_init(&w->loop, &w->a.listener);
    w->a.listener.data = &w->a;
    assert_int_equal(uv_tcp_open(&w->a.listener, fd), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->a.listener, backlog, backend_on_conn), 0);
    w->a.is_listening = true;
}

static void use_socket(worker_t *w, const char *path)
{
    uint16_t port = 0;

    worker_use(w, path, &port, 1);
    w->conf->servers.items[0].url.is_unix = true;
    w->conf->servers.items[0].url.authority = SHEAF_STR("localhost");
    worker_open(w);
}

static const char *socket_path(char folder[])
{
    static char path[64];

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a.sock", folder);
    return path;
}

static void a_unix_socket_is_a_server_like_any_other(void **state)
{
    worker_t *w = worker_new();
    char folder[] = "/tmp/sheaf-unix-XXXXXX";
    const char *path = socket_path(folder);
    char *big = calloc(1, 1 << 20);
    ask_t ask;

    listen_at(w, path, 128);
    use_socket(w, path);
    for (int i = 0; i < 4; i++)
        step_text(&w->a, OK_HI);
    for (int i = 0; i < 3; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_string_equal(w->a.log, "0:GET / 0:GET / 0:GET / ");
    assert_non_null(strstr(w->a.last, "\r\nhost: localhost\r\n"));
    memset(big, 'x', 1 << 20);
    ask_post(&ask, w, "/", sheaf_str(big, 1 << 20)); /* more than a socket takes at once */
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    free(big);
    unlink(path);
    rmdir(folder);
    worker_end(w);
}

static void a_socket_that_is_not_there_or_has_nobody_behind_it_refuses(void **state)
{
    worker_t *w = worker_new();
    char folder[] = "/tmp/sheaf-unix-XXXXXX";
    const char *path = socket_path(folder);
    ask_t ask;

    use_socket(w, path);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
    assert_blamed(&ask, "no such file or directory");
    listen_at(w, path, 128);
    backend_stop(&w->a); /* the file stays */
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
    assert_blamed(&ask, "connection refused");
    assert_int_equal(unlink(path), 0);
    listen_at(w, path, 128);
    step_text(&w->a, OK_HI);
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    unlink(path);
    rmdir(folder);
    worker_end(w);
}

static void cancel_before_a_unix_socket_is_connected_leaves_nothing_behind(void **state)
{
    worker_t *w = worker_new();
    char folder[] = "/tmp/sheaf-unix-XXXXXX";
    const char *path = socket_path(folder);
    ask_t ask;

    listen_at(w, path, 128);
    use_socket(w, path);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    ask_cancel(&ask);
    unlink(path);
    rmdir(folder);
    worker_end(w);
    assert_false(ask.is_done);
}

/* A kernel says EAGAIN where it would let TCP wait: so do we. */
static void a_full_backlog_is_waited_for_until_the_connect_timeout(void **state)
{
    worker_t *w = worker_new();
    char folder[] = "/tmp/sheaf-unix-XXXXXX", byte;
    const char *path = socket_path(folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), fill[8], count = 0, got;
    uint64_t sent_ms;
    ask_t ask;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 0), 0);
    do {
        fill[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(fill[count++], (struct sockaddr *)&address, sizeof(address)) == 0);
    use_socket(w, path);
    w->conf->connect_timeout_ms = 30;
    sent_ms = w->clock.now_ms;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_CONNECT_TIMEOUT);
    assert_in_range(w->clock.now_ms - sent_ms, 30, 900);

    w->conf->connect_timeout_ms = 5000;
    ask_send(&ask);
    worker_until_metric(w, SHEAF_METRIC_CONNS_CONNECTING, 1);
    for (int i = 0; i < count - 1; i++)
        close(accept(fd, NULL, NULL)); /* now there is room */
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
    got = accept(fd, NULL, NULL);
    assert_int_equal(recv(got, &byte, 1, 0), 1);
    assert_int_equal(byte, 'G');
    ask_cancel(&ask);
    for (int i = 0; i < count; i++)
        close(fill[i]);
    close(got);
    close(fd);
    unlink(path);
    rmdir(folder);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_socket_is_a_server_like_any_other),
        cmocka_unit_test(a_socket_that_is_not_there_or_has_nobody_behind_it_refuses),
        cmocka_unit_test(cancel_before_a_unix_socket_is_connected_leaves_nothing_behind),
        cmocka_unit_test(a_full_backlog_is_waited_for_until_the_connect_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
