/* http/exchange.h - one HTTP round trip, and the seam between batch and upstream.
 *
 *   fanout --dispatch->send()--> upstream ... conn --sink->on_head, on_body*, on_done--> fanout
 *
 * The asker owns the exchange (an item embeds one) and keeps the question as it is until on_done or cancel returned.
 * A sink callback never runs inside send(); exactly one on_done follows every send, unless cancel came first: after
 * cancel() returned, no callback runs any more and the exchange belongs to its owner again. on_done is the last
 * callback and may free the exchange or send again. */
#ifndef SHEAF_HTTP_EXCHANGE_H
#define SHEAF_HTTP_EXCHANGE_H

#include "gateway/base/deadline.h"
#include "gateway/base/error.h"
#include "gateway/base/list.h"
#include "gateway/base/soon.h"
#include "gateway/http/header.h"

#define SHEAF_REQUEST_ID_MAX  128
#define SHEAF_REQUEST_ID_ROOM (SHEAF_REQUEST_ID_MAX + 1 + 20) /* with the number of an item */

typedef struct sheaf_exchange sheaf_exchange_t;

/* Headers that many exchanges share, with their HTTP/1 form ready-made: "name: value\r\n" for each. */
typedef struct sheaf_header_block {
    sheaf_headers_t list;
    sheaf_str_t wire;
} sheaf_header_block_t;

/* The head of an answer; borrowed for the call of on_head. Only final answers (200 and up). */
typedef struct sheaf_answer_head {
    uint16_t status;               /* 200 to 599 */
    const sheaf_header_t *headers; /* all of them, hop-by-hop ones too; names lower-case, values checked */
    uint32_t header_count;
    uint64_t content_length; /* UINT64_MAX when unknown */
} sheaf_answer_head_t;

typedef struct sheaf_sink {
    /* false refuses the answer (too large): the exchange ends with on_done(SHEAF_ERR_ANSWER_TOO_LARGE). */
    bool (*on_head)(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head);
    bool (*on_body)(sheaf_exchange_t *exchange, const char *bytes, size_t len);
    /* err SHEAF_OK: the answer is complete. detail: a sentence or "", borrowed for the call. */
    void (*on_done)(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);
} sheaf_sink_t;

/* Bytes of the answer to a streamed exchange that its owner may have at once, at most: those that were handed to on_body
 * and not given back (sheaf_dispatch_t.credit). Where that is near, the backend is not read: it waits for the owner. So
 * neither its owner's time nor its own is bounded once on_head took the head: `timeout`, deadline_ms and first_byte_timeout
 * are for what comes before; idle_timeout, where it is set, stands while the backend is read. Until then it is like any other
 * (retry, fallback), but that nothing stands behind or before it on a conn (pipelining), and no second flight is sent
 * (hedge). While the backend of an HTTP/1.1 conn is not read its end is not heard of either, until it is read again. */
#define SHEAF_STREAM_WINDOW ((size_t)256 << 10)

struct sheaf_exchange {
    /* --- the question: set by the owner before send, frozen while it flies --- */
    const sheaf_sink_t *sink;
    uint32_t upstream; /* index in the snapshot's upstreams */
    uint32_t fallback; /* the one that is asked when that one cannot, as its index + 1; 0: none */
    sheaf_str_t method;
    sheaf_str_t target;                 /* path and query as sent */
    sheaf_str_t host;                   /* sent as Host or :authority, a valid one; absent: that of the server */
    sheaf_str_t id;                     /* of the item, for upstreams that balance by it; may be empty */
    sheaf_str_t route;                  /* the template that led here: what is known of its like; may be empty */
    sheaf_str_t request_id;             /* sent as x-request-id; absent: none; at most SHEAF_REQUEST_ID_MAX bytes */
    uint32_t request_item;              /* behind it, "ID.7": the item's index + 1; 0: the id alone */
    const sheaf_header_block_t *shared; /* may be NULL: sent after `headers` */
    sheaf_headers_t headers;            /* this exchange's own; neither host nor content-length nor hop-by-hop */
    sheaf_str_t body;                   /* contiguous; sent with Content-Length when has_body */
    bool has_body;                      /* an empty body with Content-Length: 0 when body is empty */
    bool is_idempotent;
    bool is_repeatable;   /* may be sent twice where the upstream retries: idempotent, or its owner vouches for it */
    bool is_direct;       /* refused with QUEUE_FULL beyond max_waiting; a batch's exchanges wait */
    bool is_once;         /* neither retried nor hedged, whatever its upstream does with others */
    bool is_streamed;     /* its answer is handed on as it comes, see SHEAF_STREAM_WINDOW */
    const void *flow;     /* exchanges of one flow (a batch) take turns with those of others; identity only */
    uint64_t deadline_ms; /* absolute, on the clock; the exchange ends with on_done(TIMEOUT) then,
                                or QUEUE_FULL when it still waited for a conn */
    uint64_t route_timeout_ms; /* what its route gives it: who takes that long has failed; 0: the upstream's timeout */

