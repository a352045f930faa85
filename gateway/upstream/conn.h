/* upstream/conn.h - one connection to a backend, TCP or a unix socket: the only place with backend sockets.
 *
 *   LOOKUP --address--> DIALING ----open----> ACTIVE <---flight--- IDLE
 *      \___________________\____________________|_________ __________|
 *                                               v
 *                                            CLOSING (freed once libuv is done with it)
 *
 * A conn carries exchanges (flight.h), one at a time over HTTP/1.1 (but see pipeline.h), from dialing on. It reads from
 * the moment it is open until it is closed, so an exchange costs one write and one read and nothing else; only a streamed
 * answer makes it pause. What the
 * socket does not take at once is copied: cancel is synchronous and owes nobody; of a large body that is a piece at a
 * time. With TLS a conn is open once the handshake is done, and what it reads and writes goes through the tls room, a
 * large body piece by piece. A conn knows no limits and no lines: it tells its keeper (the group) what happened,
 * through sheaf_conn_events_t, always as the last thing it does.
 *
 * The way of the bytes is three rooms: handshake (until it is open), reading, writing. */
#ifndef SHEAF_UPSTREAM_CONN_H
#define SHEAF_UPSTREAM_CONN_H

#include <uv.h>

#include "gateway/base/metrics.h"
#include "gateway/base/slate.h"
#include "gateway/base/upstats.h"
#include "gateway/upstream/balance.h"
#include "gateway/upstream/flight.h"
#include "gateway/upstream/h1.h"
#include "gateway/upstream/h2.h"

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
    sheaf_upstats_book_t *upstats;                     /* may be NULL; what each upstream did, */
    uint32_t slot;                                     /* and in it the slot of this worker */
    uint32_t open_count;                               /* handles libuv still has */
    void (*on_all_closed)(struct sheaf_conn_env *env); /* may be NULL; each time open_count falls to 0 */
    sheaf_soon_t *soon;                                /* may be NULL */
    sheaf_link_t *spare;                               /* flights, see flight.h */
    sheaf_wire_head_t head;                            /* of the answer being read right now */
    char read[SHEAF_CONN_READ_SIZE];
    char plain[SHEAF_CONN_PLAIN_SIZE]; /* what TLS made of it */
    char write[SHEAF_CONN_WRITE_SIZE];
} sheaf_conn_env_t;

typedef struct sheaf_conn sheaf_conn_t;

typedef struct sheaf_conn_events {
    void (*on_open)(sheaf_conn_t *conn); /* accepted, and secured: start its flights */
    /* The flight is over and not aboard any more. can_stay: the conn may carry another one; else close it, once none is
     * left aboard. */
    void (*on_end)(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay);
    /* The head of an answer, of 400 or more, or to an exchange that hedge watches. False: the answer is thrown away, its
     * owner never sees it; on_end follows, with flight->is_discarded. Another exchange may have taken the flight over. */
    bool (*on_head)(sheaf_flight_t *flight, const sheaf_answer_head_t *head);
    void (*on_dial_failed)(sheaf_conn_t *conn, sheaf_err_t err, const char *detail); /* its flights are still aboard */
    void (*on_idle_end)(sheaf_conn_t *conn); /* closed by the backend, or bytes nobody asked for: close it */
    /* How many more flights it takes has changed, other than by the end of one. May be NULL. */
    void (*on_room)(sheaf_conn_t *conn);
    /* Pipelining, see pipeline.h; NULL where the keeper never does it. The flight is not aboard any more, and what it asked
     * is to be asked again; never from inside. */
    void (*on_cut)(sheaf_flight_t *flight);
    /* Its first answer holds up others for long: those may be cut. */
    void (*on_stuck)(sheaf_conn_t *conn);
} sheaf_conn_events_t;

