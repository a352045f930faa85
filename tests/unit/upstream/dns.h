/* tests/unit/upstream/dns.h - a DNS server that follows a script, by UDP and TCP, on the loop of the test.
 *
 * Without one it answers A questions with 127.0.0.`host`, whatever the name. */
#ifndef TESTS_UNIT_UPSTREAM_DNS_H
#define TESTS_UNIT_UPSTREAM_DNS_H

#include "gateway/upstream/resolve.h"
#include "tests/unit/upstream/worker.h"

#define DNS_A     1
#define DNS_CNAME 5
#define DNS_AAAA  28
#define DNS_SRV   33

typedef struct dns_reply {
    uint8_t bytes[65535];
    size_t len;
    char name[256]; /* that was asked for, "a.test" */
} dns_reply_t;

typedef struct dns dns_t;
struct dns {
    uv_udp_t udp;
    uv_tcp_t tcp;
    char port[32];
    uint16_t number;
    int queries, a_queries, srv_queries, tcp_queries;
    bool is_broken; /* answers SERVFAIL */
    bool is_gone;   /* answers NXDOMAIN */
    bool is_mute;
    bool is_short; /* by UDP nothing fits: come by TCP */
    uint8_t ttl_s;
    uint8_t host;                                                  /* the address is 127.0.0.host */
    uint8_t more[4];                                               /* and those of these, up to a 0 */
    void (*script)(dns_t *dns, uint16_t type, dns_reply_t *reply); /* puts records; NULL: as above */
    void *data;                                                    /* the script's */
    char in[512];
};

/* --- records: RFC 1035 3.2.1; their owner is the question's name --- */

static void dns_put(dns_reply_t *reply, const void *bytes, size_t len)
{
    assert_true(reply->len + len <= sizeof(reply->bytes));
    memcpy(reply->bytes + reply->len, bytes, len);
    reply->len += len;
}

