/* jwt, the plugin: who passes, as whom, and what the others are told; for requests and items alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugins/jwt_host.h"
#include "tests/unit/plugins/jwt_samples.h"

#define ASKED "authorization"

static host_t *with_jwks(void)
{
    host_t *host = host_new(&sheaf_plugin_jwt);

    host_wall(host, NOW);
    host_set(host, "jwks", SAMPLE_JWKS);
    return host;
}

#define HOST(...) OPENED(with_jwks(), __VA_ARGS__)

static void a_decision_is_the_same_for_a_request_and_an_item(void **state)
{
    static const struct {
        const char *authorization;
        uint32_t status; /* 0: passes */
        const char *slug, *challenge;
    } rows[] = {
        {BEARER SAMPLE_ES256, 0, "", ""},
        {"bearer  " SAMPLE_RS256, 0, "", ""},
        {"BEARER " SAMPLE_PS256, 0, "", ""},
        {BEARER SAMPLE_EDDSA, 0, "", ""},
        {NULL, 401, "token-required", "Bearer realm=\"sheaf\""},
        {"Basic YTpi", 401, "token-required", "Bearer realm=\"sheaf\""},
        {"", 401, "token-required", "Bearer realm=\"sheaf\""},
        {"Bearer", 401, "invalid-token", NULL},
        {"Bearer ", 401, "invalid-token", NULL},
        {"Bearerx " SAMPLE_ES256, 401, "token-required", NULL},
        {BEARER SAMPLE_ES256 " ", 401, "invalid-token", NULL},
        {BEARER SAMPLE_ES256 ", " BEARER SAMPLE_ES256, 401, "invalid-token", NULL},
        {BEARER SAMPLE_NONE, 401, "invalid-token",
         "Bearer realm=\"sheaf\", error=\"invalid_token\", error_description=\"the algorithm of the token is not "
         "accepted\""},
        {BEARER SAMPLE_CONFUSED_N, 401, "invalid-token", NULL},
        {BEARER SAMPLE_CONFUSED_PEM, 401, "invalid-token", NULL},
        {BEARER SAMPLE_HS256, 401, "invalid-token", NULL},
        {BEARER SAMPLE_EXPIRED, 401, "invalid-token",
         "Bearer realm=\"sheaf\", error=\"invalid_token\", error_description=\"the token has expired\""},
        {BEARER SAMPLE_FOREVER, 401, "invalid-token", NULL},
        {BEARER SAMPLE_EARLY, 401, "invalid-token", NULL},
        {BEARER SAMPLE_CRIT, 401, "invalid-token", NULL},
        {BEARER SAMPLE_NEW, 401, "invalid-token", NULL},
    };
    host_t *host = HOST(NULL);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sheaf_p_ref_t request = request_with(host, rows[i].authorization);
        sheaf_p_ref_t item = item_with(host, request, rows[i].authorization);
        sheaf_p_verdict_t want = rows[i].status == 0 ? SHEAF_P_PASS : SHEAF_P_ANSWER;

        assert_int_equal(host_ask_request(request), want);
        assert_int_equal(host_ask_item(item), want);
        assert_int_equal(host_outcome(request).status, rows[i].status);
        assert_int_equal(host_outcome(item).status, rows[i].status);
        if (rows[i].status != 0) {
            assert_string_equal(host_outcome(request).slug, rows[i].slug);
            assert_string_equal(host_outcome(item).slug, rows[i].slug);
        }
        if (rows[i].challenge != NULL) {
            assert_string_equal(host_field(request, SHEAF_P_REPLY, "www-authenticate"), rows[i].challenge);
            assert_string_equal(host_field(item, SHEAF_P_RESULT, "www-authenticate"), rows[i].challenge);
        }
        assert_string_equal(host_attribute_of(item, "user"), rows[i].status == 0 ? "alice" : "");
        host_done(request);
        host_wind(host, 1); /* the next turn */
    }
    assert_int_equal(host_counted(host, "accepted"), 8);
    assert_string_equal(host_logged(host), "");
    host_free(host);
}

