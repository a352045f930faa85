/* front/proxy_protocol.h - the PROXY protocol header, versions 1 and 2 (HAProxy's proxy-protocol.txt, 2020/03/05).
 *
 * Bytes in, an address out; no I/O. Strict where the specification leaves room, because a header that two programs read
 * differently lets a client name itself:
 *   v1  one line of at most 107 bytes, single spaces, canonical numbers, CRLF; UNKNOWN names nobody
 *   v2  a version, command, family and length that fit each other; TLVs must be well-formed and are skipped; LOCAL,
 *       the unspecified family and unix sockets name nobody; datagrams are refused */
#ifndef SHEAF_FRONT_PROXY_PROTOCOL_H
#define SHEAF_FRONT_PROXY_PROTOCOL_H

#include <netinet/in.h>

#include "gateway/base/str.h"

/* The longest header that is read: version 2 could have 64 KiB of TLVs, but nobody sends more than a few hundred bytes. */
#define SHEAF_PROXY_HEADER_MOST 4096

typedef enum sheaf_proxy_verdict {
    SHEAF_PROXY_PARTIAL, /* all bytes belong to the header, and more must come */
    SHEAF_PROXY_COMPLETE,
    SHEAF_PROXY_BAD, /* no header, and no bytes behind these could make it one */
} sheaf_proxy_verdict_t;

typedef struct sheaf_proxy_header {
    size_t len;        /* bytes of the header; what follows is the client's */
    bool names_client; /* false: the connection speaks for itself, and `client` is all zeros */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } client;
    socklen_t client_len;
} sheaf_proxy_header_t;

/* Reads the header at the start of `bytes`. `*ret_header` is written only on COMPLETE. */
sheaf_proxy_verdict_t sheaf_proxy_header_parse(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header);

#endif
