/* idempotency: whose a key is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/idempotency_host.h"

static void a_key_is_of_whoever_uses_it(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t anna = item_with(host, "k", "{}"), bert = item_with(host, "k", "{}"),
                  bearer = item_with(host, "k", "{}"), far = item_with(host, "k", "{}");

    host_attribute(anna, "user", "anna");
    host_attribute(bert, "user", "bert");
    host_header(bearer, SHEAF_P_QUESTION, "authorization", "anna");
    host_fact(far, SHEAF_P_CLIENT_IP, "198.51.100.9");
    assert_int_equal(host_ask_item(anna), SHEAF_P_PASS);
    answers(anna, 201, "{\"secret\":1}");
    assert_int_equal(host_ask_item(bert), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(bearer), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(far), SHEAF_P_PASS);
    host_free(host);
}

/* One of these tells two clients apart who share all the rest, and an address. */
static void whatever_tells_two_clients_apart_keeps_their_keys_apart(void **unused)
{
    static const struct {
        const char *attribute, *field;
        sheaf_p_part_t part;
    } rows[] = {
        {"user", NULL, SHEAF_P_QUESTION},         {"consumer", NULL, SHEAF_P_QUESTION},
        {"jwt.verified", NULL, SHEAF_P_QUESTION}, {NULL, "authorization", SHEAF_P_QUESTION},
        {NULL, "cookie", SHEAF_P_QUESTION},       {NULL, "cookie", SHEAF_P_CLIENT},
        {NULL, "x-api-key", SHEAF_P_QUESTION},    {NULL, "x-api-key", SHEAF_P_CLIENT},
        {NULL, "authorization", SHEAF_P_CLIENT},  {NULL, NULL, SHEAF_P_CLIENT}, /* the certificate */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = opened();
        static const char *const who[] = {"anna", "bert", "anna"};

        for (int n = 0; n < 3; n++) {
            sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = item_of(host, request, "k", "{}");

            if (rows[i].attribute != NULL)
                host_attribute(item, rows[i].attribute, who[n]);
            else if (rows[i].field != NULL)
                host_header(rows[i].part == SHEAF_P_CLIENT ? request : item, rows[i].part, rows[i].field, who[n]);
            else
                host_fact(request, SHEAF_P_CERTIFICATE, who[n]);
            assert_int_equal(host_ask_item(item), n < 2 ? SHEAF_P_PASS : SHEAF_P_ANSWER);
            if (n < 2)
                answers(item, 201, who[n]);
            else
                assert_string_equal(host_outcome(item).body, "anna");
            host_done(request);
        }
        host_free(host);
    }
}

/* A token that was renewed, another session: it is still the same person who tries again. */
static void a_user_may_log_in_anew_in_between(void **unused)
{
    host_t *host = opened();

    for (int i = 0; i < 2; i++) {
        sheaf_p_ref_t item = item_with(host, "k", "{}");

        host_attribute(item, "user", "anna");
        host_attribute(item, "jwt.verified", i == 0 ? "ab" : "cd");
        host_header(item, SHEAF_P_QUESTION, "authorization", i == 0 ? "Bearer 1" : "Bearer 2");
        host_header(item, SHEAF_P_QUESTION, "cookie", i == 0 ? "sid=1" : "sid=2");
        assert_int_equal(host_ask_item(item), i == 0 ? SHEAF_P_PASS : SHEAF_P_ANSWER);
        if (i == 0)
            answers(item, 201, "{}");
    }
    host_free(host);
}

/* A plugin has taken the item's own token away: the client's is not whose it is. */
static void the_clients_token_does_not_stand_for_an_items_own(void **unused)
{
    host_t *host = opened();
    static const char *const tokens[] = {"ab", "cd"};

    for (int i = 0; i < 2; i++) {
        sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = item_of(host, request, "k", "{}");

        host_header(request, SHEAF_P_CLIENT, "authorization", "Bearer outer");
        host_attribute(item, "user", "");
        host_attribute(item, "jwt.verified", tokens[i]);
        assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
        answers(item, 201, "{}");
    }
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_of_whoever_uses_it),
        cmocka_unit_test(whatever_tells_two_clients_apart_keeps_their_keys_apart),
        cmocka_unit_test(a_user_may_log_in_anew_in_between),
        cmocka_unit_test(the_clients_token_does_not_stand_for_an_items_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
