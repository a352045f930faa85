/* Pipelining on real sockets, by chance: a backend that answers in every framing and in crumbs, closes and resets wherever it
 * likes, and owners that cancel and send from anywhere. Each exchange ends once, and an answer is never another one's: what
 * it says follows from what was asked. The dice are seeded: a seed that fails fails again, as far as sockets do. */
#include "gateway/base/chance.h"
#include "tests/unit/upstream/piping.h"

#define SEEDS  60
#define ASKS   120
#define ENOUGH (MAX_CONNS / 2) /* conns: from then on nobody ends one on purpose */

typedef struct output { /* of a conn of the backend */
    char bytes[1 << 16];
    size_t len, said;
    bool is_last; /* it closes behind that */
} output_t;

static sheaf_chance_t dice;
static output_t outputs[MAX_CONNS];
static ask_t asks[ASKS];
static char paths[ASKS][8];
static int sent_count;
static bool is_cancelled[ASKS];

static uint32_t upto(uint32_t most)
{
    return (uint32_t)sheaf_chance_upto(&dice, most);
}

/* --- the backend --- */

static int status_of(int number)
{
    static const int statuses[] = {200, 404, 201, 304, 200};

    return statuses[number % 5];
}

static void add(output_t *out, const char *text)
{
    out->len += (size_t)snprintf(out->bytes + out->len, sizeof(out->bytes) - out->len, "%s", text);
}

static void add_chunks(output_t *out, const char *body)
{
    char text[128];

    snprintf(text, sizeof(text), "1\r\n#\r\n%zx;x=y\r\n%s\r\n0\r\nTrailer: t\r\n\r\n", strlen(body) - 1, body + 1);
    add(out, text);
}

static void add_rest(output_t *out, const char *body, bool has_body)
{
    char text[64];
    bool is_chunked = upto(2) == 0;

    snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n", strlen(body));
    add(out, is_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : text);
    if (has_body && is_chunked)
        add_chunks(out, body);
    else if (has_body)
        add(out, body);
}

/* An answer follows from the number; how it is framed, and whether it is the last one, does not. */
static void answer_by_chance(backend_conn_t *conn)
{
    output_t *out = &outputs[conn->index];
    int number = atoi(strchr(conn->backend->last, '/') + 1), status = status_of(number);
    size_t before = out->len;
    char text[64];

    if (out->is_last)
        return;
    if (upto(7) == 0)
        add(out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    snprintf(text, sizeof(text), "HTTP/1.1 %d Something\r\n", status);
    add(out, text);
    out->is_last = upto(11) == 0 && conn->index < ENOUGH;
    if (out->is_last && upto(1) == 0)
        add(out, "Connection: close\r\n");
    snprintf(text, sizeof(text), "#%d", number);
    add_rest(out, text, status != 304 && strncmp(conn->backend->last, "HEAD", 4) != 0);
    if (out->is_last && upto(1) == 0)
        out->len = before + upto((uint32_t)(out->len - before));
}

static void say_some(backend_conn_t *conn)
{
    output_t *out = &outputs[conn->index];
    uint32_t left = (uint32_t)(out->len - out->said), len = upto(3) == 0 ? left : upto(left < 30 ? left : 30);

    backend_say(conn, out->bytes + out->said, len);
    out->said += len;
    if (!out->is_last || out->said != out->len)
        return;
    if (upto(1) == 0)
        backend_drop(conn);
    else
        backend_reset(conn);
}

/* --- the owners --- */

static void send_any(worker_t *w);

static void cancel_any(void)
{
    int i = (int)upto((uint32_t)sent_count - 1);

    if (asks[i].is_done || is_cancelled[i] || asks[i].worker->a.conns > ENOUGH)
        return;
    is_cancelled[i] = true;
    ask_cancel(&asks[i]);
}

static void do_something(ask_t *ask)
{
    if (upto(3) == 0)
        send_any(ask->worker);
    if (upto(19) == 0)
        cancel_any();
}

static void send_any(worker_t *w)
{
    int number = sent_count;
    ask_t *ask = &asks[number];

    if (number == ASKS)
        return;
    sent_count++;
    snprintf(paths[number], sizeof(paths[number]), "/%d", number);
    if (upto(9) == 0)
        ask_post(ask, w, paths[number], SHEAF_STR("body"));
    else
        ask_get(ask, w, paths[number]);
    if (upto(9) == 0 && !ask->exchange.has_body)
        ask->exchange.method = SHEAF_STR("HEAD");
    ask->then = do_something;
    ask->on_head = upto(9) == 0 ? do_something : NULL;
    ask_send(ask);
}

static bool is_busy(void)
{
    for (int i = 0; i < sent_count; i++)
        if (!asks[i].is_done && !is_cancelled[i])
            return true;
    return sent_count < ASKS;
}

static void assert_its_own(const ask_t *ask, int number)
{
    bool has_body = status_of(number) != 304 && !sheaf_str_eq(ask->exchange.method, SHEAF_STR("HEAD"));
    char body[16] = "";

    if (ask->has_head)
        assert_int_equal(ask->status, status_of(number));
    if (has_body)
        snprintf(body, sizeof(body), "#%d", number);
    if (ask->err == SHEAF_OK)
        assert_answer(ask, (uint16_t)status_of(number), body);
    else /* it was within its answer, or may not be asked twice */
        assert_int_equal(ask->err, SHEAF_ERR_RESET);
}

static void run(uint64_t seed, uint64_t *ret_piped, uint64_t *ret_cuts)
{
    worker_t *w = worker_new();

    dice.state = seed;
    memset(outputs, 0, sizeof(outputs));
    memset(is_cancelled, 0, sizeof(is_cancelled));
    sent_count = 0;
    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->pipeline = 2 + upto(14);
    w->conf->max_connections = 1 + upto(2);
    worker_open(w);
    w->a.on_request = answer_by_chance;
    uv_timer_start(&w->guard, worker_on_guard, 20000, 0);
    while (is_busy() && !w->is_late) {
        for (uint32_t some = upto(3) == 0 ? upto(6) : 0; some != 0; some--)
            send_any(w);
        if (upto(99) == 0 && sent_count != 0)
            cancel_any();
        for (int i = 0; i < w->a.conns; i++)
            if (w->a.conn[i] != NULL && (outputs[i].said != outputs[i].len || outputs[i].is_last))
                say_some(w->a.conn[i]);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    uv_timer_stop(&w->guard);
    assert_false(w->is_late);
    for (int i = 0; i < ASKS; i++)
        if (!is_cancelled[i])
            assert_its_own(&asks[i], i);
    *ret_piped += metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED);
    *ret_cuts += metric(w, SHEAF_METRIC_PIPELINE_CUTS);
    worker_end(w);
}

static void whatever_happens_an_answer_is_never_another_ones(void **state)
{
    uint64_t piped = 0, cuts = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed, &piped, &cuts);
    assert_true(piped > 10 * SEEDS && cuts > SEEDS && cuts < piped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_an_answer_is_never_another_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
