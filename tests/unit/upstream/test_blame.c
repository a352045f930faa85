/* What is said of servers that fail: to the owner of an exchange, and in the log. */
#include <jansson.h>

#include "gateway/base/log.h"
#include "gateway/upstream/blame.h"
#include "gateway/upstream/ending.h"
#include "tests/unit/upstream/h2_backend.h"
#include "tests/unit/upstream/site.h"

static worker_t *with_one(void)
{
    worker_t *w = worker_new();

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    return w;
}

static void assert_told(worker_t *w, sheaf_err_t err, const char *why)
{
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, err);
    assert_blamed(&ask, why);
    worker_end(w);
}

static void a_refused_connection_says_by_whom(void **state)
{
    worker_t *w = with_one();

    backend_stop(&w->a);
    assert_told(w, SHEAF_ERR_REFUSED, "connection refused");
}

static void a_reset_says_by_whom(void **state)
{
    worker_t *w = with_one();

    step_close(&w->a, "HTTP/1.1 20");
    assert_told(w, SHEAF_ERR_RESET, sheaf_err_title(SHEAF_ERR_RESET));
}

static void nonsense_says_from_whom(void **state)
{
    worker_t *w = with_one();

    step_text(&w->a, "HTTP/1.1 nonsense\r\n\r\n");
    assert_told(w, SHEAF_ERR_MALFORMED, "a status line without a status of three digits");
}

static void the_end_of_time_says_who_was_waited_for(void **state)
{
    worker_t *w = with_one();

    w->conf->timeout_ms = 30;
    assert_told(w, SHEAF_ERR_TIMEOUT, "no answer came in time");
    w = with_one();
    w->conf->timeout_ms = 30;
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi");
    assert_told(w, SHEAF_ERR_TIMEOUT, "the answer was not complete in time");
}

static void a_name_that_is_not_found_stands_for_itself(void **state)
{
    site_t s;
    ask_t ask;

    site_prepare(&s);
    s.dns.is_gone = true;
    site_open(&s);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
    assert_int_equal(strncmp(ask.detail, "backend.test: ", 14), 0);
    site_end(&s);
}

/* A server may become another one between the end of an exchange and the moment its owner hears. */
static void words_are_told_though_what_they_spoke_of_is_gone(void **state)
{
    char *words = strdup("10.0.0.7:80: connection refused");
    site_t s;
    ask_t ask;

    site_start(&s);
    ask_get(&ask, s.w, "/");
    ask.exchange.keeper = s.group;
    sheaf_ending_report(s.group, &ask.exchange, SHEAF_ERR_REFUSED, words);
    memset(words, 'x', strlen(words));
    free(words);
    worker_turn(s.w);
    assert_true(ask.is_done);
    assert_string_equal(ask.detail, "10.0.0.7:80: connection refused");
    sheaf_ending_report(s.group, &ask.exchange, SHEAF_ERR_REFUSED, "never told");
    ask_cancel(&ask);
    site_end(&s);
}

/* Blames it `count` times at `now_ms`. */
static void blame(sheaf_server_t *server, int count, uint64_t now_ms)
{
    sheaf_sockaddr_t address = {.v4 = {.sin_family = AF_INET}};

    inet_pton(AF_INET, "192.0.2.7", &address.v4.sin_addr);
    for (int i = 0; i < count; i++)
        sheaf_blame_log(SHEAF_STR("orders"), server, &address, SHEAF_ERR_REFUSED, "connection refused", now_ms);
}

static void assert_line(char **text, const char *server, int more)
{
    char *line = strsep(text, "\n");
    json_t *json = json_loads(line, 0, NULL);

    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "event")), "server failed");
    assert_string_equal(json_string_value(json_object_get(json, "upstream")), "orders");
    assert_string_equal(json_string_value(json_object_get(json, "server")), server);
    assert_string_equal(json_string_value(json_object_get(json, "address")), "192.0.2.7");
    assert_string_equal(json_string_value(json_object_get(json, "error")), "refused");
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "connection refused");
    assert_int_equal(json_integer_value(json_object_get(json, "more")), more);
    json_decref(json);
}

static void the_log_has_a_line_a_second_for_each_server(void **state)
{
    sheaf_server_t a = {.label = SHEAF_STR("a.test:80")}, b = {.label = SHEAF_STR("b.test:80")};
    char text[4096] = "", *at = text;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    sheaf_log_setup(true, SHEAF_LOG_WARN, NULL);
    sheaf_log_start(ends[1]);
    blame(&a, 10, 5000);
    blame(&b, 1, 5000);
    blame(&a, 2, 5000 + SHEAF_BLAME_QUIET_MS - 1);
    blame(&a, 1, 5000 + SHEAF_BLAME_QUIET_MS);
    blame(&b, 1, 9000);
    sheaf_log_stop(2000);
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    assert_line(&at, "a.test:80", 0);
    assert_line(&at, "b.test:80", 0);
    assert_line(&at, "a.test:80", 11);
    assert_line(&at, "b.test:80", 0);
    assert_string_equal(at, "");
}

static char *log_of(int fd, char *text, size_t size)
{
    ssize_t len = read(fd, text, size - 1);

    assert_true(len >= 0);
    text[len] = '\0';
    close(fd);
    return text;
}

/* As long as it goes again nobody need know; when it does not, its owner hears of it, and so does the log. */
static void what_was_refused_too_often_is_in_the_log(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    char text[4096];
    int ends[2];
    ask_t ask;

    assert_int_equal(pipe(ends), 0);
    sheaf_log_setup(true, SHEAF_LOG_WARN, NULL);
    sheaf_log_start(ends[1]);
    a.on_request = h2_refuse;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    sheaf_log_stop(2000);
    close(ends[1]);
    log_of(ends[0], text, sizeof(text));
    assert_non_null(strstr(text, "\"event\":\"server failed\""));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    h2_worker_end(w, &a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_connection_says_by_whom),
        cmocka_unit_test(a_reset_says_by_whom),
        cmocka_unit_test(nonsense_says_from_whom),
        cmocka_unit_test(the_end_of_time_says_who_was_waited_for),
        cmocka_unit_test(a_name_that_is_not_found_stands_for_itself),
        cmocka_unit_test(words_are_told_though_what_they_spoke_of_is_gone),
        cmocka_unit_test(the_log_has_a_line_a_second_for_each_server),
        cmocka_unit_test(what_was_refused_too_often_is_in_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
