/* tests/plugins/host_inside.h - what the rooms of the fake host share. */
#ifndef SHEAF_TESTS_PLUGINS_HOST_INSIDE_H
#define SHEAF_TESTS_PLUGINS_HOST_INSIDE_H

#include "tests/plugins/host.h"

#define HOST_TEXTS    (SHEAF_P_CERTIFICATE + 1)
#define HOST_NUMBERS  (SHEAF_P_LEFT_MS + 1)
#define HOST_COUNTERS 16

typedef struct host_field {
    char *name, *value;
    size_t value_len;
    struct host_field *next;
} host_field_t;

/* A request or an item. */
typedef struct host_thing {
    uint64_t value; /* its handle */
    host_t *host;
    struct host_thing *request, *next; /* request: itself when it is one */
    host_field_t *heads[4];            /* of CLIENT and REPLY the request's are meant */
    host_field_t *attributes;
    char *bodies[4];
    char *texts[HOST_TEXTS];
    int has_number[HOST_NUMBERS];
    int64_t numbers[HOST_NUMBERS];
    int is_item, in_item, in_result, in_body, is_kept, is_whole, is_replaced;
    int64_t kept;
    host_outcome_t outcome;
} host_thing_t;

typedef struct host_timer {
    uint64_t value, due;
    void (*on_time)(void *data);
    void *data;
    struct host_timer *next;
} host_timer_t;

typedef struct host_watch {
    uint64_t value;
    int fd;
    uint32_t events;
    void (*on_event)(void *data, uint32_t events);
    void *data;
    struct host_watch *next;
} host_watch_t;

typedef struct host_wait {
    uint64_t value;
    sheaf_p_request_t request;
    sheaf_p_field_t *fields;
    struct host_wait *next;
} host_wait_t;

typedef struct host_loan {
    void *memory;
    struct host_loan *next;
} host_loan_t;

struct sheaf_p_worker {
    const sheaf_plugin_t *plugin;
    host_t *first; /* whose values and shared memory these are */
    void *self, *shared;
    uint64_t shared_bytes;
    uint32_t number, workers;
    sheaf_p_value_t *values;
    char fail[320];

    host_thing_t *things;
    host_timer_t *timers;
    host_watch_t *watches;
    host_wait_t *calls;
    uint64_t now;
    int64_t wall;
    uint64_t counted[HOST_COUNTERS];
    char *log, *told;
    host_loan_t *loans;
    uint32_t requests;
};

/* Ends the test. */
_Noreturn void host_wrong(const char *what, const char *name);
uint64_t host_next_handle(void);
void *host_alloc(size_t len);
char *host_copy(const char *base, size_t len);
/* A copy that is freed when the hook ends. */
sheaf_p_str_t host_lend(host_t *host, const char *base, size_t len);
void host_loans_end(host_t *host);
/* Ends the test when it is stale. */
host_thing_t *host_living(sheaf_p_ref_t ref);
void host_thing_free(host_thing_t *thing);

/* host_values.c */
void host_values_free(host_t *host);
int host_values_missing(host_t *host, char *ret_key, size_t room);
int host_network(const char *text, uint8_t ret_address[16], uint32_t *ret_bits);

/* host_heads.c: that part of the api */
host_thing_t *host_thing(sheaf_p_ref_t ref); /* NULL: stale */
/* Puts `instead` in the place of `host` among those that live; NULL: a free place. */
void host_known(host_t *host, host_t *instead);
host_field_t **host_head(host_thing_t *thing, sheaf_p_part_t part);
void host_field_add(host_field_t **head, const char *name, const char *value, size_t len);
void host_field_remove(host_field_t **head, const char *name);
void host_fields_free(host_field_t **head);
void host_heads_api(sheaf_p_api_t *api);

/* host_facts.c: that part of the api */
void host_facts_api(sheaf_p_api_t *api);

/* host_time.c: that part of the api */
void host_time_api(sheaf_p_api_t *api);
void host_time_free(host_t *host);

#endif
