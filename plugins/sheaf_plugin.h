/* plugins/sheaf_plugin.h - what a plugin and Sheaf know of each other. Version 1.0.
 *
 *   client's request --on_request--> read --on_batch--> items --on_item--> backend --on_result--> answer --on_done-->
 *                                                                                        '- on_body, where it was asked for
 *
 * A plugin is one constant (sheaf_plugin_t): its name, its configuration keys, its hooks. Sheaf reads and checks the keys, opens
 * the plugin once in every worker for each place it is configured at, and calls its hooks on that worker's thread. A direct
 * request is a request with one item. A plugin includes this header and nothing else of Sheaf.
 *
 * Compatibility: Sheaf refuses another major version. A minor version only appends: to the end of structs, whose `size` tells
 * where they end, and to enums; structs without `size` stay as they are. A plugin that uses what a later minor brought says so in
 * abi_minor and is refused by an older Sheaf.
 *
 * Handles (sheaf_p_ref_t and the like) are numbers, never pointers. One that has ended is recognised: every function that takes
 * it then does nothing and says so, so a late resume() harms nobody. 0 is never a handle.
 *
 * Texts are not NUL-terminated unless `const char *`. What a function returns through `ret_` is borrowed until the hook or callback
 * in which it was asked for returns; what a plugin hands in is copied.
 *
 * Never block: one thread serves all requests of a worker. Wait with SHEAF_P_LATER and a timer, a watched descriptor or a
 * call. Hooks of one plugin never nest; a function of sheaf_p_api_t never calls a hook from inside. */
#ifndef SHEAF_PLUGIN_H
#define SHEAF_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define SHEAF_P_ABI_MAJOR 1
#define SHEAF_P_ABI_MINOR 0

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_p_str {
    const char *base;
    size_t len;
} sheaf_p_str_t;

/* A client's request, or one item of it. Wherever both are taken an item stands for its request too. */
typedef struct sheaf_p_ref {
    uint64_t value;
} sheaf_p_ref_t;

typedef struct sheaf_p_timer {
    uint64_t value;
} sheaf_p_timer_t;

typedef struct sheaf_p_watch {
    uint64_t value;
} sheaf_p_watch_t;

typedef struct sheaf_p_call {
    uint64_t value;
} sheaf_p_call_t;

/* The worker a plugin was opened in. */
typedef struct sheaf_p_worker sheaf_p_worker_t;

/* --- configuration: declared by the plugin, read by Sheaf --- */

typedef enum sheaf_p_type {
    SHEAF_P_TEXT = 0,     /* text */
    SHEAF_P_BOOL = 1,     /* number: 0 or 1 */
    SHEAF_P_NUMBER = 2,   /* number, min to max */
    SHEAF_P_DURATION = 3, /* number: milliseconds, min to max; written 250ms, 2s, 1m, 1h */
    SHEAF_P_SIZE = 4,     /* number: bytes, min to max; written 64KiB */
    SHEAF_P_WORD = 5,     /* one of `words`; number: which, from 0; text: the word */
    SHEAF_P_TEXTS = 6,    /* texts, count of them */
    SHEAF_P_FILE =
        7, /* text: what the file held when the configuration was loaded; path: where. Read again on reload */
    SHEAF_P_NETWORKS = 8,  /* networks, count of them; written 10.0.0.0/8, 2001:db8::1 */
    SHEAF_P_UPSTREAM = 9,  /* the name of an upstream; number: what sheaf_p_request_t.upstream takes */
    SHEAF_P_TEMPLATE = 10, /* text with ${...}, checked; for expand() */
    SHEAF_P_FIELDS = 11,   /* a mapping of names to templates: texts, name and value in turns, count of both together */
    SHEAF_P_LIST = 12,     /* a list of sections with `keys`: count of them in `sections` */
    SHEAF_P_SECTION = 13,  /* one section with `keys`, in `sections` */
} sheaf_p_type_t;

/* `name`, `use`, `file` and `everywhere` are keys of Sheaf's own. */
typedef struct sheaf_p_key {
    const char *name;   /* as written in YAML */
    uint32_t type;      /* sheaf_p_type_t */
    uint32_t required;  /* not 0: its absence is an error */
    const char *preset; /* the default as YAML text; NULL: none */
    int64_t min, max;   /* NUMBER, DURATION, SIZE; both 0: any that is not negative. NUMBER: min may be below 0 */
    const char *words;  /* WORD: "token_bucket|sliding_window" */
    const char *manual; /* a sentence or more, for `sheaf keys` */
    const struct sheaf_p_key *keys; /* LIST, SECTION; ends with a key whose name is NULL */
} sheaf_p_key_t;

