/* Request heads: what is accepted, what is refused and as what, however they are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/http/wire.h"

#define HEAD_MOST 65536
#define H         "Host: h\r\n"

typedef struct verdict {
    long used;
    sheaf_err_t err;
    const char *why;
    sheaf_wire_head_t head;
    char bytes[70000];
} verdict_t;

static void judge(verdict_t *verdict, const char *bytes, size_t len, size_t scanned)
{
    verdict->err = SHEAF_OK;
    memcpy(verdict->bytes, bytes, len);
    verdict->used =
        sheaf_wire_parse_request(verdict->bytes, len, scanned, HEAD_MOST, &verdict->head, &verdict->err, &verdict->why);
}

static verdict_t whole, dripped;

/* Whole, and byte by byte: the same verdict. */
static const verdict_t *parse(const char *text)
{
    size_t len = strlen(text);

    judge(&whole, text, len, 0);
    for (size_t fed = 1; fed <= len; fed++) {
        judge(&dripped, text, fed, fed - 1);
        if (dripped.used != 0)
            break;
    }
    if (whole.used != dripped.used || whole.err != dripped.err)
        fail_msg("%s: %ld %d whole, %ld %d dripped", text, whole.used, whole.err, dripped.used, dripped.err);
    return &whole;
}

static void accept(const char *text, const char *target)
{
    const verdict_t *verdict = parse(text);

    if (verdict->used != (long)strlen(text))
        fail_msg("%s: %ld, %s", text, verdict->used, verdict->used < 0 ? verdict->why : "");
    assert_int_equal(verdict->head.target.len, strlen(target));
    assert_memory_equal(verdict->head.target.base, target, strlen(target));
}

static void refuse(const char *text, sheaf_err_t err)
{
    const verdict_t *verdict = parse(text);

    if (verdict->used != -1 || verdict->err != err)
        fail_msg("%s: %ld, error %d, want %d", text, verdict->used, verdict->used < 0 ? (int)verdict->err : 0, err);
}

