/* upstream/group.c - see group.h. */
#include "gateway/upstream/group.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/upstream/blame.h"
#include "gateway/upstream/dial.h"
#include "gateway/upstream/ending.h"
#include "gateway/upstream/leaving.h"
#include "gateway/upstream/place.h"
#include "gateway/upstream/race.h"
#include "gateway/upstream/refusal.h"
#include "gateway/upstream/twin.h"

/* An exchange's way down. */
static void launch(sheaf_group_t *group, sheaf_exchange_t *exchange);
/* What conns tell. */
static void on_open(sheaf_conn_t *conn);
static void on_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay);
static bool on_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head);
static void on_room(sheaf_conn_t *conn);
static void on_cut(sheaf_flight_t *flight);
static void on_stuck(sheaf_conn_t *conn);
/* What balance tells. */
static void on_left(sheaf_balance_t *balance, sheaf_server_t *server);
static void on_changed(sheaf_balance_t *balance);
static void on_back(sheaf_balance_t *balance);
/* And time. */
static void on_exchange_deadline(sheaf_deadline_t *node);
static void on_serve(sheaf_task_t *task);

static const sheaf_conn_events_t conn_events = {
    .on_open = on_open,
    .on_end = on_end,
    .on_head = on_head,
    .on_dial_failed = sheaf_dial_failed,
    .on_idle_end = sheaf_group_let_go,
    .on_room = on_room,
    .on_cut = on_cut,
    .on_stuck = on_stuck,
};

/* --- the group --- */

sheaf_group_t *sheaf_group_new(sheaf_conn_env_t *env, sheaf_soon_t *soon, sheaf_resolver_t *resolver,
                               sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf)
{
    sheaf_group_t *group = sheaf_zalloc(sizeof(*group));
    sheaf_chance_t chance = {(uintptr_t)group};

    SHEAF_ASSERT(conf->pipeline <= SHEAF_PIPELINE_MAX);
    (void)!getrandom(&chance, sizeof(chance), GRND_NONBLOCK); /* any will do: workers should only not be in step */
    group->conf = conf;
    group->snapshot = sheaf_snapshot_hold(snapshot);
    group->env = env;
    group->upstats = sheaf_upstats_page(env->upstats, env->slot, conf->map_key);
    group->events = &conn_events;
    group->soon = soon;
    group->serve.run = on_serve;
    sheaf_balance_init(&group->balance, conf, sheaf_snapshot_tls_of(snapshot, conf), resolver,
                       sheaf_chance_next(&chance));
    group->balance.on_left = on_left;
    group->balance.on_changed = on_changed;
    group->balance.on_back = on_back;
    sheaf_stock_init(&group->stock, env, group->upstats, &group->balance);
    sheaf_line_init(&group->line);
    sheaf_throttle_init(&group->throttle, env->clock, env->metrics, group->upstats, conf);
    sheaf_triage_init(&group->triage, env, &group->balance, &group->stock, conf, sheaf_chance_next(&chance));
    sheaf_monitor_init(&group->monitor, env, &group->balance, &group->stock, &group->triage.outliers, conf,
                       sheaf_chance_next(&chance));
    sheaf_hedge_init(&group->hedge, &conf->hedge);
    return group;
}

/* A server is there no more: what flies there flies on. */
static void on_left(sheaf_balance_t *balance, sheaf_server_t *server)
{
    sheaf_group_t *group = SHEAF_OWNER(balance, sheaf_group_t, balance);

    sheaf_triage_left(&group->triage, server);
    sheaf_stock_clear(&group->stock, server);
}

static void on_changed(sheaf_balance_t *balance)
{
    sheaf_monitor_renew(&SHEAF_OWNER(balance, sheaf_group_t, balance)->monitor);
}

/* Its conns take more again: whoever waits because no other one may be opened need not wait for an answer. */
static void on_back(sheaf_balance_t *balance)
{
    sheaf_group_serve_soon(SHEAF_OWNER(balance, sheaf_group_t, balance));
}

void sheaf_group_let_go(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    sheaf_race_end(conn);
    sheaf_stock_let_go(&group->stock, conn);
}

void sheaf_group_free(sheaf_group_t *group)
{
    sheaf_monitor_fini(&group->monitor);
    sheaf_stock_fini(&group->stock);
    sheaf_soon_cancel(&group->serve);
    sheaf_line_fini(&group->line);
    sheaf_throttle_fini(&group->throttle);
    sheaf_triage_fini(&group->triage);
    sheaf_hedge_fini(&group->hedge);
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
    sheaf_triage_rebase(&group->triage, conf);
    sheaf_throttle_rebase(&group->throttle, conf);
    sheaf_monitor_rebase(&group->monitor, conf);
    sheaf_hedge_rebase(&group->hedge, &conf->hedge);
    sheaf_snapshot_drop(old);
}

