/* run/plugcall.c - requests of plugins through an upstream of the configuration. */
#include <stdlib.h>

#include "gateway/batch/inherit.h"
#include "gateway/batch/view.h"
#include "gateway/http/message.h"
#include "gateway/run/plughost_inside.h"

#define ANSWER_PRESET  (1u << 20)
#define TIMEOUT_PRESET 10000

typedef struct plug_call {
    sheaf_wait_t wait;
    sheaf_exchange_t exchange;
    sheaf_pool_t *pool; /* the question, and the head of the answer */
    sheaf_buf_t *body;
    sheaf_headers_t fields;
    sheaf_stance_t stance; /* of the item that it is like; no route: it is like none */
    uint64_t timeout_ms, max_bytes;
    uint16_t status;
    bool is_sent;
    void *data;
    void (*on_answer)(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error);
} plug_call_t;

static plug_call_t *call_of(sheaf_exchange_t *exchange)
{
    return SHEAF_OWNER(exchange, plug_call_t, exchange);
}

static void call_free(plug_call_t *call)
{
    sheaf_buf_drop(call->body);
    sheaf_pool_free(call->pool);
    free(call);
}

static void end_call(sheaf_wait_t *wait)
{
    plug_call_t *call = SHEAF_OWNER(wait, plug_call_t, wait);
    sheaf_dispatch_t *dispatch = wait->worker->guests->dispatch;

    if (call->is_sent)
        dispatch->cancel(dispatch, &call->exchange);
    sheaf_plugwait_over(wait);
    call_free(call);
}

/* --- the answer --- */

/* A plugin may answer clients with it, and what plugins answer is looked at by nobody: so it is as the item's answer would be. */
static void take_answered(plug_call_t *call, const sheaf_header_t *header)
{
    const sheaf_route_conf_t *route = call->stance.route;
    sheaf_str_t value = header->value;
    sheaf_policy_t policy;
    sheaf_view_t view;

    if (route != NULL) {
        policy = sheaf_route_response_policy(route);
        view = sheaf_view_of(&call->stance);
        if (!sheaf_policy_passes(&policy, header->name))
            return;
        if (route->rewrite_back)
            sheaf_relocate(&view, call->pool, header->name, header->value, &value);
    }
    sheaf_headers_add(&call->fields, call->pool, sheaf_pool_dup(call->pool, header->name),
                      sheaf_pool_dup(call->pool, value));
}

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    plug_call_t *call = call_of(exchange);

    if (head->content_length != UINT64_MAX && head->content_length > call->max_bytes)
        return false;
    call->status = head->status;
    for (uint32_t i = 0; i < head->header_count; i++)
        take_answered(call, &head->headers[i]);
    return true;
}

static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    plug_call_t *call = call_of(exchange);

    if (call->body == NULL)
        call->body = sheaf_buf_new((size_t)call->max_bytes, len);
    return sheaf_buf_append(call->body, bytes, len);
}

static sheaf_p_str_t whole_body(plug_call_t *call)
{
    char *bytes;

    if (call->body == NULL || call->body->len == 0)
        return sheaf_p_str("", 0);
    bytes = sheaf_pool_alloc(call->pool, call->body->len);
    sheaf_buf_copy(call->body, bytes);
    return sheaf_p_str(bytes, call->body->len);
}

static void tell(plug_call_t *call, uint32_t status, const char *error)
{
    sheaf_p_field_t *fields = sheaf_pool_alloc(call->pool, (call->fields.count + 1) * sizeof(*fields));
    sheaf_p_worker_t *worker = call->wait.worker, *before = sheaf_plug_enter(worker);
    uint32_t count = status == 0 ? 0 : call->fields.count;

    for (uint32_t i = 0; i < count; i++) {
        const sheaf_header_t *entry = &call->fields.entries[i];

        fields[i].name = sheaf_p_str(entry->name.base, entry->name.len);
        fields[i].value = sheaf_p_str(entry->value.base, entry->value.len);
    }
    call->on_answer(call->data, status, fields, count, status == 0 ? sheaf_p_str("", 0) : whole_body(call), error);
    sheaf_plug_leave(worker, before);
}

/* Its handle is stale before it hears of it: what it may cancel then is another call. */
static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    plug_call_t *call = call_of(exchange);
    const char *why = detail != NULL && detail[0] != '\0' ? detail : sheaf_err_title(err);

    if (err == SHEAF_ERR_ANSWER_TOO_LARGE)
        why = sheaf_err_slug(err); /* that is no fault of its backend: a plugin has to tell the two apart */
    sheaf_plugwait_over(&call->wait);
    tell(call, err == SHEAF_OK ? call->status : 0, err == SHEAF_OK ? "" : why);
    call_free(call);
}

static const sheaf_sink_t sink = {on_head, on_body, on_done};

/* --- the question --- */

static uint64_t deadline_of(const plug_call_t *call, const sheaf_upstream_conf_t *upstream)
{
    uint64_t timeout_ms = call->timeout_ms != 0       ? call->timeout_ms
                          : upstream->timeout_ms != 0 ? upstream->timeout_ms
                                                      : TIMEOUT_PRESET;

    return call->wait.worker->guests->host->env.clock->now_ms + timeout_ms;
}

static void send_call(sheaf_wait_t *wait)
{
    plug_call_t *call = SHEAF_OWNER(wait, plug_call_t, wait);
    sheaf_guests_t *guests = wait->worker->guests;
    sheaf_exchange_t *exchange = &call->exchange;

    if (guests->dispatch == NULL || call->is_sent)
        return; /* as soon as the configuration is in use */
    call->is_sent = true;
    exchange->deadline_ms = deadline_of(call, &guests->snapshot->conf.upstreams.items[exchange->upstream]);
    guests->dispatch->send(guests->dispatch, exchange);
}

