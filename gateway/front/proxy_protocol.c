#include "gateway/front/proxy_protocol.h"

#include <arpa/inet.h>

/* --- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" --- */

#define V1_MOST 107 /* the CRLF counts */

static const char v1_start[] = "PROXY ";

/* Decimal, no sign, no leading zero: what every reader understands alike. */
static bool read_port(sheaf_str_t text, in_port_t *ret_port)
{
    uint64_t port;

    if (text.len == 0 || text.len > 5 || (text.base[0] == '0' && text.len > 1) || !sheaf_str_to_u64(text, &port) ||
        port > 65535)
        return false;
    *ret_port = htons((uint16_t)port);
    return true;
}

static bool read_ip(int family, sheaf_str_t text, void *ret_ip)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.base == NULL || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    return strlen(copy) == text.len && inet_pton(family, copy, ret_ip) == 1;
}

static bool read_v1_tcp4(sheaf_str_t rest, sheaf_proxy_header_t *header)
{
    struct sockaddr_in *client = &header->client.v4;
    struct in_addr ours;
    in_port_t our_port;

    client->sin_family = AF_INET;
    header->client_len = sizeof(*client);
    return read_ip(AF_INET, sheaf_str_cut(&rest, ' '), &client->sin_addr) &&
           read_ip(AF_INET, sheaf_str_cut(&rest, ' '), &ours) &&
           read_port(sheaf_str_cut(&rest, ' '), &client->sin_port) && rest.base != NULL && read_port(rest, &our_port);
}

static bool read_v1_tcp6(sheaf_str_t rest, sheaf_proxy_header_t *header)
{
    struct sockaddr_in6 *client = &header->client.v6;
    struct in6_addr ours;
    in_port_t our_port;

    client->sin6_family = AF_INET6;
    header->client_len = sizeof(*client);
    return read_ip(AF_INET6, sheaf_str_cut(&rest, ' '), &client->sin6_addr) &&
           read_ip(AF_INET6, sheaf_str_cut(&rest, ' '), &ours) &&
           read_port(sheaf_str_cut(&rest, ' '), &client->sin6_port) && rest.base != NULL && read_port(rest, &our_port);
}

/* `line` without "PROXY " and CRLF. What stands behind UNKNOWN is to be ignored. */
static bool read_v1(sheaf_str_t line, sheaf_proxy_header_t *header)
{
    sheaf_str_t family = sheaf_str_cut(&line, ' ');

    if (sheaf_str_eq(family, SHEAF_STR("UNKNOWN")))
        return true;
    header->names_client = true;
    if (sheaf_str_eq(family, SHEAF_STR("TCP4")))
        return read_v1_tcp4(line, header);
    return sheaf_str_eq(family, SHEAF_STR("TCP6")) && read_v1_tcp6(line, header);
}

static sheaf_proxy_verdict_t parse_v1(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header)
{
    const size_t start = sizeof(v1_start) - 1;
    size_t most = bytes.len < V1_MOST ? bytes.len : V1_MOST, end = start;
    sheaf_proxy_header_t header = {.len = 0};

    while (end < most && bytes.base[end] != '\r' && bytes.base[end] != '\n' && bytes.base[end] != '\0')
        end++;
    if (end == most || (end + 1 == most && bytes.base[end] == '\r'))
        return most < V1_MOST ? SHEAF_PROXY_PARTIAL : SHEAF_PROXY_BAD;
    if (bytes.base[end] != '\r' || bytes.base[end + 1] != '\n' ||
        !read_v1(sheaf_str(bytes.base + start, end - start), &header))
        return SHEAF_PROXY_BAD;
    header.len = end + 2;
    *ret_header = header;
    return SHEAF_PROXY_COMPLETE;
}

/* --- version 2: signature, version and command, family and protocol, length, addresses, TLVs --- */

#define V2_HEAD    16
#define V2_LOCAL   0x20
#define V2_PROXY   0x21
#define V2_UNSPEC  0x00
#define V2_TCP4    0x11
#define V2_TCP6    0x21
#define V2_UNIX    0x31
#define V2_UNNAMED SIZE_MAX

