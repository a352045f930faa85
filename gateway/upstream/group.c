/* upstream/group.c - see group.h. */
#include "gateway/upstream/group.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/upstream/race.h"

enum { EXCHANGE_IDLE, EXCHANGE_WAITING, EXCHANGE_FLYING, EXCHANGE_REPORTING }; /* exchange->state; 0 is the owner's */

/* An exchange's way down. */
static void place(sheaf_group_t *group, sheaf_exchange_t *exchange);
static void dial(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server);
static void dial_on(sheaf_conn_t *conn);
static bool dial_next(sheaf_conn_t *conn);
static void on_resolved(sheaf_name_waiter_t *waiter);
/* What conns tell. */
static void on_open(sheaf_conn_t *conn);
static void on_end(sheaf_conn_t *conn, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail, bool can_stay,
                   bool is_untouched);
static void on_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail);
static void on_idle_end(sheaf_conn_t *conn);
/* And time. */
static void on_exchange_deadline(sheaf_deadline_t *node);
static void on_report(sheaf_task_t *task);
static void on_serve(sheaf_task_t *task);
static void on_sweep(sheaf_deadline_t *node);

static const sheaf_conn_events_t conn_events = {
    .on_open = on_open,
    .on_end = on_end,
    .on_dial_failed = on_dial_failed,
    .on_idle_end = on_idle_end,
};

/* --- the group --- */

sheaf_group_t *sheaf_group_new(sheaf_conn_env_t *env, sheaf_soon_t *soon, sheaf_resolver_t *resolver,
                               sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf)
{
    sheaf_group_t *group = sheaf_zalloc(sizeof(*group));
    uint64_t seed = (uintptr_t)group;

    (void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK); /* any will do: workers should only not be in step */
    group->conf = conf;
    group->snapshot = sheaf_snapshot_hold(snapshot);
    group->env = env;
    group->soon = soon;
    group->sweep.on_expired = on_sweep;
    group->serve.run = on_serve;
    sheaf_balance_init(&group->balance, conf, resolver, seed);
    sheaf_line_init(&group->line);
    return group;
}

static void let_go(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    sheaf_race_end(conn);
    group->conn_count--;
    group->idle_count -= conn->state == SHEAF_CONN_IDLE;
    sheaf_conn_close(conn);
}

void sheaf_group_free(sheaf_group_t *group)
{
    for (uint32_t i = 0; i < group->balance.count; i++)
        while (!sheaf_list_is_empty(&group->balance.servers[i].idle))
            let_go(SHEAF_OWNER(group->balance.servers[i].idle.next, sheaf_conn_t, link));
    SHEAF_ASSERT(group->conn_count == 0);
    sheaf_deadline_clear(group->env->deadlines, &group->sweep);
    sheaf_soon_cancel(&group->serve);
    sheaf_line_fini(&group->line);
    sheaf_balance_fini(&group->balance);
    sheaf_snapshot_drop(group->snapshot);
    free(group);
}

void sheaf_group_rebase(sheaf_group_t *group, sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf)
{
    sheaf_snapshot_t *old = group->snapshot;

    group->snapshot = sheaf_snapshot_hold(snapshot);
    group->conf = conf;
    sheaf_balance_rebase(&group->balance, conf);
    sheaf_snapshot_drop(old);
}

/* --- the ends of an exchange --- */

/* Nothing is touched after this: the owner may have freed the exchange, closed the conn, sent another one. */
static void tell(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    exchange->state = EXCHANGE_IDLE;
    exchange->sink->on_done(exchange, err, detail);
}

/* The way back when a sink callback may not run now. */
static void report(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    exchange->state = EXCHANGE_REPORTING;
    exchange->pending_err = err;
    exchange->pending_detail = detail;
    exchange->task.run = on_report;
    sheaf_soon(group->soon, &exchange->task);
}

static void on_report(sheaf_task_t *task)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(task, sheaf_exchange_t, task);

    tell(exchange, exchange->pending_err, exchange->pending_detail);
}

/* Takes the exchange from wherever it is; its place is given on from the soon-queue, so that a batch that cancels all
 * it has does not launch what it is about to cancel. */
