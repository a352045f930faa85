/* Servers of one upstream on real sockets: what flies at each, backups, keys at the limit of conns. */
#include "gateway/upstream/balance.h"
#include "tests/unit/upstream/harness.h"

static void use_both(worker_t *w, sheaf_turn_t kind)
{
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, 2);
    w->conf->balance = (uint8_t)kind;
    worker_open(w);
}

/* With the fewest requests as the measure, equals take turns: four, one after another, are two for each only if nothing
 * is thought to fly at either. */
static void assert_nothing_flies(worker_t *w)
{
    backend_t *both[] = {&w->a, &w->b};
    int before[] = {w->a.requests, w->b.requests};
    ask_t ask;

    for (int i = 0; i < 2; i++) {
        both[i]->step_count = both[i]->requests;
        for (int k = 0; k < 4; k++)
            step_text(both[i], OK_HI);
    }
    for (int i = 0; i < 4; i++) {
        ask_get(&ask, w, "/probe");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(both[i]->requests, before[i] + 2);
        both[i]->step_count = both[i]->requests; /* the next one waits */
    }
}

/* `w->a`, which was stopped, is back on its port. */
static void listen_again(worker_t *w, uint16_t port)
{
    struct sockaddr_in address;

    uv_run(&w->loop, UV_RUN_NOWAIT); /* the old listener's close */
    uv_tcp_init(&w->loop, &w->a.listener);
    w->a.listener.data = &w->a;
    uv_ip4_addr("127.0.0.1", port, &address);
    assert_int_equal(uv_tcp_bind(&w->a.listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->a.listener, 128, backend_on_conn), 0);
    w->a.is_listening = true;
}

static void what_was_answered_flies_no_more(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    for (int i = 0; i < 3; i++) {
        step_text(&w->a, OK_HI);
        step_text(&w->b, OK_HI);
    }
    for (int i = 0; i < 6; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.requests, 3);
    assert_nothing_flies(w);
    worker_end(w);
}

static void what_was_cancelled_flies_no_more(void **state)
{
    worker_t *w = worker_new();
    ask_t sent, dialing;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    ask_get(&dialing, w, "/");
    ask_send(&dialing);
    ask_cancel(&dialing);
    assert_nothing_flies(w);
    ask_get(&sent, w, "/");
    ask_send(&sent);
    worker_until_count(w, &w->b.requests, 3);
    ask_cancel(&sent);
    assert_nothing_flies(w);
    worker_end(w);
}

static void what_failed_flies_no_more(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    step_close(&w->a, "");
    step_text(&w->b, "HTTP/1.1 nonsense\r\n\r\n");
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_MALFORMED);
    assert_nothing_flies(w);
    ask_get(&ask, w, "/");
    ask.exchange.deadline_ms = w->clock.now_ms + 20;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_nothing_flies(w);
    worker_end(w);
}

static void what_was_refused_as_too_large_flies_no_more(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask.most = 1;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_nothing_flies(w);
    worker_end(w);
}

/* RFC 9112 9.3.1: the conn was closed just as the request came. */
static void what_was_sent_again_flies_once(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    step_text(&w->a, OK_HI);
    step_close(&w->a, "");
    step_text(&w->a, OK_HI);
    step_text(&w->b, OK_HI);
    for (int i = 0; i < 3; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), 1);
    assert_string_equal(w->a.log, "0:GET / 0:GET / 1:GET / ");
    assert_nothing_flies(w);
    worker_end(w);
}

static void what_went_to_another_server_flies_there(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[3];
    uint16_t port = w->a.port;

    backend_stop(&w->a);
    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    for (int i = 0; i < 3; i++) {
        ask_get(&asks[i], w, "/");
        ask_send(&asks[i]); /* all before anybody has refused */
    }
    worker_until_count(w, &w->b.requests, 3);
    for (int i = 0; i < 3; i++)
        ask_cancel(&asks[i]);
    listen_again(w, port);
    w->clock.now_ms += SHEAF_SERVER_SHUN_MS; /* until the loop turns */
    ask_get(&asks[0], w, "/");               /* tries whether it is back */
    ask_send(&asks[0]);
    worker_until_count(w, &w->a.requests, 1);
    ask_cancel(&asks[0]);
    assert_nothing_flies(w);
    worker_end(w);
}

static void a_busy_server_is_avoided(void **state)
{
    worker_t *w = worker_new();
    ask_t slow[2], ask;

    use_both(w, SHEAF_TURN_LEAST_REQUESTS);
    ask_get(&slow[0], w, "/slow");
    ask_send(&slow[0]);
    worker_until_count(w, &w->a.requests, 1);
    for (int i = 0; i < 5; i++) {
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.requests, 1);
    assert_int_equal(w->b.requests, 5);
    ask_cancel(&slow[0]);
    assert_nothing_flies(w);
    worker_end(w);
}

/* --- backups --- */

