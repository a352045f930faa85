/* jwt: signatures, keys and all that looks like a token but must not pass for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/jwt/jwt_keys.h"
#include "tests/unit/plugins/jwt_samples.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALL      (JWT_ALGS_PUBLIC | JWT_HS256)
#define LIMIT    8192

static sheaf_p_str_t str(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

static jwt_keys_t *keys_of(const char *document)
{
    const char *why = NULL;
    jwt_keys_t *keys = jwt_keys_read(str(document), &why);

    assert_non_null(keys);
    return keys;
}

static jwt_keys_t *key_of(const char *jwk)
{
    char document[4096];

    snprintf(document, sizeof(document), "{\"keys\":[%s]}", jwk);
    return keys_of(document);
}

static jwt_verdict_t judge(const jwt_keys_t *keys, uint32_t algs, const char *text)
{
    jwt_token_t token;
    jwt_verdict_t verdict = jwt_token_read(str(text), LIMIT, &token);

    if (verdict != JWT_OK)
        return verdict;
    verdict = jwt_keys_verify(keys, algs, &token);
    jwt_token_fini(&token);
    return verdict;
}

/* RFC 7515 A.1 to A.3, RFC 8037 A.4. */
static void the_examples_of_the_rfcs_verify(void **state)
{
    static const struct {
        const char *jwk, *token;
    } rows[] = {
        {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
         "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
         "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLm"
         "NvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
         "4qPCJrcS2mJPMEzP1Pt0B"
         "m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
         "KXBdQ"
         "OS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
         "h9iaGNj8q2ethFkMLs"
         "91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
         "eyJhbGciOiJSUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
         "VlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
         "O8W2Fp5jujGbds9uJdbF9C"
         "UAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_"
         "dO--"
         "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
         "Ioyp"
         "GlUPQGe77Rw"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_"
         "FEzRu9m36HLN_tue65"
         "9LNpXW6pCyStikYjKIWI5a0\"}",
         "eyJhbGciOiJFUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
         "VlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
         "09PGcvMg3AIbQR6dWbhijcNR4k"
         "i4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        jwt_keys_t *keys = key_of(rows[i].jwk);

        assert_int_equal(judge(keys, ALL, rows[i].token), JWT_OK);
        jwt_keys_free(keys);
    }
}

static void tokens_of_another_library_verify_each_by_its_key(void **state)
{
    static const struct {
        const char *token;
        jwt_verdict_t want;
    } rows[] = {
        {SAMPLE_RS256, JWT_OK},
        {SAMPLE_PS256, JWT_OK},
        {SAMPLE_ES256, JWT_OK},
        {SAMPLE_EDDSA, JWT_OK},
        {SAMPLE_NO_KID, JWT_OK},
        {SAMPLE_NEW, JWT_UNKNOWN_KEY},
        {SAMPLE_RS256_BY_PSS_KEY, JWT_UNKNOWN_KEY}, /* its JWK is for PS256 alone */
        {SAMPLE_NONE, JWT_ALGORITHM},
        {SAMPLE_CRIT, JWT_CRITICAL},
        {SAMPLE_HS256, JWT_UNKNOWN_KEY},
        {SAMPLE_CONFUSED_PEM, JWT_UNKNOWN_KEY},
        {SAMPLE_CONFUSED_N, JWT_UNKNOWN_KEY},
    };
    jwt_keys_t *keys = keys_of(SAMPLE_JWKS);

    assert_int_equal(keys->count, 4);
    assert_int_equal(keys->skipped, 0);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(judge(keys, ALL, rows[i].token), rows[i].want);
    assert_int_equal(judge(keys, JWT_ES256, SAMPLE_RS256), JWT_ALGORITHM);
    assert_int_equal(judge(keys, JWT_ES256, SAMPLE_ES256), JWT_OK);
    assert_null(jwt_keys_add_secret(keys, str(SAMPLE_SECRET)));
    assert_int_equal(judge(keys, ALL, SAMPLE_HS256), JWT_OK);
    assert_int_equal(judge(keys, JWT_ALGS_PUBLIC, SAMPLE_HS256), JWT_ALGORITHM);
    assert_int_equal(judge(keys, ALL, SAMPLE_CONFUSED_N), JWT_SIGNATURE); /* tried against the secret, in vain */
    jwt_keys_free(keys);
}

/* Every bit of a signature, every character of what is signed. */
static void nothing_of_a_token_may_be_changed(void **state)
{
    static const char *const tokens[] = {SAMPLE_ES256, SAMPLE_EDDSA, SAMPLE_RS256, SAMPLE_PS256};
    jwt_keys_t *keys = keys_of(SAMPLE_JWKS);

    for (size_t i = 0; i < COUNT(tokens); i++) {
        char *copy = strdup(tokens[i]);
        size_t len = strlen(copy);

        for (size_t at = 0; at < len; at += i < 2 ? 1 : 7) {
            char old = copy[at];

            copy[at] = old == 'B' ? 'C' : 'B';
            assert_int_not_equal(judge(keys, ALL, copy), JWT_OK);
            copy[at] = old;
        }
        for (size_t cut = 0; cut < len; cut += 5) {
            copy[cut] = '\0';
            assert_int_not_equal(judge(keys, ALL, copy), JWT_OK);
            copy[cut] = tokens[i][cut];
        }
        free(copy);
    }
    jwt_keys_free(keys);
}

static const char *encode(char *dst, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(text), at = 0;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)(uint8_t)text[i] << 16 | (i + 1 < len ? (uint32_t)(uint8_t)text[i + 1] << 8 : 0) |
                        (i + 2 < len ? (uint32_t)(uint8_t)text[i + 2] : 0);

        for (size_t k = 0; k < 4 && (k < 2 || i + k - 1 < len); k++)
            dst[at++] = digits[bits >> (18 - 6 * k) & 63];
    }
    dst[at] = '\0';
    return dst;
}

