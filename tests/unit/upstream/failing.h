/* tests/unit/upstream/failing.h - a worker whose upstream retries, and what its backends fail with. */
#ifndef TESTS_UNIT_UPSTREAM_FAILING_H
#define TESTS_UNIT_UPSTREAM_FAILING_H

#include "tests/unit/upstream/harness.h"

#define BUSY     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
#define BUSY_FOR "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "
#define REST     "\r\nContent-Length: 4\r\n\r\nbusy"

static const sheaf_mark_t written = {1, 1};

/* A worker whose upstream has both backends (or one) and retries. */
static worker_t *retrying(uint32_t servers)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, servers);
    w->conf->retry =
        (sheaf_retry_conf_t){.mark = written, .attempts = 2, .on = 0x3f, .budget_percent = 20, .backoff_ms = 2};
    return w;
}

static void get_repeatable(ask_t *ask, worker_t *w, const char *target)
{
    ask_get(ask, w, target);
    ask->exchange.is_repeatable = true;
}

static void get_whole(ask_t *ask, worker_t *w)
{
    get_repeatable(ask, w, "/");
    ask_whole(ask);
}

/* Asks `count` at once and waits for all. */
static void ask_many(worker_t *w, ask_t *asks, int count)
{
    int done = 0;

    for (int i = 0; i < count; i++) {
        get_repeatable(&asks[i], w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_turn(w); /* what was refused at once */
    worker_until_count(w, &done, count);
}

#endif