/* An address range; IPv4 is mapped (::ffff:10.0.0.0/104). */
typedef struct sheaf_p_network {
    uint8_t address[16];
    uint32_t bits;
} sheaf_p_network_t;

/* The value of a key. Values stand in the order of the keys. A NUL follows each text besides. */
typedef struct sheaf_p_value {
    uint32_t is_set; /* written, or a default stands for it */
    uint32_t count;
    int64_t number;
    sheaf_p_str_t text, path;
    const sheaf_p_str_t *texts;
    const sheaf_p_network_t *networks;
    const struct sheaf_p_value *const *sections; /* of each its values, in the order of its keys */
} sheaf_p_value_t;

/* --- what can be asked about a request or an item --- */

/* Which head is meant. */
typedef enum sheaf_p_part {
    SHEAF_P_CLIENT = 0,   /* the client's request; read only */
    SHEAF_P_QUESTION = 1, /* an item's request to its backend: to be changed in on_item */
    SHEAF_P_RESULT = 2,   /* an item's answer: to be changed in on_result, or with answer() */
    SHEAF_P_REPLY = 3,    /* the head of the answer to the client: to be added to from on_request on until it is sent */
} sheaf_p_part_t;

typedef enum sheaf_p_text {
    SHEAF_P_REQUEST_ID = 0,
    SHEAF_P_METHOD = 1, /* an item's; else the client's */
    SHEAF_P_PATH = 2,  /* normalised, as it was routed: an item's; else, and where it could not be routed, as it came */
    SHEAF_P_QUERY = 3, /* behind the '?' of that */
    SHEAF_P_TARGET = 4, /* path and query as an item's backend gets them */
    SHEAF_P_ROUTE = 5,  /* an item's template, /users/{id}; not known where the method or the path has none */
    SHEAF_P_UPSTREAM_NAME = 6,
    SHEAF_P_ENDPOINT = 7, /* path of the endpoint; empty for a direct request */
    SHEAF_P_ITEM_ID = 8,
    SHEAF_P_CLIENT_IP = 9, /* whom trusted proxies say, else the peer */
    SHEAF_P_PEER_IP = 10,
    SHEAF_P_SCHEME = 11,      /* http or https: as trusted proxies say, else as it came */
    SHEAF_P_HOST = 12,        /* the client's Host */
    SHEAF_P_ERROR = 13,       /* why an item, or the request, failed here: "timeout"; empty when a backend answered */
    SHEAF_P_CERTIFICATE = 14, /* subject of the client's verified certificate */
} sheaf_p_text_t;

typedef enum sheaf_p_number {
    SHEAF_P_STATUS = 0, /* of the item's result; else of the answer; 0: not known yet */
    SHEAF_P_ITEMS = 1,  /* of the request, from on_batch on */
    SHEAF_P_INDEX = 2,  /* of the item */
    SHEAF_P_IS_DIRECT = 3,
    SHEAF_P_ELAPSED_US = 4,   /* of the item since it was sent; else of the request */
    SHEAF_P_BYTES_IN = 5,     /* body of the client's request */
    SHEAF_P_BYTES_OUT = 6,    /* of the answer, so far */
    SHEAF_P_HTTP_VERSION = 7, /* of the client: 10, 11, 20 */
    SHEAF_P_BODY_BYTES = 8,   /* of the item's result */
    SHEAF_P_UPSTREAM_ID = 9,  /* an item's, as sheaf_p_request_t.upstream takes it */
    SHEAF_P_LEFT_MS = 10, /* until the deadline of the item ends it, waiting for a plugin included; 0: none is left */
} sheaf_p_number_t;

/* --- what hooks say --- */

typedef enum sheaf_p_verdict {
    SHEAF_P_PASS = 0, /* go on with the next plugin */
    SHEAF_P_ANSWER =
        1, /* answer() or problem() was called: that is the answer, no further plugin is asked and no backend */
    SHEAF_P_LATER = 2, /* resume(), answer() or problem() will be called; until then this request or item waits. What
                           never comes is ended by its deadline, and the log names the plugin. */
} sheaf_p_verdict_t;

