/* plugins/ip_access/ip_access_list.h - which networks an address is in.
 *
 * Addresses are 16 bytes, IPv4 mapped (::ffff:10.0.0.1). A network of fewer than 96 bits is one of IPv6: it holds no IPv4
 * address, so that `::/0` means every IPv6 client and no other. */
#ifndef SHEAF_PLUGINS_IP_ACCESS_LIST_H
#define SHEAF_PLUGINS_IP_ACCESS_LIST_H

#include "plugins/sheaf_plugin.h"

/* 1: in at least one of them; 0. */
int ip_access_in(const sheaf_p_network_t *networks, uint32_t count, const uint8_t address[16]);

#endif