void sheaf_group_serve_soon(sheaf_group_t *group)
{
    if (group->line.count != 0)
        sheaf_soon(group->soon, &group->serve);
}

void sheaf_group_credit(sheaf_exchange_t *exchange, size_t len)
{
    if (exchange->state == SHEAF_EXCHANGE_FLYING)
        sheaf_conn_credit(exchange->flight, len);
}

void sheaf_group_cancel(sheaf_exchange_t *exchange)
{
    sheaf_leaving_cancel(exchange);
}

/* --- between two attempts --- */

/* False when the loop was late and its time is over. */
static bool resume(sheaf_exchange_t *exchange)
{
    sheaf_group_t *group = exchange->keeper;

    if (group->env->clock->now_ms >= exchange->end_ms)
        return false;
    sheaf_leaving_detach(exchange);
    sheaf_deadline_set(group->env->deadlines, &exchange->deadline, exchange->end_ms);
    launch(group, exchange);
    return true;
}

static void on_exchange_deadline(sheaf_deadline_t *node)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(node, sheaf_exchange_t, deadline);
    sheaf_group_t *group = exchange->keeper;
    bool has_waited = exchange->state == SHEAF_EXCHANGE_WAITING;
    sheaf_flight_t *flight = exchange->flight;
    char words[SHEAF_BLAME_SIZE] = "no time was left for another attempt";

    if (exchange->state == SHEAF_EXCHANGE_RESTING && resume(exchange))
        return;
    if (exchange->state != SHEAF_EXCHANGE_RESTING && group->env->clock->now_ms < exchange->end_ms) {
        sheaf_twin_send(exchange);
        return;
    }
    if (exchange->state == SHEAF_EXCHANGE_FLYING)
        sheaf_blame_say(words, flight->conn->server, SHEAF_ERR_TIMEOUT, sheaf_flight_late(flight));
    sheaf_leaving_late(exchange);
    if (has_waited) /* nothing was asked of the backend: 503, not 504 */
        sheaf_ending_tell(exchange, SHEAF_ERR_QUEUE_FULL, "no connection became free in time");
    else
        sheaf_ending_tell(exchange, SHEAF_ERR_TIMEOUT, words);
}

/* --- sending --- */

/* Not sent at all: it could only be late. */
static bool sheds(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    if (!sheaf_throttle_sheds(&group->throttle, exchange))
        return false;
    sheaf_ending_refuse(group, exchange, SHEAF_ERR_TOO_LATE, "not sent: its answer would have come after its deadline");
    return true;
}

static bool admit(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    if (sheaf_triage_admit(&group->triage, exchange)) {
        sheaf_twin_watch(group, exchange);
        return true;
    }
    sheaf_ending_refuse(group, exchange, SHEAF_ERR_BREAKER_OPEN, "");
    return false;
}

/* Out of the line: the one whose turn it is. False: it is not to fly any more. */
static bool take_next(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    sheaf_throttle_waited(&group->throttle, exchange);
    return !sheds(group, exchange) && admit(group, exchange);
}

/* Out of the line: the first one that is to fly, or NULL. */
static sheaf_exchange_t *next_waiting(sheaf_group_t *group)
{
    sheaf_exchange_t *exchange;

    while ((exchange = sheaf_line_pop(&group->line)) != NULL && !take_next(group, exchange))
        ;
    return exchange;
}

static void serve_line(sheaf_group_t *group)
{
    sheaf_exchange_t *exchange;

    while ((exchange = sheaf_line_peek(&group->line)) != NULL && sheaf_place_is_free(group, exchange))
        if (take_next(group, sheaf_line_pop(&group->line)))
            sheaf_place(group, exchange);
}

static void on_serve(sheaf_task_t *task)
{
    serve_line(SHEAF_OWNER(task, sheaf_group_t, serve));
}

/* What the configuration gives it here: who asked may have wanted less. */
static uint64_t full_time_ms(const sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    uint64_t ours_ms = group->conf->timeout_ms, routes_ms = exchange->route_timeout_ms;

    return routes_ms != 0 && routes_ms < ours_ms ? routes_ms : ours_ms;
}

void sheaf_group_send(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    uint64_t full_ms = full_time_ms(group, exchange), most_ms = group->env->clock->now_ms + full_ms;

    SHEAF_ASSERT(exchange->state == SHEAF_EXCHANGE_IDLE);
    exchange->flight = exchange->line = NULL;
    exchange->is_in_flight = exchange->is_trial = false;
    exchange->is_timed = exchange->was_hedged = exchange->is_twin = exchange->is_alone = false;
    exchange->twin = NULL;
    exchange->flown_ms = 0;
    exchange->unused = 0;
    exchange->is_answered = false;
    exchange->refused = exchange->stranded = 0;
    exchange->keeper = group;
    exchange->deadline.on_expired = on_exchange_deadline;
    exchange->has_full_time = exchange->deadline_ms >= most_ms - full_ms / 16; /* plugins may take a moment */
    exchange->end_ms = exchange->deadline_ms < most_ms ? exchange->deadline_ms : most_ms;
    sheaf_deadline_set(group->env->deadlines, &exchange->deadline, exchange->end_ms);
    sheaf_triage_begin(&group->triage, exchange);
    launch(group, exchange);
}

