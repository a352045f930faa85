/* front/peer.h - a socket address as the 16 bytes that networks are compared with. */
#ifndef SHEAF_FRONT_PEER_H
#define SHEAF_FRONT_PEER_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "gateway/base/log.h"

/* Room for any of them. */
typedef union sheaf_sockname {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
} sheaf_sockname_t;

/* IPv4 becomes ::ffff:a.b.c.d. A unix socket has no address: ::ffff:0.0.0.0. `name` may be NULL: that too. */
void sheaf_peer_ip(const struct sockaddr *name, uint8_t ret_ip[16]);

/* Adds "client": such an address as text. */
void sheaf_peer_log(sheaf_log_line_t *line, const uint8_t ip[16]);

#endif
