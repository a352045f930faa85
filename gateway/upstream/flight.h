/* upstream/flight.h - an exchange on a conn: what one attempt to answer it knows.
 *
 *   exchange --board--> aboard: waits for the conn to open, flies, is answered --alight--> over
 *
 * A conn has its flights in the order they came aboard, which is the order of sending; HTTP/1.1 without pipelining has one
 * at a time, and that one is part of the conn: nothing is allocated for it. Others come from a list of spare ones that
 * all conns of a worker share. A flight that is over stays readable until another exchange comes aboard some conn. */
#ifndef SHEAF_UPSTREAM_FLIGHT_H
#define SHEAF_UPSTREAM_FLIGHT_H

#include "gateway/http/exchange.h"

struct sheaf_conn;
struct sheaf_conn_env;
struct sheaf_server;

typedef struct sheaf_flight {
    sheaf_link_t link; /* in conn->flights, or (next alone) among the spare ones */
    struct sheaf_conn *conn;
    sheaf_exchange_t *exchange; /* exchange->flight is this while it is aboard */
    uint64_t awake_ms;          /* when its request went out, and then when bytes of its answer came last */
    uint64_t again_ms;          /* with is_discarded: when its exchange is sent again; the keeper's */
    size_t unsent;              /* HTTP/2: of the body of its request, when silence was looked for last */
    uint64_t end_bytes;   /* what its conn has to bring over until its request is there; 0: nobody has looked; and */
    uint64_t acked_bytes; /* what had come over by the last look, see sheaf_writing_drains() */
    uint16_t status;      /* of the answer; 0 until its head came */
    int32_t stream;       /* with HTTP/2; 0: it has none (any more) */
    bool is_aboard;
    bool is_discarded;   /* the answer is thrown away, see on_head */
    bool has_written;    /* a byte of its request may have gone out */
    bool has_bytes;      /* a byte of its answer has come */
    bool is_unprocessed; /* HTTP/2 says so, or it was cut off (pipelining): sent again it does no harm */
} sheaf_flight_t;

/* The one door by which an exchange gets on a conn, and the one by which it gets off: so the count of what flies at a
 * server is right, whatever the end. */
sheaf_flight_t *sheaf_flight_board(struct sheaf_conn *conn, sheaf_exchange_t *exchange);
void sheaf_flight_alight(sheaf_flight_t *flight);

/* The exchanges of `from`, which dials, go on on `to`, which has none. */
void sheaf_flight_pass_all(struct sheaf_conn *from, struct sheaf_conn *to);

/* Its flights go to another server. */
void sheaf_flight_aim_all(struct sheaf_conn *conn, struct sheaf_server *server);

/* `exchange`, which may be on no flight, and the one of `flight` change places; and with the flights what is counted of
 * them. */
void sheaf_flight_trade(sheaf_flight_t *flight, sheaf_exchange_t *exchange);

/* The head of its answer has come: to the keeper of its conn, where that asks for it (on_head), and to the sink. False:
 * the sink refuses it. The flight may be over when it returns. */
bool sheaf_flight_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head);

/* A run of its body, likewise. What is thrown away goes nowhere, and is welcome. */
bool sheaf_flight_body(sheaf_flight_t *flight, const char *bytes, size_t len);

/* Streamed, and so much is not given back that its backend is not read (HTTP/1.1), or may have used up the window of its
 * stream (HTTP/2): its silence is its owner's doing. */
static inline bool sheaf_flight_is_held(const sheaf_flight_t *flight)
{
    return flight->exchange->unused >= SHEAF_STREAM_WINDOW / 2;
}

/* RFC 9112 9.3.1: a backend may close an idle conn just as a request is on its way to it. No byte of an answer came: the
 * exchange, whose flight ended so with `err`, may go once more on another conn, because nothing of it can have been acted
 * on, or doing it twice does no harm. */
bool sheaf_flight_may_repeat(const sheaf_flight_t *flight, sheaf_err_t err);

/* Its exchange's time is over: what was not done in it, as words for blame.h. */
const char *sheaf_flight_late(const sheaf_flight_t *flight);

/* Frees the spare ones of a worker; none may be aboard. */
void sheaf_flight_free_spare(struct sheaf_conn_env *env);

#endif
