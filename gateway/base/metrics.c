#include "gateway/base/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/base/pool.h"

/* What a place in `named` counts. Whoever takes a place first writes its words; it is never given back. */
typedef struct named {
    _Atomic uint32_t state; /* FREE, TAKEN while its words are written, KNOWN */
    char name[44], plugin[68], help[192];
} named_t;

enum { FREE, TAKEN, KNOWN };

struct sheaf_metrics_region {
    sheaf_metrics_t *slots;
    named_t *named; /* behind the slots */
    uint32_t count;
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
    uint64_t units = us == 0 ? 0 : (us - 1) / 64; /* bounds belong to the bucket below them */
    uint32_t bucket = units == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(units);

    return bucket < SHEAF_HISTOGRAM_BUCKETS ? bucket : SHEAF_HISTOGRAM_BUCKETS - 1;
}

void sheaf_observe_us(sheaf_metrics_t *slot, sheaf_histogram_t histogram, uint64_t us)
{
    if (slot == NULL)
        return;
    sheaf_metrics_bump(&slot->histograms[histogram].buckets[bucket_of(us)], 1);
    sheaf_metrics_bump(&slot->histograms[histogram].sum_us, us);
}

static size_t region_size(uint32_t slots)
{
    return slots * sizeof(sheaf_metrics_t) + SHEAF_METRICS_NAMED * sizeof(named_t);
}

sheaf_metrics_region_t *sheaf_metrics_region_new(uint32_t slots)
{
    size_t size = region_size(slots);
    sheaf_metrics_region_t *region;
    int fd = memfd_create("sheaf-metrics", MFD_CLOEXEC);
    void *memory = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)size) == 0)
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return NULL;
    region = sheaf_alloc(sizeof(*region));
    region->slots = memory;
    region->named = (named_t *)(void *)(region->slots + slots);
    region->count = slots;
    return region;
}

void sheaf_metrics_region_free(sheaf_metrics_region_t *region)
{
    if (region == NULL)
        return;
    munmap(region->slots, region_size(region->count));
    free(region);
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
}

static bool is_known(const named_t *named, const char *name, sheaf_str_t plugin)
{
    return strcmp(named->name, name) == 0 && sheaf_str_eq(sheaf_str_of(named->plugin), plugin);
}

/* Another worker writes its words at this moment, unless it died in the midst of that: then the place stays empty. */
static bool wait_for(named_t *named)
{
    for (uint32_t i = 0; i < 100000; i++)
        if (atomic_load_explicit(&named->state, memory_order_acquire) == KNOWN)
            return true;
    return false;
}

static void write_words(named_t *named, const char *name, sheaf_str_t plugin, const char *help)
{
    snprintf(named->name, sizeof(named->name), "%s", name);
    snprintf(named->plugin, sizeof(named->plugin), "%.*s", SHEAF_STR_ARG(plugin));
    snprintf(named->help, sizeof(named->help), "%s", help);
    for (char *c = named->help; *c != '\0'; c++)
        *c = (char)(*c == '\n' || *c == '\\' ? ' ' : *c);
    atomic_store_explicit(&named->state, KNOWN, memory_order_release);
}

