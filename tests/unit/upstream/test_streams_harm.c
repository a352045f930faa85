/* Backends that do to their streams whatever comes to their mind, under exchanges that are cancelled, retried, hedged and
 * sent from inside others: each is over once, and nothing is left. The dice are loaded by a seed. */
#include <signal.h>

#include "gateway/base/chance.h"
#include "tests/unit/upstream/h2_backend.h"

#define SEEDS    10
#define AT_ONCE  24
#define ALL      400
#define PIECE_MS 2

typedef struct harm {
    worker_t *w;
    h2_backend_t backends[2];
    sheaf_chance_t dice;
    uv_timer_t timer;
    ask_t asks[AT_ONCE];
    int sent, over;
} harm_t;

static char large_body[100000];
static harm_t *harm; /* the one that runs */

static uint32_t below(uint32_t end)
{
    return (uint32_t)sheaf_chance_upto(&harm->dice, end - 1);
}

/* --- the backends --- */

static void end_conn(h2_conn_t *conn, int32_t id)
{
    int32_t last_ids[] = {0, id - 2 > 0 ? id - 2 : 0, id, INT32_MAX};

    peer_goaway(&conn->peer, last_ids[below(4)], below(3) == 0 ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
}

static void break_a_rule(h2_conn_t *conn, int32_t id)
{
    switch (below(4)) {
    case 0:
        peer_head(&conn->peer, id, true, ":status: 200\nX: y");
        break;
    case 1:
        peer_head(&conn->peer, id, false, ":status: 200\ncontent-length: 1");
        peer_data(&conn->peer, id, true, "more than that");
        break;
    case 2:
        peer_data(&conn->peer, id, true, "no head");
        break;
    default:
        peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, 0, INT32_MAX);
        break;
    }
}

static void answer_oddly(h2_conn_t *conn, int32_t id)
{
    static const char *const heads[] = {
        ":status: 503", ":status: 503\nretry-after: 1",    ":status: 429",
        ":status: 500", ":status: 304\ncontent-length: 9", ":status: 200\ncontent-length: 100000"};

    peer_head(&conn->peer, id, below(2) == 0, heads[below(SHEAF_COUNT(heads))]);
}

static void answer_at_length(h2_conn_t *conn, int32_t id)
{
    peer_head(&conn->peer, id, false, ":status: 103");
    peer_head(&conn->peer, id, false, ":status: 200");
    peer_data(&conn->peer, id, false, "some, ");
    if (below(4) == 0)
        return; /* and no more */
    peer_data(&conn->peer, id, true, "and more");
    peer_data(&conn->peer, id, true, "behind the end");
}

static void on_request(h2_conn_t *conn, int32_t id)
{
    switch (below(24)) {
    case 0:
        break; /* silence */
    case 1:
        h2_refuse(conn, id);
        break;
    case 2:
        peer_u32(&conn->peer, NGHTTP2_RST_STREAM, id, below(14));
        break;
    case 3:
        end_conn(conn, id);
        if (below(2) == 0)
            h2_answer(conn, id);
        break;
    case 4:
        h2_drop(conn);
        break;
    case 5:
        break_a_rule(conn, id);
        break;
    case 6:
    case 7:
        answer_oddly(conn, id);
        break;
    case 8:
    case 9:
        answer_at_length(conn, id);
        break;
    case 10:
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, below(6));
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, below(2) == 0 ? 0 : 65535);
        break;
    default:
        h2_answer(conn, id);
        break;
    }
}

/* --- the owners --- */

static void send_one(ask_t *ask);

static void count(ask_t *ask)
{
    harm->over++;
    send_one(ask);
}

static void on_done(ask_t *ask)
{
    count(ask); /* from inside */
}

static void cancel_inside(ask_t *ask)
{
    if (below(8) != 0)
        return;
    ask_cancel(ask);
    count(ask); /* it may sit where it was */
}

static void send_one(ask_t *ask)
{
    worker_t *w = harm->w;

    if (harm->sent == ALL)
        return;
    harm->sent++;
    if (below(2) == 0) {
        ask_post(ask, w, "/", sheaf_str(large_body, below(3) == 0 ? sizeof(large_body) : below(9)));
    } else {
        ask_get(ask, w, "/");
        ask->exchange.is_repeatable = true;
        ask->on_head = cancel_inside;
    }
    ask->then = on_done;
    ask->most = 1000;
    ask->exchange.deadline_ms = below(4) == 0 ? w->clock.now_ms + below(20) : SHEAF_NEVER;
    ask_send(ask);
}

static void trouble_a_conn(h2_conn_t *conn)
{
    switch (below(12)) {
    case 0:
        end_conn(conn, 1);
        break;
    case 1:
        h2_drop(conn);
        break;
    case 2:
    case 3:
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, below(8));
        break;
    default:
        break;
    }
    h2_flush(conn);
}

