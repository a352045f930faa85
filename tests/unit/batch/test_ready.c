#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/batch/ready.h"

static void the_smallest_is_found_first_whatever_the_size(void **state)
{
    static const uint32_t sizes[] = {1, 63, 64, 65, 4096, 4097, 300000};

    for (size_t s = 0; s < SHEAF_COUNT(sizes); s++) {
        sheaf_pool_t *pool = sheaf_pool_new();
        sheaf_ready_t set;
        uint32_t step = sizes[s] / 50 + 1, last = 0;

        sheaf_ready_init(&set, pool, sizes[s]);
        assert_int_equal(sheaf_ready_first(&set), SHEAF_READY_NONE);
        for (uint32_t i = sizes[s]; i-- > 0;)
            if (i % step == 0)
                sheaf_ready_put(&set, i);
        for (uint32_t i = 0; i < sizes[s]; i += step, last++) {
            assert_int_equal(sheaf_ready_first(&set), i);
            sheaf_ready_drop(&set, i);
            sheaf_ready_drop(&set, i); /* harmless */
        }
        assert_true(last > 0);
        assert_int_equal(sheaf_ready_first(&set), SHEAF_READY_NONE);
        sheaf_ready_put(&set, sizes[s] - 1);
        assert_int_equal(sheaf_ready_first(&set), sizes[s] - 1);
        sheaf_pool_free(pool);
    }
}

static void the_next_from_anywhere_is_found_whatever_the_size(void **state)
{
    static const uint32_t sizes[] = {1, 63, 64, 65, 256, 4095, 4096, 4097, 262144, 300000};

    for (size_t s = 0; s < SHEAF_COUNT(sizes); s++) {
        sheaf_pool_t *pool = sheaf_pool_new();
        uint32_t step = sizes[s] / 7 + 1;
        sheaf_ready_t set;

        sheaf_ready_init(&set, pool, sizes[s]);
        assert_int_equal(sheaf_ready_next(&set, sizes[s] - 1), SHEAF_READY_NONE);
        for (uint32_t i = 0; i < sizes[s]; i += step)
            sheaf_ready_put(&set, i);
        for (uint32_t from = 0; from < sizes[s]; from += from < 200 ? 1 : 61) {
            uint32_t want = (from + step - 1) / step * step;

            assert_int_equal(sheaf_ready_next(&set, from), want < sizes[s] ? want : SHEAF_READY_NONE);
        }
        sheaf_pool_free(pool);
    }
}

static void a_set_of_nothing_has_no_first(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_ready_t set;

    sheaf_ready_init(&set, pool, 0);
    assert_int_equal(sheaf_ready_first(&set), SHEAF_READY_NONE);
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_is_found_first_whatever_the_size),
        cmocka_unit_test(the_next_from_anywhere_is_found_whatever_the_size),
        cmocka_unit_test(a_set_of_nothing_has_no_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
