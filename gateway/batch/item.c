#include "gateway/batch/item.h"

#include <inttypes.h>
#include <stdlib.h>

#include "gateway/batch/batch.h"
#include "gateway/batch/each.h"
#include "gateway/batch/expand.h"
#include "gateway/batch/hooks.h"
#include "gateway/batch/view.h"
#include "gateway/http/problem.h"

#define HEAD_IN_POOL 1024 /* bytes of result headers that stay until the batch ends */

/* --- the head of an answer --- */

static bool is_plain_connection(sheaf_str_t value)
{
    return sheaf_str_ieq(value, SHEAF_STR("keep-alive")) || sheaf_str_ieq(value, SHEAF_STR("close"));
}

/* Does any Connection field of the answer name a header? Nearly never: then nobody needs to look again. */
static bool lists_names(const sheaf_answer_head_t *head)
{
    for (uint32_t i = 0; i < head->header_count; i++)
        if (sheaf_str_eq(head->headers[i].name, SHEAF_STR("connection")) &&
            !is_plain_connection(head->headers[i].value))
            return true;
    return false;
}

static bool is_listed(const sheaf_answer_head_t *head, sheaf_str_t name)
{
    for (uint32_t i = 0; i < head->header_count; i++)
        if (sheaf_str_eq(head->headers[i].name, SHEAF_STR("connection")) &&
            sheaf_header_list_has(head->headers[i].value, name))
            return true;
    return false;
}

static sheaf_str_t put(char **at, sheaf_str_t s)
{
    char *start = *at;

    if (s.len > 0)
        memcpy(start, s.base, s.len);
    *at += s.len;
    return sheaf_str(start, s.len);
}

/* A usual head lives in the batch's pool; a large one is counted against the budget and given back with the body. */
static char *room_for_head(sheaf_item_t *item, size_t size)
{
    if (size <= HEAD_IN_POOL)
        return sheaf_pool_alloc(item->pool, size);
    SHEAF_ASSERT(item->head == NULL);
    item->head = sheaf_alloc(size);
    item->head_size = size;
    return item->head;
}

/* True when what the backend says of a place is another thing to the client. */
static bool tell_place(sheaf_item_t *item, const sheaf_header_t *header, sheaf_str_t *ret_value)
{
    sheaf_stance_t stance;
    sheaf_view_t view;

    if (item->is_given || !item->route->rewrite_back)
        return false;
    stance = sheaf_stance_of(item);
    view = sheaf_view_of(&stance);
    return sheaf_relocate(&view, item->pool, header->name, header->value, ret_value);
}

/* One allocation for entries and text: answers come by the thousand. */
static void keep_headers(sheaf_item_t *item, const sheaf_answer_head_t *head)
{
    unsigned left_out = SHEAF_HEADER_HOP_BY_HOP | (item->batch->is_direct ? 0 : SHEAF_HEADER_NOT_IN_RESULT);
    sheaf_policy_t policy = item->is_given ? (sheaf_policy_t){0} : sheaf_route_response_policy(item->route);
    bool has_list = lists_names(head), is_open = sheaf_policy_is_open(&policy);
    uint32_t size = head->header_count + 1, count = 0; /* one more: a problem may need a content-type */
    size_t text_len = 0;
    sheaf_header_t *kept;
    char *text;

    for (uint32_t i = 0; i < head->header_count; i++)
        text_len += head->headers[i].name.len + head->headers[i].value.len;
    text = room_for_head(item, size * sizeof(*kept) + text_len);
    kept = (sheaf_header_t *)(void *)text;
    text += size * sizeof(*kept);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const sheaf_header_t *h = &head->headers[i];

        unsigned class = sheaf_header_classify(h->name);

        if (class & left_out)
            continue;
        if (has_list && is_listed(head, h->name))
            continue;
        if (!is_open && !sheaf_policy_passes(&policy, h->name))
            continue;
        kept[count].name = put(&text, h->name);
        if ((class & SHEAF_HEADER_PLACE) == 0 || !tell_place(item, h, &kept[count].value))
            kept[count].value = put(&text, h->value);
        count++;
    }
    item->answer = (sheaf_headers_t){kept, count, size};
}

/* --- its coding --- */

static bool take_plain(void *data, const char *bytes, size_t len);

/* What was made of the coded bytes no longer fits (RFC 9530; RFC 3230 and 1864 before it). */
static bool tells_coded_bytes(sheaf_str_t name)
{
    return sheaf_str_eq(name, SHEAF_STR("content-encoding")) || sheaf_str_eq(name, SHEAF_STR("content-digest")) ||
           sheaf_str_eq(name, SHEAF_STR("repr-digest")) || sheaf_str_eq(name, SHEAF_STR("digest")) ||
           sheaf_str_eq(name, SHEAF_STR("content-md5"));
}

