#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "gateway/front/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_PAIR   "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb" /* 192.0.2.1:56324 to 192.0.2.2:443 */
#define V6_ONE    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
#define V6_PAIR   V6_ONE V6_ONE "\xdc\x04\x01\xbb"
#define BYTES(s)  ((sheaf_str_t){s, sizeof(s) - 1})

/* A copy of exactly these bytes: the sanitizer sees a read beyond them. */
static sheaf_proxy_verdict_t parse(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header)
{
    char *copy = memcpy(malloc(bytes.len + 1), bytes.base, bytes.len);
    char *exact = bytes.len > 0 ? realloc(copy, bytes.len) : copy;
    sheaf_proxy_verdict_t verdict = sheaf_proxy_header_parse(sheaf_str(exact, bytes.len), ret_header);

    free(exact);
    return verdict;
}

/* Every cut of a whole header is partial, and what follows it changes nothing. */
static void assert_whole(sheaf_str_t bytes, sheaf_proxy_header_t *ret_header)
{
    sheaf_proxy_header_t header;
    char longer[SHEAF_PROXY_HEADER_MOST + 64];

    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(parse(sheaf_str(bytes.base, cut), &header), SHEAF_PROXY_PARTIAL);
    assert_int_equal(parse(bytes, ret_header), SHEAF_PROXY_COMPLETE);
    assert_int_equal(ret_header->len, bytes.len);
    memcpy(longer, bytes.base, bytes.len);
    memcpy(longer + bytes.len, "\r\nPROXY \x16\x03\x01", 12);
    assert_int_equal(parse(sheaf_str(longer, bytes.len + 12), &header), SHEAF_PROXY_COMPLETE);
    assert_int_equal(header.len, bytes.len);
}

static void assert_names(sheaf_str_t bytes, const char *ip, uint16_t port)
{
    sheaf_proxy_header_t header;
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = strchr(ip, ':') == NULL;

    assert_whole(bytes, &header);
    assert_true(header.names_client);
    assert_int_equal(header.client.any.sa_family, is_v4 ? AF_INET : AF_INET6);
    assert_int_equal(header.client_len, is_v4 ? sizeof(header.client.v4) : sizeof(header.client.v6));
    inet_ntop(header.client.any.sa_family,
              is_v4 ? (void *)&header.client.v4.sin_addr : (void *)&header.client.v6.sin6_addr, text, sizeof(text));
    assert_string_equal(text, ip);
    assert_int_equal(ntohs(is_v4 ? header.client.v4.sin_port : header.client.v6.sin6_port), port);
}

static void assert_names_nobody(sheaf_str_t bytes)
{
    sheaf_proxy_header_t header;

    assert_whole(bytes, &header);
    assert_false(header.names_client);
}

static void assert_bad(sheaf_str_t bytes)
{
    sheaf_proxy_header_t header = {.len = 12345};

    if (parse(bytes, &header) != SHEAF_PROXY_BAD)
        fail_msg("taken: %.*s", SHEAF_STR_ARG(bytes));
    assert_int_equal(header.len, 12345);
}

