/* metrics: slots with one writer each, added up by who reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/metrics.h"

static void slots_add_up_and_gauges_die_with_their_worker(void **state)
{
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(3);
    static char text[65536];
    sheaf_iovec_t iovecs[32];
    sheaf_out_t out;
    size_t len = 0;

    for (uint32_t i = 0; i < 3; i++) {
        sheaf_count(sheaf_metrics_slot(region, i), SHEAF_METRIC_ITEMS_2XX, i + 1);
        sheaf_gauge(sheaf_metrics_slot(region, i), SHEAF_METRIC_ITEMS_IN_FLIGHT, 5);
        sheaf_observe_us(sheaf_metrics_slot(region, i), SHEAF_HISTOGRAM_ITEM_SECONDS, 100);
    }
    sheaf_gauge(sheaf_metrics_slot(region, 0), SHEAF_METRIC_ITEMS_IN_FLIGHT, -2);
    sheaf_metrics_slot_orphaned(region, 1);
    sheaf_count_error(sheaf_metrics_slot(region, 2), SHEAF_ERR_NO_ROUTE);
    sheaf_out_init(&out);
    sheaf_metrics_print(region, &out);
    for (size_t i = 0, n = sheaf_out_peek(&out, iovecs, 32, sizeof(text)); i < n; len += iovecs[i++].len)
        memcpy(text + len, iovecs[i].base, iovecs[i].len);
    assert_non_null(strstr(text, "\nsheaf_items_total{class=\"2xx\"} 6\n"));
    assert_non_null(strstr(text, "\nsheaf_items_in_flight 8\n"));
    assert_non_null(strstr(text, "\nsheaf_item_errors_total{error=\"no-route\"} 1\n"));
    assert_non_null(strstr(text, "\nsheaf_item_duration_seconds_bucket{le=\"6.4e-05\"} 0\n"));
    assert_non_null(strstr(text, "\nsheaf_item_duration_seconds_bucket{le=\"0.000128\"} 3\n"));
    assert_non_null(strstr(text, "\nsheaf_item_duration_seconds_sum 0.000300\n"));
    sheaf_out_fini(&out);
    sheaf_metrics_region_free(region);
}

static void a_latency_lands_in_the_first_bucket_that_holds_it(void **state)
{
    static const struct {
        uint64_t us;
        int bucket;
    } observed[] = {{0, 0}, {64, 0}, {65, 1}, {128, 1}, {129, 2}, {UINT32_MAX, SHEAF_HISTOGRAM_BUCKETS - 1}};
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(1);
    sheaf_metrics_t *slot = sheaf_metrics_slot(region, 0);

    for (size_t i = 0; i < SHEAF_COUNT(observed); i++) {
        uint64_t before = slot->histograms[SHEAF_HISTOGRAM_ITEM_SECONDS].buckets[observed[i].bucket];

        sheaf_observe_us(slot, SHEAF_HISTOGRAM_ITEM_SECONDS, observed[i].us);
        assert_int_equal(slot->histograms[SHEAF_HISTOGRAM_ITEM_SECONDS].buckets[observed[i].bucket], before + 1);
    }
    sheaf_metrics_region_free(region);
}

static void without_a_slot_nothing_is_counted(void **state)
{
    sheaf_count(NULL, SHEAF_METRIC_ITEMS_2XX, 1);
    sheaf_gauge(NULL, SHEAF_METRIC_ITEMS_IN_FLIGHT, -1);
    sheaf_count_error(NULL, SHEAF_ERR_NO_ROUTE);
    sheaf_observe_us(NULL, SHEAF_HISTOGRAM_ITEM_SECONDS, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_add_up_and_gauges_die_with_their_worker),
        cmocka_unit_test(a_latency_lands_in_the_first_bucket_that_holds_it),
        cmocka_unit_test(without_a_slot_nothing_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
