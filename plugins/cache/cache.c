/* cache - a shared cache (RFC 9111) of what items and direct requests are answered, in the memory of each worker. */
#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"
#include "plugins/cache/cache_vary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX_BYTES,
    KEY_MAX_ENTRIES,
    KEY_MAX_ENTRY,
    KEY_HEURISTIC,
    KEY_COLLAPSE_WAIT,
    KEY_MAX_WAITING,
    KEY_UNCACHED_FOR,
    KEY_VALIDATE,
    KEY_CLIENT_DIRECTIVES,
    KEY_STATUS,
    KEY_IDENTITY,
    KEY_KEY_FIELDS,
};

static const sheaf_p_key_t keys[] = {
    [KEY_MAX_BYTES] = {.name = "max_bytes",
                       .type = SHEAF_P_SIZE,
                       .preset = "64MiB",
                       .min = 4096,
                       .max = 1LL << 40,
                       .manual = "Memory for answers, in each worker. The least recently used leave first."},
    [KEY_MAX_ENTRIES] = {.name = "max_entries",
                         .type = SHEAF_P_NUMBER,
                         .preset = "10000",
                         .min = 1,
                         .max = 1 << 24,
                         .manual = "Answers that are stored at most, in each worker."},
    [KEY_MAX_ENTRY] = {.name = "max_entry",
                       .type = SHEAF_P_SIZE,
                       .preset = "1MiB",
                       .min = 1024,
                       .max = 16 << 20,
                       .manual = "What one answer may take, with its head."},
    [KEY_HEURISTIC] = {.name = "heuristic",
                       .type = SHEAF_P_NUMBER,
                       .preset = "0",
                       .max = 100,
                       .manual =
                           "Percent of the time since Last-Modified that an answer is fresh which does not say how "
                           "long, at most a day; 0: such an answer is not stored."},
    [KEY_COLLAPSE_WAIT] =
        {.name = "collapse_wait",
         .type = SHEAF_P_DURATION,
         .preset = "5s",
         .manual = "How long an item waits for another that asks the same, at most three quarters of the time it "
                   "has; 0: not at all."},
    [KEY_MAX_WAITING] = {.name = "max_waiting",
                         .type = SHEAF_P_NUMBER,
                         .preset = "1000",
                         .max = 1 << 24,
                         .manual = "How many may wait so in each worker; more are sent to the backend."},
    [KEY_UNCACHED_FOR] = {.name = "uncached_for",
                          .type = SHEAF_P_DURATION,
                          .preset = "1m",
                          .manual = "How long nobody waits for answers of a url after one that could not be stored."},
    [KEY_VALIDATE] = {.name = "validate",
                      .type = SHEAF_P_BOOL,
                      .preset = "true",
                      .manual = "Ask the backend whether a stale answer still holds, by requests of the cache's own."},
    [KEY_CLIENT_DIRECTIVES] = {.name = "client_directives",
                               .type = SHEAF_P_BOOL,
                               .preset = "true",
                               .manual =
                                   "Heed Cache-Control of those who ask (no-cache, max-age, only-if-cached, ...)."},
    [KEY_STATUS] = {.name = "status",
                    .type = SHEAF_P_BOOL,
                    .preset = "true",
                    .manual = "Say in Cache-Status (RFC 9211) what the cache did."},
    [KEY_IDENTITY] = {.name = "identity",
                      .type = SHEAF_P_TEXTS,
                      .manual = "Attributes that say who asks, beside user, consumer, scope, identity and "
                                "jwt.verified. Who has one gets only "
                                "answers that are marked public or with s-maxage."},
    [KEY_KEY_FIELDS] = {.name = "key_fields",
                        .type = SHEAF_P_TEXTS,
                        .manual = "Request fields that answers depend on though Vary does not say so."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    [CACHE_HITS] = {"hits", "Answered from the store, fresh."},
    [CACHE_MISSES] = {"misses", "Not in the store, or not fresh: the backend was to be asked."},
    [CACHE_STALE] = {"stale", "Answered from the store, stale where that is permitted."},
    [CACHE_COLLAPSED] = {"collapsed", "Answered with what another item had asked for meanwhile."},
    [CACHE_VALIDATED] = {"validated", "Stored answers that the backend said still hold."},
    [CACHE_STORED] = {"stored", "Answers put into the store."},
    [CACHE_INVALIDATED] = {"invalidated", "Stored answers dropped because an unsafe method succeeded."},
    [CACHE_BYPASSED] = {"bypassed", "GET and HEAD that the store is not asked about."},
    {NULL, NULL},
};

static int cache_check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    static const int texts[] = {KEY_IDENTITY, KEY_KEY_FIELDS};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (uint32_t k = 0; k < values[texts[i]].count; k++)
            if (!cache_text_is_token(values[texts[i]].texts[k]) || values[texts[i]].texts[k].len > 63) {
                snprintf(fail->key, sizeof(fail->key), "%s", keys[texts[i]].name);
                snprintf(fail->why, sizeof(fail->why), "names have 1 to 63 characters, none of them a space");
                return -1;
            }
    if (values[KEY_MAX_ENTRY].number <= values[KEY_MAX_BYTES].number)
        return 0;
    snprintf(fail->key, sizeof(fail->key), "max_entry");
    snprintf(fail->why, sizeof(fail->why), "is more than max_bytes: nothing of that size could be stored");
    return -1;
}

