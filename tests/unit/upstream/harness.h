/* tests/unit/upstream/harness.h - a client that remembers, and with it all that a test of this floor stands on:
 * worker.h, a worker in small, and backend.h, a backend that follows a script. All three live on one loop. */
#ifndef TESTS_UNIT_UPSTREAM_HARNESS_H
#define TESTS_UNIT_UPSTREAM_HARNESS_H

#include <unistd.h>

#include "tests/unit/upstream/worker.h"

typedef struct ask ask_t;
struct ask {
    sheaf_exchange_t exchange;
    worker_t *worker;
    bool is_done, has_head;
    int *counter; /* may be NULL: counts what is done */
    uint16_t status;
    sheaf_err_t err;
    char detail[128];
    size_t len;
    char body[4096];
    const char *run; /* what came last, within on_body */
    size_t run_len;
    uint64_t announced;
    size_t most;                 /* refuses more body than this */
    void (*then)(ask_t *ask);    /* runs in on_done */
    void (*on_head)(ask_t *ask); /* runs in on_head */
    void (*on_body)(ask_t *ask);
    char *order; /* where the names of those that are done are gathered */
};

static bool ask_on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_false(ask->is_done);
    assert_false(ask->has_head);
    ask->has_head = true;
    ask->status = head->status;
    ask->announced = head->content_length;
    if (ask->on_head != NULL)
        ask->on_head(ask);
    return head->content_length == UINT64_MAX || head->content_length <= ask->most;
}

static bool ask_on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_true(ask->has_head && !ask->is_done && len != 0);
    if (ask->len + len > ask->most)
        return false;
    if (ask->len + len < sizeof(ask->body))
        memcpy(ask->body + ask->len, bytes, len);
    ask->len += len;
    ask->run = bytes;
    ask->run_len = len;
    if (ask->on_body != NULL)
        ask->on_body(ask);
    return true;
}

static void ask_on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_false(ask->is_done);
    ask->is_done = true;
    ask->err = err;
    assert_int_equal(exchange->retry_after_s != 0, sheaf_err_status(err) == 503);
    snprintf(ask->detail, sizeof(ask->detail), "%s", detail);
    if (ask->counter != NULL)
        ++*ask->counter;
    if (ask->order != NULL)
        snprintf(ask->order + strlen(ask->order), 8, "%s ", (const char *)exchange->target.base + 1);
    if (ask->then != NULL)
        ask->then(ask);
}

static const sheaf_sink_t ask_sink = {ask_on_head, ask_on_body, ask_on_done};

static void ask_get(ask_t *ask, worker_t *w, const char *target)
{
    memset(ask, 0, sizeof(*ask));
    ask->worker = w;
    ask->most = SIZE_MAX;
    ask->exchange.sink = &ask_sink;
    ask->exchange.method = SHEAF_STR("GET");
    ask->exchange.target = sheaf_str_of(target);
    ask->exchange.is_idempotent = true;
    ask->exchange.flow = w;
    ask->exchange.deadline_ms = SHEAF_NEVER;
}

static void ask_post(ask_t *ask, worker_t *w, const char *target, sheaf_str_t body)
{
    ask_get(ask, w, target);
    ask->exchange.method = SHEAF_STR("POST");
    ask->exchange.body = body;
    ask->exchange.has_body = true;
    ask->exchange.is_idempotent = false;
}

static void ask_send(ask_t *ask)
{
    ask->is_done = ask->has_head = false;
    ask->len = 0;
    ask->worker->view->send(ask->worker->view, &ask->exchange);
    assert_false(ask->is_done); /* never from inside */
    assert_false(ask->has_head);
}

static void ask_credit(ask_t *ask, size_t len)
{
    ask->worker->view->credit(ask->worker->view, &ask->exchange, len);
}

static void ask_cancel(ask_t *ask)
{
    ask->worker->view->cancel(ask->worker->view, &ask->exchange);
}

/* Sends and runs the loop until it is done. */
static void ask_whole(ask_t *ask)
{
    ask_send(ask);
    worker_until(ask->worker, &ask->is_done);
}

static void assert_answer(const ask_t *ask, uint16_t status, const char *body)
{
    assert_int_equal(ask->err, SHEAF_OK);
    assert_int_equal(ask->status, status);
    assert_int_equal(ask->len, strlen(body));
    assert_memory_equal(ask->body, body, ask->len);
}

/* It was told what failed ("": what the error is called), and at which server: `w->a`, at an address or a path. */
static void assert_blamed(const ask_t *ask, const char *why)
{
    const sheaf_server_url_t *url = &ask->worker->conf->servers.items[0].url;
    char wanted[256];

    if (why[0] == '\0')
        why = sheaf_err_title(ask->err);
    if (url->is_unix)
        snprintf(wanted, sizeof(wanted), "%.*s: %s", SHEAF_STR_ARG(url->host), why);
    else
        snprintf(wanted, sizeof(wanted), "%.*s: %s", SHEAF_STR_ARG(url->authority), why);
    assert_string_equal(ask->detail, wanted);
}

#endif
