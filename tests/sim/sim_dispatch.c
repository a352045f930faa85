/* The scripted dispatch: what was sent flies until the test answers or breaks it. */
#include "tests/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

bool sim_is_off(sim_t *sim, sheaf_exchange_t *exchange)
{
    sim->events++;
    return sim->on_event != NULL && sim->on_event(sim, exchange);
}

static void land(sheaf_exchange_t *exchange)
{
    sheaf_list_remove(&exchange->link);
    exchange->state = 0;
}

static void on_exchange_expired(sheaf_deadline_t *node)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(node, sheaf_exchange_t, deadline);

    sheaf_soon_cancel(&exchange->task);
    land(exchange);
    exchange->sink->on_done(exchange, SHEAF_ERR_TIMEOUT, "");
}

static void on_send_failed(sheaf_task_t *task)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(task, sheaf_exchange_t, task);
    sim_t *sim = exchange->flight;

    sheaf_deadline_clear(&sim->deadlines, &exchange->deadline);
    land(exchange);
    exchange->sink->on_done(exchange, exchange->pending_err, "the send failed");
}

static void sim_send(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    sim_t *sim = (sim_t *)self;

    assert_int_equal(exchange->state, 0);
    exchange->state = 1;
    exchange->flight = sim;
    sheaf_list_push_back(&sim->flying, &exchange->link);
    exchange->deadline.on_expired = on_exchange_expired;
    sheaf_deadline_set(&sim->deadlines, &exchange->deadline, exchange->deadline_ms);
    sim->sent_count++;
    if (sim->batch->flying > sim->most_flying)
        sim->most_flying = sim->batch->flying;
    exchange->pending_err = SHEAF_OK;
    sim->is_sending = true;
    sim_is_off(sim, exchange);
    sim->is_sending = false;
    if (exchange->pending_err != SHEAF_OK) { /* harm was done: heard of through the soon-queue, as upstream does it */
        exchange->task.run = on_send_failed;
        sheaf_soon(&sim->soon, &exchange->task);
    }
}

static void sim_cancel(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    sim_t *sim = (sim_t *)self;

    if (exchange->state == 0)
        return;
    sheaf_soon_cancel(&exchange->task);
    sheaf_deadline_clear(&sim->deadlines, &exchange->deadline);
    land(exchange);
}

static void sim_credit(sheaf_dispatch_t *self, sheaf_exchange_t *exchange, size_t len)
{
    sim_t *sim = (sim_t *)self;

    if (exchange->state != 0)
        sim->credited += len;
}

void sim_dispatch_init(sim_t *sim)
{
    sim->dispatch = (sheaf_dispatch_t){.send = sim_send, .credit = sim_credit, .cancel = sim_cancel};
    sheaf_list_init(&sim->flying);
}

/* --- the answers --- */

bool sim_head_of(sim_t *sim, sheaf_exchange_t *exchange, uint16_t status, const char *type, uint64_t content_length)
{
    sheaf_header_t headers[] = {{SHEAF_STR("date"), SHEAF_STR("Mon, 01 Jan 2024 00:00:00 GMT")},
                                {SHEAF_STR("connection"), SHEAF_STR("keep-alive")},
                                {SHEAF_STR("content-type"), sheaf_str_of(type)},
                                {SHEAF_STR_NONE, SHEAF_STR_NONE},
                                {SHEAF_STR_NONE, SHEAF_STR_NONE}};
    sheaf_answer_head_t head = {status, headers, type[0] == '\0' ? 2 : 3, content_length};

    if (sim->cookie != NULL) {
        headers[head.header_count++] = (sheaf_header_t){SHEAF_STR("set-cookie"), sheaf_str_of(sim->cookie)};
    }

    if (sim_is_off(sim, exchange))
        return false;
    if (sim->coding != NULL)
        headers[head.header_count++] = (sheaf_header_t){SHEAF_STR("content-encoding"), sheaf_str_of(sim->coding)};
    if (exchange->sink->on_head(exchange, &head))
        return true;
    sim_end_of(sim, exchange, SHEAF_ERR_ANSWER_TOO_LARGE, "");
    return false;
}

void sim_head(sim_t *sim, const char *id, uint16_t status, const char *type, uint64_t content_length)
{
    sheaf_item_t *item = sim_item(sim, id);

    assert_int_equal(item->exchange.state, 1);
    sim_head_of(sim, &item->exchange, status, type, content_length);
    sim_drain(sim);
}

static bool body_of(sim_t *sim, sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    if (sim_is_off(sim, exchange))
        return false;
    if (exchange->sink->on_body(exchange, bytes, len))
        return true;
    sim_end_of(sim, exchange, SHEAF_ERR_ANSWER_TOO_LARGE, "");
    return false;
}

bool sim_body(sim_t *sim, const char *id, const char *bytes, size_t len)
{
    sheaf_item_t *item = sim_item(sim, id);
    bool is_taken;

    assert_int_equal(item->exchange.state, 1);
    is_taken = body_of(sim, &item->exchange, bytes, len);
    sim_drain(sim);
    return is_taken;
}

void sim_end_of(sim_t *sim, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    if (sim_is_off(sim, exchange))
        return;
    sheaf_soon_cancel(&exchange->task);
    sheaf_deadline_clear(&sim->deadlines, &exchange->deadline);
    land(exchange);
    exchange->sink->on_done(exchange, err, detail);
}

void sim_end(sim_t *sim, const char *id, sheaf_err_t err, const char *detail)
{
    sheaf_item_t *item = sim_item(sim, id);

    assert_int_equal(item->exchange.state, 1);
    sim_end_of(sim, &item->exchange, err, detail);
    sim_drain(sim);
}

/* As the coding of the world has it. */
static const char *encode(const sim_t *sim, const char *json, size_t *len)
{
    static char coded[4096];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)json, .avail_in = (uInt)strlen(json)};

    *len = z.avail_in;
    if (sim->coding == NULL || strcmp(sim->coding, "gzip") != 0 || *len == 0)
        return json;
    z.next_out = (Bytef *)coded;
    z.avail_out = sizeof(coded);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    *len = sizeof(coded) - z.avail_out;
    return coded;
}

/* One step after the other, and none after harm was done to the exchange. */
void sim_answer(sim_t *sim, const char *id, uint16_t status, const char *json)
{
    sheaf_exchange_t *exchange = &sim_item(sim, id)->exchange;
    size_t len;
    const char *body = encode(sim, json, &len);
    size_t half = len / 2;

    assert_int_equal(exchange->state, 1);
    if (sim_head_of(sim, exchange, status, "application/json", len) && body_of(sim, exchange, body, half) &&
        body_of(sim, exchange, body + half, len - half))
        sim_end_of(sim, exchange, SHEAF_OK, "");
    sim_drain(sim);
}

void sim_break(sim_t *sim, const char *id, sheaf_err_t err)
{
    sim_end(sim, id, err, "");
}
