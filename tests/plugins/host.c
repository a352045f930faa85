#include "tests/plugins/host_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void host_wrong(const char *what, const char *name)
{
    fprintf(stderr, "fake host: %s%s%s\n", what, name == NULL ? "" : ": ", name == NULL ? "" : name);
    abort();
}

uint64_t host_next_handle(void)
{
    static uint64_t last;

    return ++last * 3; /* neither dense nor small, as the real ones */
}

void *host_alloc(size_t len)
{
    void *memory = calloc(1, len == 0 ? 1 : len);

    if (memory == NULL)
        host_wrong("no memory", NULL);
    return memory;
}

char *host_copy(const char *base, size_t len)
{
    char *copy = host_alloc(len + 1);

    if (len > 0)
        memcpy(copy, base, len);
    return copy;
}

/* Exactly as long as it is, so that a sanitizer sees who reads beyond. */
sheaf_p_str_t host_lend(host_t *host, const char *base, size_t len)
{
    host_loan_t *loan = host_alloc(sizeof(*loan));

    loan->memory = host_alloc(len);
    if (len > 0)
        memcpy(loan->memory, base, len);
    loan->next = host->loans;
    host->loans = loan;
    return sheaf_p_str(loan->memory, len);
}

void host_loans_end(host_t *host)
{
    while (host->loans != NULL) {
        host_loan_t *loan = host->loans;

        host->loans = loan->next;
        free(loan->memory);
        free(loan);
    }
}

/* --- life --- */

static void api_count(sheaf_p_worker_t *host, uint32_t counter, uint64_t n)
{
    uint32_t known = 0;

    while (host->plugin->counters != NULL && host->plugin->counters[known].name != NULL)
        known++;
    if (counter >= known)
        host_wrong("counts what it has no counter for", host->plugin->name);
    host->counted[counter] += n;
}

static void api_log(sheaf_p_worker_t *host, sheaf_p_level_t level, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    size_t len = host->log == NULL ? 0 : strlen(host->log), room = len + strlen(text) + 16;
    char *log = host_alloc(room);

    snprintf(log, room, "%s%s %s\n", host->log == NULL ? "" : host->log, levels[level], text);
    free(host->log);
    host->log = log;
}

static void api_random(void *dst, size_t len)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    uint8_t *byte = dst;

    for (; len > 0; len--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte++ = (uint8_t)(state >> 24);
    }
}

const sheaf_p_api_t *host_api(void)
{
    static sheaf_p_api_t api;

    api.size = sizeof(api);
    api.major = SHEAF_P_ABI_MAJOR;
    api.minor = SHEAF_P_ABI_MINOR;
    host_heads_api(&api);
    host_facts_api(&api);
    host_time_api(&api);
    api.count = api_count;
    api.log = api_log;
    api.random = api_random;
    return &api;
}

host_t *host_new(const sheaf_plugin_t *plugin)
{
    host_t *host = host_alloc(sizeof(*host));
    size_t count = 0;

    if (plugin->size != sizeof(*plugin) || plugin->abi_major != SHEAF_P_ABI_MAJOR || plugin->name == NULL)
        host_wrong("no plugin of this ABI", plugin->name);
    while (plugin->keys != NULL && plugin->keys[count].name != NULL)
        count++;
    host->plugin = plugin;
    host->first = host;
    host->workers = 1;
    host->now = 1000;
    host->wall = 1800000000;
    host->values = host_alloc(count * sizeof(*host->values));
    host_known(NULL, host);
    return host;
}

static const char *failed(host_t *host, const sheaf_p_fail_t *fail)
{
    snprintf(host->fail, sizeof(host->fail), "%s: %s", fail->key, fail->why);
    return host->fail;
}

static const char *open_one(host_t *host)
{
    sheaf_p_fail_t fail = {"", ""};
    sheaf_p_open_t open = {.size = sizeof(open), .worker_number = host->number, .api = host_api(), .worker = host};

    open.values = host->first->values;
    open.shared = host->first->shared;
    open.shared_bytes = host->first->shared_bytes;
    host->self = host->plugin->open == NULL ? host : host->plugin->open(&open, &fail);
    host_loans_end(host);
    return host->self == NULL ? failed(host, &fail) : NULL;
}

const char *host_open(host_t *host)
{
    sheaf_p_fail_t fail = {"", "required"};

    if (host_values_missing(host, fail.key, sizeof(fail.key)))
        return failed(host, &fail);
    fail = (sheaf_p_fail_t){"", ""};
    if (host->plugin->check != NULL && host->plugin->check(host->values, &fail) != 0)
        return failed(host, &fail);
    if (host->plugin->shared_bytes != NULL)
        host->shared_bytes = host->plugin->shared_bytes(host->values);
    if (host->shared_bytes > 0)
        host->shared = host_alloc(host->shared_bytes);
    return open_one(host);
}

host_t *host_beside(host_t *first)
{
    host_t *host = host_alloc(sizeof(*host));

    host->plugin = first->plugin;
    host->first = first;
    host->now = first->now;
    host->wall = first->wall;
    host->number = first->workers++;
    host_known(NULL, host);
    if (open_one(host) != NULL)
        host_wrong("a second worker does not open", host->fail);
    return host;
}

void *host_self(host_t *host)
{
    return host->self;
}

