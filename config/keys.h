/* config/keys.h - the structs that keys.def makes.
 *
 * struct sheaf_<section>_conf with one member per KEY; see keys.def for the type of each. Members are absent, zero or
 * their default when the key is not written. All of it belongs to the snapshot's pool. */
#ifndef SHEAF_CONFIG_KEYS_H
#define SHEAF_CONFIG_KEYS_H

#include <stdio.h>

#include "gateway/base/str.h"

typedef struct sheaf_cidr sheaf_cidr_t;
typedef struct sheaf_rewrite sheaf_rewrite_t;
typedef struct sheaf_stencil sheaf_stencil_t;

/* Where something was written, from 1; 0 = it was not. */
typedef struct sheaf_mark {
    uint32_t line, column;
} sheaf_mark_t;

/* Sections that switch something on by being there: their members have defaults all the same. */
static inline bool sheaf_mark_is_set(sheaf_mark_t mark)
{
    return mark.line != 0;
}

/* Where to listen: "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses), "unix:/path". */
typedef struct sheaf_address {
    sheaf_str_t text; /* as written; absent when the key is not there */
    sheaf_str_t host; /* "" = all; or the path when is_unix */
    uint16_t port;    /* 0 = any free one */
    bool is_unix;
} sheaf_address_t;

/* A file that the configuration names: read when it is loaded, see files.h. */
typedef struct sheaf_file {
    sheaf_str_t path;  /* as written; absent when the key is not there */
    sheaf_str_t bytes; /* NUL-terminated besides; owned by the snapshot */
} sheaf_file_t;

typedef struct sheaf_texts {
    sheaf_str_t *items;
    uint32_t count;
} sheaf_texts_t;

typedef struct sheaf_cidrs {
    sheaf_cidr_t *items;
    uint32_t count;
} sheaf_cidrs_t;

/* Header fields of an item: names in lower case. */
typedef struct sheaf_field_conf {
    sheaf_str_t name;
    sheaf_stencil_t *value;
    sheaf_mark_t mark; /* of the value */
} sheaf_field_conf_t;

typedef struct sheaf_fields {
    sheaf_field_conf_t *items;
    uint32_t count;
} sheaf_fields_t;

/* Statuses of an answer: 1 to 5 stand for a whole class, 100 to 599 for that status. */
typedef struct sheaf_statuses {
    uint16_t *items;
    uint32_t count;
} sheaf_statuses_t;

/* What an item waits for: as in a batch. */
typedef struct sheaf_edge_conf {
    sheaf_str_t id;
    uint16_t *statuses; /* 1 to 5: a whole class; 100 to 599: that status; NULL: 2xx */
    uint32_t status_count;
    sheaf_mark_t mark;
} sheaf_edge_conf_t;

typedef struct sheaf_edges {
    sheaf_edge_conf_t *items;
    uint32_t count;
} sheaf_edges_t;

/* Where a server is, from "http://host:port" or "unix:/path". */
typedef struct sheaf_server_url {
    sheaf_str_t host;      /* name or address literal, without brackets; the path when is_unix */
    sheaf_str_t authority; /* Host header: host, and the port unless it is the scheme's own; localhost when is_unix */
    uint16_t port;         /* 0 when is_unix */
    bool is_unix;
    bool is_tls;   /* https:// */
    bool has_port; /* it is written */
} sheaf_server_url_t;

typedef enum sheaf_hash_what {
    SHEAF_HASH_BY_PATH,
    SHEAF_HASH_BY_ID,
    SHEAF_HASH_BY_HEADER,
} sheaf_hash_what_t;

/* What of a request chooses its server. */
typedef struct sheaf_hash_by {
    sheaf_hash_what_t what;
    sheaf_str_t header; /* its name, lower-case; absent for the others */
} sheaf_hash_by_t;

/* When something is late: beyond a percentile of what it takes, or beyond a time. */
typedef struct sheaf_late {
    uint32_t per_mille; /* 500 to 999; 0: after_ms says it */
    uint64_t after_ms;
} sheaf_late_t;

