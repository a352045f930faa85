#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/relocate.h"

typedef struct row {
    const char *from, *want; /* NULL: it stays as it is */
} row_t;

/* The backend is api.internal:8080 and backend.test (80 or 443), the client asked http://shop.example. */
static bool is_own(const void *data, const sheaf_place_t *place)
{
    bool has_usual_port = place->port == 0 || place->port == 80 || place->port == 443;

    return (sheaf_str_eq(place->host, SHEAF_STR("api.internal")) && place->port == 8080) ||
           (sheaf_str_eq(place->host, SHEAF_STR("backend.test")) && has_usual_port) ||
           (sheaf_str_eq(place->host, SHEAF_STR("[::1]")) && has_usual_port) ||
           (sheaf_str_eq(place->host, SHEAF_STR("shop.example")) && place->port == 0 &&
            (place->scheme.base == NULL || sheaf_str_eq(place->scheme, SHEAF_STR("http"))));
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    return sheaf_str_eq(host, SHEAF_STR("api.internal")) || sheaf_str_eq(host, SHEAF_STR("backend.test"));
}

typedef bool turn_t(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value);

static void check(turn_t *turn, const char *match, const char *rewrite, const row_t *rows, size_t count)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_view_t view = {.is_own = is_own, .is_backend = is_backend};
    sheaf_str_t made;

    if (rewrite != NULL)
        view.way = sheaf_way_back_new(pool, sheaf_str_of(match), sheaf_str_of(rewrite));
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(rows[i].from);
        char *exact = malloc(len + 1); /* what is read behind its end is seen */
        bool has_changed;

        memcpy(exact, rows[i].from, len);
        has_changed = turn(&view, pool, sheaf_str(exact, len), &made);
        if (has_changed != (rows[i].want != NULL) || (has_changed && !sheaf_str_eq(made, sheaf_str_of(rows[i].want))))
            fail_msg("%s became %.*s", rows[i].from, has_changed ? (int)made.len : 1, has_changed ? made.base : "-");
        free(exact);
    }
    sheaf_pool_free(pool);
}

static void a_url_of_the_backend_becomes_a_path(void **state)
{
    static const row_t rows[] = {
        {"http://api.internal:8080/x?a#b", "/x?a#b"},
        {"https://API.Internal.:8080/x", "/x"},
        {"http://backend.test/x", "/x"},
        {"https://backend.test:443/x", "/x"},
        {"http://backend.test:80", "/"},
        {"http://backend.test?q", "/?q"},
        {"//backend.test/x", "/x"},
        {"http://[0::1]/x", "/x"},
        {"http://shop.example/x", "/x"},
        {"HTTP://shop.example/x", "/x"},
        {"//shop.example/x", "/x"},
        /* elsewhere, or relative: as it came */
        {"http://api.internal/x", NULL},
        {"http://api.internal:8081/x", NULL},
        {"https://shop.example/x", NULL},
        {"HTTPS://shop.example/x", NULL},
        {"http://evil.test/x", NULL},
        {"http://backend.test.evil.test/x", NULL},
        {"http://backend.test@evil.test/x", NULL},
        {"http://evil.test@backend.test/x", NULL},
        {"http://backend.test:99999/x", NULL},
        {"//evil.test/x", NULL},
        {"ftp://backend.test/x", NULL},
        {"http:/backend.test/x", NULL},
        {"/x", NULL},
        {"x", NULL},
        {"?x", NULL},
        {"", NULL},
        {"http://", NULL},
        /* what browsers would read in another way */
        {"http://backend.test//evil.test/", "/.//evil.test/"},
        {"http://backend.test/\\evil.test/", NULL},
        {"http://backend.test/\t/evil.test/", NULL},
        {"http://backend.test\\@evil.test/", NULL},
        {"/ a", NULL},
    };

    check(sheaf_relocate_url, NULL, NULL, rows, SHEAF_COUNT(rows));
}