static void an_item_has_the_identity_of_its_own_token_as_a_whole(void **state)
{
    host_t *host = HOST("claims_to_headers[0].claim", "sub", "claims_to_headers[0].header", "X-User",
                        "claims_to_headers[1].claim", "level", "claims_to_headers[1].header", "x-level");
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256);
    sheaf_p_ref_t inherits = item_with(host, request, BEARER SAMPLE_ES256), own, none, bad;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(request, "user"), "alice");
    assert_string_equal(host_attribute_of(request, "scope"), "read write");

    assert_int_equal(host_ask_item(inherits), SHEAF_P_PASS);
    assert_string_equal(host_field(inherits, SHEAF_P_QUESTION, "x-user"), "alice");
    assert_string_equal(host_field(inherits, SHEAF_P_QUESTION, "x-level"), "3");

    own = item_with(host, request, BEARER SAMPLE_BOB);
    host_header(own, SHEAF_P_QUESTION, "X-User", "root");
    host_header(own, SHEAF_P_QUESTION, "x_user", "root");
    host_header(own, SHEAF_P_QUESTION, "X_Level", "9");
    assert_int_equal(host_ask_item(own), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(own, "user"), "bob");
    assert_string_equal(host_attribute_of(own, "scope"), "read"); /* of scp; not the outer token's */
    assert_string_equal(host_field(own, SHEAF_P_QUESTION, "x-user"), "bob");
    assert_string_equal(host_field(own, SHEAF_P_QUESTION, "x_user"), "");
    assert_string_equal(host_field(own, SHEAF_P_QUESTION, "x-level"), "");
    assert_string_equal(host_field(own, SHEAF_P_QUESTION, "x_level"), "");

    none = item_with(host, request, NULL); /* nothing was inherited: another plugin took it, or Connection named it */
    assert_int_equal(host_ask_item(none), SHEAF_P_ANSWER);

    bad = item_with(host, request, BEARER SAMPLE_EXPIRED);
    assert_int_equal(host_ask_item(bad), SHEAF_P_ANSWER);
    bad = item_with(host, request, "Basic YTpi");
    assert_int_equal(host_ask_item(bad), SHEAF_P_ANSWER);
    bad = item_with(host, request, BEARER SAMPLE_ES256);
    host_header(bad, SHEAF_P_QUESTION, "Authorization", BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_item(bad), SHEAF_P_ANSWER);
    assert_int_equal(host_counted(host, "verified"), 3); /* alice's, bob's, the expired one */
    assert_string_equal(host_attribute_of(request, "user"), "alice");
    host_free(host);
}

/* Its answer is nobody else's, whatever the configuration makes of its claims. */
static void a_good_token_shows_even_if_none_of_its_claims_does(void **unused)
{
    host_t *host =
        HOST("attributes[0].claim", "tenant", "attributes[0].name", "tenant", "forward", "false", "required", "false");
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256), inherits, own, none;
    sheaf_p_str_t value;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(strlen(host_attribute_of(request, "jwt.verified")), 64);
    assert_int_equal(host_api()->get(request, "tenant", &value), 1);
    assert_int_equal(value.len, 0);
    inherits = item_with(host, request, BEARER SAMPLE_ES256);
    assert_int_equal(host_ask_item(inherits), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(inherits, "jwt.verified"), host_attribute_of(request, "jwt.verified"));
    own = item_with(host, request, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_item(own), SHEAF_P_PASS);
    assert_int_equal(strlen(host_attribute_of(own, "jwt.verified")), 64);
    assert_string_not_equal(host_attribute_of(own, "jwt.verified"), host_attribute_of(request, "jwt.verified"));
    none = item_with(host, request, "Basic YTpi");
    assert_int_equal(host_ask_item(none), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(none, "jwt.verified"), "");
    host_free(host);
}

static void without_required_a_token_is_a_choice_and_a_bad_one_still_bad(void **state)
{
    host_t *host =
        HOST("required", "false", "claims_to_headers[0].claim", "sub", "claims_to_headers[0].header", "x-user");
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256), item;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    item = item_with(host, request, "Basic YTpi"); /* somebody else to its backend: nobody here */
    host_header(item, SHEAF_P_QUESTION, "X-User", "root");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "user"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-user"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, ASKED), "Basic YTpi");
    assert_int_equal(host_ask_item(item_with(host, request, BEARER SAMPLE_NONE)), SHEAF_P_ANSWER);
    host_done(request);

    request = request_with(host, NULL);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, NULL)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_EXPIRED)), SHEAF_P_ANSWER);
    host_free(host);
}

