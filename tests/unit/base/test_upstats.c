/* upstats: a page for each upstream and worker, added up by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/base/pool.h"
#include "gateway/base/shared.h"
#include "gateway/base/upstats.h"

/* What the book prints, to be freed. */
static char *printed(const sheaf_upstats_book_t *book)
{
    sheaf_iovec_t iovecs[1024];
    sheaf_out_t out;
    size_t len = 0, count;
    char *text;

    sheaf_out_init(&out);
    sheaf_upstats_print(book, &out);
    text = sheaf_zalloc(out.len + 1);
    count = sheaf_out_peek(&out, iovecs, SHEAF_COUNT(iovecs), out.len);
    for (size_t i = 0; i < count; len += iovecs[i++].len)
        memcpy(text + len, iovecs[i].base, iovecs[i].len);
    assert_int_equal(len, out.len);
    sheaf_out_fini(&out);
    return text;
}

static bool prints(const sheaf_upstats_book_t *book, const char *line)
{
    char *text = printed(book), whole[512];
    bool is_there;

    snprintf(whole, sizeof(whole), "\n%s\n", line);
    is_there = strstr(text, whole) != NULL;
    free(text);
    return is_there;
}

static uint32_t lines_with(const sheaf_upstats_book_t *book, const char *words)
{
    char *text = printed(book);
    uint32_t count = 0;

    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    free(text);
    return count;
}

static sheaf_upstats_t *page(sheaf_upstats_book_t *book, uint32_t slot, const char *name)
{
    return sheaf_upstats_page(book, slot, sheaf_str_of(name));
}

static void workers_add_up_by_name(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(3);

    sheaf_upstats_answered(page(book, 0, "orders"), 200);
    sheaf_upstats_answered(page(book, 2, "users"), 404);
    sheaf_upstats_answered(page(book, 2, "orders"), 299);
    sheaf_upstats_answered(page(book, 1, "users"), 599);
    sheaf_upstats_observe_us(page(book, 1, "users"), SHEAF_UPSTAT_ANSWER_SECONDS, 100);
    assert_true(prints(book, "sheaf_upstream_answers_total{upstream=\"orders\",class=\"2xx\"} 2"));
    assert_true(prints(book, "sheaf_upstream_answers_total{upstream=\"users\",class=\"2xx\"} 0"));
    assert_true(prints(book, "sheaf_upstream_answers_total{upstream=\"users\",class=\"4xx\"} 1"));
    assert_true(prints(book, "sheaf_upstream_answers_total{upstream=\"users\",class=\"5xx\"} 1"));
    assert_true(prints(book, "sheaf_upstream_answer_duration_seconds_bucket{upstream=\"users\",le=\"6.4e-05\"} 0"));
    assert_true(prints(book, "sheaf_upstream_answer_duration_seconds_bucket{upstream=\"users\",le=\"+Inf\"} 1"));
    assert_true(prints(book, "sheaf_upstream_answer_duration_seconds_sum{upstream=\"users\"} 0.000100"));
    assert_true(prints(book, "sheaf_upstream_answer_duration_seconds_count{upstream=\"orders\"} 0"));
    sheaf_upstats_book_free(book);
}

static void the_lines_of_a_family_stand_together_under_one_head(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    char *text;

    page(book, 0, "a");
    page(book, 0, "b");
    text = printed(book);
    assert_int_equal(lines_with(book, "# TYPE sheaf_upstream_retries_total counter\n"
                                      "sheaf_upstream_retries_total{upstream=\"a\"} 0\n"
                                      "sheaf_upstream_retries_total{upstream=\"b\"} 0\n#"),
                     1);
    assert_int_equal(lines_with(book, "# TYPE sheaf_upstream_failures_total "), 1);
    assert_int_equal(lines_with(book, "# TYPE sheaf_upstream_in_flight gauge\n"), 1);
    assert_int_equal(lines_with(book, "# TYPE sheaf_upstream_answer_duration_seconds histogram\n"), 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    sheaf_upstats_book_free(book);
}

static void a_book_without_names_prints_nothing(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    char *text = printed(book);

    assert_string_equal(text, "");
    free(text);
    sheaf_upstats_book_free(book);
}

static void a_failure_has_the_label_of_its_error(void **state)
{
    static const sheaf_err_t errs[] = {
        SHEAF_ERR_REFUSED,    SHEAF_ERR_RESET,    SHEAF_ERR_MALFORMED,       SHEAF_ERR_ANSWER_TOO_LARGE,
        SHEAF_ERR_TLS,        SHEAF_ERR_RESOLVE,  SHEAF_ERR_QUEUE_FULL,      SHEAF_ERR_BREAKER_OPEN,
        SHEAF_ERR_OVERLOADED, SHEAF_ERR_TOO_LATE, SHEAF_ERR_CONNECT_TIMEOUT, SHEAF_ERR_TIMEOUT,
        SHEAF_ERR_INTERNAL};
    char line[128];

    for (size_t i = 0; i < SHEAF_COUNT(errs); i++) {
        sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);

        sheaf_upstats_failed(page(book, 0, "a"), errs[i]);
        snprintf(line, sizeof(line), "sheaf_upstream_failures_total{upstream=\"a\",error=\"%s\"} 1",
                 sheaf_err_slug(errs[i]));
        assert_true(prints(book, line));
        assert_int_equal(lines_with(book, "\"} 1\n"), 1);
        sheaf_upstats_book_free(book);
    }
}

