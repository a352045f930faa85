/* upstream/lookup.h - questions to DNS servers: c-ares on the worker's loop, no threads.
 *
 * One sheaf_lookups_t per worker. It asks the servers of resolv.conf, by UDP and, when an answer does not fit, by TCP. A
 * resolv.conf that changed is read again with the next lookup (its state is looked at once a second at most); lookups
 * under way begin anew, with the servers that it names now. One that cannot be found changes nothing. localhost and
 * /etc/hosts work as everywhere. Nothing is kept here: that is what `resolve` does. */
#ifndef SHEAF_UPSTREAM_LOOKUP_H
#define SHEAF_UPSTREAM_LOOKUP_H

#include <netinet/in.h>
#include <uv.h>

#include "gateway/base/deadline.h"
#include "gateway/upstream/srv.h"

#define SHEAF_LOOKUP_MAX_ADDRESSES 64 /* of one name; more are not used */

typedef union sheaf_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} sheaf_sockaddr_t;

typedef struct sheaf_lookups sheaf_lookups_t;

/* Borrowed for the call that hands it over. */
typedef struct sheaf_lookup_answer {
    const char *error; /* why there is none; NULL: all below is good */
    uint32_t ttl_s;    /* the least of its records */
    uint32_t count;
    const sheaf_sockaddr_t *addresses; /* of a host, IPv6 and IPv4, the nearest first (RFC 6724); port 0 */
    const sheaf_targets_t *targets;    /* of a service */
} sheaf_lookup_answer_t;

/* Sits inside whoever asks; zero-initialised it asks nothing. */
typedef struct sheaf_lookup {
    struct sheaf_query *query; /* private; NULL: not under way */
    void (*on_answer)(struct sheaf_lookup *lookup, const sheaf_lookup_answer_t *answer);
} sheaf_lookup_t;

sheaf_lookups_t *sheaf_lookups_new(uv_loop_t *loop, sheaf_clock_t *clock, sheaf_deadlines_t *deadlines);
/* Nothing may be under way. on_closed(data) comes once its handles are closed: at once when it has none. */
void sheaf_lookups_free(sheaf_lookups_t *lookups, void (*on_closed)(void *data), void *data);

/* See sheaf_resolver_use_servers and sheaf_resolver_use_file. */
bool sheaf_lookups_use_servers(sheaf_lookups_t *lookups, const char *servers);
void sheaf_lookups_use_file(sheaf_lookups_t *lookups, const char *path, uint16_t port);

/* Asks for the addresses of the host `text`, or for the targets of the service `text`, which must last until
 * lookup->on_answer is called: once, maybe from inside. Never from inside another on_answer. */
void sheaf_lookup_host(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text);
void sheaf_lookup_service(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text);
/* Nobody wants to know any more. */
void sheaf_lookup_cancel(sheaf_lookup_t *lookup);

#endif
