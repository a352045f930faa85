/* upstream/service.h - a service of DNS (SRV, RFC 2782) as servers of an upstream: its targets come and go.
 *
 *   gate | slot | slot | ... | slot        side by side in the balance's servers
 *
 * A target is a server in a slot, which it keeps as long as the answers have it: with its conns and what is known of it.
 * One that is gone leaves its slot vacant: nothing new is sent there, its idle conns are closed, what flies ends as it
 * would; if it comes back it finds its slot, and another target gets the slot only when no conn points at it any more. While
 * there is no target at all the gate stands for the service: whoever is sent there waits for the lookup, and asks again
 * whose turn it is. Slots are there from the beginning, so that conns, bits and indexes stay right. The service hears of an
 * answer before those who wait for it (sheaf_name_watch), from the soon-queue: the set never changes under a choice.
 * The lowest priority of an answer ranks as the service itself does, each higher one after it, as backups do. Weights are
 * the record's (0 counts as 1) times what the configuration says. Every target is asked by the Host header, and in TLS
 * by the name, of the url. */
#ifndef SHEAF_UPSTREAM_SERVICE_H
#define SHEAF_UPSTREAM_SERVICE_H

#include "gateway/upstream/server.h"

#define SHEAF_SERVICE_SLOTS (2 * SHEAF_SRV_MAX_TARGETS) /* as many may leave at once as come */
#define SHEAF_SERVICE_SIZE  (1 + SHEAF_SERVICE_SLOTS)   /* with its gate */

typedef struct sheaf_service {
    sheaf_name_t *name;
    sheaf_name_waiter_t watcher;
    sheaf_server_t *gate; /* its slots follow */
    sheaf_resolver_t *resolver;
    uint32_t weight, rank;                                 /* of the configuration */
    void (*on_left)(void *keeper, sheaf_server_t *server); /* it is vacant from now on */
    void (*on_changed)(void *keeper);                      /* the set of servers, or what they weigh */
    void *keeper;
} sheaf_service_t;

/* `gate` has SHEAF_SERVICE_SIZE servers, zeroed; the callbacks come from the soon-queue. */
void sheaf_service_init(sheaf_service_t *service, sheaf_server_t *gate, const sheaf_upstream_conf_t *upstream,
                        const sheaf_server_conf_t *conf, struct ssl_ctx_st *context, sheaf_resolver_t *resolver);
void sheaf_service_fini(sheaf_service_t *service); /* the servers are for their owner to end */

#endif