static void detach(sheaf_exchange_t *exchange)
{
    sheaf_conn_t *conn = exchange->conn;
    sheaf_group_t *group;

    if (exchange->state == EXCHANGE_WAITING) {
        group = SHEAF_OWNER(sheaf_line_of(exchange), sheaf_group_t, line);
        sheaf_line_remove(exchange);
        sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_WAITING, -1);
        sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    } else if (exchange->state == EXCHANGE_FLYING) {
        group = conn->group;
        sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
        let_go(conn);
        if (group->line.count != 0)
            sheaf_soon(group->soon, &group->serve);
    } else if (exchange->state == EXCHANGE_REPORTING) {
        sheaf_soon_cancel(&exchange->task);
    }
    exchange->state = EXCHANGE_IDLE;
}

void sheaf_group_cancel(sheaf_exchange_t *exchange)
{
    detach(exchange);
}

static void on_exchange_deadline(sheaf_deadline_t *node)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(node, sheaf_exchange_t, deadline);
    bool has_waited = exchange->state == EXCHANGE_WAITING;

    detach(exchange);
    if (has_waited) /* nothing was asked of the backend: 503, not 504 */
        tell(exchange, SHEAF_ERR_QUEUE_FULL, "no connection became free in time");
    else
        tell(exchange, SHEAF_ERR_TIMEOUT, "");
}

/* --- sending --- */

/* The most recently used idle conn of `server` that is still good. For what cannot be sent twice the socket is looked
 * at first: a close that has arrived, but was not read yet, must not cost a 502. */
static sheaf_conn_t *idle_of(sheaf_group_t *group, sheaf_server_t *server, const sheaf_exchange_t *exchange)
{
    while (!sheaf_list_is_empty(&server->idle)) {
        sheaf_conn_t *conn = SHEAF_OWNER(server->idle.next, sheaf_conn_t, link);

        if (conn->idle_until_ms > group->env->clock->now_ms &&
            sheaf_balance_has(server, &conn->address, &conn->version) &&
            (exchange->is_idempotent || sheaf_conn_is_quiet(conn))) {
            sheaf_list_remove(&conn->link);
            group->idle_count--;
            return conn;
        }
        let_go(conn);
    }
    return NULL;
}

/* Where it may be any server's conn: then none has to be opened. */
static sheaf_conn_t *idle_of_any(sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    uint64_t now_ms = group->env->clock->now_ms;
    sheaf_conn_t *conn = NULL;

    for (uint32_t i = 0; i < group->balance.count && conn == NULL && group->idle_count != 0; i++) {
        if (sheaf_balance_suits(&group->balance, &group->balance.servers[i], now_ms))
            conn = idle_of(group, &group->balance.servers[i], exchange);
    }
    return conn;
}

/* Lets the idle conn go that rested longest at its server: another server needs its place. */
static void make_room(sheaf_group_t *group)
{
    for (uint32_t i = 0; i < group->balance.count && group->idle_count != 0; i++) {
        sheaf_link_t *idle = &group->balance.servers[i].idle;

        if (sheaf_list_is_empty(idle))
            continue;
        let_go(SHEAF_OWNER(idle->prev, sheaf_conn_t, link));
        return;
    }
}

/* A conn that was closed while it was idle took nothing of the request: once more, on a fresh one. */
static void start_on(sheaf_group_t *group, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    sheaf_server_t *server = conn->server;

    exchange->state = EXCHANGE_FLYING;
    if (sheaf_conn_start(conn, exchange) == 0)
        return;
    group->conn_count--;
    sheaf_conn_close(conn);
    sheaf_count(group->env->metrics, SHEAF_METRIC_EXCHANGES_RETRIED, 1);
    dial(group, exchange, server);
}

static bool has_room(const sheaf_group_t *group)
{
    return group->conn_count < group->conf->max_connections;
}

/* There is an idle conn, or room for a new one. */
static void place(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    sheaf_server_t *server = sheaf_balance_turn(&group->balance, exchange, group->env->clock->now_ms);
    sheaf_conn_t *conn = idle_of(group, server, exchange);

    if (conn == NULL && !has_room(group))
        conn = idle_of_any(group, exchange);
    if (conn != NULL) {
        start_on(group, conn, exchange);
        return;
    }
    if (!has_room(group))
        make_room(group);
    dial(group, exchange, server);
}

static void serve_line(sheaf_group_t *group)
{
    while (group->line.count != 0 && (group->idle_count != 0 || has_room(group))) {
        sheaf_exchange_t *exchange = sheaf_line_pop(&group->line);

        sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_WAITING, -1);
        place(group, exchange);
    }
}

static void on_serve(sheaf_task_t *task)
{
    serve_line(SHEAF_OWNER(task, sheaf_group_t, serve));
}

