/* front/inside.h - what the rooms of this floor share and nobody else sees. */
#ifndef SHEAF_FRONT_INSIDE_H
#define SHEAF_FRONT_INSIDE_H

#include "gateway/base/list.h"
#include "gateway/front/crowd.h"
#include "gateway/front/front.h"
#include "gateway/front/h2o.h"
#include "gateway/front/memory.h"

typedef struct sheaf_client sheaf_client_t;
typedef struct sheaf_tls sheaf_tls_t;
typedef struct sheaf_visit sheaf_visit_t;

/* libh2o as it is configured for one kind of listener: clients, or admins. */
typedef struct sheaf_face {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    bool is_admin;
} sheaf_face_t;

struct sheaf_front {
    sheaf_front_env_t env;
    sheaf_face_t clients_face, admin_face;
    sheaf_epoch_t *epoch;
    sheaf_link_t listeners;
    sheaf_link_t clients;
    sheaf_link_t visits;
    sheaf_link_t greetings; /* accepted, waiting for the header of their proxy */
    uint32_t greeting_count;
    sheaf_link_t lingering; /* connections closed by us that their clients may still write to */
    uint32_t lingering_count;
    sheaf_crowd_t *crowd;
    sheaf_memory_t memory;
    sheaf_deadline_t memory_look;
    uint32_t clients_most, fd_most; /* what the limit of open files allows */
    uint64_t max_body_bytes;        /* the largest of any endpoint, and of any route asked directly */
    uint32_t client_count;          /* without admins */
    uint32_t batch_count;           /* admitted, see admission.h */
    uint32_t request_count;         /* the same of direct requests */
    uint64_t item_count;            /* that batches hold */
    uint64_t visit_count;           /* ever: makes request ids */
    uint64_t id_base;
    bool is_draining, is_closing;
    uint64_t draining_ms; /* since when */
    void (*on_idle)(void *data);
    void *idle_data;
    void (*on_closed)(void *data);
    void *closed_data;
    sheaf_task_t settle;        /* looks whether idle or closed was reached */
    sheaf_deadline_t hurry;     /* of a drain: ends connections once they are idle */
    struct sheaf_front *before; /* in the list of those that were freed */
};

/* The limits in force now. */
const sheaf_limits_conf_t *sheaf_front_limits(const sheaf_front_t *front);

/* How the worker's memory stands; looks every 5 ms at most. */
sheaf_memory_level_t sheaf_front_memory(sheaf_front_t *front);

/* There is work: looks at the memory now and then for as long as there is. */
void sheaf_front_mind_memory(sheaf_front_t *front);

/* The objection to work that memory has no room for. */
#define SHEAF_FRONT_NO_MEMORY "this worker uses as much memory as it may"

/* The objection to a body of which nobody knows how long it is, only that it is too long. */
void sheaf_front_say_too_large(const sheaf_front_t *front, sheaf_fail_t *fail);

/* Something ended: queues the look at whether that was the last. */
void sheaf_front_stir(sheaf_front_t *front);

/* Lets go of an epoch; the last one tells its owner. */
void sheaf_epoch_drop(sheaf_epoch_t *epoch);

/* Handlers that a face is built with. */
int sheaf_handler_on_request(h2o_handler_t *self, h2o_req_t *req);
int sheaf_admin_on_request(h2o_handler_t *self, h2o_req_t *req);

typedef struct sheaf_front_handler {
    h2o_handler_t super;
    sheaf_front_t *front;
} sheaf_front_handler_t;

#endif