/* Where a busy conn that takes more is found, see stock.h. */
enum { SHEAF_SHELF_NONE, SHEAF_SHELF_ROOMY, SHEAF_SHELF_PIPED };

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
    sheaf_link_t flights; /* in the order they came aboard */
    uint32_t flight_count;
    sheaf_flight_t own; /* private: the seat that costs nothing */
    sheaf_server_t *server;
    sheaf_sockaddr_t address;
    uint32_t version;         /* of the name's answer that has this address, see sheaf_balance_has() */
    sheaf_tried_t tried;      /* addresses that were dialed for its flights */
    sheaf_err_t dial_err;     /* what became of the last of them */
    char *dial_detail;        /* and what is said of it, owned; NULL: nothing yet */
    struct sheaf_conn *rival; /* see race.h; NULL: none */
    sheaf_deadline_t race;
    sheaf_name_waiter_t waiter;
    sheaf_deadline_t deadline; /* DIALING: to be accepted; ACTIVE: silence, see first_byte_ms */
    uint64_t dial_until_ms;    /* of a unix socket */
    uint64_t first_byte_ms;    /* the keeper's: how long it may be silent before an answer, and */
    uint64_t idle_ms;          /* within one; 0: as long as it likes */
    uint64_t wrote_ms;         /* when the rest of a request was last on its way */
    uint64_t written_bytes;    /* that the kernel has had from it */
    sheaf_h1_t h1;
    sheaf_h2_t *h2;       /* NULL: it speaks HTTP/1.1, or is not open yet */
    sheaf_task_t flush;   /* of h2's output, or of the outbox */
    uint64_t heard_ms;    /* h2: when bytes came last */
    uint64_t pinged_ms;   /* h2: when it was asked whether it is there */
    bool was_at_rest;     /* h2: it rested before its flights, and no byte has come since */
    uint64_t ping_ms;     /* the keeper's, as all down to pipeline: silence after which h2 asks; 0: never */
    uint8_t protocol;     /* SHEAF_PROTOCOL_... */
    uint32_t max_streams; /* flights at once where it speaks HTTP/2; 0 counts as 1 */
    uint32_t pipeline;    /* flights at once where it speaks HTTP/1.1; 0 counts as 1 */
    char *outbox;         /* pipelining: requests of its last flights that leave soon, owned; NULL: none */
    size_t outbox_len;
    uint32_t outbox_count;
    uint64_t first_ms;  /* pipelining: since when its first flight is the first, and */
    uint64_t took_ms;   /* how long the one before it was */
    uint8_t shelf;      /* the stock's: SHEAF_SHELF_... */
    sheaf_tls_t *tls;   /* NULL: clear text, or not accepted yet */
    sheaf_str_t unsent; /* of the body of its last flight's exchange, see writing.h */
    uint64_t idle_until_ms;
    bool is_reused;      /* an exchange was on it before this one, and it rested */
    bool has_written;    /* a byte went out since this was set to false */
    bool is_writing;     /* a piece of it is on its way through libuv */
    bool is_paused;      /* it is not read: its first exchange has enough of its answer for now, see reading.h */
    bool is_taking;      /* bytes that have come are being looked at: what is sent now is not what they answer */
    bool is_half_broken; /* writing failed: reading tells what became of it; or flights were cut */
    bool is_reset;       /* by the backend, as writing found */
    bool is_ended;       /* tls: nothing follows what is being taken */
};

/* Nobody is aboard yet. */
sheaf_conn_t *sheaf_conn_new(sheaf_conn_env_t *env, const sheaf_conn_events_t *events, void *group,
                             sheaf_server_t *server);

/* The flight that came aboard first, of those that still are; or NULL. */
static inline sheaf_flight_t *sheaf_conn_first(const sheaf_conn_t *conn)
{
    return sheaf_list_is_empty(&conn->flights) ? NULL : SHEAF_OWNER(conn->flights.next, sheaf_flight_t, link);
}

/* The one door for state changes; keeps the gauges right. */
void sheaf_conn_move(sheaf_conn_t *conn, sheaf_conn_state_t state);

static inline uint32_t sheaf_conn_max_streams(const sheaf_conn_t *conn)
{
    return conn->max_streams == 0 ? 1 : conn->max_streams;
}

/* It takes another flight though it is not idle: HTTP/2, or dialed to a server that may speak it. */
bool sheaf_conn_has_room(const sheaf_conn_t *conn);

/* Writes the request of a flight and waits for the answer; on_end follows, never from inside. A uv error when nothing
 * could be written: the flight is not aboard then, and the conn is of no more use. */
int sheaf_conn_start(sheaf_flight_t *flight);

/* Nobody waits for this flight any more. False: the conn cannot do without it, close it; nothing was changed. */
bool sheaf_conn_leave(sheaf_flight_t *flight);

/* Nothing has come from the backend that was not read yet, neither bytes nor its close. One syscall. */
bool sheaf_conn_is_quiet(const sheaf_conn_t *conn);
/* A conn that carried another exchange may take this one. For what cannot be sent twice the socket is looked at first: a
 * close that has arrived, but was not read yet, must not cost a 502. And for all that comes behind a HEAD: a body that was
 * sent all the same must not be its answer. */
bool sheaf_conn_is_fit(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange);

/* The owner of the exchange on it has used up `len` bytes of the answer. */
void sheaf_conn_credit(sheaf_flight_t *flight, size_t len);

/* Closes it now, whatever it does; no event follows. Its flights, if any, are simply let go. */
void sheaf_conn_close(sheaf_conn_t *conn);

/* --- for the rooms of a conn --- */

/* The one way out for a flight. The keeper comes last: its callbacks may do anything to this conn. */
void sheaf_conn_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay);

/* Something was done for it just now. Sets the deadline when another limit begins: with the request, and with the answer. */
void sheaf_conn_stay_awake(sheaf_flight_t *flight, uint64_t limit_ms);

#endif
