/* rate_limit_key - whom a limit counts: `by` as written, and the key of a request or an item.
 *
 *   by: [client_ip]               the address of the client, IPv6 by its /64
 *   by: [attribute user, route]   who a plugin found out it is, on each route by itself
 *   by: [header x-tenant]         what the client says of itself: believed as it stands
 *
 * All parts together make the key. Where an attribute or a header is missing the client's address stands in for it. A
 * part is hashed by itself, with its kind, so that no value can look like another part. */
#ifndef RATE_LIMIT_KEY_H
#define RATE_LIMIT_KEY_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define RATE_LIMIT_PARTS_MAX 4
#define RATE_LIMIT_NAME_MAX  64

typedef enum rate_limit_kind {
    RATE_LIMIT_BY_IP = 1,
    RATE_LIMIT_BY_ATTRIBUTE = 2,
    RATE_LIMIT_BY_HEADER = 3,
    RATE_LIMIT_BY_ROUTE = 4,
} rate_limit_kind_t;

typedef struct rate_limit_part {
    rate_limit_kind_t kind;
    char name[RATE_LIMIT_NAME_MAX];
} rate_limit_part_t;

typedef struct rate_limit_by {
    uint32_t count;
    uint32_t ipv6_bits;
    rate_limit_part_t parts[RATE_LIMIT_PARTS_MAX];
} rate_limit_by_t;

/* Reads one part. Returns false if it is none. */
bool rate_limit_part_read(sheaf_p_str_t text, rate_limit_part_t *ret_part);

/* An address as it counts: of IPv6 the first `ipv6_bits`. */
void rate_limit_address(uint8_t address[16], uint32_t ipv6_bits);

/* The key of `ref`. secret NULL: the same in every process and machine (SHA-256, cut to 128 bits); else by SipHash, which
 * nobody outside can foresee. */
void rate_limit_key(const sheaf_p_api_t *api, sheaf_p_ref_t ref, const rate_limit_by_t *by, const uint64_t *secret,
                    uint64_t ret_hash[2]);

#endif
