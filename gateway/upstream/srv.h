/* upstream/srv.h - where a service is: the SRV records of a DNS answer (RFC 2782), without I/O.
 *
 * The bytes are those of any server on the way: names may be compressed, point in circles or be longer than a name may
 * be; records may be more than anybody needs. */
#ifndef SHEAF_UPSTREAM_SRV_H
#define SHEAF_UPSTREAM_SRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHEAF_SRV_MAX_TARGETS 32  /* the best by priority and weight, then by name: the same ones in all workers */
#define SHEAF_SRV_HOST_SIZE   256 /* 253 bytes, root dot and NUL */

typedef struct sheaf_target {
    uint16_t priority; /* the lowest first */
    uint16_t weight;
    uint16_t port;
    char host[SHEAF_SRV_HOST_SIZE]; /* lower-case, ends in the root dot: it is no name to search for */
} sheaf_target_t;

typedef struct sheaf_targets {
    uint32_t ttl_s;                              /* the least of all records that the answer is made of */
    uint32_t count;                              /* 0: the service is decidedly not there (its target is ".") */
    sheaf_target_t items[SHEAF_SRV_MAX_TARGETS]; /* by priority; the same host and port once */
} sheaf_targets_t;

/* Reads a whole DNS message. False when it is malformed, or has no record of a service that could be used;
 * what `ret_targets` holds means nothing then. Targets that are no host names, and those with port 0, are left out. */
bool sheaf_srv_parse(const uint8_t *bytes, size_t len, sheaf_targets_t *ret_targets);

#endif