static void dns_put_u16(dns_reply_t *reply, unsigned value)
{
    dns_put(reply, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void dns_put_name(dns_reply_t *reply, const char *name)
{
    while (*name != '\0') {
        size_t len = strcspn(name, ".");
        uint8_t size = (uint8_t)len;

        if (len == 0)
            break;
        dns_put(reply, &size, 1);
        dns_put(reply, name, len);
        name += len + (name[len] == '.');
    }
    dns_put(reply, "", 1);
}

/* `owner` NULL: the question's name. Returns where its length is to be written. */
static size_t dns_begin(dns_reply_t *reply, const char *owner, unsigned type, uint32_t ttl_s)
{
    unsigned count = (unsigned)(reply->bytes[6] << 8 | reply->bytes[7]) + 1;

    reply->bytes[6] = (uint8_t)(count >> 8);
    reply->bytes[7] = (uint8_t)count;
    if (owner == NULL)
        dns_put_u16(reply, 0xC00C);
    else
        dns_put_name(reply, owner);
    dns_put_u16(reply, type);
    dns_put_u16(reply, 1);
    dns_put_u16(reply, ttl_s >> 16);
    dns_put_u16(reply, ttl_s & 0xFFFF);
    dns_put_u16(reply, 0);
    return reply->len - 2;
}

static void dns_end(dns_reply_t *reply, size_t at)
{
    size_t size = reply->len - at - 2;

    reply->bytes[at] = (uint8_t)(size >> 8);
    reply->bytes[at + 1] = (uint8_t)size;
}

static void dns_put_a(dns_reply_t *reply, uint8_t host, uint32_t ttl_s)
{
    size_t at = dns_begin(reply, NULL, DNS_A, ttl_s);

    dns_put(reply, (uint8_t[]){127, 0, 0, host}, 4);
    dns_end(reply, at);
}

static void dns_put_loopback6(dns_reply_t *reply, uint32_t ttl_s)
{
    size_t at = dns_begin(reply, NULL, DNS_AAAA, ttl_s);

    dns_put(reply, &in6addr_loopback, 16);
    dns_end(reply, at);
}

static void dns_put_cname(dns_reply_t *reply, const char *owner, const char *target, uint32_t ttl_s)
{
    size_t at = dns_begin(reply, owner, DNS_CNAME, ttl_s);

    dns_put_name(reply, target);
    dns_end(reply, at);
}

static void dns_put_srv(dns_reply_t *reply, unsigned priority, unsigned weight, unsigned port, const char *target,
                        uint32_t ttl_s)
{
    size_t at = dns_begin(reply, NULL, DNS_SRV, ttl_s);

    dns_put_u16(reply, priority);
    dns_put_u16(reply, weight);
    dns_put_u16(reply, port);
    dns_put_name(reply, target);
    dns_end(reply, at);
}

/* --- the server --- */

static void dns_default(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (type != DNS_A)
        return;
    dns_put_a(reply, dns->host, dns->ttl_s);
    for (int i = 0; i < 4 && dns->more[i] != 0; i++)
        dns_put_a(reply, dns->more[i], dns->ttl_s);
}

static void dns_count(dns_t *dns, uint16_t type, bool is_tcp)
{
    dns->queries++;
    dns->a_queries += type == DNS_A;
    dns->srv_queries += type == DNS_SRV;
    dns->tcp_queries += is_tcp;
}

/* RFC 1035 4.1: the question comes back, with the records behind it. False: nothing is said. */
static bool dns_answer(dns_t *dns, const uint8_t *query, size_t size, bool is_tcp, dns_reply_t *reply)
{
    size_t len = 12, at = 0;
    uint16_t type;

    if (size < 17)
        return false;
    while (query[len] != 0) {
        at += (size_t)snprintf(reply->name + at, sizeof(reply->name) - at, "%s%.*s", at == 0 ? "" : ".", query[len],
                               (const char *)query + len + 1);
        len += (size_t)query[len] + 1;
    }
    len += 5;
    memcpy(reply->bytes, query, len);
    memset(reply->bytes + 6, 0, 6);
    reply->len = len;
    type = (uint16_t)(query[len - 4] << 8 | query[len - 3]);
    dns_count(dns, type, is_tcp);
    reply->bytes[2] = dns->is_short && !is_tcp ? 0x83 : 0x81;
    reply->bytes[3] = dns->is_broken ? 0x82 : dns->is_gone ? 0x83 : 0x80;
    if (!dns->is_broken && !dns->is_gone && (!dns->is_short || is_tcp))
        (dns->script != NULL ? dns->script : dns_default)(dns, type, reply);
    return !dns->is_mute;
}

static void dns_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    dns_t *dns = handle->data;

    *buf = uv_buf_init(dns->in, sizeof(dns->in));
}

static void dns_on_query(uv_udp_t *udp, ssize_t nread, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    dns_t *dns = udp->data;
    dns_reply_t *reply;

    if (nread <= 0 || from == NULL)
        return;
    reply = calloc(1, sizeof(*reply));
    if (dns_answer(dns, (const uint8_t *)buf->base, (size_t)nread, false, reply)) {
        uv_buf_t out = uv_buf_init((char *)reply->bytes, (unsigned)reply->len);

        uv_udp_try_send(udp, &out, 1, from);
    }
    free(reply);
}

static void dns_on_tcp_closed(uv_handle_t *handle)
{
    free(handle);
}

static void dns_answer_by_tcp(dns_t *dns, uv_stream_t *stream, const char *query, size_t size)
{
    dns_reply_t *reply = calloc(1, sizeof(*reply));

    if (dns_answer(dns, (const uint8_t *)query, size, true, reply)) {
        uint8_t head[2] = {(uint8_t)(reply->len >> 8), (uint8_t)reply->len};
        uv_buf_t out[] = {uv_buf_init((char *)head, 2), uv_buf_init((char *)reply->bytes, (unsigned)reply->len)};

        assert_int_equal(uv_try_write(stream, out, 2), reply->len + 2);
    }
    free(reply);
}

/* Whole queries, maybe several: loopback and c-ares do so. */
static void dns_on_tcp_query(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    if (nread < 0) {
        uv_close((uv_handle_t *)stream, dns_on_tcp_closed);
        return;
    }
    for (ssize_t at = 0; at + 2 < nread;) {
        const uint8_t *head = (const uint8_t *)buf->base + at;
        ssize_t size = head[0] << 8 | head[1];

        assert_true(at + 2 + size <= nread);
        dns_answer_by_tcp(stream->data, stream, buf->base + at + 2, (size_t)size);
        at += 2 + size;
    }
}

static void dns_on_tcp(uv_stream_t *listener, int status)
{
    dns_t *dns = listener->data;
    uv_tcp_t *tcp = calloc(1, sizeof(*tcp));

    uv_tcp_init(listener->loop, tcp);
    tcp->data = dns;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
    uv_read_start((uv_stream_t *)tcp, dns_on_buffer, dns_on_tcp_query);
}

static void dns_start_at(dns_t *dns, worker_t *w, const char *ip, int port)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(dns, 0, sizeof(*dns));
    dns->host = 1;
    uv_udp_init(&w->loop, &dns->udp);
    uv_tcp_init(&w->loop, &dns->tcp);
    dns->udp.data = dns->tcp.data = dns;
    uv_ip4_addr(ip, port, &address);
    uv_tcp_bind(&dns->tcp, (struct sockaddr *)&address, 0); /* first: of UDP any port is free */
    assert_int_equal(uv_listen((uv_stream_t *)&dns->tcp, 8, dns_on_tcp), 0);
    uv_tcp_getsockname(&dns->tcp, (struct sockaddr *)&address, &len);
    assert_int_equal(uv_udp_bind(&dns->udp, (struct sockaddr *)&address, 0), 0);
    uv_udp_recv_start(&dns->udp, dns_on_buffer, dns_on_query);
    dns->number = ntohs(address.sin_port);
    snprintf(dns->port, sizeof(dns->port), "%s:%d", ip, dns->number);
}

static void dns_start(dns_t *dns, worker_t *w)
{
    dns_start_at(dns, w, "127.0.0.1", 0);
}

static void dns_stop(dns_t *dns)
{
    uv_close((uv_handle_t *)&dns->udp, NULL);
    uv_close((uv_handle_t *)&dns->tcp, NULL);
}

/* --- one who asks --- */

typedef struct asker {
    sheaf_name_waiter_t waiter;
    bool is_told;
} asker_t;

static void on_told(sheaf_name_waiter_t *waiter)
{
    SHEAF_OWNER(waiter, asker_t, waiter)->is_told = true;
}

static void ask_name(worker_t *w, sheaf_name_t *name)
{
    asker_t asker = {.waiter.on_resolved = on_told};

    sheaf_name_ask(name, &asker.waiter);
    assert_false(asker.is_told);
    worker_until(w, &asker.is_told);
}

#endif