static void scopes_are_forbidden_not_unauthorized(void **state)
{
    host_t *host = HOST("scopes", "read, write");
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256), item;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    item = item_with(host, request, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 403);
    assert_string_equal(host_outcome(item).slug, "insufficient-scope");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "www-authenticate"),
                        "Bearer realm=\"sheaf\", error=\"insufficient_scope\", "
                        "error_description=\"the token lacks a scope\", scope=\"read write\"");
    request = request_with(host, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(request).status, 403);
    assert_int_equal(host_counted(host, "forbidden"), 2);
    host_free(host);
}

static void an_anonymous_batch_is_read_where_its_items_bring_tokens(void **state)
{
    host_t *host = HOST("anonymous_batch", "true", "scopes", "write");
    sheaf_p_ref_t request = request_with(host, NULL);

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, NULL)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, BEARER SAMPLE_ES256)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_EXPIRED)), SHEAF_P_ANSWER);
    request = request_with(host, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, BEARER SAMPLE_BOB)), SHEAF_P_ANSWER);
    host_free(host);
}

/* The second instance finds no Authorization in the question, and must not take the outer token for the item's. */
static void a_token_that_was_taken_away_is_not_replaced_by_the_outer_one(void **state)
{
    host_t *host = HOST("forward", "false");
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256);
    sheaf_p_ref_t item = item_with(host, request, BEARER SAMPLE_BOB);

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, ASKED), "");
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 401);
    item = item_with(host, request, BEARER SAMPLE_ES256); /* inherited: the outer one is the same */
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "user"), "alice");
    host_free(host);
}

static void issuer_audience_algorithms_and_size_are_kept_to(void **state)
{
    static const struct {
        const char *key, *text;
        sheaf_p_verdict_t want;
    } rows[] = {
        {"issuer", "https://issuer.example", SHEAF_P_PASS},
        {"issuer", "https://issuer.example/", SHEAF_P_ANSWER},
        {"audience", "api", SHEAF_P_PASS},
        {"audience", "ap, apis", SHEAF_P_ANSWER},
        {"algorithms", "ES256, RS256", SHEAF_P_PASS},
        {"algorithms", "RS256", SHEAF_P_ANSWER},
        {"max_token", "256", SHEAF_P_ANSWER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = HOST(rows[i].key, rows[i].text);

        assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)), rows[i].want);
        host_free(host);
    }
}

static void a_type_is_kept_to_where_one_is_asked_for(void **state)
{
    host_t *host = HOST("typ", "at+jwt");

    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_TYPED)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)), SHEAF_P_ANSWER);
    host_free(host);
    host = HOST("typ", "application/jwt");
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_TYPED)), SHEAF_P_ANSWER);
    host_free(host);
}

static void a_secret_verifies_hs256(void **state)
{
    host_t *host = host_new(&sheaf_plugin_jwt);

    host_wall(host, NOW);
    host_set(host, "secret", SAMPLE_SECRET "\n");
    assert_null(host_open(host));
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_HS256)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NONE)), SHEAF_P_ANSWER);
    host_free(host);
}

static void a_token_in_the_cache_expires_all_the_same(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256);

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    host_wall(host, 4000000030LL);
    assert_int_equal(host_ask_item(item_with(host, request, BEARER SAMPLE_ES256)), SHEAF_P_ANSWER);
    host_free(host);
}

/* Else the request's identity would show through. */
static void an_item_without_room_for_its_identity_is_refused(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256), item = item_with(host, request, BEARER SAMPLE_BOB);
    char name[16];

    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "full%d", i);
        host_attribute(item, name, "x");
    }
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 500);
    host_free(host);
}