static void what_is_legal_is_accepted(void **state)
{
    (void)state;
    accept("GET / HTTP/1.1\r\n" H "\r\n", "/");
    accept("GET / HTTP/1.0\r\n\r\n", "/");
    accept("\r\nGET / HTTP/1.1\r\n" H "\r\n", "/");
    accept("\r\n\r\nPOST /a?b=%20|{}&c HTTP/1.1\r\n" H "\r\n", "/a?b=%20|{}&c");
    accept("GET / HTTP/1.1\r\nHost:h\r\nX:\r\nY: \t v \t\r\n\r\n", "/");
    accept("GET / HTTP/1.1\r\nHost: \t h:8080 \t \r\n\r\n", "/");
    accept("GET / HTTP/1.1\r\nHost: [::1]:8080\r\nX-Y_z: caf\xc3\xa9\r\n\r\n", "/");
    accept("M-SEARCH / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "/");
    accept("OPTIONS * HTTP/1.1\r\n" H "\r\n", "*");
    accept("POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n", "/");
}

static void absolute_form_is_its_path(void **state)
{
    (void)state;
    accept("GET http://h/a?b HTTP/1.1\r\n" H "\r\n", "/a?b");
    accept("GET HTTP://H HTTP/1.1\r\n" H "\r\n", "/");
    accept("GET https://h?q=1 HTTP/1.1\r\n" H "\r\n", "/?q=1");
    accept("GET http://h:80/ HTTP/1.0\r\n\r\n", "/");
    refuse("GET http://other/ HTTP/1.1\r\n" H "\r\n", SHEAF_ERR_BAD_REQUEST);
    refuse("GET http:///a HTTP/1.1\r\n" H "\r\n", SHEAF_ERR_BAD_REQUEST);
    refuse("GET http://u@h/ HTTP/1.1\r\n" H "\r\n", SHEAF_ERR_BAD_REQUEST);
    refuse("GET ftp://h/ HTTP/1.1\r\n" H "\r\n", SHEAF_ERR_BAD_REQUEST);
    refuse("GET http://h/ HTTP/1.1\r\n\r\n", SHEAF_ERR_BAD_REQUEST);
}

static void request_lines_are_strict(void **state)
{
    static const char *const lines[] = {
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /",
        "GET / http/1.1",
        "GET / HTTP/1.",
        "GET / HTTP/11",
        "GET / HTTP/1.1x",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET /#f HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\xc3\xa9 HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET  HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "\x16\x03\x01",
        "GET / HTTP/1.1\r",
        "\n\nGET / HTTP/1.1",
        "GET / HTTP/-1.1",
        "GET / HTTP/1,1",
        "/ HTTP/1.1",
        "GETGETGETGETGETGETGETGETGETGETGETG / HTTP/1.1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        char text[200];
        snprintf(text, sizeof(text), "%s\r\n" H "\r\n", lines[i]);
        refuse(text, SHEAF_ERR_BAD_REQUEST);
    }
    refuse("CONNECT h:80 HTTP/1.1\r\n" H "\r\n", SHEAF_ERR_METHOD);
    refuse("GET / HTTP/2.0\r\n" H "\r\n", SHEAF_ERR_VERSION);
    refuse("GET / HTTP/1.2\r\n" H "\r\n", SHEAF_ERR_VERSION);
    refuse("GET / HTTP/0.9\r\n" H "\r\n", SHEAF_ERR_VERSION);
}

static void fields_are_strict(void **state)
{
    static const char *const fields[] = {
        "",  /* no Host */
        H H, /* two */
        H "Host: other\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@h\r\n",
        "Host: h:x\r\n",
        "Host: [::1\r\n",
        "Host: h:123456\r\n",
        H "X : v\r\n", /* white space before the colon */
        H " X: v\r\n", /* obs-fold */
        H "X: v\r\n\tw\r\n",
        H "X\r\n",
        H ": v\r\n",
        H "X\xc3: v\r\n",
        H "X: a\x01z\r\n",
        H "X: a\rz\r\n",
        H "X: v\n", /* bare LF */
        H "Content-Length: 5\r\nContent-Length: 5\r\n",
        H "Content-Length: 5, 5\r\n",
        H "Content-Length: +5\r\n",
        H "Content-Length: 0x5\r\n",
        H "Content-Length: -1\r\n",
        H "Content-Length: \r\n",
        H "Content-Length: 5 5\r\n",
        H "Content-Length: 99999999999999999999\r\n",
        H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        char text[300];
        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n", fields[i]);
        refuse(text, SHEAF_ERR_BAD_REQUEST);
    }
    refuse("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", SHEAF_ERR_BAD_REQUEST);
    refuse("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", SHEAF_ERR_CODING);
    refuse("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", SHEAF_ERR_CODING);
    refuse("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n",
           SHEAF_ERR_BAD_REQUEST);
}

static void sizes_are_bounded(void **state)
{
    static char text[70000];
    size_t len;

    (void)state;
    len = (size_t)snprintf(text, sizeof(text), "GET /%09000d HTTP/1.1\r\n" H "\r\n", 0);
    judge(&whole, text, len, 0);
    assert_int_equal(whole.used, -1);
    assert_int_equal(whole.err, SHEAF_ERR_URI_TOO_LONG);

    len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < SHEAF_WIRE_MAX_HEADERS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "x: %d\r\n", i);
    judge(&whole, text, len, 0);
    assert_int_equal(whole.used, -1);
    assert_int_equal(whole.err, SHEAF_ERR_HEAD_TOO_LARGE);

    len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "x: %065000d", 0);
    judge(&whole, text, len, 0);
    assert_int_equal(whole.used, 0);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%01000d\r\n\r\n", 0);
    judge(&whole, text, len, 65000);
    assert_int_equal(whole.used, -1);
    assert_int_equal(whole.err, SHEAF_ERR_HEAD_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_legal_is_accepted), cmocka_unit_test(absolute_form_is_its_path),
        cmocka_unit_test(request_lines_are_strict),  cmocka_unit_test(fields_are_strict),
        cmocka_unit_test(sizes_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
