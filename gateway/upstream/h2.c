/* upstream/h2.c - see h2.h. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/spare.h"
#include "gateway/upstream/h2_inside.h"

#define IDLE_BYTES_MOST ((size_t)1 << 20)  /* that no answer got anything from, beyond a window of cancelled ones */
#define ACKS_MOST       200                /* that wait for a backend that does not read */
#define HEAD_SENT_MOST  ((size_t)16 << 20) /* of a request: its limits are its owner's */
/* Of one head; the session counts one each time a frame's first bytes come in pieces, too. */
#define CONTINUATIONS_MOST 128
#define IDS_MOST           (1u << 30)

/* --- streams --- */

sheaf_h2_stream_t *sheaf_h2_last(const sheaf_h2_t *h2)
{
    return sheaf_list_is_empty(&h2->streams) ? NULL : SHEAF_OWNER(h2->streams.prev, sheaf_h2_stream_t, link);
}

/* The session knows only those that went out. */
sheaf_h2_stream_t *sheaf_h2_find(const sheaf_h2_t *h2, int32_t id)
{
    if (id <= h2->sent_id)
        return nghttp2_session_get_stream_user_data(h2->session, id);
    for (sheaf_link_t *link = h2->streams.prev; link != &h2->streams; link = link->prev) {
        sheaf_h2_stream_t *stream = SHEAF_OWNER(link, sheaf_h2_stream_t, link);

        if (stream->id <= id)
            return stream->id == id ? stream : NULL;
    }
    return NULL;
}

/* The session forgets whose it is; what nobody will consume any more is given back to the connection. */
void sheaf_h2_forget(sheaf_h2_t *h2, sheaf_h2_stream_t *stream)
{
    nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
    if (stream->unconsumed != 0)
        nghttp2_session_consume_connection(h2->session, stream->unconsumed);
    sheaf_list_remove(&stream->link);
    h2->open_count--;
    sheaf_spare_free(stream);
}

void sheaf_h2_reset(sheaf_h2_t *h2, int32_t id, uint32_t code)
{
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, code);
}

/* --- the connection --- */

void sheaf_h2_fail(sheaf_h2_t *h2, uint32_t code, const char *why)
{
    if (h2->state == SHEAF_H2_FAILED)
        return;
    h2->state = SHEAF_H2_FAILED;
    snprintf(h2->detail, sizeof(h2->detail), "HTTP/2 failed: %s", why);
    nghttp2_session_terminate_session(h2->session, code);
}

void sheaf_h2_earn(sheaf_h2_t *h2, uint32_t frames)
{
    h2->frames_left = h2->frames_left + frames < SHEAF_H2_FRAMES_MOST ? h2->frames_left + frames : SHEAF_H2_FRAMES_MOST;
}

/* Nothing is to be told: it failed, or an event has freed it. */
bool sheaf_h2_is_over(const sheaf_h2_t *h2)
{
    return h2->is_freed || h2->state != SHEAF_H2_OPEN;
}

/* --- beginning and end --- */

/* HTTP's own rules are judged in h2_answer, which says which one was broken. */
static nghttp2_option *new_option(const sheaf_h2_setup_t *setup)
{
    nghttp2_option *option;

    SHEAF_ASSERT(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_max_outbound_ack(option, ACKS_MOST);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MOST);
    nghttp2_option_set_max_send_header_block_length(option, HEAD_SENT_MOST);
    if (setup->first_streams != 0)
        nghttp2_option_set_peer_max_concurrent_streams(option, setup->first_streams);
    return option;
}

static void say_hello(sheaf_h2_t *h2)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h2->setup.held_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, SHEAF_H2_MAX_HEAD},
    };

    nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, SHEAF_COUNT(settings));
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, (int32_t)h2->setup.conn_window);
}

/* A dozen blocks a stream, all small. */
static void *take(size_t size, void *data)
{
    (void)data;
    return sheaf_spare_alloc(size);
}

static void *take_zeroed(size_t count, size_t size, void *data)
{
    (void)data;
    return sheaf_spare_zalloc(count * size); /* of nghttp2's own structs: it cannot overflow */
}

static void *resize(void *block, size_t size, void *data)
{
    (void)data;
    return sheaf_spare_realloc(block, size);
}

static void give_back(void *block, void *data)
{
    (void)data;
    sheaf_spare_free(block);
}

