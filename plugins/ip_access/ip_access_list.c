#include "plugins/ip_access/ip_access_list.h"

#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96 (RFC 4291 2.5.5.2) */

static int is_mapped(const uint8_t address[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(address, prefix, sizeof(prefix)) == 0;
}

static int begins_alike(const uint8_t a[16], const uint8_t b[16], uint32_t bits)
{
    uint32_t bytes = bits / 8, rest = bits % 8;

    if (memcmp(a, b, bytes) != 0)
        return 0;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

int ip_access_in(const sheaf_p_network_t *networks, uint32_t count, const uint8_t address[16])
{
    uint32_t least = is_mapped(address) ? MAPPED_BITS : 0;

    for (uint32_t i = 0; i < count; i++)
        if (networks[i].bits >= least && networks[i].bits <= 128 &&
            begins_alike(networks[i].address, address, networks[i].bits))
            return 1;
    return 0;
}