static void a_path_goes_back_through_the_rewrite(void **state)
{
    static const row_t params[] = {
        {"/v1/people/7", "/users/7"},
        {"/v1/people/7/photos?a=/v1/people/8", "/users/7/photos?a=/v1/people/8"},
        {"http://backend.test/v1/people/a%2Fb", "/users/a%2Fb"},
        {"/v1/people/7/", "/users/7/"},
        {"/v1/people", NULL},
        {"/v1/people/", NULL},
        {"/v1/peoples/7", NULL},
        {"/v2/people/7", NULL},
        {"http://backend.test/v2/people/7", NULL},
        {"http://evil.test/v1/people/7", NULL},
    };
    static const row_t rest[] = {
        {"/inner/x/y", "/x/y"}, {"/inner/", "/"},    {"/inner//evil.test", "/.//evil.test"},
        {"/inner", "/"},        {"/innerx/y", NULL}, {"/inner?a", "/?a"},
    };
    static const row_t folder[] = {
        {"/int", "/m/"},
        {"/int?a=/int", "/m/?a=/int"},
        {"http://backend.test/int", "/m/"},
        {"/int/", "/m/"},
        {"/intx", NULL},
        {"/", NULL},
    };
    static const row_t added[] = {{"/x", "/api/x"}, {"/", "/api/"}, {"//x", NULL}, {"http://backend.test", "/api/"}};
    static const row_t collection[] = {
        {"/v1/people/43", "/users/43"}, {"/v1/people", "/users"}, {"/v1/people?x", "/users?x"}};
    static const row_t page[] = {
        {"/", "/login"},
        {"/?next=/x", "/login?next=/x"},
        {"http://backend.test", "/login"},
        /* what the backend has beside it is nowhere below the page */
        {"/home", NULL},
        {"/login", NULL},
        {"//", NULL},
        {"http://backend.test/home", NULL},
    };
    static const row_t slashed[] = {{"/", "/login/"}, {"/home", NULL}};
    static const row_t same[] = {{"/", NULL}, {"http://backend.test", "/"}, {"/home", NULL}};
    static const row_t lossy[] = {{"/v1/7", NULL}, {"http://backend.test/v1/7", NULL}};

    check(sheaf_relocate_url, "/users/{id}", "/v1/people/{id}", params, SHEAF_COUNT(params));
    check(sheaf_relocate_url, "/{rest...}", "/inner/{rest...}", rest, SHEAF_COUNT(rest));
    check(sheaf_relocate_url, "/api/{rest...}", "/{rest...}", added, SHEAF_COUNT(added));
    check(sheaf_relocate_url, "/users", "/v1/people", collection, SHEAF_COUNT(collection));
    check(sheaf_relocate_url, "/m/{rest...}", "/int/{rest...}", folder, SHEAF_COUNT(folder));
    check(sheaf_relocate_url, "/login", "/", page, SHEAF_COUNT(page));
    check(sheaf_relocate_url, "/login/", "/", slashed, SHEAF_COUNT(slashed));
    check(sheaf_relocate_url, "/", "/", same, SHEAF_COUNT(same));
    check(sheaf_relocate_url, "/t/{tenant}/{id}", "/v1/{id}", lossy, SHEAF_COUNT(lossy));
}

static void parameters_may_change_places(void **state)
{
    static const row_t rows[] = {{"/x/2/of/1/more", "/1/2/more"}, {"/x//of/1", NULL}};

    check(sheaf_relocate_url, "/{a}/{b}", "/x/{b}/of/{a}", rows, SHEAF_COUNT(rows));
}

static void a_refresh_goes_the_same_way(void **state)
{
    static const row_t rows[] = {
        {"5; url=/v1/people/7", "5; url=/users/7"},
        {"0;URL='http://backend.test/v1/people/7'", "0;URL='/users/7'"},
        {"0, url = \"/v1/people/7\" x", "0, url = \"/users/7\" x"},
        {"5; url=http://evil.test/v1/people/7", NULL},
        {"5", NULL},
        {"5; url", NULL},
        {"5; url=", NULL},
        {"", NULL},
        {";", NULL},
    };

    check(sheaf_relocate_refresh, "/users/{id}", "/v1/people/{id}", rows, SHEAF_COUNT(rows));
}

