#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "gateway/front/crowd.h"

static sheaf_crowd_group_t *join(sheaf_crowd_t *crowd, const char *text, uint64_t most)
{
    uint8_t ip[16];

    assert_int_equal(inet_pton(AF_INET6, text, ip), 1);
    return sheaf_crowd_join(crowd, ip, most);
}

static void one_address_has_its_number_and_no_more(void **state)
{
    sheaf_crowd_t *crowd = sheaf_crowd_new(7);
    sheaf_crowd_group_t *first = join(crowd, "::ffff:10.0.0.1", 2), *second = join(crowd, "::ffff:10.0.0.1", 2);
    sheaf_crowd_group_t *other = join(crowd, "::ffff:10.0.0.2", 2);

    (void)state;
    assert_non_null(first);
    assert_ptr_equal(first, second);
    assert_null(join(crowd, "::ffff:10.0.0.1", 2));
    assert_non_null(other);
    sheaf_crowd_leave(crowd, first);
    assert_non_null(join(crowd, "::ffff:10.0.0.1", 2));
    sheaf_crowd_leave(crowd, first);
    sheaf_crowd_leave(crowd, first);
    sheaf_crowd_leave(crowd, other);
    sheaf_crowd_free(crowd);
}

static void an_ipv6_subscriber_is_its_64(void **state)
{
    sheaf_crowd_t *crowd = sheaf_crowd_new(7);
    sheaf_crowd_group_t *first = join(crowd, "2001:db8:1:2::1", 1), *other = join(crowd, "2001:db8:1:3::1", 1);

    (void)state;
    assert_null(join(crowd, "2001:db8:1:2:ffff::9", 1));
    assert_non_null(other);
    sheaf_crowd_leave(crowd, first);
    sheaf_crowd_leave(crowd, other);
    sheaf_crowd_free(crowd);
}

static void zero_is_any_number_and_thousands_of_addresses_come_and_go(void **state)
{
    sheaf_crowd_t *crowd = sheaf_crowd_new(99);
    sheaf_crowd_group_t *groups[20000];
    uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        ip[14] = (uint8_t)(i >> 8);
        ip[15] = (uint8_t)i;
        groups[i] = sheaf_crowd_join(crowd, ip, 0);
        assert_non_null(groups[i]);
    }
    for (int i = 0; i < 20000; i++)
        sheaf_crowd_leave(crowd, groups[i]);
    sheaf_crowd_free(crowd); /* a group that was left behind is a leak */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_has_its_number_and_no_more),
        cmocka_unit_test(an_ipv6_subscriber_is_its_64),
        cmocka_unit_test(zero_is_any_number_and_thousands_of_addresses_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