/* --- an instance --- */

static void read_values(cache_t *cache, const sheaf_p_value_t *values)
{
    cache->limits.bytes = (uint64_t)values[KEY_MAX_BYTES].number;
    cache->limits.entries = (uint64_t)values[KEY_MAX_ENTRIES].number;
    cache->limits.entry_bytes = (uint64_t)values[KEY_MAX_ENTRY].number;
    cache->heuristic = (uint32_t)values[KEY_HEURISTIC].number;
    cache->collapse_ms = (uint64_t)values[KEY_COLLAPSE_WAIT].number;
    cache->max_waiting = (uint32_t)values[KEY_MAX_WAITING].number;
    cache->mark_ms = (uint64_t)values[KEY_UNCACHED_FOR].number;
    cache->validates = values[KEY_VALIDATE].number != 0;
    cache->obeys = values[KEY_CLIENT_DIRECTIVES].number != 0;
    cache->says_status = values[KEY_STATUS].number != 0;
    cache->identity = values[KEY_IDENTITY].texts;
    cache->identity_count = values[KEY_IDENTITY].count;
    cache->keyed = values[KEY_KEY_FIELDS].texts;
    cache->keyed_count = values[KEY_KEY_FIELDS].count;
}

static void *cache_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    cache_t *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    cache->api = open->api;
    cache->worker = open->worker;
    read_values(cache, open->values);
    cache->api->random(cache->secret, sizeof(cache->secret));
    cache->store = cache_store_new(&cache->limits, cache->secret);
    if (cache->store != NULL)
        return cache;
    free(cache);
    snprintf(fail->key, sizeof(fail->key), "max_entries");
    snprintf(fail->why, sizeof(fail->why), "there is no memory for so many");
    return NULL;
}

static void cache_close(void *self)
{
    cache_t *cache = self;

    cache_flight_end_all(cache);
    cache_ask_end_everything(cache);
    cache_store_free(cache->store);
    free(cache);
}

/* --- hooks --- */

static sheaf_p_verdict_t cache_on_item(void *self, sheaf_p_ref_t item)
{
    cache_t *cache = self;
    cache_ask_t *ask;
    sheaf_p_str_t method;

    cache->api->text(item, SHEAF_P_METHOD, &method);
    if ((!cache_text_eq(method, sheaf_p_str("GET", 3)) && !cache_text_eq(method, sheaf_p_str("HEAD", 4))) ||
        cache_ask_find(cache, item) != NULL)
        return SHEAF_P_PASS;
    ask = cache_ask_new(cache, item);
    if (ask == NULL)
        return SHEAF_P_PASS;
    if (ask->role != CACHE_ROLE_BYPASS)
        return cache_decide(ask, 0);
    cache->api->count(cache->worker, CACHE_BYPASSED, 1);
    return SHEAF_P_PASS;
}

