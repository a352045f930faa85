#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/value.h"

static sheaf_str_t s(const char *text)
{
    return sheaf_str_of(text);
}

static void durations_are_a_number_and_a_unit(void **state)
{
    static const char *const bad[] = {"",   "5",  "ms",   "1.5s", "-1s",  "1 s",
                                      "1S", "1d", "1ms1", "+1s",  "0x1s", "18446744073709551615h"};
    uint64_t ms;
    sheaf_fail_t fail;

    (void)state;
    assert_int_equal(sheaf_value_duration(s("250ms"), &ms, &fail), SHEAF_OK);
    assert_int_equal(ms, 250);
    assert_int_equal(sheaf_value_duration(s("2s"), &ms, &fail), SHEAF_OK);
    assert_int_equal(ms, 2000);
    assert_int_equal(sheaf_value_duration(s("3m"), &ms, &fail), SHEAF_OK);
    assert_int_equal(ms, 180000);
    assert_int_equal(sheaf_value_duration(s("1h"), &ms, &fail), SHEAF_OK);
    assert_int_equal(ms, 3600000);
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++) {
        assert_int_equal(sheaf_value_duration(s(bad[i]), &ms, &fail), SHEAF_ERR_CONFIG);
        assert_int_equal(ms, 3600000); /* a result is written only on success */
    }
}

static void sizes_are_bytes_or_binary_units(void **state)
{
    static const char *const bad[] = {"", "KiB", "1MB", "1kib", "1.5MiB", "-1", "18446744073709551615KiB"};
    uint64_t bytes;
    sheaf_fail_t fail;

    (void)state;
    assert_int_equal(sheaf_value_size(s("17"), &bytes, &fail), SHEAF_OK);
    assert_int_equal(bytes, 17);
    assert_int_equal(sheaf_value_size(s("17B"), &bytes, &fail), SHEAF_OK);
    assert_int_equal(bytes, 17);
    assert_int_equal(sheaf_value_size(s("64KiB"), &bytes, &fail), SHEAF_OK);
    assert_int_equal(bytes, 65536);
    assert_int_equal(sheaf_value_size(s("8MiB"), &bytes, &fail), SHEAF_OK);
    assert_int_equal(bytes, 8388608);
    assert_int_equal(sheaf_value_size(s("16GiB"), &bytes, &fail), SHEAF_OK);
    assert_true(bytes == UINT64_C(17179869184));
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_int_equal(sheaf_value_size(s(bad[i]), &bytes, &fail), SHEAF_ERR_CONFIG);
}

static void values_are_shown_in_their_largest_whole_unit(void **state)
{
    char buffer[SHEAF_VALUE_SHOWN];

    (void)state;
    assert_string_equal(sheaf_value_show_duration(0, buffer), "0s");
    assert_string_equal(sheaf_value_show_duration(1500, buffer), "1500ms");
    assert_string_equal(sheaf_value_show_duration(90000, buffer), "90s");
    assert_string_equal(sheaf_value_show_duration(3600000, buffer), "1h");
    assert_string_equal(sheaf_value_show_size(0, buffer), "0B");
    assert_string_equal(sheaf_value_show_size(1025, buffer), "1025B");
    assert_string_equal(sheaf_value_show_size(1u << 30, buffer), "1GiB");
}

