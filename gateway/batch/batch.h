/* batch/batch.h - one batch from its envelope to its last result.
 *
 *   new -> add* -> seal -> start -> (on_item)* -> on_done -> free
 *                             \-> abandon -> (what flies ends) -> on_done
 *
 * The worker owns the batch; the responder only watches it. Time and sending are handed in, so that a whole batch runs
 * in a simulator. One pool holds the plan; result bodies are counted bufs, given back by sheaf_batch_sent(). Settle
 * marks, the pump moves, done is last: on_done is called in one line of one function, from the soon-queue, once. */
#ifndef SHEAF_BATCH_BATCH_H
#define SHEAF_BATCH_BATCH_H

#include "gateway/base/metrics.h"
#include "gateway/batch/item.h"
#include "gateway/batch/ready.h"
#include "gateway/http/prefer.h"

typedef struct sheaf_batch sheaf_batch_t;

/* What a worker lends to its batches. */
typedef struct sheaf_batch_env {
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_soon_t *soon;
    sheaf_dispatch_t *dispatch;
    sheaf_snapshot_t *snapshot;    /* held by the batch */
    sheaf_metrics_t *metrics;      /* may be NULL */
    struct sheaf_hooks *hooks;     /* NULL: no plugin is configured, see hooks.h */
    struct sheaf_mirrors *mirrors; /* NULL: no route has a mirror, see mirror.h */
} sheaf_batch_env_t;

/* Whom a client's verified certificate names (mTLS). */
typedef struct sheaf_identity {
    sheaf_str_t subject;     /* its distinguished name as RFC 4514 writes it, ASCII: CN=app,O=Example */
    sheaf_str_t fingerprint; /* SHA-256 of the certificate, in hex */
    sheaf_texts_t names;     /* subject alternative names: DNS:app.example URI:spiffe://... email:a@b IP:10.0.0.1 */
} sheaf_identity_t;

/* The client's request around the batch; all borrowed until the batch is freed. */
typedef struct sheaf_outer {
    const sheaf_headers_t *headers;              /* names lower-case */
    sheaf_str_t id;                              /* what it is called in logs and by backends; absent: nothing */
    uint8_t peer[16];                            /* address of the peer, IPv4-mapped */
    sheaf_str_t scheme;                          /* http or https */
    sheaf_str_t host;                            /* Host or :authority */
    sheaf_str_t method;                          /* as sent: POST */
    sheaf_str_t path;                            /* normalised, without the query */
    sheaf_str_t params[SHEAF_ROUTER_MAX_PARAMS]; /* what stands for those of the endpoint's path, percent-encoded */
    uint32_t param_count;
    sheaf_str_t query;        /* behind the '?'; absent when there is none */
    sheaf_str_t content_type; /* absent when none was sent */
    bool is_http2, is_http1_0;
    const sheaf_identity_t *identity; /* NULL: the client showed no certificate */
} sheaf_outer_t;

#define SHEAF_BATCH_END UINT32_MAX /* no item: behind the last one */

typedef struct sheaf_watch {
    void (*on_item)(sheaf_batch_t *batch, uint32_t index); /* settled; its answer is final */
    void (*on_order)(sheaf_batch_t *batch); /* request order has changed: what is next may be there already; or NULL */
    void (*on_done)(sheaf_batch_t *batch);  /* all settled and nothing flies; may free the batch */
    /* of a direct request: its answer as it comes, before on_item; UINT64_MAX: nobody knows how long it will be */
    void (*on_head)(sheaf_batch_t *batch, uint64_t content_length);
    void (*on_body)(sheaf_batch_t *batch, const char *bytes, size_t len);
} sheaf_watch_t;

/* Where the items of a long batch come from while it runs: only a window of them is there at a time.
 *
 *   fed, sent |oldest ... count| not fed yet ... total
 *              \__ a ring of slots; one is used again when its item is settled and sent, and it is the oldest */
typedef struct sheaf_feed {
    /* Fills `draft` with the question of item `index`, asked for in order, each once. What it allocates comes from `pool`,
     * which is the item's; strings may also lie in the document. What is wrong with the item is told by draft->err. */
    void (*next)(void *data, uint32_t index, sheaf_pool_t *pool, sheaf_draft_t *draft);
    void *data;
    uint32_t total; /* items in all: checked against max_items by who feeds */
} sheaf_feed_t;