static void gauges_die_with_their_worker_and_counters_stay(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(2);

    for (uint32_t i = 0; i < 2; i++) {
        sheaf_upstats_gauge(page(book, i, "a"), SHEAF_UPSTAT_IN_FLIGHT, 5);
        sheaf_upstats_gauge(page(book, i, "b"), SHEAF_UPSTAT_BREAKERS_OPEN, 1);
        sheaf_upstats_count(page(book, i, "a"), SHEAF_UPSTAT_RETRIES, 7);
    }
    sheaf_upstats_orphaned(book, 1);
    assert_true(prints(book, "sheaf_upstream_in_flight{upstream=\"a\"} 5"));
    assert_true(prints(book, "sheaf_upstream_breakers_open{upstream=\"b\"} 1"));
    assert_true(prints(book, "sheaf_upstream_retries_total{upstream=\"a\"} 14"));
    sheaf_upstats_gauge(page(book, 1, "a"), SHEAF_UPSTAT_IN_FLIGHT, 2); /* its successor */
    assert_true(prints(book, "sheaf_upstream_in_flight{upstream=\"a\"} 7"));
    sheaf_upstats_book_free(book);
}

static void the_death_of_a_worker_that_never_had_an_upstream_touches_nothing(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(2);

    sheaf_upstats_gauge(page(book, 0, "a"), SHEAF_UPSTAT_CONNS, 3);
    sheaf_upstats_orphaned(book, 1);
    assert_true(prints(book, "sheaf_upstream_connections{upstream=\"a\"} 3"));
    sheaf_upstats_book_free(book);
}

static void a_name_keeps_its_page(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    sheaf_upstats_t *first = page(book, 0, "a"), *second = page(book, 0, "ab");

    assert_ptr_not_equal(first, second);
    assert_ptr_equal(page(book, 0, "a"), first);
    assert_ptr_equal(page(book, 0, "ab"), second);
    assert_int_equal((uintptr_t)first % 64, 0); /* no line of the cache has two writers */
    assert_int_equal((uintptr_t)second % 64, 0);
    sheaf_upstats_book_free(book);
}

static void names_beyond_the_last_place_are_summed_up(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    char name[32];

    for (int i = 0; i < SHEAF_UPSTATS_PLACES + 3; i++) {
        snprintf(name, sizeof(name), "u%d", i);
        sheaf_upstats_count(page(book, 0, name), SHEAF_UPSTAT_RETRIES, 1);
    }
    snprintf(name, sizeof(name), "sheaf_upstream_retries_total{");
    assert_int_equal(lines_with(book, name), SHEAF_UPSTATS_PLACES + 1);
    assert_true(prints(book, "sheaf_upstream_retries_total{upstream=\"u255\"} 1"));
    assert_true(prints(book, "sheaf_upstream_retries_total{upstream=\"(other)\"} 3"));
    assert_ptr_equal(page(book, 0, "u256"), page(book, 0, "u258"));
    sheaf_upstats_gauge(page(book, 0, "u258"), SHEAF_UPSTAT_WAITING, 1);
    sheaf_upstats_orphaned(book, 0);
    assert_true(prints(book, "sheaf_upstream_waiting{upstream=\"(other)\"} 0"));
    sheaf_upstats_book_free(book);
}

