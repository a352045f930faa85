/* base/metrics.h - counters, gauges and histograms that all workers share.
 *
 * One memfd region holds a slot per worker (and one for the supervisor). A slot has one writer, so updates are plain
 * relaxed atomic stores; readers add the slots up. Counters outlive a worker that died (its successor goes on in the
 * same slot), gauges are zeroed then. Besides metrics.def, items are counted by error (errors.def), and what became of each
 * upstream stands in a book of its own (upstats.h). Room code writes through a sheaf_metrics_t *, which may be NULL in tests
 * (nothing is counted then). */
#ifndef SHEAF_BASE_METRICS_H
#define SHEAF_BASE_METRICS_H

#include <stdatomic.h>

#include "gateway/base/error.h"
#include "gateway/base/out.h"

typedef enum sheaf_metric {
#define COUNTER(name, prom, labels, help) SHEAF_METRIC_##name,
#define GAUGE(name, prom, labels, help)   SHEAF_METRIC_##name,
#define HISTOGRAM(name, prom, labels, help)
#include "gateway/base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    SHEAF_METRIC_COUNT
} sheaf_metric_t;

typedef enum sheaf_histogram {
#define COUNTER(name, prom, labels, help)
#define GAUGE(name, prom, labels, help)
#define HISTOGRAM(name, prom, labels, help) SHEAF_HISTOGRAM_##name,
#include "gateway/base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    SHEAF_HISTOGRAM_COUNT
} sheaf_histogram_t;

#define SHEAF_METRICS_NAMED      512 /* counters that plugins bring, of all workers together */
#define SHEAF_METRICS_NO_COUNTER UINT32_MAX

#define SHEAF_HISTOGRAM_BUCKETS 24 /* upper bounds 64 us, 128 us, ... doubling, the last is +Inf */

typedef struct sheaf_buckets { /* of a histogram, by one writer */
    _Atomic uint64_t buckets[SHEAF_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
} sheaf_buckets_t;

typedef struct sheaf_metrics {                   /* one slot */
    _Atomic uint64_t values[SHEAF_METRIC_COUNT]; /* gauges: two's complement */
    _Atomic uint64_t errors[SHEAF_ERR_COUNT];    /* items by error */
    _Atomic uint64_t named[SHEAF_METRICS_NAMED]; /* counters of plugins, see sheaf_metrics_named() */
    sheaf_buckets_t histograms[SHEAF_HISTOGRAM_COUNT];
    _Atomic uint64_t beat_ms; /* when its worker last turned its loop, CLOCK_MONOTONIC; not printed */
} sheaf_metrics_t;

static inline void sheaf_metrics_bump(_Atomic uint64_t *value, uint64_t by)
{
    /* one writer per slot: a load and a store, no locked instruction */
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + by, memory_order_relaxed);
}

static inline void sheaf_count(sheaf_metrics_t *slot, sheaf_metric_t metric, uint64_t by)
{
    if (slot != NULL)
        sheaf_metrics_bump(&slot->values[metric], by);
}

static inline void sheaf_gauge(sheaf_metrics_t *slot, sheaf_metric_t metric, int64_t by)
{
    sheaf_count(slot, metric, (uint64_t)by);
}

static inline void sheaf_count_error(sheaf_metrics_t *slot, sheaf_err_t err)
{
    if (slot != NULL)
        sheaf_metrics_bump(&slot->errors[err], 1);
}

void sheaf_buckets_note(sheaf_buckets_t *buckets, uint64_t us);
void sheaf_observe_us(sheaf_metrics_t *slot, sheaf_histogram_t histogram, uint64_t us);

/* The region: `slots` of them, shared with processes forked later. NULL when the system refuses. */
typedef struct sheaf_metrics_region sheaf_metrics_region_t;
sheaf_metrics_region_t *sheaf_metrics_region_new(uint32_t slots);
void sheaf_metrics_region_free(sheaf_metrics_region_t *region);
sheaf_metrics_t *sheaf_metrics_slot(sheaf_metrics_region_t *region, uint32_t index);
/* The place in `named` of the counter sheaf_plugin_NAME_total{plugin="..."}: the same in every worker, and after a reload.
 * SHEAF_METRICS_NO_COUNTER when all are taken. Names are those of labels and need no escapes. */
uint32_t sheaf_metrics_named(sheaf_metrics_region_t *region, const char *name, sheaf_str_t plugin, const char *help);
/* What became of each upstream; the region's. */
struct sheaf_upstats_book *sheaf_metrics_upstats(sheaf_metrics_region_t *region);
/* Zeroes the gauges of a slot whose worker died, those of upstreams too. */
void sheaf_metrics_slot_orphaned(sheaf_metrics_region_t *region, uint32_t index);
/* Prometheus text format 0.0.4 of the sum of all slots. */
void sheaf_metrics_print(const sheaf_metrics_region_t *region, sheaf_out_t *out);

#endif