static void a_backup_takes_over_and_hands_back(void **state)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    ask_t ask;

    worker_use(w, "127.0.0.1", ports, 2);
    w->conf->servers.items[1].backup = true;
    worker_open(w);
    for (int i = 0; i < 4; i++)
        step_text(&w->b, OK_HI);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(w->a.requests, 1);
    backend_stop(&w->a);
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 0);
    for (int i = 0; i < 4; i++) {
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->b.requests, 4);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_BACKUP), 4);

    listen_again(w, ports[0]);
    step_text(&w->a, OK_HI);
    w->clock.now_ms += SHEAF_SERVER_SHUN_MS; /* until the loop turns */
    ask_whole(&ask);
    assert_int_equal(w->a.requests, 2);
    assert_int_equal(w->b.requests, 4);
    worker_end(w);
}

/* --- at the limit of conns --- */

static sheaf_header_t user(const char *name)
{
    return (sheaf_header_t){SHEAF_STR("x-user"), sheaf_str_of(name)};
}

static void a_key_keeps_its_server_at_the_limit_of_conns(void **state)
{
    worker_t *w = worker_new();
    static const char *const names[] = {"ann", "bob", "cay", "dan", "eve", "fay", "gus", "hal"};
    sheaf_header_t headers[16];
    int done = 0, first;
    ask_t asks[16];

    use_both(w, SHEAF_TURN_HASH);
    w->conf->max_connections = 1;
    w->conf->hash_bound = 100000;
    for (int i = 0; i < 16; i++) {
        step_text(&w->a, OK_HI);
        step_text(&w->b, OK_HI);
    }
    sheaf_upstreams_close(w->view); /* opened again with what a hash goes by */
    w->conf->hash = (sheaf_hash_by_t){SHEAF_HASH_BY_HEADER, SHEAF_STR("x-user")};
    worker_open(w);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            ask_t *ask = &asks[round * 8 + i];

            ask_get(ask, w, "/");
            headers[round * 8 + i] = user(names[i]);
            ask->exchange.headers = (sheaf_headers_t){&headers[round * 8 + i], 1, 1};
            ask->counter = &done;
            ask_send(ask);
        }
        worker_until_count(w, &done, 8 * (round + 1));
        if (round == 0)
            first = w->a.requests;
    }
    assert_in_range(first, 1, 7); /* both have keys */
    assert_int_equal(w->a.requests, 2 * first);
    worker_end(w);
}

static void a_header_that_chooses_survives_the_reload_that_shares_the_upstream(void **state)
{
    worker_t *w = worker_new();
    sheaf_header_t header = user("ann");
    uint16_t ports[] = {w->a.port, w->b.port};
    sheaf_dispatch_t *old = NULL;
    sheaf_snapshot_t *first = NULL;
    ask_t ask;

    for (int i = 0; i < 2; i++) {
        worker_use(w, "127.0.0.1", ports, 2);
        w->conf->balance = SHEAF_TURN_HASH;
        w->conf->hash.what = SHEAF_HASH_BY_HEADER;
        w->conf->hash.header = sheaf_pool_dup(w->snapshot->pool, SHEAF_STR("x-user"));
        worker_open(w);
        if (old != NULL)
            sheaf_upstreams_close(old);
        sheaf_snapshot_drop(first); /* its text with it */
        old = w->view;
        first = w->snapshot;
        step_text(&w->a, OK_HI);
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask.exchange.headers = (sheaf_headers_t){&header, 1, 1};
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.conns + w->b.conns, 1);
    worker_end(w);
}

static void a_conn_of_a_backup_that_got_free_is_not_fed_once_the_others_are_back(void **state)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    ask_t first, second;
    int done = 0;

    worker_use(w, "127.0.0.1", ports, 2);
    w->conf->servers.items[0].backup = true;
    w->conf->max_connections = 1;
    worker_open(w);
    backend_stop(&w->b); /* only the backup is there */
    ask_get(&first, w, "/first");
    first.counter = &done;
    ask_send(&first);
    worker_until_count(w, &w->a.requests, 1);
    ask_get(&second, w, "/second");
    second.counter = &done;
    ask_send(&second); /* waits for the only conn */
    w->ahead_ms = SHEAF_SERVER_SHUN_MS;
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until(w, &first.is_done);
    worker_until_count(w, &w->a.requests, 2); /* the other one was tried first, on a conn of its own */
    assert_string_equal(w->a.log, "0:GET /first 1:GET /second ");
    ask_cancel(&second);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_flies_no_more),
        cmocka_unit_test(what_was_cancelled_flies_no_more),
        cmocka_unit_test(what_failed_flies_no_more),
        cmocka_unit_test(what_was_refused_as_too_large_flies_no_more),
        cmocka_unit_test(what_was_sent_again_flies_once),
        cmocka_unit_test(what_went_to_another_server_flies_there),
        cmocka_unit_test(a_busy_server_is_avoided),
        cmocka_unit_test(a_backup_takes_over_and_hands_back),
        cmocka_unit_test(a_key_keeps_its_server_at_the_limit_of_conns),
        cmocka_unit_test(a_header_that_chooses_survives_the_reload_that_shares_the_upstream),
        cmocka_unit_test(a_conn_of_a_backup_that_got_free_is_not_fed_once_the_others_are_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