static void names_are_escaped_and_too_long_ones_have_no_place(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    char quotes[65], name[200];

    sheaf_upstats_count(page(book, 0, "a\"b\\c\nd"), SHEAF_UPSTAT_RETRIES, 1);
    assert_true(prints(book, "sheaf_upstream_retries_total{upstream=\"a\\\"b\\\\c\\nd\"} 1"));
    assert_ptr_equal(page(book, 0, "a\"b\\c\nd"), page(book, 0, "a\"b\\c\nd"));
    memset(quotes, '"', 64); /* the longest name there can be, each byte of it two */
    quotes[64] = '\0';
    memset(name, 'n', sizeof(name) - 1);
    name[199] = '\0';
    assert_ptr_not_equal(page(book, 0, quotes), page(book, 0, name));
    name[198] = 'm';
    assert_int_equal(lines_with(book, "sheaf_upstream_retries_total{upstream=\"(other)\"} 0"), 1);
    page(book, 0, name);
    assert_int_equal(lines_with(book, "sheaf_upstream_retries_total{"), 3);
    sheaf_upstats_book_free(book);
}

static void without_a_page_nothing_is_counted(void **state)
{
    assert_null(sheaf_upstats_page(NULL, 0, SHEAF_STR("a")));
    sheaf_upstats_count(NULL, SHEAF_UPSTAT_RETRIES, 1);
    sheaf_upstats_answered(NULL, 200);
    sheaf_upstats_failed(NULL, SHEAF_ERR_RESET);
    sheaf_upstats_observe_us(NULL, SHEAF_UPSTAT_ANSWER_SECONDS, 1);
}

/* Places stand behind the pages, each begins with its claim. */
static void who_died_as_its_name_was_written_hides_nobody(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(1);
    sheaf_upstats_t *first = page(book, 0, "a");
    sheaf_claim_t *claim = (sheaf_claim_t *)(void *)(first + SHEAF_UPSTATS_PLACES + 1);

    assert_true(sheaf_claim_is_known(claim));
    atomic_store(claim, SHEAF_CLAIM_TAKEN);
    assert_ptr_not_equal(page(book, 0, "a"), first);
    assert_int_equal(lines_with(book, "sheaf_upstream_retries_total{upstream=\"a\"} 0\n"), 1);
    assert_int_equal(atomic_load(claim), SHEAF_CLAIM_LOST); /* nobody waits for it again */
    assert_ptr_equal(page(book, 0, "a"), page(book, 0, "a"));
    sheaf_upstats_book_free(book);
}

#define WORKERS 4
#define NAMES   60

/* Each has the same names in an order of its own. */
static void work(sheaf_upstats_book_t *book, uint32_t slot)
{
    char name[16];

    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%u", (i * 7 + slot * 13) % NAMES);
        sheaf_upstats_count(page(book, slot, name), SHEAF_UPSTAT_HEDGES, 1);
        sheaf_upstats_gauge(page(book, slot, name), SHEAF_UPSTAT_WAITING, 1);
    }
    _exit(0);
}

static void workers_that_come_at_once_agree_on_the_places(void **state)
{
    sheaf_upstats_book_t *book = sheaf_upstats_book_new(WORKERS);
    pid_t pids[WORKERS];
    char line[128];

    for (uint32_t i = 0; i < WORKERS; i++)
        if ((pids[i] = fork()) == 0)
            work(book, i);
    for (uint32_t i = 0; i < WORKERS; i++)
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    assert_int_equal(lines_with(book, "sheaf_upstream_hedges_total{"), NAMES);
    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(line, sizeof(line), "sheaf_upstream_hedges_total{upstream=\"n%u\"} %d", i, WORKERS);
        assert_true(prints(book, line));
    }
    for (uint32_t i = 1; i < WORKERS; i++)
        sheaf_upstats_orphaned(book, i);
    assert_int_equal(lines_with(book, "sheaf_upstream_waiting{upstream=\"n"), NAMES);
    assert_true(prints(book, "sheaf_upstream_waiting{upstream=\"n0\"} 1"));
    sheaf_upstats_book_free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_add_up_by_name),
        cmocka_unit_test(the_lines_of_a_family_stand_together_under_one_head),
        cmocka_unit_test(a_book_without_names_prints_nothing),
        cmocka_unit_test(a_failure_has_the_label_of_its_error),
        cmocka_unit_test(gauges_die_with_their_worker_and_counters_stay),
        cmocka_unit_test(the_death_of_a_worker_that_never_had_an_upstream_touches_nothing),
        cmocka_unit_test(a_name_keeps_its_page),
        cmocka_unit_test(names_beyond_the_last_place_are_summed_up),
        cmocka_unit_test(names_are_escaped_and_too_long_ones_have_no_place),
        cmocka_unit_test(without_a_page_nothing_is_counted),
        cmocka_unit_test(who_died_as_its_name_was_written_hides_nobody),
        cmocka_unit_test(workers_that_come_at_once_agree_on_the_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
