/* upstream/h1.c - see h1.h. */
#include "gateway/upstream/h1.h"

#include <stdlib.h>

#define HELD_KEPT ((size_t)8 << 10) /* what a conn keeps for its next head in pieces */

enum { PHASE_HEAD, PHASE_EMPTY, PHASE_LENGTH, PHASE_CHUNKED, PHASE_TO_EOF, PHASE_DONE };

static char *put(char *at, sheaf_str_t s)
{
    if (s.len != 0)
        memcpy(at, s.base, s.len);
    return at + s.len;
}

size_t sheaf_h1_head_room(const sheaf_exchange_t *exchange, sheaf_str_t host_line)
{
    size_t room = exchange->method.len + 1 + exchange->target.len + host_line.len + exchange->host.len;

    for (uint32_t i = 0; i < exchange->headers.count; i++)
        room += exchange->headers.entries[i].name.len + exchange->headers.entries[i].value.len + 4;
    if (exchange->shared != NULL)
        room += exchange->shared->wire.len;
    room += sizeof("x-request-id: \r\n") + SHEAF_REQUEST_ID_ROOM;
    return room + sizeof("content-length: \r\n\r\n") + 20;
}

/* The end of the request line, and the Host: its own, or that of the server as it lies ready. */
static char *put_host(char *at, const sheaf_exchange_t *exchange, sheaf_str_t host_line)
{
    if (exchange->host.base == NULL)
        return put(at, host_line);
    at = put(at, SHEAF_STR(SHEAF_H1_HOST_START));
    at = put(at, exchange->host);
    return put(at, SHEAF_STR("\r\n"));
}

size_t sheaf_h1_write_head(const sheaf_exchange_t *exchange, sheaf_str_t host_line, char *dst)
{
    char *at = put(dst, exchange->method);

    *at++ = ' ';
    at = put(at, exchange->target);
    at = put_host(at, exchange, host_line);
    for (uint32_t i = 0; i < exchange->headers.count; i++) {
        at = put(at, exchange->headers.entries[i].name);
        at = put(at, SHEAF_STR(": "));
        at = put(at, exchange->headers.entries[i].value);
        at = put(at, SHEAF_STR("\r\n"));
    }
    if (exchange->shared != NULL)
        at = put(at, exchange->shared->wire);
    if (exchange->request_id.base != NULL) {
        at = put(at, SHEAF_STR("x-request-id: "));
        at += sheaf_exchange_write_id(exchange, at);
        at = put(at, SHEAF_STR("\r\n"));
    }
    if (exchange->has_body) {
        at = put(at, SHEAF_STR("content-length: "));
        at += sheaf_u64_to_dec(exchange->body.len, at);
        at = put(at, SHEAF_STR("\r\n"));
    }
    at = put(at, SHEAF_STR("\r\n"));
    return (size_t)(at - dst);
}

void sheaf_h1_begin(sheaf_h1_t *h1, sheaf_str_t method)
{
    h1->phase = PHASE_HEAD;
    h1->interim_count = 0;
    h1->was_head = sheaf_str_eq(method, SHEAF_STR("HEAD"));
    h1->has_bytes = false;
    h1->is_persistent = false;
    h1->keepalive_timeout_s = UINT32_MAX;
    h1->held_len = 0;
    if (h1->held_size > HELD_KEPT)
        sheaf_h1_fini(h1);
}

void sheaf_h1_fini(sheaf_h1_t *h1)
{
    free(h1->held);
    h1->held = NULL;
    h1->held_len = h1->held_size = 0;
}

/* Gathers as much of `*at` to `end` as a head may hold; returns how much was taken. */
static size_t hold_piece(sheaf_h1_t *h1, const char *bytes, size_t len)
{
    if (len > SHEAF_H1_MAX_HEAD - h1->held_len)
        len = SHEAF_H1_MAX_HEAD - h1->held_len;
    if (h1->held_len + len > h1->held_size) {
        h1->held_size = h1->held_len + len < 1024 ? 2048 : 2 * (h1->held_len + len);
        h1->held = sheaf_realloc(h1->held, h1->held_size);
    }
    memcpy(h1->held + h1->held_len, bytes, len);
    h1->held_len += len;
    return len;
}

/* Keeps the bytes of a head that is not whole yet: 0, or -1 when it can never be. */
static long hold_rest(sheaf_h1_t *h1, char **at, const char *end, const char **ret_why)
{
    *at += hold_piece(h1, *at, (size_t)(end - *at));
    if (h1->held_len < SHEAF_H1_MAX_HEAD)
        return 0;
    *ret_why = "the head is larger than 64 KiB";
    return -1;
}