typedef enum sheaf_p_level {
    SHEAF_P_DEBUG = 0,
    SHEAF_P_INFO = 1,
    SHEAF_P_WARN = 2,
    SHEAF_P_ERROR_LEVEL = 3,
} sheaf_p_level_t;

#define SHEAF_P_READABLE 1u
#define SHEAF_P_WRITABLE 2u

/* A field of a head. */
typedef struct sheaf_p_field {
    sheaf_p_str_t name, value;
} sheaf_p_field_t;

/* A request of the plugin's own, through an upstream of the configuration. */
typedef struct sheaf_p_request {
    uint32_t size; /* sizeof(sheaf_p_request_t) */
    uint32_t field_count;
    int64_t upstream; /* of an UPSTREAM value */
    sheaf_p_str_t method, target;
    const sheaf_p_field_t *fields;
    sheaf_p_str_t body;  /* base NULL: none */
    uint64_t timeout_ms; /* 0: the upstream's */
    uint64_t max_bytes;  /* of the answer; more is an error. At most 16 MiB */
    void *data;
    /* Once, unless cancelled; never from inside call(). status 0: `error` says why; "answer-too-large": it is more than max_bytes. */
    void (*on_answer)(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error);
    /* An item: sent to its upstream, with the Host that its backend is sent; `upstream` is -1 then. What the item's route keeps from
     * its backends is left out of `fields`, what it keeps from its clients out of the answer, in which places are as the client sees
     * them. Value 0: none. */
    sheaf_p_ref_t like;
} sheaf_p_request_t;

/* --- what Sheaf does for a plugin --- */

