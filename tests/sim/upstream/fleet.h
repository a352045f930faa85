/* tests/sim/upstream/fleet.h - an upstream on scripted servers and a hand-wound clock.
 *
 *   fleet_new(yaml) -> fleet_send -> fleet_wind ... -> fleet_free
 *
 * All rooms of floor upstream are the real ones but `conn` and `handshake`: the fleet has its own, without sockets. What
 * becomes of a dial and of a request is asked of `fate` when it begins, and comes true when the clock gets there.
 * Nothing happens by itself: time moves only in fleet_wind, and chance comes from the seed. fleet_free proves that every
 * exchange ended once, and that nothing flies, waits, rests or is counted any more. */
#ifndef SHEAF_TESTS_FLEET_H
#define SHEAF_TESTS_FLEET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/upstream/group.h"
#include "gateway/upstream/upstream.h"

#define FLEET_MAX_ASKS 4096

/* What becomes of a dial, or of a request on a conn. */
typedef struct fate {
    uint32_t after_ms;
    sheaf_err_t err;         /* SHEAF_OK: the dial is accepted; the request gets an answer */
    uint16_t status;         /* of the answer; with an err: its head came before the err did. 0: none */
    bool is_at_once;         /* with an err: from inside the call */
    bool is_silent;          /* nothing ever comes */
    bool has_closed;         /* the conn does not stay behind the answer */
    const char *retry_after; /* of the answer; NULL: none */
} fate_t;

typedef struct fleet fleet_t;

/* An exchange, and what its owner saw of it. */
typedef struct ask {
    sheaf_exchange_t exchange;
    fleet_t *fleet;
    uint32_t sends;   /* requests that began on a conn */
    uint64_t servers; /* they went to, a bit for each */
    uint64_t sent_ms;
    bool is_sent;        /* and neither done nor cancelled */
    bool has_head;       /* since then */
    uint32_t done_count; /* since then */
    uint16_t status;
    sheaf_err_t err;
    uint64_t done_ms;
    void (*then)(struct ask *ask); /* in on_done; may be NULL */
} ask_t;

struct fleet {
    uv_loop_t loop; /* for handles that are only closed: it runs in fleet_free alone */
    sheaf_clock_t clock;
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    sheaf_metrics_t metrics;
    sheaf_upstats_book_t *upstats;
    sheaf_upstreams_t *upstreams;
    sheaf_snapshot_t *snapshot;
    sheaf_dispatch_t *view;
    sheaf_chance_t chance;                                                          /* the test's */
    fate_t (*fate)(fleet_t *fleet, sheaf_conn_t *conn, sheaf_exchange_t *exchange); /* exchange NULL: a dial */
    uint32_t events, harm_at; /* dials and requests so far; the one that a test harms */
    int harm;
    sheaf_link_t conns; /* open ones, by ship */
    uint32_t conn_count, most_conns;
    uint32_t requests;       /* that began on a conn */
    uint32_t answered;       /* of them */
    uint32_t per_server[64]; /* requests */
    uint32_t done_count;
    bool is_closed;
    uint32_t ask_count;
    ask_t asks[FLEET_MAX_ASKS];
};

/* `yaml` is what stands under `upstreams:`, indented by two; the first one is index 0. */
fleet_t *fleet_new(const char *yaml, uint64_t seed);
void fleet_free(fleet_t *fleet);

/* Another snapshot with the same text: the running one drains. */
void fleet_reload(fleet_t *fleet, const char *yaml);

/* A GET of upstream 0 that may be sent as it is, or changed first. */
ask_t *fleet_ask(fleet_t *fleet);
void fleet_send(ask_t *ask);
void fleet_cancel(ask_t *ask);
/* That owns the exchange; NULL: the upstream made it itself (a hedge). */
ask_t *fleet_ask_of(const sheaf_exchange_t *exchange);

void fleet_drain(fleet_t *fleet); /* what is soon */
void fleet_wind(fleet_t *fleet, uint64_t ms);
/* Winds until every ask is done, at most `ms`. */
void fleet_finish(fleet_t *fleet, uint64_t ms);

uint64_t fleet_metric(const fleet_t *fleet, sheaf_metric_t which);
/* The same of the upstream with this index in the last snapshot. */
uint64_t fleet_upstat(const fleet_t *fleet, uint32_t upstream, sheaf_upstat_t which);
/* Index of the server of a conn, by its port: 1 is the first. */
uint32_t fleet_server(const sheaf_conn_t *conn);
/* All its exchanges together, as its balance counts them. */
uint32_t fleet_flying(const fleet_t *fleet);
uint32_t fleet_flying_at(const fleet_t *fleet, uint32_t server);

#endif
