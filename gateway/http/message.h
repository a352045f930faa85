/* http/message.h - methods, statuses and media types: the small words of RFC 9110. */
#ifndef SHEAF_HTTP_MESSAGE_H
#define SHEAF_HTTP_MESSAGE_H

#include "gateway/base/pool.h"

/* --- methods (RFC 9110 section 9; PATCH RFC 5789) --- */
bool sheaf_method_is_safe(sheaf_str_t method);       /* GET HEAD OPTIONS */
bool sheaf_method_is_idempotent(sheaf_str_t method); /* safe, PUT, DELETE */
bool sheaf_method_takes_body(sheaf_str_t method);    /* all but GET and HEAD */
/* Upper-case copy of a known or extension method; false when it is no token or longer than 32 bytes. */
bool sheaf_method_normalise(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_method);

/* --- statuses --- */
const char *sheaf_status_reason(uint16_t status); /* never NULL: "Unknown" when unassigned */
bool sheaf_status_has_no_body(uint16_t status);   /* 1xx 204 205 304 */

/* --- media types (RFC 9110 8.3) --- */
typedef struct sheaf_media {
    sheaf_str_t type, subtype; /* as written; compare without regard to case */
    sheaf_str_t charset;       /* unquoted, absent when there is none */
} sheaf_media_t;

bool sheaf_media_parse(sheaf_str_t value, sheaf_media_t *ret_media);
/* The parameter `name` of a media type, without quotes and escapes: a slice of `value`, or in `pool`. False when it is
 * not there, or `value` is no media type. */
bool sheaf_media_param(sheaf_pool_t *pool, sheaf_str_t value, const char *name, sheaf_str_t *ret_text);
bool sheaf_media_is(const sheaf_media_t *media, const char *type_slash_subtype); /* ignores case and parameters */

typedef enum sheaf_media_kind {
    SHEAF_MEDIA_BINARY, /* all else, also an absent or broken type */
    SHEAF_MEDIA_JSON,   /* application/json, text/json, +json */
    SHEAF_MEDIA_XML,    /* application/xml, text/xml, +xml: a kind of text */
    SHEAF_MEDIA_TEXT,   /* text/..., application/x-www-form-urlencoded, JavaScript */
} sheaf_media_kind_t;

/* Kind of a Content-Type value. TEXT and XML only when the charset is absent, utf-8 or us-ascii; JSON likewise. */
sheaf_media_kind_t sheaf_media_kind(sheaf_str_t content_type);

/* Quality (0 to 1000) that an Accept value (all its fields joined with ", "; absent = anything) gives to
 * `type_slash_subtype`, by the most specific range that matches (RFC 9110 12.5.1). Broken ranges are skipped. */
uint32_t sheaf_accept_quality(sheaf_str_t accept, const char *type_slash_subtype);

#endif
