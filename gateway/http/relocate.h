/* http/relocate.h - what a backend says of where things are, said as its client sees them.
 *
 * A backend knows its own name and its own paths; a client knows the gateway's. Location, Content-Location, Refresh and
 * the Path and Domain of Set-Cookie are turned back: the inverse of a route's rewrite, where it has one. A reference that
 * names the backend loses scheme and host and becomes a path, which is right whatever the client calls the gateway, unless
 * the scheme is what it is about (sheaf_view_t.keeps). What
 * points elsewhere, cannot be turned back, or is no plain url stays as it came, byte for byte.
 *
 *   match /users/{id}, rewrite /v1/people/{id}
 *   http://10.0.0.1/v1/people/7/photos?a   ->   /users/7/photos?a */
#ifndef SHEAF_HTTP_RELOCATE_H
#define SHEAF_HTTP_RELOCATE_H

#include "gateway/base/pool.h"

/* The way back from a rewrite to a match. */
typedef struct sheaf_way_back sheaf_way_back_t;

/* Both templates are well-formed. A rewrite that leaves parameters out has no way back: then no path is turned. */
sheaf_way_back_t *sheaf_way_back_new(sheaf_pool_t *pool, sheaf_str_t match, sheaf_str_t rewrite);

/* The path of a client for one of the backend, if that is the rewrite's or below it. Below "/" there is nothing: who is
 * sent to /login for a page does not see the backend's others. /inner is /inner/ to a rewrite /inner/{rest...}, because
 * that is what the route answers. */
bool sheaf_way_back_apply(const sheaf_way_back_t *way, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t *ret_path);

/* What a url names before its path. */
typedef struct sheaf_place {
    sheaf_str_t scheme; /* "http" or "https"; absent: that of who reads it ("//host") */
    sheaf_str_t host;   /* as sheaf_host_fold makes it */
    uint32_t port;      /* 0: none is written */
} sheaf_place_t;

/* Where a client stands. */
typedef struct sheaf_view {
    const sheaf_way_back_t *way; /* NULL: paths are the same on both sides */
    /* Is this the backend, or the gateway as the client named it? */
    bool (*is_own)(const void *data, const sheaf_place_t *place);
    /* Of an own place, which was written as `written`: what stands before the client's `target` (path and query) all the same,
     * in `pool`; absent: nothing. NULL: nothing ever. */
    sheaf_str_t (*keeps)(const void *data, sheaf_pool_t *pool, const sheaf_place_t *place, sheaf_str_t written,
                         sheaf_str_t target);
    /* Is the client's `path` the backend's `own`? Asked of folders that were named without their slash. NULL: no. */
    bool (*leads)(const void *data, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t own);
    /* Is a cookie for `host` one for the backend, and not for the client's own host? */
    bool (*is_backend)(const void *data, sheaf_str_t host);
    const void *data;
} sheaf_view_t;

/* Each returns true when the value changed; `*ret_value` is then in `pool`. */
bool sheaf_relocate_url(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value);
bool sheaf_relocate_refresh(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value);
bool sheaf_relocate_cookie(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value);

/* By the name of the field, lower-case. */
bool sheaf_relocate(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t name, sheaf_str_t value,
                    sheaf_str_t *ret_value);

/* Host and port of an authority; false when it is none, or has a user. The scheme stays as it is. */
bool sheaf_relocate_authority(sheaf_str_t authority, char room[256], sheaf_place_t *ret_place);

#endif
