/* front/crowd.h - how many connections come from where.
 *
 * One count per client address: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has. */
#ifndef SHEAF_FRONT_CROWD_H
#define SHEAF_FRONT_CROWD_H

#include "gateway/base/str.h"

typedef struct sheaf_crowd sheaf_crowd_t;
typedef struct sheaf_crowd_group sheaf_crowd_group_t;

/* `seed` keeps those who choose addresses from choosing buckets. */
sheaf_crowd_t *sheaf_crowd_new(uint64_t seed);
void sheaf_crowd_free(sheaf_crowd_t *crowd); /* everyone has left */

/* Counts a connection from `ip` (IPv4 as ::ffff:a.b.c.d). NULL when `most` (0: any number) are there already; else what
 * to leave with. */
sheaf_crowd_group_t *sheaf_crowd_join(sheaf_crowd_t *crowd, const uint8_t ip[16], uint64_t most);
void sheaf_crowd_leave(sheaf_crowd_t *crowd, sheaf_crowd_group_t *group);

#endif
