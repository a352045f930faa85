/* upstream/h2_inside.h - what the parts of `h2` share: the struct (h2.c), what the session tells (h2_events.c), how a
 * request goes out (h2_request.c). */
#ifndef SHEAF_UPSTREAM_H2_INSIDE_H
#define SHEAF_UPSTREAM_H2_INSIDE_H

#include "gateway/base/list.h"
#include "gateway/upstream/h2.h"
#include "gateway/upstream/h2_answer.h"

#define SHEAF_H2_FRAMES_MOST   1000 /* that may come while no answer gets on */
#define SHEAF_H2_FRAMES_A_HEAD 8    /* a head, or a piece of a request, allows so many more, */
#define SHEAF_H2_FRAMES_A_RUN  4    /* a frame of body so many, */
#define SHEAF_H2_FRAMES_A_WAIT 16   /* and time that has passed so many */

typedef struct sheaf_h2_stream {
    sheaf_link_t link;
    int32_t id;
    bool is_sent;      /* the backend may know of it */
    bool is_streamed;  /* its exchange */
    bool is_wide;      /* it has the larger window */
    void *data;        /* the owner's */
    sheaf_str_t body;  /* what is still to go out */
    size_t unconsumed; /* of its answer */
    size_t withheld;   /* likewise, but the connection's window has them back */
    sheaf_h2_answer_t answer;
} sheaf_h2_stream_t;

struct sheaf_h2 {
    nghttp2_session *session;
    sheaf_h2_setup_t setup;
    sheaf_link_t streams; /* by id: those that were not sent are at the end */
    uint32_t open_count;
    uint32_t unsent_count; /* that wait in the session, cancelled ones too */
    int32_t sent_id;       /* the last one that went out */
    sheaf_h2_state_t state;
    bool is_inside, is_freed;
    bool has_goaway, has_said_goodbye, is_pinged;
    bool has_run; /* the frame that is being read has brought body bytes */
    uint32_t frames_left;
    size_t idle_bytes;
    const uint8_t *out; /* the session's, not handed out yet */
    size_t out_len;
    sheaf_h2_block_t block;
    char detail[192];
};

/* --- h2.c --- */

/* NULL: it is gone. */
sheaf_h2_stream_t *sheaf_h2_find(const sheaf_h2_t *h2, int32_t id);
/* The one with the highest id, or NULL. */
sheaf_h2_stream_t *sheaf_h2_last(const sheaf_h2_t *h2);
/* Frees it; its owner is told by somebody else. */
void sheaf_h2_forget(sheaf_h2_t *h2, sheaf_h2_stream_t *stream);
void sheaf_h2_reset(sheaf_h2_t *h2, int32_t id, uint32_t code);
/* Ends the connection with `code`; `why` is a phrase. Only the first one counts. */
void sheaf_h2_fail(sheaf_h2_t *h2, uint32_t code, const char *why);
/* Allows the backend so many frames more. */
void sheaf_h2_earn(sheaf_h2_t *h2, uint32_t frames);
/* Nothing is to be told any more: it failed, or an event has freed it. */
bool sheaf_h2_is_over(const sheaf_h2_t *h2);

/* --- h2_events.c --- */

/* The caller frees it. */
nghttp2_session_callbacks *sheaf_h2_callbacks_new(void);

/* --- h2_request.c --- */

/* Hands the request to the session; returns its id. */
int32_t sheaf_h2_request(sheaf_h2_t *h2, const sheaf_exchange_t *exchange, sheaf_h2_stream_t *stream);

#endif