static void a_bool_is_true_or_false(void **state)
{
    bool value = false;
    sheaf_fail_t fail;

    (void)state;
    assert_int_equal(sheaf_value_bool(s("true"), &value, &fail), SHEAF_OK);
    assert_true(value);
    assert_int_equal(sheaf_value_bool(s("yes"), &value, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(sheaf_value_bool(s("false"), &value, &fail), SHEAF_OK);
    assert_false(value);
}

static void auto_is_one_worker_per_core_this_process_may_use(void **state)
{
    cpu_set_t cpus, one;
    uint64_t count;
    sheaf_fail_t fail;
    int first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    assert_int_equal(sheaf_value_workers(s("auto"), 256, &count, &fail), SHEAF_OK);
    assert_int_equal(count, CPU_COUNT(&cpus));

    while (!CPU_ISSET(first, &cpus))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(sheaf_value_workers(s("auto"), 256, &count, &fail), SHEAF_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

static void an_ip_is_sixteen_bytes_with_v4_mapped(void **state)
{
    static const char *const bad[] = {
        "",         "1",   "1.2.3", "1.2.3.256", "1.2.3.4.5", "01.2.3.4",    "::1%lo",     "[::1]",
        "1.2.3.4 ", ":::", "g::1",  "1.2.3.4/8", "a.b.c.d",   "1:2:3:4:5:6", "127.0.0.1\n"};
    uint8_t ip[16] = {0xAA};

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++) {
        assert_false(sheaf_ip_parse(s(bad[i]), ip));
        assert_int_equal(ip[0], 0xAA);
    }
    assert_false(sheaf_ip_parse(sheaf_str("1.2.3.4\0x", 9), ip));
    assert_true(sheaf_ip_parse(s("10.1.2.3"), ip));
    assert_memory_equal(ip, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x0A\x01\x02\x03", 16);
    assert_true(sheaf_ip_parse(s("::ffff:10.1.2.3"), ip));
    assert_memory_equal(ip, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x0A\x01\x02\x03", 16);
    assert_true(sheaf_ip_parse(s("fd00::1"), ip));
    assert_memory_equal(ip, "\xFD\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
}

/* "network ip" pairs: is the ip inside? */
static bool has(const char *network, const char *text)
{
    sheaf_cidr_t cidr;
    bool had_host_bits;
    sheaf_fail_t fail;
    uint8_t ip[16];

    assert_int_equal(sheaf_value_cidr(s(network), &cidr, &had_host_bits, &fail), SHEAF_OK);
    assert_true(sheaf_ip_parse(s(text), ip));
    return sheaf_cidr_has(&cidr, 1, ip);
}

static void a_network_holds_what_shares_its_prefix(void **state)
{
    uint8_t ip[16] = {0};

    (void)state;
    assert_true(has("127.0.0.0/8", "127.255.255.255"));
    assert_false(has("127.0.0.0/8", "128.0.0.0"));
    assert_true(has("10.0.0.0/9", "10.127.0.1"));
    assert_false(has("10.0.0.0/9", "10.128.0.1"));
    assert_true(has("192.168.1.1", "192.168.1.1"));
    assert_false(has("192.168.1.1", "192.168.1.2"));
    assert_true(has("10.1.2.3/8", "10.9.9.9")); /* host bits are cleared */
    assert_true(has("fd00::/7", "fc00::1"));
    assert_false(has("fd00::/8", "fc00::1"));
    assert_true(has("::1", "::1"));
    assert_true(has("::/0", "10.0.0.1")); /* every address, IPv4-mapped too */
    assert_true(has("0.0.0.0/0", "255.0.0.1"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("::ffff:10.0.0.0/104", "10.3.4.5"));
    assert_false(sheaf_cidr_has(NULL, 0, ip));
}

static void a_later_network_of_the_list_counts_too(void **state)
{
    sheaf_cidr_t list[2];
    bool had_host_bits;
    sheaf_fail_t fail;
    uint8_t ip[16];

    (void)state;
    assert_int_equal(sheaf_value_cidr(s("10.0.0.0/8"), &list[0], &had_host_bits, &fail), SHEAF_OK);
    assert_int_equal(sheaf_value_cidr(s("fd00::/8"), &list[1], &had_host_bits, &fail), SHEAF_OK);
    assert_true(sheaf_ip_parse(s("fd12::1"), ip));
    assert_true(sheaf_cidr_has(list, 2, ip));
    assert_false(sheaf_cidr_has(list, 1, ip));
}

static void check_server(sheaf_pool_t *pool, const char *text, const char *host, int port, const char *authority)
{
    sheaf_server_url_t server;
    sheaf_fail_t fail;

    assert_int_equal(sheaf_value_server(pool, s(text), &server, &fail), SHEAF_OK);
    assert_true(sheaf_str_eq(server.host, s(host)));
    assert_int_equal(server.port, port);
    assert_true(sheaf_str_eq(server.authority, s(authority)));
}

static void a_server_is_a_host_a_port_and_what_goes_into_the_host_header(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    check_server(pool, "http://users.internal", "users.internal", 80, "users.internal");
    check_server(pool, "http://Users.Internal:80", "users.internal", 80, "users.internal");
    check_server(pool, "http://127.0.0.1:9001", "127.0.0.1", 9001, "127.0.0.1:9001");
    check_server(pool, "http://[FD00::1]", "fd00::1", 80, "[fd00::1]");
    check_server(pool, "http://[::1]:9001", "::1", 9001, "[::1]:9001");
    check_server(pool, "unix:/run/users.sock", "/run/users.sock", 0, "localhost");
    check_server(pool, "http://unix:/run/Users.sock", "/run/Users.sock", 0, "localhost");
    sheaf_pool_free(pool);
}

static void check_address(sheaf_pool_t *pool, const char *text, const char *host, int port, bool is_unix)
{
    sheaf_address_t address;
    sheaf_fail_t fail;

    assert_int_equal(sheaf_value_address(pool, s(text), &address, &fail), SHEAF_OK);
    assert_true(sheaf_str_eq(address.text, s(text)));
    assert_true(sheaf_str_eq(address.host, s(host)));
    assert_int_equal(address.port, port);
    assert_int_equal(address.is_unix, is_unix);
}

static void an_address_is_ip_and_port_or_a_unix_socket(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_address_t address;
    sheaf_fail_t fail;
    char text[256] = "unix:/";

    (void)state;
    check_address(pool, "127.0.0.1:8080", "127.0.0.1", 8080, false);
    check_address(pool, "[::1]:8080", "::1", 8080, false);
    check_address(pool, ":8080", "", 8080, false);
    check_address(pool, "127.0.0.1:0", "127.0.0.1", 0, false);
    check_address(pool, "unix:/run/sheaf.sock", "/run/sheaf.sock", 0, true);
    memset(text + 6, 'a', 107);
    assert_int_equal(sheaf_value_address(pool, s(text), &address, &fail), SHEAF_ERR_CONFIG);
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_a_number_and_a_unit),
        cmocka_unit_test(sizes_are_bytes_or_binary_units),
        cmocka_unit_test(values_are_shown_in_their_largest_whole_unit),
        cmocka_unit_test(a_bool_is_true_or_false),
        cmocka_unit_test(auto_is_one_worker_per_core_this_process_may_use),
        cmocka_unit_test(an_ip_is_sixteen_bytes_with_v4_mapped),
        cmocka_unit_test(a_network_holds_what_shares_its_prefix),
        cmocka_unit_test(a_later_network_of_the_list_counts_too),
        cmocka_unit_test(a_server_is_a_host_a_port_and_what_goes_into_the_host_header),
        cmocka_unit_test(an_address_is_ip_and_port_or_a_unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
