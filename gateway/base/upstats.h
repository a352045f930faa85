/* base/upstats.h - what became of each upstream, by its name: counters, gauges and a histogram that all workers share.
 *
 *   the book   | place 0: orders | place 1: users | ...  | (other) |     of worker 0
 *              | place 0: orders | place 1: users | ...  | (other) |     of worker 1, ...
 *
 * A page (sheaf_upstats_t) is what one worker knows of one upstream, and has one writer, as the slots of metrics.h: relaxed
 * loads and stores, no locked instruction; who prints adds the pages up. A name gets the first free place when a worker
 * first has such an upstream, and keeps it while the gateway runs: so its counters outlive reloads and workers, and an
 * upstream that a reload took away stays printed, as one that stands still. Those that come when all
 * SHEAF_UPSTATS_PLACES are taken share one place, which is printed as upstream="(other)", a name that no upstream can have.
 *
 * The memory of a page that nobody has is never touched: a book costs what workers times upstreams use, about 500
 * bytes for each. */
#ifndef SHEAF_BASE_UPSTATS_H
#define SHEAF_BASE_UPSTATS_H

#include "gateway/base/metrics.h"

#define SHEAF_UPSTATS_PLACES 256

typedef enum sheaf_upstat {
#define COUNTER(name, prom, labels, help) SHEAF_UPSTAT_##name,
#define GAUGE(name, prom, labels, help)   SHEAF_UPSTAT_##name,
#define HISTOGRAM(name, prom, labels, help)
#include "gateway/base/upstats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    SHEAF_UPSTAT_COUNT
} sheaf_upstat_t;

typedef enum sheaf_upstat_histogram {
#define COUNTER(name, prom, labels, help)
#define GAUGE(name, prom, labels, help)
#define HISTOGRAM(name, prom, labels, help) SHEAF_UPSTAT_##name,
#include "gateway/base/upstats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    SHEAF_UPSTAT_HISTOGRAM_COUNT
} sheaf_upstat_histogram_t;

typedef struct sheaf_upstats {
    _Alignas(64) _Atomic uint64_t values[SHEAF_UPSTAT_COUNT]; /* gauges: two's complement */
    sheaf_buckets_t histograms[SHEAF_UPSTAT_HISTOGRAM_COUNT];
} sheaf_upstats_t;

/* --- one page; NULL: nothing is counted --- */

static inline void sheaf_upstats_count(sheaf_upstats_t *page, sheaf_upstat_t what, uint64_t by)
{
    if (page != NULL)
        sheaf_metrics_bump(&page->values[what], by);
}

static inline void sheaf_upstats_gauge(sheaf_upstats_t *page, sheaf_upstat_t what, int64_t by)
{
    sheaf_upstats_count(page, what, (uint64_t)by);
}

/* A server's whole answer with this status, 200 to 599. */
static inline void sheaf_upstats_answered(sheaf_upstats_t *page, uint16_t status)
{
    uint32_t class = status / 100u - 2;

    SHEAF_ASSERT(class <= SHEAF_UPSTAT_ANSWERS_5XX - SHEAF_UPSTAT_ANSWERS_2XX);
    sheaf_upstats_count(page, (sheaf_upstat_t)(SHEAF_UPSTAT_ANSWERS_2XX + class), 1);
}

/* An attempt that ended otherwise, or an exchange that was not sent: not SHEAF_OK. */
void sheaf_upstats_failed(sheaf_upstats_t *page, sheaf_err_t err);

void sheaf_upstats_observe_us(sheaf_upstats_t *page, sheaf_upstat_histogram_t histogram, uint64_t us);

/* --- the book --- */

typedef struct sheaf_upstats_book sheaf_upstats_book_t;

/* For `slots` workers; shared with processes forked later. NULL when the system refuses. */
sheaf_upstats_book_t *sheaf_upstats_book_new(uint32_t slots);
void sheaf_upstats_book_free(sheaf_upstats_book_t *book); /* NULL is fine */

/* The page of the worker in `slot` for the upstream of this name, the same one at each call; it lives as long as the
 * book. NULL only where `book` is. `name` is borrowed for the call. */
sheaf_upstats_t *sheaf_upstats_page(sheaf_upstats_book_t *book, uint32_t slot, sheaf_str_t name);

/* Zeroes the gauges of a slot whose worker died. */
void sheaf_upstats_orphaned(sheaf_upstats_book_t *book, uint32_t slot);

/* Prometheus text format 0.0.4, the sum of all workers for each name, in the order in which names came. */
void sheaf_upstats_print(const sheaf_upstats_book_t *book, sheaf_out_t *out);

#endif
