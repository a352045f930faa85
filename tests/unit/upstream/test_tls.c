/* Exchanges over TLS, on real sockets: what is sent and answered, what ends one, and what a conn costs. */
#include "tests/unit/upstream/harness.h"

#define MEGA ((size_t)1 << 20)

typedef struct secure {
    worker_t *w;
    pki_t pki;
} secure_t;

static secure_t secure_new(wish_t server, int version, bool wants_client, const char *tls, bool has_two)
{
    secure_t secure = {.w = worker_new(), .pki = pki_new(server)};
    worker_t *w = secure.w;
    uint16_t ports[] = {w->a.port, w->b.port};

    w->a.context = server_context(&secure.pki, version, wants_client);
    w->snapshot = secure_snapshot(&secure.pki, ports, has_two ? 2 : 1, tls);
    w->conf = w->snapshot->conf.upstreams.items;
    w->conf->max_connections = 8;
    worker_open(w);
    return secure;
}

static secure_t secure_plain(int version)
{
    return secure_new((wish_t){.names = "IP:127.0.0.1"}, version, false, "{ca: ca}", false);
}

static void secure_end(secure_t *secure)
{
    worker_end(secure->w);
    pki_free(&secure->pki);
}

static void exchanges_share_a_conn_and_conns_share_a_session(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t v = 0; v < SHEAF_COUNT(versions); v++) {
        secure_t secure = secure_plain(versions[v]);
        worker_t *w = secure.w;
        ask_t asks[2];
        int done = 0;

        for (int i = 0; i < 4; i++)
            step_text(&w->a, OK_HI);
        for (int i = 0; i < 2; i++) {
            ask_get(&asks[0], w, "/");
            ask_whole(&asks[0]);
            assert_answer(&asks[0], 200, "hi");
        }
        assert_int_equal(metric(w, SHEAF_METRIC_CONNS_OPENED), 1);
        assert_int_equal(metric(w, SHEAF_METRIC_CONNS_REUSED), 1);
        for (int i = 0; i < 2; i++) { /* at once: one of them needs a new conn */
            ask_get(&asks[i], w, "/");
            asks[i].counter = &done;
            ask_send(&asks[i]);
        }
        worker_until_count(w, &done, 2);
        assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_TLS_FULL), 1);
        assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_TLS_RESUMED), 1);
        secure_end(&secure);
    }
}

static void a_request_that_may_not_go_twice_goes_over_a_conn_that_is_kept(void **state)
{
    secure_t secure = secure_plain(TLS1_3_VERSION);
    worker_t *w = secure.w;
    ask_t ask;

    for (int i = 0; i < 3; i++) {
        step_text(&w->a, OK_HI);
        ask_post(&ask, w, "/", SHEAF_STR("body"));
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.conns, 1);
    secure_end(&secure);
}

/* More than the socket takes at once, and more than one piece. */
static void a_large_body_arrives_whole(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    char *body = malloc(MEGA);
    ask_t ask;

    for (size_t i = 0; i < MEGA; i++)
        body[i] = (char)('a' + i % 23);
    step_text(&w->a, OK_HI);
    ask_post(&ask, w, "/", sheaf_str(body, MEGA));
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    step_text(&w->a, OK_HI);
    ask_whole(&ask); /* and the conn is still good */
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.conns, 1);
    assert_true(metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT) > 2 * MEGA);
    secure_end(&secure);
    free(body);
}

static void a_large_body_can_be_cancelled_while_it_is_written(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    char *body = calloc(1, 16 * MEGA);
    ask_t ask;

    ask_post(&ask, w, "/", sheaf_str(body, 16 * MEGA));
    ask_send(&ask);
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
    ask_cancel(&ask);
    free(body); /* the conn owes nobody */
    secure_end(&secure);
}

static void an_answer_without_a_length_ends_by_a_goodbye_only(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    ask_t ask;

    step_close(&w->a, "HTTP/1.1 200 OK\r\n\r\nall");
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "all");
    step_close(&w->a, "HTTP/1.1 200 OK\r\n\r\nhal");
    w->a.steps[1].then_cut = true;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_non_null(strstr(ask.detail, "it may be cut"));
    secure_end(&secure);
}

static void on_first_bytes(ask_t *ask)
{
    static const char forged[] = "\x17\x03\x03\x00\x20................................";

    backend_send(ask->worker->a.conn[0], forged, sizeof(forged) - 1);
}

