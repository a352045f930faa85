#include "gateway/batch/mirror.h"

#include <stdlib.h>

#include "gateway/base/chance.h"
#include "gateway/batch/ids.h"

#define TIMEOUT_PRESET_MS 30000 /* where the upstream has none */
#define MEMORY_PART       8 /* of limits.memory, for the copies of all routes: originals are refused for want of it */

/* What the copies of one route hold now. */
typedef struct load {
    uint64_t count, bytes;
} load_t;

struct sheaf_mirrors {
    sheaf_batch_env_t env;
    sheaf_link_t copies;
    sheaf_task_t over;
    bool is_closed; /* takes no more */
    uint64_t bytes; /* of all routes */
    void (*on_ended)(void *data);
    void *data;
    load_t loads[]; /* by the snapshot's routes */
};

/* One allocation: the copy, its header entries, its texts, its body. */
typedef struct copy {
    sheaf_exchange_t exchange;
    sheaf_mirrors_t *mirrors;
    sheaf_link_t link;
    load_t *load;
    size_t size;
    size_t answered; /* bytes of the answer so far */
} copy_t;

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head);
static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len);
static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);
static void on_over(sheaf_task_t *task);

static const sheaf_sink_t sink = {on_head, on_body, on_done};

/* --- the copy --- */

static size_t size_of_fields(const sheaf_headers_t *headers)
{
    size_t size = headers->count * sizeof(sheaf_header_t);

    for (uint32_t i = 0; i < headers->count; i++)
        size += headers->entries[i].name.len + headers->entries[i].value.len;
    return size;
}

static size_t size_of(const sheaf_exchange_t *from)
{
    return sizeof(copy_t) + size_of_fields(&from->headers) + size_of_fields(&from->shared->list) + from->method.len +
           from->target.len + from->host.len + from->id.len + from->request_id.len + from->body.len;
}

/* An absent text stays absent. */
static sheaf_str_t put(char **at, sheaf_str_t text)
{
    char *start = *at;

    if (text.base == NULL)
        return SHEAF_STR_NONE;
    if (text.len > 0)
        memcpy(start, text.base, text.len);
    *at += text.len;
    return sheaf_str(start, text.len);
}

static void put_fields(char **at, const sheaf_headers_t *from, sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < from->count; i++) {
        sheaf_header_t *entry = &headers->entries[headers->count++];

        entry->name = put(at, from->entries[i].name);
        entry->value = put(at, from->entries[i].value);
    }
}

/* What is shared with others of its batch goes as it went: behind its own. */
static void put_question(sheaf_exchange_t *to, const sheaf_exchange_t *from, char *room)
{
    uint32_t count = from->headers.count + from->shared->list.count;
    char *at = room + count * sizeof(sheaf_header_t);

    to->headers = (sheaf_headers_t){(sheaf_header_t *)(void *)room, 0, count};
    put_fields(&at, &from->headers, &to->headers);
    put_fields(&at, &from->shared->list, &to->headers);
    to->method = put(&at, from->method);
    to->target = put(&at, from->target);
    to->host = put(&at, from->host);
    to->id = put(&at, from->id);
    to->request_id = put(&at, from->request_id);
    to->request_item = from->request_item;
    to->body = put(&at, from->body);
    to->has_body = from->has_body;
    to->is_idempotent = from->is_idempotent;
}

static uint64_t deadline_of(const sheaf_mirrors_t *mirrors, uint32_t upstream)
{
    uint64_t timeout_ms = mirrors->env.snapshot->conf.upstreams.items[upstream].timeout_ms;

    return mirrors->env.clock->now_ms + (timeout_ms != 0 ? timeout_ms : TIMEOUT_PRESET_MS);
}

static copy_t *copy_new(sheaf_mirrors_t *mirrors, const sheaf_exchange_t *from, const sheaf_mirror_conf_t *conf,
                        size_t size)
{
    copy_t *copy = sheaf_alloc(size);
    sheaf_exchange_t *exchange = &copy->exchange;

    memset(copy, 0, sizeof(*copy));
    copy->mirrors = mirrors;
    copy->size = size;
    put_question(exchange, from, (char *)(copy + 1));
    exchange->sink = &sink;
    exchange->upstream = conf->upstream;
    exchange->is_once = true;
    exchange->is_direct = true; /* a line that is full turns it away */
    exchange->flow = conf;
    exchange->deadline_ms = deadline_of(mirrors, conf->upstream);
    return copy;
}

/* --- whether --- */

/* As in the plan, an item always falls the same; and other dice than those of `split`, or a share of a share were all or
 * nothing. */
static bool is_dealt(const sheaf_mirror_conf_t *conf, const sheaf_item_t *item)
{
    sheaf_chance_t chance = {~(sheaf_ids_hash(item->batch->outer->id) + (uint64_t)item->index)};

    return conf->share_percent >= 100 || sheaf_chance_next(&chance) % 100 < conf->share_percent;
}

static bool has_memory(const sheaf_mirrors_t *mirrors, const sheaf_mirror_conf_t *conf, const load_t *load, size_t size)
{
    uint64_t most = mirrors->env.snapshot->conf.limits.memory_bytes / MEMORY_PART;

    return load->bytes + size <= conf->memory_bytes && mirrors->bytes + size <= most;
}

static bool has_room(const sheaf_mirrors_t *mirrors, const sheaf_mirror_conf_t *conf, const load_t *load, size_t size)
{
    sheaf_metrics_t *metrics = mirrors->env.metrics;

    if (load->count >= conf->max_in_flight) {
        sheaf_count(metrics, SHEAF_METRIC_MIRROR_BUSY, 1);
        return false;
    }
    if (!has_memory(mirrors, conf, load, size)) {
        sheaf_count(metrics, SHEAF_METRIC_MIRROR_MEMORY, 1);
        return false;
    }
    return true;
}