static void drop_coding_headers(sheaf_headers_t *headers)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < headers->count; i++)
        if (!tells_coded_bytes(headers->entries[i].name))
            headers->entries[kept++] = headers->entries[i];
    headers->count = kept;
}

static sheaf_coding_t coding_of(const sheaf_headers_t *headers)
{
    sheaf_coding_t coding = SHEAF_CODING_IDENTITY;

    for (uint32_t i = 0; i < headers->count; i++)
        if (sheaf_str_eq(headers->entries[i].name, SHEAF_STR("content-encoding")))
            coding = sheaf_coding_upon(coding, sheaf_coding_of(headers->entries[i].value));
    return coding;
}

/* A part of a coded body (206) cannot be read by itself, nor can a coding that is not ours: they stay bytes. */
static void take_coding(sheaf_item_t *item)
{
    sheaf_coding_t coding = coding_of(&item->answer);

    if (coding == SHEAF_CODING_IDENTITY)
        return;
    if (coding == SHEAF_CODING_OTHER || item->status == 206) {
        item->kind = SHEAF_MEDIA_BINARY;
        return;
    }
    drop_coding_headers(&item->answer);
    item->inflate = sheaf_inflate_new(coding, item->batch->endpoint->max_item_body_bytes, take_plain, item);
}

static void drop_inflate(sheaf_item_t *item)
{
    sheaf_inflate_free(item->inflate);
    item->inflate = NULL;
}

void sheaf_item_keep_head(sheaf_item_t *item, const sheaf_answer_head_t *head)
{
    item->status = head->status;
    keep_headers(item, head);
}

