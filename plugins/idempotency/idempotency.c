#include "plugins/sheaf_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "idempotency_asker.h"
#include "idempotency_record.h"
#include "idempotency_store.h"

enum { KEY_METHODS, KEY_REQUIRED, KEY_IDENTITY, KEY_TTL, KEY_LEASE, KEY_ENTRIES, KEY_MAX_ANSWER }; /* of keys */
enum { COUNT_RUN, COUNT_REPLAYED, COUNT_CONFLICTS, COUNT_MISMATCHES, COUNT_EVICTED };

#define TICKET   "idempotency.ticket."
#define KNOWN_AS "idempotency-replayed"

typedef struct memory {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const sheaf_p_value_t *values;
    idempotency_store_t store;
    char *answer; /* answer_bytes, for one hook at a time */
    idempotency_asker_t asker;
    char ticket[sizeof(TICKET) + 16]; /* the attribute: this instance's own, others may be on an item's way */
} memory_t;

static const sheaf_p_key_t keys[] = {
    {.name = "methods", .type = SHEAF_P_TEXTS, .manual = "What is protected. Default: POST and PATCH."},
    {.name = "required",
     .type = SHEAF_P_BOOL,
     .preset = "false",
     .manual = "Whether one of these methods without a key is refused (400)."},
    {.name = "identity",
     .type = SHEAF_P_TEXT,
     .preset = "user",
     .manual = "The attribute that says whose a key is, beside user, consumer and the client's certificate. Where it "
               "and user are missing Authorization, Cookie and X-Api-Key do too; the client's address where nothing "
               "does."},
    {.name = "ttl",
     .type = SHEAF_P_DURATION,
     .preset = "24h",
     .min = 1000,
     .max = 2678400000,
     .manual = "How long an answer is remembered."},
    {.name = "lease",
     .type = SHEAF_P_DURATION,
     .preset = "60s",
     .min = 1000,
     .max = 3600000,
     .manual =
         "How long one may run before its key is free again, also where nobody knows what became of it (a timeout, "
         "a client that left); longer than every timeout."},
    {.name = "entries",
     .type = SHEAF_P_NUMBER,
     .preset = "4096",
     .min = 64,
     .max = 1048576,
     .manual = "How many keys are known at once."},
    {.name = "max_answer",
     .type = SHEAF_P_SIZE,
     .preset = "16KiB",
     .min = 1024,
     .max = 1048576,
     .manual = "Head and body of an answer that is remembered; of a larger one only that it was given."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    {.name = "run", .manual = "Items with a key that was new."},
    {.name = "replayed", .manual = "Items that got the answer that was remembered."},
    {.name = "conflicts", .manual = "Items whose key runs, or whose answer was not kept."},
    {.name = "mismatches", .manual = "Items whose key was used with another payload."},
    {.name = "evicted", .manual = "Answers that were forgotten before their time: more `entries` are needed."},
    {.name = NULL},
};

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    if (values[KEY_IDENTITY].text.len > 0 && values[KEY_IDENTITY].text.len <= 64)
        return 0;
    snprintf(fail->key, sizeof(fail->key), "identity");
    snprintf(fail->why, sizeof(fail->why), "must be the name of an attribute, at most 64 bytes");
    return -1;
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    return idempotency_store_bytes((uint64_t)values[KEY_ENTRIES].number, (uint32_t)values[KEY_MAX_ANSWER].number);
}

/* --- what is protected --- */

static int is_text(sheaf_p_str_t text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.base, word, text.len) == 0;
}

