/* upstream/resolve.h - names and what is known of them: the addresses of hosts, the targets of services (SRV).
 *
 * One sheaf_resolver_t per worker. A name is shared by all servers that bear it, looked up once at a time however many
 * ask, and its answer is kept for its TTL (within bounds, sheaf_resolver_bound). When a lookup fails the last good
 * answer stays in use and the next try comes a second later; without one, all who asked hear the failure. Address
 * literals are names whose answer never expires and never touch DNS, and so are paths of sockets ('/...': the address
 * is then only the family AF_UNIX). Whoever dials, or uses a conn to it, has a name that expired looked up again and
 * waits for nothing; conns to addresses that a new answer lacks end with their exchange. The targets of a service are
 * names of hosts, to be looked up in their turn. Answers always come from the soon-queue, never from inside
 * sheaf_name_ask(): first to those who watch, then to those who asked. */
#ifndef SHEAF_UPSTREAM_RESOLVE_H
#define SHEAF_UPSTREAM_RESOLVE_H

#include "gateway/base/error.h"
#include "gateway/base/list.h"
#include "gateway/base/soon.h"
#include "gateway/upstream/lookup.h"

typedef struct sheaf_resolver sheaf_resolver_t;

typedef struct sheaf_name {
    sheaf_link_t link; /* private, as all that has no word here */
    sheaf_resolver_t *resolver;
    uint32_t holds;
    bool is_literal, is_asked;
    bool is_service; /* it has targets, no addresses */
    uint64_t expires_ms;
    sheaf_link_t watchers, waiters;
    sheaf_task_t task;
    sheaf_lookup_t lookup;
    char detail[96];             /* why nothing is known, or the last lookup failed; else "" */
    uint32_t version;            /* grows with every new answer */
    uint32_t count;              /* addresses, or targets; 0: none is known */
    sheaf_sockaddr_t *addresses; /* port 0: the server brings its own */
    sheaf_target_t *targets;     /* by priority */
    char text[];                 /* NUL-terminated */
} sheaf_name_t;

/* Sits inside whoever waits; zero-initialised it waits for nothing. */
typedef struct sheaf_name_waiter {
    sheaf_link_t link;
    void (*on_resolved)(struct sheaf_name_waiter *waiter); /* read name->count: 0 = nothing, see name->detail */
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

/* The name of a host or of a service, held; drop it when done. */
sheaf_name_t *sheaf_name_hold(sheaf_resolver_t *resolver, sheaf_str_t text);
sheaf_name_t *sheaf_name_hold_service(sheaf_resolver_t *resolver, sheaf_str_t text);
void sheaf_name_drop(sheaf_name_t *name);

/* True when what is known may be used now (count 0 means a failure just now). An answer that expired within the last
 * minute, or that a failed lookup could not replace, is used while a new lookup runs: a slow DNS server delays nobody. */
bool sheaf_name_is_ready(sheaf_name_t *name);
/* Looks the name up again when its answer expired; whoever uses what it has known so far need not wait. */
void sheaf_name_refresh(sheaf_name_t *name);
/* What was found, or that nothing was, needs no lookup yet. */
bool sheaf_name_is_fresh(const sheaf_name_t *name);
/* Nothing was found just now. */
static inline bool sheaf_name_has_failed(const sheaf_name_t *name)
{
    return name->count == 0 && sheaf_name_is_fresh(name);
}
/* Asks; on_resolved comes later. Call sheaf_name_forget() to stop waiting. */
void sheaf_name_ask(sheaf_name_t *name, sheaf_name_waiter_t *waiter);
/* Asks nothing, and is told of every answer, good or bad, until it is forgotten. It may forget nobody but
 * itself. */
void sheaf_name_watch(sheaf_name_t *name, sheaf_name_waiter_t *watcher);
void sheaf_name_forget(sheaf_name_waiter_t *waiter);

#endif
