/* upstream/stock.c - see stock.h. */
#include "gateway/upstream/stock.h"

static void on_sweep(sheaf_deadline_t *node);

void sheaf_stock_init(sheaf_stock_t *stock, sheaf_conn_env_t *env, sheaf_upstats_t *upstats, sheaf_balance_t *balance)
{
    stock->env = env;
    stock->upstats = upstats;
    stock->balance = balance;
    for (size_t i = 0; i < SHEAF_COUNT(stock->piped); i++)
        sheaf_list_init(&stock->piped[i]);
    stock->sweep.on_expired = on_sweep;
}

void sheaf_stock_fini(sheaf_stock_t *stock)
{
    for (uint32_t i = 0; i < stock->balance->count; i++)
        sheaf_stock_clear(stock, &stock->balance->servers[i]);
    SHEAF_ASSERT(stock->conn_count == 0 && stock->idle_count == 0 && stock->roomy_count == 0 &&
                 stock->piped_count == 0);
    sheaf_deadline_clear(stock->env->deadlines, &stock->sweep);
}

static void unfile(sheaf_stock_t *stock, sheaf_conn_t *conn)
{
    if (conn->shelf == SHEAF_SHELF_NONE)
        return;
    if (conn->shelf == SHEAF_SHELF_ROOMY)
        stock->roomy_count--;
    else
        stock->piped_count--;
    conn->shelf = SHEAF_SHELF_NONE;
    sheaf_list_remove(&conn->link);
}

void sheaf_stock_file(sheaf_stock_t *stock, sheaf_conn_t *conn)
{
    if (conn->state == SHEAF_CONN_IDLE || conn->state == SHEAF_CONN_CLOSING)
        return;
    unfile(stock, conn);
    if (sheaf_conn_has_room(conn)) {
        conn->shelf = SHEAF_SHELF_ROOMY;
        stock->roomy_count++;
        sheaf_list_push_front(&conn->server->roomy, &conn->link);
    } else if (sheaf_pipeline_takes(conn)) {
        conn->shelf = SHEAF_SHELF_PIPED;
        stock->piped_count++;
        sheaf_list_push_back(&stock->piped[conn->flight_count], &conn->link);
    }
}

void sheaf_stock_file_all(sheaf_stock_t *stock, sheaf_server_t *server)
{
    for (sheaf_link_t *link = server->roomy.next, *after; link != &server->roomy; link = after) {
        after = link->next;
        sheaf_stock_file(stock, SHEAF_OWNER(link, sheaf_conn_t, link));
    }
}

/* One that was taken is not in a list any more. */
static bool is_resting(const sheaf_conn_t *conn)
{
    return conn->state == SHEAF_CONN_IDLE && conn->link.next != NULL;
}

void sheaf_stock_let_go(sheaf_stock_t *stock, sheaf_conn_t *conn)
{
    stock->conn_count--;
    sheaf_upstats_gauge(stock->upstats, SHEAF_UPSTAT_CONNS, -1);
    stock->idle_count -= is_resting(conn);
    unfile(stock, conn);
    sheaf_conn_close(conn);
}

void sheaf_stock_clear(sheaf_stock_t *stock, sheaf_server_t *server)
{
    while (!sheaf_list_is_empty(&server->idle))
        sheaf_stock_let_go(stock, SHEAF_OWNER(server->idle.next, sheaf_conn_t, link));
}

uint64_t sheaf_stock_keep_ms(const sheaf_conn_t *conn, uint64_t most_ms)
{
    uint64_t said_s = conn->h1.keepalive_timeout_s;
    uint64_t said_ms = said_s == UINT32_MAX ? UINT64_MAX : said_s == 0 ? 0 : (said_s - 1) * 1000;

    if (conn->server->is_vacant)
        return 0;
    return said_ms < most_ms ? said_ms : most_ms;
}

void sheaf_stock_put(sheaf_stock_t *stock, sheaf_conn_t *conn, uint64_t kept_ms)
{
    unfile(stock, conn);
    sheaf_conn_move(conn, SHEAF_CONN_IDLE);
    conn->idle_until_ms = stock->env->clock->now_ms + kept_ms;
    sheaf_list_push_front(&conn->server->idle, &conn->link);
    stock->idle_count++;
    if (!sheaf_deadline_is_set(&stock->sweep) || conn->idle_until_ms < stock->sweep.at_ms)
        sheaf_deadline_set(stock->env->deadlines, &stock->sweep, conn->idle_until_ms);
}

/* A busy conn that takes more. What does not is not asked again until it is filed anew. */
static sheaf_conn_t *take_roomy(sheaf_stock_t *stock, sheaf_server_t *server)
{
    while (!sheaf_list_is_empty(&server->roomy)) {
        sheaf_conn_t *conn = SHEAF_OWNER(server->roomy.next, sheaf_conn_t, link);

        if (sheaf_conn_has_room(conn) &&
            (conn->state < SHEAF_CONN_ACTIVE || sheaf_balance_has(server, &conn->address, &conn->version)))
            return conn;
        unfile(stock, conn);
    }
    return NULL;
}