typedef struct sheaf_p_api {
    uint32_t size; /* sizeof(sheaf_p_api_t) of the running Sheaf */
    uint16_t major, minor;

    /* Heads. Names in any case. 1: there is one; 0: no. `nth` counts from 0 among those of that name. */
    int (*header)(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, uint32_t nth, sheaf_p_str_t *ret_value);
    int (*header_at)(sheaf_p_ref_t ref, sheaf_p_part_t part, uint32_t index, sheaf_p_str_t *ret_name,
                     sheaf_p_str_t *ret_value);
    /* In place of all of that name; beside them; none of them. 0, or -1: not now, not this part, or no valid field (RFC 9110 5).
     * Framing, hop-by-hop and trust fields (X-Forwarded-*) are Sheaf's and refused. Of a REPLY all plugins together may change 256
     * times, and not once its head is made. */
    int (*header_set)(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value);
    int (*header_add)(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value);
    int (*header_remove)(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name);

    /* Facts. 1, or 0: not known (yet), and the result is empty. */
    int (*text)(sheaf_p_ref_t ref, sheaf_p_text_t what, sheaf_p_str_t *ret_text);
    int (*number)(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t *ret_number);
    /* IPv4-mapped; as SHEAF_P_CLIENT_IP. 0: not known, as of a peer on a Unix socket that vouches for nobody. */
    int (*client_address)(sheaf_p_ref_t ref, uint8_t ret_address[16]);
    /* Bodies: of CLIENT, QUESTION, RESULT. 0: none, or one that is streamed. In on_body RESULT's is 1 when it came whole, also
     * where it is empty. */
    int (*body)(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t *ret_body);
    /* In on_item: the QUESTION's. 0 or -1. */
    int (*body_set)(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t body);
    /* In on_result: this answer's body is wanted in on_body, if it has at most `max_bytes`. A direct request's is copied then as it
     * passes to the client; the copy goes at once when the answer is longer, or limits.memory is near. Where several plugins
     * ask, the largest bound holds: look at the length. 0, or -1: not now, or it says itself that it is longer. */
    int (*keep_body)(sheaf_p_ref_t item, uint64_t max_bytes);
    /* In on_item: all parameters of that name leave the query that the backend gets, however they are encoded. It is not routed
     * again. How many they were, or -1: not now. */
    int (*query_remove)(sheaf_p_ref_t item, const char *name);
    /* The item's request, or the request itself. */
    sheaf_p_ref_t (*request_of)(sheaf_p_ref_t ref);

    /* Attributes: what plugins have found out, such as who is asking ("user", "scope", "consumer"). No header of a client can
     * set one. Those of a request hold for all its items; an item may have its own. 0 or -1; 1 or 0. */
    int (*set)(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t value);
    int (*get)(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t *ret_value);

    /* The text of a TEMPLATE or a value of FIELDS, filled in. 1, or 0: what it names is not there, or is an attribute that
     * was set to nothing. */
    int (*expand)(sheaf_p_ref_t ref, sheaf_p_str_t text, sheaf_p_str_t *ret_text);

    /* Instead of the backend, or (for a request) of the whole batch. Fields may be set on RESULT (an item) or REPLY (a request)
     * afterwards. 0, or -1: answered already, or too late: that is a fault of the plugin and gives 500. In on_result: in the place
     * of the answer that is here; nothing of that remains, and what still comes of it is dropped. */
    int (*answer)(sheaf_p_ref_t ref, uint32_t status, const char *content_type, sheaf_p_str_t body);
    /* The same as application/problem+json (RFC 9457): `slug` ends its type, `detail` is a sentence. */
    int (*problem)(sheaf_p_ref_t ref, uint32_t status, const char *slug, const char *detail);
    /* After SHEAF_P_LATER: on with the next plugin (or with the answer that was given meanwhile). 0, or -1: it has ended. */
    int (*resume)(sheaf_p_ref_t ref);

    /* Time: monotonic milliseconds; seconds since 1970. */
    uint64_t (*now_ms)(sheaf_p_worker_t *worker);
    int64_t (*wall_s)(sheaf_p_worker_t *worker);
    sheaf_p_timer_t (*timer_start)(sheaf_p_worker_t *worker, uint64_t after_ms, void (*on_time)(void *data),
                                   void *data);
    void (*timer_stop)(sheaf_p_worker_t *worker, sheaf_p_timer_t timer);

    /* A descriptor of the plugin's, non-blocking; `events` of SHEAF_P_READABLE, SHEAF_P_WRITABLE. Stop before closing it. */
    sheaf_p_watch_t (*watch)(sheaf_p_worker_t *worker, int fd, uint32_t events,
                             void (*on_event)(void *data, uint32_t events), void *data);
    int (*watch_change)(sheaf_p_worker_t *worker, sheaf_p_watch_t watch, uint32_t events);
    void (*watch_stop)(sheaf_p_worker_t *worker, sheaf_p_watch_t watch);

    sheaf_p_call_t (*call)(sheaf_p_worker_t *worker, const sheaf_p_request_t *request);
    void (*call_cancel)(sheaf_p_worker_t *worker, sheaf_p_call_t call);

    /* `counter` is an index of sheaf_plugin_t.counters. */
    void (*count)(sheaf_p_worker_t *worker, uint32_t counter, uint64_t n);
    /* One line: controls are escaped, the plugin is named. */
    void (*log)(sheaf_p_worker_t *worker, sheaf_p_level_t level, const char *text);
    /* Fills with unpredictable bytes. */
    void (*random)(void *dst, size_t len);
} sheaf_p_api_t;

/* How an instance is opened. */
typedef struct sheaf_p_open {
    uint32_t size;          /* sizeof(sheaf_p_open_t) of the running Sheaf */
    uint32_t worker_number; /* from 0 */
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const sheaf_p_value_t *values; /* of the plugin's keys; good until close */
    void *shared; /* memory that all workers see, zeroed at first: only atomics, no pointers; NULL: shared_bytes is 0 */
    uint64_t shared_bytes;
} sheaf_p_open_t;

typedef struct sheaf_p_counter {
    const char *name;   /* "refused": sheaf_plugin_refused_total{plugin="NAME"} */
    const char *manual; /* a sentence */
} sheaf_p_counter_t;

/* Why an instance cannot be: `key` and a sentence. */
typedef struct sheaf_p_fail {
    char key[64];
    char why[192];
} sheaf_p_fail_t;

/* --- what a plugin is --- */

/* What Sheaf must know of a plugin to see that a configuration is safe. Without a word it takes it for a guard. */
typedef enum sheaf_p_trait {
    /* It keeps nobody out: what gets past it does no harm. Any other that has on_request or on_batch must have on_item to stand
     * at a route that batches lead to, or items would get past it. */
    SHEAF_P_GUARDS_NOTHING = 1,
    /* In on_item it answers with what a backend once said. Guards must be asked before it, wherever both are. */
    SHEAF_P_REPLAYS = 2,
    /* It goes by what answers say of being kept. A route that keeps Cache-Control or Vary from its clients keeps it from plugins as
     * well, and is refused where this one stands. */
    SHEAF_P_HEEDS_ANSWERS = 4,
} sheaf_p_trait_t;

