#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/access_log/access_log_text.h"
#include "plugins/access_log/access_log_writer.h"
#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_access_log;

static char folder[64], path[96], aside[96];

static int in_a_folder(void **unused)
{
    strcpy(folder, "/tmp/sheaf-log-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/access.log", folder);
    snprintf(aside, sizeof(aside), "%s/access.log.1", folder);
    return 0;
}

static int without_it(void **unused)
{
    unlink(path);
    unlink(aside);
    return rmdir(folder);
}

/* The whole of a file; freed with the next call. */
static const char *content(const char *at)
{
    static char bytes[1 << 20];
    FILE *file = fopen(at, "r");
    size_t len = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes) - 1, file);

    bytes[len] = 0;
    if (file != NULL)
        fclose(file);
    return bytes;
}

static host_t *journal(const char *format)
{
    host_t *host = host_new(&sheaf_plugin_access_log);

    host_set(host, "path", path);
    host_set(host, "format", format);
    return host;
}

static sheaf_p_ref_t answered(host_t *host, const char *target)
{
    sheaf_p_ref_t request = host_request(host, "GET", target);

    host_number(request, SHEAF_P_STATUS, 207);
    host_number(request, SHEAF_P_ELAPSED_US, 12345);
    return request;
}

/* One request with `format`; the line it makes. */
static const char *line_of(const char *format, const char *target, const char *header, const char *value)
{
    host_t *host = journal(format);
    sheaf_p_ref_t request;

    assert_null(host_open(host));
    request = answered(host, target);
    if (header != NULL)
        host_header(request, SHEAF_P_CLIENT, header, value);
    host_done(request);
    host_free(host);
    return content(path);
}

static void a_format_is_filled_in(void **unused)
{
    assert_string_equal(
        line_of(
            "${client_ip} [${time}] \"${method} ${url} HTTP/${http_version}\" ${status} ${duration_ms} ${attr.user}",
            "/batch?a=1", NULL, NULL),
        "192.0.2.1 [2027-01-15T08:00:00Z] \"GET /batch?a=1 HTTP/1.1\" 207 12.345 -\n");
}

static void a_dollar_that_is_doubled_is_literal(void **unused)
{
    assert_string_equal(line_of("$${status} is ${status}, $5 $", "/", NULL, NULL), "${status} is 207, $5 $\n");
}

static void a_json_line_is_json_whatever_the_client_sent(void **unused)
{
    const char *line = line_of("json", "/a\"b\\c?q=\xff\xc3\xa4", "User-Agent", "x\ty\"}{\xe2\x80\xa8\xc2\x85\x7f");
    json_error_t error;
    json_t *root = json_loads(line, 0, &error);

    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "url")), "/a\"b\\c?q=\xef\xbf\xbd\xc3\xa4");
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 207);
    assert_true(json_real_value(json_object_get(root, "duration_ms")) > 12);
    assert_null(json_object_get(root, "error"));
    assert_non_null(strstr(line, "x\\u0009y\\\"}{\\u2028\\u0085\\u007f"));
    json_decref(root);
}

static void nothing_a_client_sends_ends_a_line(void **unused)
{
    const char *line = line_of("${header.user-agent}", "/", "User-Agent", "a\r\nb\x1b[31m\"\\\xe4");

    assert_string_equal(line, "a\\x0D\\x0Ab\\x1B[31m\\x22\\x5C\\xE4\n");
}

