/* upstream/h2.h - HTTP/2 towards a backend, without I/O: many requests out, their answers in (RFC 9113).
 *
 *   bytes read --sheaf_h2_read()--> on_head, on_body*, on_end for each stream      sheaf_h2_output() --> bytes to write
 *
 * A stream is one exchange, named by its id; ids are never used twice, so one that is gone does no harm anywhere. nghttp2
 * does frames, HPACK and windows; what an answer may look like is judged here as `wire` does it for HTTP/1. A stream whose
 * answer is malformed is reset and the others go on; what breaks the rules of the connection, or makes us work for nothing
 * (control frames without an answer in sight), fails all of it with a GOAWAY that says why.
 *
 * Events come from inside sheaf_h2_read() only. From inside an event everything may be called but sheaf_h2_read();
 * sheaf_h2_output() gives nothing then. */
#ifndef SHEAF_UPSTREAM_H2_H
#define SHEAF_UPSTREAM_H2_H

#include "gateway/http/exchange.h"

#define SHEAF_H2_MAX_HEAD    ((size_t)64 << 10) /* names, values and 32 bytes a field (RFC 9113 6.5.2), as we announce */
#define SHEAF_H2_MAX_INTERIM 16                 /* 1xx answers of a stream before the final one; 101 is malformed */

typedef struct sheaf_h2 sheaf_h2_t;

/* How a stream ended. */
typedef enum sheaf_h2_end {
    SHEAF_H2_COMPLETE,
    SHEAF_H2_REFUSED,   /* not processed: REFUSED_STREAM, or beyond what GOAWAY says was taken; may go again at once */
    SHEAF_H2_RESET,     /* RST_STREAM; the backend may have acted */
    SHEAF_H2_MALFORMED, /* the answer breaks the rules; detail says which */
} sheaf_h2_end_t;

/* `owner` is the setup's, `stream` what was handed to submit. */
typedef struct sheaf_h2_events {
    /* The final head; at most one a stream. Borrowed for the call. */
    void (*on_head)(void *owner, void *stream, const sheaf_answer_head_t *head);
    /* A run of body bytes, never empty, borrowed from the input. They use up windows until they are consumed. */
    void (*on_body)(void *owner, void *stream, const char *bytes, size_t len);
    /* The last of a stream; its id is gone already. detail: a sentence or "", borrowed for the call. */
    void (*on_end)(void *owner, void *stream, sheaf_h2_end_t end, const char *detail);
    /* What sheaf_h2_free_streams() says has changed other than by a stream's end: GOAWAY, or the backend's SETTINGS. */
    void (*on_change)(void *owner);
} sheaf_h2_events_t;

typedef struct sheaf_h2_setup {
    const sheaf_h2_events_t *events;
    void *owner;
    sheaf_str_t scheme;     /* "http" or "https"; both are borrowed as long as the room lives */
    sheaf_str_t authority;  /* :authority of requests without a host of their own */
    uint32_t max_streams;   /* at once; the backend may want fewer */
    uint32_t first_streams; /* how many it is thought to take until its SETTINGS have come; 0: nobody knows */
    uint32_t stream_window; /* bytes of an answer that may be under way or unconsumed, at least 65,535 */
    uint32_t held_window;   /* the same of one whose exchange is streamed, and of each until half of it has come */
    uint32_t conn_window;   /* the same of all streams together */
} sheaf_h2_setup_t;

/* The preface, SETTINGS and the window are output at once. `setup` is copied. */
sheaf_h2_t *sheaf_h2_new(const sheaf_h2_setup_t *setup);
/* No event follows. From inside an event: the memory goes when sheaf_h2_read() returns, GONE. NULL is fine. */
void sheaf_h2_free(sheaf_h2_t *h2);

/* --- in --- */

