#include "plugins/sheaf_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idempotency_answer.h"
#include "idempotency_asker.h"
#include "idempotency_conf.h"
#include "idempotency_redis.h"
#include "idempotency_store.h"

enum { COUNT_RUN, COUNT_REPLAYED, COUNT_CONFLICTS, COUNT_MISMATCHES, COUNT_EVICTED, COUNT_UNDECIDED, COUNT_REDIS_LOST };

#define HOLD "idempotency.hold."
#define HELD "idempotency.held."

typedef struct memory {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    idempotency_conf_t conf;
    idempotency_store_t store;  /* of this machine, */
    idempotency_redis_t *redis; /* or in Redis; NULL: not asked */
    char *answer;               /* answer_bytes, for one hook at a time */
    idempotency_asker_t asker;
    char hold[sizeof(HOLD) + 16]; /* the attribute: this instance's own, others may be on an item's way */
    char held[sizeof(HELD) + 16]; /* of all that ask the same place in Redis: the key that one of them holds */
} memory_t;

static const sheaf_p_counter_t counters[] = {
    {.name = "run", .manual = "Items with a key that was new."},
    {.name = "replayed", .manual = "Items that got the answer that was remembered."},
    {.name = "conflicts", .manual = "Items whose key runs, or whose answer was not kept."},
    {.name = "mismatches", .manual = "Items whose key was used with another payload."},
    {.name = "evicted", .manual = "Answers that were forgotten before their time: more `entries` are needed."},
    {.name = "undecided", .manual = "Items that Redis said nothing about in time."},
    {.name = "redis_lost", .manual = "Connections to Redis that were lost or could not be made."},
    {.name = NULL},
};

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    idempotency_conf_t conf;

    return idempotency_conf_read(values, &conf, fail);
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    idempotency_conf_t conf;
    sheaf_p_fail_t fail;

    if (idempotency_conf_read(values, &conf, &fail) != 0 || conf.asks_redis)
        return 0;
    return idempotency_store_bytes(conf.entries, conf.answer_bytes);
}

/* --- the store, here or in Redis --- */

static void finish(memory_t *memory, const idempotency_hold_t *hold, const idempotency_record_t *record)
{
    if (memory->redis != NULL)
        idempotency_redis_finish(memory->redis, hold, record->base, record->len);
    else
        idempotency_store_finish(&memory->store, hold->ticket, memory->api->now_ms(memory->worker), memory->conf.ttl_ms,
                                 record->base, record->len);
}

static void drop(memory_t *memory, const idempotency_hold_t *hold)
{
    if (memory->redis != NULL)
        idempotency_redis_drop(memory->redis, hold);
    else
        idempotency_store_drop(&memory->store, hold->ticket, memory->api->now_ms(memory->worker));
}

/* --- before it is sent --- */

