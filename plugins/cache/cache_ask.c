#include "plugins/cache/cache_hash.h"
#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URI_MAX    (8u * 1024u)
#define FIELDS_MAX 256u

#define HEAD_ROOM 1024u /* of most heads: grown once */

typedef enum trait {
    CREDENTIAL = 1, /* RFC 9111 3.5 names the first; backends take the others for as much */
    DETOUR = 2,     /* frameworks let these change method or path behind the back of every cache */
    CONTROL = 4,
} trait_t;

#define NAME(name) name, sizeof(name) - 1

static const struct {
    const char *name;
    size_t len;
    trait_t trait;
} known_fields[] = {
    {NAME("authorization"), CREDENTIAL},
    {NAME("cookie"), CREDENTIAL},
    {NAME("proxy-authorization"), CREDENTIAL},
    {NAME("x-api-key"), CREDENTIAL},
    {NAME("api-key"), CREDENTIAL},
    {NAME("x-auth-token"), CREDENTIAL},
    {NAME("x-access-token"), CREDENTIAL},
    {NAME("x-http-method-override"), DETOUR},
    {NAME("x-http-host-override"), DETOUR},
    {NAME("x-http-destinationurl"), DETOUR},
    {NAME("x-http-method"), DETOUR},
    {NAME("x-method-override"), DETOUR},
    {NAME("x-original-url"), DETOUR},
    {NAME("x-rewrite-url"), DETOUR},
    {NAME("x-original-uri"), DETOUR},
    {NAME("x-override-url"), DETOUR},
    {NAME("x-host"), DETOUR},
    {NAME("x-original-host"), DETOUR},
    {NAME("x-forwarded-prefix"), DETOUR},
    {NAME("x-forwarded-path"), DETOUR},
    {NAME("x-forwarded-scheme"), DETOUR},
    {NAME("x-forwarded-server"), DETOUR},
    {NAME("x-forwarded-ssl"), DETOUR},
    {NAME("x-envoy-original-path"), DETOUR},
    {NAME("x-envoy-original-method"), DETOUR},
    {NAME("cache-control"), CONTROL},
    {NAME("pragma"), CONTROL},
};

/* One walk over the fields, since every item takes it. Backends that make variables of fields know a name with '_' for '-' too. */
static unsigned traits_of(const cache_head_t *question)
{
    unsigned traits = 0;
    sheaf_p_str_t value;
    const char *name;
    size_t at = 0;

    while (cache_head_next(question, &at, &name, &value)) {
        sheaf_p_str_t text = {name, strlen(name)};

        for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
            if (known_fields[i].len == text.len && cache_text_is_alike(text, known_fields[i].name))
                traits |= known_fields[i].trait;
    }
    return traits;
}

static sheaf_p_str_t text_of(const cache_t *cache, sheaf_p_ref_t item, sheaf_p_text_t what)
{
    sheaf_p_str_t text;

    cache->api->text(item, what, &text);
    return text;
}

static int64_t number_of(const cache_t *cache, sheaf_p_ref_t item, sheaf_p_number_t what)
{
    int64_t number;

    cache->api->number(item, what, &number);
    return number;
}

uint64_t cache_ask_left_ms(const cache_ask_t *ask)
{
    int64_t left_ms;

    return ask->cache->api->number(ask->item, SHEAF_P_LEFT_MS, &left_ms) ? (uint64_t)left_ms : UINT64_MAX;
}

int cache_ask_head(const cache_t *cache, sheaf_p_ref_t item, sheaf_p_part_t part, cache_head_t *ret_head)
{
    sheaf_p_str_t name, value;

    memset(ret_head, 0, sizeof(*ret_head));
    cache_head_reserve(ret_head, HEAD_ROOM);
    for (uint32_t i = 0; cache->api->header_at(item, part, i, &name, &value); i++)
        if (i >= FIELDS_MAX || cache_head_add(ret_head, name, value) != 0) {
            cache_head_free(ret_head);
            return -1;
        }
    return 0;
}

static char *joined(const sheaf_p_str_t *parts, size_t count)
{
    size_t len = 0;
    char *text, *at;

    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > URI_MAX || (parts[i].len > 0 && memchr(parts[i].base, '\0', parts[i].len) != NULL))
            return NULL;
        len += parts[i].len;
    }
    text = at = len > URI_MAX ? NULL : malloc(len + 1);
    for (size_t i = 0; text != NULL && i < count; i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].base, parts[i].len);
        at += parts[i].len;
    }
    if (text != NULL)
        *at = '\0';
    return text;
}

