#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/front/bucket.h"

static uint32_t abandon_until_cut(sheaf_bucket_t *bucket, uint64_t burst, uint64_t now_ms)
{
    uint32_t count = 1;

    while (sheaf_bucket_take(bucket, burst, 10, now_ms, 1))
        count++;
    return count;
}

static void a_burst_is_borne_and_one_more_is_not(void **state)
{
    sheaf_bucket_t bucket;

    sheaf_bucket_init(&bucket, 100, 5000);
    assert_int_equal(abandon_until_cut(&bucket, 100, 5000), 101);
}

static void each_second_gives_ten_back(void **state)
{
    sheaf_bucket_t bucket;

    sheaf_bucket_init(&bucket, 100, 0);
    for (int i = 0; i < 100; i++)
        assert_true(sheaf_bucket_take(&bucket, 100, 10, 0, 1));
    assert_int_equal(abandon_until_cut(&bucket, 100, 2000), 21);
}

static void answered_requests_make_up_for_abandoned_ones(void **state)
{
    sheaf_bucket_t bucket;

    sheaf_bucket_init(&bucket, 3, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(sheaf_bucket_take(&bucket, 3, 10, 0, i % 2 == 0 ? 1 : -1));
}

static void rest_does_not_save_up_more_than_a_burst(void **state)
{
    sheaf_bucket_t bucket;

    sheaf_bucket_init(&bucket, 5, 0);
    assert_true(sheaf_bucket_take(&bucket, 5, 10, 3600000, -1));
    assert_int_equal(abandon_until_cut(&bucket, 5, 3600000), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_borne_and_one_more_is_not),
        cmocka_unit_test(each_second_gives_ten_back),
        cmocka_unit_test(answered_requests_make_up_for_abandoned_ones),
        cmocka_unit_test(rest_does_not_save_up_more_than_a_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
