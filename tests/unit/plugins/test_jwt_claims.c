/* jwt: what claims must say, what they become, and the memory of tokens that were verified. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/jwt/jwt_cache.h"
#include "plugins/jwt/jwt_claims.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW      1000000

static sheaf_p_str_t str(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

static json_t *claims_of(const char *text)
{
    json_t *claims = jwt_json_read(text, strlen(text));

    assert_non_null(claims);
    return claims;
}

static void each_claim_is_looked_at(void **state)
{
    static const sheaf_p_str_t issuers[] = {{"a", 1}, {"b", 1}}, audiences[] = {{"api", 3}, {"web", 3}};
    static const sheaf_p_str_t scopes[] = {{"read", 4}, {"write", 5}};
    const jwt_rules_t rules = {.issuers = {issuers, 2},
                               .audiences = {audiences, 2},
                               .scopes = {scopes, 2},
                               .leeway_s = 30,
                               .needs_expiry = true};
#define GOOD "\"iss\":\"b\",\"aud\":\"web\",\"scope\":\"x write read\""
    static const struct {
        const char *claims;
        jwt_verdict_t want;
    } rows[] = {
        {"{" GOOD ",\"exp\":1000001}", JWT_OK},
        {"{" GOOD ",\"exp\":999971}", JWT_OK}, /* within the leeway */
        {"{" GOOD ",\"exp\":999970}", JWT_EXPIRED},
        {"{" GOOD ",\"exp\":999970.5}", JWT_OK},
        {"{" GOOD ",\"exp\":-1}", JWT_EXPIRED},
        {"{" GOOD "}", JWT_NO_EXPIRY},
        {"{" GOOD ",\"exp\":\"1000001\"}", JWT_MALFORMED},
        {"{" GOOD ",\"exp\":null}", JWT_MALFORMED},
        {"{" GOOD ",\"exp\":1e300}", JWT_MALFORMED},
        {"{" GOOD ",\"exp\":9223372036854775807}", JWT_MALFORMED},
        {"{" GOOD ",\"exp\":1000001,\"nbf\":1000030}", JWT_OK},
        {"{" GOOD ",\"exp\":1000001,\"nbf\":1000031}", JWT_NOT_YET},
        {"{" GOOD ",\"exp\":1000001,\"iat\":1000031}", JWT_NOT_YET},
        {"{" GOOD ",\"exp\":1000001,\"nbf\":true}", JWT_MALFORMED},
        {"{\"iss\":\"c\",\"aud\":\"web\",\"scope\":\"read write\",\"exp\":1000001}", JWT_ISSUER},
        {"{\"iss\":[\"a\"],\"aud\":\"web\",\"scope\":\"read write\",\"exp\":1000001}", JWT_ISSUER},
        {"{\"aud\":\"web\",\"scope\":\"read write\",\"exp\":1000001}", JWT_ISSUER},
        {"{\"iss\":\"a\",\"aud\":\"webb\",\"scope\":\"read write\",\"exp\":1000001}", JWT_AUDIENCE},
        {"{\"iss\":\"a\",\"aud\":[\"x\",\"api\"],\"scope\":\"read write\",\"exp\":1000001}", JWT_OK},
        {"{\"iss\":\"a\",\"aud\":[],\"scope\":\"read write\",\"exp\":1000001}", JWT_AUDIENCE},
        {"{\"iss\":\"a\",\"aud\":[[\"api\"]],\"scope\":\"read write\",\"exp\":1000001}", JWT_AUDIENCE},
        {"{\"iss\":\"a\",\"scope\":\"read write\",\"exp\":1000001}", JWT_AUDIENCE},
        {"{\"iss\":\"a\",\"aud\":\"api\",\"scope\":\"read\",\"exp\":1000001}", JWT_SCOPE},
        {"{\"iss\":\"a\",\"aud\":\"api\",\"scope\":\"read writer\",\"exp\":1000001}", JWT_SCOPE},
        {"{\"iss\":\"a\",\"aud\":\"api\",\"scp\":[\"read\",\"write\"],\"exp\":1000001}", JWT_OK},
        {"{\"iss\":\"a\",\"aud\":\"api\",\"scp\":[\"read write\"],\"exp\":1000001}", JWT_SCOPE},
        {"{\"iss\":\"a\",\"aud\":\"api\",\"exp\":1000001}", JWT_SCOPE},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *claims = claims_of(rows[i].claims);

        assert_int_equal(jwt_claims_check(claims, &rules, NOW), rows[i].want);
        json_decref(claims);
    }
}

