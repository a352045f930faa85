/* upstream/hedge.h - whether an exchange is sent a second time because it is late, and when it is that.
 *
 *   flies --begin of an answer--> noted: what its route takes
 *    \--later than `after` says--in the budget?--> a twin flies, to another server (twin.h): the first good answer wins
 *
 * From "The Tail at Scale" (Dean and Barroso, CACM 2013). Late is what takes longer than a percentile of the answers that
 * the same route gave within the last ten to twenty seconds, of at least a hundred; with fewer nothing is late. What is
 * measured is the time from leaving the line to the head of a good answer, dialing included, so that a server that
 * takes no connections is hedged too. Only first attempts count. One that ends without a good head (its twin won, its
 * deadline came, its owner lost interest) has taken at least as long as it flew: when that is late already it counts, as
 * that long; else it says nothing. So a percentile keeps its place however many are overtaken: were they left out, it
 * would be one of the fast ones only, and sink until everything was late; and as they count as late, it does not
 * matter how late they would have been.
 * Safe methods only (RFC 9110 9.2.1): the twin of a DELETE could win with a 404.
 * Pure: time is handed in. Bounded: a few KiB for each of SHEAF_HEDGE_ROUTES routes; those beyond share one. */
#ifndef SHEAF_UPSTREAM_HEDGE_H
#define SHEAF_UPSTREAM_HEDGE_H

#include "config/snapshot.h"
#include "gateway/http/exchange.h"
#include "gateway/upstream/spread.h"
#include "gateway/upstream/tally.h"

#define SHEAF_HEDGE_WINDOW_MS 10000
#define SHEAF_HEDGE_ROUTES    127 /* that have a spread of their own */
#define SHEAF_HEDGE_LEAST     100 /* answers that a percentile is made of */
#define SHEAF_HEDGE_KNOWN_MS  100 /* how long one is used before it is read anew */

/* What one route takes. */
typedef struct sheaf_pace {
    uint64_t route; /* hash of its template */
    uint64_t turned_ms;
    uint64_t late_ms; /* what is late, as of known_ms; SHEAF_NEVER: unknown */
    uint64_t known_ms;
    uint32_t newest;          /* of the spreads, the one that is being filled */
    sheaf_spread_t spread[2]; /* in microseconds */
} sheaf_pace_t;

typedef struct sheaf_hedge {
    const sheaf_hedge_conf_t *conf; /* the owner's; an equal one may take its place */
    bool is_on;
    sheaf_tally_t tally; /* exchanges; marked: those that were sent a second time */
    uint32_t pace_count;
    sheaf_pace_t *paces[2 * (SHEAF_HEDGE_ROUTES + 1)]; /* open addressing; the last one is of all other routes */
} sheaf_hedge_t;

void sheaf_hedge_init(sheaf_hedge_t *hedge, const sheaf_hedge_conf_t *conf);
void sheaf_hedge_fini(sheaf_hedge_t *hedge);
/* An equal configuration; what is known of routes stays, unless there is no room for new ones. */
void sheaf_hedge_rebase(sheaf_hedge_t *hedge, const sheaf_hedge_conf_t *conf);

/* `exchange` is about to fly. Earns its share of the budget, the first time, and returns when it is late, or SHEAF_NEVER. */
uint64_t sheaf_hedge_begin(sheaf_hedge_t *hedge, sheaf_exchange_t *exchange, uint64_t now_ms);

/* A flight of `exchange` is over as far as its time goes: the head of an answer is there (is_good), or none came and none
 * will. Only the first call after begin says anything. */
void sheaf_hedge_note(sheaf_hedge_t *hedge, sheaf_exchange_t *exchange, bool is_good, uint64_t now_ms);

/* It is late: is there anything left in the budget? spend takes one from it. */
bool sheaf_hedge_affords(sheaf_hedge_t *hedge, uint64_t now_ms);
void sheaf_hedge_spend(sheaf_hedge_t *hedge, uint64_t now_ms);

#endif
