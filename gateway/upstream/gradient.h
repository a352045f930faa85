/* upstream/gradient.h - how many exchanges an upstream carries well: a limit that follows its latency.
 *
 *   window of latencies --median--> gradient = what is fine / median, 1/2 to 1 --> limit * gradient
 *                                                        \--was all of it used?--> + the root of the limit
 *
 * What is fine is `tolerance` of the floor: what an exchange takes that meets no queue (and 2 ms more than the floor in
 * any case: who waits less waits for the gateway rather than for the backend). So the limit settles where about half of
 * what flies is being worked on (Little's law), a little queue keeps every server busy, and latency stays near twice what
 * it must be. It grows only while exchanges had to wait for it: what nobody used proves nothing. An overloaded answer
 * (503, time out) costs its share of the window, and growth. Where most were cut short, because owners lost patience, the
 * median is no latency: the limit falls by it, but neither grows nor makes a floor of it.
 *
 * The floor is measured again and again, for servers get slower and faster. The limit is halved, window by window, while
 * that makes the median fall; where it does not fall any more there was no queue, and that median is the floor. It is never
 * below `min`, and mostly above what the servers can do at once: measuring stalls nobody. All workers of a machine
 * measure at the same time, for they read one clock: none takes the queue of the others for the floor.
 *
 * A window lasts until it has `window`, four medians and 16 ends; only those count that also began in it, so that it
 * tells of one limit and not of the one before. Pure: time is handed in. After Netflix's concurrency-limits (gradient,
 * room for a queue) and Envoy's adaptive concurrency (medians, a floor that is measured), without its probes of 3. */
#ifndef SHEAF_UPSTREAM_GRADIENT_H
#define SHEAF_UPSTREAM_GRADIENT_H

#include <stdbool.h>

#include "config/snapshot.h"
#include "gateway/upstream/spread.h"

#define SHEAF_GRADIENT_START    32   /* the first limit, within min and max */
#define SHEAF_GRADIENT_LEAST    16   /* ends that a window is made of */
#define SHEAF_GRADIENT_SLACK_US 2000 /* beyond the floor, always fine */

typedef enum sheaf_gradient_end {
    SHEAF_GRADIENT_DONE,       /* a success: a latency */
    SHEAF_GRADIENT_CUT,        /* ended from outside before it was done: it would have taken longer still */
    SHEAF_GRADIENT_OVERLOADED, /* the backend said so, or its time was over */
} sheaf_gradient_end_t;

typedef struct sheaf_gradient {
    const sheaf_adaptive_conf_t *conf; /* the owner's; an equal one may take its place */
    double limit;
    uint64_t floor_us;  /* 0: not known yet */
    uint64_t median_us; /* of the last window; 0: none yet */
    /* the window */
    uint64_t begun_us;
    sheaf_spread_t spread;
    uint64_t overloaded;
    uint64_t cut;  /* of the spread: cut short, so that it tells how patient owners are */
    bool was_full; /* an exchange had to wait because of the limit */
    /* measuring the floor */
    bool is_measuring;
    double limit_before;
    uint64_t measure_us; /* when it begins again */
    uint32_t hopeless;   /* windows in a row with more than twice what is fine */
} sheaf_gradient_t;

void sheaf_gradient_init(sheaf_gradient_t *gradient, const sheaf_adaptive_conf_t *conf, uint64_t now_us);

/* Exchanges that may fly now; at least `min`. */
uint32_t sheaf_gradient_limit(const sheaf_gradient_t *gradient);

/* An exchange waits because so many fly. */
void sheaf_gradient_full(sheaf_gradient_t *gradient);

/* An exchange that flew since `begun_us` ended. True: that ended a window, the limit may be another one. */
bool sheaf_gradient_note(sheaf_gradient_t *gradient, sheaf_gradient_end_t end, uint64_t begun_us, uint64_t now_us);

#endif