sheaf_conn_t *sheaf_stock_take(sheaf_stock_t *stock, sheaf_server_t *server, const sheaf_exchange_t *exchange)
{
    sheaf_conn_t *shared = stock->roomy_count != 0 ? take_roomy(stock, server) : NULL;

    if (shared != NULL)
        return shared;
    while (!sheaf_list_is_empty(&server->idle)) {
        sheaf_conn_t *conn = SHEAF_OWNER(server->idle.next, sheaf_conn_t, link);

        if (conn->idle_until_ms > stock->env->clock->now_ms &&
            sheaf_balance_has(server, &conn->address, &conn->version) && sheaf_conn_is_fit(conn, exchange)) {
            sheaf_list_remove(&conn->link);
            stock->idle_count--;
            return conn;
        }
        sheaf_stock_let_go(stock, conn);
    }
    return NULL;
}

sheaf_conn_t *sheaf_stock_take_any(sheaf_stock_t *stock, const sheaf_exchange_t *exchange)
{
    uint64_t now_ms = stock->env->clock->now_ms;
    sheaf_conn_t *conn = NULL;

    for (uint32_t i = 0; i < stock->balance->count && conn == NULL && stock->idle_count + stock->roomy_count != 0;
         i++) {
        sheaf_server_t *server = &stock->balance->servers[i];

        if ((exchange->tried & sheaf_balance_bit(stock->balance, server)) == 0 && !sheaf_server_is_out(server) &&
            sheaf_balance_suits(stock->balance, server, now_ms))
            conn = sheaf_stock_take(stock, server, exchange);
    }
    return conn;
}

static bool are_all_out(const sheaf_balance_t *balance)
{
    for (uint32_t i = 0; i < balance->count; i++)
        if (!balance->servers[i].is_vacant && !sheaf_server_is_out(&balance->servers[i]))
            return false;
    return true;
}

sheaf_conn_t *sheaf_stock_take_shared(sheaf_stock_t *stock)
{
    bool may_be_out = stock->roomy_count != 0 && are_all_out(stock->balance);
    sheaf_conn_t *conn = NULL;

    for (uint32_t i = 0; i < stock->balance->count && conn == NULL && stock->roomy_count != 0; i++)
        if (may_be_out || !sheaf_server_is_out(&stock->balance->servers[i]))
            conn = take_roomy(stock, &stock->balance->servers[i]);
    return conn;
}

static bool is_wanted(sheaf_stock_t *stock, const sheaf_conn_t *conn, const sheaf_server_t *server,
                      const sheaf_exchange_t *exchange)
{
    return conn->server == server || ((exchange->tried & sheaf_balance_bit(stock->balance, conn->server)) == 0 &&
                                      sheaf_balance_suits(stock->balance, conn->server, stock->env->clock->now_ms));
}

sheaf_conn_t *sheaf_stock_find_piped(sheaf_stock_t *stock, const sheaf_server_t *server,
                                     const sheaf_exchange_t *exchange, bool is_choosy)
{
    sheaf_conn_t *any = NULL;
    bool may_be_out;

    if (stock->piped_count == 0 || !sheaf_pipeline_suits(exchange))
        return NULL;
    may_be_out = are_all_out(stock->balance);
    for (size_t i = 1; i < SHEAF_COUNT(stock->piped); i++)
        for (sheaf_link_t *link = stock->piped[i].next; link != &stock->piped[i]; link = link->next) {
            sheaf_conn_t *conn = SHEAF_OWNER(link, sheaf_conn_t, link);

            if (!sheaf_pipeline_takes(conn) || (sheaf_server_is_out(conn->server) && !may_be_out) ||
                !sheaf_balance_has(conn->server, &conn->address, &conn->version))
                continue;
            if (is_wanted(stock, conn, server, exchange))
                return conn;
            any = any == NULL ? conn : any;
        }
    return is_choosy ? NULL : any;
}

void sheaf_stock_make_room(sheaf_stock_t *stock)
{
    for (uint32_t i = 0; i < stock->balance->count && stock->idle_count != 0; i++) {
        sheaf_link_t *idle = &stock->balance->servers[i].idle;

        if (sheaf_list_is_empty(idle))
            continue;
        sheaf_stock_let_go(stock, SHEAF_OWNER(idle->prev, sheaf_conn_t, link));
        return;
    }
}

static void on_sweep(sheaf_deadline_t *node)
{
    sheaf_stock_t *stock = SHEAF_OWNER(node, sheaf_stock_t, sweep);
    uint64_t next_ms = SHEAF_NEVER;

    for (uint32_t i = 0; i < stock->balance->count; i++) {
        sheaf_link_t *idle = &stock->balance->servers[i].idle;

        for (sheaf_link_t *link = idle->next, *after; link != idle; link = after) {
            sheaf_conn_t *conn = SHEAF_OWNER(link, sheaf_conn_t, link);

            after = link->next;
            if (conn->idle_until_ms <= stock->env->clock->now_ms)
                sheaf_stock_let_go(stock, conn);
            else if (conn->idle_until_ms < next_ms)
                next_ms = conn->idle_until_ms;
        }
    }
    sheaf_deadline_set(stock->env->deadlines, &stock->sweep, next_ms);
}
