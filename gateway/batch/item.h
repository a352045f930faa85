/* batch/item.h - one question and what became of it.
 *
 *   WAITING --last blocker settles--> READY --sent--> FLYING --answer--> SETTLED
 *      \_______________ deadline, cancel, failed blocker _________________^
 *
 * The question (request, dependencies, route) is frozen once the item flies; the answer (status, headers, body)
 * is open until it settles. Both live in one struct, so an answer can never end up beside the wrong question.
 * A failed backend is an answer too: its item settles with a status and an err, and the siblings never notice.
 * Items live in their batch's array and die with it; nobody frees one. In a window an item's place is taken by another
 * once it is settled and sent. */
#ifndef SHEAF_BATCH_ITEM_H
#define SHEAF_BATCH_ITEM_H

#include "config/snapshot.h"
#include "gateway/base/buf.h"
#include "gateway/base/json.h"
#include "gateway/http/exchange.h"
#include "gateway/http/inflate.h"
#include "gateway/http/message.h"
#include "gateway/http/url.h"

typedef enum sheaf_item_state {
    SHEAF_ITEM_WAITING,
    SHEAF_ITEM_READY,
    SHEAF_ITEM_FLYING,
    SHEAF_ITEM_SETTLED,
} sheaf_item_state_t;

struct sheaf_batch;

/* One dependency: which item must settle first, and what counts as its success. */
typedef struct sheaf_edge {
    sheaf_str_t id;           /* of the blocker, as written */
    const uint16_t *statuses; /* 1 to 5: a whole class (2 = 2xx); 100 to 599: that status; NULL: 2xx */
    uint32_t status_count;
    uint32_t blocker, dependent; /* indexes, once the batch is sealed */
    bool is_named;               /* some reference of the dependent names the blocker */
    bool is_read;                /* the dependent will read the answer of the blocker */
} sheaf_edge_t;

/* What a decoder found; sheaf_batch_add copies what it keeps, strings must live as long as the batch's document. */
typedef struct sheaf_draft {
    sheaf_str_t id;          /* absent: the index */
    sheaf_str_t method;      /* absent: GET */
    sheaf_str_t url;         /* as written, escapes resolved */
    sheaf_headers_t headers; /* in the batch's pool; names in any case */
    sheaf_str_t body;        /* the bytes to send */
    bool has_body;
    bool body_is_json;   /* content-type application/json is added when no header names one */
    bool body_is_value;  /* the body is a JSON value that passed sheaf_json_check: references in it are resolved */
    uint64_t timeout_ms; /* 0: none */
    sheaf_str_t
        for_each; /* reference to an array, listed in depends_on: the item runs once per element; absent: once */
    const sheaf_edge_t *depends_on;
    uint32_t depends_on_count;
    bool is_in_change_set; /* atomicityGroup */
    sheaf_str_t group;     /* its name; absent: none */
    bool has_condition;    /* OData `if` */
    sheaf_str_t label;     /* what a multipart client calls it; absent: nothing */
    uint32_t set;          /* items of one change set share a number from 1; 0: none */
    sheaf_err_t err;       /* not SHEAF_OK: the item cannot run (bad base64, ...); it settles with this */
    char detail[160];
} sheaf_draft_t;

typedef struct sheaf_item {
    struct sheaf_batch *batch;
    sheaf_pool_t *pool; /* what the item keeps: the batch's, or in a window that of its slot */
    uint32_t index;
    uint32_t after; /* whose result follows in request order; SHEAF_BATCH_END: none */
    sheaf_item_state_t state;

    /* the question */
    sheaf_str_t id;
    sheaf_str_t label;               /* Content-ID as a multipart client wrote it; absent: none */
    sheaf_str_t group;               /* atomicityGroup, repeated in its result (OData JSON 4.01 19.4); absent: none */
    uint32_t set;                    /* answered in one nested part with others of that number; 0: by itself */
    sheaf_str_t url_text;            /* as the client wrote it: the href of an XML result */
    sheaf_str_t path;                /* normalised, as it was routed; absent when it could not be */
    const sheaf_route_conf_t *route; /* NULL when none was found */
    uint64_t timeout_ms;
    sheaf_edge_t *depends_on;
    uint32_t depends_on_count;
    sheaf_edge_t **dependents; /* the edges of those that wait for this one */
    uint32_t dependents_count;
    uint32_t blockers; /* dependencies that have not settled */
    sheaf_exchange_t exchange;
    uint64_t sent_us;
    uint64_t reserved_bytes;                   /* of the batch's budget */
    struct sheaf_recipe *recipe;               /* what it takes from others; NULL: nothing */
    bool is_element, has_left;                 /* of a forEach item; and will not read any more */
    uint32_t whole;                            /* which */
    sheaf_json_t each;                         /* its element */
    uint32_t elements, elements_count, inside; /* of one that is spread: first, how many, that may still read */
    char *made_body;                           /* by `expand`, while it flies */
    size_t made_body_size;                     /* counted among the batch's reserved bytes */
    const sheaf_headers_t *hidden;             /* names that it does not inherit, because hooks said so; NULL: none */
    const sheaf_headers_t *vouched; /* names of fields that hooks set: its route denies no client's; NULL: none */
    void *guest;                    /* what hooks know of it */
    struct sheaf_item *leader;      /* whose exchange answers it as well; NULL: its own (coalesce.h) */
    struct sheaf_item *next_sharer; /* of the items with one leader, the leader among them, in request order */

    /* private */
    uint32_t below;   /* on the stack of a walk */
    bool is_urgent;   /* the first unsent result is it, or waits for it */
    bool has_content; /* the client gave a body */
    bool body_is_json;
    bool is_encoded;
    bool is_sent;     /* the client has its answer */
    bool is_held;     /* flying, but hooks have not said yet whether it is sent */
    bool is_told;     /* hooks know its answer */
    bool is_given;    /* a plugin answered: of places it speaks as the client sees them */
    uint32_t readers; /* open items that will read its answer: it is kept until then */
    bool is_silent;   /* it has no result of its own: others stand for it */

    /* the answer */
    uint16_t status;        /* 0 until the head is there */
    sheaf_err_t err;        /* SHEAF_OK when a backend answered, whatever its status */
    sheaf_str_t detail;     /* a sentence when err; absent otherwise */
    bool is_repeat;         /* the result only says that it is that of its leader (RFC 5842) */
    uint64_t elapsed_us;    /* from launch to settling, where the endpoint says `timing`; 0 when it never flew */
    sheaf_headers_t answer; /* end-to-end headers that go into the result, values checked; empty once given back */
    char *head;             /* where they live when they are large, else NULL: in the batch's pool */
    size_t head_size;
    sheaf_str_t content_type; /* of the answer; absent when none */
    sheaf_media_kind_t kind;  /* of the body */
    bool json_is_valid;       /* kind JSON and the whole body passed the strict scanner */
    sheaf_buf_t *body;        /* NULL when there is none */
    sheaf_json_scan_t scan;
    sheaf_inflate_t *inflate; /* makes the body plain while it comes; NULL: it comes plain, or stays as it came */
} sheaf_item_t;