/* All look from the front and take the first free place, so two never take one each for the same counter. */
uint32_t sheaf_metrics_named(sheaf_metrics_region_t *region, const char *name, sheaf_str_t plugin, const char *help)
{
    if (strlen(name) >= sizeof(region->named->name) || plugin.len >= sizeof(region->named->plugin))
        return SHEAF_METRICS_NO_COUNTER;
    for (uint32_t i = 0; i < SHEAF_METRICS_NAMED; i++) {
        named_t *named = &region->named[i];
        uint32_t state = FREE;

        if (atomic_compare_exchange_strong(&named->state, &state, TAKEN)) {
            write_words(named, name, plugin, help);
            return i;
        }
        if ((state == KNOWN || wait_for(named)) && is_known(named, name, plugin))
            return i;
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

static void print(sheaf_out_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(sheaf_out_t *out, const char *format, ...)
{
    char *dst = sheaf_out_reserve(out, 1024);
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(dst, 1024, format, args);
    va_end(args);
    sheaf_out_commit(out, len < 1024 ? (size_t)len : 1023);
}

static void print_head(sheaf_out_t *out, const char *name, const char *help, const char *type)
{
    print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_values(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    for (uint32_t i = 0; i < SHEAF_METRIC_COUNT; i++) {
        const char *name = values[i].name, *labels = values[i].labels;
        uint64_t total = sum(region, &region->slots[0].values[i]);

        if (i == 0 || strcmp(name, values[i - 1].name) != 0)
            print_head(out, name, values[i].help, values[i].is_gauge ? "gauge" : "counter");
        print(out, labels[0] != '\0' ? "%s{%s} %lld\n" : "%s%s %lld\n", name, labels, (long long)total);
    }
}

static void print_errors(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    print_head(out, "sheaf_item_errors_total", "Items that the gateway answered itself, by error", "counter");
    for (int err = 1; err < SHEAF_ERR_COUNT; err++) {
        if (sheaf_err_status((sheaf_err_t)err) != 0)
            print(out, "sheaf_item_errors_total{error=\"%s\"} %llu\n", sheaf_err_slug((sheaf_err_t)err),
                  (unsigned long long)sum(region, &region->slots[0].errors[err]));
    }
}

/* Is an earlier place of the same name? Then its family was begun there. */
static bool is_first_of_family(const sheaf_metrics_region_t *region, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (atomic_load_explicit(&region->named[i].state, memory_order_acquire) == KNOWN &&
            strcmp(region->named[i].name, region->named[index].name) == 0)
            return false;
    return true;
}

static void print_family(const sheaf_metrics_region_t *region, uint32_t first, sheaf_out_t *out)
{
    const char *name = region->named[first].name;

    print(out, "# HELP sheaf_plugin_%s_total %s\n# TYPE sheaf_plugin_%s_total counter\n", name,
          region->named[first].help, name);
    for (uint32_t i = first; i < SHEAF_METRICS_NAMED; i++)
        if (atomic_load_explicit(&region->named[i].state, memory_order_acquire) == KNOWN &&
            strcmp(region->named[i].name, name) == 0)
            print(out, "sheaf_plugin_%s_total{plugin=\"%s\"} %llu\n", name, region->named[i].plugin,
                  (unsigned long long)sum(region, &region->slots[0].named[i]));
}

static void print_named(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    for (uint32_t i = 0; i < SHEAF_METRICS_NAMED; i++)
        if (atomic_load_explicit(&region->named[i].state, memory_order_acquire) == KNOWN &&
            is_first_of_family(region, i))
            print_family(region, i, out);
}

static void print_histogram(const sheaf_metrics_region_t *region, uint32_t index, sheaf_out_t *out)
{
    const char *name = histograms[index].name;
    uint64_t count = 0;

    print_head(out, name, histograms[index].help, "histogram");
    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_BUCKETS; i++) {
        count += sum(region, &region->slots[0].histograms[index].buckets[i]);
        if (i < SHEAF_HISTOGRAM_BUCKETS - 1)
            print(out, "%s_bucket{le=\"%.9g\"} %llu\n", name, (double)((uint64_t)64 << i) / 1e6,
                  (unsigned long long)count);
        else
            print(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
    }
    print(out, "%s_sum %.6f\n%s_count %llu\n", name,
          (double)sum(region, &region->slots[0].histograms[index].sum_us) / 1e6, name, (unsigned long long)count);
}

void sheaf_metrics_print(const sheaf_metrics_region_t *region, sheaf_out_t *out)
{
    print_values(region, out);
    print_errors(region, out);
    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_COUNT; i++)
        print_histogram(region, i, out);
    print_named(region, out);
}
