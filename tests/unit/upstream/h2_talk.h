/* upstream/h2_talk.h - the h2 room and its peer in one test, and all that is told as text:
 *
 *   "a: 200 length 2 x=y\n" "a: complete hi\n"            a stream's name, its head, how it ended with which body
 *   "change\n"                                            on_change */
#ifndef SHEAF_TESTS_H2_TALK_H
#define SHEAF_TESTS_H2_TALK_H

#include <stdio.h>

#include "gateway/upstream/h2.h"
#include "tests/unit/upstream/h2_peer.h"

typedef struct talk talk_t;

typedef struct asked {
    talk_t *talk;
    const char *name;
    int32_t id;
    sheaf_exchange_t exchange;
    peer_bytes_t body;
    void (*on_told)(struct asked *asked); /* inside head, body and end; may be NULL */
    bool is_over;
} asked_t;

struct talk {
    sheaf_h2_t *h2; /* NULL: freed */
    peer_t peer;
    peer_bytes_t told;
    bool eats;       /* what comes is consumed at once */
    bool has_goaway; /* the backend ends it: once nothing flies any more, nothing is read */
    size_t piece;
};

static inline void tell(talk_t *talk, const char *text)
{
    bytes_add(&talk->told, text, strlen(text));
}

static inline void told_inside(asked_t *asked)
{
    if (asked->on_told != NULL)
        asked->on_told(asked);
}

static inline void talk_on_head(void *owner, void *stream, const sheaf_answer_head_t *head)
{
    talk_t *talk = owner;
    asked_t *asked = stream;
    char text[80];

    snprintf(text, sizeof(text), "%s: %u length %lld", asked->name, head->status, (long long)head->content_length);
    tell(talk, text);
    for (uint32_t i = 0; i < head->header_count; i++) {
        tell(talk, " ");
        bytes_add(&talk->told, head->headers[i].name.base, head->headers[i].name.len);
        tell(talk, "=");
        bytes_add(&talk->told, head->headers[i].value.base, head->headers[i].value.len);
    }
    tell(talk, "\n");
    told_inside(asked);
}

static inline void talk_on_body(void *owner, void *stream, const char *bytes, size_t len)
{
    talk_t *talk = owner;
    asked_t *asked = stream;

    SHEAF_ASSERT(len != 0);
    bytes_add(&asked->body, bytes, len);
    if (talk->eats)
        sheaf_h2_consumed(talk->h2, asked->id, len);
    told_inside(asked);
}

static inline void talk_on_end(void *owner, void *stream, sheaf_h2_end_t end, const char *detail)
{
    static const char *const words[] = {"complete", "refused", "reset", "malformed"};
    talk_t *talk = owner;
    asked_t *asked = stream;

    tell(talk, asked->name);
    tell(talk, ": ");
    tell(talk, words[end]);
    tell(talk, " ");
    if (end != SHEAF_H2_COMPLETE)
        tell(talk, detail);
    else if (asked->body.len < 100)
        bytes_add(&talk->told, asked->body.bytes, asked->body.len);
    else
        tell(talk, "(long)");
    tell(talk, "\n");
    asked->is_over = true;
    told_inside(asked);
}

static inline void talk_on_change(void *owner)
{
    talk_t *talk = owner;

    talk->has_goaway |= sheaf_h2_is_closing(talk->h2);
    tell(talk, "change\n");
}

static inline void talk_begin(talk_t *talk, uint32_t max_streams, uint32_t window)
{
    static const sheaf_h2_events_t events = {talk_on_head, talk_on_body, talk_on_end, talk_on_change};
    sheaf_h2_setup_t setup = {.events = &events,
                              .owner = talk,
                              .scheme = SHEAF_STR("http"),
                              .authority = SHEAF_STR("backend.test"),
                              .max_streams = max_streams,
                              .stream_window = window,
                              .held_window = window,
                              .conn_window = 4 * window};

    memset(talk, 0, sizeof(*talk));
    peer_init(&talk->peer);
    talk->eats = true;
    talk->piece = SIZE_MAX;
    talk->h2 = sheaf_h2_new(&setup);
}

static inline void talk_end(talk_t *talk)
{
    sheaf_h2_free(talk->h2);
    peer_fini(&talk->peer);
    free(talk->told.bytes);
}

/* All that the room has to say is heard by the peer. */
static inline void gateway_speaks(talk_t *talk)
{
    char piece[777];
    size_t len;

    while ((len = sheaf_h2_output(talk->h2, piece, sizeof(piece))) != 0)
        peer_hears(&talk->peer, piece, len);
}

/* The room reads `len` bytes that are exactly as long, so that a read beyond them is seen. */
static inline void gateway_reads(talk_t *talk, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    memcpy(copy + 1, bytes, len);
    if (talk->h2 != NULL)
        sheaf_h2_read(talk->h2, copy + 1, len);
    free(copy);
}

/* What the peer has said is read, in pieces, and what the room says to that is heard. */
static inline void talk_on(talk_t *talk)
{
    peer_bytes_t said = talk->peer.said;

    talk->peer.said = (peer_bytes_t){0};
    if (talk->h2 != NULL)
        gateway_speaks(talk);
    for (size_t at = 0; at < said.len; at += said.len - at < talk->piece ? said.len - at : talk->piece)
        gateway_reads(talk, said.bytes + at, said.len - at < talk->piece ? said.len - at : talk->piece);
    if (talk->h2 != NULL)
        gateway_speaks(talk);
    free(said.bytes);
}

static inline void ask(talk_t *talk, asked_t *asked, const char *name, const char *method)
{
    memset(asked, 0, sizeof(*asked));
    asked->talk = talk;
    asked->name = name;
    asked->exchange.method = sheaf_str_of(method);
    asked->exchange.target = SHEAF_STR("/x?y=1");
    asked->id = sheaf_h2_submit(talk->h2, &asked->exchange, asked);
}

static inline void ask_end(asked_t *asked)
{
    free(asked->body.bytes);
}

static inline const char *told(talk_t *talk)
{
    bytes_add(&talk->told, "", 1);
    talk->told.len--;
    return talk->told.bytes;
}

/* The next frame of `type` that the peer heard; what comes before it is passed over. */
static inline bool heard(talk_t *talk, uint8_t type, peer_frame_t *ret_frame)
{
    while (peer_next(&talk->peer, ret_frame)) {
        if (ret_frame->type == type)
            return true;
    }
    return false;
}

#endif