static bool is_protected(const memory_t *memory, sheaf_p_ref_t item)
{
    const sheaf_p_value_t *methods = &memory->values[KEY_METHODS];
    sheaf_p_str_t method;

    if (memory->api->text(item, SHEAF_P_METHOD, &method) != 1)
        return false;
    if (methods->count == 0)
        return is_text(method, "POST") || is_text(method, "PATCH");
    for (uint32_t i = 0; i < methods->count; i++)
        if (methods->texts[i].len == method.len && strncasecmp(methods->texts[i].base, method.base, method.len) == 0)
            return true;
    return false;
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

static void copy_name(sheaf_p_str_t name, char *buffer, size_t room)
{
    snprintf(buffer, room, "%.*s", (int)name.len, name.base);
}

static sheaf_p_verdict_t replay(memory_t *memory, sheaf_p_ref_t item, uint32_t len)
{
    idempotency_reading_t reading, body;
    sheaf_p_str_t name, value;
    char text[256], type[256] = "";

    if (!idempotency_reading_begin(&reading, memory->answer, len) || !reading.is_kept) {
        memory->api->count(memory->worker, COUNT_CONFLICTS, 1);
        return refuse(memory, item, 409, "idempotency-answered",
                      "this key has been answered, and the answer was not kept");
    }
    for (body = reading; idempotency_reading_field(&body, &name, &value);)
        if (is_text(name, "content-type"))
            copy_name(value, type, sizeof(type));
    memory->api->count(memory->worker, COUNT_REPLAYED, 1);
    memory->api->answer(item, reading.status, type[0] == 0 ? NULL : type, idempotency_reading_body(&body));
    while (idempotency_reading_field(&reading, &name, &value)) {
        copy_name(name, text, sizeof(text));
        if (!is_text(name, "content-type"))
            memory->api->header_add(item, SHEAF_P_RESULT, text, value);
    }
    memory->api->header_set(item, SHEAF_P_RESULT, KNOWN_AS, sheaf_p_str("true", 4));
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t begin(memory_t *memory, sheaf_p_ref_t item, const uint8_t *key, const uint8_t *payload)
{
    idempotency_ticket_t ticket = {0, 0};
    uint32_t len = 0, evicted = 0;
    char text[48];
    const idempotency_found_t found =
        idempotency_store_begin(&memory->store, key, payload, memory->api->now_ms(memory->worker),
                                (uint64_t)memory->values[KEY_LEASE].number, &ticket, memory->answer, &len, &evicted);

    if (evicted > 0)
        memory->api->count(memory->worker, COUNT_EVICTED, evicted);
    switch (found) {
    case IDEMPOTENCY_NEW:
        snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, ticket.slot, ticket.turn);
        if (memory->api->set(item, memory->ticket, sheaf_p_str(text, strlen(text))) != 0) {
            idempotency_store_drop(&memory->store, ticket, memory->api->now_ms(memory->worker));
            return refuse(memory, item, 503, "idempotency-full", "no key can be remembered now");
        }
        memory->api->count(memory->worker, COUNT_RUN, 1);
        return SHEAF_P_PASS;
    case IDEMPOTENCY_RUNNING:
        memory->api->count(memory->worker, COUNT_CONFLICTS, 1);
        return refuse(memory, item, 409, "idempotency-running", "a request with this key is under way");
    case IDEMPOTENCY_OTHER:
        memory->api->count(memory->worker, COUNT_MISMATCHES, 1);
        return refuse(memory, item, 422, "idempotency-mismatch", "this key was used for another request");
    case IDEMPOTENCY_FULL:
        return refuse(memory, item, 503, "idempotency-full", "no key can be remembered now");
    case IDEMPOTENCY_DONE:
        break;
    }
    return replay(memory, item, len);
}

static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    memory_t *memory = self;
    uint8_t key_hash[IDEMPOTENCY_HASH], payload_hash[IDEMPOTENCY_HASH];
    sheaf_p_str_t field, key;
    bool is_of_batch;

    if (!is_protected(memory, item))
        return SHEAF_P_PASS;
    if (!idempotency_find_key(&memory->asker, item, &field, &is_of_batch))
        return memory->values[KEY_REQUIRED].number == 0
                   ? SHEAF_P_PASS
                   : refuse(memory, item, 400, "idempotency-key-missing", "this needs an Idempotency-Key");
    if (idempotency_is_more_than_one(&memory->asker, item) || !idempotency_key_read(field, &key))
        return refuse(memory, item, 400, "idempotency-key-invalid",
                      "Idempotency-Key is a string of 1 to 255 printable characters");
    if (!idempotency_hash_key(&memory->asker, item, key, is_of_batch, key_hash) ||
        !idempotency_hash_payload(&memory->asker, item, payload_hash))
        return refuse(memory, item, 503, "idempotency-full", "no key can be remembered now");
    return begin(memory, item, key_hash, payload_hash);
}

/* --- when it is answered --- */

/* A failure in which a backend may have been asked and may still be at it. These are those in which it was not. */
static bool is_in_doubt(memory_t *memory, sheaf_p_ref_t item)
{
    static const char *const unsent[] = {"refused",      "tls",        "resolve",  "connect-timeout",     "queue-full",
                                         "breaker-open", "overloaded", "too-late", "unresolved-reference"};
    sheaf_p_str_t error;

    if (memory->api->text(item, SHEAF_P_ERROR, &error) != 1 || error.len == 0)
        return false;
    for (size_t i = 0; i < sizeof(unsent) / sizeof(unsent[0]); i++)
        if (is_text(error, unsent[i]))
            return false;
    return true;
}

/* What a second try might change is not remembered: failures here, failures there, and who may not (yet). */
static bool is_final(memory_t *memory, sheaf_p_ref_t item, int64_t status)
{
    static const int64_t open[] = {401, 403, 408, 409, 425, 429};
    sheaf_p_str_t error;

    if (memory->api->text(item, SHEAF_P_ERROR, &error) == 1 && error.len > 0)
        return false;
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (status == open[i])
            return false;
    return status >= 200 && status < 500;
}

