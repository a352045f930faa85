/* One question to a server, on real sockets: what comes back, and that nothing is left. */
#include "gateway/upstream/probe.h"

#include "tests/unit/upstream/harness.h"

/* A probe of one server, which is backend a of `w`. */
typedef struct prober {
    worker_t *w;
    sheaf_conn_env_t env;
    sheaf_resolver_t *resolver;
    sheaf_balance_t balance;
    sheaf_probe_t probe;
    bool is_done, is_starting, is_resolver_closed;
    int done;
    sheaf_err_t err;
    uint16_t status;
    char detail[200];
} prober_t;

static void on_probed(sheaf_probe_t *probe, const sheaf_probe_result_t *result)
{
    prober_t *prober = SHEAF_OWNER(probe, prober_t, probe);

    assert_false(prober->is_starting); /* never from inside */
    prober->is_done = true;
    prober->done++;
    prober->err = result->err;
    prober->status = result->status;
    snprintf(prober->detail, sizeof(prober->detail), "%s", result->detail);
}

static prober_t *prober_on(worker_t *w, const sheaf_snapshot_t *snapshot)
{
    prober_t *prober = calloc(1, sizeof(*prober));
    const sheaf_upstream_conf_t *conf = snapshot->conf.upstreams.items;

    prober->w = w;
    prober->env.loop = &w->loop;
    prober->env.clock = &w->clock;
    prober->env.deadlines = &w->deadlines;
    prober->env.metrics = &w->metrics;
    prober->resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    sheaf_balance_init(&prober->balance, conf, sheaf_snapshot_tls_of(snapshot, conf), prober->resolver, 7);
    sheaf_probe_init(&prober->probe, &prober->env, conf->protocol, on_probed);
    return prober;
}

static prober_t *prober_new(void)
{
    worker_t *w = worker_new();

    worker_open(w);
    return prober_on(w, w->snapshot);
}

static void probe_start(prober_t *prober, uint64_t timeout_ms)
{
    prober->is_done = false;
    prober->is_starting = true;
    sheaf_probe_start(&prober->probe, prober->balance.servers, SHEAF_STR("/health"), timeout_ms);
    prober->is_starting = false;
}

static void probe_whole(prober_t *prober, uint64_t timeout_ms)
{
    probe_start(prober, timeout_ms);
    worker_until(prober->w, &prober->is_done);
}

static void on_resolver_closed(void *data)
{
    ((prober_t *)data)->is_resolver_closed = true;
}

static void prober_end(prober_t *prober)
{
    worker_t *w = prober->w;
    bool is_closed = false;

    sheaf_probe_fini(&prober->probe);
    sheaf_balance_fini(&prober->balance);
    sheaf_resolver_free(prober->resolver, on_resolver_closed, prober);
    while (!is_closed) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        is_closed = prober->is_resolver_closed && prober->env.open_count == 0;
    }
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_REUSED), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), 0);
    worker_end(w);
    free(prober);
}

