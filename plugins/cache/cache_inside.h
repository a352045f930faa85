/* cache/cache_inside.h - what the rooms of the cache share that know the host.
 *
 *   on_item -> ask -> decide --fresh, or stale and permitted--> ANSWERED
 *                       |--> BYPASS             not for the cache
 *                       |--> ALONE              to the backend; its answer may be stored
 *                       |--> LEADING            to the backend, others wait for what it brings
 *                       |      '--on_result--> PASSING    a direct request's: its body passes to the client and is copied
 *                       |--> VALIDATING         the cache asks the backend itself whether its answer still holds
 *                       '--> WAITING            for the one that leads, or validates
 *                                |--its flight has landed, or time is over--> decide again, alone from now on
 *
 * An ask lives from on_item to on_result (PASSING: on_body), or on_done of its request; a flight as long as the ask or the call that leads it. */
#ifndef CACHE_INSIDE_H
#define CACHE_INSIDE_H

#include "plugins/cache/cache_store.h"

typedef enum cache_counter {
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_STALE,
    CACHE_COLLAPSED,
    CACHE_VALIDATED,
    CACHE_STORED,
    CACHE_INVALIDATED,
    CACHE_BYPASSED,
} cache_counter_t;

typedef enum cache_role {
    CACHE_ROLE_BYPASS,
    CACHE_ROLE_ANSWERED,
    CACHE_ROLE_ALONE,
    CACHE_ROLE_LEADING,
    CACHE_ROLE_VALIDATING,
    CACHE_ROLE_WAITING,
    CACHE_ROLE_PASSING,
} cache_role_t;

typedef struct cache cache_t;
typedef struct cache_ask cache_ask_t;
typedef struct cache_flight cache_flight_t;

/* The asks of one request. */
typedef struct cache_visit {
    struct cache_visit *next; /* in its bucket */
    uint64_t request;
    cache_ask_t *asks;
} cache_visit_t;

/* An item that was asked about. */
struct cache_ask {
    cache_t *cache;
    sheaf_p_ref_t item;
    cache_ask_t *next;            /* in its bucket */
    cache_ask_t *sibling, *elder; /* of its visit */
    cache_visit_t *visit;
    cache_role_t role;
    char *uri, *place; /* NULL: BYPASS */
    cache_head_t question;
    cache_control_t control;
    int is_head, is_personal, is_direct;
    int is_alone;         /* leads nobody, waits for nobody */
    int is_unconditional; /* its conditions were taken from what the backend is asked: they are judged here */
    const char *forward;  /* why it goes to the backend, as Cache-Status says (RFC 9211 2.2) */
    int64_t asked_s;
    uint64_t asked_ms;
    cache_flight_t *flight; /* LEADING, VALIDATING, WAITING */
    cache_ask_t *next_waiting;
    sheaf_p_timer_t timer; /* WAITING */
    /* PASSING: the answer, as far as it is here */
    uint32_t status;
    cache_head_t head;
    uint64_t passing_bytes;
    int is_led;
};

/* A question to the backend that others wait for. */
struct cache_flight {
    cache_t *cache;
    cache_flight_t *next; /* all of them, in its bucket */
    char *uri, *place;
    cache_ask_t *leader; /* NULL: a call in the background */
    cache_ask_t *waiting;
    /* the cache's own call; NULL question: none */
    int is_calling;
    sheaf_p_call_t call;
    cache_head_t question;
    uint64_t serial; /* of the entry it asks about */
    int64_t asked_s;
    uint64_t asked_ms; /* when it began */
};

#define CACHE_BUCKETS 1024u

struct cache {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    cache_store_t *store;
    uint8_t secret[16];
    /* configuration */
    cache_limits_t limits;
    uint32_t heuristic, max_waiting;
    uint64_t collapse_ms, mark_ms;
    int obeys, says_status, validates;
    const sheaf_p_str_t *identity, *keyed;
    uint32_t identity_count, keyed_count;
    /* what is under way */
    cache_visit_t *visits[CACHE_BUCKETS];
    cache_ask_t *asks[CACHE_BUCKETS];
    cache_flight_t *flights[CACHE_BUCKETS];
    uint32_t waiting;
    uint64_t passing_bytes; /* that copies may take; at most as much as the store */
};

/* --- cache_ask.c --- */

/* A new ask about an item: what is asked, by whom. Its role is BYPASS where the cache has no say; NULL: no memory. */
cache_ask_t *cache_ask_new(cache_t *cache, sheaf_p_ref_t item);
cache_ask_t *cache_ask_find(cache_t *cache, sheaf_p_ref_t item);
/* Leaves its flight first. */
void cache_ask_free(cache_ask_t *ask);
/* All of a request. */
void cache_ask_end_all(cache_t *cache, sheaf_p_ref_t request);
void cache_ask_end_everything(cache_t *cache);
/* Scheme, host, path and query; NULL: no memory, or too long. To be freed. */
char *cache_ask_uri(const cache_t *cache, sheaf_p_ref_t item);
int cache_ask_head(const cache_t *cache, sheaf_p_ref_t item, sheaf_p_part_t part, cache_head_t *ret_head);
/* Is `question`, which was sent, another one than was looked for: by its target, a field of the key, or a body? */
int cache_ask_is_moved(const cache_ask_t *ask, const cache_head_t *question);
/* How long it may go on until its deadline; UINT64_MAX: nobody knows. */
uint64_t cache_ask_left_ms(const cache_ask_t *ask);
int cache_ask_is_personal(const cache_t *cache, sheaf_p_ref_t item, const cache_head_t *question);

