#include "plugins/jwt/jwt_token.h"

#include <string.h>
#include <strings.h>

/* The three parts: header, claims, signature. */
static bool split(sheaf_p_str_t text, sheaf_p_str_t parts[3])
{
    const char *first = memchr(text.base, '.', text.len), *end = text.base + text.len;
    const char *second = first != NULL ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
        return false;
    parts[0] = sheaf_p_str(text.base, (size_t)(first - text.base));
    parts[1] = sheaf_p_str(first + 1, (size_t)(second - first - 1));
    parts[2] = sheaf_p_str(second + 1, (size_t)(end - second - 1));
    return true;
}

/* `b64` without `crit` is refused too: who wrote it means that the claims are not base64 (RFC 7797), who ignores it would not. */
static jwt_verdict_t read_header(jwt_token_t *token)
{
    const json_t *alg = json_object_get(token->header, "alg"), *kid = json_object_get(token->header, "kid");

    if (json_object_get(token->header, "crit") != NULL || json_object_get(token->header, "b64") != NULL)
        return JWT_CRITICAL;
    if (!json_is_string(alg) || (kid != NULL && !json_is_string(kid)))
        return JWT_MALFORMED;
    token->alg = jwt_alg_of(json_string_value(alg), json_string_length(alg));
    if (token->alg == 0)
        return JWT_ALGORITHM;
    if (kid != NULL)
        token->kid = sheaf_p_str(json_string_value(kid), json_string_length(kid));
    return JWT_OK;
}

jwt_verdict_t jwt_token_read(sheaf_p_str_t text, size_t limit, jwt_token_t *ret_token)
{
    sheaf_p_str_t parts[3];
    jwt_verdict_t verdict;

    if (text.len > limit)
        return JWT_TOO_LONG;
    if (text.len == 0 || !split(text, parts) || parts[2].len > JWT_SIGNATURE_MAX / 3 * 4 + 2)
        return JWT_MALFORMED;
    ret_token->kid = sheaf_p_str(NULL, 0);
    ret_token->what = sheaf_p_str(text.base, parts[0].len + 1 + parts[1].len);
    ret_token->claims = parts[1];
    if (!jwt_base64_decode(parts[2], ret_token->signature, &ret_token->signature_len))
        return JWT_MALFORMED;
    ret_token->header = jwt_json_decode(parts[0]);
    if (ret_token->header == NULL)
        return JWT_MALFORMED;
    verdict = read_header(ret_token);
    if (verdict != JWT_OK)
        jwt_token_fini(ret_token);
    return verdict;
}

json_t *jwt_token_claims(const jwt_token_t *token)
{
    return jwt_json_decode(token->claims);
}

static sheaf_p_str_t short_type(sheaf_p_str_t typ)
{
    static const char head[] = "application/";
    size_t len = sizeof(head) - 1;

    return typ.len > len && strncasecmp(typ.base, head, len) == 0 ? sheaf_p_str(typ.base + len, typ.len - len) : typ;
}

bool jwt_token_is_typ(const jwt_token_t *token, sheaf_p_str_t typ)
{
    const json_t *own = json_object_get(token->header, "typ");
    sheaf_p_str_t a, b = short_type(typ);

    if (!json_is_string(own))
        return false;
    a = short_type(sheaf_p_str(json_string_value(own), json_string_length(own)));
    return a.len == b.len && strncasecmp(a.base, b.base, a.len) == 0;
}

void jwt_token_fini(jwt_token_t *token)
{
    json_decref(token->header);
    token->header = NULL;
}