/* Failed means status 400 or more (DESIGN section 3). */
static inline bool sheaf_item_has_failed(const sheaf_item_t *item)
{
    return item->status >= 400;
}

/* What its upstream may send twice (RFC 9110 9.2.2): idempotent, or its client has named it once and for all
 * (Idempotency-Key) and its route trusts the backend to know the name again. */
static inline bool sheaf_item_is_repeatable(const sheaf_item_t *item)
{
    const sheaf_header_t *key = sheaf_headers_find(&item->exchange.headers, SHEAF_STR("idempotency-key"));

    return item->exchange.is_idempotent || (item->route->retry_unsafe && key != NULL && key->value.len != 0);
}

/* The status that stands in its result: 208 when it is reported as a repetition. */
static inline uint16_t sheaf_item_shown_status(const sheaf_item_t *item)
{
    return item->is_repeat ? 208 : item->status;
}

/* Bytes of its answer that count against the batch's budget once it has settled. */
static inline size_t sheaf_item_held(const sheaf_item_t *item)
{
    return item->head_size + (item->body == NULL ? 0 : item->body->len);
}

/* --- how an answer comes to be: for fanout --- */

/* Copies the end-to-end headers of `head` and decides what the body is. Returns its length (UINT64_MAX when unknown,
 * 0 when there will be none). A body in gzip or deflate is kept plain, as whoever asked for it would read it: then
 * Content-Encoding goes, and digests that were made of the coded bytes. ETag stays as it is, so that an If-Match of a
 * later item is what the backend compares with. */
uint64_t sheaf_item_take_head(sheaf_item_t *item, const sheaf_answer_head_t *head);

/* The first half of that, for answers that are handed on (direct.h): status and end-to-end headers, those that are left out
 * of results too. */
void sheaf_item_keep_head(sheaf_item_t *item, const sheaf_answer_head_t *head);

/* Appends to the body; false when it outgrows max_item_body, or its coding is damaged: sheaf_item_complete knows. */
bool sheaf_item_take_body(sheaf_item_t *item, const char *bytes, size_t len);

/* The answer is whole: judges its coding (the item fails when that is damaged or too large) and its JSON. */
void sheaf_item_complete(sheaf_item_t *item);

/* Makes the answer a problem document for `err`; what had arrived is thrown away. `detail`: a sentence, copied; an
 * empty one takes the title of `err`. Does not settle. */
void sheaf_item_fail(sheaf_item_t *item, sheaf_err_t err, sheaf_str_t detail);

/* What had arrived is thrown away, and that it failed. */
void sheaf_item_forget_answer(sheaf_item_t *item);

/* Says in the answer of an item that was failed in when it may be asked again (RFC 9110 10.2.3); 0 seconds: nothing. */
void sheaf_item_retry_after(sheaf_item_t *item, uint32_t seconds);

/* Its result has no body although it has one: a success under Prefer: return=minimal. */
bool sheaf_item_leaves_body_out(const sheaf_item_t *item);

/* Settles the item with the answer it has: counts it, queues what waited for it (in ready or doomed: the pump launches,
 * so settle never nests), tells the watch, queues the pump. Answers, timeouts and cancels all end here; there is no
 * other way for an item to end. Returns true if this call settled it, false if it was settled already.
 * Never frees the batch: on_done comes later, from the pump. */
bool sheaf_item_settle(sheaf_item_t *item);

/* Gives the body and a large head back to the system and to the budget, whoever may want to read them. */
void sheaf_item_give_back(sheaf_item_t *item);

/* One that read its answer no longer does: the last one gives back what the client has, or never gets. */
void sheaf_item_unread(sheaf_item_t *item);

/* The client has its answer: gives it back, or keeps it for those that will read it. */
void sheaf_item_sent(sheaf_item_t *item);

#endif
