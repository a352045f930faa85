#include "gateway/batch/coalesce.h"

#include <stdlib.h>

#include "gateway/batch/hooks.h"
#include "gateway/batch/ids.h"

#define PROBES 16 /* slots looked at for one item: what is not found there asks for itself */

/* Those that ask one question, in request order: the first of them is the leader. */
typedef struct share {
    sheaf_item_t *first; /* NULL: the slot is free */
    sheaf_item_t *last;
} share_t;

/* Open addressing over a keyed hash of the question; at most half full. */
typedef struct table {
    share_t *slots;
    uint32_t size; /* a power of two */
} table_t;

/* Where hooks are asked they may know one item from another that asks the same, or change what it asks. */
static bool is_asked_about(const sheaf_item_t *item)
{
    sheaf_hooks_t *hooks = item->batch->env.hooks;

    return hooks != NULL && hooks->asks(hooks, item->batch, item->route);
}

static bool may_share(const sheaf_item_t *item)
{
    return item->route != NULL && item->route->coalesce && item->err == SHEAF_OK && item->depends_on_count == 0 &&
           sheaf_str_eq(item->exchange.method, SHEAF_STR("GET")) && !is_asked_about(item);
}

static bool same_headers(const sheaf_headers_t *a, const sheaf_headers_t *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!sheaf_str_eq(a->entries[i].name, b->entries[i].name) ||
            !sheaf_str_eq(a->entries[i].value, b->entries[i].value))
            return false;
    return true;
}

static bool asks_the_same(const sheaf_item_t *a, const sheaf_item_t *b)
{
    return a->route == b->route && a->timeout_ms == b->timeout_ms &&
           sheaf_str_eq(a->exchange.target, b->exchange.target) &&
           same_headers(&a->exchange.headers, &b->exchange.headers);
}

/* Headers count into the hash by their values, so that a thousand tokens for one target do not crowd one place. */
static uint32_t hash_of(const sheaf_item_t *item)
{
    const sheaf_headers_t *own = &item->exchange.headers;
    uint32_t hash = sheaf_ids_hash(item->exchange.target);

    for (uint32_t i = 0; i < own->count; i++)
        hash = hash * 31 + sheaf_ids_hash(own->entries[i].value);
    return hash;
}

/* Joins those that ask the same, or becomes the first of them. */
static void enter(table_t *table, sheaf_item_t *item)
{
    uint32_t at = hash_of(item);

    for (uint32_t i = 0; i < PROBES; i++, at++) {
        share_t *share = &table->slots[at & (table->size - 1)];

        if (share->first == NULL) {
            *share = (share_t){item, item};
            return;
        }
        if (asks_the_same(share->first, item)) {
            item->leader = share->first;
            share->last->next_sharer = item;
            share->last = item;
            return;
        }
    }
}

/* All that a batch without such routes pays. */
static uint32_t count_sharing(const sheaf_batch_t *batch)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->count; i++)
        count += may_share(sheaf_batch_item(batch, i));
    return count;
}

void sheaf_coalesce_share(sheaf_batch_t *batch)
{
    uint32_t sharing = batch->parallel > 1 ? count_sharing(batch) : 0;
    table_t table = {.size = 4};

    if (sharing < 2)
        return;
    while (table.size < sharing * UINT64_C(2))
        table.size *= 2;
    table.slots = sheaf_zalloc(table.size * sizeof(*table.slots));
    for (uint32_t i = 0; i < batch->count; i++)
        if (may_share(sheaf_batch_item(batch, i)))
            enter(&table, sheaf_batch_item(batch, i));
    free(table.slots);
}

/* --- the answer --- */

static bool is_leader(const sheaf_item_t *item)
{
    return item->leader == NULL && item->next_sharer != NULL;
}

/* Where `at` is once the head of `from` has been copied to `to`. */
static const void *moved(const void *at, const sheaf_item_t *from, const char *to)
{
    uintptr_t offset = (uintptr_t)at - (uintptr_t)from->head;

    return offset < from->head_size ? to + offset : at;
}

/* Usual heads live in the batch's pool and are shared; a large one is given back with its item. */
static void take_head(sheaf_item_t *item, const sheaf_item_t *from)
{
    item->answer = from->answer;
    item->answer.size = item->answer.count; /* whoever adds makes a copy first */
    item->content_type = from->content_type;
    if (from->head == NULL)
        return;
    item->head = sheaf_alloc(from->head_size);
    item->head_size = from->head_size;
    memcpy(item->head, from->head, from->head_size);
    item->answer.entries = (sheaf_header_t *)(uintptr_t)moved(from->answer.entries, from, item->head);
    for (uint32_t i = 0; i < item->answer.count; i++) {
        sheaf_header_t *entry = &item->answer.entries[i];

        entry->name.base = moved(entry->name.base, from, item->head);
        entry->value.base = moved(entry->value.base, from, item->head);
    }
    item->content_type.base = moved(from->content_type.base, from, item->head);
}

static void take_answer(sheaf_item_t *item, const sheaf_item_t *from)
{
    take_head(item, from);
    item->status = from->status;
    item->err = from->err;
    item->detail = from->detail;
    item->kind = from->kind;
    item->json_is_valid = from->json_is_valid;
    item->body = from->body == NULL ? NULL : sheaf_buf_hold(from->body);
}

void sheaf_coalesce_hand_on(sheaf_item_t *leader)
{
    if (!is_leader(leader))
        return;
    for (sheaf_item_t *item = leader->next_sharer; item != NULL; item = item->next_sharer)
        if (item->state != SHEAF_ITEM_SETTLED)
            take_answer(item, leader);
}

void sheaf_coalesce_settle(sheaf_item_t *leader)
{
    bool is_repeat = leader->batch->reports_repeats && !sheaf_item_has_failed(leader);

    if (!is_leader(leader))
        return;
    for (sheaf_item_t *item = leader->next_sharer; item != NULL; item = item->next_sharer) {
        if (item->state == SHEAF_ITEM_SETTLED)
            continue;
        item->elapsed_us = leader->elapsed_us;
        item->is_repeat = is_repeat;
        sheaf_count(item->batch->env.metrics, SHEAF_METRIC_ITEMS_SHARED, 1);
        sheaf_item_settle(item);
    }
}
