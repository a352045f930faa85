#include "gateway/base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/exposition.h"
#include "gateway/base/pool.h"
#include "gateway/base/shared.h"
#include "gateway/base/upstats.h"

/* What a place in `named` counts. Whoever takes a place first writes its words. */
typedef struct named {
    sheaf_claim_t claim;
    char name[44], plugin[68], help[192];
} named_t;

struct sheaf_metrics_region {
    sheaf_metrics_t *slots;
    named_t *named; /* behind the slots */
    uint32_t count;
    sheaf_upstats_book_t *upstats;
};

static const struct {
    const char *name, *labels, *help;
    bool is_gauge;
} values[SHEAF_METRIC_COUNT] = {
#define COUNTER(id, name, labels, help) [SHEAF_METRIC_##id] = {name, labels, help, false},
#define GAUGE(id, name, labels, help)   [SHEAF_METRIC_##id] = {name, labels, help, true},
#define HISTOGRAM(id, name, labels, help)
#include "gateway/base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static const struct {
    const char *name, *help;
} histograms[SHEAF_HISTOGRAM_COUNT] = {
#define COUNTER(id, name, labels, help)
#define GAUGE(id, name, labels, help)
#define HISTOGRAM(id, name, labels, help) [SHEAF_HISTOGRAM_##id] = {name, help},
#include "gateway/base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static uint32_t bucket_of(uint64_t us)
{
    uint64_t units = (us - (us != 0)) / 64; /* bounds belong to the bucket below them */
    uint32_t bucket = 63 - (uint32_t)__builtin_clzll(2 * units + 1);

    return bucket < SHEAF_HISTOGRAM_BUCKETS ? bucket : SHEAF_HISTOGRAM_BUCKETS - 1;
}

void sheaf_buckets_note(sheaf_buckets_t *buckets, uint64_t us)
{
    sheaf_metrics_bump(&buckets->buckets[bucket_of(us)], 1);
    sheaf_metrics_bump(&buckets->sum_us, us);
}

void sheaf_observe_us(sheaf_metrics_t *slot, sheaf_histogram_t histogram, uint64_t us)
{
    if (slot != NULL)
        sheaf_buckets_note(&slot->histograms[histogram], us);
}

static size_t region_size(uint32_t slots)
{
    return slots * sizeof(sheaf_metrics_t) + SHEAF_METRICS_NAMED * sizeof(named_t);
}

sheaf_metrics_region_t *sheaf_metrics_region_new(uint32_t slots)
{
    sheaf_upstats_book_t *upstats = sheaf_upstats_book_new(slots);
    void *memory = upstats != NULL ? sheaf_shared_new("sheaf-metrics", region_size(slots)) : NULL;
    sheaf_metrics_region_t *region;

    if (memory == NULL) {
        sheaf_upstats_book_free(upstats);
        return NULL;
    }
    region = sheaf_alloc(sizeof(*region));
    region->slots = memory;
    region->named = (named_t *)(void *)(region->slots + slots);
    region->count = slots;
    region->upstats = upstats;
    return region;
}

void sheaf_metrics_region_free(sheaf_metrics_region_t *region)
{
    if (region == NULL)
        return;
    sheaf_upstats_book_free(region->upstats);
    sheaf_shared_free(region->slots, region_size(region->count));
    free(region);
}

sheaf_upstats_book_t *sheaf_metrics_upstats(sheaf_metrics_region_t *region)
{
    return region->upstats;
}

sheaf_metrics_t *sheaf_metrics_slot(sheaf_metrics_region_t *region, uint32_t index)
{
    SHEAF_ASSERT(index < region->count);
    return &region->slots[index];
}

void sheaf_metrics_slot_orphaned(sheaf_metrics_region_t *region, uint32_t index)
{
    sheaf_metrics_t *slot = sheaf_metrics_slot(region, index);

    for (uint32_t i = 0; i < SHEAF_METRIC_COUNT; i++) {
        if (values[i].is_gauge)
            atomic_store_explicit(&slot->values[i], 0, memory_order_relaxed);
    }
    sheaf_upstats_orphaned(region->upstats, index);
}

static bool is_known(const named_t *named, const char *name, sheaf_str_t plugin)
{
    return strcmp(named->name, name) == 0 && sheaf_str_eq(sheaf_str_of(named->plugin), plugin);
}

static bool write_words(named_t *named, const char *name, sheaf_str_t plugin, const char *help)
{
    snprintf(named->name, sizeof(named->name), "%s", name);
    snprintf(named->plugin, sizeof(named->plugin), "%.*s", SHEAF_STR_ARG(plugin));
    snprintf(named->help, sizeof(named->help), "%s", help);
    for (char *c = named->help; *c != '\0'; c++)
        *c = (char)(*c == '\n' || *c == '\\' ? ' ' : *c);
    return sheaf_claim_settle(&named->claim);
}

uint32_t sheaf_metrics_named(sheaf_metrics_region_t *region, const char *name, sheaf_str_t plugin, const char *help)
{
    if (strlen(name) >= sizeof(region->named->name) || plugin.len >= sizeof(region->named->plugin))
        return SHEAF_METRICS_NO_COUNTER;
    for (uint32_t i = 0; i < SHEAF_METRICS_NAMED; i++) {
        named_t *named = &region->named[i];

        if (sheaf_claim_take(&named->claim)) {
            if (write_words(named, name, plugin, help))
                return i;
        } else if (sheaf_claim_wait(&named->claim) && is_known(named, name, plugin)) {
            return i;
        }
    }
    return SHEAF_METRICS_NO_COUNTER;
}

/* Adds up one value of all slots; `offset` is its place in a slot. */
static uint64_t sum(const sheaf_metrics_region_t *region, const _Atomic uint64_t *in_first)
{
    size_t offset = (size_t)((const char *)in_first - (const char *)region->slots);
    uint64_t total = 0;

    for (uint32_t i = 0; i < region->count; i++) {
        const char *slot = (const char *)&region->slots[i];
        total += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(slot + offset), memory_order_relaxed);
    }
    return total;
}