typedef struct sheaf_plugin {
    uint32_t size;                       /* sizeof(sheaf_plugin_t) */
    uint16_t abi_major, abi_minor;       /* SHEAF_P_ABI_MAJOR, and the least minor it can do with */
    const char *name, *version, *manual; /* manual: what it does, in a sentence */
    const sheaf_p_key_t *keys;           /* ends with a key whose name is NULL; NULL: takes none */
    const sheaf_p_counter_t *counters;   /* ends with one whose name is NULL; at most 16; NULL: none */

    /* All may be NULL. In the process that loads the configuration: what keys alone do not say. 0, or -1 and `fail`. */
    int (*check)(const sheaf_p_value_t *values, sheaf_p_fail_t *fail);
    uint64_t (*shared_bytes)(const sheaf_p_value_t *values);

    /* In every worker, for each place it is configured at. NULL refuses: the configuration is not taken, `fail` says why. */
    void *(*open)(const sheaf_p_open_t *open, sheaf_p_fail_t *fail);
    void (*close)(
        void *self); /* nothing of it waits any more; timers, watches and calls that are left are ended by Sheaf */

    /* The head of a request is here, its body has not been looked at. */
    sheaf_p_verdict_t (*on_request)(void *self, sheaf_p_ref_t request);
    /* Its items are known and none has been sent. */
    sheaf_p_verdict_t (*on_batch)(void *self, sheaf_p_ref_t request);
    /* An item is about to be sent: its dependencies have answered, its url is final. */
    sheaf_p_verdict_t (*on_item)(void *self, sheaf_p_ref_t item);
    /* Its answer is here, from a backend, from a plugin, or a failure; for a direct request its head. */
    void (*on_result)(void *self, sheaf_p_ref_t item);
    /* The body that keep_body() of any plugin asked for is here: body(item, SHEAF_P_RESULT) is 1. Or it will not be, and that is 0:
     * it was cut, it is too long, memory was short, its client went away first, another plugin's answer took its place. At most once
     * for an item, and always about the answer that on_result showed: who saw one that another plugin replaced hears at most that it
     * does not come, and nothing of the one that was put there. After on_result and before on_done; as soon as that is known, while its client
     * may still be reading. Nothing can be changed any more; the item, its status and its head can be read until on_done has
     * returned. */
    void (*on_body)(void *self, sheaf_p_ref_t item);
    /* The request is over, answered or not; after the last on_result and on_body. A direct request stands for its item here too. */
    void (*on_done)(void *self, sheaf_p_ref_t request);
    /* SIGUSR1 reached the gateway: what is open by name is opened anew. In every worker, and in instances of an older or a coming
     * configuration, too. */
    void (*on_reopen)(void *self);
    uint64_t traits; /* of sheaf_p_trait_t, together */
    /* Beside check: whom a guard lets pass with these values although it is there to stop them, as the end of a
     * sentence, "who has no token (`required: false`)", in memory of its own: no route may require it then. NULL:
     * nobody. */
    const char *(*lets_pass)(const sheaf_p_value_t *values);
} sheaf_plugin_t;

/* Defines the constant: `sheaf_plugin`, which is looked for in a shared object, or `sheaf_plugin_NAME` when the plugin is built
 * into Sheaf (-DSHEAF_P_BUILT_IN).
 *
 *   SHEAF_PLUGIN(hello) = {.size = sizeof(sheaf_plugin_t), .abi_major = SHEAF_P_ABI_MAJOR, .name = "hello", ...}; */
#ifdef SHEAF_P_BUILT_IN
#define SHEAF_PLUGIN(plugin_name)                                                                                      \
    extern const sheaf_plugin_t sheaf_plugin_##plugin_name;                                                            \
    const sheaf_plugin_t sheaf_plugin_##plugin_name
#else
#define SHEAF_PLUGIN(plugin_name)                                                                                      \
    extern const sheaf_plugin_t sheaf_plugin;                                                                          \
    __attribute__((visibility("default"))) const sheaf_plugin_t sheaf_plugin
#endif

static inline sheaf_p_str_t sheaf_p_str(const char *base, size_t len)
{
    sheaf_p_str_t s = {base, len};

    return s;
}

#ifdef __cplusplus
}
#endif

#endif
