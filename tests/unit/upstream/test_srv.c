/* SRV records of an answer: what is taken, in which order, and what is no answer at all. */
#include "tests/unit/upstream/dns.h"

#include "gateway/upstream/srv.h"

/* An answer to _http._tcp.a.test without a record. */
static dns_reply_t *reply_new(void)
{
    dns_reply_t *reply = calloc(1, sizeof(*reply));

    dns_put(reply, (uint8_t[]){0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, 12);
    dns_put_name(reply, "_http._tcp.a.test");
    dns_put_u16(reply, DNS_SRV);
    dns_put_u16(reply, 1);
    return reply;
}

/* Reads a copy of its exact size, so that a read beyond it is seen. */
static bool parse_first(const dns_reply_t *reply, size_t len, sheaf_targets_t *targets)
{
    uint8_t *copy = malloc(len + 1);
    bool is_good;

    memcpy(copy, reply->bytes, len);
    copy = realloc(copy, len != 0 ? len : 1);
    is_good = sheaf_srv_parse(copy, len, targets);
    free(copy);
    return is_good;
}

static bool parse(dns_reply_t *reply, sheaf_targets_t *targets)
{
    bool is_good = parse_first(reply, reply->len, targets);

    free(reply);
    return is_good;
}

static void assert_target(const sheaf_target_t *target, unsigned priority, unsigned weight, unsigned port,
                          const char *host)
{
    assert_int_equal(target->priority, priority);
    assert_int_equal(target->weight, weight);
    assert_int_equal(target->port, port);
    assert_string_equal(target->host, host);
}

static void targets_come_by_priority_then_weight_then_name(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;

    dns_put_srv(reply, 20, 5, 80, "late.test", 30);
    dns_put_srv(reply, 10, 1, 8080, "B.Test", 20);
    dns_put_srv(reply, 10, 1, 8080, "a_1-x.test", 40);
    dns_put_srv(reply, 10, 9, 65535, "heavy.test", 40);
    assert_true(parse(reply, &targets));
    assert_int_equal(targets.count, 4);
    assert_int_equal(targets.ttl_s, 20);
    assert_target(&targets.items[0], 10, 9, 65535, "heavy.test.");
    assert_target(&targets.items[1], 10, 1, 8080, "a_1-x.test.");
    assert_target(&targets.items[2], 10, 1, 8080, "b.test.");
    assert_target(&targets.items[3], 20, 5, 80, "late.test.");
}

static void the_same_host_and_port_is_one_target_the_better_one(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;

    dns_put_srv(reply, 20, 5, 80, "a.test", 30);
    dns_put_srv(reply, 10, 5, 80, "a.test", 30);
    dns_put_srv(reply, 10, 2, 80, "A.test", 30);
    dns_put_srv(reply, 10, 2, 81, "a.test", 30);
    assert_true(parse(reply, &targets));
    assert_int_equal(targets.count, 2);
    assert_target(&targets.items[0], 10, 5, 80, "a.test.");
    assert_target(&targets.items[1], 10, 2, 81, "a.test.");
}

static void of_too_many_the_best_are_taken_whatever_their_order(void **state)
{
    for (int turned = 0; turned < 2; turned++) {
        dns_reply_t *reply = reply_new();
        sheaf_targets_t targets;

        for (unsigned i = 0; i < 1000; i++) {
            dns_put_srv(reply, turned ? 1000 - i : i + 1, 0, 80, "a.test", 30);
            dns_put_srv(reply, 5, i, i + 1, "b.test", 30);
        }
        assert_true(parse(reply, &targets));
        assert_int_equal(targets.count, SHEAF_SRV_MAX_TARGETS);
        assert_target(&targets.items[0], 1, 0, 80, "a.test.");
        assert_target(&targets.items[1], 5, 999, 1000, "b.test.");
        assert_target(&targets.items[31], 5, 969, 970, "b.test.");
    }
}

static void a_root_for_a_target_says_that_there_is_no_service(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;

    dns_put_srv(reply, 0, 0, 0, "", 30);
    assert_true(parse(reply, &targets));
    assert_int_equal(targets.count, 0);
    assert_int_equal(targets.ttl_s, 30);
}

static void what_is_no_host_or_has_no_port_is_left_out(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;
    char label[64], long_name[260] = "";

    memset(label, 'x', 63);
    label[63] = '\0';
    for (int i = 0; i < 4; i++)
        snprintf(long_name + strlen(long_name), 66, "%s.", label);
    dns_put_srv(reply, 0, 0, 0, "a.test", 30);
    dns_put_srv(reply, 0, 0, 80, "a b.test", 30);
    dns_put_srv(reply, 0, 0, 80, "a\r\n.test", 30);
    dns_put_srv(reply, 0, 0, 80, "a/b.test", 30);
    dns_put_srv(reply, 0, 0, 80, long_name, 30); /* 256 bytes */
    assert_false(parse_first(reply, reply->len, &targets));
    dns_put_srv(reply, 0, 0, 80, long_name + 4, 30); /* 252 */
    assert_true(parse(reply, &targets));
    assert_int_equal(targets.count, 1);
    assert_string_equal(targets.items[0].host, long_name + 4);
}

static void the_ttl_is_the_least_and_an_alias_counts(void **state)
{
    const struct {
        uint32_t alias, record, want;
    } cases[] = {{5, 30, 5}, {30, 5, 5}, {UINT32_MAX, 30, 0}, {30, INT32_MAX, 30}, {INT32_MAX, INT32_MAX, INT32_MAX}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        dns_reply_t *reply = reply_new();
        sheaf_targets_t targets;

        dns_put_cname(reply, NULL, "b.test", cases[i].alias);
        dns_put_a(reply, 1, 1); /* is not what was asked for */
        dns_put_srv(reply, 0, 0, 80, "a.test", cases[i].record);
        assert_true(parse(reply, &targets));
        assert_int_equal(targets.ttl_s, cases[i].want);
    }
}

static void an_answer_without_a_service_is_none(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;

    assert_false(parse_first(reply, reply->len, &targets));
    dns_put_a(reply, 1, 1);
    assert_false(parse(reply, &targets));
}

/* Behind the header of a record: its data are cut, too long, or point in circles. */
static void malformed_records_make_the_answer_none(void **state)
{
    const struct {
        const char *data;
        size_t len;
    } cases[] = {
        {"\0\0\0\0\0", 5},     /* shorter than its fields */
        {"\0\0\0\0\0\x50", 6}, /* no target */
        {"\0\0\0\0\0\x50\x01"
         "a",
         8}, /* the name goes on behind it */
        {"\0\0\0\0\0\x50\x01"
         "a\0x",
         10}, /* and something behind the name */
        {"\0\0\0\0\0\x50\x41"
         "a\0",
         9},                       /* labels of a kind that is not */
        {"\0\0\0\0\0\x50\xC0", 7}, /* half a pointer */
    };

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        dns_reply_t *reply = reply_new();
        sheaf_targets_t targets;
        size_t at;

        dns_put_srv(reply, 0, 0, 80, "a.test", 30);
        at = dns_begin(reply, NULL, DNS_SRV, 30);
        dns_put(reply, cases[i].data, cases[i].len);
        dns_end(reply, at);
        assert_false(parse(reply, &targets));
    }
}

