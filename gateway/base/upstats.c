#include "gateway/base/upstats.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/exposition.h"
#include "gateway/base/pool.h"
#include "gateway/base/shared.h"

#define OTHER  SHEAF_UPSTATS_PLACES /* the place of all that found none */
#define PLACES (SHEAF_UPSTATS_PLACES + 1)

typedef struct place {
    sheaf_claim_t claim;
    char label[144]; /* upstream="...", the name escaped: one of 64 bytes in any case */
} place_t;

/* Is there anything in the pages of a slot? Those of others are not looked at: looking alone would make memory of them. */
typedef _Atomic uint32_t used_t;

struct sheaf_upstats_book {
    sheaf_upstats_t *pages; /* of slot 0, then of slot 1, ... */
    place_t *places;
    used_t *used;
    uint32_t count;
    size_t size;
};

typedef struct family {
    const char *name, *labels, *help;
    bool is_gauge;
} family_t;

static const family_t values[SHEAF_UPSTAT_COUNT] = {
#define COUNTER(id, name, labels, help) [SHEAF_UPSTAT_##id] = {name, labels, help, false},
#define GAUGE(id, name, labels, help)   [SHEAF_UPSTAT_##id] = {name, labels, help, true},
#define HISTOGRAM(id, name, labels, help)
#include "gateway/base/upstats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static const family_t histograms[SHEAF_UPSTAT_HISTOGRAM_COUNT] = {
#define COUNTER(id, name, labels, help)
#define GAUGE(id, name, labels, help)
#define HISTOGRAM(id, name, labels, help) [SHEAF_UPSTAT_##id] = {name, labels, help, false},
#include "gateway/base/upstats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

/* --- one page --- */

static sheaf_upstat_t failure_of(sheaf_err_t err)
{
    switch (err) {
    case SHEAF_ERR_REFUSED:
        return SHEAF_UPSTAT_FAILED_REFUSED;
    case SHEAF_ERR_RESET:
        return SHEAF_UPSTAT_FAILED_RESET;
    case SHEAF_ERR_MALFORMED:
        return SHEAF_UPSTAT_FAILED_MALFORMED;
    case SHEAF_ERR_ANSWER_TOO_LARGE:
        return SHEAF_UPSTAT_FAILED_TOO_LARGE;
    case SHEAF_ERR_TLS:
        return SHEAF_UPSTAT_FAILED_TLS;
    case SHEAF_ERR_RESOLVE:
        return SHEAF_UPSTAT_FAILED_RESOLVE;
    case SHEAF_ERR_CONNECT_TIMEOUT:
        return SHEAF_UPSTAT_FAILED_CONNECT_TIMEOUT;
    case SHEAF_ERR_TIMEOUT:
        return SHEAF_UPSTAT_FAILED_TIMEOUT;
    case SHEAF_ERR_OVERLOADED:
        return SHEAF_UPSTAT_FAILED_OVERLOADED;
    case SHEAF_ERR_BREAKER_OPEN:
        return SHEAF_UPSTAT_FAILED_BREAKER;
    case SHEAF_ERR_QUEUE_FULL:
        return SHEAF_UPSTAT_FAILED_LINE;
    case SHEAF_ERR_TOO_LATE:
        return SHEAF_UPSTAT_FAILED_SHED;
    default:
        return SHEAF_UPSTAT_FAILED_ELSE;
    }
}

void sheaf_upstats_failed(sheaf_upstats_t *page, sheaf_err_t err)
{
    sheaf_upstats_count(page, failure_of(err), 1);
}

void sheaf_upstats_observe_us(sheaf_upstats_t *page, sheaf_upstat_histogram_t histogram, uint64_t us)
{
    if (page != NULL)
        sheaf_buckets_note(&page->histograms[histogram], us);
}

/* --- the book --- */

static size_t pages_size(uint32_t slots)
{
    return (size_t)slots * PLACES * sizeof(sheaf_upstats_t);
}

sheaf_upstats_book_t *sheaf_upstats_book_new(uint32_t slots)
{
    size_t size = pages_size(slots) + PLACES * sizeof(place_t) + slots * sizeof(used_t);
    void *memory = sheaf_shared_new("sheaf-upstats", size);
    sheaf_upstats_book_t *book;

    if (memory == NULL)
        return NULL;
    book = sheaf_alloc(sizeof(*book));
    book->pages = memory;
    book->places = (place_t *)(void *)(book->pages + (size_t)slots * PLACES);
    book->used = (used_t *)(void *)(book->places + PLACES);
    book->count = slots;
    book->size = size;
    return book;
}

void sheaf_upstats_book_free(sheaf_upstats_book_t *book)
{
    if (book == NULL)
        return;
    sheaf_shared_free(book->pages, book->size);
    free(book);
}

static void take_other(place_t *other)
{
    if (sheaf_claim_take(&other->claim)) {
        snprintf(other->label, sizeof(other->label), "upstream=\"(other)\"");
        sheaf_claim_settle(&other->claim);
    }
}

static bool write_label(sheaf_str_t name, char label[sizeof(((place_t *)NULL)->label)])
{
    static const char open[] = "upstream=\"";
    size_t size = sizeof(((place_t *)NULL)->label), len = sizeof(open) - 1;

    memcpy(label, open, len);
    if (!sheaf_exposition_escape(name, label + len, size - len - 1))
        return false;
    strcat(label, "\"");
    return true;
}

static uint32_t place_of(sheaf_upstats_book_t *book, sheaf_str_t name)
{
    char label[sizeof(book->places->label)];
    bool fits = write_label(name, label);

    for (uint32_t i = 0; fits && i < SHEAF_UPSTATS_PLACES; i++) {
        place_t *place = &book->places[i];

        if (sheaf_claim_take(&place->claim)) {
            memcpy(place->label, label, sizeof(label));
            if (sheaf_claim_settle(&place->claim))
                return i;
        } else if (sheaf_claim_wait(&place->claim) && strcmp(place->label, label) == 0) {
            return i;
        }
    }
    take_other(&book->places[OTHER]);
    return OTHER;
}

static sheaf_upstats_t *page_at(const sheaf_upstats_book_t *book, uint32_t slot, uint32_t place)
{
    return &book->pages[(size_t)slot * PLACES + place];
}

static bool is_used(const sheaf_upstats_book_t *book, uint32_t slot)
{
    return atomic_load_explicit(&book->used[slot], memory_order_relaxed) != 0;
}

sheaf_upstats_t *sheaf_upstats_page(sheaf_upstats_book_t *book, uint32_t slot, sheaf_str_t name)
{
    if (book == NULL)
        return NULL;
    SHEAF_ASSERT(slot < book->count);
    atomic_store_explicit(&book->used[slot], 1, memory_order_relaxed);
    return page_at(book, slot, place_of(book, name));
}

static void zero_gauges(sheaf_upstats_t *page)
{
    for (uint32_t i = 0; i < SHEAF_UPSTAT_COUNT; i++)
        if (values[i].is_gauge)
            atomic_store_explicit(&page->values[i], 0, memory_order_relaxed);
}

void sheaf_upstats_orphaned(sheaf_upstats_book_t *book, uint32_t slot)
{
    SHEAF_ASSERT(slot < book->count);
    for (uint32_t i = 0; is_used(book, slot) && i < PLACES; i++)
        if (sheaf_claim_is_known(&book->places[i].claim))
            zero_gauges(page_at(book, slot, i));
}

/* --- printing --- */

/* Adds up, of a place, the number that is so far into a page. */
static uint64_t sum(const sheaf_upstats_book_t *book, uint32_t place, size_t offset)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < book->count; i++) {
        const char *page = (const char *)page_at(book, i, place);

        if (is_used(book, i))
            total +=
                atomic_load_explicit((const _Atomic uint64_t *)(const void *)(page + offset), memory_order_relaxed);
    }
    return total;
}