static void launch(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    if (!exchange->is_alone) /* who was cut off from others keeps its turn */
        sheaf_line_number(&group->line, exchange);
    if (sheds(group, exchange))
        return;
    if (group->line.count != 0 || !sheaf_place_is_free(group, exchange))
        sheaf_place_wait(group, exchange);
    else if (admit(group, exchange))
        sheaf_place(group, exchange);
}

/* --- what conns tell --- */

static bool start_first(sheaf_group_t *group, sheaf_conn_t *conn)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);
    sheaf_exchange_t *exchange = flight->exchange;
    int status = sheaf_conn_start(flight);
    char words[SHEAF_BLAME_SIZE];

    if (status == 0)
        return true;
    if (sheaf_twin_lost(flight, SHEAF_ERR_RESET))
        return false;
    sheaf_throttle_leave(&group->throttle, exchange, SHEAF_ERR_RESET, 0);
    if (!sheaf_ending_rest(group, exchange, sheaf_triage_ended(&group->triage, flight, SHEAF_ERR_RESET)))
        sheaf_ending_report(group, exchange, SHEAF_ERR_RESET,
                            sheaf_blame_say(words, conn->server, SHEAF_ERR_RESET, uv_strerror(status)));
    return false;
}

/* All that came aboard while it was dialed; over HTTP/1.1 only the first can stay. */
static void start_all(sheaf_group_t *group, sheaf_conn_t *conn)
{
    sheaf_flight_t *flight, *first = sheaf_conn_first(conn);
    bool has_started = start_first(group, conn);
    sheaf_link_t *link = has_started ? first->link.next : conn->flights.next, *after;
    uint32_t count = conn->flight_count - has_started;

    conn->is_half_broken |= !has_started; /* takes none of them once more */
    sheaf_stock_file_all(&group->stock, conn->server);
    for (; count != 0; count--, link = after) {
        after = link->next;
        flight = SHEAF_OWNER(link, sheaf_flight_t, link);
        if (!has_started || conn->h2 == NULL || sheaf_conn_start(flight) != 0)
            sheaf_place_anew(group, flight);
    }
    if (has_started)
        sheaf_stock_file(&group->stock, conn);
    else
        sheaf_group_let_go(conn);
    serve_line(group);
}

static void on_open(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    sheaf_upstats_count(group->upstats, SHEAF_UPSTAT_CONNS_OPENED, 1);
    sheaf_race_won(conn);
    sheaf_balance_note(conn->server, &conn->address, true, group->env->clock->now_ms);
    start_all(group, conn);
}

/* --- after an answer --- */

/* Not what this server failed already. */
static bool is_good_for(const sheaf_group_t *group, const sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    return (exchange->tried & sheaf_balance_bit(&group->balance, conn->server)) == 0 &&
           sheaf_conn_is_fit(conn, exchange);
}

/* A conn that got free takes the exchange whose turn it is, or rests. */
static void keep(sheaf_group_t *group, sheaf_conn_t *conn)
{
    uint64_t kept_ms = sheaf_stock_keep_ms(conn, group->conf->keepalive_ms);
    sheaf_exchange_t *next = NULL; /* may ask whose turn it is, once this conn rests */

    sheaf_monitor_look(&group->monitor);
    if (kept_ms == 0 || sheaf_server_is_out(conn->server)) {
        sheaf_group_let_go(conn);
        return;
    }
    conn->is_reused = true;
    if (group->line.count != 0 && sheaf_throttle_has_room(&group->throttle) &&
        sheaf_balance_has(conn->server, &conn->address, &conn->version) &&
        sheaf_balance_suits(&group->balance, conn->server, group->env->clock->now_ms))
        next = next_waiting(group);
    if (next != NULL && is_good_for(group, conn, next)) {
        sheaf_throttle_enter(&group->throttle, next);
        sheaf_place_on(group, conn, next);
        return;
    }
    sheaf_stock_put(&group->stock, conn, kept_ms);
    if (next != NULL) /* another server, where there is one, or another conn */
        sheaf_place(group, next);
}

/* How long the rest takes is up to its owner: it has no time limit any more, and says little of the backend. */
static void note_answered(sheaf_group_t *group, sheaf_flight_t *flight)
{
    sheaf_exchange_t *exchange = flight->exchange;

    sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    sheaf_throttle_answered(&group->throttle, exchange, flight->status);
    sheaf_triage_answered(&group->triage, exchange, flight->status);
    exchange->is_answered = true;
    sheaf_group_serve_soon(group);
}

