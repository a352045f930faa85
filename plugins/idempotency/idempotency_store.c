#include "idempotency_store.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define SLOTS    8
#define STUCK_MS 1000

typedef struct slot {
    uint64_t turn; /* counts who has had it, so that a late ticket is known; 0: nobody ever */
    uint64_t end_ms;
    uint32_t len;
    uint32_t is_done;
    uint8_t key[IDEMPOTENCY_HASH], payload[IDEMPOTENCY_HASH];
    char answer[];
} slot_t;

struct idempotency_memory {
    _Atomic uint64_t secret[2];
    uint64_t unused[6];
    char buckets[];
};

typedef struct bucket {
    _Atomic uint64_t lock;
    uint64_t unused[7];
    char slots[];
} bucket_t;

static uint64_t slot_bytes(uint32_t answer_bytes)
{
    return (sizeof(slot_t) + answer_bytes + 63) / 64 * 64;
}

static uint64_t bucket_bytes(uint32_t answer_bytes)
{
    return sizeof(bucket_t) + SLOTS * slot_bytes(answer_bytes);
}

static uint64_t buckets_for(uint64_t entries)
{
    uint64_t buckets = 1;

    while (buckets * SLOTS < entries)
        buckets *= 2;
    return buckets;
}

uint64_t idempotency_store_bytes(uint64_t entries, uint32_t answer_bytes)
{
    return sizeof(idempotency_memory_t) + buckets_for(entries) * bucket_bytes(answer_bytes);
}

/* Whoever comes first has said it for all workers. */
static uint64_t agreed(_Atomic uint64_t *secret, uint64_t mine)
{
    uint64_t stands = 0;

    if (mine == 0)
        mine = 1;
    return atomic_compare_exchange_strong(secret, &stands, mine) ? mine : stands;
}

void idempotency_store_init(idempotency_store_t *store, void *memory, uint64_t entries, uint32_t answer_bytes,
                            const uint64_t random[2])
{
    *store = (idempotency_store_t){.memory = memory, .buckets = buckets_for(entries), .answer_bytes = answer_bytes};
    for (int i = 0; i < 2; i++)
        store->secret[i] = agreed(&store->memory->secret[i], random[i]);
}

static bucket_t *bucket_at(const idempotency_store_t *store, uint64_t number)
{
    return (bucket_t *)(store->memory->buckets + number * bucket_bytes(store->answer_bytes));
}

static slot_t *slot_at(const idempotency_store_t *store, bucket_t *bucket, uint64_t number)
{
    return (slot_t *)(bucket->slots + number * slot_bytes(store->answer_bytes));
}

/* --- the lock: held for as long as it takes to copy an answer --- */

static uint64_t real_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

static void lock(bucket_t *bucket, uint64_t *ret_mine)
{
    for (;;) {
        uint64_t holds = 0;

        *ret_mine = real_ms();
        if (atomic_compare_exchange_strong(&bucket->lock, &holds, *ret_mine))
            return;
        if (holds + STUCK_MS < *ret_mine && atomic_compare_exchange_strong(&bucket->lock, &holds, *ret_mine))
            return;
        sched_yield();
    }
}

static void unlock(bucket_t *bucket, uint64_t mine)
{
    atomic_compare_exchange_strong(&bucket->lock, &mine, 0);
}

/* --- slots --- */

static bool is_alive(const slot_t *slot, uint64_t now_ms)
{
    return slot->end_ms > now_ms;
}

static slot_t *find(const idempotency_store_t *store, bucket_t *bucket, const uint8_t *key, uint64_t now_ms)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        slot_t *slot = slot_at(store, bucket, i);

        if (is_alive(slot, now_ms) && memcmp(slot->key, key, IDEMPOTENCY_HASH) == 0)
            return slot;
    }
    return NULL;
}

/* One that is over, else the answer that would be over first. NULL: all run. */
static slot_t *choose(const idempotency_store_t *store, bucket_t *bucket, uint64_t now_ms, uint64_t *ret_number)
{
    slot_t *chosen = NULL;

    for (uint64_t i = 0; i < SLOTS; i++) {
        slot_t *slot = slot_at(store, bucket, i);
        const bool is_over = !is_alive(slot, now_ms);

        if (!is_over && (!slot->is_done || (chosen != NULL && slot->end_ms >= chosen->end_ms)))
            continue;
        chosen = slot;
        *ret_number = i;
        if (is_over)
            return slot;
    }
    return chosen;
}

