/* front/client.h - one client connection: what it may still do, and how it is ended.
 *
 * Born when a connection is accepted, found again from any request on it (socket->on_close.data), gone when libh2o
 * closes the socket. libh2o owns the socket; a client is only ever ended by shutdown(2) on its descriptor, after which
 * libh2o finds out by itself: closing behind its back is not possible. */
#ifndef SHEAF_FRONT_CLIENT_H
#define SHEAF_FRONT_CLIENT_H

#include "gateway/front/guard/frames.h"
#include "gateway/front/guard/http1.h"
#include "gateway/front/guard/shadow.h"
#include "gateway/front/guard/streams.h"
#include "gateway/front/inside.h"
#include "gateway/front/pace.h"

struct sheaf_client {
    sheaf_front_t *front;
    h2o_socket_t *sock;
    uv_stream_t *uv;   /* below it */
    char *address;     /* of its listener, as configured: its settings are found by that, also after a reload */
    sheaf_link_t link; /* in front->clients */
    uint32_t requests; /* in progress */
    int lingering_fd;  /* a copy for lingering.h, -1: none */
    uint8_t ip[16];    /* as sheaf_peer_ip has it */
    sheaf_tls_t *tls;  /* NULL: clear text */
    bool has_ip;       /* a unix socket has none */
    bool is_admin;
    bool is_cut; /* shutdown(2) was called */
    sheaf_bucket_t aborts;
    sheaf_pace_t pace;
    uint64_t held_bytes;        /* by its answers, when memory was last short */
    sheaf_crowd_group_t *group; /* the connections of its address; NULL: not counted */

    /* guard */
    sheaf_objection_t objection;
    sheaf_stream_t stream;
    sheaf_http1_t http1;
    sheaf_frames_t frames;
    sheaf_shadow_t shadow;
};

/* Takes over a freshly accepted stream; hands it to libh2o, with `tls` (NULL: none) after a handshake, or closes it when
 * its address has connections enough. `name` is who is at the other end, as the socket or a trusted proxy says: the
 * client's address for the log, for X-Forwarded-For and for limits. */
void sheaf_client_accept(sheaf_front_t *front, sheaf_face_t *face, const char *address, struct ssl_ctx_st *tls,
                         uv_stream_t *stream, const struct sockaddr *name, socklen_t name_len);

/* The client of a request. */
sheaf_client_t *sheaf_client_of(h2o_req_t *req);

/* Its descriptor, -1 when it has none. */
int sheaf_client_fd(const sheaf_client_t *client);

/* Ends it both ways, at once and for all requests on it. */
void sheaf_client_cut(sheaf_client_t *client);

/* Ends it if no request is on it. What has arrived, in part or in the kernel's queue, is still answered: only the
 * reading side is shut down, and not while a part of a request, a record or a handshake is in the buffers. */
void sheaf_client_retire(sheaf_client_t *client);

/* A request on it is in our hands. */
void sheaf_client_request_begun(sheaf_client_t *client);

/* How a request ended. One that was refused has cost nothing and earns nothing. */
typedef enum sheaf_ending {
    SHEAF_ENDING_ANSWERED,
    SHEAF_ENDING_REFUSED,
    SHEAF_ENDING_ABANDONED,
} sheaf_ending_t;

/* A request on it ended. Too many abandoned ones (limits.aborts) and the client is cut. */
void sheaf_client_request_over(sheaf_client_t *client, sheaf_ending_t ending);

#endif
