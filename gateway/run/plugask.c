/* run/plugask.c - the hooks of an epoch: asks its plugins, in their order, about requests and items. */
#include <stdio.h>

#include "gateway/base/log.h"
#include "gateway/batch/forwarded.h"
#include "gateway/http/problem.h"
#include "gateway/run/plughost_inside.h"

static sheaf_say_t ask(sheaf_guest_t *guest, sheaf_stage_t stage);

/* --- guests --- */

static void on_go(sheaf_task_t *task);

sheaf_pool_t *sheaf_guest_pool(const sheaf_guest_t *guest)
{
    return guest->item != NULL ? guest->item->pool : guest->caller->batch->pool;
}

static sheaf_guest_t *guest_new(sheaf_guests_t *guests, sheaf_pool_t *pool)
{
    sheaf_guest_t *guest = sheaf_pool_zalloc(pool, sizeof(*guest));

    guest->guests = guests;
    guest->go.run = on_go;
    guest->ref.value = sheaf_handles_take(&guests->host->handles, SHEAF_HANDLE_ASKED, guest);
    return guest;
}

static const sheaf_chain_t *chain_of_endpoint(const sheaf_guests_t *guests, const sheaf_endpoint_conf_t *endpoint)
{
    const sheaf_conf_t *conf = &guests->snapshot->conf;
    uintptr_t first = (uintptr_t)conf->endpoints.items, at = (uintptr_t)endpoint;

    if (at < first || at >= first + conf->endpoints.count * sizeof(*endpoint))
        return &guests->global; /* of a direct request: it has none */
    return &guests->endpoints[(at - first) / sizeof(*endpoint)];
}

static sheaf_chain_t chain_of_route(const sheaf_guests_t *guests, const sheaf_route_conf_t *route)
{
    return route == NULL ? (sheaf_chain_t){NULL, 0} : guests->routes[route - guests->snapshot->conf.routes.items];
}

static sheaf_guest_t *request_of(sheaf_guests_t *guests, sheaf_caller_t *caller)
{
    sheaf_guest_t *guest = caller->guest;

    if (guest != NULL)
        return guest;
    guest = guest_new(guests, caller->batch->pool);
    guest->caller = caller;
    guest->first = *chain_of_endpoint(guests, caller->batch->endpoint);
    if (caller->is_direct && caller->batch->count > 0)
        guest->then = chain_of_route(guests, sheaf_batch_item(caller->batch, 0)->route);
    caller->guest = guest;
    return guest;
}

static sheaf_guest_t *item_guest_of(sheaf_guests_t *guests, sheaf_item_t *item)
{
    sheaf_guest_t *guest = item->guest;

    if (guest != NULL)
        return guest;
    guest = guest_new(guests, item->pool);
    guest->item = item;
    guest->caller = item->batch->caller;
    guest->request = request_of(guests, guest->caller);
    guest->first = *chain_of_endpoint(guests, item->batch->endpoint);
    guest->then = chain_of_route(guests, item->route);
    item->guest = guest;
    return guest;
}

/* --- the chain --- */

static uint32_t chain_count(const sheaf_guest_t *guest)
{
    return guest->first.count + guest->then.count;
}

static bool has(const sheaf_chain_t *chain, const sheaf_p_worker_t *instance)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (chain->items[i] == instance)
            return true;
    return false;
}

/* NULL: one that stands at the endpoint and at the route is asked once. */
static sheaf_p_worker_t *chain_at(const sheaf_guest_t *guest, uint32_t at)
{
    sheaf_p_worker_t *instance;

    if (at < guest->first.count)
        return guest->first.items[at];
    instance = guest->then.items[at - guest->first.count];
    return has(&guest->first, instance) ? NULL : instance;
}

static sheaf_p_verdict_t (*hook_of(const sheaf_p_worker_t *instance, sheaf_stage_t stage))(void *, sheaf_p_ref_t)
{
    const sheaf_plugin_t *plugin = instance->conf->plugin;

    switch (stage) {
    case SHEAF_STAGE_REQUEST:
        return plugin->on_request;
    case SHEAF_STAGE_BATCH:
        return plugin->on_batch;
    case SHEAF_STAGE_ITEM:
        return plugin->on_item;
    default:
        return NULL;
    }
}

static void (*listener_of(const sheaf_p_worker_t *instance, sheaf_stage_t stage))(void *, sheaf_p_ref_t)
{
    const sheaf_plugin_t *plugin = instance->conf->plugin;

    switch (stage) {
    case SHEAF_STAGE_RESULT:
        return plugin->on_result;
    case SHEAF_STAGE_BODY:
        return plugin->on_body;
    default:
        return plugin->on_done;
    }
}

/* --- what they say --- */

static void give_fault(sheaf_guest_t *guest)
{
    static const char body[] = "{\"type\":\"urn:sheaf:problem:plugin\",\"title\":\"A plugin of the gateway failed\","
                               "\"status\":500}";

    if (guest->item != NULL)
        sheaf_item_fail(guest->item, SHEAF_ERR_PLUGIN, SHEAF_STR_NONE);
    else
        guest->caller->given = (sheaf_given_t){500, SHEAF_STR(SHEAF_PROBLEM_MEDIA), sheaf_str(body, sizeof(body) - 1)};
}