static sheaf_p_verdict_t refuse(memory_t *memory, sheaf_p_ref_t item, uint32_t status, const char *slug,
                                const char *detail)
{
    memory->api->problem(item, status, slug, detail);
    if (status == 409 || status == 503)
        memory->api->header_set(item, SHEAF_P_RESULT, "retry-after", sheaf_p_str("1", 1));
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t refuse_full(memory_t *memory, sheaf_p_ref_t item)
{
    return refuse(memory, item, 503, "idempotency-full", "no key can be remembered now");
}

static sheaf_p_verdict_t refuse_running(memory_t *memory, sheaf_p_ref_t item)
{
    memory->api->count(memory->worker, COUNT_CONFLICTS, 1);
    return refuse(memory, item, 409, "idempotency-running", "a request with this key is under way");
}

static sheaf_p_verdict_t replay(memory_t *memory, sheaf_p_ref_t item, const char *answer, uint32_t len)
{
    switch (idempotency_answer_replay(memory->api, item, answer, len)) {
    case IDEMPOTENCY_KEPT:
        memory->api->count(memory->worker, COUNT_REPLAYED, 1);
        return SHEAF_P_ANSWER;
    case IDEMPOTENCY_COMING:
        return refuse_running(memory, item);
    case IDEMPOTENCY_NOT_KEPT:
        break;
    }
    memory->api->count(memory->worker, COUNT_CONFLICTS, 1);
    return refuse(memory, item, 409, "idempotency-answered", "this key has been answered, and the answer was not kept");
}

static bool hold_for(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    if (memory->api->set(item, memory->hold, sheaf_p_str((const char *)hold, sizeof(*hold))) != 0)
        return false;
    if (memory->redis != NULL)
        idempotency_redis_hold(memory->redis, hold);
    return true;
}

static sheaf_p_verdict_t run(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    if (!hold_for(memory, item, hold)) {
        drop(memory, hold);
        return refuse_full(memory, item);
    }
    if (memory->redis != NULL)
        memory->api->set(item, memory->held, sheaf_p_str((const char *)hold->key, sizeof(hold->key)));
    memory->api->count(memory->worker, COUNT_RUN, 1);
    return SHEAF_P_PASS;
}

/* Where it goes on without protection its end is told to Redis all the same: it may be there again by then. */
static sheaf_p_verdict_t run_unknown(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold,
                                     bool may_be_held)
{
    memory->api->count(memory->worker, COUNT_UNDECIDED, 1);
    if (memory->conf.on_error == IDEMPOTENCY_ON_ERROR_ALLOW) {
        hold_for(memory, item, hold);
        return SHEAF_P_PASS;
    }
    if (may_be_held)
        drop(memory, hold);
    return refuse(memory, item, 503, "idempotency-unavailable", "whether this was done cannot be asked");
}

static sheaf_p_verdict_t act_on(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold,
                                idempotency_found_t found, const char *answer, uint32_t len)
{
    switch (found) {
    case IDEMPOTENCY_NEW:
        return run(memory, item, hold);
    case IDEMPOTENCY_RUNNING:
        return refuse_running(memory, item);
    case IDEMPOTENCY_OTHER:
        memory->api->count(memory->worker, COUNT_MISMATCHES, 1);
        return refuse(memory, item, 422, "idempotency-mismatch", "this key was used for another request");
    case IDEMPOTENCY_DONE:
        return replay(memory, item, answer, len);
    case IDEMPOTENCY_UNKNOWN:
        return run_unknown(memory, item, hold, true);
    case IDEMPOTENCY_FULL:
        break;
    }
    return refuse_full(memory, item);
}

static void on_found(void *owner, sheaf_p_ref_t item, const idempotency_hold_t *hold, idempotency_found_t found,
                     const char *answer, uint32_t len)
{
    memory_t *memory = owner;

    if (memory->api->request_of(item).value == 0) { /* ended meanwhile: it is not sent */
        if (found == IDEMPOTENCY_NEW || found == IDEMPOTENCY_UNKNOWN)
            drop(memory, hold);
        return;
    }
    act_on(memory, item, hold, found, answer, len);
    memory->api->resume(item);
}

/* Another instance on its way, that asks the same place, would find its own item under way. */
static bool is_held(const memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    sheaf_p_str_t key;

    return memory->api->get(item, memory->held, &key) == 1 && key.len == sizeof(hold->key) &&
           memcmp(key.base, hold->key, sizeof(hold->key)) == 0;
}

static sheaf_p_verdict_t begin_in_redis(memory_t *memory, sheaf_p_ref_t item, idempotency_hold_t *hold)
{
    memory->api->random(&hold->ticket, sizeof(hold->ticket));
    return idempotency_redis_begin(memory->redis, item, hold) ? SHEAF_P_LATER : run_unknown(memory, item, hold, false);
}

static sheaf_p_verdict_t begin(memory_t *memory, sheaf_p_ref_t item, idempotency_hold_t *hold)
{
    idempotency_found_t found;
    uint32_t len = 0, evicted = 0;

    if (memory->redis != NULL)
        return is_held(memory, item, hold) ? SHEAF_P_PASS : begin_in_redis(memory, item, hold);
    found = idempotency_store_begin(&memory->store, hold->key, hold->payload, memory->api->now_ms(memory->worker),
                                    memory->conf.lease_ms, &hold->ticket, memory->answer, &len, &evicted);
    if (evicted > 0)
        memory->api->count(memory->worker, COUNT_EVICTED, evicted);
    return act_on(memory, item, hold, found, memory->answer, len);
}

static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    memory_t *memory = self;
    idempotency_hold_t hold = {.ticket = {0, 0}};
    sheaf_p_str_t field, key;
    bool is_of_batch;

    if (!idempotency_conf_protects(&memory->conf, memory->api, item))
        return SHEAF_P_PASS;
    if (!idempotency_find_key(&memory->asker, item, &field, &is_of_batch))
        return !memory->conf.is_required
                   ? SHEAF_P_PASS
                   : refuse(memory, item, 400, "idempotency-key-missing", "this needs an Idempotency-Key");
    if (idempotency_is_more_than_one(&memory->asker, item) || !idempotency_key_read(field, &key))
        return refuse(memory, item, 400, "idempotency-key-invalid",
                      "Idempotency-Key is a string of 1 to 255 printable characters");
    if (!idempotency_hash_key(&memory->asker, item, key, is_of_batch, hold.key) ||
        !idempotency_hash_payload(&memory->asker, item, hold.payload))
        return refuse_full(memory, item);
    return begin(memory, item, &hold);
}

/* --- when it is answered --- */

static void keep(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    idempotency_record_t record;
    sheaf_p_str_t body;

    if (memory->api->body(item, SHEAF_P_RESULT, &body) != 1)
        body = sheaf_p_str("", 0);
    idempotency_answer_keep(memory->api, item, body, memory->answer, memory->conf.answer_bytes, &record);
    finish(memory, hold, &record);
}

static void note(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold, idempotency_kept_t kept)
{
    idempotency_record_t record;

    idempotency_answer_note(memory->api, item, kept, memory->answer, memory->conf.answer_bytes, &record);
    finish(memory, hold, &record);
}

