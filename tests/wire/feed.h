/* wire/feed.h - an answer's bytes through the wire room, cut in any way. Used by test_wire and fuzz_wire: whatever the
 * cuts, the result must be the same. */
#ifndef SHEAF_TESTS_WIRE_FEED_H
#define SHEAF_TESTS_WIRE_FEED_H

#include <stdlib.h>

#include "gateway/http/wire.h"

typedef enum feed_outcome { FEED_CUT, FEED_COMPLETE, FEED_MALFORMED } feed_outcome_t;

typedef struct feed {
    feed_outcome_t outcome; /* CUT: the input ended before the answer did */
    const char *why;        /* of a malformed head; "" otherwise */
    bool has_head, was_head;
    sheaf_wire_head_t head; /* the final one */
    char *bytes;            /* what arrived and was not taken yet begins at bytes + taken */
    size_t len, taken, scanned;
    sheaf_wire_chunks_t chunks;
    char *body;
    size_t body_len, leftover;
} feed_t;

static inline void feed_init(feed_t *feed, size_t room, bool was_head)
{
    memset(feed, 0, sizeof(*feed));
    feed->why = "";
    feed->was_head = was_head;
    feed->bytes = malloc(room + 1);
    feed->body = malloc(room + 1);
}

static inline void feed_fini(feed_t *feed)
{
    free(feed->bytes);
    free(feed->body);
}

static inline void feed_body(feed_t *feed)
{
    const char *at = feed->bytes + feed->taken, *end = feed->bytes + feed->len;
    sheaf_str_t run = {at, (size_t)(end - at)};
    int state = 0;

    if (feed->head.body == SHEAF_WIRE_CHUNKED) {
        do {
            run = sheaf_wire_next_chunk(&feed->chunks, &at, end, &state);
            if (run.len > 0)
                memcpy(feed->body + feed->body_len, run.base, run.len);
            feed->body_len += run.len;
        } while (run.len > 0 && state == 0);
        feed->taken = (size_t)(at - feed->bytes);
        feed->outcome = state == 1 ? FEED_COMPLETE : state == -1 ? FEED_MALFORMED : FEED_CUT;
        return;
    }
    if (feed->head.body == SHEAF_WIRE_NO_BODY)
        run.len = 0;
    if (feed->head.body == SHEAF_WIRE_LENGTH && run.len > feed->head.content_length - feed->body_len)
        run.len = (size_t)(feed->head.content_length - feed->body_len);
    memcpy(feed->body + feed->body_len, run.base, run.len);
    feed->body_len += run.len;
    feed->taken += run.len;
    if (feed->head.body == SHEAF_WIRE_NO_BODY || feed->body_len == feed->head.content_length)
        feed->outcome = FEED_COMPLETE;
}

static inline void feed_head(feed_t *feed)
{
    while (!feed->has_head && feed->outcome == FEED_CUT) {
        size_t len = feed->len - feed->taken;
        long head = sheaf_wire_parse_head(feed->bytes + feed->taken, len, feed->scanned, feed->was_head, &feed->head,
                                          &feed->why);

        if (head < 0)
            feed->outcome = FEED_MALFORMED;
        feed->scanned = head == 0 ? len : 0;
        if (head <= 0)
            return;
        feed->taken += (size_t)head;
        feed->has_head = feed->head.status >= 200 || feed->head.status == 101; /* 1xx are skipped */
    }
}

/* The next bytes from the wire. */
static inline void feed_more(feed_t *feed, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(feed->bytes + feed->len, bytes, len);
    feed->len += len;
    if (!feed->has_head)
        feed_head(feed);
    if (feed->has_head && feed->outcome == FEED_CUT)
        feed_body(feed);
}

/* The backend closed. */
static inline void feed_end(feed_t *feed)
{
    if (feed->has_head && feed->outcome == FEED_CUT && feed->head.body == SHEAF_WIRE_TO_EOF)
        feed->outcome = FEED_COMPLETE;
    feed->leftover = feed->outcome == FEED_COMPLETE ? feed->len - feed->taken : 0;
}

static inline bool feed_fields_eq(const feed_t *a, const feed_t *b)
{
    if (a->head.header_count != b->head.header_count)
        return false;
    for (uint32_t i = 0; i < a->head.header_count; i++) {
        if (!sheaf_str_eq(a->head.headers[i].name, b->head.headers[i].name) ||
            !sheaf_str_eq(a->head.headers[i].value, b->head.headers[i].value))
            return false;
    }
    return true;
}

static inline bool feed_eq(const feed_t *a, const feed_t *b)
{
    if (a->outcome != b->outcome || a->has_head != b->has_head || strcmp(a->why, b->why) != 0)
        return false;
    if (!a->has_head)
        return true;
    return a->head.status == b->head.status && a->head.body == b->head.body &&
           a->head.content_length == b->head.content_length && a->head.is_persistent == b->head.is_persistent &&
           a->head.keepalive_timeout_s == b->head.keepalive_timeout_s && feed_fields_eq(a, b) &&
           a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0 && a->leftover == b->leftover;
}

#endif