/* --- cache_decide.c --- */

/* What becomes of it: ANSWER, PASS (to the backend) or LATER. `has_failed`: the backend just did. */
sheaf_p_verdict_t cache_decide(cache_ask_t *ask, int has_failed);
/* It is about to go to the backend: asks that for the whole, where the answer may be stored. */
void cache_unconditional(cache_ask_t *ask);
/* What is stored for it, and may be given to whoever asks it; NULL: nothing. */
cache_entry_t *cache_find(cache_ask_t *ask);
int64_t cache_age_s(const cache_t *cache, const cache_entry_t *entry);

/* --- cache_flight.c --- */

cache_flight_t *cache_flight_find(cache_t *cache, const char *uri, const char *place);
/* `leader` may be NULL. NULL: no memory. */
cache_flight_t *cache_flight_new(cache_t *cache, const char *uri, const char *place, cache_ask_t *leader);
/* 0, or -1: too many wait already. */
int cache_flight_wait(cache_flight_t *flight, cache_ask_t *ask);
void cache_flight_leave(cache_ask_t *ask);
/* Is it under way for so long that nobody should wait for it any more? */
int cache_flight_is_overdue(const cache_flight_t *flight);

typedef enum cache_landing_kind {
    CACHE_LANDED,
    CACHE_FAILED,   /* the backend did */
    CACHE_DESERTED, /* whoever led went away: another leads instead */
} cache_landing_kind_t;

/* Whoever waits decides anew; frees it. */
void cache_flight_land(cache_flight_t *flight, cache_landing_kind_t how);
/* One nobody waits for. */
void cache_flight_drop(cache_flight_t *flight);
/* Without a word to anybody. */
void cache_flight_end_all(cache_t *cache);

/* --- cache_refresh.c --- */

/* Asks the backend of `ask` whether `entry` still holds, for `flight`. 0, or -1: it cannot. */
int cache_refresh_start(cache_flight_t *flight, const cache_ask_t *ask, const cache_entry_t *entry);

/* --- cache_keep.c --- */

/* An answer that is here, to be stored or not. */
typedef struct cache_landing {
    const char *uri, *place;
    const cache_head_t *question;
    int is_personal;
    int is_led;     /* others waited for it */
    int is_changed; /* the question is not the one that was looked for, in what the answer depends on */
    int64_t asked_s;
    uint64_t asked_ms;
    uint32_t status;
    const cache_head_t *head;
    sheaf_p_str_t body;
} cache_landing_t;

/* NULL: stored; else why not. Marks what is not worth waiting for. */
const char *cache_keep(cache_t *cache, const cache_landing_t *landing);
/* The same of a head whose body is still to come: NULL: it would be stored. */
const char *cache_keep_would(cache_t *cache, const cache_landing_t *landing);
/* It will not be stored, whatever its head says: marks it, and forgets what is stale beside it. */
void cache_keep_not(cache_t *cache, const cache_landing_t *landing);
/* A 304 for `entry` is here. 0: it holds again; -1: it does not, and is gone. */
int cache_keep_refresh(cache_t *cache, cache_entry_t *entry, const cache_landing_t *not_modified);
/* An unsafe method has succeeded (4.4). */
void cache_keep_invalidate(cache_t *cache, sheaf_p_ref_t item);

/* --- cache_pass.c --- */

/* The answer of `landing` (no body yet) is a direct request's: has its body copied while it passes. NULL: it is PASSING. */
const char *cache_pass(cache_ask_t *ask, const cache_landing_t *landing, cache_head_t *head);
/* How its question to the backend has ended. */
cache_landing_kind_t cache_pass_ended(const cache_ask_t *ask);
/* It came, or will not: stores it, and whoever waited has it. Frees the ask. */
void cache_pass_end(cache_ask_t *ask);

/* --- cache_tell.c --- */

/* Answers from the store; `how`: what Cache-Status says behind the name. */
sheaf_p_verdict_t cache_tell(cache_ask_t *ask, const cache_entry_t *entry, const char *how);
/* Whoever asked has what the backend answered with `head`: 304 takes the place of that. 0, or -1: it stays. */
int cache_tell_not_modified(const cache_ask_t *ask, const cache_head_t *head);
/* Adds Cache-Status to what another has answered; `is_not_modified`: a 304 stands for it. */
void cache_tell_forwarded(const cache_ask_t *ask, const char *refusal, int is_not_modified);

#endif