static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

/* Bytes of the addresses of a family; V2_UNNAMED when there is no such family on a stream. */
static size_t v2_addresses_len(uint8_t family)
{
    switch (family) {
    case V2_UNSPEC:
        return 0;
    case V2_TCP4:
        return 12;
    case V2_TCP6:
        return 36;
    case V2_UNIX:
        return 216;
    default:
        return V2_UNNAMED;
    }
}

/* Type, length in two bytes, value; they fill the rest of the header exactly. */
static bool are_tlvs(const uint8_t *at, size_t len)
{
    while (len >= 3) {
        size_t whole = 3 + ((size_t)at[1] << 8 | at[2]);

        if (whole > len)
            return false;
        at += whole;
        len -= whole;
    }
    return len == 0;
}

/* Source address, our address, source port, our port. */
static void read_v2_addresses(uint8_t family, const uint8_t *at, sheaf_proxy_header_t *header)
{
    struct sockaddr_in *v4 = &header->client.v4;
    struct sockaddr_in6 *v6 = &header->client.v6;

    header->names_client = family == V2_TCP4 || family == V2_TCP6;
    if (family == V2_TCP4) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, at, 4);
        memcpy(&v4->sin_port, at + 8, 2);
        header->client_len = sizeof(*v4);
    } else if (family == V2_TCP6) {
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, at, 16);
        memcpy(&v6->sin6_port, at + 32, 2);
        header->client_len = sizeof(*v6);
    }
}

/* LOCAL is the proxy's own connection (a health check): its addresses and family are to be ignored. */
static bool read_v2(const uint8_t *head, size_t rest_len, sheaf_proxy_header_t *header)
{
    size_t addresses_len = v2_addresses_len(head[13]);

    if (head[12] == V2_LOCAL)
        return true;
    if (addresses_len == V2_UNNAMED || addresses_len > rest_len)
        return false;
    /* the unspecified family says nothing about what follows: it is not looked at */
    if (head[13] != V2_UNSPEC && !are_tlvs(head + V2_HEAD + addresses_len, rest_len - addresses_len))
        return false;
    read_v2_addresses(head[13], head + V2_HEAD, header);
    return true;
}

static sheaf_proxy_verdict_t parse_v2(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header)
{
    const uint8_t *head = (const uint8_t *)bytes.base;
    sheaf_proxy_header_t header = {.len = 0};
    size_t rest_len;

    if (bytes.len > 12 && head[12] != V2_LOCAL && head[12] != V2_PROXY)
        return SHEAF_PROXY_BAD;
    if (bytes.len < V2_HEAD)
        return SHEAF_PROXY_PARTIAL;
    rest_len = (size_t)head[14] << 8 | head[15];
    if (V2_HEAD + rest_len > SHEAF_PROXY_HEADER_MOST)
        return SHEAF_PROXY_BAD;
    if (bytes.len < V2_HEAD + rest_len)
        return SHEAF_PROXY_PARTIAL;
    if (!read_v2(head, rest_len, &header))
        return SHEAF_PROXY_BAD;
    header.len = V2_HEAD + rest_len;
    *ret_header = header;
    return SHEAF_PROXY_COMPLETE;
}

/* --- which one --- */

/* Do the bytes begin with `start`, as far as they go? */
static bool may_start(sheaf_str_t bytes, const char *start, size_t len)
{
    return memcmp(bytes.base, start, bytes.len < len ? bytes.len : len) == 0;
}

sheaf_proxy_verdict_t sheaf_proxy_header_parse(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header)
{
    if (bytes.len == 0)
        return SHEAF_PROXY_PARTIAL;
    if (may_start(bytes, v1_start, sizeof(v1_start) - 1))
        return bytes.len < sizeof(v1_start) - 1 ? SHEAF_PROXY_PARTIAL : parse_v1(bytes, ret_header);
    if (may_start(bytes, v2_start, sizeof(v2_start) - 1))
        return parse_v2(bytes, ret_header);
    return SHEAF_PROXY_BAD;
}
