/* upstream/triage.c - see triage.h. */
#include "gateway/upstream/triage.h"

#include <time.h>

#include "gateway/base/log.h"
#include "gateway/upstream/blame.h"

static void on_readmit(sheaf_deadline_t *node);

void sheaf_triage_init(sheaf_triage_t *triage, sheaf_conn_env_t *env, sheaf_balance_t *balance, sheaf_stock_t *stock,
                       const sheaf_upstream_conf_t *conf, uint64_t seed)
{
    sheaf_chance_t chance = {seed};

    triage->env = env;
    triage->balance = balance;
    triage->stock = stock;
    triage->conf = conf;
    triage->has_retry = sheaf_mark_is_set(conf->retry.mark);
    triage->has_outlier = sheaf_mark_is_set(conf->outlier.mark);
    triage->has_breaker = sheaf_mark_is_set(conf->breaker.mark);
    triage->is_on = triage->has_retry || triage->has_outlier || triage->has_breaker;
    triage->readmit.on_expired = on_readmit;
    if (!triage->is_on)
        return;
    sheaf_retry_init(&triage->retry, &conf->retry, sheaf_chance_next(&chance));
    sheaf_outliers_init(&triage->outliers, &conf->outlier, balance->count, sheaf_chance_next(&chance));
    sheaf_breaker_init(&triage->breaker, &conf->breaker);
}

static void count(const sheaf_triage_t *triage, sheaf_metric_t of_all, sheaf_upstat_t of_its_own, int64_t by)
{
    sheaf_count(triage->env->metrics, of_all, (uint64_t)by);
    sheaf_upstats_count(triage->stock->upstats, of_its_own, (uint64_t)by);
}

/* So many more servers are ejected, or fewer. */
static void show_ejected(const sheaf_triage_t *triage, int64_t by)
{
    count(triage, SHEAF_METRIC_SERVERS_EJECTED, SHEAF_UPSTAT_SERVERS_EJECTED, by);
}

static void show_breaker(const sheaf_triage_t *triage, int64_t by)
{
    count(triage, SHEAF_METRIC_BREAKERS_OPEN, SHEAF_UPSTAT_BREAKERS_OPEN, by);
}

void sheaf_triage_fini(sheaf_triage_t *triage)
{
    sheaf_deadline_clear(triage->env->deadlines, &triage->readmit);
    show_ejected(triage, -(int64_t)triage->outliers.ejected_count);
    if (triage->breaker.state != SHEAF_BREAKER_CLOSED)
        show_breaker(triage, -1);
}

void sheaf_triage_rebase(sheaf_triage_t *triage, const sheaf_upstream_conf_t *conf)
{
    triage->conf = conf;
    triage->retry.conf = &conf->retry;
    triage->outliers.conf = &conf->outlier;
    triage->breaker.conf = &conf->breaker;
}

static uint64_t now_ms(const sheaf_triage_t *triage)
{
    return triage->env->clock->now_ms;
}

/* --- on the way down --- */

void sheaf_triage_begin(sheaf_triage_t *triage, sheaf_exchange_t *exchange)
{
    exchange->sends = 1;
    exchange->tried = 0;
    exchange->probe = 0;
    if (triage->has_retry)
        sheaf_retry_earn(&triage->retry, now_ms(triage));
}

static bool counted(sheaf_triage_t *triage, bool is_let)
{
    if (!is_let)
        sheaf_count(triage->env->metrics, SHEAF_METRIC_BREAKER_REFUSED, 1);
    return is_let;
}

bool sheaf_triage_lets(sheaf_triage_t *triage)
{
    return !triage->has_breaker || counted(triage, sheaf_breaker_lets(&triage->breaker, now_ms(triage)));
}

bool sheaf_triage_admit(sheaf_triage_t *triage, sheaf_exchange_t *exchange)
{
    return !triage->has_breaker ||
           counted(triage, sheaf_breaker_admit(&triage->breaker, now_ms(triage), &exchange->probe));
}

/* --- servers --- */

static void log_server(const sheaf_triage_t *triage, const sheaf_server_t *server, const char *event)
{
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_WARN, event);
    sheaf_log_str(&line, "upstream", triage->conf->map_key);
    sheaf_log_str(&line, "server", server->label);
    if (server->outlier.is_ejected)
        sheaf_log_u64(&line, "for_ms", server->outlier.until_ms - now_ms(triage));
    sheaf_log_end(&line);
}