static void a_cookie_is_one_of_the_gateway(void **state)
{
    static const row_t rows[] = {
        {"a=1; Path=/v1; HttpOnly", "a=1; Path=/api; HttpOnly"},
        {"a=1;path=/v1/x", "a=1; path=/api/x"},
        {"a=1; Domain=api.internal; Secure", "a=1; Secure"},
        {"a=1; Domain=.Backend.Test", "a=1"},
        {"a=1; Path=/v1; Domain=api.internal", "a=1; Path=/api"},
        {"a=1; Path=/v10", NULL},
        {"a=1; Path=/", NULL},
        {"a=1; Path", NULL},
        {"a=1; Path=", NULL},
        {"a=1; Domain=evil.test", NULL},
        {"a=1; Domain=internal", NULL},
        {"a=1; Domain=", NULL},
        {"a=/v1; Expires=Thu, 01 Jan 2026 00:00:00 GMT; Max-Age=1", NULL},
        {"Path=/v1", NULL}, /* a cookie of that name */
        {"__Host-a=1; Path=/v1; Secure", NULL},
        {"", NULL},
        {";", NULL},
        {"a=1;;;", NULL},
    };
    static const row_t root[] = {
        {"a=1; Path=/", "a=1; Path=/api/"},
        {"__Host-a=1; Path=/; Secure", NULL},
        {"__host-a=1; Path=/; Secure", NULL},
        {"__Secure-a=1; Path=/x; Secure", "__Secure-a=1; Path=/api/x; Secure"},
    };

    static const row_t page[] = {{"a=1; Path=/", NULL}, {"a=1; Path=/x", NULL}, {"a=1; Path=/login", NULL}};
    static const row_t folder[] = {
        {"a=1; Path=/int", "a=1; Path=/m"},
        {"a=1; Path=/int/", "a=1; Path=/m/"},
        {"a=1; Path=/int/x", "a=1; Path=/m/x"},
        {"a=1; Path=/intx", NULL},
        {"a=1; Path=/", NULL},
    };
    static const row_t whole[] = {{"a=1; Path=/int", "a=1; Path=/"}, {"a=1; Path=/int/", "a=1; Path=/"}};

    check(sheaf_relocate_cookie, "/api/{rest...}", "/v1/{rest...}", rows + 1, 3);
    check(sheaf_relocate_cookie, "/login", "/", page, SHEAF_COUNT(page));
    check(sheaf_relocate_cookie, "/m/{rest...}", "/int/{rest...}", folder, SHEAF_COUNT(folder));
    check(sheaf_relocate_cookie, "/{rest...}", "/int/{rest...}", whole, SHEAF_COUNT(whole));
    check(sheaf_relocate_cookie, "/api", "/v1", rows, SHEAF_COUNT(rows));
    check(sheaf_relocate_cookie, "/api/{rest...}", "/{rest...}", root, SHEAF_COUNT(root));
}

static void a_cookie_of_a_thousand_attributes_is_left_alone(void **state)
{
    char text[4000] = "a=1; Path=/v1";
    row_t row = {text, NULL};

    memset(text + strlen(text), ';', 3000);
    check(sheaf_relocate_cookie, "/api", "/v1", &row, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_of_the_backend_becomes_a_path),
        cmocka_unit_test(a_path_goes_back_through_the_rewrite),
        cmocka_unit_test(parameters_may_change_places),
        cmocka_unit_test(a_refresh_goes_the_same_way),
        cmocka_unit_test(a_cookie_is_one_of_the_gateway),
        cmocka_unit_test(a_cookie_of_a_thousand_attributes_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