/* One head, interim or final: above 0 when it is whole (`*at` is behind it then), 0 when more is needed, or -1. */
static long take_head(sheaf_h1_t *h1, char **at, char *end, sheaf_wire_head_t *head, const char **ret_why)
{
    size_t held = h1->held_len, taken;
    long len;

    if (held == 0) {
        len = sheaf_wire_parse_head(*at, (size_t)(end - *at), 0, h1->was_head, head, ret_why);
        if (len == 0)
            return hold_rest(h1, at, end, ret_why);
        if (len > 0)
            *at += len;
        return len;
    }
    taken = hold_piece(h1, *at, (size_t)(end - *at));
    len = sheaf_wire_parse_head(h1->held, h1->held_len, held, h1->was_head, head, ret_why);
    if (len > 0) {
        *at += (size_t)len - held; /* what lies behind the head is read where it came */
        h1->held_len = 0;
        return len;
    }
    h1->held_len -= taken;
    return len < 0 ? len : hold_rest(h1, at, end, ret_why);
}

static void enter_body(sheaf_h1_t *h1, const sheaf_wire_head_t *head)
{
    h1->is_persistent = head->is_persistent;
    h1->keepalive_timeout_s = head->keepalive_timeout_s;
    switch (head->body) {
    case SHEAF_WIRE_NO_BODY:
        h1->phase = PHASE_EMPTY;
        break;
    case SHEAF_WIRE_LENGTH:
        h1->phase = head->content_length == 0 ? PHASE_EMPTY : PHASE_LENGTH;
        h1->left = head->content_length;
        break;
    case SHEAF_WIRE_CHUNKED:
        h1->phase = PHASE_CHUNKED;
        h1->chunks = (sheaf_wire_chunks_t){0};
        break;
    case SHEAF_WIRE_TO_EOF:
        h1->phase = PHASE_TO_EOF;
        h1->is_persistent = false;
        break;
    }
}

/* RFC 9110 15.2: any number of 1xx may come first; they are skipped, but not for ever. */
static sheaf_h1_event_t next_head(sheaf_h1_t *h1, char **at, char *end, sheaf_wire_head_t *head, const char **ret_why)
{
    while (*at < end) {
        long len = take_head(h1, at, end, head, ret_why);

        if (len < 0)
            return SHEAF_H1_BAD;
        if (len == 0)
            return SHEAF_H1_MORE;
        if (head->status >= 200) {
            enter_body(h1, head);
            return SHEAF_H1_HEAD;
        }
        if (head->status == 101 || ++h1->interim_count > SHEAF_H1_MAX_INTERIM) {
            *ret_why = head->status == 101 ? "101 without an upgrade" : "too many 1xx answers";
            return SHEAF_H1_BAD;
        }
    }
    return SHEAF_H1_MORE;
}

static sheaf_h1_event_t done(sheaf_h1_t *h1)
{
    h1->phase = PHASE_DONE;
    return SHEAF_H1_DONE;
}

static sheaf_h1_event_t next_counted(sheaf_h1_t *h1, char **at, char *end, sheaf_str_t *ret_body)
{
    size_t len = (size_t)(end - *at);

    if (len == 0)
        return SHEAF_H1_MORE;
    if (h1->phase == PHASE_LENGTH) {
        len = len > h1->left ? (size_t)h1->left : len;
        h1->left -= len;
        h1->phase = h1->left == 0 ? PHASE_EMPTY : PHASE_LENGTH;
    }
    *ret_body = sheaf_str(*at, len);
    *at += len;
    return SHEAF_H1_BODY;
}

static sheaf_h1_event_t next_chunk(sheaf_h1_t *h1, char **at, char *end, sheaf_str_t *ret_body, const char **ret_why)
{
    const char *from = *at;
    int state = 0;
    sheaf_str_t run = sheaf_wire_next_chunk(&h1->chunks, &from, end, &state);

    *at += from - *at;
    if (state < 0) {
        *ret_why = "the chunked body is malformed";
        return SHEAF_H1_BAD;
    }
    if (state == 1)
        h1->phase = PHASE_EMPTY;
    if (run.len != 0) {
        *ret_body = run;
        return SHEAF_H1_BODY;
    }
    return state == 1 ? done(h1) : SHEAF_H1_MORE;
}

sheaf_h1_event_t sheaf_h1_next(sheaf_h1_t *h1, char **at, char *end, sheaf_wire_head_t *head, sheaf_str_t *ret_body,
                               const char **ret_why)
{
    h1->has_bytes |= *at < end;
    switch (h1->phase) {
    case PHASE_HEAD:
        return next_head(h1, at, end, head, ret_why);
    case PHASE_LENGTH:
    case PHASE_TO_EOF:
        return next_counted(h1, at, end, ret_body);
    case PHASE_CHUNKED:
        return next_chunk(h1, at, end, ret_body, ret_why);
    default:
        return done(h1);
    }
}

bool sheaf_h1_ends_at_eof(const sheaf_h1_t *h1)
{
    return h1->phase == PHASE_TO_EOF;
}
