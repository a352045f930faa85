/* upstream/race.c - see race.h. */
#include "gateway/upstream/race.h"

#include "gateway/upstream/dial.h"
#include "gateway/upstream/handshake.h"

static void on_delay(sheaf_deadline_t *node);

void sheaf_race_begin(sheaf_conn_t *conn)
{
    if (conn->server->peer_count < 2 || conn->tls != NULL) /* its address answers already: TLS is what takes long */
        return;
    conn->race.on_expired = on_delay;
    sheaf_deadline_set(conn->env->deadlines, &conn->race, conn->env->clock->now_ms + SHEAF_RACE_AFTER_MS);
}

static void close_one(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    sheaf_stock_let_go(&group->stock, conn);
    if (group->line.count != 0)
        sheaf_soon(group->soon, &group->serve);
}

static void part(sheaf_conn_t *conn)
{
    conn->rival->rival = NULL;
    conn->rival = NULL;
}

void sheaf_race_end(sheaf_conn_t *conn)
{
    sheaf_conn_t *rival = conn->rival;

    if (rival == NULL)
        return;
    part(conn);
    close_one(rival);
}

/* The leader is late. The rival has no exchange yet: what ends the exchange ends it with its leader. */
static void on_delay(sheaf_deadline_t *node)
{
    sheaf_conn_t *conn = SHEAF_OWNER(node, sheaf_conn_t, race), *rival;
    sheaf_group_t *group = conn->group;
    uint64_t now_ms = conn->env->clock->now_ms;
    sheaf_sockaddr_t address;

    if (group->stock.conn_count >= group->conf->max_connections ||
        !sheaf_balance_pick_beside(&group->balance, conn->server, &conn->address, now_ms, &conn->tried, &address))
        return;
    rival = sheaf_dial_conn(group, conn->server);
    rival->address = address;
    rival->version = conn->server->version;
    rival->rival = conn;
    conn->rival = rival;
    sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_RACED, 1);
    if (sheaf_handshake_begin(rival, group->conf->connect_timeout_ms) == 0)
        return;
    sheaf_balance_note(conn->server, &address, false, now_ms);
    sheaf_race_end(conn);
    sheaf_race_begin(conn);
}

void sheaf_race_won(sheaf_conn_t *conn)
{
    sheaf_conn_t *rival = conn->rival;

    sheaf_deadline_clear(conn->env->deadlines, &conn->race);
    if (rival == NULL)
        return;
    if (conn->flight_count == 0) {
        sheaf_balance_note(rival->server, &rival->address, false, conn->env->clock->now_ms);
        sheaf_flight_pass_all(rival, conn);
    }
    sheaf_race_end(conn);
}

bool sheaf_race_lost(sheaf_conn_t *conn)
{
    sheaf_conn_t *rival = conn->rival;

    if (rival == NULL)
        return false;
    if (conn->flight_count != 0) {
        rival->tried = conn->tried;
        sheaf_flight_pass_all(conn, rival);
    }
    part(conn);
    close_one(conn);
    sheaf_race_begin(rival);
    return true;
}