/* Of the family that begins with value `first`. */
static void print_values_of(const sheaf_upstats_book_t *book, uint32_t place, uint32_t first, sheaf_out_t *out)
{
    const char *label = book->places[place].label;
    char labels[256];

    for (uint32_t i = first; i < SHEAF_UPSTAT_COUNT && strcmp(values[i].name, values[first].name) == 0; i++) {
        snprintf(labels, sizeof(labels), values[i].labels[0] != '\0' ? "%s,%s" : "%s%s", label, values[i].labels);
        sheaf_exposition_value(out, values[i].name, labels,
                               (int64_t)sum(book, place, offsetof(sheaf_upstats_t, values) + i * sizeof(uint64_t)));
    }
}

static void print_family(const sheaf_upstats_book_t *book, uint32_t first, sheaf_out_t *out)
{
    sheaf_exposition_head(out, values[first].name, values[first].help, values[first].is_gauge ? "gauge" : "counter");
    for (uint32_t i = 0; i < PLACES; i++)
        if (sheaf_claim_is_known(&book->places[i].claim))
            print_values_of(book, i, first, out);
}

static void print_histogram_of(const sheaf_upstats_book_t *book, uint32_t place, uint32_t index, sheaf_out_t *out)
{
    size_t offset = offsetof(sheaf_upstats_t, histograms) + index * sizeof(sheaf_buckets_t);
    uint64_t buckets[SHEAF_HISTOGRAM_BUCKETS];

    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_BUCKETS; i++)
        buckets[i] = sum(book, place, offset + offsetof(sheaf_buckets_t, buckets) + i * sizeof(uint64_t));
    sheaf_exposition_buckets(out, histograms[index].name, book->places[place].label, buckets,
                             sum(book, place, offset + offsetof(sheaf_buckets_t, sum_us)));
}

static void print_histogram(const sheaf_upstats_book_t *book, uint32_t index, sheaf_out_t *out)
{
    sheaf_exposition_head(out, histograms[index].name, histograms[index].help, "histogram");
    for (uint32_t i = 0; i < PLACES; i++)
        if (sheaf_claim_is_known(&book->places[i].claim))
            print_histogram_of(book, i, index, out);
}

static bool is_empty(const sheaf_upstats_book_t *book)
{
    for (uint32_t i = 0; i < PLACES; i++)
        if (sheaf_claim_is_known(&book->places[i].claim))
            return false;
    return true;
}

void sheaf_upstats_print(const sheaf_upstats_book_t *book, sheaf_out_t *out)
{
    if (is_empty(book))
        return;
    for (uint32_t i = 0; i < SHEAF_UPSTAT_COUNT; i++)
        if (i == 0 || strcmp(values[i].name, values[i - 1].name) != 0)
            print_family(book, i, out);
    for (uint32_t i = 0; i < SHEAF_UPSTAT_HISTOGRAM_COUNT; i++)
        print_histogram(book, i, out);
}
