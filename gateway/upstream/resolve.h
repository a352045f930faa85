/* upstream/resolve.h - names to addresses: c-ares on the worker's loop, no threads.
 *
 * One sheaf_resolver_t per worker. A name is shared by all servers that bear it, looked up once at a time however many
 * ask, and its answer is kept for its TTL (within bounds, sheaf_resolver_bound). When a lookup fails the last good answer stays in use
 * and the next try comes a second later; without one, all who asked hear the failure. Address literals are names whose
 * answer never expires and never touch c-ares, and so are paths of sockets ('/...': the address is then only the family AF_UNIX); localhost and /etc/hosts work as everywhere. A resolv.conf that changed is
 * read again with the next lookup (its state is looked at once a second at most); lookups under way begin anew, with the
 * servers that it names now. One that cannot be found changes nothing.
 * Answers always come from the soon-queue, never from inside sheaf_name_ask(). */
#ifndef SHEAF_UPSTREAM_RESOLVE_H
#define SHEAF_UPSTREAM_RESOLVE_H

#include <netinet/in.h>
#include <uv.h>

#include "gateway/base/deadline.h"
#include "gateway/base/error.h"
#include "gateway/base/list.h"
#include "gateway/base/soon.h"

#define SHEAF_NAME_MAX_ADDRESSES 8 /* of one name; more are not used */

typedef union sheaf_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6; /* port 0: the server brings its own */
} sheaf_sockaddr_t;

typedef struct sheaf_resolver sheaf_resolver_t;

typedef struct sheaf_name {
    sheaf_link_t link; /* private, as all that has no word here */
    sheaf_resolver_t *resolver;
    uint32_t holds;
    bool is_literal, is_asked;
    uint64_t expires_ms;
    sheaf_link_t waiters;
    sheaf_task_t task;
    char detail[96];  /* why the last lookup failed; "" when it did not */
    uint32_t version; /* grows with every new answer */
    uint32_t count;   /* addresses; 0: none is known */
    sheaf_sockaddr_t addresses[SHEAF_NAME_MAX_ADDRESSES];
    char text[]; /* NUL-terminated */
} sheaf_name_t;

/* Sits inside whoever waits; zero-initialised it waits for nothing. */
typedef struct sheaf_name_waiter {
    sheaf_link_t link;
    void (*on_resolved)(struct sheaf_name_waiter *waiter); /* read name->count: 0 = no address, see name->detail */
} sheaf_name_waiter_t;

sheaf_resolver_t *sheaf_resolver_new(uv_loop_t *loop, sheaf_clock_t *clock, sheaf_deadlines_t *deadlines,
                                     sheaf_soon_t *soon);
/* All names must have been dropped. on_closed(data) comes once its handles are closed: at once when it
 * has none. */
void sheaf_resolver_free(sheaf_resolver_t *resolver, void (*on_closed)(void *data), void *data);

/* Asks these DNS servers ("address:port,...") instead of those of resolv.conf. False when the text is malformed. */
bool sheaf_resolver_use_servers(sheaf_resolver_t *resolver, const char *servers);

/* Reads `path` (borrowed as long as the resolver lives) instead of /etc/resolv.conf; the servers it names listen on
 * `port`, 0: on 53. Before the first lookup. */
void sheaf_resolver_use_file(sheaf_resolver_t *resolver, const char *path, uint16_t port);

/* For how long answers that come from now on are kept, whatever their TTL says; 1 s to 60 s until told. */
void sheaf_resolver_bound(sheaf_resolver_t *resolver, uint64_t min_ms, uint64_t max_ms);

/* The name, held; drop it when done. */
sheaf_name_t *sheaf_name_hold(sheaf_resolver_t *resolver, sheaf_str_t text);
void sheaf_name_drop(sheaf_name_t *name);

/* True when name->addresses may be used now (count 0 means a failure just now). An answer that expired within the last
 * minute, or that a failed lookup could not replace, is used while a new lookup runs: a slow DNS server delays nobody. */
bool sheaf_name_is_ready(sheaf_name_t *name);
/* Looks the name up again when its answer expired; whoever uses what it has known so far need not wait. */
void sheaf_name_refresh(sheaf_name_t *name);
/* Asks; on_resolved comes later. Call sheaf_name_forget() to stop waiting. */
void sheaf_name_ask(sheaf_name_t *name, sheaf_name_waiter_t *waiter);
void sheaf_name_forget(sheaf_name_waiter_t *waiter);

#endif