/* Only what is there whole can be replayed. */
static bool body_of(memory_t *memory, sheaf_p_ref_t item, int64_t status, sheaf_p_str_t *ret_body)
{
    int64_t is_direct = 0;
    sheaf_p_str_t length;

    if (memory->api->body(item, SHEAF_P_RESULT, ret_body) == 1)
        return true;
    *ret_body = sheaf_p_str("", 0);
    memory->api->number(item, SHEAF_P_IS_DIRECT, &is_direct);
    return !is_direct || status == 204 || status == 205 ||
           (memory->api->header(item, SHEAF_P_RESULT, "content-length", 0, &length) == 1 && is_text(length, "0"));
}

/* Not what was meant for that one answer, or is said anew. */
static bool is_kept_field(sheaf_p_str_t name)
{
    static const char *const not [] = {"set-cookie", "content-length",   "date",
                                       "ratelimit",  "ratelimit-policy", KNOWN_AS};

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (is_text(name, not [i]))
            return false;
    return true;
}

static void keep(memory_t *memory, sheaf_p_ref_t item, idempotency_ticket_t ticket, int64_t status)
{
    idempotency_record_t record;
    sheaf_p_str_t name, value, body;
    const bool is_whole = body_of(memory, item, status, &body);
    const uint64_t now_ms = memory->api->now_ms(memory->worker);

    idempotency_record_begin(&record, memory->answer, memory->store.answer_bytes, (uint16_t)status, true);
    for (uint32_t i = 0; memory->api->header_at(item, SHEAF_P_RESULT, i, &name, &value) == 1; i++)
        if (is_kept_field(name))
            idempotency_record_field(&record, name, value);
    idempotency_record_body(&record, body);
    if (!is_whole || record.is_cut)
        idempotency_record_begin(&record, memory->answer, memory->store.answer_bytes, (uint16_t)status, false);
    idempotency_store_finish(&memory->store, ticket, now_ms, (uint64_t)memory->values[KEY_TTL].number, record.base,
                             record.len);
}

static bool ticket_of(memory_t *memory, sheaf_p_ref_t item, idempotency_ticket_t *ret_ticket)
{
    sheaf_p_str_t text;
    char copy[48];

    if (memory->api->get(item, memory->ticket, &text) != 1 || text.len >= sizeof(copy))
        return false;
    copy_name(text, copy, sizeof(copy));
    return sscanf(copy, "%" SCNu64 ":%" SCNu64, &ret_ticket->slot, &ret_ticket->turn) == 2;
}

static void on_result(void *self, sheaf_p_ref_t item)
{
    memory_t *memory = self;
    idempotency_ticket_t ticket;
    int64_t status = 0;

    if (!ticket_of(memory, item, &ticket) || is_in_doubt(memory, item))
        return; /* in doubt it runs until its lease is over */
    memory->api->number(item, SHEAF_P_STATUS, &status);
    if (is_final(memory, item, status))
        keep(memory, item, ticket, status);
    else
        idempotency_store_drop(&memory->store, ticket, memory->api->now_ms(memory->worker));
}

/* --- life --- */

static void *open_memory(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    const uint32_t answer_bytes = (uint32_t)open->values[KEY_MAX_ANSWER].number;
    memory_t *memory = calloc(1, sizeof(*memory));
    uint64_t own, secret[2];

    if (memory == NULL || (memory->answer = malloc(answer_bytes)) == NULL) {
        snprintf(fail->why, sizeof(fail->why), "no memory");
        free(memory);
        return NULL;
    }
    memory->api = open->api;
    memory->worker = open->worker;
    memory->values = open->values;
    open->api->random(&own, sizeof(own));
    open->api->random(secret, sizeof(secret));
    snprintf(memory->ticket, sizeof(memory->ticket), TICKET "%016" PRIx64, own);
    memory->asker.api = open->api;
    copy_name(open->values[KEY_IDENTITY].text, memory->asker.identity, sizeof(memory->asker.identity));
    idempotency_store_init(&memory->store, open->shared, (uint64_t)open->values[KEY_ENTRIES].number, answer_bytes,
                           secret);
    memcpy(memory->asker.secret, memory->store.secret, sizeof(memory->asker.secret));
    return memory;
}

static void close_memory(void *self)
{
    memory_t *memory = self;

    free(memory->answer);
    free(memory);
}

SHEAF_PLUGIN(idempotency) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "idempotency",
    .version = "1.0",
    .manual = "Idempotency-Key: what was done once is not done again, and its answer is given again.",
    .keys = keys,
    .counters = counters,
    .check = check,
    .shared_bytes = shared_bytes,
    .open = open_memory,
    .close = close_memory,
    .on_item = on_item,
    .on_result = on_result,
    .traits = SHEAF_P_GUARDS_NOTHING | SHEAF_P_REPLAYS,
};
