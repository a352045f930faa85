/* upstream/outlier.h - which servers are left out for a while because they fail.
 *
 *   in --errors in a row, or too large a share--> ejected --its time is over--> on trial --success--> in
 *                                                    ^___________ failure ________|   (for twice as long)
 *
 * Never more than max_ejected of them, and never the last one: an upstream whose servers all fail is asked all the
 * same (to stop asking is the breaker's business). Pure: time is handed in. */
#ifndef SHEAF_UPSTREAM_OUTLIER_H
#define SHEAF_UPSTREAM_OUTLIER_H

#include "config/snapshot.h"
#include "gateway/base/chance.h"

#define SHEAF_OUTLIER_LEAST 20 /* exchanges of an interval that a ratio is made of */

typedef struct sheaf_outlier { /* one server; zero-initialised is well */
    bool is_ejected;
    bool is_on_trial;         /* back, and no exchange has ended since */
    uint32_t errors;          /* in a row */
    uint32_t times;           /* ejected without a success between */
    uint64_t until_ms;        /* when it comes back */
    uint64_t interval_end_ms; /* of the one that these count: */
    uint64_t seen, failed;
} sheaf_outlier_t;

typedef struct sheaf_outliers {       /* all servers of an upstream */
    const sheaf_outlier_conf_t *conf; /* the owner's; an equal one may take its place */
    sheaf_chance_t chance;
    uint32_t count, ejected_count;
    uint32_t absent_count; /* left out by somebody else already: the last one that is there is not ejected */
} sheaf_outliers_t;

void sheaf_outliers_init(sheaf_outliers_t *outliers, const sheaf_outlier_conf_t *conf, uint32_t count, uint64_t seed);

/* An exchange with the server ended well or in an error. True: it is ejected now, until one->until_ms. What ends while
 * a server is ejected (it flew before) says nothing new. */
bool sheaf_outlier_note(sheaf_outliers_t *outliers, sheaf_outlier_t *one, bool is_good, uint64_t now_ms);

/* True when it was ejected and its time is over: it is back, on trial. */
bool sheaf_outlier_readmit(sheaf_outliers_t *outliers, sheaf_outlier_t *one, uint64_t now_ms);

#endif