char *cache_ask_uri(const cache_t *cache, sheaf_p_ref_t item)
{
    sheaf_p_str_t scheme = text_of(cache, item, SHEAF_P_SCHEME), host = text_of(cache, item, SHEAF_P_HOST);
    sheaf_p_str_t query;
    int has_query = cache->api->text(item, SHEAF_P_QUERY, &query);
    sheaf_p_str_t parts[] = {scheme, {"://", 3}, host, text_of(cache, item, SHEAF_P_PATH), {"?", 1}, query};
    char *uri = joined(parts, has_query ? 6 : 4);

    for (size_t i = 0; uri != NULL && i < scheme.len + 3 + host.len; i++)
        uri[i] = cache_text_lower(uri[i]);
    return uri;
}

/* Where it is answered: one path may lead to two places, by weight or by what else a route looks at. And what the backend is
 * told of the url that was asked for, since it writes links and redirects with it: a trusted proxy may hand on what a client
 * has sent there. */
static char *place_of(const cache_t *cache, sheaf_p_ref_t item, const cache_head_t *question)
{
    sheaf_p_str_t proto, host, second;
    sheaf_p_str_t parts[] = {text_of(cache, item, SHEAF_P_UPSTREAM_NAME),
                             {" ", 1},
                             text_of(cache, item, SHEAF_P_ROUTE),
                             {" ", 1},
                             text_of(cache, item, SHEAF_P_TARGET),
                             {"\n", 1},
                             {NULL, 0},
                             {"\n", 1},
                             {NULL, 0}};

    if (cache_head_find(question, "x-forwarded-proto", 0, &proto))
        parts[6] = proto;
    if (cache_head_find(question, "x-forwarded-host", 0, &host))
        parts[8] = host;
    if (cache_head_find(question, "x-forwarded-proto", 1, &second) ||
        cache_head_find(question, "x-forwarded-host", 1, &second))
        return NULL; /* which of them counts the backend knows alone */
    return joined(parts, sizeof(parts) / sizeof(parts[0]));
}

static char *with_field(char *place, const char *name, const cache_head_t *question)
{
    sheaf_p_str_t value, parts[] = {{place, strlen(place)}, {"\r", 1}, {NULL, 0}};

    if (cache_head_find(question, name, 0, &value)) {
        parts[1].base = "\n"; /* not there is not the same as empty */
        parts[2] = value;
    }
    if (cache_head_find(question, name, 1, &value) || cache_head_has_alias(question, name))
        return NULL;
    return joined(parts, 3);
}

/* Fields that were configured to be part of the key stand in the place. */
static char *with_keyed(const cache_t *cache, char *place, const cache_head_t *question)
{
    char name[64], *longer;

    for (uint32_t i = 0; place != NULL && i < cache->keyed_count; i++) {
        snprintf(name, sizeof(name), "%.*s", (int)cache->keyed[i].len, cache->keyed[i].base);
        for (char *c = name; *c != '\0'; c++)
            *c = cache_text_lower(*c);
        longer = with_field(place, name, question);
        free(place);
        place = longer;
    }
    return place;
}

int cache_ask_is_personal(const cache_t *cache, sheaf_p_ref_t item, const cache_head_t *question)
{
    static const char *const known[] = {"user", "consumer", "scope", "identity", "jwt.verified"};
    sheaf_p_str_t value;
    char name[64];

    if ((traits_of(question) & CREDENTIAL) || text_of(cache, item, SHEAF_P_CERTIFICATE).len > 0)
        return 1;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (cache->api->get(item, known[i], &value))
            return 1;
    for (uint32_t i = 0; i < cache->identity_count; i++) {
        snprintf(name, sizeof(name), "%.*s", (int)cache->identity[i].len, cache->identity[i].base);
        if (cache->api->get(item, name, &value))
            return 1;
    }
    return 0;
}

/* --- what is asked --- */

static void read_control(cache_ask_t *ask, unsigned traits)
{
    sheaf_p_str_t value;

    cache_control_init(&ask->control);
    if (!ask->cache->obeys || !(traits & CONTROL))
        return;
    for (uint32_t i = 0; cache_head_find(&ask->question, "cache-control", i, &value); i++)
        cache_control_read(value, &ask->control);
    if (!cache_head_has(&ask->question, "cache-control") && cache_head_find(&ask->question, "pragma", 0, &value) &&
        cache_text_is(cache_text_trim(value), "no-cache"))
        ask->control.said |= CACHE_NO_CACHE; /* RFC 9111 5.4 */
}

/* A body changes answers and is no part of the key. */
static int has_body(const cache_ask_t *ask)
{
    sheaf_p_str_t body;

    return ask->cache->api->body(ask->item, SHEAF_P_QUESTION, &body) && body.len > 0;
}

static int is_for_the_cache(cache_ask_t *ask)
{
    cache_t *cache = ask->cache;
    unsigned traits;

    if (cache_ask_head(cache, ask->item, SHEAF_P_QUESTION, &ask->question) != 0)
        return 0;
    traits = traits_of(&ask->question);
    read_control(ask, traits);
    if (has_body(ask) || (traits & DETOUR) || cache_validate_is_beyond(&ask->question) ||
        (ask->control.said & (CACHE_NO_STORE | CACHE_MALFORMED)))
        return 0;
    ask->uri = cache_ask_uri(cache, ask->item);
    ask->place = with_keyed(cache, place_of(cache, ask->item, &ask->question), &ask->question);
    return ask->uri != NULL && ask->place != NULL;
}

