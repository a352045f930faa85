/* plugins/cors/cors_origin.h - origins (RFC 6454) and which of them are meant.
 *
 *   https://app.example          this one; its default port may be written or not
 *   https://app.example:8443     this one
 *   http://localhost:*           any port
 *   *.example.com                https, and every name below example.com, however deep, not example.com itself; a scheme may
 *                                stand in front of the star and a port behind
 *   null                         the opaque origin: sandboxed frames, files
 *   *                            any
 *
 * An origin is ASCII; names beyond are written as a browser writes them, xn--. Nothing here allocates. */
#ifndef SHEAF_PLUGINS_CORS_ORIGIN_H
#define SHEAF_PLUGINS_CORS_ORIGIN_H

#include "plugins/sheaf_plugin.h"

#define CORS_ORIGIN_MAX 300 /* bytes: a scheme, a name of 253, a port */

typedef struct cors_origin {
    sheaf_p_str_t scheme, host; /* slices of what was read, in its case; [::1] with its brackets */
    uint32_t port;              /* the default one of http and https stands for none; else 0: none */
    int is_null;
} cors_origin_t;

typedef struct cors_pattern {
    cors_origin_t origin; /* of a suffix: host is ".example.com" */
    int is_any, is_suffix, is_any_port;
} cors_pattern_t;

/* Strict: scheme "://" host [":" port], nothing else; or "null". 1, or 0: none. */
int cors_origin_read(sheaf_p_str_t text, cors_origin_t *ret_origin);
/* NULL, or why not. */
const char *cors_pattern_read(sheaf_p_str_t text, cors_pattern_t *ret_pattern);
/* `null` matches where it is named and where any is meant; patterns of names never match it. */
int cors_pattern_matches(const cors_pattern_t *pattern, const cors_origin_t *origin);

#endif