/* Whoever sits between can break an answer off, not add to it. */
static void a_record_that_was_forged_breaks_the_answer_off(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    ask_t ask;

    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nhal");
    ask_get(&ask, w, "/");
    ask.on_body = on_first_bytes;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_non_null(strstr(ask.detail, "decryption failed or bad record mac"));
    assert_int_equal(ask.len, 3);
    secure_end(&secure);
}

static void a_kept_conn_that_was_closed_is_retried_as_in_clear_text(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    ask_t ask;

    step_text(&w->a, OK_HI);
    step_close(&w->a, "");
    step_text(&w->a, OK_HI);
    for (int i = 0; i < 2; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), 1);
    secure_end(&secure);
}

static void assert_told(secure_t *secure, sheaf_err_t err, const char *why)
{
    worker_t *w = secure->w;
    char server[64];
    ask_t ask;

    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, err);
    if (strstr(ask.detail, why) == NULL)
        fail_msg("`%s` is not in `%s`", why, ask.detail);
    snprintf(server, sizeof(server), "127.0.0.1:%u: ", w->a.port);
    assert_int_equal(strncmp(ask.detail, server, strlen(server)), 0);
    assert_true(metric(w, SHEAF_METRIC_BACKEND_TLS_FAILED) == 1 || metric(w, SHEAF_METRIC_BACKEND_TLS_FULL) == 1);
    secure_end(secure);
}

static void what_does_not_verify_is_told_with_the_name_of_the_server(void **state)
{
    secure_t secure = secure_new((wish_t){.names = "IP:127.0.0.2"}, 0, false, "{ca: ca}", false);

    assert_told(&secure, SHEAF_ERR_TLS, "IP address mismatch");
    secure =
        secure_new((wish_t){.names = "IP:127.0.0.1", .begin_days = -2, .end_days = -1}, 0, false, "{ca: ca}", false);
    assert_told(&secure, SHEAF_ERR_TLS, "certificate has expired");
    secure = secure_new((wish_t){.names = "IP:127.0.0.1", .begin_days = 1, .end_days = 2}, 0, false, "{ca: ca}", false);
    assert_told(&secure, SHEAF_ERR_TLS, "certificate is not yet valid");
    secure = secure_new((wish_t){.names = "IP:127.0.0.1"}, 0, false, "{verify: true}", false);
    assert_told(&secure, SHEAF_ERR_TLS, "unable to get local issuer certificate");
    secure = secure_new((wish_t){.names = "IP:127.0.0.1"}, TLS1_2_VERSION, true, "{ca: ca}", false);
    assert_told(&secure, SHEAF_ERR_TLS, "alert handshake failure");
    secure = secure_new((wish_t){.names = "IP:127.0.0.1"}, TLS1_3_VERSION, true, "{ca: ca}", false);
    assert_told(&secure, SHEAF_ERR_TLS, "alert certificate required");
}

static void a_backend_that_speaks_clear_text_or_hangs_up_is_told(void **state)
{
    secure_t secure = secure_plain(0);

    SSL_CTX_free(secure.w->a.context);
    secure.w->a.context = NULL;
    secure.w->a.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
    assert_told(&secure, SHEAF_ERR_TLS, "what came is not TLS");
    secure = secure_plain(0);
    SSL_CTX_free(secure.w->a.context);
    secure.w->a.context = NULL;
    secure.w->a.is_rude = true;
    assert_told(&secure, SHEAF_ERR_TLS, "it closed during the TLS handshake");
}

static void the_connect_timeout_covers_the_handshake(void **state)
{
    secure_t secure = secure_plain(0);
    uint64_t sent_ms = secure.w->clock.now_ms;
    ask_t ask;

    secure.w->a.is_deaf = true;
    secure.w->conf->connect_timeout_ms = 30;
    ask_get(&ask, secure.w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_CONNECT_TIMEOUT);
    assert_blamed(&ask, "the TLS handshake was not done in time");
    assert_in_range(secure.w->clock.now_ms - sent_ms, 30, 900);
    secure_end(&secure);
}

static void a_cancel_in_the_handshake_leaves_nothing(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    ask_t ask;

    w->a.is_deaf = true;
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &w->a.conns, 1);
    ask_cancel(&ask);
    secure_end(&secure);
}