static sheaf_say_t give(sheaf_guest_t *guest)
{
    guest->at = chain_count(guest);
    if (guest->is_faulty)
        give_fault(guest);
    else if (guest->item != NULL)
        sheaf_item_give(guest->item, &guest->given, &guest->fields);
    else
        guest->caller->given = guest->given;
    return SHEAF_SAY_ANSWER;
}

static sheaf_say_t fault(sheaf_guest_t *guest, const char *what)
{
    sheaf_plug_fault(guest->asker, what);
    guest->is_faulty = true;
    return give(guest);
}

/* PASS: the next one is asked. */
static sheaf_say_t take_verdict(sheaf_guest_t *guest, sheaf_p_verdict_t verdict)
{
    if (guest->is_faulty)
        return give(guest);
    switch (verdict) {
    case SHEAF_P_PASS:
        return guest->is_given ? fault(guest, "it answered and said PASS") : SHEAF_SAY_PASS;
    case SHEAF_P_ANSWER:
        return guest->is_given ? give(guest) : fault(guest, "it said ANSWER and gave none");
    case SHEAF_P_LATER:
        if (guest->is_given)
            return give(guest);
        guest->is_waiting = !guest->is_resumed;
        return guest->is_waiting ? SHEAF_SAY_LATER : SHEAF_SAY_PASS;
    }
    return fault(guest, "its verdict is none");
}

static sheaf_say_t ask_one(sheaf_guest_t *guest, sheaf_p_worker_t *instance)
{
    sheaf_p_worker_t *before = sheaf_plug_enter(instance);
    sheaf_p_verdict_t verdict;

    guest->asker = instance;
    guest->is_resumed = false;
    guest->is_asking = true;
    verdict = hook_of(instance, guest->stage)(instance->self, guest->ref);
    guest->is_asking = false;
    sheaf_plug_leave(instance, before);
    return take_verdict(guest, verdict);
}

static sheaf_say_t ask_rest(sheaf_guest_t *guest)
{
    sheaf_say_t say = SHEAF_SAY_PASS;

    while (say == SHEAF_SAY_PASS && guest->at < chain_count(guest)) {
        sheaf_p_worker_t *instance = chain_at(guest, guest->at);

        if (instance != NULL && hook_of(instance, guest->stage) != NULL)
            say = ask_one(guest, instance);
        guest->at += say != SHEAF_SAY_LATER;
    }
    return say;
}

/* The first time, or once whoever held it has said more. */
static sheaf_say_t ask(sheaf_guest_t *guest, sheaf_stage_t stage)
{
    if (!guest->is_waiting) {
        guest->stage = stage;
        guest->at = 0;
        return ask_rest(guest);
    }
    guest->is_waiting = false;
    if (guest->is_given || guest->is_faulty)
        return give(guest);
    guest->at++;
    return ask_rest(guest);
}

void sheaf_plugask_go_on(sheaf_guest_t *guest)
{
    if (guest->item != NULL)
        sheaf_hooks_go_on(guest->item);
    else
        sheaf_soon(guest->guests->host->env.soon, &guest->go);
}

static void on_go(sheaf_task_t *task)
{
    sheaf_guest_t *guest = SHEAF_OWNER(task, sheaf_guest_t, go);

    guest->caller->on_go(guest->caller);
}

/* --- the hooks --- */

static sheaf_guests_t *guests_of(sheaf_hooks_t *hooks)
{
    return SHEAF_OWNER(hooks, sheaf_guests_t, hooks);
}

static sheaf_say_t on_request(sheaf_hooks_t *self, sheaf_caller_t *caller)
{
    return ask(request_of(guests_of(self), caller), SHEAF_STAGE_REQUEST);
}

static sheaf_say_t on_batch(sheaf_hooks_t *self, sheaf_caller_t *caller)
{
    return ask(request_of(guests_of(self), caller), SHEAF_STAGE_BATCH);
}

static bool asks_at(const sheaf_chain_t *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (chain->items[i]->conf->plugin->on_item != NULL)
            return true;
    return false;
}

static bool asks(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route)
{
    sheaf_guests_t *guests = guests_of(self);
    sheaf_chain_t then = chain_of_route(guests, route);

    return asks_at(chain_of_endpoint(guests, batch->endpoint)) || asks_at(&then);
}

static sheaf_say_t on_item(sheaf_hooks_t *self, sheaf_item_t *item)
{
    if (item->batch->caller == NULL || (item->guest == NULL && !asks(self, item->batch, item->route)))
        return SHEAF_SAY_PASS;
    return ask(item_guest_of(guests_of(self), item), SHEAF_STAGE_ITEM);
}

static void tell(sheaf_guest_t *guest, uint32_t at);