void sheaf_group_send(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    uint64_t now_ms = group->env->clock->now_ms, most_ms = now_ms + group->conf->timeout_ms;

    SHEAF_ASSERT(exchange->state == EXCHANGE_IDLE);
    exchange->conn = exchange->line = NULL;
    exchange->deadline.on_expired = on_exchange_deadline;
    sheaf_deadline_set(group->env->deadlines, &exchange->deadline,
                       exchange->deadline_ms < most_ms ? exchange->deadline_ms : most_ms);
    if (group->line.count == 0 && (group->idle_count != 0 || has_room(group))) {
        place(group, exchange);
        return;
    }
    if (exchange->is_direct && group->line.direct_count >= group->conf->max_waiting) {
        report(group, exchange, SHEAF_ERR_QUEUE_FULL, "");
        return;
    }
    exchange->state = EXCHANGE_WAITING;
    sheaf_line_push(&group->line, exchange);
    sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_WAITING, 1);
}

/* --- dialing: one conn per address, until one accepts, all are tried, or the deadline strikes --- */

static sheaf_conn_t *conn_for(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server)
{
    sheaf_conn_t *conn = sheaf_conn_new(group->env, &conn_events, group, exchange, server);

    exchange->state = EXCHANGE_FLYING;
    conn->waiter.on_resolved = on_resolved;
    group->conn_count++;
    return conn;
}

/* A socket that failed is of no more use (it has a family and an error): the next address gets a new conn. */
static sheaf_conn_t *replace(sheaf_conn_t *old, sheaf_err_t err, const char *detail)
{
    sheaf_exchange_t *exchange = old->exchange;
    sheaf_conn_t *conn;

    let_go(old); /* stays readable until its close callback */
    conn = conn_for(old->group, exchange, old->server);
    conn->tried = old->tried;
    conn->dial_err = err;
    conn->dial_detail = detail;
    return conn;
}

/* Nothing is left to try. */
static void give_up(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    sheaf_exchange_t *exchange = conn->exchange;
    sheaf_group_t *group = conn->group;

    let_go(conn);
    report(group, exchange, err, detail);
    if (group->line.count != 0)
        sheaf_soon(group->soon, &group->serve);
}

static void dial_on(sheaf_conn_t *conn)
{
    while (!dial_next(conn))
        conn = replace(conn, conn->dial_err, conn->dial_detail);
}

static void dial(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server)
{
    sheaf_conn_t *conn = conn_for(group, exchange, server);

    conn->dial_err = SHEAF_ERR_RESOLVE; /* what it is when no address is found at all */
    conn->dial_detail = server->name->detail;
    dial_on(conn);
}

/* False when the system refused this address at once: the next one is due, on a new conn. */
static bool dial_next(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;
    uint64_t now_ms = group->env->clock->now_ms;
    sheaf_server_t *server = conn->server;
    sheaf_pick_t pick = sheaf_balance_pick(&group->balance, server, now_ms, &conn->tried, &server, &conn->address);
    int status;

    if (pick != SHEAF_PICK_NONE)
        sheaf_conn_aim(conn, server);
    switch (pick) {
    case SHEAF_PICK_LOOKUP:
        sheaf_name_ask(conn->server->name, &conn->waiter);
        return true;
    case SHEAF_PICK_NONE:
        give_up(conn, conn->dial_err, conn->dial_detail);
        return true;
    case SHEAF_PICK_PEER:
        break;
    }
    conn->version = server->version;
    status = sheaf_conn_dial(conn, group->conf->connect_timeout_ms);
    if (status == 0) {
        sheaf_race_begin(conn);
        return true;
    }
    conn->dial_err = sheaf_conn_dial_err(status);
    conn->dial_detail = uv_strerror(status);
    if (conn->dial_err == SHEAF_ERR_OVERLOADED) { /* our own want of sockets: no other address helps */
        give_up(conn, conn->dial_err, conn->dial_detail);
        return true;
    }
    sheaf_balance_note(conn->server, &conn->address, false, now_ms);
    return false;
}

static void on_resolved(sheaf_name_waiter_t *waiter)
{
    dial_on(SHEAF_OWNER(waiter, sheaf_conn_t, waiter));
}

static void on_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    sheaf_group_t *group = conn->group;

    if (err != SHEAF_ERR_OVERLOADED)
        sheaf_balance_note(conn->server, &conn->address, false, group->env->clock->now_ms);
    conn->dial_err = err;
    conn->dial_detail = detail;
    if (sheaf_race_lost(conn))
        return;
    if (err == SHEAF_ERR_OVERLOADED) {
        give_up(conn, err, detail);
        return;
    }
    dial_on(replace(conn, err, detail));
}