static void another_server_is_tried_when_one_fails_to_verify(void **state)
{
    secure_t secure = secure_new((wish_t){.names = "IP:127.0.0.2"}, 0, false, "{ca: ca}", true);
    worker_t *w = secure.w;
    made_t good = make((wish_t){.common_name = "b", .names = "IP:127.0.0.1", .end_days = 1, .issuer = &secure.pki.ca});
    ask_t ask;

    w->b.context = server_context(&secure.pki, 0, false);
    SSL_CTX_use_certificate(w->b.context, good.x509);
    SSL_CTX_use_PrivateKey(w->b.context, good.key);
    for (int i = 0; i < 3; i++) {
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_TLS_FAILED), 1); /* then it is passed over */
    made_free(&good);
    secure_end(&secure);
}

static void a_reload_with_another_authority_opens_new_conns(void **state)
{
    secure_t secure = secure_plain(0);
    worker_t *w = secure.w;
    pki_t other = pki_new((wish_t){.names = "IP:127.0.0.1"});
    sheaf_snapshot_t *next;
    sheaf_dispatch_t *view, *same;
    ask_t ask;

    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    next = secure_snapshot(&secure.pki, &w->a.port, 1, "{ca: ca}");
    next->conf.upstreams.items->max_connections = 8;
    assert_true(sheaf_upstream_conf_eq(w->conf, next->conf.upstreams.items));
    same = sheaf_upstreams_open(w->upstreams, next);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    sheaf_upstreams_close(w->view);
    sheaf_snapshot_drop(w->snapshot);
    w->snapshot = secure_snapshot(&other, &w->a.port, 1, "{ca: ca}");
    w->snapshot->conf.upstreams.items->max_connections = 8;
    assert_false(sheaf_upstream_conf_eq(w->snapshot->conf.upstreams.items, next->conf.upstreams.items));
    view = sheaf_upstreams_open(w->upstreams, w->snapshot);
    sheaf_upstreams_close(same);
    sheaf_snapshot_drop(next);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    w->view = view;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TLS);
    pki_free(&other);
    secure_end(&secure);
}

/* TLS 1.3 tickets come behind the handshake, by themselves: they are no beginning of an answer. */
static void tickets_do_not_end_the_wait_for_the_first_byte(void **state)
{
    secure_t secure = secure_plain(TLS1_3_VERSION);
    worker_t *w = secure.w;
    uint64_t sent_ms = w->clock.now_ms;
    ask_t ask;

    w->conf->first_byte_timeout_ms = 100;
    w->conf->idle_timeout_ms = 3000;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "no answer began in time");
    assert_in_range(w->clock.now_ms - sent_ms, 100, 2000);
    secure_end(&secure);
}

static void a_failed_handshake_is_retried_and_goes_to_the_fallback_as_a_refused_dial_does(void **state)
{
    secure_t secure = secure_new((wish_t){.names = "DNS:elsewhere.test"}, 0, false,
                                 "{ca: ca}, retry: {attempts: 2, backoff: 1ms, on: [connect]}", false);
    worker_t *w = secure.w;
    ask_t ask;

    ask_post(&ask, w, "/", SHEAF_STR("body")); /* nothing of it was sent */
    ask.exchange.fallback = 1;                 /* itself: it fails there once more */
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TLS);
    assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), 2);
    assert_int_equal(metric(w, SHEAF_METRIC_FALLBACKS), 1);
    secure_end(&secure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_share_a_conn_and_conns_share_a_session),
        cmocka_unit_test(a_request_that_may_not_go_twice_goes_over_a_conn_that_is_kept),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(a_large_body_can_be_cancelled_while_it_is_written),
        cmocka_unit_test(an_answer_without_a_length_ends_by_a_goodbye_only),
        cmocka_unit_test(a_record_that_was_forged_breaks_the_answer_off),
        cmocka_unit_test(a_kept_conn_that_was_closed_is_retried_as_in_clear_text),
        cmocka_unit_test(what_does_not_verify_is_told_with_the_name_of_the_server),
        cmocka_unit_test(a_backend_that_speaks_clear_text_or_hangs_up_is_told),
        cmocka_unit_test(the_connect_timeout_covers_the_handshake),
        cmocka_unit_test(a_cancel_in_the_handshake_leaves_nothing),
        cmocka_unit_test(another_server_is_tried_when_one_fails_to_verify),
        cmocka_unit_test(a_reload_with_another_authority_opens_new_conns),
        cmocka_unit_test(tickets_do_not_end_the_wait_for_the_first_byte),
        cmocka_unit_test(a_failed_handshake_is_retried_and_goes_to_the_fallback_as_a_refused_dial_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
