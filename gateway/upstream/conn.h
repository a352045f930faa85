/* upstream/conn.h - one connection to a backend, TCP or a unix socket: the only place with backend sockets.
 *
 *   LOOKUP --address--> DIALING ----open----> ACTIVE <--exchange-- IDLE
 *      \___________________\____________________|_________ __________|
 *                                               v
 *                                            CLOSING (freed once libuv is done with it)
 *
 * A conn carries one exchange at a time, from dialing on. It reads from the moment it is open until it is closed, so
 * an exchange costs one write and one read and nothing else. What the socket does not take at once is copied: cancel
 * is synchronous and owes nobody. With TLS a conn is open once the handshake is done, and what it reads and writes goes
 * through the tls room; a large body is sealed piece by piece, as the socket takes it. A conn knows no limits and no lines: it tells its keeper (the group) what happened,
 * through sheaf_conn_events_t, always as the last thing it does. */
#ifndef SHEAF_UPSTREAM_CONN_H
#define SHEAF_UPSTREAM_CONN_H

#include <uv.h>

#include "gateway/base/metrics.h"
#include "gateway/base/slate.h"
#include "gateway/upstream/balance.h"
#include "gateway/upstream/h1.h"

#define SHEAF_CONN_READ_SIZE  ((size_t)64 << 10)
#define SHEAF_CONN_WRITE_SIZE ((size_t)32 << 10)
#define SHEAF_CONN_PLAIN_SIZE (SHEAF_CONN_READ_SIZE + SHEAF_TLS_RECORD_SIZE)

/* What all conns of a worker share. */
typedef struct sheaf_conn_env {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_metrics_t *metrics;                          /* may be NULL */
    sheaf_slate_t *slate;                              /* may be NULL; see monitor.h */
    uint32_t open_count;                               /* handles libuv still has */
    void (*on_all_closed)(struct sheaf_conn_env *env); /* may be NULL; each time open_count falls to 0 */
    sheaf_wire_head_t head;                            /* of the answer being read right now */
    char read[SHEAF_CONN_READ_SIZE];
    char plain[SHEAF_CONN_PLAIN_SIZE]; /* what TLS made of it */
    char write[SHEAF_CONN_WRITE_SIZE];
} sheaf_conn_env_t;

typedef struct sheaf_conn sheaf_conn_t;

typedef struct sheaf_conn_events {
    void (*on_open)(sheaf_conn_t *conn); /* accepted, and secured: start its exchange */
    /* The exchange is over and no longer on the conn. can_stay: the conn may carry another one; else close it.
     * is_untouched: no byte of an answer came. */
    void (*on_end)(sheaf_conn_t *conn, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail, bool can_stay,
                   bool is_untouched);
    /* The head of an answer of 400 or more. False: the answer is thrown away, its owner never sees it; on_end follows,
     * with conn->is_discarded. */
    bool (*on_bad_head)(sheaf_conn_t *conn, const sheaf_answer_head_t *head);
    void (*on_dial_failed)(sheaf_conn_t *conn, sheaf_err_t err, const char *detail); /* its exchange is still on it */
    void (*on_idle_end)(sheaf_conn_t *conn); /* closed by the backend, or bytes nobody asked for: close it */
} sheaf_conn_events_t;

typedef enum sheaf_conn_state {
    SHEAF_CONN_LOOKUP, /* waits for its server's name */
    SHEAF_CONN_DIALING,
    SHEAF_CONN_ACTIVE,
    SHEAF_CONN_IDLE,
    SHEAF_CONN_CLOSING,
} sheaf_conn_state_t;

struct sheaf_conn {
    uv_tcp_t tcp;
    uv_connect_t connect_req;
    sheaf_conn_env_t *env;
    const sheaf_conn_events_t *events;
    void *group;       /* the keeper's */
    sheaf_link_t link; /* in its server's idle list */
    sheaf_conn_state_t state;
    sheaf_exchange_t *exchange;
    sheaf_server_t *server;
    sheaf_sockaddr_t address;
    uint32_t version;     /* of the name's answer that has this address, see sheaf_balance_has() */
    sheaf_tried_t tried;  /* addresses that its exchange has tried */
    sheaf_err_t dial_err; /* what became of the last of them */
    const char *dial_detail;
    struct sheaf_conn *rival; /* see race.h; NULL: none */
    sheaf_deadline_t race;
    sheaf_name_waiter_t waiter;
    sheaf_deadline_t deadline; /* DIALING: to be accepted; ACTIVE: silence, see first_byte_ms */
    uint64_t dial_until_ms;    /* of a unix socket */
    uint64_t first_byte_ms;    /* the keeper's: how long it may be silent before an answer, and */
    uint64_t idle_ms;          /* within one; 0: as long as it likes */
    uint64_t awake_ms;         /* when it last did anything; kept only with a limit */
    sheaf_h1_t h1;
    sheaf_tls_t *tls;     /* NULL: clear text, or not accepted yet */
    sheaf_str_t unsealed; /* of the exchange's body, still to go through tls */
    uint64_t idle_until_ms;
    uint16_t status;     /* of the answer; 0 until its head came */
    uint64_t again_ms;   /* with is_discarded: when its exchange is sent again; the keeper's */
    bool is_discarded;   /* see on_bad_head */
    bool is_reused;      /* an exchange was completed on it before this one */
    bool has_written;    /* a byte of this exchange's request went out */
    bool is_writing;     /* a rest of it is on its way through libuv */
    bool is_half_broken; /* writing failed: reading tells what became of it */
    bool is_ended;       /* tls: nothing follows what is being taken */
};

/* `exchange` may be NULL: it has none yet. */
sheaf_conn_t *sheaf_conn_new(sheaf_conn_env_t *env, const sheaf_conn_events_t *events, void *group,
                             sheaf_exchange_t *exchange, sheaf_server_t *server);

/* The one door for state changes; keeps the gauges right. */
void sheaf_conn_move(sheaf_conn_t *conn, sheaf_conn_state_t state);

/* The exchange of `from`, which dials, goes on on `to`, which has none. */
void sheaf_conn_pass(sheaf_conn_t *from, sheaf_conn_t *to);

/* Its exchange goes to another server. */
void sheaf_conn_aim(sheaf_conn_t *conn, sheaf_server_t *server);

/* Connects to conn->address, and secures it, within `timeout_ms`; on_open or on_dial_failed follows. When the system refuses at once
 * the uv error is returned, and neither follows. */
int sheaf_conn_dial(sheaf_conn_t *conn, uint64_t timeout_ms);

/* Writes the request of `exchange` and waits for the answer; on_end follows, never from inside. A uv error when
 * nothing could be written: the exchange is not on the conn then, and the conn is of no more use. */
int sheaf_conn_start(sheaf_conn_t *conn, sheaf_exchange_t *exchange);

/* Nothing has come from the backend that was not read yet, neither bytes nor its close. One syscall. */
bool sheaf_conn_is_quiet(const sheaf_conn_t *conn);

/* RFC 9112 9.3.1: a backend may close an idle conn just as a request is on its way to it. No byte of an answer came (that is
 * is_untouched): `exchange`, which ended so with `err`, may go once more on another conn, because nothing of it can have
 * been acted on, or doing it twice does no harm. */
bool sheaf_conn_may_repeat(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange, sheaf_err_t err,
                           bool is_untouched);

/* Closes it now, whatever it does; no event follows. Its exchange, if any, is simply let go. */
void sheaf_conn_close(sheaf_conn_t *conn);

/* What a uv error of dialing means to an exchange. */
sheaf_err_t sheaf_conn_dial_err(int status);

#endif