/* Whole, as far as can be seen: a result that failed on the way is none to keep. */
static int is_incomplete(const cache_head_t *head, sheaf_p_str_t body)
{
    sheaf_p_str_t text;

    return cache_head_find(head, "content-length", 0, &text) && !cache_head_has(head, "content-encoding") &&
           cache_text_seconds(text) != (int64_t)body.len;
}

/* What later plugins have made of the question counts: an answer to something else than was looked for must not be found by who
 * looks for that. */
static int has_changed(const cache_ask_t *ask, const cache_head_t *answer, const cache_head_t *question)
{
    cache_head_t selecting;
    int is_changed;

    if (cache_ask_is_moved(ask, question))
        return 1;
    if (cache_vary_select(answer, &ask->question, &selecting) != 0)
        return 0; /* is not stored anyhow */
    is_changed = !cache_vary_matches(&selecting, question);
    cache_head_free(&selecting);
    return is_changed;
}

static const char *keep(cache_ask_t *ask, uint32_t status, cache_head_t *head, const cache_head_t *question)
{
    cache_landing_t landing = {.uri = ask->uri, .place = ask->place, .question = &ask->question, .head = head};

    landing.is_changed = has_changed(ask, head, question);
    landing.is_led = ask->role == CACHE_ROLE_LEADING;
    landing.is_personal = ask->is_personal || cache_ask_is_personal(ask->cache, ask->item, question);
    landing.asked_s = ask->asked_s;
    landing.asked_ms = ask->asked_ms;
    landing.status = status;
    if (ask->is_direct)
        return cache_pass(ask, &landing, head);
    ask->cache->api->body(ask->item, SHEAF_P_RESULT, &landing.body);
    return is_incomplete(head, landing.body) ? "incomplete" : cache_keep(ask->cache, &landing);
}

/* What most answers of most services are: they say nothing of being kept, nobody waits for them, and nothing is stored that
 * they would take the place of. */
static int says_nothing(const cache_ask_t *ask)
{
    const cache_t *cache = ask->cache;
    sheaf_p_str_t value;

    return cache->heuristic == 0 && ask->role == CACHE_ROLE_ALONE && !ask->is_unconditional &&
           strcmp(ask->forward, "uri-miss") == 0 &&
           !cache->api->header(ask->item, SHEAF_P_RESULT, "cache-control", 0, &value) &&
           !cache->api->header(ask->item, SHEAF_P_RESULT, "expires", 0, &value);
}

/* More than an item may be answered is not stored; and who has it already must not be kept from hearing so. Of what is one's own nothing
 * follows for others. */
static void note_length(const cache_ask_t *ask, sheaf_p_str_t error)
{
    cache_t *cache = ask->cache;

    if (!ask->is_personal && cache_text_is(error, "answer-too-large"))
        cache_store_mark(cache->store, ask->uri, ask->place, cache->api->now_ms(cache->worker) + cache->mark_ms);
}

/* NULL: it has to be looked at. */
static const char *unfit(const cache_ask_t *ask, uint32_t status)
{
    sheaf_p_str_t text;

    if (status == 304)
        return "status"; /* to the conditions of who asked: it tells nothing of what others would get */

    if (ask->cache->api->text(ask->item, SHEAF_P_ERROR, &text) && text.len > 0) {
        note_length(ask, text);
        return "error";
    }
    if (ask->is_head)
        return "method";
    return says_nothing(ask) ? "lifetime" : NULL;
}

/* Of an answer without Last-Modified that was made just now If-Modified-Since says nothing (RFC 9110 13.1.3); one that is stored has its
 * Date to go by (RFC 9111 4.3.2). */
static int can_be_judged(const cache_ask_t *ask, const cache_head_t *head)
{
    return cache_head_has(&ask->question, "if-none-match") || cache_head_has(head, "last-modified");
}

/* Has whoever asked what is here? A direct answer that is being stored passes all the same: nothing would come of it any more. */
static int is_known_to_him(const cache_ask_t *ask, uint32_t status, const cache_head_t *head)
{
    cache_facts_t facts;

    if (!ask->is_unconditional || status != 200 || ask->role == CACHE_ROLE_PASSING || head->len == 0 ||
        !can_be_judged(ask, head))
        return 0;
    cache_facts_read(head, ask->asked_s, ask->cache->api->wall_s(ask->cache->worker), 0, &facts);
    return cache_validate_is_not_modified(&ask->question, head, facts.date_s);
}

