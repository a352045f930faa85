/* http/header.h - header fields as both sides of floor 3 see them (RFC 9110 section 5).
 *
 * Fields keep their order and their repetition. Names are lower-case everywhere inside Sheaf (HTTP/2 needs it, HTTP/1
 * does not mind). Names and values are borrowed: they live as long as what they were parsed from. */
#ifndef SHEAF_HTTP_HEADER_H
#define SHEAF_HTTP_HEADER_H

#include "gateway/base/pool.h"

typedef struct sheaf_header {
    sheaf_str_t name; /* lower-case */
    sheaf_str_t value;
} sheaf_header_t;

/* An array in a pool that grows by doubling. Zero-initialised is empty. */
typedef struct sheaf_headers {
    sheaf_header_t *entries;
    uint32_t count, size;
} sheaf_headers_t;

void sheaf_headers_add(sheaf_headers_t *headers, sheaf_pool_t *pool, sheaf_str_t name, sheaf_str_t value);

/* The first field called `name` (lower-case), or NULL. */
const sheaf_header_t *sheaf_headers_find(const sheaf_headers_t *headers, sheaf_str_t name);

/* RFC 9110 5.6.2 token; RFC 9110 5.5 field value (no controls but tab, no leading or trailing white space). */
bool sheaf_header_name_is_valid(sheaf_str_t name);
bool sheaf_header_value_is_valid(sheaf_str_t value);

/* Lower-case form of every byte that may stand in a token, 0 for all others: check and lower in one step. */
extern const char sheaf_token_lower[256];

/* How many bytes at the start of `bytes` may stand in a field value (anything but controls; tab may). */
size_t sheaf_header_value_span(const char *bytes, size_t len);

/* Copies `name` to `pool` in lower case (returns it as it is when it is lower-case already). */
sheaf_str_t sheaf_header_lower(sheaf_pool_t *pool, sheaf_str_t name);

/* What a field is to a gateway. One table answers for all of them; names are lower-case. */
typedef enum sheaf_header_class {
    SHEAF_HEADER_END_TO_END = 0,
    SHEAF_HEADER_HOP_BY_HOP = 1 << 0,    /* RFC 9110 7.6.1: connection, keep-alive, te, trailer, transfer-encoding,
                                            upgrade, proxy-connection, proxy-authenticate, proxy-authorization,
                                            http2-settings */
    SHEAF_HEADER_TRUST = 1 << 1,         /* x-forwarded-*, forwarded, x-real-ip, x-original-*, x-rewrite-url,
                                            x-request-id;
                                            `_` counts as `-` */
    SHEAF_HEADER_NOT_INHERITED = 1 << 2, /* accept, accept-encoding, content-*, range, if-*, expect, prefer,
                                            idempotency-key, host: items do not inherit it from the outer request */
    SHEAF_HEADER_FRAMING = 1 << 3,       /* content-length, host, expect: an item cannot set it, the gateway does */
    SHEAF_HEADER_NOT_IN_RESULT = 1 << 4, /* date, server, content-length: left out of results */
    SHEAF_HEADER_VIA = 1 << 5,           /* appended to, never copied as it is */
    SHEAF_HEADER_PLACE = 1 << 6,         /* location, content-location, refresh, set-cookie: says where things are */
} sheaf_header_class_t;

/* Any of the bits above. */
unsigned sheaf_header_classify(sheaf_str_t name);

/* True when the comma-separated `list` (the values of Connection) names `name`, in any case. */
bool sheaf_header_list_has(sheaf_str_t list, sheaf_str_t name);

/* How many elements the list has, empty ones too; 0 for an absent one. */
uint32_t sheaf_header_list_count(sheaf_str_t list);

/* Names in the Connection fields of one message: every field is looked for among them. */
#define SHEAF_HEADER_LISTED_MAX 64u

#endif