static void pointers_are_followed_back_and_never_in_circles(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;
    size_t at = dns_begin(reply, NULL, DNS_SRV, 30);

    dns_put(reply,
            "\0\0\0\0\0\x50\x01"
            "b\xC0\x17",
            10); /* b, then a.test out of the question */
    dns_end(reply, at);
    at = dns_begin(reply, NULL, DNS_SRV, 30);
    dns_put_u16(reply, 0);
    dns_put_u16(reply, 0);
    dns_put_u16(reply, 80);
    dns_put_u16(reply, (unsigned)(0xC000 | reply->len)); /* itself */
    dns_end(reply, at);
    assert_true(parse(reply, &targets));
    assert_int_equal(targets.count, 1);
    assert_string_equal(targets.items[0].host, "b.a.test.");
}

static void every_cut_answer_is_none(void **state)
{
    dns_reply_t *reply = reply_new();
    sheaf_targets_t targets;

    dns_put_cname(reply, NULL, "b.test", 30);
    dns_put_srv(reply, 0, 0, 80, "a.test", 30);
    for (size_t len = 0; len < reply->len; len++)
        assert_false(parse_first(reply, len, &targets));
    assert_true(parse(reply, &targets));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_come_by_priority_then_weight_then_name),
        cmocka_unit_test(the_same_host_and_port_is_one_target_the_better_one),
        cmocka_unit_test(of_too_many_the_best_are_taken_whatever_their_order),
        cmocka_unit_test(a_root_for_a_target_says_that_there_is_no_service),
        cmocka_unit_test(what_is_no_host_or_has_no_port_is_left_out),
        cmocka_unit_test(the_ttl_is_the_least_and_an_alias_counts),
        cmocka_unit_test(an_answer_without_a_service_is_none),
        cmocka_unit_test(malformed_records_make_the_answer_none),
        cmocka_unit_test(pointers_are_followed_back_and_never_in_circles),
        cmocka_unit_test(every_cut_answer_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
