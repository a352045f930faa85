#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "gateway/front/memory.h"

/* What malloc and the kernel say is handed in: these two stand before those of libc. */
static uint64_t handed_out;
static int sums, trims;
static clock_t sum_takes; /* of the CPU */

struct mallinfo2 mallinfo2(void)
{
    clock_t until = clock() + sum_takes;

    while (sum_takes != 0 && clock() < until)
        ;
    sums++;
    return (struct mallinfo2){.uordblks = handed_out / 2, .hblkhd = handed_out - handed_out / 2};
}

int malloc_trim(size_t pad)
{
    (void)pad;
    trims++;
    return 1;
}

#define MOST 100000000

typedef struct {
    sheaf_memory_t memory;
    uint64_t now_ms;
} fixture_t;

static void set_resident(const sheaf_memory_t *memory, uint64_t bytes)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "999999 %llu 7 1 0 3 0\n",
                       (unsigned long long)(bytes / (uint64_t)sysconf(_SC_PAGESIZE)));

    assert_int_equal(ftruncate(memory->statm_fd, 0), 0);
    assert_int_equal(pwrite(memory->statm_fd, text, (size_t)len, 0), len);
}

static int set_up(void **state)
{
    static fixture_t fixture;

    fixture = (fixture_t){.memory = {.statm_fd = memfd_create("statm", MFD_CLOEXEC)}, .now_ms = 1000000};
    assert_true(fixture.memory.statm_fd > 0);
    handed_out = 0;
    sums = trims = 0;
    sum_takes = 0;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *fixture = *state;

    return close(fixture->memory.statm_fd);
}

/* The level at the next moment at which it is looked. */
static sheaf_memory_level_t level_of(fixture_t *fixture, uint64_t resident, uint64_t used)
{
    set_resident(&fixture->memory, resident);
    handed_out = used;
    fixture->now_ms += 100;
    return sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms);
}

/* Also near the limit, where malloc says that it is not reached, and beyond it. */
static void it_is_looked_every_five_milliseconds(void **state)
{
    static const uint64_t residents[] = {MOST / 10, MOST / 2, MOST / 100 * 97, MOST};
    fixture_t *fixture = *state;

    for (size_t i = 0; i < 4; i++) {
        level_of(fixture, residents[i], i == 3 ? MOST / 100 * 96 : MOST / 10);
        set_resident(&fixture->memory, MOST);
        handed_out = MOST;
        assert_int_not_equal(sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 4), SHEAF_MEMORY_FULL);
        assert_int_equal(sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 5), SHEAF_MEMORY_FULL);
        set_resident(&fixture->memory, 0);
        assert_int_equal(sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 9), SHEAF_MEMORY_FULL);
        assert_int_equal(sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 10), SHEAF_MEMORY_FINE);
    }
}

/* malloc adds up what is free chunk by chunk: of many it takes long, and nothing else is done meanwhile. */
static void where_looking_is_dear_it_is_done_more_rarely(void **state)
{
    fixture_t *fixture = *state;

    sum_takes = CLOCKS_PER_SEC / 50;
    level_of(fixture, MOST, MOST / 2);
    assert_int_equal(sums, 1);
    sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 79);
    assert_int_equal(sums, 1);
    sheaf_memory_level(&fixture->memory, MOST, fixture->now_ms + 5000);
    assert_int_equal(sums, 2);
}

static void what_malloc_handed_out_decides(void **state)
{
    assert_int_equal(level_of(*state, MOST, MOST / 100 * 95 - 1), SHEAF_MEMORY_FINE);
    assert_int_equal(level_of(*state, MOST, MOST / 100 * 95), SHEAF_MEMORY_TIGHT);
    assert_int_equal(level_of(*state, MOST, MOST / 100 * 98 - 1), SHEAF_MEMORY_TIGHT);
    assert_int_equal(level_of(*state, MOST, MOST / 100 * 98), SHEAF_MEMORY_FULL);
    assert_int_equal(level_of(*state, 2 * (uint64_t)MOST, 2 * (uint64_t)MOST), SHEAF_MEMORY_FULL);
    assert_int_equal(level_of(*state, MOST, MOST / 2), SHEAF_MEMORY_FINE); /* and it is over as soon as it is freed */
}

static void far_from_the_limit_nothing_dear_is_asked(void **state)
{
    assert_int_equal(level_of(*state, MOST / 100 * 94, MOST), SHEAF_MEMORY_FINE);
    assert_int_equal(sums, 0);
    assert_int_equal(trims, 0);
}

static void what_is_free_is_given_back_a_few_times_a_second(void **state)
{
    for (int i = 0; i < 30; i++) /* three seconds, looked at every 100 ms, and the kernel's number does not sink */
        assert_int_equal(level_of(*state, MOST, MOST / 2), SHEAF_MEMORY_FINE);
    assert_int_equal(trims, 10);
}

static void a_malloc_that_does_not_tell_is_believed_the_kernel(void **state)
{
    assert_int_equal(level_of(*state, MOST / 100 * 96, 0), SHEAF_MEMORY_TIGHT);
    assert_int_equal(level_of(*state, MOST / 100 * 99, 0), SHEAF_MEMORY_FULL);
    assert_int_equal(trims, 0);
}

static void numbers_that_cannot_be_read_stop_nobody(void **state)
{
    fixture_t *fixture = *state;

    handed_out = MOST;
    assert_int_equal(sheaf_memory_level(&fixture->memory, MOST, 1), SHEAF_MEMORY_FINE); /* an empty file */
    assert_int_equal(pwrite(fixture->memory.statm_fd, "nonsense", 8, 0), 8);
    assert_int_equal(sheaf_memory_level(&fixture->memory, MOST, 200), SHEAF_MEMORY_FINE);
}

static void the_kernels_own_number_is_read(void **state)
{
    sheaf_memory_t memory = {0};

    (void)state;
    handed_out = MOST;
    assert_int_equal(sheaf_memory_level(&memory, 100 * 1024, 1), SHEAF_MEMORY_FULL); /* more than 100 KiB are there */
    assert_true(memory.statm_fd > 0);
    assert_int_equal(sheaf_memory_level(&memory, UINT64_MAX, 1000), SHEAF_MEMORY_FINE);
    close(memory.statm_fd);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(what_malloc_handed_out_decides),
        WITH_FIXTURE(it_is_looked_every_five_milliseconds),
        WITH_FIXTURE(where_looking_is_dear_it_is_done_more_rarely),
        WITH_FIXTURE(far_from_the_limit_nothing_dear_is_asked),
        WITH_FIXTURE(what_is_free_is_given_back_a_few_times_a_second),
        WITH_FIXTURE(a_malloc_that_does_not_tell_is_believed_the_kernel),
        WITH_FIXTURE(numbers_that_cannot_be_read_stop_nobody),
        cmocka_unit_test(the_kernels_own_number_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