/* What `split` dealt to the mirror itself is there already: it would be done twice. */
static bool is_wanted(const sheaf_mirrors_t *mirrors, const sheaf_mirror_conf_t *conf, const sheaf_item_t *item)
{
    return sheaf_mark_is_set(conf->mark) && !mirrors->is_closed && conf->upstream != item->exchange.upstream &&
           is_dealt(conf, item);
}

void sheaf_mirrors_send(sheaf_mirrors_t *mirrors, const sheaf_item_t *item)
{
    const sheaf_mirror_conf_t *conf = &item->route->mirror;
    load_t *load = &mirrors->loads[item->route - mirrors->env.snapshot->conf.routes.items];
    size_t size;
    copy_t *copy;

    if (!is_wanted(mirrors, conf, item))
        return;
    size = size_of(&item->exchange);
    if (!has_room(mirrors, conf, load, size))
        return;
    copy = copy_new(mirrors, &item->exchange, conf, size);
    copy->load = load;
    load->count++;
    load->bytes += size;
    mirrors->bytes += size;
    sheaf_list_push_back(&mirrors->copies, &copy->link);
    sheaf_gauge(mirrors->env.metrics, SHEAF_METRIC_MIRRORS_IN_FLIGHT, 1);
    mirrors->env.dispatch->send(mirrors->env.dispatch, &copy->exchange);
}

/* --- what comes back --- */

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    (void)exchange;
    return head->content_length == UINT64_MAX || head->content_length <= SHEAF_MIRROR_ANSWER_MOST;
}

static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    copy_t *copy = SHEAF_OWNER(exchange, copy_t, exchange);

    (void)bytes;
    copy->answered += len;
    return copy->answered <= SHEAF_MIRROR_ANSWER_MOST;
}

static void copy_free(copy_t *copy)
{
    sheaf_mirrors_t *mirrors = copy->mirrors;

    copy->load->count--;
    copy->load->bytes -= copy->size;
    mirrors->bytes -= copy->size;
    sheaf_list_remove(&copy->link);
    sheaf_gauge(mirrors->env.metrics, SHEAF_METRIC_MIRRORS_IN_FLIGHT, -1);
    free(copy);
}

static sheaf_metric_t outcome_of(sheaf_err_t err)
{
    switch (err) {
    case SHEAF_OK:
    case SHEAF_ERR_ANSWER_TOO_LARGE:
        return SHEAF_METRIC_MIRROR_ANSWERED;
    case SHEAF_ERR_QUEUE_FULL:
        return SHEAF_METRIC_MIRROR_BUSY;
    default:
        return SHEAF_METRIC_MIRROR_FAILED;
    }
}

/* Its upstream is in the middle of something: what follows from the last one comes later. */
static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    copy_t *copy = SHEAF_OWNER(exchange, copy_t, exchange);
    sheaf_mirrors_t *mirrors = copy->mirrors;

    (void)detail;
    sheaf_count(mirrors->env.metrics, outcome_of(err), 1);
    copy_free(copy);
    if (mirrors->on_ended != NULL && sheaf_list_is_empty(&mirrors->copies))
        sheaf_soon(mirrors->env.soon, &mirrors->over);
}

/* --- life --- */

sheaf_mirrors_t *sheaf_mirrors_new(const sheaf_batch_env_t *env)
{
    const sheaf_conf_t *conf = &env->snapshot->conf;
    sheaf_mirrors_t *mirrors;
    uint32_t count = 0;

    for (uint32_t i = 0; i < conf->routes.count; i++)
        count += sheaf_mark_is_set(conf->routes.items[i].mirror.mark);
    if (count == 0)
        return NULL;
    mirrors = sheaf_zalloc(sizeof(*mirrors) + conf->routes.count * sizeof(mirrors->loads[0]));
    mirrors->env = *env;
    sheaf_list_init(&mirrors->copies);
    mirrors->over.run = on_over;
    return mirrors;
}

static void finish(sheaf_mirrors_t *mirrors)
{
    void (*on_ended)(void *) = mirrors->on_ended;
    void *data = mirrors->data;

    sheaf_soon_cancel(&mirrors->over);
    free(mirrors);
    on_ended(data);
}

static void on_over(sheaf_task_t *task)
{
    finish(SHEAF_OWNER(task, sheaf_mirrors_t, over));
}

void sheaf_mirrors_end(sheaf_mirrors_t *mirrors, void (*on_ended)(void *data), void *data)
{
    if (mirrors == NULL) {
        on_ended(data);
        return;
    }
    mirrors->is_closed = true;
    mirrors->on_ended = on_ended;
    mirrors->data = data;
    if (sheaf_list_is_empty(&mirrors->copies))
        finish(mirrors);
}

void sheaf_mirrors_cut(sheaf_mirrors_t *mirrors)
{
    mirrors->is_closed = true;
    while (!sheaf_list_is_empty(&mirrors->copies)) {
        copy_t *copy = SHEAF_OWNER(mirrors->copies.next, copy_t, link);

        mirrors->env.dispatch->cancel(mirrors->env.dispatch, &copy->exchange);
        sheaf_count(mirrors->env.metrics, SHEAF_METRIC_MIRROR_CUT, 1);
        copy_free(copy);
    }
    if (mirrors->on_ended != NULL)
        finish(mirrors);
}