static nghttp2_mem memory = {.malloc = take, .free = give_back, .calloc = take_zeroed, .realloc = resize};

sheaf_h2_t *sheaf_h2_new(const sheaf_h2_setup_t *setup)
{
    sheaf_h2_t *h2 = sheaf_zalloc(sizeof(*h2));
    nghttp2_session_callbacks *callbacks = sheaf_h2_callbacks_new();
    nghttp2_option *option = new_option(setup);

    h2->setup = *setup;
    h2->frames_left = SHEAF_H2_FRAMES_MOST;
    sheaf_list_init(&h2->streams);
    SHEAF_ASSERT(nghttp2_session_client_new3(&h2->session, callbacks, h2, option, &memory) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    say_hello(h2);
    return h2;
}

static void free_now(sheaf_h2_t *h2)
{
    for (sheaf_h2_stream_t *stream = sheaf_h2_last(h2); stream != NULL; stream = sheaf_h2_last(h2)) {
        sheaf_list_remove(&stream->link);
        sheaf_spare_free(stream);
    }
    sheaf_h2_block_clear(&h2->block);
    nghttp2_session_del(h2->session);
    free(h2);
}

void sheaf_h2_free(sheaf_h2_t *h2)
{
    if (h2 == NULL)
        return;
    if (h2->is_inside)
        h2->is_freed = true;
    else
        free_now(h2);
}

/* --- in --- */

/* The session closes by itself when a rule of framing is broken, and says so only by what it does not do any more. */
static void look_for_failure(sheaf_h2_t *h2, ssize_t status)
{
    if (status == NGHTTP2_ERR_FLOODED)
        sheaf_h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, "the server makes the gateway answer and does not read");
    else if (status < 0)
        sheaf_h2_fail(h2, NGHTTP2_INTERNAL_ERROR, nghttp2_strerror((int)status));
    else if (!h2->has_goaway && !h2->has_said_goodbye && nghttp2_session_check_request_allowed(h2->session) == 0)
        sheaf_h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, "the server broke the protocol");
    else if (h2->idle_bytes > IDLE_BYTES_MOST + h2->setup.conn_window)
        sheaf_h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, "the server keeps sending what belongs to no answer");
}

sheaf_h2_state_t sheaf_h2_read(sheaf_h2_t *h2, const char *bytes, size_t len)
{
    ssize_t status;

    SHEAF_ASSERT(!h2->is_inside);
    if (h2->state != SHEAF_H2_OPEN)
        return h2->state;
    h2->is_inside = true;
    h2->idle_bytes += len;
    status = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, len);
    h2->is_inside = false;
    if (h2->is_freed) {
        free_now(h2);
        return SHEAF_H2_GONE;
    }
    look_for_failure(h2, status);
    return h2->state;
}

sheaf_h2_state_t sheaf_h2_state(const sheaf_h2_t *h2)
{
    return h2->state;
}

const char *sheaf_h2_detail(const sheaf_h2_t *h2)
{
    return h2->detail;
}

/* --- streams, for the owner --- */

uint32_t sheaf_h2_max_streams(const sheaf_h2_t *h2)
{
    uint32_t most = nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    return most < h2->setup.max_streams ? most : h2->setup.max_streams;
}

uint32_t sheaf_h2_free_streams(const sheaf_h2_t *h2)
{
    uint32_t most = sheaf_h2_max_streams(h2);
    uint32_t used = h2->open_count > h2->unsent_count ? h2->open_count : h2->unsent_count;

    return sheaf_h2_is_closing(h2) || used >= most ? 0 : most - used;
}

uint32_t sheaf_h2_open_streams(const sheaf_h2_t *h2)
{
    return h2->open_count;
}

bool sheaf_h2_is_closing(const sheaf_h2_t *h2)
{
    return sheaf_h2_is_over(h2) || h2->has_goaway || h2->has_said_goodbye ||
           nghttp2_session_get_next_stream_id(h2->session) > IDS_MOST;
}