typedef enum sheaf_h2_state {
    SHEAF_H2_OPEN,
    SHEAF_H2_FAILED, /* sheaf_h2_detail() says why; send what is output (GOAWAY) and close. The streams are the caller's to end */
    SHEAF_H2_GONE, /* from sheaf_h2_read() only: an event has freed it */
} sheaf_h2_state_t;

/* Takes all of `bytes`. Look for output afterwards, whatever it returns but GONE; a failure may show only in the state
 * after that. */
sheaf_h2_state_t sheaf_h2_read(sheaf_h2_t *h2, const char *bytes, size_t len);
sheaf_h2_state_t sheaf_h2_state(const sheaf_h2_t *h2);
/* Why it failed, or what the backend said when it ended it (GOAWAY with an error); "" when there is nothing to say. */
const char *sheaf_h2_detail(const sheaf_h2_t *h2);

/* --- streams --- */

/* How many exchanges it would take now: 0 when it is full, after GOAWAY, a goodbye or a failure, and when ids run out. */
uint32_t sheaf_h2_free_streams(const sheaf_h2_t *h2);
/* How many it takes at once at most, as both sides have said; 0: the backend wants none for now. */
uint32_t sheaf_h2_max_streams(const sheaf_h2_t *h2);
/* How many are on it. */
uint32_t sheaf_h2_open_streams(const sheaf_h2_t *h2);
/* It will take no exchange ever again: close it once open_streams is 0. */
bool sheaf_h2_is_closing(const sheaf_h2_t *h2);

/* Takes the request: its head and body become output as windows allow. All of `exchange`'s question is borrowed until
 * on_end or cancel. Returns the stream's id, or 0 when there is no free stream. */
int32_t sheaf_h2_submit(sheaf_h2_t *h2, const sheaf_exchange_t *exchange, void *stream);

/* Ends it now (RST_STREAM CANCEL when the backend knows of it), no event follows for it. Fine on one that is gone. */
void sheaf_h2_cancel(sheaf_h2_t *h2, int32_t id);

/* `len` bytes of its answer were used up: the backend may send as many again. Fine on one that is gone. */
void sheaf_h2_consumed(sheaf_h2_t *h2, int32_t id, size_t len);

/* `len` bytes of its answer, a streamed exchange's, were taken and will be used up later: other streams do not wait for that,
 * it does until they are released. Fine on one that is gone. */
void sheaf_h2_withhold(sheaf_h2_t *h2, int32_t id, size_t len);
void sheaf_h2_release(sheaf_h2_t *h2, int32_t id, size_t len);

/* No byte of its request was handed out as output: the backend cannot know of it. False for one that is gone. */
bool sheaf_h2_is_unsent(const sheaf_h2_t *h2, int32_t id);
/* Some of its request (head or body) has not been handed out as output yet: silence is not the backend's. */
bool sheaf_h2_is_sending(const sheaf_h2_t *h2, int32_t id);
/* How much of its request's body that is. */
size_t sheaf_h2_unsent_body(const sheaf_h2_t *h2, int32_t id);

/* --- out --- */

/* Moves up to `room` bytes for the backend to `dst`; returns how many, 0: nothing to say now. Everything goes through
 * here, so whoever calls it only when the socket takes bytes has back-pressure. */
size_t sheaf_h2_output(sheaf_h2_t *h2, char *dst, size_t room);
/* There is output, or may be. */
bool sheaf_h2_has_output(const sheaf_h2_t *h2);

/* Sends a PING, unless one is on its way. */
void sheaf_h2_ping(sheaf_h2_t *h2);
/* A PING was sent and not answered. */
bool sheaf_h2_is_pinged(const sheaf_h2_t *h2);

/* Some time has passed: frames that belong to no answer (PINGs, and answers to them) are a flood only when they come fast. */
void sheaf_h2_wait(sheaf_h2_t *h2);

/* GOAWAY (NO_ERROR) becomes output; takes no exchange from here on. For closing an idle conn: no stream goes on. */
void sheaf_h2_goodbye(sheaf_h2_t *h2);

#endif