static void on_open(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;
    sheaf_exchange_t *exchange;
    int status;

    sheaf_race_won(conn);
    exchange = conn->exchange;
    sheaf_balance_note(conn->server, &conn->address, true, group->env->clock->now_ms);
    status = sheaf_conn_start(conn, exchange);
    if (status == 0)
        return;
    let_go(conn);
    report(group, exchange, SHEAF_ERR_RESET, uv_strerror(status));
    serve_line(group);
}

/* --- after an answer --- */

/* How long the backend will surely keep it: a second less than it says, so that no request crosses its close. */
static uint64_t keep_ms(const sheaf_group_t *group, const sheaf_conn_t *conn)
{
    uint64_t said_s = conn->h1.keepalive_timeout_s;
    uint64_t said_ms = said_s == UINT32_MAX ? UINT64_MAX : said_s == 0 ? 0 : (said_s - 1) * 1000;

    return said_ms < group->conf->keepalive_ms ? said_ms : group->conf->keepalive_ms;
}

/* A conn that got free takes the exchange whose turn it is, or rests. */
static void keep(sheaf_group_t *group, sheaf_conn_t *conn)
{
    uint64_t kept_ms = keep_ms(group, conn);
    sheaf_exchange_t *next = NULL; /* may ask whose turn it is, once this conn rests */

    if (kept_ms == 0) {
        let_go(conn);
        return;
    }
    conn->is_reused = true;
    if (group->line.count != 0 && sheaf_balance_has(conn->server, &conn->address, &conn->version) &&
        sheaf_balance_suits(&group->balance, conn->server, group->env->clock->now_ms))
        next = sheaf_line_pop(&group->line);
    if (next != NULL) {
        sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_WAITING, -1);
        start_on(group, conn, next);
        return;
    }
    sheaf_conn_move(conn, SHEAF_CONN_IDLE);
    conn->idle_until_ms = group->env->clock->now_ms + kept_ms;
    sheaf_list_push_front(&conn->server->idle, &conn->link);
    group->idle_count++;
    if (!sheaf_deadline_is_set(&group->sweep) || conn->idle_until_ms < group->sweep.at_ms)
        sheaf_deadline_set(group->env->deadlines, &group->sweep, conn->idle_until_ms);
}

/* RFC 9112 9.3.1: a backend may close an idle conn just as a request is on its way to it. No byte of an answer came;
 * once more is safe when nothing of the request can have been acted on, or doing it twice does no harm. */
static bool may_retry(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange, sheaf_err_t err, bool is_untouched)
{
    return err == SHEAF_ERR_RESET && is_untouched && conn->is_reused && (exchange->is_idempotent || !conn->has_written);
}

/* The conn is in its place before the owner hears: what it sends from on_done may take it. */
static void on_end(sheaf_conn_t *conn, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail, bool can_stay,
                   bool is_untouched)
{
    sheaf_group_t *group = conn->group;
    sheaf_server_t *server = conn->server;

    if (may_retry(conn, exchange, err, is_untouched)) {
        let_go(conn);
        sheaf_count(group->env->metrics, SHEAF_METRIC_EXCHANGES_RETRIED, 1);
        dial(group, exchange, server);
        return;
    }
    sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    if (can_stay)
        keep(group, conn);
    else
        let_go(conn);
    serve_line(group);
    tell(exchange, err, detail);
}

static void on_idle_end(sheaf_conn_t *conn)
{
    let_go(conn);
}

/* One deadline for all idle conns: a conn that is used all the time costs no timer. */
static void on_sweep(sheaf_deadline_t *node)
{
    sheaf_group_t *group = SHEAF_OWNER(node, sheaf_group_t, sweep);
    uint64_t next_ms = SHEAF_NEVER;

    for (uint32_t i = 0; i < group->balance.count; i++) {
        sheaf_link_t *idle = &group->balance.servers[i].idle;

        for (sheaf_link_t *link = idle->next, *after; link != idle; link = after) {
            sheaf_conn_t *conn = SHEAF_OWNER(link, sheaf_conn_t, link);

            after = link->next;
            if (conn->idle_until_ms <= group->env->clock->now_ms)
                let_go(conn);
            else if (conn->idle_until_ms < next_ms)
                next_ms = conn->idle_until_ms;
        }
    }
    sheaf_deadline_set(group->env->deadlines, &group->sweep, next_ms);
}