static void a_header_is_read_strictly(void **state)
{
    static const struct {
        const char *header;
        jwt_verdict_t want;
    } rows[] = {
        {"{\"alg\":\"ES256\"}", JWT_OK},
        {"{\"alg\":\"none\"}", JWT_ALGORITHM},
        {"{\"alg\":\"None\"}", JWT_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", JWT_ALGORITHM},
        {"{\"alg\":\"\"}", JWT_ALGORITHM},
        {"{\"alg\":\"es256\"}", JWT_ALGORITHM},
        {"{\"alg\":\"ES256 \"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS512\"}", JWT_ALGORITHM},
        {"{\"alg\":[\"ES256\"]}", JWT_MALFORMED},
        {"{\"alg\":null}", JWT_MALFORMED},
        {"{}", JWT_MALFORMED},
        {"[]", JWT_MALFORMED},
        {"null", JWT_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"ES256\"}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"a\\u006cg\":\"none\"}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\\u0000\"}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":1}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":[\"ec\"]}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"crit\":[]}", JWT_CRITICAL},
        {"{\"alg\":\"ES256\",\"b64\":false}", JWT_CRITICAL},
        {"{\"alg\":\"ES256\"} x", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"x\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[\\\"\"}", JWT_OK},
        {"{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"jku\":\"https://evil.example\"}",
         JWT_OK}, /* not used */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[512], encoded[400];
        jwt_token_t token;
        jwt_verdict_t verdict;

        snprintf(text, sizeof(text), "%s.e30.AAAA", encode(encoded, rows[i].header));
        verdict = jwt_token_read(str(text), LIMIT, &token);
        assert_int_equal(verdict, rows[i].want);
        if (verdict == JWT_OK)
            jwt_token_fini(&token);
    }
}