/* Where an envelope error lies, for the decoder to turn into pointer, line and column. */
typedef struct sheaf_fault {
    uint32_t item; /* index; UINT32_MAX = the envelope */
    enum { SHEAF_FAULT_ITEM, SHEAF_FAULT_ID, SHEAF_FAULT_DEPENDS_ON, SHEAF_FAULT_ITEMS } member;
    uint32_t at; /* position in dependsOn */
} sheaf_fault_t;

struct sheaf_batch {
    sheaf_batch_env_t env;
    const sheaf_endpoint_conf_t *endpoint;
    const sheaf_outer_t *outer;
    const sheaf_watch_t *watch;
    void *watch_data;
    struct sheaf_caller *caller; /* the client's request as hooks know it; NULL: nobody asks about it */
    sheaf_pool_t *pool;

    /* envelope: defaults from the endpoint, lowered by the decoder before seal */
    sheaf_headers_t headers; /* the envelope's */
    uint64_t timeout_ms;
    uint32_t parallel;
    sheaf_order_t order; /* SHEAF_ORDER_DEFAULT until whoever starts the batch settles it */
    bool stops_on_error;
    bool reports_repeats;     /* items that share an exchange with an earlier one only name it (208) */
    bool urls_are_below_base; /* a leading slash means the base too, and no url leaves it */
    bool inherits_nothing;    /* the headers of the outer request stay with it */
    bool is_direct;           /* a client's own request: see direct.h */
    bool is_multipart;        /* items go by their labels, and those that were stopped have no result */
    sheaf_prefer_t prefer;    /* what of it applies beyond the members above is for codecs to read */
    sheaf_fault_t fault;

    sheaf_item_t *items; /* by sheaf_batch_item() only */
    uint32_t count, size, expected;
    uint32_t oldest;   /* the first item that is still there: 0, except in a window */
    uint32_t mask;     /* from an index to its slot: all bits, except in a window */
    uint32_t total;    /* items there will be, once sealed */
    sheaf_feed_t feed; /* next is NULL when all items are there from the start */
    bool shows_index;  /* ids may repeat: results carry the index beside them */

    uint64_t inherited_bytes; /* by each item, from the outer request and the envelope */
    uint32_t silent;          /* items without a result: forEach items that were spread */

    /* running */
    uint32_t open; /* not settled */
    uint32_t flying;
    uint32_t first_unsent; /* all items before it were handed to the encoder (order: request); or SHEAF_BATCH_END */
    uint32_t succeeded, failed;
    uint64_t held_bytes;     /* of settled answers not yet given back */
    uint64_t reserved_bytes; /* for what flies */
    uint64_t bytes_in, started_us;
    bool is_started, is_abandoned, is_stopped, is_done;
    sheaf_header_block_t shared; /* inherited and gateway headers that every item sends */

    /* private */
    sheaf_ready_t ready;  /* may start, or cannot run and settles in its turn */
    sheaf_ready_t doomed; /* a dependency failed: settle with the next turn of the pump */
    sheaf_ready_t urgent; /* like ready, but the first unsent result waits for it: goes first */
    uint32_t urgent_flying;
    uint64_t encoded_bytes;  /* part of held_bytes that is on its way to the client */
    uint64_t kept_bytes;     /* part of held_bytes that the client has and other items will read */
    uint64_t deadline_at_ms; /* of the whole batch */
    uint64_t paused_at_ms;   /* since when the pump waits for nobody but the client */
    bool is_paused;
    bool rest_is_stopped; /* the items that had not started were told to stop */
    bool is_late;         /* the deadline has passed: what is fed from now on is late as well */
    sheaf_str_t base;     /* what relative urls are relative to, ends in '/' */
    sheaf_task_t pump;
    sheaf_deadline_t deadline;
    sheaf_deadline_t next_turn;      /* of the loop, where the pump goes on (stretch) */
    uint32_t answered;               /* by hooks, in this one */
    uint64_t walked_here;            /* steps of references, in this one */
    uint64_t walked_steps;           /* and in all */
    struct sheaf_ids *ids;           /* id -> index */
    struct sheaf_override *override; /* the last block made for items that override shared headers */
    uint32_t shared_client;          /* how many of `shared`, the first ones, are the client's: the rest is ours */
    uint64_t shared_names;           /* which names may be in `shared`, a bit per hash */
};