/* Who wanted the body of the answer that was here, in front of `at`: it will not come. */
static void tell_replaced(sheaf_guest_t *guest, uint32_t at)
{
    guest->stage = SHEAF_STAGE_BODY;
    guest->is_replaced = true;
    guest->is_given = false; /* the head that is shown is still the old one */
    for (uint32_t i = chain_count(guest) - guest->outdated; i-- > at;)
        tell(guest, i);
    guest->stage = SHEAF_STAGE_RESULT;
    guest->is_keeping = guest->is_replaced = false;
    sheaf_kept_lose(&guest->caller->kept);
    guest->caller->kept = (sheaf_kept_t){0};
}

/* What is said of it from here on is said of the new answer. */
static void replace(sheaf_guest_t *guest, uint32_t at)
{
    if (guest->is_keeping)
        tell_replaced(guest, at);
    guest->outdated = chain_count(guest) - at;
    sheaf_item_replace(guest->item, &guest->given, &guest->fields);
    guest->fields = (sheaf_headers_t){0};
    guest->is_given = guest->owns_result = false;
}

static void tell(sheaf_guest_t *guest, uint32_t at)
{
    sheaf_p_worker_t *instance = chain_at(guest, at), *before;
    void (*hook)(void *, sheaf_p_ref_t) = instance == NULL ? NULL : listener_of(instance, guest->stage);

    if (hook == NULL)
        return;
    before = sheaf_plug_enter(instance);
    guest->asker = instance;
    guest->is_told = guest->stage == SHEAF_STAGE_RESULT;
    hook(instance->self, guest->ref);
    guest->is_told = false;
    sheaf_plug_leave(instance, before);
    if (guest->stage == SHEAF_STAGE_RESULT && guest->is_given)
        replace(guest, at);
}

static void tell_backwards(sheaf_guest_t *guest, sheaf_stage_t stage)
{
    uint32_t from = chain_count(guest);

    guest->stage = stage;
    if (stage == SHEAF_STAGE_BODY)
        from -= guest->outdated;
    while (from-- > 0)
        tell(guest, from);
}

static void drop(sheaf_guest_t *guest)
{
    sheaf_soon_cancel(&guest->go);
    sheaf_handles_drop(&guest->guests->host->handles, guest->ref.value);
}

static void drop_item(sheaf_item_t *item)
{
    drop(item->guest);
    item->guest = NULL;
}

/* Time was over before whoever held it said a word. A client that went away is nobody's fault. */
static void blame_waiting(const sheaf_guest_t *guest, bool is_late)
{
    if (guest->is_waiting && is_late)
        sheaf_plug_fault(guest->asker, "it said LATER and then nothing, until the time was over");
}

static bool listens_at(const sheaf_chain_t *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (chain->items[i]->conf->plugin->on_result != NULL)
            return true;
    return false;
}

static bool listens(const sheaf_guests_t *guests, const sheaf_item_t *item)
{
    sheaf_chain_t then = chain_of_route(guests, item->route);

    return listens_at(chain_of_endpoint(guests, item->batch->endpoint)) || listens_at(&then);
}

static void on_result(sheaf_hooks_t *self, sheaf_item_t *item)
{
    sheaf_guest_t *guest;

    if (item->batch->caller == NULL || (item->guest == NULL && !listens(guests_of(self), item)))
        return;
    guest = item_guest_of(guests_of(self), item);
    blame_waiting(guest, item->err == SHEAF_ERR_TIMEOUT || item->err == SHEAF_ERR_BATCH_TIMEOUT);
    guest->is_waiting = guest->is_given = false;
    guest->fields = (sheaf_headers_t){0};
    tell_backwards(guest, SHEAF_STAGE_RESULT);
    if (guest->is_keeping && guest->caller->is_direct)
        guest->stage = SHEAF_STAGE_BODY; /* it is still to come */
    else if (guest->is_keeping)
        tell_backwards(guest, SHEAF_STAGE_BODY);
    if (!guest->is_keeping || !guest->caller->is_direct)
        drop_item(item);
}

static void on_body(sheaf_hooks_t *self, sheaf_item_t *item)
{
    (void)self;
    if (item->guest != NULL)
        tell_backwards(item->guest, SHEAF_STAGE_BODY);
}

static void on_done(sheaf_hooks_t *self, sheaf_caller_t *caller)
{
    sheaf_guest_t *guest = caller->guest;

    (void)self;
    if (guest == NULL)
        return;
    blame_waiting(guest, caller->error != NULL);
    guest->is_waiting = false;
    guest->stage = SHEAF_STAGE_DONE;
    for (uint32_t at = 0; at < chain_count(guest); at++)
        tell(guest, at);
    drop(guest);
    caller->guest = NULL;
    if (caller->is_direct && sheaf_batch_item(caller->batch, 0)->guest != NULL)
        drop_item(sheaf_batch_item(caller->batch, 0));
}

void sheaf_plugask_init(sheaf_hooks_t *hooks)
{
    *hooks = (sheaf_hooks_t){on_request, on_batch, on_item, on_result, on_body, on_done, asks};
}