static void note_server(sheaf_triage_t *triage, sheaf_server_t *server, bool is_good)
{
    if (!triage->has_outlier || server->is_vacant || server->is_gate)
        return;
    triage->outliers.count = triage->balance->present_count;
    if (!sheaf_outlier_note(&triage->outliers, &server->outlier, is_good, now_ms(triage)))
        return;
    count(triage, SHEAF_METRIC_EJECTIONS, SHEAF_UPSTAT_EJECTIONS, 1);
    show_ejected(triage, 1);
    if (!sheaf_deadline_is_set(&triage->readmit) || server->outlier.until_ms < triage->readmit.at_ms)
        sheaf_deadline_set(triage->env->deadlines, &triage->readmit, server->outlier.until_ms);
    sheaf_stock_clear(triage->stock, server); /* nobody may take an idle conn of it */
    log_server(triage, server, "server ejected");
}

void sheaf_triage_left(sheaf_triage_t *triage, sheaf_server_t *server)
{
    if (server->outlier.is_ejected) {
        triage->outliers.ejected_count--;
        show_ejected(triage, -1);
    }
    server->outlier = (sheaf_outlier_t){0};
}

static void on_readmit(sheaf_deadline_t *node)
{
    sheaf_triage_t *triage = SHEAF_OWNER(node, sheaf_triage_t, readmit);
    uint64_t next_ms = SHEAF_NEVER;
    bool is_back = false;

    for (uint32_t i = 0; i < triage->balance->count; i++) {
        sheaf_server_t *server = &triage->balance->servers[i];

        if (sheaf_outlier_readmit(&triage->outliers, &server->outlier, now_ms(triage))) {
            show_ejected(triage, -1);
            log_server(triage, server, "server readmitted");
            is_back = true;
        } else if (server->outlier.is_ejected && server->outlier.until_ms < next_ms) {
            next_ms = server->outlier.until_ms;
        }
    }
    sheaf_deadline_set(triage->env->deadlines, node, next_ms);
    if (is_back && triage->balance->on_back != NULL)
        triage->balance->on_back(triage->balance);
}

void sheaf_triage_blame(sheaf_triage_t *triage, sheaf_server_t *server)
{
    note_server(triage, server, false);
}

/* --- the upstream --- */

static void log_breaker(const sheaf_triage_t *triage, const char *event)
{
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_WARN, event);
    sheaf_log_str(&line, "upstream", triage->conf->map_key);
    sheaf_log_end(&line);
}

static void note_upstream(sheaf_triage_t *triage, uint16_t probe, bool is_good)
{
    bool was_closed = triage->breaker.state == SHEAF_BREAKER_CLOSED;

    if (!triage->has_breaker || !sheaf_breaker_note(&triage->breaker, probe, is_good, now_ms(triage)))
        return;
    if (triage->breaker.state == SHEAF_BREAKER_CLOSED) {
        show_breaker(triage, -1);
        log_breaker(triage, "breaker closed");
        return;
    }
    count(triage, SHEAF_METRIC_BREAKER_OPENED, SHEAF_UPSTAT_BREAKER_OPENED, 1);
    if (was_closed)
        show_breaker(triage, 1);
    log_breaker(triage, was_closed ? "breaker opened" : "breaker stays open");
}

/* --- on the way up --- */

