/* log: lines come out whole, or not at all and counted. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

static size_t read_all(int fd, char *dst, size_t room)
{
    size_t len = 0;
    ssize_t got;

    while (len < room && (got = read(fd, dst + len, room - len)) > 0)
        len += (size_t)got;
    return len;
}

static void a_line_is_one_json_object_whatever_is_in_it(void **state)
{
    sheaf_log_line_t line;
    char text[SHEAF_LOG_LINE_MAX * 2], huge[9000];
    int ends[2];
    size_t len;
    json_t *json;

    memset(huge, '"', sizeof(huge));
    assert_int_equal(pipe(ends), 0);
    sheaf_log_setup(true, SHEAF_LOG_INFO, NULL);
    sheaf_log_start(ends[1]);
    sheaf_log_begin(&line, SHEAF_LOG_INFO, "batch");
    sheaf_log_u64(&line, "items", 3);
    sheaf_log_str(&line, "client", SHEAF_STR("a\"\n\x1b[2J\xc3\xa9"));
    sheaf_log_str(&line, "huge", sheaf_str(huge, sizeof(huge)));
    sheaf_log_end(&line);
    sheaf_log(SHEAF_LOG_DEBUG, "quiet", "below the level");
    sheaf_log_stop(2000);
    close(ends[1]);

    len = read_all(ends[0], text, sizeof(text));
    assert_true(len <= SHEAF_LOG_LINE_MAX);
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(memchr(text, '\n', len), text + len - 1);
    json = json_loadb(text, len, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "items")), 3);
    json_decref(json);
    close(ends[0]);
}

static void a_reader_that_sleeps_costs_lines_but_no_time(void **state)
{
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(1);
    sheaf_metrics_t *slot = sheaf_metrics_slot(region, 0);
    static char text[4 << 20];
    char padding[1000];
    unsigned lines = 0;
    int ends[2];
    size_t len;

    memset(padding, 'x', sizeof(padding));
    assert_int_equal(pipe(ends), 0);
    sheaf_log_setup(false, SHEAF_LOG_INFO, slot);
    sheaf_log_start(ends[1]);
    for (int i = 0; i < 2000; i++) /* 2 MB into a pipe of 64 KiB and a ring of 256 KiB that nobody reads */
        sheaf_log(SHEAF_LOG_INFO, "full", "%.*s", 1000, padding);
    assert_true(slot->values[SHEAF_METRIC_LOG_DROPPED] > 1000);

    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* now somebody does */
    len = 0;
    while (lines + slot->values[SHEAF_METRIC_LOG_DROPPED] < 2000) {
        ssize_t got = read(ends[0], text + len, sizeof(text) - len);
        for (ssize_t k = 0; k < got; k++)
            lines += text[len + (size_t)k] == '\n';
        len += got > 0 ? (size_t)got : 0;
    }
    sheaf_log_stop(2000);
    assert_int_equal(lines + slot->values[SHEAF_METRIC_LOG_DROPPED], 2000);
    assert_int_equal(text[len - 1], '\n');
    close(ends[0]);
    close(ends[1]);
    sheaf_log_setup(false, SHEAF_LOG_INFO, NULL);
    sheaf_metrics_region_free(region);
}

static void a_full_disk_and_a_reader_that_left_cost_lines_only(void **state)
{
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(1);
    sheaf_metrics_t *slot = sheaf_metrics_slot(region, 0);
    int full = open("/dev/full", O_WRONLY), ends[2];

    sheaf_log_setup(true, SHEAF_LOG_INFO, slot);
    sheaf_log_start(full);
    for (int i = 0; i < 3; i++)
        sheaf_log(SHEAF_LOG_INFO, "lost", "%d", i);
    sheaf_log_stop(2000);
    assert_int_equal(slot->values[SHEAF_METRIC_LOG_DROPPED], 3);
    close(full);

    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    sheaf_log_start(ends[1]);
    sheaf_log(SHEAF_LOG_INFO, "lost", "with the thread");
    sheaf_log_stop(2000);
    sheaf_log(SHEAF_LOG_INFO, "lost", "without it, SIGPIPE as it is by default");
    assert_int_equal(slot->values[SHEAF_METRIC_LOG_DROPPED], 5);
    close(ends[1]);
    sheaf_log_setup(false, SHEAF_LOG_INFO, NULL);
    sheaf_metrics_region_free(region);
}