static bool on_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head)
{
    sheaf_group_t *group = flight->conn->group;

    if (!sheaf_twin_takes(flight, head->status))
        return false;
    if (head->status >= 400 && (group->triage.has_retry || flight->exchange->other != NULL) &&
        !sheaf_triage_passes(&group->triage, flight, head))
        return false;
    if (flight->exchange->is_streamed)
        note_answered(group, flight);
    return true;
}

/* Of the conn that a flight has left: it goes on with the others, takes another, or is closed. */
static void settle(sheaf_group_t *group, sheaf_conn_t *conn, bool can_stay)
{
    if (conn->flight_count != 0)
        sheaf_stock_file(&group->stock, conn);
    else if (can_stay)
        keep(group, conn);
    else
        sheaf_group_let_go(conn);
}

/* HTTP/2: the backend has not acted on it (RFC 9113 8.7), so it is safe to send it again whatever it is, to another server
 * where there is one and this one has enough; but not for ever. */
static bool try_elsewhere(sheaf_group_t *group, sheaf_flight_t *flight, bool can_stay)
{
    sheaf_exchange_t *exchange = flight->exchange;
    uint64_t again_ms;

    if (!flight->is_unprocessed || !sheaf_refusal_allows(exchange, !can_stay, group->env->clock->now_ms, &again_ms))
        return false;
    if (sheaf_refusal_is_servers(exchange, !can_stay))
        exchange->tried |= sheaf_balance_bit(&group->balance, flight->conn->server);
    sheaf_count(group->env->metrics, SHEAF_METRIC_EXCHANGES_RETRIED, 1);
    sheaf_throttle_undo(&group->throttle, exchange);
    sheaf_triage_forget(&group->triage, exchange);
    settle(group, flight->conn, can_stay);
    if (!sheaf_ending_rest(group, exchange, again_ms))
        launch(group, exchange);
    sheaf_group_serve_soon(group); /* it may stand in a line that nothing else moves */
    return true;
}

static void log_failure(const sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    const sheaf_group_t *group = conn->group;

    if (err != SHEAF_OK && err != SHEAF_ERR_ANSWER_TOO_LARGE)
        sheaf_blame_log(group->conf->map_key, conn->server, &conn->address, err, detail, group->env->clock->now_ms);
}

/* The conn is in its place before the owner hears: what it sends from on_done may take it. */
static void on_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay)
{
    sheaf_conn_t *conn = flight->conn;
    sheaf_group_t *group = conn->group;
    sheaf_exchange_t *exchange = flight->exchange;
    sheaf_server_t *server = conn->server;
    char words[SHEAF_BLAME_SIZE];
    bool is_over;

    if (sheaf_flight_may_repeat(flight, err)) {
        sheaf_group_let_go(conn);
        sheaf_count(group->env->metrics, SHEAF_METRIC_EXCHANGES_RETRIED, 1);
        sheaf_dial(group, exchange, server);
        return;
    }
    if (!flight->is_unprocessed)
        log_failure(conn, err, detail);
    if (sheaf_twin_lost(flight, err)) {
        settle(group, conn, can_stay);
        serve_line(group);
        return;
    }
    if (try_elsewhere(group, flight, can_stay))
        return;
    if (flight->is_unprocessed) /* too often: its owner hears of it, too */
        log_failure(conn, err, detail);
    if (err == SHEAF_OK)
        group->answered_ms = group->env->clock->now_ms;
    sheaf_twin_ended(exchange);
    sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    sheaf_throttle_leave(&group->throttle, exchange, err, flight->status);
    is_over = (!group->triage.is_on && exchange->other == NULL) ||
              !sheaf_ending_rest(group, exchange, sheaf_triage_ended(&group->triage, flight, err));
    settle(group, conn, can_stay);
    serve_line(group);
    if (is_over)
        sheaf_ending_conclude(group, exchange, err, err == SHEAF_OK ? "" : sheaf_blame_say(words, server, err, detail));
}

static void on_cut(sheaf_flight_t *flight)
{
    if (!sheaf_twin_lost(flight, SHEAF_ERR_CANCELLED))
        sheaf_ending_again(flight->conn->group, flight->exchange);
}

/* There is a place, or those who wait, and came later, are served by other conns. Where nothing else moves either, nobody
 * would be helped. */
static void on_stuck(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    if (group->line.count == 0 ? sheaf_place_has_own(group) : group->answered_ms > conn->first_ms)
        sheaf_pipeline_cut(conn, sheaf_conn_first(conn));
}

/* More room is used, less is not counted on. */
static void on_room(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    sheaf_stock_file(&group->stock, conn);
    sheaf_group_serve_soon(group);
}