static bool is_good(const sheaf_failure_t *failure)
{
    switch (failure->err) {
    case SHEAF_OK: /* 501 is about the request, not about how the server fares */
        return failure->status < 500 || failure->status == 501;
    case SHEAF_ERR_ANSWER_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

/* server NULL: the servers were blamed already. */
static void note(sheaf_triage_t *triage, sheaf_exchange_t *exchange, sheaf_server_t *server,
                 const sheaf_failure_t *failure)
{
    uint16_t probe = exchange->probe;

    if (failure->err == SHEAF_ERR_OVERLOADED) { /* our own want of sockets */
        sheaf_triage_forget(triage, exchange);
        return;
    }
    exchange->probe = 0;
    if (!exchange->is_answered)
        note_upstream(triage, probe, is_good(failure));
    if (server != NULL)
        note_server(triage, server, is_good(failure));
}

void sheaf_triage_forget(sheaf_triage_t *triage, sheaf_exchange_t *exchange)
{
    if (exchange->probe != 0)
        sheaf_breaker_forget(&triage->breaker, exchange->probe);
    exchange->probe = 0;
}

static uint64_t again(sheaf_triage_t *triage, sheaf_exchange_t *exchange, const sheaf_server_t *server,
                      const sheaf_failure_t *failure)
{
    uint64_t at_ms = SHEAF_NEVER;

    if (!triage->has_retry || exchange->is_once ||
        (triage->has_breaker && !sheaf_breaker_lets(&triage->breaker, now_ms(triage))))
        return SHEAF_NEVER;
    switch (sheaf_retry_ask(&triage->retry, exchange, failure, now_ms(triage), &at_ms)) {
    case SHEAF_RETRY_NO:
        break;
    case SHEAF_RETRY_BUDGET:
        count(triage, SHEAF_METRIC_RETRIES_REFUSED, SHEAF_UPSTAT_RETRIES_REFUSED, 1);
        break;
    case SHEAF_RETRY_YES:
        count(triage, SHEAF_METRIC_RETRIES, SHEAF_UPSTAT_RETRIES, 1);
        if (server != NULL)
            exchange->tried |= sheaf_balance_bit(triage->balance, server);
        break;
    }
    return at_ms;
}

/* Closes the way to the fallback, unless the failure is one that it stands in for. */
static void settle_fallback(sheaf_exchange_t *exchange, const sheaf_failure_t *failure)
{
    bool is_failed;

    switch (failure->err) {
    case SHEAF_ERR_REFUSED:
    case SHEAF_ERR_CONNECT_TIMEOUT:
    case SHEAF_ERR_RESOLVE:
    case SHEAF_ERR_TLS:
    case SHEAF_ERR_RESET:
    case SHEAF_ERR_TIMEOUT:
        is_failed = failure->status == 0;
        break;
    default:
        is_failed = failure->err == SHEAF_OK && failure->status >= 502 && failure->status <= 504;
        break;
    }
    if (!is_failed || (failure->was_sent && !exchange->is_repeatable))
        exchange->other = NULL;
}

bool sheaf_triage_passes(sheaf_triage_t *triage, sheaf_flight_t *flight, const sheaf_answer_head_t *head)
{
    sheaf_failure_t failure = {.status = head->status, .was_sent = true};

    for (uint32_t i = 0; i < head->header_count; i++)
        if (sheaf_str_eq(head->headers[i].name, SHEAF_STR("retry-after")))
            failure.retry_after_ms = sheaf_retry_after_ms(head->headers[i].value, (int64_t)time(NULL));
    flight->again_ms = again(triage, flight->exchange, flight->conn->server, &failure);
    if (flight->again_ms != SHEAF_NEVER)
        return false;
    settle_fallback(flight->exchange, &failure);
    return flight->exchange->other == NULL;
}

void sheaf_triage_answered(sheaf_triage_t *triage, sheaf_exchange_t *exchange, uint16_t status)
{
    uint16_t probe = exchange->probe;

    exchange->probe = 0;
    note_upstream(triage, probe, is_good(&(sheaf_failure_t){.status = status}));
}

/* An answer that its owner has seen the head of is final. */
uint64_t sheaf_triage_ended(sheaf_triage_t *triage, sheaf_flight_t *flight, sheaf_err_t err)
{
    sheaf_exchange_t *exchange = flight->exchange;
    sheaf_server_t *server = flight->conn->server;
    sheaf_failure_t failure = {.err = err, .status = flight->status, .was_sent = flight->has_written};

    note(triage, exchange, server, &failure);
    if (flight->is_discarded)
        return flight->again_ms;
    settle_fallback(exchange, &failure);
    return flight->status != 0 ? SHEAF_NEVER : again(triage, exchange, server, &failure);
}

uint64_t sheaf_triage_unreached(sheaf_triage_t *triage, sheaf_exchange_t *exchange, sheaf_err_t err)
{
    sheaf_failure_t failure = {.err = err};

    note(triage, exchange, NULL, &failure);
    settle_fallback(exchange, &failure);
    return again(triage, exchange, NULL, &failure);
}

void sheaf_triage_late(sheaf_triage_t *triage, sheaf_flight_t *flight)
{
    sheaf_blame_log(triage->conf->map_key, flight->conn->server, NULL, SHEAF_ERR_TIMEOUT, sheaf_flight_late(flight),
                    now_ms(triage));
    note(triage, flight->exchange, flight->conn->server,
         &(sheaf_failure_t){.err = SHEAF_ERR_TIMEOUT, .was_sent = true});
}

/* --- two at once --- */

void sheaf_triage_lost(sheaf_triage_t *triage, sheaf_flight_t *flight, sheaf_err_t err)
{
    sheaf_failure_t failure = {.err = err, .status = flight->status, .was_sent = flight->has_written};

    if (triage->is_on)
        note(triage, flight->exchange, flight->conn->server, &failure);
}

bool sheaf_triage_is_calm(const sheaf_triage_t *triage)
{
    return !triage->has_breaker || triage->breaker.state == SHEAF_BREAKER_CLOSED;
}

bool sheaf_triage_is_good(const sheaf_triage_t *triage, uint16_t status)
{
    bool is_retried = triage->has_retry && (triage->conf->retry.on & 1u << SHEAF_RETRY_ON_429) != 0;

    return status < 500 && !(status == 429 && is_retried);
}