/* The one other thread of this process; 0 while there are more: one that was joined is seen until the kernel is done with
 * it. */
static int other_thread(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    int other = 0, count = 0;

    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        other = atoi(entry->d_name);
        count++;
    }
    closedir(tasks);
    return count == 1 ? other : 0;
}

static int descriptors_of(int thread)
{
    char path[64];
    const struct dirent *entry;
    DIR *fds;
    int count = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/fd", thread);
    fds = opendir(path);
    assert_non_null(fds);
    while ((entry = readdir(fds)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(fds);
    return count;
}

/* Shared ones are counted by the kernel at every read and write of the loop; and a copy of the loop's would keep a socket
 * open that the loop has closed. */
static void the_writer_holds_the_descriptor_it_writes_to_and_no_other(void **state)
{
    char c;
    int ends[2], writer;

    assert_int_equal(pipe(ends), 0);
    sheaf_log_setup(true, SHEAF_LOG_INFO, NULL);
    sheaf_log_start(ends[1]);
    sheaf_log(SHEAF_LOG_INFO, "begun", "the thread runs");
    assert_int_equal(read(ends[0], &c, 1), 1);
    while ((writer = other_thread()) == 0)
        sched_yield();
    assert_int_equal(descriptors_of(writer), 1);
    sheaf_log_stop(2000);
    close(ends[0]);
    close(ends[1]);
}

static bool sleeps(int thread)
{
    char path[64], text[256];
    int fd;
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return strstr(text, ") S ") != NULL;
}

/* Only then do lines gather: those that come while it writes are written in the same go. */
static void wait_until_the_writer_sleeps(void)
{
    int writer;

    while ((writer = other_thread()) == 0 || !sleeps(writer))
        sched_yield();
}

static uint64_t ms_until_it_is_written(int from, sheaf_log_severity_t severity, unsigned lines)
{
    static char text[256 << 10];
    char padding[1000];
    uint64_t begun, ms;
    size_t len;

    memset(padding, 'x', sizeof(padding));
    wait_until_the_writer_sleeps();
    begun = sheaf_clock_monotonic_us(NULL);
    for (unsigned i = 0; i < lines; i++)
        sheaf_log(severity, "soon", "%.*s", 1000, padding);
    len = (size_t)read(from, text, sizeof(text));
    ms = (sheaf_clock_monotonic_us(NULL) - begun) / 1000;
    while (len < lines * 1000)
        len += (size_t)read(from, text, sizeof(text));
    return ms;
}

/* The machine may be slow at any time, but not most times. */
static bool is_mostly_written_within(uint64_t least, uint64_t most, sheaf_log_severity_t severity, unsigned lines)
{
    int ends[2], within = 0;

    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0); /* all fit in */
    sheaf_log_setup(true, SHEAF_LOG_INFO, NULL);
    sheaf_log_start(ends[1]);
    for (int i = 0; i < 21; i++) {
        uint64_t ms = ms_until_it_is_written(ends[0], severity, lines);
        within += ms >= least && ms <= most;
    }
    sheaf_log_stop(2000);
    close(ends[0]);
    close(ends[1]);
    return within > 10;
}

static void lines_gather_but_not_a_warning_nor_a_quarter_of_the_ring(void **state)
{
    assert_true(is_mostly_written_within(49, 1000, SHEAF_LOG_INFO, 1));
    assert_true(is_mostly_written_within(4, 45, SHEAF_LOG_WARN, 1));
    assert_true(is_mostly_written_within(0, 45, SHEAF_LOG_INFO, 70));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object_whatever_is_in_it),
        cmocka_unit_test(a_reader_that_sleeps_costs_lines_but_no_time),
        cmocka_unit_test(a_full_disk_and_a_reader_that_left_cost_lines_only),
        cmocka_unit_test(the_writer_holds_the_descriptor_it_writes_to_and_no_other),
        cmocka_unit_test(lines_gather_but_not_a_warning_nor_a_quarter_of_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