static void look_at(cache_ask_t *ask, uint32_t status)
{
    cache_head_t head = {0}, question = {0};
    const char *refusal = "size";
    int is_not_modified;

    if (cache_ask_head(ask->cache, ask->item, SHEAF_P_RESULT, &head) == 0 &&
        cache_ask_head(ask->cache, ask->item, SHEAF_P_QUESTION, &question) == 0)
        refusal = keep(ask, status, &head, &question);
    is_not_modified = is_known_to_him(ask, status, &head) && cache_tell_not_modified(ask, &head) == 0;
    cache_tell_forwarded(ask, refusal, is_not_modified);
    cache_head_free(&head);
    cache_head_free(&question);
}

/* A backend that fails (RFC 5861 4): is there a stale answer that may be given instead? */
static int has_stand_in(cache_ask_t *ask, uint32_t status)
{
    cache_t *cache = ask->cache;
    cache_entry_t *entry;
    sheaf_p_str_t error;
    char how[64];

    if ((status != 500 && status != 502 && status != 503 && status != 504) || (ask->control.said & CACHE_NO_CACHE) ||
        (cache->api->text(ask->item, SHEAF_P_ERROR, &error) && cache_text_is(error, "plugin")))
        return 0;
    entry = cache_find(ask);
    if (entry == NULL || !cache_rules_stands_in(&entry->facts, cache_age_s(cache, entry)))
        return 0;
    cache->api->count(cache->worker, CACHE_STALE, 1);
    snprintf(how, sizeof(how), "fwd=stale; fwd-status=%u", status);
    return cache_tell(ask, entry, how) == SHEAF_P_ANSWER;
}

static void answered(cache_ask_t *ask, uint32_t status)
{
    cache_flight_t *flight = ask->flight;
    cache_landing_kind_t how = cache_pass_ended(ask);
    const char *refusal;

    if (!has_stand_in(ask, status)) {
        refusal = unfit(ask, status);
        if (refusal == NULL)
            look_at(ask, status);
        else
            cache_tell_forwarded(ask, refusal, 0);
    }
    if (flight != NULL && ask->role != CACHE_ROLE_PASSING)
        cache_flight_land(flight, how);
}

static void cache_on_result(void *self, sheaf_p_ref_t item)
{
    cache_t *cache = self;
    cache_ask_t *ask = cache_ask_find(cache, item);
    sheaf_p_str_t method;
    int64_t status;

    cache->api->number(item, SHEAF_P_STATUS, &status);
    if (ask == NULL) {
        if (cache->api->text(item, SHEAF_P_METHOD, &method) && cache_rules_invalidates(method, status))
            cache_keep_invalidate(cache, item);
        return;
    }
    if (ask->role == CACHE_ROLE_BYPASS)
        cache_tell_forwarded(ask, NULL, 0);
    else if (ask->role == CACHE_ROLE_ALONE || ask->role == CACHE_ROLE_LEADING)
        answered(ask, (uint32_t)status);
    if (ask->role != CACHE_ROLE_PASSING)
        cache_ask_free(ask);
}

static void cache_on_body(void *self, sheaf_p_ref_t item)
{
    cache_ask_t *ask = cache_ask_find(self, item);

    if (ask != NULL && ask->role == CACHE_ROLE_PASSING)
        cache_pass_end(ask);
}

static void cache_on_done(void *self, sheaf_p_ref_t request)
{
    cache_ask_end_all(self, request);
}

SHEAF_PLUGIN(cache) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .abi_minor = 0,
    .name = "cache",
    .version = "1.0",
    .manual = "Answers GET and HEAD from memory as RFC 9111 permits.",
    .keys = keys,
    .counters = counters,
    .check = cache_check,
    .open = cache_open,
    .close = cache_close,
    .on_item = cache_on_item,
    .on_result = cache_on_result,
    .on_body = cache_on_body,
    .on_done = cache_on_done,
    .traits = SHEAF_P_GUARDS_NOTHING | SHEAF_P_REPLAYS | SHEAF_P_HEEDS_ANSWERS,
};
