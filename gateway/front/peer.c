#include "gateway/front/peer.h"

#include <netinet/in.h>
#include <string.h>

#include "config/snapshot.h"

void sheaf_peer_ip(const struct sockaddr *name, uint8_t ret_ip[16])
{
    memset(ret_ip, 0, 16);
    ret_ip[10] = ret_ip[11] = 0xff;
    if (name != NULL && name->sa_family == AF_INET)
        memcpy(ret_ip + 12, &((const struct sockaddr_in *)(const void *)name)->sin_addr, 4);
    else if (name != NULL && name->sa_family == AF_INET6)
        memcpy(ret_ip, &((const struct sockaddr_in6 *)(const void *)name)->sin6_addr, 16);
}

void sheaf_peer_log(sheaf_log_line_t *line, const uint8_t ip[16])
{
    char text[SHEAF_IP_TEXT_MAX];

    sheaf_ip_print(ip, text);
    sheaf_log_str(line, "client", sheaf_str_of(text));
}
