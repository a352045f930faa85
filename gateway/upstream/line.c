/* upstream/line.c - see line.h. */
#include "gateway/upstream/line.h"

#include <stdlib.h>

void sheaf_line_init(sheaf_line_t *line)
{
    *line = (sheaf_line_t){0};
    sheaf_list_init(&line->lanes);
}

void sheaf_line_fini(sheaf_line_t *line)
{
    SHEAF_ASSERT(line->count == 0);
    while (line->spare != NULL) {
        sheaf_lane_t *lane = line->spare;

        line->spare = lane->next;
        free(lane);
    }
}

static sheaf_lane_t **bucket_of(sheaf_line_t *line, const void *flow)
{
    return &line->buckets[((uintptr_t)flow * 0x9E3779B97F4A7C15u >> 32) % SHEAF_LINE_BUCKETS];
}

static sheaf_lane_t *lane_for(sheaf_line_t *line, const void *flow)
{
    sheaf_lane_t **bucket = bucket_of(line, flow), *lane = *bucket;

    while (lane != NULL && lane->flow != flow)
        lane = lane->next;
    if (lane != NULL)
        return lane;

    lane = line->spare;
    if (lane != NULL)
        line->spare = lane->next;
    else
        lane = sheaf_alloc(sizeof(*lane));
    *lane = (sheaf_lane_t){.flow = flow, .line = line, .next = *bucket};
    *bucket = lane;
    sheaf_list_init(&lane->exchanges);
    sheaf_list_push_back(&line->lanes, &lane->link); /* a flow that is new waits its turn */
    return lane;
}

static void put_away(sheaf_lane_t *lane)
{
    sheaf_line_t *line = lane->line;
    sheaf_lane_t **at = bucket_of(line, lane->flow);

    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    sheaf_list_remove(&lane->link);
    lane->next = line->spare;
    line->spare = lane;
}

void sheaf_line_number(sheaf_line_t *line, sheaf_exchange_t *exchange)
{
    exchange->number = ++line->last_number;
}

static uint64_t number_at(const sheaf_link_t *link)
{
    return SHEAF_OWNER(link, sheaf_exchange_t, link)->number;
}

static uint64_t first_number(const sheaf_link_t *lane)
{
    return number_at(SHEAF_OWNER(lane, sheaf_lane_t, link)->exchanges.next);
}

/* What stands in a lane, or the lane's end, that `exchange` goes before. */
static sheaf_link_t *place_in(sheaf_lane_t *lane, const sheaf_exchange_t *exchange)
{
    sheaf_link_t *at = &lane->exchanges;

    if (sheaf_list_is_empty(at) || number_at(at->prev) <= exchange->number)
        return at;
    for (at = at->next; number_at(at) < exchange->number;)
        at = at->next;
    return at;
}

static void move_forward(sheaf_lane_t *lane)
{
    sheaf_link_t *lanes = &lane->line->lanes, *at = lanes->next;

    while (at != lanes && at != &lane->link && first_number(at) < first_number(&lane->link))
        at = at->next;
    if (at == lanes || at == &lane->link)
        return;
    sheaf_list_remove(&lane->link);
    sheaf_list_push_back(at, &lane->link);
}

void sheaf_line_push(sheaf_line_t *line, sheaf_exchange_t *exchange)
{
    sheaf_lane_t *lane = lane_for(line, exchange->flow);

    exchange->line = lane;
    sheaf_list_push_back(place_in(lane, exchange), &exchange->link);
    if (exchange->number != line->last_number && lane->exchanges.next == &exchange->link)
        move_forward(lane);
    line->count++;
    line->direct_count += exchange->is_direct;
}

void sheaf_line_remove(sheaf_exchange_t *exchange)
{
    sheaf_lane_t *lane = exchange->line;

    sheaf_list_remove(&exchange->link);
    exchange->line = NULL;
    lane->line->count--;
    lane->line->direct_count -= exchange->is_direct;
    if (sheaf_list_is_empty(&lane->exchanges))
        put_away(lane);
}

sheaf_exchange_t *sheaf_line_peek(const sheaf_line_t *line)
{
    const sheaf_lane_t *lane;

    if (line->count == 0)
        return NULL;
    lane = SHEAF_OWNER(line->lanes.next, sheaf_lane_t, link);
    return SHEAF_OWNER(lane->exchanges.next, sheaf_exchange_t, link);
}

sheaf_exchange_t *sheaf_line_pop(sheaf_line_t *line)
{
    sheaf_exchange_t *exchange = sheaf_line_peek(line);
    sheaf_lane_t *lane;

    if (exchange == NULL)
        return NULL;
    lane = exchange->line;
    sheaf_list_remove(&lane->link);
    sheaf_list_push_back(&line->lanes, &lane->link);
    sheaf_line_remove(exchange);
    return exchange;
}

sheaf_line_t *sheaf_line_of(const sheaf_exchange_t *exchange)
{
    return ((const sheaf_lane_t *)exchange->line)->line;
}