static void secrets_are_masked_where_they_stand(void **unused)
{
    static const struct {
        const char *format, *target, *header, *value, *line;
    } rows[] = {
        {"${header.authorization}", "/", "Authorization", "Bearer abc", "***\n"},
        {"${header.COOKIE}", "/", "Cookie", "sid=abc", "***\n"},
        {"${header.x-mine}", "/", "X-Mine", "abc", "***\n"},
        {"${header.referer}", "/", "Referer", "https://u:p@a.example/x?token=abc&b=1#abc",
         "https://***@a.example/x?token=***&b=1\n"},
        {"${url}", "/x?access_token=abc&b=1", NULL, NULL, "/x?access_token=***&b=1\n"},
        {"${url}", "/x?b=1;TOKEN=abc", NULL, NULL, "/x?b=1;TOKEN=***\n"},
        {"${url}", "/x?%74oken=abc", NULL, NULL, "/x?%74oken=***\n"},
        {"${url}", "/x?pin=12&&=&a", NULL, NULL, "/x?pin=***&&=&a\n"},
        {"${query}", "/x?api_key=abc", NULL, NULL, "api_key=***\n"},
        {"${query}", "/x?access_token[]=abc&token%5B0%5d=abc", NULL, NULL, "access_token[]=***&token%5B0%5d=***\n"},
        {"${query}", "/x?user[password]=abc&user[name]=a", NULL, NULL, "user[password]=***&user[name]=a\n"},
        {"${query}", "/x?access.token=abc&+pin[=abc", NULL, NULL, "access.token=***&+pin[=***\n"},
        {"${query}", "/x?[]=a&token]s=a&tokens[]=a", NULL, NULL, "[]=a&token]s=a&tokens[]=a\n"},
        {"${header.x-access-token}", "/", "X-Access-Token", "abc", "***\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = journal(rows[i].format);
        sheaf_p_ref_t request;

        host_set(host, "mask_query", "pin, x");
        host_set(host, "mask_headers", "x-mine");
        assert_null(host_open(host));
        request = answered(host, rows[i].target);
        if (rows[i].header != NULL)
            host_header(request, SHEAF_P_CLIENT, rows[i].header, rows[i].value);
        host_done(request);
        host_free(host);
        assert_string_equal(content(path), rows[i].line);
        unlink(path);
    }
}

static void a_line_for_each_item_if_wanted(void **unused)
{
    host_t *host = journal("${kind} ${request_id} ${item_id} ${method} ${url} ${status}");
    sheaf_p_ref_t request, item;

    host_set(host, "lines", "both");
    assert_null(host_open(host));
    request = answered(host, "/batch");
    item = host_item(host, request, "PUT", "/a?token=abc");
    host_result(item, 404);
    host_done(request);
    host_free(host);
    assert_string_equal(content(path), "item r1 0 PUT /a?token=*** 404\nrequest r1 - GET /batch 207\n");
}

static void a_direct_request_is_one_line_with_its_route(void **unused)
{
    host_t *host = journal("${kind} ${route} ${upstream_name} ${status}");
    sheaf_p_ref_t request, item;

    host_set(host, "lines", "item");
    assert_null(host_open(host));
    request = host_direct(host, "GET", "/users/7", &item);
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_result(item, 200);
    host_number(request, SHEAF_P_STATUS, 200);
    host_done(request);
    host_free(host);
    assert_string_equal(content(path), "direct /users/{id} users 200\n");
}

static void a_long_value_is_cut_and_a_long_line_stays_json(void **unused)
{
    host_t *host = journal("json");
    char *value = calloc(1, 8001), fields[2000] = "";
    sheaf_p_ref_t request;
    json_t *root;

    for (int i = 0; i < 20; i++)
        snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "%sheader.h%d", i == 0 ? "" : ", ", i);
    strcat(fields, ", status");
    host_set(host, "fields", fields);
    assert_null(host_open(host));
    memset(value, 'v', 8000);
    request = answered(host, "/");
    for (int i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof(name), "h%d", i);
        host_header(request, SHEAF_P_CLIENT, name, value);
    }
    host_done(request);
    host_free(host);
    free(value);
    root = json_loads(content(path), 0, NULL);
    assert_non_null(root);
    assert_int_equal(strlen(json_string_value(json_object_get(root, "header.h0"))), ACCESS_LOG_VALUE_MAX + 3);
    assert_true(json_is_true(json_object_get(root, "cut")));
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 207);
    json_decref(root);
}

static void a_file_that_was_moved_away_is_made_anew(void **unused)
{
    access_log_writer_t *writer = access_log_writer_new(path, 65536, 10, false);

    assert_true(access_log_writer_put(writer, "one\n", 4));
    for (int i = 0; i < 1000 && strcmp(content(path), "one\n") != 0; i++)
        poll(NULL, 0, 5);
    assert_int_equal(rename(path, aside), 0);
    for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
        poll(NULL, 0, 5);
    assert_true(access_log_writer_put(writer, "two\n", 4));
    access_log_writer_free(writer);
    assert_string_equal(content(aside), "one\n");
    assert_string_equal(content(path), "two\n");
}

static void one_that_is_told_opens_its_file_anew_at_once(void **unused)
{
    host_t *host = journal("${url}");

    host_set(host, "reopen", "1h");
    assert_null(host_open(host));
    host_done(answered(host, "/one"));
    for (int i = 0; i < 1000 && strcmp(content(path), "/one\n") != 0; i++)
        poll(NULL, 0, 5);
    assert_int_equal(rename(path, aside), 0);
    host_reopen(host);
    host_reopen(host);
    host_done(answered(host, "/two"));
    host_free(host);
    assert_string_equal(content(aside), "/one\n");
    assert_string_equal(content(path), "/two\n");
}