uint64_t sheaf_item_take_head(sheaf_item_t *item, const sheaf_answer_head_t *head)
{
    const sheaf_header_t *type;

    sheaf_item_keep_head(item, head);
    type = sheaf_headers_find(&item->answer, SHEAF_STR("content-type"));
    item->content_type = type == NULL ? SHEAF_STR_NONE : type->value;
    item->kind = type == NULL ? SHEAF_MEDIA_BINARY : sheaf_media_kind(type->value);
    if (sheaf_status_has_no_body(head->status) || sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD")))
        return head->status == 205 ? head->content_length : 0; /* the bytes of a 205 do come (RFC 9112 6.3) */
    if (!item->batch->is_direct)                               /* its bytes are handed on as they are */
        take_coding(item);
    item->json_is_valid = item->kind == SHEAF_MEDIA_JSON;
    if (item->json_is_valid)
        sheaf_json_scan_init(&item->scan, SHEAF_JSON_MAX_DEPTH);
    return item->inflate == NULL ? head->content_length : UINT64_MAX;
}

/* --- the body --- */

static bool take_plain(void *data, const char *bytes, size_t len)
{
    sheaf_item_t *item = data;
    const sheaf_batch_t *batch = item->batch;

    if (item->body == NULL) {
        /* what is reserved is the Content-Length, or the ceiling when there was none */
        uint64_t limit = batch->endpoint->max_item_body_bytes;
        uint64_t expected = item->reserved_bytes < limit ? item->reserved_bytes : 0;

        item->body = sheaf_buf_new((size_t)limit, expected > len ? (size_t)expected : len);
    }
    if (!sheaf_buf_append(item->body, bytes, len))
        return false;
    if (item->json_is_valid)
        item->json_is_valid = sheaf_json_scan_feed(&item->scan, bytes, len);
    return true;
}

bool sheaf_item_take_body(sheaf_item_t *item, const char *bytes, size_t len)
{
    if (len == 0)
        return true;
    if (item->inflate != NULL)
        return sheaf_inflate_feed(item->inflate, bytes, len) == SHEAF_OK;
    return take_plain(item, bytes, len);
}

void sheaf_item_complete(sheaf_item_t *item)
{
    sheaf_err_t err = item->inflate == NULL ? SHEAF_OK : sheaf_inflate_end(item->inflate);

    if (err != SHEAF_OK) {
        sheaf_item_fail(item, err, SHEAF_STR_NONE);
        return;
    }
    if (item->inflate != NULL && item->batch->env.metrics != NULL)
        sheaf_count(item->batch->env.metrics, SHEAF_METRIC_ANSWERS_INFLATED, 1);
    drop_inflate(item);
    item->json_is_valid = item->json_is_valid && item->body != NULL && sheaf_json_scan_end(&item->scan);
}

/* --- failure as an answer --- */

static void write_problem(sheaf_item_t *item, const sheaf_fail_t *fail)
{
    char text[SHEAF_PROBLEM_MAX];
    size_t len = sheaf_problem_write(fail, text);

    item->body = sheaf_buf_new(len, len);
    sheaf_buf_append(item->body, text, len);
    sheaf_headers_add(&item->answer, item->pool, SHEAF_STR("content-type"), SHEAF_STR(SHEAF_PROBLEM_MEDIA));
    item->content_type = SHEAF_STR(SHEAF_PROBLEM_MEDIA);
    item->kind = SHEAF_MEDIA_JSON;
    item->json_is_valid = true;
}

static void forget_answer(sheaf_item_t *item)
{
    free(item->head);
    item->head = NULL;
    item->head_size = 0;
    item->answer = (sheaf_headers_t){0};
    item->content_type = SHEAF_STR_NONE;
}

void sheaf_item_forget_answer(sheaf_item_t *item)
{
    forget_answer(item);
    drop_inflate(item);
    sheaf_buf_drop(item->body);
    item->body = NULL;
    item->json_is_valid = false;
    item->err = SHEAF_OK;
    item->detail = SHEAF_STR_NONE;
}

/* Where the coding is at fault it knows best: the exchange only heard that its bytes were not wanted. */
static sheaf_str_t blame_coding(const sheaf_item_t *item, sheaf_err_t *err)
{
    *err = sheaf_inflate_end(item->inflate);
    if (item->batch->env.metrics != NULL)
        sheaf_count(item->batch->env.metrics, SHEAF_METRIC_ANSWERS_NOT_INFLATED, 1);
    return sheaf_str_of(sheaf_inflate_why(item->inflate));
}

void sheaf_item_fail(sheaf_item_t *item, sheaf_err_t err, sheaf_str_t detail)
{
    sheaf_fail_t fail;

    if (item->inflate != NULL && sheaf_inflate_has_failed(item->inflate))
        detail = blame_coding(item, &err);
    drop_inflate(item);
    if (detail.len == 0)
        detail = sheaf_str_of(sheaf_err_title(err));
    sheaf_fail(&fail, err, "%.*s", SHEAF_STR_ARG(detail));
    if (item->state == SHEAF_ITEM_FLYING) /* else the plan may have left an Allow there */
        forget_answer(item);
    sheaf_buf_drop(item->body);
    item->body = NULL;
    item->json_is_valid = false;
    item->err = err;
    item->status = sheaf_err_status(err);
    if (item->batch->is_abandoned || item->is_silent)
        return; /* nobody will read it */
    item->detail = sheaf_pool_dup(item->pool, sheaf_str_of(fail.detail));
    write_problem(item, &fail);
}

void sheaf_item_retry_after(sheaf_item_t *item, uint32_t seconds)
{
    if (seconds == 0 || item->body == NULL) /* or nobody will read it */
        return;
    sheaf_headers_add(&item->answer, item->pool, SHEAF_STR("retry-after"),
                      sheaf_pool_printf(item->pool, "%" PRIu32, seconds));
}

/* --- settling --- */

static void count_settled(const sheaf_item_t *item)
{
    sheaf_metrics_t *metrics = item->batch->env.metrics;
    uint32_t class = item->status / 100u;

    if (metrics == NULL)
        return;
    sheaf_count(metrics, SHEAF_METRIC_ITEMS_2XX + (class < 2 ? 0 : class > 5 ? 3 : class - 2), 1);
    if (item->err != SHEAF_OK)
        sheaf_count_error(metrics, item->err);
    sheaf_gauge(metrics, SHEAF_METRIC_RESULT_BYTES_HELD, (int64_t)sheaf_item_held(item));
    if (item->state != SHEAF_ITEM_FLYING)
        return;
    sheaf_gauge(metrics, SHEAF_METRIC_ITEMS_IN_FLIGHT, -1);
    sheaf_observe_us(metrics, SHEAF_HISTOGRAM_ITEM_SECONDS, sheaf_clock_us(item->batch->env.clock) - item->sent_us);
}

static void doom(sheaf_item_t *item, const sheaf_item_t *blocker)
{
    sheaf_batch_t *batch = item->batch;

    item->state = SHEAF_ITEM_READY;
    item->err = SHEAF_ERR_DEPENDENCY_FAILED;
    item->detail = sheaf_pool_printf(item->pool, "dependency \"%.*s\" failed", SHEAF_STR_ARG(blocker->id));
    sheaf_ready_put(&batch->doomed, item->index);
}

static bool is_success(const sheaf_edge_t *edge, uint16_t status)
{
    if (edge->statuses == NULL)
        return status / 100 == 2;
    for (uint32_t i = 0; i < edge->status_count; i++) {
        if (edge->statuses[i] == status || edge->statuses[i] == status / 100)
            return true;
    }
    return false;
}

static void release_dependents(const sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    for (uint32_t i = 0; i < item->dependents_count; i++) {
        const sheaf_edge_t *edge = item->dependents[i];
        sheaf_item_t *dependent = sheaf_batch_item(batch, edge->dependent);

        dependent->blockers--;
        if (dependent->state != SHEAF_ITEM_WAITING)
            continue;
        if (!is_success(edge, item->status)) {
            doom(dependent, item);
        } else if (dependent->blockers == 0) {
            dependent->state = SHEAF_ITEM_READY;
            sheaf_ready_put(dependent->is_urgent ? &batch->urgent : &batch->ready, dependent->index);
        }
    }
}

static void count_result(const sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    if (!sheaf_item_has_failed(item)) {
        batch->succeeded++;
        return;
    }
    batch->failed++;
    batch->is_stopped = batch->is_stopped || batch->stops_on_error;
}

bool sheaf_item_leaves_body_out(const sheaf_item_t *item)
{
    return item->status / 100 == 2 && item->batch->prefer.returns == SHEAF_RETURN_MINIMAL;
}

static void drop_body(sheaf_item_t *item)
{
    sheaf_buf_drop(item->body);
    item->body = NULL;
}

bool sheaf_item_settle(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    if (item->state == SHEAF_ITEM_SETTLED)
        return false;

    if (batch->env.hooks != NULL && !item->is_silent)
        sheaf_hooks_tell(item);
    if (item->readers == 0 && sheaf_item_leaves_body_out(item))
        drop_body(item); /* before it counts: nobody will see it */
    if (!item->is_silent)
        count_settled(item);
    if (item->state == SHEAF_ITEM_FLYING) {
        if (batch->endpoint->timing)
            item->elapsed_us = sheaf_clock_us(batch->env.clock) - item->sent_us;
        batch->flying--;
        batch->urgent_flying -= item->is_urgent;
    }
    batch->reserved_bytes -= item->reserved_bytes;
    item->reserved_bytes = 0;
    sheaf_expand_drop(item);
    sheaf_expand_leave(item);
    batch->held_bytes += sheaf_item_held(item);
    item->state = SHEAF_ITEM_SETTLED;
    batch->open--;
    if (!item->is_silent)
        count_result(item);

    release_dependents(item);
    if (!batch->is_abandoned && !item->is_silent)
        batch->watch->on_item(batch, item->index);
    if (item->is_element)
        sheaf_each_element_settled(item);
    sheaf_soon(batch->env.soon, &batch->pump);
    return true;
}

void sheaf_item_give_back(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;
    size_t held = sheaf_item_held(item);

    if (item->body == NULL && item->head == NULL)
        return;
    batch->held_bytes -= held;
    if (item->is_sent)
        batch->kept_bytes -= held;
    else if (item->is_encoded)
        batch->encoded_bytes -= held;
    sheaf_gauge(batch->env.metrics, SHEAF_METRIC_RESULT_BYTES_HELD, -(int64_t)held);
    sheaf_buf_drop(item->body);
    item->body = NULL;
    if (item->head != NULL)
        forget_answer(item);
}

void sheaf_item_sent(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    if (item->is_sent)
        return;
    if (item->readers == 0) {
        sheaf_item_give_back(item);
        item->is_sent = true;
        return;
    }
    /* no longer on its way to the client: nobody may wait for the client because of it */
    batch->encoded_bytes -= sheaf_item_held(item);
    batch->kept_bytes += sheaf_item_held(item);
    item->is_sent = true;
}

/* The head stays: the client is still to get it. */
static void give_body_back(sheaf_item_t *item)
{
    size_t len = item->body == NULL ? 0 : item->body->len;

    item->batch->held_bytes -= len;
    if (item->is_encoded)
        item->batch->encoded_bytes -= len;
    sheaf_gauge(item->batch->env.metrics, SHEAF_METRIC_RESULT_BYTES_HELD, -(int64_t)len);
    drop_body(item);
}

void sheaf_item_unread(sheaf_item_t *item)
{
    SHEAF_ASSERT(item->readers > 0);
    if (--item->readers > 0)
        return;
    if (item->is_sent)
        sheaf_item_give_back(item);
    else if (item->state == SHEAF_ITEM_SETTLED && sheaf_item_leaves_body_out(item))
        give_body_back(item);
}