/* What the key is made of is looked at again. */
int cache_ask_is_moved(const cache_ask_t *ask, const cache_head_t *question)
{
    char *place;
    int is_moved;

    if (has_body(ask) || (traits_of(question) & DETOUR))
        return 1;
    place = with_keyed(ask->cache, place_of(ask->cache, ask->item, question), question);
    is_moved = place == NULL || strcmp(place, ask->place) != 0;
    free(place);
    return is_moved;
}

static void read_item(cache_ask_t *ask)
{
    cache_t *cache = ask->cache;

    ask->is_head = cache_text_is(text_of(cache, ask->item, SHEAF_P_METHOD), "HEAD");
    ask->is_direct = number_of(cache, ask->item, SHEAF_P_IS_DIRECT) != 0;
    ask->asked_s = cache->api->wall_s(cache->worker);
    ask->asked_ms = cache->api->now_ms(cache->worker);
    ask->role = is_for_the_cache(ask) ? CACHE_ROLE_ALONE : CACHE_ROLE_BYPASS;
    ask->forward = "bypass";
    ask->is_personal = cache_ask_is_personal(cache, ask->item, &ask->question);
    /* an answer to HEAD has no body: nobody should wait for one */
    ask->is_alone = ask->is_personal || ask->is_head || (ask->control.said & CACHE_NO_CACHE) != 0;
}

/* --- asks that live --- */

static uint32_t bucket(const cache_t *cache, uint64_t value)
{
    return (uint32_t)(cache_hash(cache->secret, &value, sizeof(value)) % CACHE_BUCKETS);
}

static cache_visit_t **visit_at(cache_t *cache, uint64_t request)
{
    cache_visit_t **at = &cache->visits[bucket(cache, request)];

    while (*at != NULL && (*at)->request != request)
        at = &(*at)->next;
    return at;
}

static cache_visit_t *visit_of(cache_t *cache, uint64_t request)
{
    cache_visit_t **at = visit_at(cache, request);

    if (*at == NULL) {
        *at = calloc(1, sizeof(**at));
        if (*at != NULL)
            (*at)->request = request;
    }
    return *at;
}

static void link_ask(cache_ask_t *ask)
{
    cache_ask_t **at = &ask->cache->asks[bucket(ask->cache, ask->item.value)];

    ask->next = *at;
    *at = ask;
    ask->sibling = ask->visit->asks;
    if (ask->sibling != NULL)
        ask->sibling->elder = ask;
    ask->visit->asks = ask;
}

cache_ask_t *cache_ask_new(cache_t *cache, sheaf_p_ref_t item)
{
    cache_visit_t *visit = visit_of(cache, cache->api->request_of(item).value);
    cache_ask_t *ask = visit == NULL ? NULL : calloc(1, sizeof(*ask));

    if (ask == NULL)
        return NULL;
    ask->cache = cache;
    ask->item = item;
    ask->visit = visit;
    link_ask(ask);
    read_item(ask);
    return ask;
}

cache_ask_t *cache_ask_find(cache_t *cache, sheaf_p_ref_t item)
{
    cache_ask_t *ask = cache->asks[bucket(cache, item.value)];

    while (ask != NULL && ask->item.value != item.value)
        ask = ask->next;
    return ask;
}

void cache_ask_free(cache_ask_t *ask)
{
    cache_ask_t **at = &ask->cache->asks[bucket(ask->cache, ask->item.value)];

    cache_flight_leave(ask);
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
    *(ask->elder == NULL ? &ask->visit->asks : &ask->elder->sibling) = ask->sibling;
    if (ask->sibling != NULL)
        ask->sibling->elder = ask->elder;
    ask->cache->passing_bytes -= ask->passing_bytes;
    cache_head_free(&ask->question);
    cache_head_free(&ask->head);
    free(ask->uri);
    free(ask->place);
    free(ask);
}

void cache_ask_end_all(cache_t *cache, sheaf_p_ref_t request)
{
    cache_visit_t **at = visit_at(cache, request.value), *visit = *at;

    if (visit == NULL)
        return;
    /* those that wait first: none of them is to be woken by one that leads */
    for (cache_ask_t *ask = visit->asks; ask != NULL; ask = ask->sibling)
        if (ask->role == CACHE_ROLE_WAITING)
            cache_flight_leave(ask);
    while (visit->asks != NULL)
        cache_ask_free(visit->asks);
    at = visit_at(cache, request.value);
    *at = visit->next;
    free(visit);
}

void cache_ask_end_everything(cache_t *cache)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++)
        while (cache->visits[i] != NULL)
            cache_ask_end_all(cache, (sheaf_p_ref_t){cache->visits[i]->request});
}