static void on_piece(uv_timer_t *timer)
{
    for (int i = 0; i < 2; i++)
        for (int at = harm->backends[i].conns - 1; at >= 0 && at > harm->backends[i].conns - 5; at--)
            if (harm->backends[i].conn[at] != NULL)
                trouble_a_conn(harm->backends[i].conn[at]);
    for (int i = 0; i < 2; i++) {
        ask_t *ask = &harm->asks[below(AT_ONCE)];

        if (ask->is_done || ask->exchange.state == 0)
            continue;
        ask_cancel(ask);
        ask->is_done = true;
        count(ask);
    }
}

/* Who leaves servers out, and who refuses. */
static void set_up_judges(sheaf_upstream_conf_t *conf)
{
    sheaf_mark_t written = {1, 1};

    if (below(2) == 0)
        conf->outlier = (sheaf_outlier_conf_t){.mark = written,
                                               .errors = 1 + below(3),
                                               .interval_ms = 1000,
                                               .eject_ms = 10,
                                               .max_eject_ms = 50,
                                               .max_ejected_percent = below(2) == 0 ? 50 : 100};
    if (below(4) == 0)
        conf->breaker = (sheaf_breaker_conf_t){
            .mark = written, .errors_percent = 80, .requests = 10, .window_ms = 1000, .open_ms = 5, .probes = 2};
    if (below(3) == 0) {
        conf->balance = SHEAF_TURN_HASH;
        conf->hash.what = SHEAF_HASH_BY_PATH;
    } else if (below(2) == 0) {
        conf->balance = SHEAF_TURN_LEAST_REQUESTS;
    }
    conf->shed = below(4) == 0;
}

static worker_t *worker_by_tls(h2_backend_t *backends, const pki_t *pki)
{
    worker_t *w = worker_new();
    uint16_t ports[2];

    for (int i = 0; i < 2; i++) {
        h2_start(&backends[i], &w->loop);
        ports[i] = backends[i].port;
        backends[i].context = server_context(pki, 0, false);
        SSL_CTX_set_alpn_select_cb(backends[i].context, pick_http2, NULL);
    }
    w->snapshot = secure_snapshot(pki, ports, 2, "{ca: ca}");
    w->conf = w->snapshot->conf.upstreams.items;
    return w;
}

static void set_up(harm_t *h, uint64_t seed, const pki_t *pki)
{
    worker_t *w = h->w =
        pki != NULL ? worker_by_tls(h->backends, pki) : h2_worker_with(&h->backends[0], &h->backends[1]);
    sheaf_mark_t written = {1, 1};

    harm = h;
    h->dice = (sheaf_chance_t){seed};
    h->backends[0].on_request = h->backends[1].on_request = on_request;
    h->backends[0].answers_pings = seed % 2 == 0;
    w->conf->max_connections = 1 + below(6);
    w->conf->max_streams = 1 + below(12);
    w->conf->timeout_ms = 60;
    w->conf->first_byte_timeout_ms = below(2) == 0 ? 0 : 15;
    w->conf->idle_timeout_ms = below(2) == 0 ? 0 : 10;
    w->conf->ping_ms = below(2) == 0 ? 0 : 10;
    if (below(2) == 0)
        w->conf->max_in_flight = 1 + below(AT_ONCE);
    if (below(2) == 0)
        w->conf->hedge =
            (sheaf_hedge_conf_t){.mark = written, .after = {.after_ms = 1 + below(8)}, .budget_percent = 50};
    if (below(2) == 0)
        w->conf->retry = (sheaf_retry_conf_t){
            .mark = written, .attempts = 3, .backoff_ms = 1, .budget_percent = 100, .on = UINT32_MAX >> 8};
    set_up_judges(w->conf);
    worker_open(w);
    uv_timer_init(&w->loop, &h->timer);
    uv_timer_start(&h->timer, on_piece, PIECE_MS, PIECE_MS);
}

static void harm_all(const pki_t *pki)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        harm_t *h = calloc(1, sizeof(*h));

        set_up(h, seed, pki);
        for (int i = 0; i < AT_ONCE; i++)
            send_one(&h->asks[i]);
        worker_until_count(h->w, &h->over, ALL);
        assert_int_equal(h->over, ALL);
        assert_int_equal(metric(h->w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
        assert_int_equal(metric(h->w, SHEAF_METRIC_EXCHANGES_RESTING), 0);
        uv_close((uv_handle_t *)&h->timer, NULL);
        h2_worker_end(h->w, &h->backends[0], &h->backends[1]);
        free(h);
    }
}

static void whatever_streams_do_each_exchange_is_over_once(void **state)
{
    harm_all(NULL);
}

static void so_it_is_by_tls(void **state)
{
    pki_t pki = pki_new((wish_t){.names = "IP:127.0.0.1"});

    harm_all(&pki);
    pki_free(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_streams_do_each_exchange_is_over_once),
        cmocka_unit_test(so_it_is_by_tls),
    };

    signal(SIGPIPE, SIG_IGN); /* as the worker does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