static void print_values(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    for (uint32_t i = 0; i < SHEAF_METRIC_COUNT; i++) {
        const char *name = values[i].name, *labels = values[i].labels;
        uint64_t total = sum(region, &region->slots[0].values[i]);

        if (i == 0 || strcmp(name, values[i - 1].name) != 0)
            sheaf_exposition_head(out, name, values[i].help, values[i].is_gauge ? "gauge" : "counter");
        sheaf_exposition_value(out, name, labels, (int64_t)total);
    }
}

static void print_errors(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    sheaf_exposition_head(out, "sheaf_item_errors_total", "Items that the gateway answered itself, by error",
                          "counter");
    for (int err = 1; err < SHEAF_ERR_COUNT; err++) {
        if (sheaf_err_status((sheaf_err_t)err) != 0)
            sheaf_exposition_print(out, "sheaf_item_errors_total{error=\"%s\"} %llu\n",
                                   sheaf_err_slug((sheaf_err_t)err),
                                   (unsigned long long)sum(region, &region->slots[0].errors[err]));
    }
}

/* Is an earlier place of the same name? Then its family was begun there. */
static bool is_first_of_family(const sheaf_metrics_region_t *region, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (sheaf_claim_is_known(&region->named[i].claim) &&
            strcmp(region->named[i].name, region->named[index].name) == 0)
            return false;
    return true;
}

static void print_family(const sheaf_metrics_region_t *region, uint32_t first, sheaf_out_t *out)
{
    const char *name = region->named[first].name;

    sheaf_exposition_print(out, "# HELP sheaf_plugin_%s_total %s\n# TYPE sheaf_plugin_%s_total counter\n", name,
                           region->named[first].help, name);
    for (uint32_t i = first; i < SHEAF_METRICS_NAMED; i++)
        if (sheaf_claim_is_known(&region->named[i].claim) && strcmp(region->named[i].name, name) == 0)
            sheaf_exposition_print(out, "sheaf_plugin_%s_total{plugin=\"%s\"} %llu\n", name, region->named[i].plugin,
                                   (unsigned long long)sum(region, &region->slots[0].named[i]));
}

static void print_named(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    for (uint32_t i = 0; i < SHEAF_METRICS_NAMED; i++)
        if (sheaf_claim_is_known(&region->named[i].claim) && is_first_of_family(region, i))
            print_family(region, i, out);
}

static void print_histogram(const sheaf_metrics_region_t *region, uint32_t index, sheaf_out_t *out)
{
    const sheaf_buckets_t *first = &region->slots[0].histograms[index];
    uint64_t buckets[SHEAF_HISTOGRAM_BUCKETS];

    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_BUCKETS; i++)
        buckets[i] = sum(region, &first->buckets[i]);
    sheaf_exposition_head(out, histograms[index].name, histograms[index].help, "histogram");
    sheaf_exposition_buckets(out, histograms[index].name, "", buckets, sum(region, &first->sum_us));
}

void sheaf_metrics_print(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    print_values(region, out);
    print_errors(region, out);
    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_COUNT; i++)
        print_histogram(region, i, out);
    sheaf_upstats_print(region->upstats, out);
    print_named(region, out);
}