/* What is configured of plugins at one place, in the order in which they are asked. */
typedef struct sheaf_plugins {
    const struct sheaf_plugin_conf **items;
    uint32_t count;
} sheaf_plugins_t;

/* --- enums --- */
#define ENUM(name)                                                                                                     \
    typedef enum sheaf_##name                                                                                          \
    {
#define WORD(value, text) value,
#define ENDENUM(name)                                                                                                  \
    }                                                                                                                  \
    sheaf_##name##_t;
#define SECTION(name)
#define KEY(name, type, fallback, min, max, manual)
#define END(name)
#include "config/keys.def"
#undef ENUM
#undef WORD
#undef ENDENUM
#undef SECTION
#undef KEY
#undef END

/* --- sections ---
 * Each type once: its kind and its member. The structs below and the tables in keys.c are both made from these lines,
 * by way of SHEAF_MEMBER, _ENUM, _SET, _OBJECT and _ITEMS. */
#define SHEAF_KEY_TEXT(n)                    SHEAF_MEMBER(TEXT, sheaf_str_t, n)
#define SHEAF_KEY_PATH(n)                    SHEAF_MEMBER(PATH, sheaf_str_t, n)
#define SHEAF_KEY_TEMPLATE(n)                SHEAF_MEMBER(TEMPLATE, sheaf_str_t, n)
#define SHEAF_KEY_NUMBER(n)                  SHEAF_MEMBER(NUMBER, uint64_t, n)
#define SHEAF_KEY_BOOL(n)                    SHEAF_MEMBER(BOOL, bool, n)
#define SHEAF_KEY_DURATION(n)                SHEAF_MEMBER(DURATION, uint64_t, n##_ms)
#define SHEAF_KEY_SIZE(n)                    SHEAF_MEMBER(SIZE, uint64_t, n##_bytes)
#define SHEAF_KEY_ADDRESS(n)                 SHEAF_MEMBER(ADDRESS, sheaf_address_t, n)
#define SHEAF_KEY_FILE(n)                    SHEAF_MEMBER(FILE, sheaf_file_t, n)
#define SHEAF_KEY_CIDRS(n)                   SHEAF_MEMBER(CIDRS, sheaf_cidrs_t, n)
#define SHEAF_KEY_TEXTS(n)                   SHEAF_MEMBER(TEXTS, sheaf_texts_t, n)
#define SHEAF_KEY_METHOD(n)                  SHEAF_MEMBER(METHOD, sheaf_str_t, n)
#define SHEAF_KEY_METHODS(n)                 SHEAF_MEMBER(METHODS, sheaf_texts_t, n)
#define SHEAF_KEY_SERVER(n)                  SHEAF_MEMBER(SERVER, sheaf_server_url_t, n)
#define SHEAF_KEY_HASH(n)                    SHEAF_MEMBER(HASH, sheaf_hash_by_t, n)
#define SHEAF_KEY_LATE(n)                    SHEAF_MEMBER(LATE, sheaf_late_t, n)
#define SHEAF_KEY_WORKERS(n)                 SHEAF_MEMBER(WORKERS, uint32_t, n)
#define SHEAF_KEY_MODE(n)                    SHEAF_MEMBER(MODE, uint32_t, n)
#define SHEAF_KEY_UPSTREAM(n)                SHEAF_MEMBER(UPSTREAM, uint32_t, n)
#define SHEAF_KEY_REWRITE(n)                 SHEAF_MEMBER(REWRITE, sheaf_rewrite_t *, n)
#define SHEAF_KEY_STENCIL(n)                 SHEAF_MEMBER(STENCIL, sheaf_stencil_t *, n)
#define SHEAF_KEY_URL(n)                     SHEAF_MEMBER(URL, sheaf_stencil_t *, n)
#define SHEAF_KEY_BODY(n)                    SHEAF_MEMBER(BODY, sheaf_stencil_t *, n)
#define SHEAF_KEY_FIELDS(n)                  SHEAF_MEMBER(FIELDS, sheaf_fields_t, n)
#define SHEAF_KEY_EDGES(n)                   SHEAF_MEMBER(EDGES, sheaf_edges_t, n)
#define SHEAF_KEY_STATUSES(n)                SHEAF_MEMBER(STATUSES, sheaf_statuses_t, n)
#define SHEAF_KEY_JSON(n)                    SHEAF_MEMBER(JSON, sheaf_str_t, n)
#define SHEAF_KEY_PLUGINS(n)                 SHEAF_MEMBER(PLUGINS, sheaf_plugins_t, n)
#define SHEAF_KEY_ENUM_turn(n)               SHEAF_MEMBER_ENUM(turn, n)
#define SHEAF_KEY_ENUM_protocol(n)           SHEAF_MEMBER_ENUM(protocol, n)
#define SHEAF_KEY_PERCENT(n)                 SHEAF_MEMBER(PERCENT, uint64_t, n##_percent)
#define SHEAF_KEY_SET_retry_on(n)            SHEAF_MEMBER_SET(retry_on, n)
#define SHEAF_KEY_SET_exposure(n)            SHEAF_MEMBER_SET(exposure, n)
#define SHEAF_KEY_ENUM_kind(n)               SHEAF_MEMBER_ENUM(kind, n)
#define SHEAF_KEY_ENUM_response(n)           SHEAF_MEMBER_ENUM(response, n)
#define SHEAF_KEY_ENUM_order(n)              SHEAF_MEMBER_ENUM(order, n)
#define SHEAF_KEY_ENUM_status(n)             SHEAF_MEMBER_ENUM(status, n)
#define SHEAF_KEY_ENUM_change_sets(n)        SHEAF_MEMBER_ENUM(change_sets, n)
#define SHEAF_KEY_ENUM_on_error(n)           SHEAF_MEMBER_ENUM(on_error, n)
#define SHEAF_KEY_ENUM_on_client_abort(n)    SHEAF_MEMBER_ENUM(on_client_abort, n)
#define SHEAF_KEY_ENUM_envelope(n)           SHEAF_MEMBER_ENUM(envelope, n)
#define SHEAF_KEY_ENUM_dialect(n)            SHEAF_MEMBER_ENUM(dialect, n)
#define SHEAF_KEY_ENUM_encoded_slashes(n)    SHEAF_MEMBER_ENUM(encoded_slashes, n)
#define SHEAF_KEY_ENUM_log_format(n)         SHEAF_MEMBER_ENUM(log_format, n)
#define SHEAF_KEY_ENUM_log_level(n)          SHEAF_MEMBER_ENUM(log_level, n)
#define SHEAF_KEY_ENUM_client_verify(n)      SHEAF_MEMBER_ENUM(client_verify, n)
#define SHEAF_KEY_ENUM_tls_version(n)        SHEAF_MEMBER_ENUM(tls_version, n)
#define SHEAF_KEY_OBJECT_admin(n)            SHEAF_MEMBER_OBJECT(admin, n)
#define SHEAF_KEY_OBJECT_drain(n)            SHEAF_MEMBER_OBJECT(drain, n)
#define SHEAF_KEY_OBJECT_log(n)              SHEAF_MEMBER_OBJECT(log, n)
#define SHEAF_KEY_OBJECT_limits(n)           SHEAF_MEMBER_OBJECT(limits, n)
#define SHEAF_KEY_OBJECT_each(n)             SHEAF_MEMBER_OBJECT(each, n)
#define SHEAF_KEY_OBJECT_resolve(n)          SHEAF_MEMBER_OBJECT(resolve, n)
#define SHEAF_KEY_OBJECT_tls(n)              SHEAF_MEMBER_OBJECT(tls, n)
#define SHEAF_KEY_OBJECT_upstream_tls(n)     SHEAF_MEMBER_OBJECT(upstream_tls, n)
#define SHEAF_KEY_OBJECT_retry(n)            SHEAF_MEMBER_OBJECT(retry, n)
#define SHEAF_KEY_OBJECT_outlier(n)          SHEAF_MEMBER_OBJECT(outlier, n)
#define SHEAF_KEY_OBJECT_breaker(n)          SHEAF_MEMBER_OBJECT(breaker, n)
#define SHEAF_KEY_OBJECT_adaptive(n)         SHEAF_MEMBER_OBJECT(adaptive, n)
#define SHEAF_KEY_OBJECT_health(n)           SHEAF_MEMBER_OBJECT(health, n)
#define SHEAF_KEY_OBJECT_hedge(n)            SHEAF_MEMBER_OBJECT(hedge, n)
#define SHEAF_KEY_OBJECT_request_headers(n)  SHEAF_MEMBER_OBJECT(request_headers, n)
#define SHEAF_KEY_OBJECT_response_headers(n) SHEAF_MEMBER_OBJECT(response_headers, n)
#define SHEAF_KEY_OBJECT_mirror(n)           SHEAF_MEMBER_OBJECT(mirror, n)
#define SHEAF_KEY_LIST_split(n)              SHEAF_MEMBER_ITEMS(LIST, split, n)
#define SHEAF_KEY_LIST_certificate(n)        SHEAF_MEMBER_ITEMS(LIST, certificate, n)
#define SHEAF_KEY_LIST_item(n)               SHEAF_MEMBER_ITEMS(LIST, item, n)
#define SHEAF_KEY_LIST_listener(n)           SHEAF_MEMBER_ITEMS(LIST, listener, n)
#define SHEAF_KEY_LIST_server(n)             SHEAF_MEMBER_ITEMS(LIST, server, n)
#define SHEAF_KEY_LIST_route(n)              SHEAF_MEMBER_ITEMS(LIST, route, n)
#define SHEAF_KEY_LIST_endpoint(n)           SHEAF_MEMBER_ITEMS(LIST, endpoint, n)
#define SHEAF_KEY_MAP_upstream(n)            SHEAF_MEMBER_ITEMS(MAP, upstream, n)