static void one_that_has_no_line_yet_makes_its_file_too(void **unused)
{
    access_log_writer_t *writer = access_log_writer_new(path, 65536, 3600000, false);

    assert_int_equal(rename(path, aside), 0);
    access_log_writer_reopen(writer);
    for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
        poll(NULL, 0, 5);
    assert_int_equal(access(path, F_OK), 0);
    access_log_writer_free(writer);
}

static void what_cannot_be_opened_anew_is_written_on(void **unused)
{
    access_log_writer_t *writer = access_log_writer_new(path, 65536, 3600000, false);

    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    access_log_writer_reopen(writer);
    access_log_writer_put(writer, "one\n", 4);
    access_log_writer_free(writer);
    assert_string_equal(content(aside), "one\n");
    assert_int_equal(rmdir(path), 0);
}

static void standard_error_is_not_opened_anew(void **unused)
{
    access_log_writer_t *writer = access_log_writer_new(NULL, 65536, 10, false);

    access_log_writer_reopen(writer);
    access_log_writer_free(writer);
}

static void what_cannot_be_opened_yet_is_tried_again(void **unused)
{
    access_log_writer_t *writer;
    uint64_t failed = 0;

    assert_int_equal(mkdir(path, 0700), 0); /* no file can be there */
    assert_null(access_log_writer_new(path, 65536, 10, false));
    writer = access_log_writer_new(path, 65536, 10, true);
    assert_non_null(writer);
    access_log_writer_put(writer, "one\n", 4);
    for (int i = 0; i < 1000 && failed == 0; i++) {
        poll(NULL, 0, 5);
        failed = access_log_writer_failed(writer);
    }
    assert_int_equal(failed, 1);
    assert_int_equal(rmdir(path), 0);
    for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
        poll(NULL, 0, 5);
    access_log_writer_put(writer, "two\n", 4);
    access_log_writer_free(writer);
    assert_string_equal(content(path), "two\n");
}

static void a_pipe_that_nobody_reads_holds_up_nobody(void **unused)
{
    int ends[2], was = dup(STDERR_FILENO), dropped = 0;
    access_log_writer_t *writer;
    char line[1000];

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    writer = access_log_writer_new(NULL, 65536, 1000, false);
    dup2(was, STDERR_FILENO);
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 1000; i++)
        dropped += !access_log_writer_put(writer, line, sizeof(line));
    assert_true(dropped > 0);
    access_log_writer_free(writer); /* comes back, though nobody reads */
    close(ends[0]);
    close(ends[1]);
    close(was);
}

static void a_full_disk_is_counted(void **unused)
{
    access_log_writer_t *writer = access_log_writer_new("/dev/full", 65536, 1000, false);
    uint64_t failed = 0;

    access_log_writer_put(writer, "one\ntwo\n", 8);
    for (int i = 0; i < 1000 && failed == 0; i++) {
        poll(NULL, 0, 5);
        failed = access_log_writer_failed(writer);
    }
    assert_int_equal(failed, 2);
    access_log_writer_free(writer);
}

static void a_configuration_that_cannot_be_is_refused(void **unused)
{
    static const struct {
        const char *key, *text, *why;
    } wrong[] = {
        {"format", "${statsu}", "format: has a ${...} that is not known; see the page of access_log"},
        {"format", "${status", "format: has a ${...} that is not known; see the page of access_log"},
        {"format", "${header.}", "format: has a ${...} that is not known; see the page of access_log"},
        {"format", "a\tb", "format: has a control character in it"},
        {"fields", "time, statsu", "fields: name what is not known; see the page of access_log"},
        {"path", "/nowhere/access.log", "path: /nowhere/access.log: No such file or directory"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        host_t *host = journal("json");

        host_set(host, wrong[i].key, wrong[i].text);
        assert_string_equal(host_open(host), wrong[i].why);
        host_free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_format_is_filled_in, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_dollar_that_is_doubled_is_literal, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_json_line_is_json_whatever_the_client_sent, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(nothing_a_client_sends_ends_a_line, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(secrets_are_masked_where_they_stand, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_line_for_each_item_if_wanted, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_direct_request_is_one_line_with_its_route, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_long_value_is_cut_and_a_long_line_stays_json, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_away_is_made_anew, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(one_that_is_told_opens_its_file_anew_at_once, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(one_that_has_no_line_yet_makes_its_file_too, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_anew_is_written_on, in_a_folder, without_it),
        cmocka_unit_test(standard_error_is_not_opened_anew),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_yet_is_tried_again, in_a_folder, without_it),
        cmocka_unit_test_setup_teardown(a_pipe_that_nobody_reads_holds_up_nobody, in_a_folder, without_it),
        cmocka_unit_test(a_full_disk_is_counted),
        cmocka_unit_test_setup_teardown(a_configuration_that_cannot_be_is_refused, in_a_folder, without_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