/* A direct answer's body goes to its client as it comes, for as long as that takes: that there is an answer must be known before. */
static bool keep_later(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    const bool is_coming = memory->api->keep_body(item, memory->conf.answer_bytes) == 0;

    note(memory, item, hold, is_coming ? IDEMPOTENCY_COMING : IDEMPOTENCY_NOT_KEPT);
    return is_coming;
}

static bool hold_of(memory_t *memory, sheaf_p_ref_t item, idempotency_hold_t *ret_hold)
{
    sheaf_p_str_t bytes;

    if (memory->api->get(item, memory->hold, &bytes) != 1 || bytes.len != sizeof(*ret_hold))
        return false;
    memcpy(ret_hold, bytes.base, sizeof(*ret_hold));
    return true;
}

static void let_go(memory_t *memory, sheaf_p_ref_t item)
{
    memory->api->set(item, memory->hold, sheaf_p_str("", 0));
}

/* Returns true if the body is still to come. */
static bool end(memory_t *memory, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    int64_t is_direct = 0;

    switch (idempotency_answer_end(memory->api, item)) {
    case IDEMPOTENCY_END_FINAL:
        memory->api->number(item, SHEAF_P_IS_DIRECT, &is_direct);
        if (is_direct)
            return keep_later(memory, item, hold);
        keep(memory, item, hold);
        break;
    case IDEMPOTENCY_END_UNSEEN:
        note(memory, item, hold, IDEMPOTENCY_NOT_KEPT);
        break;
    case IDEMPOTENCY_END_FREE:
        drop(memory, hold);
        break;
    case IDEMPOTENCY_END_DOUBT: /* it runs until its lease is over */
        break;
    }
    return false;
}

static void on_result(void *self, sheaf_p_ref_t item)
{
    memory_t *memory = self;
    idempotency_hold_t hold;

    if (hold_of(memory, item, &hold) && !end(memory, item, &hold))
        let_go(memory, item);
}

static void on_body(void *self, sheaf_p_ref_t item)
{
    memory_t *memory = self;
    idempotency_hold_t hold;
    sheaf_p_str_t body;

    if (!hold_of(memory, item, &hold)) /* somebody else wants it */
        return;
    if (memory->api->body(item, SHEAF_P_RESULT, &body) == 1)
        keep(memory, item, &hold);
    else
        note(memory, item, &hold, IDEMPOTENCY_NOT_KEPT);
    let_go(memory, item);
}

/* --- life --- */

static void open_store(memory_t *memory, const sheaf_p_open_t *open)
{
    uint64_t secret[2];

    open->api->random(secret, sizeof(secret));
    idempotency_store_init(&memory->store, open->shared, memory->conf.entries, memory->conf.answer_bytes, secret);
    memcpy(memory->asker.secret, memory->store.secret, sizeof(memory->asker.secret));
}

/* All machines hash a key alike: there is no secret. */
static bool open_redis(memory_t *memory)
{
    const idempotency_redis_events_t events = {on_found, memory, COUNT_REDIS_LOST};

    memory->redis = idempotency_redis_new(memory->api, memory->worker, &memory->conf, &events);
    return memory->redis != NULL;
}

static void close_memory(void *self)
{
    memory_t *memory = self;

    if (memory == NULL)
        return;
    idempotency_redis_free(memory->redis);
    free(memory->answer);
    free(memory);
}

static void *no_memory(memory_t *memory, sheaf_p_fail_t *fail)
{
    snprintf(fail->why, sizeof(fail->why), "no memory");
    close_memory(memory);
    return NULL;
}

static void *open_memory(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    memory_t *memory = calloc(1, sizeof(*memory));
    uint64_t own;

    if (memory == NULL)
        return no_memory(memory, fail);
    memory->api = open->api;
    memory->worker = open->worker;
    if (idempotency_conf_read(open->values, &memory->conf, fail) != 0) {
        close_memory(memory);
        return NULL;
    }
    memory->answer = malloc(memory->conf.answer_bytes);
    if (memory->answer == NULL)
        return no_memory(memory, fail);
    open->api->random(&own, sizeof(own));
    snprintf(memory->hold, sizeof(memory->hold), HOLD "%016" PRIx64, own);
    snprintf(memory->held, sizeof(memory->held), HELD "%016" PRIx64, idempotency_conf_place(&memory->conf));
    memory->asker.api = open->api;
    memcpy(memory->asker.identity, memory->conf.identity, sizeof(memory->asker.identity));
    if (!memory->conf.asks_redis)
        open_store(memory, open);
    else if (!open_redis(memory))
        return no_memory(memory, fail);
    return memory;
}

SHEAF_PLUGIN(idempotency) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "idempotency",
    .version = "1.0",
    .manual = "Idempotency-Key: what was done once is not done again, and its answer is given again.",
    .keys = idempotency_conf_keys,
    .counters = counters,
    .check = check,
    .shared_bytes = shared_bytes,
    .open = open_memory,
    .close = close_memory,
    .on_item = on_item,
    .on_result = on_result,
    .on_body = on_body,
    .traits = SHEAF_P_GUARDS_NOTHING | SHEAF_P_REPLAYS,
};