/* The item of that index, from batch->oldest to below batch->count. Good until the next sheaf_batch_add. */
static inline sheaf_item_t *sheaf_batch_item(const sheaf_batch_t *batch, uint32_t index)
{
    return &batch->items[index & batch->mask];
}

/* Where it stands in the sets of its batch. */
static inline uint32_t sheaf_batch_slot(const sheaf_item_t *item)
{
    return item->index & item->batch->mask;
}

/* All slots of the window are taken by settled items, and more are to come: it waits for sheaf_batch_sent alone. */
static inline bool sheaf_batch_is_full(const sheaf_batch_t *batch)
{
    return batch->count < batch->total && batch->open == 0 && batch->count - batch->oldest >= batch->size;
}

/* How many results the batch has, once it is done. */
static inline uint32_t sheaf_batch_results(const sheaf_batch_t *batch)
{
    return batch->count - batch->silent;
}

/* `outer` may be used until free; of it the path is there already. */
sheaf_batch_t *sheaf_batch_new(const sheaf_batch_env_t *env, const sheaf_endpoint_conf_t *endpoint,
                               const sheaf_outer_t *outer);
/* Nothing may be flying: before start, or in or after on_done. */
void sheaf_batch_free(sheaf_batch_t *batch);

/* Takes what the client prefers (RFC 7240) as defaults of the envelope, whose own members win: wait lowers timeout_ms,
 * continue-on-error sets stops_on_error. Before the decoder. */
void sheaf_batch_prefer(sheaf_batch_t *batch, const sheaf_prefer_t *prefer);
/* Which of the preferences hold, once the batch is sealed: for Preference-Applied. */
sheaf_prefer_t sheaf_batch_preferred(const sheaf_batch_t *batch);

/* How many items there may be, before the first is added: a guess, which spares moving them as they become more. */
void sheaf_batch_expect(sheaf_batch_t *batch, size_t items);

/* Adds an item; limits are checked here, once for all codecs. An item that cannot run (bad url, method, header, no
 * route, ...) is added and settles with its own error once the batch runs. An error is the envelope's (TOO_MANY_ITEMS,
 * ID) and batch->fault says where. */
sheaf_err_t sheaf_batch_add(sheaf_batch_t *batch, const sheaf_draft_t *draft, sheaf_fail_t *fail);

/* Instead of adding: items come from `feed` (copied; its data lives as long as the batch) while the batch runs, through
 * a window. Before seal. Their ids may repeat and they depend on nothing. */
void sheaf_batch_feed(sheaf_batch_t *batch, const sheaf_feed_t *feed);

/* Ends adding: resolves dependencies, refuses unknown ids and cycles (batch->fault says where), builds the shared
 * headers. parallel and timeout_ms are brought down to the endpoint's. Besides DEPENDENCY and CYCLE there are TOO_LARGE
 * and VALUE (the envelope's headers), LOOP (our name is in the outer Via) and INHERITED (too many bytes of headers times
 * items). Nothing has been sent. */
sheaf_err_t sheaf_batch_seal(sheaf_batch_t *batch, sheaf_fail_t *fail);

/* Starts the fan-out: in request order when nobody has settled batch->order; from the soon-queue, never from inside.
 * The watch hears of every item, then done. */
void sheaf_batch_start(sheaf_batch_t *batch, const sheaf_watch_t *watch, void *watch_data);

/* Whoever holds encoded results back (linger, status: mixed) must let them go once held_bytes >= endpoint->budget_bytes:
 * from there on nothing starts that is not sure to be read. The same holds once sheaf_batch_is_full().
 *
 * The responder handed item `index`, settled, to the encoder (moves first_unsent in request order). */
void sheaf_batch_encoded(sheaf_batch_t *batch, uint32_t index);
/* The bytes of item `index` are on their way to the client: its body is given back, the pump goes on.
 * Implies sheaf_batch_encoded. More than once is fine. */
void sheaf_batch_sent(sheaf_batch_t *batch, uint32_t index);

/* The client is gone; the one cancellation path. Nothing new is launched; what flies is cancelled or, with
 * on_client_abort: finish_unsafe, non-idempotent items fly on to their end. on_item is no longer called, on_done is
 * (from the soon-queue). Fine before start (then the owner frees it) and more than once. */
void sheaf_batch_abandon(sheaf_batch_t *batch);

#endif
