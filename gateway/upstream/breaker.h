/* upstream/breaker.h - whether an upstream is asked at all.
 *
 *   CLOSED --too large a share of errors--> OPEN --`open` is over--> TRYING --all probes succeeded--> CLOSED
 *                                            ^________ a probe failed ___|
 *
 * Pure: time is handed in. A probe carries the number of its round, so that one that comes back late, when others
 * have decided already, decides nothing. */
#ifndef SHEAF_UPSTREAM_BREAKER_H
#define SHEAF_UPSTREAM_BREAKER_H

#include "config/snapshot.h"
#include "gateway/upstream/tally.h"

typedef enum sheaf_breaker_state {
    SHEAF_BREAKER_CLOSED,
    SHEAF_BREAKER_OPEN,
    SHEAF_BREAKER_TRYING,
} sheaf_breaker_state_t;

typedef struct sheaf_breaker {
    const sheaf_breaker_conf_t *conf; /* the owner's; an equal one may take its place */
    sheaf_breaker_state_t state;
    sheaf_tally_t tally; /* exchanges while it is closed; marked: errors */
    uint64_t until_ms;   /* OPEN: when probes may try */
    uint32_t out, good;  /* TRYING: probes that fly, and those that succeeded */
    uint16_t round;      /* never 0 while TRYING */
} sheaf_breaker_t;

void sheaf_breaker_init(sheaf_breaker_t *breaker, const sheaf_breaker_conf_t *conf);

/* Whether an exchange that came now would be let through. */
bool sheaf_breaker_lets(const sheaf_breaker_t *breaker, uint64_t now_ms);

/* In how many seconds that may be so, rounded up: when probes may try, or, as nobody knows when those that fly come back,
 * the least that can be said, 1. */
uint32_t sheaf_breaker_lets_after_s(const sheaf_breaker_t *breaker, uint64_t now_ms);

/* Lets an exchange through, or not. `ret_round` is what note and forget want back: 0 for an ordinary exchange. */
bool sheaf_breaker_admit(sheaf_breaker_t *breaker, uint64_t now_ms, uint16_t *ret_round);

/* How an admitted exchange ended. True: that opened or closed it; see breaker->state. */
bool sheaf_breaker_note(sheaf_breaker_t *breaker, uint16_t round, bool is_good, uint64_t now_ms);

/* An admitted exchange ended and says nothing of the upstream (cancelled): another one may probe in its place. */
void sheaf_breaker_forget(sheaf_breaker_t *breaker, uint16_t round);

#endif