void host_thing_free(host_thing_t *thing)
{
    for (int i = 0; i < 4; i++) {
        host_fields_free(&thing->heads[i]);
        free(thing->bodies[i]);
    }
    host_fields_free(&thing->attributes);
    for (int i = 0; i < HOST_TEXTS; i++)
        free(thing->texts[i]);
    free((char *)thing->outcome.content_type);
    free((char *)thing->outcome.body);
    free((char *)thing->outcome.slug);
    free((char *)thing->outcome.detail);
    free(thing);
}

void host_free(host_t *host)
{
    if (host->self != NULL && host->plugin->close != NULL)
        host->plugin->close(host->self);
    host_time_free(host);
    while (host->things != NULL) {
        host_thing_t *thing = host->things;

        host->things = thing->next;
        host_thing_free(thing);
    }
    if (host->first == host) {
        host_values_free(host);
        free(host->shared);
    }
    host_known(host, NULL);
    host_loans_end(host);
    free(host->log);
    free(host->told);
    free(host);
}

/* --- requests --- */

static host_thing_t *thing_new(host_t *host, const char *method, const char *target)
{
    host_thing_t *thing = host_alloc(sizeof(*thing));
    const char *query = strchr(target, '?');

    thing->value = host_next_handle();
    thing->host = host;
    thing->request = thing;
    thing->next = host->things;
    host->things = thing;
    thing->texts[SHEAF_P_METHOD] = host_copy(method, strlen(method));
    thing->texts[SHEAF_P_PATH] = host_copy(target, query == NULL ? strlen(target) : (size_t)(query - target));
    if (query != NULL)
        thing->texts[SHEAF_P_QUERY] = host_copy(query + 1, strlen(query + 1));
    thing->outcome = (host_outcome_t){0};
    return thing;
}

sheaf_p_ref_t host_request(host_t *host, const char *method, const char *target)
{
    host_thing_t *thing = thing_new(host, method, target);
    sheaf_p_ref_t ref = {thing->value};
    char id[24];

    snprintf(id, sizeof(id), "r%u", ++host->requests);
    host_fact(ref, SHEAF_P_REQUEST_ID, id);
    host_fact(ref, SHEAF_P_CLIENT_IP, "192.0.2.1");
    host_fact(ref, SHEAF_P_PEER_IP, "192.0.2.1");
    host_fact(ref, SHEAF_P_SCHEME, "http");
    host_fact(ref, SHEAF_P_HOST, "gateway.example");
    host_fact(ref, SHEAF_P_ENDPOINT, "/batch");
    host_number(ref, SHEAF_P_IS_DIRECT, 0);
    host_number(ref, SHEAF_P_ITEMS, 0);
    host_number(ref, SHEAF_P_STATUS, 0);
    host_number(ref, SHEAF_P_HTTP_VERSION, 11);
    host_number(ref, SHEAF_P_ELAPSED_US, 0);
    return ref;
}

sheaf_p_ref_t host_item(host_t *host, sheaf_p_ref_t request, const char *method, const char *target)
{
    host_thing_t *outer = host_thing(request), *thing = thing_new(host, method, target);
    sheaf_p_ref_t ref = {thing->value};
    char id[24];

    if (outer == NULL || outer->is_item)
        host_wrong("an item needs a request", target);
    thing->request = outer;
    thing->is_item = 1;
    snprintf(id, sizeof(id), "%lld", (long long)outer->numbers[SHEAF_P_ITEMS]);
    host_fact(ref, SHEAF_P_ITEM_ID, id);
    host_fact(ref, SHEAF_P_TARGET, target);
    host_number(ref, SHEAF_P_INDEX, outer->numbers[SHEAF_P_ITEMS]++);
    host_number(ref, SHEAF_P_STATUS, 0);
    return ref;
}

sheaf_p_ref_t host_direct(host_t *host, const char *method, const char *target, sheaf_p_ref_t *ret_item)
{
    sheaf_p_ref_t request = host_request(host, method, target);

    host_fact(request, SHEAF_P_ENDPOINT, NULL);
    host_number(request, SHEAF_P_IS_DIRECT, 1);
    *ret_item = host_item(host, request, method, target);
    return request;
}

host_thing_t *host_living(sheaf_p_ref_t ref)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL)
        host_wrong("the test asks for what has ended", NULL);
    return thing;
}

void host_header(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, const char *value)
{
    host_field_add(host_head(host_living(ref), part), name, value, strlen(value));
}

void host_body(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *text)
{
    host_thing_t *thing = host_living(ref);

    thing = part == SHEAF_P_CLIENT ? thing->request : thing;
    free(thing->bodies[part]);
    thing->bodies[part] = host_copy(text, strlen(text));
}

void host_fact(sheaf_p_ref_t ref, sheaf_p_text_t what, const char *text)
{
    host_thing_t *thing = host_living(ref);

    free(thing->texts[what]);
    thing->texts[what] = text == NULL ? NULL : host_copy(text, strlen(text));
}

void host_number(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t number)
{
    host_thing_t *thing = host_living(ref);

    thing->has_number[what] = 1;
    thing->numbers[what] = number;
}

void host_attribute(sheaf_p_ref_t ref, const char *name, const char *value)
{
    sheaf_p_str_t text = {value, strlen(value)};

    host_api()->set(ref, name, text);
}