    /* --- told with on_done: the upstream's until then --- */
    uint32_t retry_after_s; /* after an err that is 503: when asking again may do some good, in seconds from now
                               (RFC 9110 10.2.3), at least 1; after anything else 0 */

    /* --- the upstream's while it flies; the owner never touches it --- */
    void *flight;
    void *line;
    sheaf_link_t link;
    sheaf_deadline_t deadline;
    sheaf_task_t task;
    sheaf_err_t pending_err; /* what the task will report, with words it owns */
    char *pending_detail;
    void *keeper;           /* the group it was sent to */
    void *other;            /* the group of its fallback, while it may still be asked */
    uint64_t end_ms;        /* when it ends at the latest, all attempts together */
    uint64_t number;        /* in the order in which exchanges came to its upstream's door */
    uint64_t since_us;      /* since when it waits in the line, or flies */
    uint64_t tried;         /* servers that failed it, a bit for each */
    uint64_t flown_ms;      /* when it began to fly, this time; kept where hedge is on; 0: not yet */
    sheaf_exchange_t *twin; /* the other one of two that ask the same (hedge); NULL: none */
    uint32_t unused;        /* is_streamed: bytes of its answer that its owner has and has not given back */
    uint16_t pace;          /* of its route, in hedge */
    uint16_t probe;         /* of a breaker: its round, or 0 */
    bool has_full_time;     /* it flies with nearly the whole timeout of the upstream, or its route, before it */
    bool is_in_flight;      /* counted among what flies */
    bool is_trial;          /* it may well be late, and is sent to see (shed) */
    bool is_timed;          /* how long it takes is of interest to hedge */
    bool was_hedged;        /* once is enough */
    bool is_twin;           /* the upstream's own, sent for its twin */
    bool is_alone;          /* stands behind no other one on a conn (pipelining): it did once, in vain */
    bool is_answered;       /* is_streamed: its head has passed, and how long that took was noted */
    uint8_t refused;        /* how often a conn that goes on refused it (HTTP/2) */
    uint8_t stranded;       /* how often its conn went away before it was acted on (HTTP/2) */
    uint8_t sends;          /* attempts, the running one included */
    uint8_t state;
};

/* What is sent as x-request-id, which is not absent; `dst` has SHEAF_REQUEST_ID_ROOM. Returns its length. */
static inline size_t sheaf_exchange_write_id(const sheaf_exchange_t *exchange, char *dst)
{
    size_t len = exchange->request_id.len;

    memcpy(dst, exchange->request_id.base, len);
    if (exchange->request_item == 0)
        return len;
    dst[len++] = '.';
    return len + sheaf_u64_to_dec(exchange->request_item - 1, dst + len);
}

/* Handed to a batch by its worker; the simulator hands in its own. */
typedef struct sheaf_dispatch sheaf_dispatch_t;
struct sheaf_dispatch {
    /* Takes the exchange. Failures found at once are reported through the soon-queue, never from inside. */
    void (*send)(sheaf_dispatch_t *self, sheaf_exchange_t *exchange);
    /* More request body for an exchange that was sent with an open body (direct requests; NULL until then). */
    void (*more)(sheaf_dispatch_t *self, sheaf_exchange_t *exchange, sheaf_str_t bytes, bool is_last);
    /* The owner of a streamed exchange has used up `len` bytes of its answer: a backend that waits for that goes on. Fine
     * from inside on_body, and, to no effect, on one that is not flying. Calls nothing back. */
    void (*credit)(sheaf_dispatch_t *self, sheaf_exchange_t *exchange, size_t len);
    /* Ends it now, synchronously; no callback follows. Fine on an exchange that is not flying. */
    void (*cancel)(sheaf_dispatch_t *self, sheaf_exchange_t *exchange);
};

#endif