static void a_probe_is_a_get_on_a_conn_of_its_own(void **state)
{
    prober_t *prober = prober_new();
    worker_t *w = prober->w;

    step_text(&w->a, OK_HI);
    step_text(&w->a, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy");
    step_text(&w->a, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    probe_whole(prober, 2000);
    assert_int_equal(prober->err, SHEAF_OK);
    assert_int_equal(prober->status, 200);
    assert_string_equal(w->a.last, "GET /health HTTP/1.1\r\nhost: backend.test\r\nuser-agent: sheaf-health\r\n\r\n");
    probe_whole(prober, 2000);
    assert_int_equal(prober->err, SHEAF_OK);
    assert_int_equal(prober->status, 503);
    probe_whole(prober, 2000);
    assert_int_equal(prober->status, 204);
    assert_string_equal(w->a.log, "0:GET /health 1:GET /health 2:GET /health ");
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    prober_end(prober);
}

static void what_is_no_answer_says_why(void **state)
{
    static const struct {
        step_t step;
        sheaf_err_t err;
    } cases[] = {
        {{.bytes = ""}, SHEAF_ERR_TIMEOUT},
        {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"}, SHEAF_ERR_TIMEOUT},
        {{.bytes = "", .then_close = true}, SHEAF_ERR_RESET},
        {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", .then_close = true}, SHEAF_ERR_RESET},
        {{.bytes = "HTTP/1.1 20", .then_reset = true}, SHEAF_ERR_RESET},
        {{.bytes = "SSH-2.0-OpenSSH_9.2\r\n"}, SHEAF_ERR_MALFORMED},
        {{.bytes = "HTTP/1.1 200 OK\r\n\r\nuntil the end", .then_close = true}, SHEAF_OK},
    };

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        prober_t *prober = prober_new();
        step_t step = cases[i].step;

        step.len = strlen(step.bytes);
        prober->w->a.steps[prober->w->a.step_count++] = step;
        probe_whole(prober, cases[i].err == SHEAF_ERR_TIMEOUT ? 30 : 2000);
        assert_int_equal(prober->err, cases[i].err);
        prober_end(prober);
    }
}

static void a_server_that_nobody_listens_for_refuses(void **state)
{
    prober_t *prober = prober_new();

    backend_stop(&prober->w->a);
    probe_whole(prober, 2000);
    assert_int_equal(prober->err, SHEAF_ERR_REFUSED);
    prober_end(prober);
}

static void of_a_large_body_the_status_is_enough(void **state)
{
    static char answer[SHEAF_PROBE_BODY_MOST * 2] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    prober_t *prober = prober_new();

    memset(answer + strlen(answer), 'x', sizeof(answer) - strlen(answer));
    step_bytes(&prober->w->a, answer, sizeof(answer));
    probe_whole(prober, 2000);
    assert_int_equal(prober->err, SHEAF_OK);
    assert_int_equal(prober->status, 200);
    assert_true(metric(prober->w, SHEAF_METRIC_BACKEND_BYTES_IN) < sizeof(answer) + 1);
    prober_end(prober);
}

/* The second address refuses: nobody listens there. */
static void addresses_of_a_name_are_asked_in_turn(void **state)
{
    static const sheaf_err_t expected[] = {SHEAF_OK, SHEAF_ERR_REFUSED, SHEAF_OK, SHEAF_ERR_REFUSED};
    prober_t *prober = prober_new();
    sheaf_name_t *name = prober->balance.servers->name;

    name->addresses = realloc(name->addresses, 2 * sizeof(*name->addresses));
    name->addresses[1] = name->addresses[0];
    name->addresses[1].v4.sin_addr.s_addr = htonl(0x7f000002);
    name->count = 2;
    name->version++;
    for (size_t i = 0; i < SHEAF_COUNT(expected); i++) {
        step_text(&prober->w->a, OK_HI);
        probe_whole(prober, 2000);
        assert_int_equal(prober->err, expected[i]);
    }
    prober_end(prober);
}

static void a_name_without_an_address_is_told_later(void **state)
{
    prober_t *prober = prober_new();
    sheaf_name_t *name = prober->balance.servers->name;

    snprintf(name->detail, sizeof(name->detail), "no such name");
    name->count = 0;
    name->version++;
    probe_whole(prober, 2000);
    assert_int_equal(prober->err, SHEAF_ERR_RESOLVE);
    assert_string_equal(prober->detail, "no such name");
    prober_end(prober);
}

static void it_can_be_cancelled_at_any_time(void **state)
{
    for (int turns = 0; turns < 12; turns++) {
        prober_t *prober = prober_new();

        probe_start(prober, 2000); /* the server is silent */
        for (int i = 0; i < turns; i++)
            uv_run(&prober->w->loop, UV_RUN_NOWAIT);
        sheaf_probe_cancel(&prober->probe);
        sheaf_probe_cancel(&prober->probe);
        assert_false(sheaf_deadline_is_set(&prober->probe.deadline));
        step_text(&prober->w->a, OK_HI);
        step_text(&prober->w->a, OK_HI);
        probe_whole(prober, 2000);
        assert_int_equal(prober->err, SHEAF_OK);
        assert_int_equal(prober->done, 1);
        prober_end(prober);
    }
}

static void over_tls_the_check_that_failed_is_told(void **state)
{
    static const struct {
        const char *tls;
        sheaf_err_t err;
    } cases[] = {{"{ca: ca}", SHEAF_OK}, {"{ca: ca, server_name: other.test}", SHEAF_ERR_TLS}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        worker_t *w = worker_new();
        pki_t pki = pki_new((wish_t){.names = "IP:127.0.0.1"});
        sheaf_snapshot_t *snapshot = secure_snapshot(&pki, &w->a.port, 1, cases[i].tls);
        prober_t *prober = prober_on(w, snapshot);

        w->a.context = server_context(&pki, 0, false);
        step_text(&w->a, OK_HI);
        step_text(&w->a, OK_HI);
        probe_whole(prober, 2000);
        assert_int_equal(prober->err, cases[i].err);
        if (cases[i].err != SHEAF_OK)
            assert_non_null(strstr(prober->detail, "other.test"));
        probe_whole(prober, 2000);
        assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_TLS_RESUMED), cases[i].err == SHEAF_OK); /* one session */
        prober_end(prober);
        sheaf_snapshot_drop(snapshot);
        pki_free(&pki);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_is_a_get_on_a_conn_of_its_own),
        cmocka_unit_test(what_is_no_answer_says_why),
        cmocka_unit_test(a_server_that_nobody_listens_for_refuses),
        cmocka_unit_test(of_a_large_body_the_status_is_enough),
        cmocka_unit_test(addresses_of_a_name_are_asked_in_turn),
        cmocka_unit_test(a_name_without_an_address_is_told_later),
        cmocka_unit_test(it_can_be_cancelled_at_any_time),
        cmocka_unit_test(over_tls_the_check_that_failed_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
