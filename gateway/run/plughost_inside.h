/* run/plughost_inside.h - what the rooms of the plugin host share. */
#ifndef SHEAF_RUN_PLUGHOST_INSIDE_H
#define SHEAF_RUN_PLUGHOST_INSIDE_H

#include "gateway/base/list.h"
#include "gateway/run/handles.h"
#include "gateway/run/plughost.h"
#include "plugins/sheaf_plugin.h"

#define SHEAF_PLUG_ATTRIBUTES_MAX 64
#define SHEAF_PLUG_VALUE_MAX      (16u << 10) /* of an attribute, of a header */
#define SHEAF_PLUG_FIELDS_MAX     256         /* of a head */
#define SHEAF_PLUG_ANSWER_MAX     (16u << 20)

/* An instance. */
struct sheaf_p_worker {
    sheaf_guests_t *guests;
    const sheaf_plugin_conf_t *conf;
    void *self;
    void *shared;
    sheaf_link_t waits; /* timers, watches and calls that are left */
    uint32_t counters[SHEAF_PLUGIN_COUNTERS];
};

typedef struct sheaf_chain {
    sheaf_p_worker_t **items;
    uint32_t count;
} sheaf_chain_t;

struct sheaf_guests {
    sheaf_hooks_t hooks;
    sheaf_link_t link; /* of the host's */
    sheaf_plughost_t *host;
    sheaf_snapshot_t *snapshot;
    sheaf_dispatch_t *dispatch; /* NULL: not in use yet */
    sheaf_p_worker_t *instances;
    uint32_t count;           /* that are open */
    sheaf_chain_t global;     /* everywhere */
    sheaf_chain_t *endpoints; /* with those that are everywhere */
    sheaf_chain_t *routes;
};

struct sheaf_plughost {
    sheaf_plughost_env_t env;
    sheaf_handles_t handles;
    sheaf_link_t guests;       /* all that are open: in use, of older requests, of a reload that is pending */
    sheaf_pool_t *scratch;     /* what a hook borrows until it returns */
    bool is_used;              /* scratch is */
    sheaf_p_worker_t *current; /* whose code runs; NULL: none */
};

/* The one of this process: functions that take a handle find it here. */
extern sheaf_plughost_t *sheaf_the_plughost;

/* Code of `instance` is about to run, and has run. */
sheaf_p_worker_t *sheaf_plug_enter(sheaf_p_worker_t *instance);
void sheaf_plug_leave(sheaf_p_worker_t *instance, sheaf_p_worker_t *before);

/* A plugin broke the contract: counted, and logged with its name. */
void sheaf_plug_fault(const sheaf_p_worker_t *instance, const char *what);

/* --- plugask: who is asked about what --- */

typedef enum sheaf_stage {
    SHEAF_STAGE_REQUEST,
    SHEAF_STAGE_BATCH,
    SHEAF_STAGE_ITEM,
    SHEAF_STAGE_RESULT,
    SHEAF_STAGE_BODY,
    SHEAF_STAGE_DONE,
} sheaf_stage_t;

typedef struct sheaf_guest {
    sheaf_p_ref_t ref;
    sheaf_guests_t *guests;
    sheaf_caller_t *caller;
    sheaf_item_t *item;          /* NULL: it is a request */
    struct sheaf_guest *request; /* of an item */
    sheaf_chain_t first, then;   /* who is asked, in this order */
    sheaf_stage_t stage;
    uint32_t at;             /* who is next */
    sheaf_p_worker_t *asker; /* who was asked last */
    bool is_asking;          /* its hook runs */
    bool is_told;            /* its on_result runs */
    bool is_keeping;         /* an item's: somebody wants its body */
    bool is_replaced;        /* and is told just now that another answer took its place */
    uint32_t outdated;       /* so many, from the last on, saw one that was replaced: of a body they hear no more */
    bool is_waiting;         /* it said LATER */
    bool is_resumed, is_given, is_faulty;
    bool owns_question, owns_result; /* headers were copied before they were changed */
    uint32_t attribute_count;
    sheaf_given_t given;
    sheaf_headers_t fields;  /* of `given` */
    sheaf_headers_t hidden;  /* names that an item does not inherit */
    sheaf_headers_t vouched; /* names of fields that plugins gave it */
    sheaf_headers_t attributes;
    sheaf_task_t go; /* of a request */
    bool knows_client;
    uint8_t client[16];
} sheaf_guest_t;