static idempotency_found_t known(const idempotency_store_t *store, const slot_t *slot, const uint8_t *payload,
                                 char *ret_answer, uint32_t *ret_len)
{
    if (memcmp(slot->payload, payload, IDEMPOTENCY_HASH) != 0)
        return IDEMPOTENCY_OTHER;
    if (!slot->is_done)
        return IDEMPOTENCY_RUNNING;
    *ret_len = slot->len <= store->answer_bytes ? slot->len : 0; /* more was never written here */
    memcpy(ret_answer, slot->answer, *ret_len);
    return IDEMPOTENCY_DONE;
}

/* A worker may die between any two of these: whose the slot is holds only when all of it is there. */
static void take_over(slot_t *slot, const uint8_t *key, const uint8_t *payload, uint64_t end_ms)
{
    slot->end_ms = 0;
    atomic_thread_fence(memory_order_release);
    slot->turn++;
    slot->is_done = 0;
    memcpy(slot->key, key, IDEMPOTENCY_HASH);
    memcpy(slot->payload, payload, IDEMPOTENCY_HASH);
    atomic_thread_fence(memory_order_release);
    slot->end_ms = end_ms;
}

/* Here too: what lay in the slot before was another's, and half an answer is none. */
static void put_answer(slot_t *slot, uint64_t end_ms, const char *answer, uint32_t len)
{
    slot->is_done = 0;
    atomic_thread_fence(memory_order_release);
    if (len > 0)
        memcpy(slot->answer, answer, len);
    slot->len = len;
    slot->end_ms = end_ms;
    atomic_thread_fence(memory_order_release);
    slot->is_done = 1;
}

idempotency_found_t idempotency_store_begin(idempotency_store_t *store, const uint8_t key[IDEMPOTENCY_HASH],
                                            const uint8_t payload[IDEMPOTENCY_HASH], uint64_t now_ms, uint64_t lease_ms,
                                            idempotency_ticket_t *ret_ticket, char *ret_answer, uint32_t *ret_len,
                                            uint32_t *ret_evicted)
{
    uint64_t place, number = 0, mine;
    idempotency_found_t found = IDEMPOTENCY_FULL;
    bucket_t *bucket;
    slot_t *slot;

    memcpy(&place, key, sizeof(place));
    place &= store->buckets - 1;
    bucket = bucket_at(store, place);
    *ret_evicted = 0;
    lock(bucket, &mine);
    slot = find(store, bucket, key, now_ms);
    if (slot != NULL) {
        found = known(store, slot, payload, ret_answer, ret_len);
    } else if ((slot = choose(store, bucket, now_ms, &number)) != NULL) {
        *ret_evicted = is_alive(slot, now_ms);
        take_over(slot, key, payload, now_ms + lease_ms);
        *ret_ticket = (idempotency_ticket_t){place * SLOTS + number, slot->turn};
        found = IDEMPOTENCY_NEW;
    }
    unlock(bucket, mine);
    return found;
}

static void end(idempotency_store_t *store, idempotency_ticket_t ticket, bool is_drop, uint64_t end_ms,
                const char *answer, uint32_t len)
{
    bucket_t *bucket = bucket_at(store, ticket.slot / SLOTS & (store->buckets - 1));
    slot_t *slot = slot_at(store, bucket, ticket.slot % SLOTS);
    uint64_t mine;

    lock(bucket, &mine);
    if (slot->turn == ticket.turn && !(is_drop && slot->is_done))
        put_answer(slot, end_ms, answer, len);
    unlock(bucket, mine);
}

void idempotency_store_finish(idempotency_store_t *store, idempotency_ticket_t ticket, uint64_t now_ms, uint64_t ttl_ms,
                              const char *answer, uint32_t len)
{
    end(store, ticket, false, now_ms + ttl_ms, answer, len);
}

void idempotency_store_drop(idempotency_store_t *store, idempotency_ticket_t ticket, uint64_t now_ms)
{
    end(store, ticket, true, now_ms, NULL, 0);
}