/* Each item of a batch with a forged token of its own: others have their turn in between. */
static void many_signatures_are_spread_over_turns(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256), items[50], last;
    char forged[] = BEARER SAMPLE_ES256;
    uint32_t later = 0;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    for (size_t i = 0; i < 50; i++) {
        forged[sizeof(forged) - 10 - i] = forged[sizeof(forged) - 10 - i] == 'x' ? 'y' : 'x';
        items[i] = item_with(host, request, forged);
        later += host_ask_item(items[i]) == SHEAF_P_LATER;
    }
    assert_int_equal(later, 50 - 15);
    last = item_with(host, request, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_item(last), SHEAF_P_LATER);
    assert_int_equal(host_ask_item(item_with(host, request, BEARER SAMPLE_ES256)), SHEAF_P_PASS); /* is known already */
    host_wind(host, 1);
    assert_false(host_outcome(last).is_resumed);
    host_wind(host, 3);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(host_outcome(items[i]).status, 401);
        assert_int_equal(host_outcome(items[i]).faults, 0);
    }
    assert_true(host_outcome(last).is_resumed);
    assert_string_equal(host_attribute_of(last, "user"), "bob");
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void a_configuration_that_cannot_hold_is_refused(void **state)
{
    static const struct {
        const char *key, *text, *want;
    } rows[] = {
        {"realm", "x", "jwks: there must be keys: jwks, jwks_url or secret"},
        {"secret", "short", "secret: a secret has 32 to 1024 bytes"},
        {"jwks", "{\"keys\":[]}", "jwks: it has no key"},
        {"jwks", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\"}]}", "jwks: the only curve of EC keys is P-256"},
        {"jwks", "oops", "jwks: it is no JSON object with a list `keys`, of at most 256 KiB, no member twice"},
        {"algorithms", "none", "algorithms: known are RS256, PS256, ES256, EdDSA and HS256"},
        {"realm", "a\"b", "realm: at most 64 printable ASCII characters, no quotes, no backslashes"},
        {"scopes", "a b", "scopes: a scope is printable ASCII without spaces, quotes and backslashes"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = host_new(&sheaf_plugin_jwt);

        if (i > 1 && strcmp(rows[i].key, "jwks") != 0)
            host_set(host, "jwks", SAMPLE_JWKS);
        host_set(host, rows[i].key, rows[i].text);
        assert_string_equal(host_open(host), rows[i].want);
        host_free(host);
    }
}

static void a_field_that_sheaf_writes_itself_is_refused(void **state)
{
    static const char *const names[] = {"X-Forwarded-User",
                                        "x_forwarded_user",
                                        "X-Original-User",
                                        "X-Real-IP",
                                        "x-request-id",
                                        "Host",
                                        "Connection",
                                        "Via",
                                        "Proxy"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        host_t *host = host_new(&sheaf_plugin_jwt);
        char want[128];

        host_set(host, "jwks", SAMPLE_JWKS);
        host_set(host, "claims_to_headers[0].claim", "sub");
        host_set(host, "claims_to_headers[0].header", names[i]);
        snprintf(want, sizeof(want), "claims_to_headers: %s is written by Sheaf itself", names[i]);
        assert_int_equal(strncmp(host_open(host), want, strlen(want)), 0);
        host_free(host);
    }
    host_free(HOST("claims_to_headers[0].claim", "sub", "claims_to_headers[0].header", "X-Original"));
    host_free(HOST("attributes[0].claim", "sub", "attributes[0].name", "host"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_is_the_same_for_a_request_and_an_item),
        cmocka_unit_test(an_item_has_the_identity_of_its_own_token_as_a_whole),
        cmocka_unit_test(a_good_token_shows_even_if_none_of_its_claims_does),
        cmocka_unit_test(without_required_a_token_is_a_choice_and_a_bad_one_still_bad),
        cmocka_unit_test(scopes_are_forbidden_not_unauthorized),
        cmocka_unit_test(an_anonymous_batch_is_read_where_its_items_bring_tokens),
        cmocka_unit_test(a_token_that_was_taken_away_is_not_replaced_by_the_outer_one),
        cmocka_unit_test(issuer_audience_algorithms_and_size_are_kept_to),
        cmocka_unit_test(a_type_is_kept_to_where_one_is_asked_for),
        cmocka_unit_test(a_secret_verifies_hs256),
        cmocka_unit_test(a_token_in_the_cache_expires_all_the_same),
        cmocka_unit_test(an_item_without_room_for_its_identity_is_refused),
        cmocka_unit_test(many_signatures_are_spread_over_turns),
        cmocka_unit_test(a_configuration_that_cannot_hold_is_refused),
        cmocka_unit_test(a_field_that_sheaf_writes_itself_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