/* A field of the client's that the item's route keeps from its backends. What Sheaf says itself, what plugins gave the item and what
 * this one adds goes along. */
static bool is_denied(const plug_call_t *call, const sheaf_guest_t *like, sheaf_str_t name)
{
    sheaf_p_str_t value;

    return like != NULL && (sheaf_header_classify(name) & SHEAF_HEADER_TRUST) == 0 &&
           !sheaf_inherit_passes(like->item, name) && sheaf_headers_find(&like->vouched, name) == NULL &&
           sheaf_plughead_get(like->ref, SHEAF_P_QUESTION, sheaf_pool_cstr(call->pool, name), 0, &value);
}

static bool take_fields(plug_call_t *call, const sheaf_p_request_t *request, const sheaf_guest_t *like)
{
    for (uint32_t i = 0; i < request->field_count; i++) {
        sheaf_str_t name = sheaf_str(request->fields[i].name.base, request->fields[i].name.len);
        sheaf_str_t value = sheaf_str(request->fields[i].value.base, request->fields[i].value.len);

        if (!sheaf_header_name_is_valid(name) || !sheaf_header_value_is_valid(value) || i >= SHEAF_PLUG_FIELDS_MAX)
            return false;
        name = sheaf_header_lower(call->pool, sheaf_pool_dup(call->pool, name));
        if ((sheaf_header_classify(name) & (SHEAF_HEADER_HOP_BY_HOP | SHEAF_HEADER_FRAMING)) != 0)
            return false;
        if (is_denied(call, like, name))
            continue;
        sheaf_headers_add(&call->exchange.headers, call->pool, name, sheaf_pool_dup(call->pool, value));
    }
    return true;
}

/* A path and a query as they go onto the wire. */
static bool is_target(sheaf_p_str_t target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.base[i] <= ' ' || target.base[i] > '~' || target.base[i] == '#')
            return false;
    return target.len > 0 && target.len <= 8192 && target.base[0] == '/';
}

static bool is_like(const sheaf_p_request_t *request)
{
    return request->size >= offsetof(sheaf_p_request_t, like) + sizeof(request->like) && request->like.value != 0;
}

static bool take_upstream(plug_call_t *call, const sheaf_p_request_t *request)
{
    call->exchange.upstream = (uint32_t)request->upstream;
    return request->upstream >= 0 && request->upstream < call->wait.worker->guests->snapshot->conf.upstreams.count;
}

/* One that is like an item goes where that goes, and its backend is sent the same host. Not over a reload: the numbers of upstreams
 * are those of a configuration. */
static bool take_place(plug_call_t *call, const sheaf_guest_t *like)
{
    sheaf_exchange_t *exchange = &call->exchange;

    if (like == NULL || like->item == NULL || like->guests != call->wait.worker->guests || like->item->route == NULL)
        return false;
    exchange->upstream = like->item->exchange.upstream;
    if (like->item->exchange.host.base != NULL)
        exchange->host = sheaf_pool_dup(call->pool, like->item->exchange.host);
    call->stance = sheaf_stance_of(like->item);
    sheaf_stance_keep(&call->stance, call->pool);
    return true;
}

static bool take_question(plug_call_t *call, const sheaf_p_request_t *request)
{
    sheaf_exchange_t *exchange = &call->exchange;
    sheaf_str_t method = sheaf_str(request->method.base, request->method.len);
    const sheaf_guest_t *like = is_like(request) ? sheaf_guest_of(request->like) : NULL;

    if (!(is_like(request) ? take_place(call, like) : take_upstream(call, request)) || request->on_answer == NULL ||
        !is_target(request->target) || !sheaf_method_normalise(call->pool, method, &exchange->method))
        return false;
    exchange->sink = &sink;
    exchange->target = sheaf_pool_dup(call->pool, sheaf_str(request->target.base, request->target.len));
    exchange->has_body = request->body.base != NULL;
    if (exchange->has_body)
        exchange->body = sheaf_pool_dup(call->pool, sheaf_str(request->body.base, request->body.len));
    exchange->is_idempotent = exchange->is_repeatable = sheaf_method_is_idempotent(exchange->method);
    exchange->is_direct = true;
    exchange->flow = call->wait.worker;
    return take_fields(call, request, like);
}

sheaf_p_call_t sheaf_plugcall(sheaf_p_worker_t *worker, const sheaf_p_request_t *request)
{
    plug_call_t *call = sheaf_zalloc(sizeof(*call));

    call->pool = sheaf_pool_new();
    call->wait.worker = worker;
    call->timeout_ms = request->timeout_ms;
    call->max_bytes = request->max_bytes == 0                      ? ANSWER_PRESET
                      : request->max_bytes > SHEAF_PLUG_ANSWER_MAX ? SHEAF_PLUG_ANSWER_MAX
                                                                   : request->max_bytes;
    call->data = request->data;
    call->on_answer = request->on_answer;
    if (!take_question(call, request)) {
        call_free(call);
        return (sheaf_p_call_t){0};
    }
    sheaf_plugwait_begin(&call->wait, worker, SHEAF_HANDLE_CALL, end_call);
    call->wait.use = send_call;
    send_call(&call->wait);
    return (sheaf_p_call_t){call->wait.handle};
}

void sheaf_plugcall_cancel(sheaf_p_worker_t *worker, sheaf_p_call_t call)
{
    sheaf_wait_t *wait = sheaf_plugwait_find(worker, SHEAF_HANDLE_CALL, call.value);

    if (wait != NULL)
        end_call(wait);
}
