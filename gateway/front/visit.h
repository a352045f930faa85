/* front/visit.h - one request, for a batch or a route, from the handler to its last byte: where libh2o's request and our
 * batch meet.
 *
 *            handler
 *               |
 *   req ----- visit ----- batch        either side may go first:
 *    |          |           |
 *    |  dtor of a shared    |  on_done        req goes: the batch is abandoned (the one cancellation path)
 *    |  chunk on req->pool  |                 batch done: the rest is encoded and sent
 *    v                      v
 *   req = NULL          is_done = true        both: the visit is freed, with the batch
 *
 * The destructor of a shared chunk is the only hook of libh2o 2.2.5 that always runs (libh2o.md fact 9). Everything the
 * batch reads (body, headers) is copied into the batch's pool, because it may outlive the request. */
#ifndef SHEAF_FRONT_VISIT_H
#define SHEAF_FRONT_VISIT_H

#include "gateway/batch/hooks.h"
#include "gateway/codec/codec.h"
#include "gateway/front/client.h"
#include "gateway/front/patience.h"
#include "gateway/front/verdict.h"

typedef struct sheaf_mark_sent { /* item `index` is sent once so many bytes of the body are */
    uint64_t at_bytes;
    uint32_t index;
} sheaf_mark_sent_t;

struct sheaf_visit {
    h2o_generator_t generator; /* first: libh2o hands it back */
    sheaf_front_t *front;
    sheaf_client_t *client; /* NULL once the request is gone */
    h2o_req_t *req;         /* NULL once it is gone */
    sheaf_epoch_t *epoch;
    const sheaf_endpoint_conf_t *endpoint; /* of the epoch; NULL: the path names none */
    sheaf_str_t allow;                     /* the methods of the path, in the request's pool */
    sheaf_batch_t *batch;
    sheaf_outer_t outer;
    sheaf_headers_t headers;
    sheaf_link_t link; /* in front->visits */
    uint64_t id;       /* of those of this worker */
    char id_text[17];  /* as it is told; what a trusted proxy called it instead is in `outer` */
    uint64_t begun_us;
    const char *tls_version; /* NULL: clear text */

    /* asking */
    sheaf_caller_t caller;
    void (*go_on)(sheaf_visit_t *visit);
    sheaf_deadline_t hold; /* while plugins have not said yet what becomes of it */
    sheaf_fail_t *regret;  /* why it is refused once they were asked; NULL: it is served */
    bool is_held;
    bool is_given; /* a plugin's is the answer */

    /* responder */
    sheaf_encode_t encode;
    sheaf_out_t out;
    uint32_t *settled; /* completion order: indexes as they settled; a ring when the batch is a window, as are marks */
    uint32_t settled_count;
    uint32_t turn;  /* request order: the item to encode next */
    uint32_t taken; /* items that are encoded */
    sheaf_mark_sent_t *marks;
    uint32_t marks_head, marks_tail;
    uint64_t encoded_bytes, sent_bytes;
    size_t flying_bytes;           /* in the hands of libh2o */
    size_t flying_plain;           /* bytes of `out` that became those */
    uint64_t plain_bytes;          /* of `out` that are sent */
    struct sheaf_squeeze *squeeze; /* NULL: the answer is not compressed */
    sheaf_iovec_t squeezed;        /* all of it, before it is begun: then its length is known */
    uint64_t unsent_bytes;         /* of the answer to a HEAD */
    sheaf_fail_t *objection;       /* NULL, or what is answered instead of the batch's results */
    sheaf_task_t respond;
    sheaf_deadline_t linger, gather, progress;
    sheaf_verdict_t verdict;
    uint16_t status;     /* as answered */
    sheaf_err_t refused; /* a problem document was the answer */
    bool is_admitted;    /* counts among the batches, or the direct requests, in flight */
    uint32_t admitted_items;
    bool may_squeeze; /* the endpoint compresses, and the client takes gzip */
    bool is_done;     /* the batch is */
    bool is_answered; /* to the last byte */
    bool has_begun, has_ended, has_lingered, has_gathered;
    bool is_started;     /* h2o_start_response was called */
    bool is_final;       /* the last h2o_send was */
    bool is_reset;       /* by us, the stream alone */
    bool is_sending;     /* libh2o has not asked for more yet */
    uint32_t classes[6]; /* items by status class */

    /* direct */
    uint64_t length;   /* of the answer; UINT64_MAX: nobody knows yet */
    bool is_direct;    /* to a route: the batch is its one item */
    bool is_broken;    /* the backend broke its answer off, after the head of ours was begun */
    bool is_cut_short; /* we said so */

    /* watchdog */
    uv_poll_t *hangup; /* NULL: not armed */
    struct sheaf_look {
        uint64_t framed_bytes; /* of the answer */
        uint64_t data_bytes;   /* within the window of the connection */
        uint64_t taken_bytes;  /* by the kernel at the other end */
        uint64_t given_bytes;  /* to the socket */
    } look;                    /* at the last look */
    bool has_looked;
    uint64_t waits_since_ms, waited_ms;      /* for the client; the second since the last look */
    uint64_t framed_at_bytes, data_at_bytes; /* given to the socket when these last grew */
    sheaf_patience_t patience;               /* with the answer */
    sheaf_patience_t window_patience;        /* with the window of the connection */
    sheaf_patience_t kernel_patience;        /* with whoever reads it */
};

/* Ties a visit to `req`; the batch comes later. */
sheaf_visit_t *sheaf_visit_new(sheaf_front_t *front, h2o_req_t *req);

/* Copies of the request what a batch reads of it into `pool`, which is the batch's: it may outlive the request. */
void sheaf_visit_take_outer(sheaf_visit_t *visit, sheaf_pool_t *pool);

/* What the request is called: in logs, by backends, and to its client. A trusted proxy may have said, else it is made. */
sheaf_str_t sheaf_visit_id(const sheaf_visit_t *visit);

/* The batch has ended (or never began): frees the visit when the request is gone too. */
void sheaf_visit_batch_over(sheaf_visit_t *visit);

/* The client is gone or must go: abandons the batch and ends the request, whatever state it is in. */
void sheaf_visit_end(sheaf_visit_t *visit);

/* The same for a client that does not read this answer: where only the window of its stream holds it up, the stream is
 * reset and the connection lives on, unless it `is_stuck` in the kernel besides. `visit` may be freed. */
void sheaf_visit_end_stalled(sheaf_visit_t *visit, bool is_stuck);
void sheaf_visit_end_all(sheaf_front_t *front);

/* Gives up the copies of direct answers that are being kept (batch/kept.h), and tells who wanted them; false: there is none. */
bool sheaf_visit_lose_kept(sheaf_front_t *front);

/* Ends the connection whose answers, those of its batches and direct ones, hold the most bytes together, if these are 1 MiB
 * or more: memory is short, and its client has the most of it waiting. */
void sheaf_visit_end_largest(sheaf_front_t *front);

#endif
