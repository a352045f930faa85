/* tests/unit/upstream/piping.h - a worker that pipelines, and requests that stand behind each other on its conn. */
#ifndef TESTS_UNIT_UPSTREAM_PIPING_H
#define TESTS_UNIT_UPSTREAM_PIPING_H

#include "tests/unit/upstream/harness.h"

#define MANY   5
#define FIRST  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#0"
#define SECOND "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#1"
#define THIRD  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#2"

static char *const targets[] = {"/0", "/1", "/2", "/3", "/4"};

/* A worker that pipelines, with at most `conns` conns, one of which has carried an exchange. */
static worker_t *piping_with(uint32_t conns, const char *first_answer)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->pipeline = MANY;
    w->conf->max_connections = conns;
    worker_open(w);
    step_text(&w->a, first_answer);
    ask_get(&ask, w, "/first");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_OK);
    w->a.log[0] = '\0';
    return w;
}

static worker_t *piping(uint32_t conns)
{
    return piping_with(conns, OK_HI);
}

/* `count` asks, all sent; none is answered yet. */
static void send_all(worker_t *w, ask_t *asks, int count)
{
    for (int i = 0; i < count; i++) {
        ask_get(&asks[i], w, targets[i]);
        ask_send(&asks[i]);
    }
}

static void send_and_see(worker_t *w, ask_t *asks, int count)
{
    int before = w->a.requests;

    send_all(w, asks, count);
    for (int i = 0; i < count; i++)
        step_text(&w->a, ""); /* silent, but there may be steps after it */
    worker_until_count(w, &w->a.requests, before + count);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), count - 1);
}

static void until_done(worker_t *w, ask_t *asks, int count)
{
    for (int i = 0; i < count; i++)
        worker_until(w, &asks[i].is_done);
}

/* With two conns, and both have carried an exchange. */
static worker_t *piping_on_two(void)
{
    worker_t *w = piping(2);
    ask_t asks[2];

    send_all(w, asks, 2);
    step_text(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    until_done(w, asks, 2);
    w->a.log[0] = '\0';
    return w;
}

static void assert_own_answer(const ask_t *ask, int index)
{
    char body[] = {'#', (char)('0' + index), '\0'};

    assert_answer(ask, 200, body);
}

static void say(worker_t *w, int conn, const char *text)
{
    backend_say(w->a.conn[conn], text, strlen(text));
}

/* What is asked from here on is answered with its own number. */
static void answer_by_target(backend_t *backend)
{
    backend->is_echo = true;
}

#endif