static void what_is_no_compact_jws_is_malformed(void **state)
{
    static const char *const rows[] = {
        "",
        ".",
        "..",
        "...",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJFUzI1NiJ9.e30",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.AAAA.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.A",
        "eyJhbGciOiJFUzI1NiJ9.e30.AB", /* stray bits: another spelling of "AA" */
        "eyJhbGciOiJFUzI1NiJ9.e30.AA==",
        "eyJhbGciOiJFUzI1NiJ9.e30.AA A",
        "eyJhbGciOiJFUzI1NiJ9.e30.+/AA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA ",
        " eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        "eyJhbGciOiJFUzI1NiJ9\t.e30.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA,eyJhbGciOiJFUzI1NiJ9",
    };
    char longest[2000] = "eyJhbGciOiJFUzI1NiJ9.e30.";
    jwt_token_t token;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(jwt_token_read(str(rows[i]), LIMIT, &token), JWT_MALFORMED);
    assert_int_equal(jwt_token_read(str("eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), 28, &token), JWT_TOO_LONG);
    memset(longest + strlen(longest), 'A', 1366);
    assert_int_equal(jwt_token_read(str(longest), LIMIT, &token), JWT_OK);
    jwt_token_fini(&token);
    strcat(longest, "AA");
    assert_int_equal(jwt_token_read(str(longest), LIMIT, &token), JWT_MALFORMED);
}

/* A JWK that is not what it says, or is too weak, never becomes a key. */
static void keys_that_are_of_no_use_are_skipped(void **state)
{
#define X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
    static const struct {
        const char *jwk;
        uint32_t count, skipped;
    } rows[] = {
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y "}", 1, 0},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y
         ",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]}",
         1, 0},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"alg\":\"RS256\"}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"alg\":\"HS256\"}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"alg\":1}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"use\":\"enc\"}", 0, 0},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"key_ops\":[\"sign\"]}", 0, 0},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"kid\":7}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\"," X "," Y "}", 0, 1},
        {"{\"kty\":\"EC\"," X "," Y "}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X "}", 0, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," X ",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}", 0,
         1}, /* off the curve */
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", 1, 0},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", 0, 1},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR\"}", 0, 1},
        {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}", 1, 0},
        {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\"}", 0, 1}, /* 16 bytes */
        {"{\"kty\":\"oct\",\"k\":\"\"}", 0, 1},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", 0, 1},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", 0, 1},
        {"{\"kty\":\"rsa\"}", 0, 1},
        {"{}", 0, 1},
        {"7", 0, 1},
        {"null", 0, 1},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        jwt_keys_t *keys = key_of(rows[i].jwk);

        assert_int_equal(keys->count, rows[i].count);
        assert_int_equal(keys->skipped, rows[i].skipped);
        jwt_keys_free(keys);
    }
}

static void a_document_that_is_none_is_refused_and_a_huge_one_bounded(void **state)
{
    static const char *const rows[] = {
        "", "x", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} {}"};
    const char *why = NULL;
    char *many = malloc(70 * 100);
    size_t at = (size_t)sprintf(many, "{\"keys\":[");
    jwt_keys_t *keys;

    for (size_t i = 0; i < COUNT(rows); i++) {
        why = NULL;
        assert_null(jwt_keys_read(str(rows[i]), &why));
        assert_non_null(why);
    }
    for (int i = 0; i < 70; i++)
        at += (size_t)sprintf(many + at, "%s{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
                              i > 0 ? "," : "");
    sprintf(many + at, "]}");
    keys = keys_of(many);
    assert_int_equal(keys->count, JWT_KEYS_MAX);
    assert_int_equal(keys->skipped, 6);
    assert_int_equal(judge(keys, ALL, SAMPLE_CONFUSED_N), JWT_SIGNATURE);
    jwt_keys_free(keys);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfcs_verify),
        cmocka_unit_test(tokens_of_another_library_verify_each_by_its_key),
        cmocka_unit_test(nothing_of_a_token_may_be_changed),
        cmocka_unit_test(a_header_is_read_strictly),
        cmocka_unit_test(what_is_no_compact_jws_is_malformed),
        cmocka_unit_test(keys_that_are_of_no_use_are_skipped),
        cmocka_unit_test(a_document_that_is_none_is_refused_and_a_huge_one_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
