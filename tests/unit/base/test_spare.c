/* spare: small blocks that come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/base/spare.h"

static void blocks_of_all_sizes_are_aligned_and_do_not_overlap(void **state)
{
    unsigned char *blocks[2 * SHEAF_SPARE_LARGEST];

    (void)state;
    for (size_t size = 0; size < 2 * SHEAF_SPARE_LARGEST; size++) {
        blocks[size] = sheaf_spare_alloc(size);
        assert_int_equal((uintptr_t)blocks[size] % 16, 0);
        memset(blocks[size], (int)(size & 0xff), size);
    }
    for (size_t size = 0; size < 2 * SHEAF_SPARE_LARGEST; size++) {
        for (size_t i = 0; i < size; i++)
            assert_int_equal(blocks[size][i], size & 0xff);
        sheaf_spare_free(blocks[size]);
    }
    sheaf_spare_free(NULL);
}

static void a_block_from_the_list_is_zeroed_where_that_is_asked(void **state)
{
    static const unsigned char zeroes[100];

    (void)state;
    for (int i = 0; i < 3; i++) {
        void *block = sheaf_spare_zalloc(sizeof(zeroes));

        assert_memory_equal(block, zeroes, sizeof(zeroes));
        memset(block, 0xff, sizeof(zeroes));
        sheaf_spare_free(block);
    }
}

static void a_block_that_grows_and_shrinks_keeps_what_it_holds(void **state)
{
    sheaf_chance_t chance = {7};
    unsigned char *block = NULL;
    size_t size = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        size_t next = (size_t)sheaf_chance_upto(&chance, 2 * SHEAF_SPARE_LARGEST), kept = next < size ? next : size;

        block = sheaf_spare_realloc(block, next);
        for (size_t at = 0; at < kept; at++)
            assert_int_equal(block[at], at & 0xff);
        for (size_t at = 0; at < next; at++)
            block[at] = (unsigned char)at;
        size = next;
    }
    sheaf_spare_free(block);
}

static void what_waits_is_bounded_and_given_back(void **state)
{
    enum { MANY = 2 * SHEAF_SPARE_BYTES / 64 };
    void **blocks = calloc(MANY, sizeof(*blocks));

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++)
            memset(blocks[i] = sheaf_spare_alloc(64), round, 64);
        for (size_t i = 0; i < MANY; i++)
            sheaf_spare_free(blocks[i]);
    }
    sheaf_spare_trim(); /* nothing is left for the sanitizer to find */
    sheaf_spare_trim();
    free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_all_sizes_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_block_from_the_list_is_zeroed_where_that_is_asked),
        cmocka_unit_test(a_block_that_grows_and_shrinks_keeps_what_it_holds),
        cmocka_unit_test(what_waits_is_bounded_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