static void version_1_names_the_client(void **state)
{
    (void)state;
    assert_names(BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"), "192.0.2.1", 56324);
    assert_names(BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", 65535);
    assert_names(BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0", 0);
    assert_names(BYTES("PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"), "2001:db8::1", 56324);
    assert_names(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                       "65535 65535\r\n"),
                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

static void version_1_may_name_nobody(void **state)
{
    char line[128];

    (void)state;
    assert_names_nobody(BYTES("PROXY UNKNOWN\r\n"));
    assert_names_nobody(BYTES("PROXY UNKNOWN ffff::1 anything at all\r\n"));
    snprintf(line, sizeof(line), "PROXY UNKNOWN %091d\r\n", 0);
    assert_int_equal(strlen(line), 107);
    assert_names_nobody(sheaf_str_of(line));
    snprintf(line, sizeof(line), "PROXY UNKNOWN %092d\r\n", 0);
    assert_bad(sheaf_str_of(line));
}

static void version_1_is_read_strictly(void **state)
{
    static const char *const lines[] = {
        "TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  56324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324  443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2\r\n",
        "PROXY TCP4 192.0.2.1\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324\n 443\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 0xc0000201 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 2001:db8::1 ::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP6 2001:db8::1 192.0.2.2 56324 443\r\n",
        "PROXY TCP6 [2001:db8::1] ::1 56324 443\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 00 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 0443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n",
        " PROXY UNKNOWN\r\n",
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(lines); i++)
        assert_bad(sheaf_str_of(lines[i]));
    assert_bad(BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 56324 443\r\n"));
    assert_bad(BYTES("PROXY UNKNOWN \0\r\n"));
    assert_bad(BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
}

static void version_2_names_the_client(void **state)
{
    (void)state;
    assert_names(BYTES(SIGNATURE "\x21\x11\x00\x0c" V4_PAIR), "192.0.2.1", 56324);
    assert_names(BYTES(SIGNATURE "\x21\x21\x00\x24" V6_PAIR), "2001:db8::1", 56324);
}

static void version_2_skips_tlvs(void **state)
{
    (void)state;
    assert_names(BYTES(SIGNATURE "\x21\x11\x00\x14" V4_PAIR "\x01\x00\x02h2"
                                 "\x04\x00\x00"),
                 "192.0.2.1", 56324);
    assert_names(BYTES(SIGNATURE "\x21\x21\x00\x27" V6_PAIR "\xe0\x00\x00"), "2001:db8::1", 56324);
    assert_names_nobody(BYTES(SIGNATURE "\x20\x11\x00\x0f" V4_PAIR "\x01\x00\x09"));
}

static void version_2_may_name_nobody(void **state)
{
    char path[16 + 216] = SIGNATURE "\x21\x31\x00\xd8"
                                    "/run/a.sock";

    (void)state;
    assert_names_nobody(BYTES(SIGNATURE "\x20\x00\x00\x00"));
    assert_names_nobody(BYTES(SIGNATURE "\x20\xff\x00\x05"
                                        "\x01\x02\x03\x04\x05"));
    assert_names_nobody(BYTES(SIGNATURE "\x21\x00\x00\x00"));
    assert_names_nobody(BYTES(SIGNATURE "\x21\x00\x00\x03"
                                        "\xff\xff\xff"));
    assert_names_nobody(sheaf_str(path, sizeof(path)));
}

static void version_2_is_read_strictly(void **state)
{
    static const sheaf_str_t headers[] = {
        BYTES(SIGNATURE "\x11\x11\x00\x0c" V4_PAIR), /* version 1 in binary */
        BYTES(SIGNATURE "\x31\x11\x00\x0c" V4_PAIR), /* version 3 */
        BYTES(SIGNATURE "\x22\x11\x00\x0c" V4_PAIR), /* an unknown command */
        BYTES(SIGNATURE "\x21\x12\x00\x0c" V4_PAIR), /* a datagram */
        BYTES(SIGNATURE "\x21\x22\x00\x24" V6_PAIR),
        BYTES(SIGNATURE "\x21\x10\x00\x0c" V4_PAIR), /* family without protocol */
        BYTES(SIGNATURE "\x21\x01\x00\x0c" V4_PAIR), /* protocol without family */
        BYTES(SIGNATURE "\x21\x41\x00\x0c" V4_PAIR), /* an unknown family */
        BYTES(SIGNATURE "\x21\x11\x00\x0b" V4_PAIR), /* addresses cut off */
        BYTES(SIGNATURE "\x21\x11\x00\x00" V4_PAIR),
        BYTES(SIGNATURE "\x21\x21\x00\x0c" V4_PAIR),
        BYTES(SIGNATURE "\x21\x11\x00\x0d" V4_PAIR "\x01"), /* TLVs cut off */
        BYTES(SIGNATURE "\x21\x11\x00\x0e" V4_PAIR "\x01\x00"),
        BYTES(SIGNATURE "\x21\x11\x00\x0f" V4_PAIR "\x01\x00\x01"),
        BYTES(SIGNATURE "\x21\x11\x00\x11" V4_PAIR "\x01\x00\x01h"
                        "\x02"),
        BYTES(SIGNATURE "\x21\x11\xff\xff" V4_PAIR), /* longer than anybody needs */
        BYTES(SIGNATURE "\x20\x00\x0f\xf1"),
        BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c" V4_PAIR), /* another signature */
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(headers); i++)
        assert_bad(headers[i]);
}

static void the_longest_header_is_taken(void **state)
{
    static char bytes[SHEAF_PROXY_HEADER_MOST] = SIGNATURE "\x21\x11\x0f\xf0" V4_PAIR "\x04\x0f\xe1";

    (void)state;
    assert_names(sheaf_str(bytes, sizeof(bytes)), "192.0.2.1", 56324);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_names_the_client), cmocka_unit_test(version_1_may_name_nobody),
        cmocka_unit_test(version_1_is_read_strictly), cmocka_unit_test(version_2_names_the_client),
        cmocka_unit_test(version_2_skips_tlvs),       cmocka_unit_test(version_2_may_name_nobody),
        cmocka_unit_test(version_2_is_read_strictly), cmocka_unit_test(the_longest_header_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
