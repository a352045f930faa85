/* How much memory the worker uses, against limits made to measure: of this very process. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/front/memory.h"

#define LARGE_BYTES (64u << 20) /* so much that everything else is noise */

static char *large;

static int set_up(void **state)
{
    large = malloc(LARGE_BYTES);
    memset(large, 'x', LARGE_BYTES); /* resident, not only reserved */
    return 0;
}

static int tear_down(void **state)
{
    free(large);
    return 0;
}

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total, pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu %llu", &total, &pages), 2);
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What counts: what malloc has handed out, where it tells (a sanitizer's does not). */
static uint64_t used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd > 0 ? info.uordblks + info.hblkhd : resident();
}

/* The level when what is used is `percent` of the limit. */
static sheaf_memory_level_t level_at(double percent)
{
    sheaf_memory_t memory = {.statm_fd = 0};
    sheaf_memory_level_t level = sheaf_memory_level(&memory, (uint64_t)((double)used() * 100 / percent), 1000);

    assert_true(memory.statm_fd > 0);
    close(memory.statm_fd);
    return level;
}

static void test_levels_by_what_is_used(void **state)
{
    assert_int_equal(level_at(10), SHEAF_MEMORY_FINE);
    assert_int_equal(level_at(93), SHEAF_MEMORY_FINE);
    assert_int_equal(level_at(96.5), SHEAF_MEMORY_TIGHT);
    assert_int_equal(level_at(99.5), SHEAF_MEMORY_FULL);
    assert_int_equal(level_at(300), SHEAF_MEMORY_FULL);
}

static void test_looks_at_most_ten_times_a_second(void **state)
{
    sheaf_memory_t memory = {.statm_fd = 0};

    assert_int_equal(sheaf_memory_level(&memory, UINT64_C(1) << 40, 1000), SHEAF_MEMORY_FINE);
    assert_int_equal(sheaf_memory_level(&memory, 1 << 20, 1099), SHEAF_MEMORY_FINE); /* what was seen still goes */
    assert_int_equal(sheaf_memory_level(&memory, 1 << 20, 1100), SHEAF_MEMORY_FULL);
    assert_int_equal(sheaf_memory_level(&memory, UINT64_C(1) << 40, 1150), SHEAF_MEMORY_FULL);
    assert_int_equal(sheaf_memory_level(&memory, UINT64_C(1) << 40, 1200), SHEAF_MEMORY_FINE);
    close(memory.statm_fd);
}

static void test_a_process_that_cannot_look_goes_on(void **state)
{
    sheaf_memory_t memory = {.statm_fd = -1};

    assert_int_equal(sheaf_memory_level(&memory, 1 << 20, 1000), SHEAF_MEMORY_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels_by_what_is_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looks_at_most_ten_times_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_process_that_cannot_look_goes_on, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
