/* Names: localhost through c-ares, names that do not exist, connects that time out. */
#include "tests/unit/upstream/harness.h"

#include "gateway/upstream/resolve.h"

static void localhost_is_found_and_shared_by_all_who_ask_at_once(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[4];
    int done = 0;

    worker_use(w, "localhost", &w->a.port, 1);
    worker_open(w);
    for (int i = 0; i < 4; i++) {
        step_text(&w->a, OK_HI);
        ask_get(&asks[i], w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(w, &done, 4);
    for (int i = 0; i < 4; i++)
        assert_answer(&asks[i], 200, "hi"); /* when it is ::1 first, that refuses and 127.0.0.1 is next */
    worker_end(w);
}

static void a_name_with_a_bad_form_is_a_resolve_error(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "no..such..name", &w->a.port, 1);
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
        assert_non_null(strstr(ask.detail, "no..such..name"));
    }
    worker_end(w);
}

static void cancel_during_a_lookup_leaves_nothing_behind(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "localhost", &w->a.port, 1);
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    ask_cancel(&ask);
    assert_false(ask.is_done);
    worker_end(w);
}

static void a_name_is_one_however_often_it_is_held(void **state)
{
    worker_t *w = worker_new();
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    sheaf_name_t *a = sheaf_name_hold(resolver, SHEAF_STR("localhost"));
    sheaf_name_t *b = sheaf_name_hold(resolver, SHEAF_STR("localhost"));
    sheaf_name_t *v6 = sheaf_name_hold(resolver, SHEAF_STR("::1"));

    assert_ptr_equal(a, b);
    assert_false(sheaf_name_is_ready(a));
    assert_true(sheaf_name_is_ready(v6));
    assert_int_equal(v6->addresses[0].any.sa_family, AF_INET6);
    sheaf_name_drop(a);
    sheaf_name_drop(b);
    sheaf_name_drop(v6);
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    assert_true(w->is_closed); /* nothing was open */
    w->is_closed = false;
    worker_end(w);
}

/* A listener whose queue is full answers no SYN: the kernel drops them. */
static void a_connect_that_hangs_times_out(void **state)
{
    worker_t *w = worker_new();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fill[4];
    uint16_t port;
    ask_t ask;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], (struct sockaddr *)&address, sizeof(address));
    }
    port = ntohs(address.sin_port);
    worker_use(w, "127.0.0.1", &port, 1);
    w->conf->connect_timeout_ms = 40;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_CONNECT_TIMEOUT);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(listener);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_found_and_shared_by_all_who_ask_at_once),
        cmocka_unit_test(a_name_with_a_bad_form_is_a_resolve_error),
        cmocka_unit_test(cancel_during_a_lookup_leaves_nothing_behind),
        cmocka_unit_test(a_name_is_one_however_often_it_is_held),
        cmocka_unit_test(a_connect_that_hangs_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