int32_t sheaf_h2_submit(sheaf_h2_t *h2, const sheaf_exchange_t *exchange, void *data)
{
    sheaf_h2_stream_t *stream;

    if (sheaf_h2_free_streams(h2) == 0)
        return 0;
    stream = sheaf_spare_zalloc(sizeof(*stream));
    stream->data = data;
    stream->answer.was_head = sheaf_str_eq(exchange->method, SHEAF_STR("HEAD"));
    stream->is_streamed = exchange->is_streamed;
    stream->body = exchange->has_body ? exchange->body : SHEAF_STR_NONE;
    stream->id = sheaf_h2_request(h2, exchange, stream);
    SHEAF_ASSERT(stream->id > 0); /* only memory can be short */
    sheaf_list_push_back(&h2->streams, &stream->link);
    h2->open_count++;
    h2->unsent_count++;
    sheaf_h2_earn(h2, SHEAF_H2_FRAMES_A_HEAD);
    return stream->id;
}

void sheaf_h2_cancel(sheaf_h2_t *h2, int32_t id)
{
    sheaf_h2_stream_t *stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_find(h2, id);

    if (stream == NULL)
        return;
    sheaf_h2_reset(h2, id, NGHTTP2_CANCEL);
    sheaf_h2_forget(h2, stream);
}

void sheaf_h2_consumed(sheaf_h2_t *h2, int32_t id, size_t len)
{
    sheaf_h2_stream_t *stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_find(h2, id);

    if (stream == NULL)
        return;
    if (len > stream->unconsumed)
        len = stream->unconsumed;
    stream->unconsumed -= len;
    nghttp2_session_consume(h2->session, id, len);
}

void sheaf_h2_withhold(sheaf_h2_t *h2, int32_t id, size_t len)
{
    sheaf_h2_stream_t *stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_find(h2, id);

    if (stream == NULL)
        return;
    SHEAF_ASSERT(len <= stream->unconsumed);
    stream->unconsumed -= len;
    stream->withheld += len;
    nghttp2_session_consume_connection(h2->session, len);
}

void sheaf_h2_release(sheaf_h2_t *h2, int32_t id, size_t len)
{
    sheaf_h2_stream_t *stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_find(h2, id);

    if (stream == NULL)
        return;
    SHEAF_ASSERT(len <= stream->withheld);
    stream->withheld -= len;
    nghttp2_session_consume_stream(h2->session, id, len);
}

bool sheaf_h2_is_unsent(const sheaf_h2_t *h2, int32_t id)
{
    const sheaf_h2_stream_t *stream = sheaf_h2_find(h2, id);

    return stream != NULL && !stream->is_sent;
}

bool sheaf_h2_is_sending(const sheaf_h2_t *h2, int32_t id)
{
    const sheaf_h2_stream_t *stream = sheaf_h2_find(h2, id);

    return stream != NULL && (!stream->is_sent || stream->body.len != 0);
}

size_t sheaf_h2_unsent_body(const sheaf_h2_t *h2, int32_t id)
{
    const sheaf_h2_stream_t *stream = sheaf_h2_find(h2, id);

    return stream != NULL ? stream->body.len : 0;
}

/* --- out --- */

static bool has_chunk(sheaf_h2_t *h2)
{
    ssize_t len;

    if (h2->out_len != 0)
        return true;
    len = nghttp2_session_mem_send(h2->session, &h2->out);
    if (len < 0)
        sheaf_h2_fail(h2, NGHTTP2_INTERNAL_ERROR, nghttp2_strerror((int)len));
    h2->out_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

size_t sheaf_h2_output(sheaf_h2_t *h2, char *dst, size_t room)
{
    size_t total = 0;

    while (total < room && !h2->is_inside && has_chunk(h2)) {
        size_t len = h2->out_len < room - total ? h2->out_len : room - total;

        memcpy(dst + total, h2->out, len);
        h2->out += len;
        h2->out_len -= len;
        total += len;
    }
    return total;
}

bool sheaf_h2_has_output(const sheaf_h2_t *h2)
{
    return h2->out_len != 0 || nghttp2_session_want_write(h2->session) != 0;
}

void sheaf_h2_ping(sheaf_h2_t *h2)
{
    if (h2->is_pinged || sheaf_h2_is_over(h2))
        return;
    h2->is_pinged = nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL) == 0;
}

bool sheaf_h2_is_pinged(const sheaf_h2_t *h2)
{
    return h2->is_pinged;
}

void sheaf_h2_wait(sheaf_h2_t *h2)
{
    sheaf_h2_earn(h2, SHEAF_H2_FRAMES_A_WAIT);
}

void sheaf_h2_goodbye(sheaf_h2_t *h2)
{
    if (sheaf_h2_is_over(h2))
        return;
    h2->has_said_goodbye = true;
    nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
}
