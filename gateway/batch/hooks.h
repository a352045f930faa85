/* batch/hooks.h - where somebody else is asked about a client's request and its items: plugins, behind a seam.
 *
 *   request --on_request--> decode --on_batch--> start
 *   item    --on_item--> flies --answer--> on_result --> settles            PASS: on; ANSWER: it has its answer;
 *           \_ of a direct request --on_body, where asked for               LATER: held until it is asked again
 *   request is over --on_done
 *
 * sheaf_batch_env_t has the hooks of its epoch; NULL when no plugin is configured, and a pointer test is all it costs then.
 * A held item counts as flying. Its deadline and that of its batch end it as they end any other.
 *
 * The caller is a client's request as hooks see it: embedded by whoever serves it (a visit), known to the batch. */
#ifndef SHEAF_BATCH_HOOKS_H
#define SHEAF_BATCH_HOOKS_H

#include "gateway/batch/batch.h"
#include "gateway/batch/kept.h"

typedef enum sheaf_say {
    SHEAF_SAY_PASS,
    SHEAF_SAY_ANSWER,
    SHEAF_SAY_LATER,
} sheaf_say_t;

typedef enum sheaf_edit_kind {
    SHEAF_EDIT_SET,
    SHEAF_EDIT_ADD,
    SHEAF_EDIT_REMOVE,
} sheaf_edit_kind_t;

/* What is done to a head that is made elsewhere, in this order. */
typedef struct sheaf_edit {
    sheaf_edit_kind_t kind;
    sheaf_str_t name; /* lower-case */
    sheaf_str_t value;
} sheaf_edit_t;

typedef struct sheaf_edits {
    sheaf_edit_t *items;
    uint32_t count, size;
} sheaf_edits_t;

void sheaf_edits_add(sheaf_edits_t *edits, sheaf_pool_t *pool, sheaf_edit_kind_t kind, sheaf_str_t name,
                     sheaf_str_t value);

/* An answer that hooks give instead of a backend, or of a whole batch. */
typedef struct sheaf_given {
    uint16_t status;          /* 200 to 599 */
    sheaf_str_t content_type; /* absent: none */
    sheaf_str_t body;
} sheaf_given_t;

typedef struct sheaf_caller {
    /* the request; borrowed until on_done */
    sheaf_batch_t *batch; /* its pool and its outer request */
    sheaf_str_t body;     /* as sent; gone once the request is */
    uint64_t body_bytes;  /* that it had; until on_done */
    uint64_t id, begun_us;
    bool is_direct; /* item 0 of the batch is the request itself */
    bool is_sealed; /* its items are known */

    /* the answer, as far as it is known */
    uint16_t status;
    uint64_t sent_bytes;
    const char *error;   /* slug; NULL: none */
    uint64_t length;     /* of a direct answer's body as its head tells; UINT64_MAX: nobody knows */
    sheaf_kept_t kept;   /* of a direct answer */
    sheaf_edits_t reply; /* of its head */
    bool has_head;       /* it is made: edits would come too late */
    sheaf_given_t given; /* after ANSWER */

    /* It was held and may be asked again: on_request or on_batch, as before. From the soon-queue. */
    void (*on_go)(struct sheaf_caller *caller);
    void *guest; /* of the hooks; NULL: they do not know the request */
} sheaf_caller_t;

typedef struct sheaf_hooks sheaf_hooks_t;
struct sheaf_hooks {
    sheaf_say_t (*on_request)(sheaf_hooks_t *self, sheaf_caller_t *caller);
    sheaf_say_t (*on_batch)(sheaf_hooks_t *self, sheaf_caller_t *caller);
    /* ANSWER: the item's answer has been made, by sheaf_item_give() or sheaf_item_fail(). */
    sheaf_say_t (*on_item)(sheaf_hooks_t *self, sheaf_item_t *item);
    /* Its answer may still be changed, and another put in its place (sheaf_item_replace). The last that is heard of an item,
     * unless it is a direct request and its caller->kept was asked for. */
    void (*on_result)(sheaf_hooks_t *self, sheaf_item_t *item);
    /* Then this: caller->kept is WHOLE or LOST, and its bytes are gone afterwards. */
    void (*on_body)(sheaf_hooks_t *self, sheaf_item_t *item);
    void (*on_done)(sheaf_hooks_t *self, sheaf_caller_t *caller);
    /* Would anybody be asked about an item of that batch on that route? Then it asks its backend for itself. */
    bool (*asks)(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route);
};

/* A held item is to be asked again: queued, never from inside. Fine more than once. */
void sheaf_hooks_go_on(sheaf_item_t *item);

/* Makes `given` with `fields` (valid end-to-end fields, lower-case) the item's answer. */
void sheaf_item_give(sheaf_item_t *item, const sheaf_given_t *given, const sheaf_headers_t *fields);

/* The same in on_result, in the place of the answer that is there. */
void sheaf_item_replace(sheaf_item_t *item, const sheaf_given_t *given, const sheaf_headers_t *fields);

/* Tells that the item's answer is there; once. For item, and for whoever is about to send the head of a direct answer: what
 * ends before that is told when it settles. */
void sheaf_hooks_tell(sheaf_item_t *item);
/* Tells how keeping the body ended, where that was asked for; once. */
void sheaf_hooks_tell_body(sheaf_item_t *item);

/* --- for fanout --- */

/* An item that is about to be sent, exchange.deadline_ms is set: asks, then sends it, settles it or holds it. */
void sheaf_hooks_launch(sheaf_item_t *item);
/* Lets go of one that is held; fine on any item. */
void sheaf_hooks_release(sheaf_item_t *item);

#endif
