/* clock: what time is it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "gateway/base/clock.h"
#include "gateway/base/str.h"

static void the_monotonic_clock_never_goes_back(void **state)
{
    sheaf_clock_t clock = {.read_us = sheaf_clock_monotonic_us};
    uint64_t last = clock.read_us(&clock), now;

    for (int i = 0; i < 10000; i++, last = now) {
        now = clock.read_us(&clock);
        assert_true(now >= last);
    }
}

static void a_reading_is_kept_until_time_passes(void **state)
{
    sheaf_clock_t clock = {.read_us = sheaf_clock_kept_us};
    uint64_t first = clock.read_us(&clock), start = sheaf_clock_monotonic_us(NULL);

    (void)state;
    while (sheaf_clock_monotonic_us(NULL) == start)
        ;
    assert_int_equal(clock.read_us(&clock), first);
    sheaf_clock_pass(&clock);
    assert_true(clock.read_us(&clock) > first);
    first = clock.read_us(&clock);
    start = sheaf_clock_monotonic_us(NULL);
    while (sheaf_clock_monotonic_us(NULL) == start)
        ;
    sheaf_clock_refresh(&clock);
    assert_true(clock.read_us(&clock) > first);
}

/* What is written, read back: seconds since the epoch. */
static time_t parse(const char *text)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);

    assert_non_null(rest);
    assert_int_equal(strlen(rest), 5); /* .123Z */
    assert_int_equal(rest[0], '.');
    assert_int_equal(strspn(rest + 1, "0123456789"), 3);
    assert_int_equal(rest[4], 'Z');
    return timegm(&parts);
}

static void the_wall_clock_is_rfc_3339_in_utc(void **state)
{
    char text[26];
    time_t before, after, written;

    setenv("TZ", "Asia/Kolkata", 1); /* must not matter */
    tzset();
    memset(text, '#', sizeof(text));
    before = time(NULL);
    sheaf_clock_rfc3339(text);
    after = time(NULL);
    assert_int_equal(strlen(text), 24);
    assert_int_equal(text[25], '#');
    written = parse(text);
    assert_true(written >= before && written <= after + 1); /* time() lags the fine clock a little */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(a_reading_is_kept_until_time_passes),
        cmocka_unit_test(the_wall_clock_is_rfc_3339_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