void sheaf_plugask_init(sheaf_hooks_t *hooks);
/* Whoever was asked has more to say: on with it, from the soon-queue. */
void sheaf_plugask_go_on(sheaf_guest_t *guest);
/* What lives as long as the guest. */
sheaf_pool_t *sheaf_guest_pool(const sheaf_guest_t *guest);

static inline sheaf_guest_t *sheaf_guest_of(sheaf_p_ref_t ref)
{
    return sheaf_handles_find(&sheaf_the_plughost->handles, SHEAF_HANDLE_ASKED, ref.value);
}

/* Now is the time, and whoever speaks is the one: its hook runs, or it is what is waited for. What one plugin holds no
 * other may release, answer or change. */
static inline bool sheaf_guest_is_open(const sheaf_guest_t *guest)
{
    return guest->is_asking || (guest->is_waiting && guest->guests->host->current == guest->asker);
}

/* --- plugapi, plugfacts, plughead, plugwait: what plugins may ask for --- */

static inline sheaf_p_str_t sheaf_plug_str(sheaf_str_t text)
{
    return sheaf_p_str(text.base != NULL ? text.base : "", text.len);
}

/* Memory that is there until the hook returns. */
sheaf_pool_t *sheaf_plug_scratch(void);

/* The client's request; the item that is meant: a direct request is its item, and the other way round. */
const sheaf_outer_t *sheaf_plug_outer(const sheaf_guest_t *guest);
const sheaf_item_t *sheaf_plug_item(const sheaf_guest_t *guest);

int sheaf_plugfacts_text(sheaf_p_ref_t ref, sheaf_p_text_t what, sheaf_p_str_t *ret_text);
int sheaf_plugfacts_number(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t *ret_number);
int sheaf_plugfacts_client_address(sheaf_p_ref_t ref, uint8_t ret_address[16]);

extern const sheaf_p_api_t sheaf_plugapi;

int sheaf_plugbody(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t *ret_body);
int sheaf_plugbody_set(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t body);
int sheaf_plugbody_keep(sheaf_p_ref_t ref, uint64_t max_bytes);

int sheaf_plughead_get(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, uint32_t nth,
                       sheaf_p_str_t *ret_value);
int sheaf_plughead_at(sheaf_p_ref_t ref, sheaf_p_part_t part, uint32_t index, sheaf_p_str_t *ret_name,
                      sheaf_p_str_t *ret_value);
int sheaf_plughead_set(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value);
int sheaf_plughead_add(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value);
int sheaf_plughead_remove(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name);

/* Of each instance by its counters; found once, counted by place. */
void sheaf_plugcount_find(sheaf_p_worker_t *instance);
void sheaf_plugcount_add(sheaf_p_worker_t *worker, uint32_t counter, uint64_t n);

sheaf_p_timer_t sheaf_plugwait_timer(sheaf_p_worker_t *worker, uint64_t after_ms, void (*on_time)(void *data),
                                     void *data);
void sheaf_plugwait_timer_stop(sheaf_p_worker_t *worker, sheaf_p_timer_t timer);
sheaf_p_watch_t sheaf_plugwait_watch(sheaf_p_worker_t *worker, int fd, uint32_t events,
                                     void (*on_event)(void *data, uint32_t events), void *data);
int sheaf_plugwait_watch_change(sheaf_p_worker_t *worker, sheaf_p_watch_t watch, uint32_t events);
void sheaf_plugwait_watch_stop(sheaf_p_worker_t *worker, sheaf_p_watch_t watch);
sheaf_p_call_t sheaf_plugcall(sheaf_p_worker_t *worker, const sheaf_p_request_t *request);
void sheaf_plugcall_cancel(sheaf_p_worker_t *worker, sheaf_p_call_t call);

/* Ends all that an instance waits for. */
typedef struct sheaf_wait { /* begins each of them */
    sheaf_link_t link;
    sheaf_p_worker_t *worker;
    uint64_t handle;
    void (*end)(struct sheaf_wait *wait);
    void (*use)(struct sheaf_wait *wait); /* the dispatch is there; NULL: nothing to it */
} sheaf_wait_t;

void sheaf_plugwait_begin(sheaf_wait_t *wait, sheaf_p_worker_t *worker, sheaf_handle_kind_t kind,
                          void (*end)(sheaf_wait_t *wait));
void sheaf_plugwait_over(sheaf_wait_t *wait);
sheaf_wait_t *sheaf_plugwait_find(sheaf_p_worker_t *worker, sheaf_handle_kind_t kind, uint64_t handle);

#endif