#define SHEAF_MEMBER(kind, type, n) type n;
#define SHEAF_MEMBER_ENUM(x, n)     uint8_t n;
#define SHEAF_MEMBER_SET(x, n)      uint32_t n;
#define SHEAF_MEMBER_OBJECT(x, n)   struct sheaf_##x##_conf n;
#define SHEAF_MEMBER_ITEMS(kind, x, n)                                                                                 \
    struct {                                                                                                           \
        struct sheaf_##x##_conf *items;                                                                                \
        uint32_t count;                                                                                                \
    } n;
#define ENUM(name)
#define WORD(value, text)
#define ENDENUM(name)
#define SECTION(name)                                                                                                  \
    struct sheaf_##name##_conf {                                                                                       \
        sheaf_mark_t mark;                                                                                             \
        sheaf_str_t map_key; /* name in a mapping of sections; absent elsewhere */
#define KEY(name, type, fallback, min, max, manual) SHEAF_KEY_##type(name)
#define END(name)                                                                                                      \
    }                                                                                                                  \
    ;                                                                                                                  \
    typedef struct sheaf_##name##_conf sheaf_##name##_conf_t;
#include "config/keys.def"
#undef ENUM
#undef WORD
#undef ENDENUM
#undef SECTION
#undef KEY
#undef END

#undef SHEAF_MEMBER
#undef SHEAF_MEMBER_ENUM
#undef SHEAF_MEMBER_SET
#undef SHEAF_MEMBER_OBJECT
#undef SHEAF_MEMBER_ITEMS

typedef sheaf_conf_conf_t sheaf_conf_t;

/* The manual of every key, for `sheaf keys`; the JSON Schema, for `sheaf schema`. */
void sheaf_keys_print(FILE *file);
void sheaf_schema_print(FILE *file);

#endif
