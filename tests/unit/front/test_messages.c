/* HTTP/2 messages: what is refused, why, and what becomes of cookies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/front/guard/messages.h"

/* A request for GET / at h, changed; `name` NULL: no field. Returns why it is malformed, NULL if it is not. */
static const char *why(const char *method, const char *path, const char *authority, const char *name, const char *value)
{
    h2o_iovec_t of_name = h2o_iovec_init(name, name != NULL ? strlen(name) : 0);
    h2o_header_t field = {.name = &of_name, .value = h2o_iovec_init(value, value != NULL ? strlen(value) : 0)};
    sheaf_objection_t objection = {SHEAF_OK, NULL};
    h2o_req_t req;

    memset(&req, 0, sizeof(req));
    req.input.method = h2o_iovec_init(method, strlen(method));
    req.input.path = h2o_iovec_init(path, strlen(path));
    req.input.authority = h2o_iovec_init(authority, authority != NULL ? strlen(authority) : 0);
    req.headers.entries = &field;
    req.headers.size = name != NULL;
    if (!sheaf_message_is_malformed(&req, 1000, &objection)) {
        assert_int_equal(objection.err, SHEAF_OK);
        return NULL;
    }
    assert_true(objection.err == SHEAF_ERR_BAD_REQUEST || objection.err == SHEAF_ERR_HEAD_TOO_LARGE);
    return objection.why;
}

static void the_pseudo_headers_have_a_grammar(void **state)
{
    (void)state;
    assert_null(why("GET", "/", "h", NULL, NULL));
    assert_null(why("OPTIONS", "*", "h:80", NULL, NULL));
    assert_string_equal(why("GE T", "/", "h", NULL, NULL), ":method is no token");
    assert_string_equal(why("", "/", "h", NULL, NULL), ":method is no token");
    assert_string_equal(why("CONNECT", "/", "h", NULL, NULL), "CONNECT is not for a gateway");
    assert_string_equal(why("GET", "*", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "a", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "/a b", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "/#a", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "/\xc3\xa4", "h", NULL, NULL), ":path is not a path");
    assert_string_equal(why("GET", "/", NULL, NULL, NULL), "no :authority");
    assert_string_equal(why("GET", "/", "a@h", NULL, NULL), ":authority is not a host");
    assert_string_equal(why("GET", "/", "h:x", NULL, NULL), ":authority is not a host");
}

static void fields_have_a_grammar(void **state)
{
    static const char *const of_connection[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                                "upgrade"};

    (void)state;
    assert_null(why("GET", "/", "h", "x-a", "b c"));
    assert_null(why("GET", "/", "h", "x-a", ""));
    assert_string_equal(why("GET", "/", "h", "", "b"), "a header name that is no token");
    assert_string_equal(why("GET", "/", "h", "a:b", "c"), "a header name that is no token");
    assert_string_equal(why("GET", "/", "h", "X-a", "b"), "a header name in upper case");
    assert_string_equal(why("GET", "/", "h", "x-a", "b\nc"), "a header value with a byte that may not be there");
    for (size_t i = 0; i < SHEAF_COUNT(of_connection); i++)
        assert_string_equal(why("GET", "/", "h", of_connection[i], "x"), "a header field of the connection");
}

static void a_head_has_a_size(void **state)
{
    char value[1001] = "";

    (void)state;
    memset(value, 'a', 1000);
    value[1000 - 3] = '\0'; /* beside "/", "h" and the name */
    assert_null(why("GET", "/", "h", "x", value));
    value[1000 - 3] = 'a';
    value[1000 - 2] = '\0';
    assert_string_equal(why("GET", "/", "h", "x", value), "a head that is too large");
}

static void cookies_become_one_in_the_place_of_the_first(void **state)
{
    h2o_req_t req;

    (void)state;
    memset(&req, 0, sizeof(req));
    h2o_mem_init_pool(&req.pool);
    h2o_add_header(&req.pool, &req.headers, H2O_TOKEN_ACCEPT, NULL, H2O_STRLIT("x"));
    h2o_add_header(&req.pool, &req.headers, H2O_TOKEN_COOKIE, NULL, H2O_STRLIT("a=1"));
    sheaf_message_join_cookies(&req);
    assert_int_equal(req.headers.size, 2);
    h2o_add_header(&req.pool, &req.headers, H2O_TOKEN_RANGE, NULL, H2O_STRLIT("y"));
    h2o_add_header(&req.pool, &req.headers, H2O_TOKEN_COOKIE, NULL, H2O_STRLIT("b=2"));
    h2o_add_header(&req.pool, &req.headers, H2O_TOKEN_COOKIE, NULL, H2O_STRLIT("c=3"));
    sheaf_message_join_cookies(&req);
    assert_int_equal(req.headers.size, 3);
    assert_ptr_equal(req.headers.entries[1].name, &H2O_TOKEN_COOKIE->buf);
    assert_int_equal(req.headers.entries[1].value.len, 13);
    assert_memory_equal(req.headers.entries[1].value.base, "a=1; b=2; c=3", 13);
    assert_ptr_equal(req.headers.entries[2].name, &H2O_TOKEN_RANGE->buf);
    h2o_mem_clear_pool(&req.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pseudo_headers_have_a_grammar),
        cmocka_unit_test(fields_have_a_grammar),
        cmocka_unit_test(a_head_has_a_size),
        cmocka_unit_test(cookies_become_one_in_the_place_of_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