static void a_claim_becomes_a_text_or_nothing(void **state)
{
    static const struct {
        const char *name, *want; /* NULL: nothing */
    } rows[] = {
        {"sub", "alice"},  {"n", "-7"},         {"yes", "true"},         {"no", "false"},     {"roles", "a,b,3"},
        {"empty", ""},     {"none", ""},        {"/deep/er/roles", "x"}, {"http://x/y", "t"}, {"/a~1b/c~0d", "1"},
        {"missing", NULL}, {"null", NULL},      {"deep", NULL},          {"nested", NULL},    {"odd", NULL},
        {"crlf", NULL},    {"/deep/x/y", NULL}, {"/sub/x", NULL},        {"/", NULL},         {"", NULL},
        {"real", "0.5"},   {"/roles/0", NULL},
    };
    json_t *claims =
        claims_of("{\"sub\":\"alice\",\"n\":-7,\"yes\":true,\"no\":false,\"roles\":[\"a\",\"b\",3],\"empty\":\"\","
                  "\"none\":[],\"deep\":{\"er\":{\"roles\":[\"x\"]}},\"http://x/y\":\"t\",\"a/b\":{\"c~d\":1},"
                  "\"null\":null,\"nested\":[[1]],\"odd\":[\"a,b\"],\"crlf\":\"a\\r\\nb: c\",\"real\":0.5}");

    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[JWT_CLAIM_MAX];
        size_t len = 0;
        bool is_there = jwt_claims_text(claims, str(rows[i].name), ',', text, &len);

        assert_int_equal(is_there, rows[i].want != NULL);
        if (is_there) {
            assert_int_equal(len, strlen(rows[i].want));
            assert_memory_equal(text, rows[i].want, len);
        }
    }
    json_decref(claims);
}

static void the_cache_keeps_the_latest_and_counts_what_it_holds(void **state)
{
    jwt_cache_t *cache = jwt_cache_new(3);
    json_t *claims = claims_of("{}");
    uint8_t hash[26][JWT_HASH_LEN];

    for (int i = 0; i < 26; i++) {
        char name = (char)('a' + i);

        assert_true(jwt_cache_hash(cache, sheaf_p_str(&name, 1), hash[i]));
        assert_null(jwt_cache_find(cache, hash[i]));
        jwt_cache_put(cache, hash[i], claims);
        jwt_cache_put(cache, hash[i], claims);
        assert_ptr_equal(jwt_cache_find(cache, hash[0]), claims); /* asked for all the time: stays */
        if (i >= 3)
            assert_null(jwt_cache_find(cache, hash[i - 2]));
    }
    assert_int_equal(claims->refcount, 4);
    jwt_cache_clear(cache);
    assert_int_equal(claims->refcount, 1);
    assert_null(jwt_cache_find(cache, hash[0]));
    jwt_cache_put(cache, hash[7], claims);
    assert_ptr_equal(jwt_cache_find(cache, hash[7]), claims);
    jwt_cache_free(cache);
    assert_int_equal(claims->refcount, 1);
    json_decref(claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_claim_is_looked_at),
        cmocka_unit_test(a_claim_becomes_a_text_or_nothing),
        cmocka_unit_test(the_cache_keeps_the_latest_and_counts_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
