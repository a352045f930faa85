/* tests/sim/sim.h - whole batches on a scripted dispatch and a hand-wound clock.
 *
 *   sim_batch -> sim_start -> (sim_answer | sim_break | sim_wind ...)* -> sim_free
 *
 * One sim is one world: clock, deadlines, soon-queue, a snapshot with a handful of routes, one endpoint whose limits a
 * test may change before sim_batch, and a dispatch that keeps what was sent until the test answers it. Nothing happens
 * by itself: every function drains the soon-queue before it returns, and time moves only in sim_wind. sim_free proves
 * that nothing flies, nothing waits and no gauge is left. */
#ifndef SHEAF_TESTS_SIM_H
#define SHEAF_TESTS_SIM_H

#include "gateway/batch/batch.h"

#define SIM_MAX_ITEMS 20000

typedef struct sim {
    sheaf_dispatch_t dispatch; /* first: the dispatch is the sim */
    sheaf_clock_t clock;
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    sheaf_metrics_t metrics;
    struct sheaf_hooks *hooks;     /* what the next batch asks; NULL: nobody */
    struct sheaf_mirrors *mirrors; /* what makes its copies; NULL: nobody */
    sheaf_snapshot_t snapshot;
    sheaf_endpoint_conf_t *endpoint;
    sheaf_headers_t outer_headers;
    sheaf_outer_t outer;
    sheaf_batch_t *batch;
    sheaf_link_t flying; /* exchanges, by link, oldest first */

    /* what the responder does by itself; both true at first */
    bool encodes;       /* hands results on, in request order or as they come */
    bool sends;         /* and writes them at once */
    const char *cookie; /* a set-cookie in every head that comes; NULL: none */
    const char *coding; /* the same, a content-encoding */

    /* what was seen */
    uint32_t heard[SIM_MAX_ITEMS]; /* on_item per index */
    uint32_t heard_count;
    uint32_t done;
    uint32_t sent_count;
    uint32_t most_flying;
    uint64_t most_held;
    uint64_t credited;  /* bytes of answers that were given back while they flew */
    char settled[4096]; /* ids in the order they settled */
    char flying_text[4096];

    /* called before each event (a send, head, piece of body, end, on_item); may do harm; true: the event is off */
    bool (*on_event)(struct sim *sim, sheaf_exchange_t *exchange);
    bool is_sending; /* the event is a send */
    uint32_t events, harm_at;
    int harm;
} sim_t;

/* Routes: /users/{id} (GET PATCH DELETE, rewritten to /v1/people/{id}), /orders and /orders/{rest...} (any method, kept
 * encoded slashes, timeout 500 ms), /any/{rest...}. Endpoint /batch with the defaults of DESIGN. */
sim_t *sim_new(void);
void sim_free(sim_t *sim);

void sim_route(sim_t *sim, const char *match, const char *methods, const char *rewrite);
void sim_outer(sim_t *sim, const char *name, const char *value);

/* Makes the batch, without items. */
sheaf_batch_t *sim_open(sim_t *sim);
/* Adds "id METHOD url [after x,y] [with name: value] [for 200ms] [body text]". */
void sim_add(sim_t *sim, const char *line);
/* Both, and seals: lines up to NULL. */
sheaf_batch_t *sim_batch_of(sim_t *sim, ...);
#define sim_batch(sim, ...) sim_batch_of(sim, __VA_ARGS__, NULL)

void sim_start(sim_t *sim);
void sim_drain(sim_t *sim);
void sim_wind(sim_t *sim, uint64_t ms);

sheaf_item_t *sim_item(sim_t *sim, const char *id);
const char *sim_flying(sim_t *sim);   /* ids in the order they were sent, "a b" */
sheaf_item_t *sim_oldest(sim_t *sim); /* NULL when nothing flies */

void sim_head(sim_t *sim, const char *id, uint16_t status, const char *type, uint64_t content_length);
bool sim_head_of(sim_t *sim, sheaf_exchange_t *exchange, uint16_t status, const char *type, uint64_t content_length);
bool sim_body(sim_t *sim, const char *id, const char *bytes, size_t len);
void sim_end(sim_t *sim, const char *id, sheaf_err_t err, const char *detail);
void sim_end_of(sim_t *sim, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);

/* For the rooms of the sim: makes its dispatch; tells on_event of an event, and whether it is off. */
void sim_dispatch_init(sim_t *sim);
bool sim_is_off(sim_t *sim, sheaf_exchange_t *exchange);

/* A whole JSON answer; a whole failure. */
void sim_answer(sim_t *sim, const char *id, uint16_t status, const char *json);
void sim_break(sim_t *sim, const char *id, sheaf_err_t err);

/* The body of a result as a string (static buffer). */
const char *sim_text(const sheaf_item_t *item);
/* The value of a header the item sends or has sent, "" when none: its own first, then the shared ones. */
const char *sim_sent_header(const sheaf_item_t *item, const char *name);

/* Before and after each story: a world of its own; every item was heard of once, and nothing is left. */
int sim_up(void **state);
int sim_down(void **state);
#define SIM_STORY(name) cmocka_unit_test_setup_teardown(name, sim_up, sim_down)

#endif
