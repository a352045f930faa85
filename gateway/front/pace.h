/* front/pace.h - a connection's time: how long it may be idle, take for a handshake, for a head, for a body.
 *
 * libh2o has one timer for head and body of HTTP/1 together and none for uploads over HTTP/2 (libh2o.md facts 11, 22),
 * so its own are set beyond these. The rooms of the guard tell what is being read; the deadline is one node per
 * connection that is only ever looked at again when it fires, so that a request costs nothing here.
 *
 *     HANDSHAKE   of TLS, since the connection was accepted                     limits.handshake_timeout
 *     HEAD   since accept or handshake, or the first byte of a head             limits.head_timeout
 *     BODY   since the head                    limits.body_timeout + bytes of it / limits.body_rate
 *     BUSY   a request is in our hands         the batch has deadlines of its own, the answer has limits.send_timeout
 *     IDLE   since the last request ended      limits.idle_timeout */
#ifndef SHEAF_FRONT_PACE_H
#define SHEAF_FRONT_PACE_H

#include "gateway/base/deadline.h"

typedef enum sheaf_phase {
    SHEAF_PHASE_HANDSHAKE,
    SHEAF_PHASE_HEAD,
    SHEAF_PHASE_BODY,
    SHEAF_PHASE_BUSY,
    SHEAF_PHASE_IDLE,
} sheaf_phase_t;

typedef struct sheaf_pace {
    sheaf_deadline_t deadline;
    sheaf_phase_t phase;
    uint64_t since_ms;
    uint64_t body_since_ms; /* of bodies that are on their way, also while another head is; 0: none is */
    uint64_t body_bytes;
    bool is_told; /* an idle HTTP/2 connection heard GOAWAY */
} sheaf_pace_t;

struct sheaf_client;

/* A connection was accepted: its first head is awaited. */
void sheaf_pace_init(struct sheaf_client *client);

/* Another phase begins (the same one goes on). */
void sheaf_pace_enter(struct sheaf_client *client, sheaf_phase_t phase);

/* Bytes of a body came. */
void sheaf_pace_body(struct sheaf_client *client, size_t bytes);

void sheaf_pace_end(struct sheaf_client *client);

#endif
