#include "plugins/jwt/jwt_claims.h"

#include <stdio.h>
#include <string.h>

#define TIME_MAX 253402300800.0 /* the year 10000: further is no time */

static bool is_same(sheaf_p_str_t text, const char *base, size_t len)
{
    return text.len == len && memcmp(text.base, base, len) == 0;
}

static bool is_one_of(const json_t *value, const jwt_texts_t *texts)
{
    for (uint32_t i = 0; json_is_string(value) && i < texts->count; i++)
        if (is_same(texts->texts[i], json_string_value(value), json_string_length(value)))
            return true;
    return false;
}

/* --- time --- */

/* A NumericDate: seconds, perhaps with a fraction. */
static bool read_time(const json_t *value, double *ret_s)
{
    if (!json_is_number(value))
        return false;
    *ret_s = json_number_value(value);
    return *ret_s >= -TIME_MAX && *ret_s <= TIME_MAX;
}

static jwt_verdict_t check_expiry(const json_t *claims, const jwt_rules_t *rules, int64_t now_s)
{
    const json_t *exp = json_object_get(claims, "exp");
    double end_s;

    if (exp == NULL)
        return rules->needs_expiry ? JWT_NO_EXPIRY : JWT_OK;
    if (!read_time(exp, &end_s))
        return JWT_MALFORMED;
    return (double)(now_s - rules->leeway_s) < end_s ? JWT_OK : JWT_EXPIRED;
}

/* nbf, and iat: a token from the future was made by a clock that cannot be trusted with exp either. */
static jwt_verdict_t check_begin(const json_t *claims, const char *name, const jwt_rules_t *rules, int64_t now_s)
{
    const json_t *claim = json_object_get(claims, name);
    double begin_s;

    if (claim == NULL)
        return JWT_OK;
    if (!read_time(claim, &begin_s))
        return JWT_MALFORMED;
    return begin_s <= (double)(now_s + rules->leeway_s) ? JWT_OK : JWT_NOT_YET;
}

/* --- who it is from and for --- */

static bool is_audience(const json_t *aud, const jwt_texts_t *audiences)
{
    const json_t *one;
    size_t index;

    if (is_one_of(aud, audiences))
        return true;
    json_array_foreach(aud, index, one) if (is_one_of(one, audiences)) return true;
    return false;
}

static bool has_word(const char *words, size_t len, sheaf_p_str_t word)
{
    const char *end = words + len;

    while (words < end) {
        const char *space = memchr(words, ' ', (size_t)(end - words));
        size_t size = (size_t)((space != NULL ? space : end) - words);

        if (is_same(word, words, size))
            return true;
        words += size + 1;
    }
    return false;
}

/* Words of a text (RFC 8693 4.2), or texts of a list. */
static bool has_scope(const json_t *value, sheaf_p_str_t scope)
{
    const json_t *one;
    size_t index;

    if (json_is_string(value))
        return has_word(json_string_value(value), json_string_length(value), scope);
    json_array_foreach(value, index, one) if (json_is_string(one) && is_same(scope, json_string_value(one),
                                                                             json_string_length(one))) return true;
    return false;
}

static bool has_scopes(const json_t *claims, const jwt_texts_t *scopes)
{
    const json_t *scope = json_object_get(claims, "scope"), *scp = json_object_get(claims, "scp");

    for (uint32_t i = 0; i < scopes->count; i++)
        if (!has_scope(scope, scopes->texts[i]) && !has_scope(scp, scopes->texts[i]))
            return false;
    return true;
}

jwt_verdict_t jwt_claims_check(const json_t *claims, const jwt_rules_t *rules, int64_t now_s)
{
    jwt_verdict_t verdict = check_expiry(claims, rules, now_s);

    if (verdict == JWT_OK)
        verdict = check_begin(claims, "nbf", rules, now_s);
    if (verdict == JWT_OK)
        verdict = check_begin(claims, "iat", rules, now_s);
    if (verdict != JWT_OK)
        return verdict;
    if (rules->issuers.count > 0 && !is_one_of(json_object_get(claims, "iss"), &rules->issuers))
        return JWT_ISSUER;
    if (rules->audiences.count > 0 && !is_audience(json_object_get(claims, "aud"), &rules->audiences))
        return JWT_AUDIENCE;
    return has_scopes(claims, &rules->scopes) ? JWT_OK : JWT_SCOPE;
}

/* --- a claim as a text --- */

typedef struct sheet {
    char *dst;
    size_t len;
    bool is_over;
} sheet_t;

static void put(sheet_t *sheet, const char *bytes, size_t len)
{
    if (len > JWT_CLAIM_MAX - sheet->len) {
        sheet->is_over = true;
        return;
    }
    memcpy(sheet->dst + sheet->len, bytes, len);
    sheet->len += len;
}

static bool put_scalar(sheet_t *sheet, const json_t *value, char separator)
{
    char number[48];

    if (json_is_string(value)) {
        if (separator != '\0' && memchr(json_string_value(value), separator, json_string_length(value)) != NULL)
            return false;
        put(sheet, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        put(sheet, number,
            (size_t)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value)));
    } else if (json_is_real(value)) {
        put(sheet, number, (size_t)snprintf(number, sizeof(number), "%.17g", json_real_value(value)));
    } else if (json_is_boolean(value)) {
        put(sheet, json_is_true(value) ? "true" : "false", json_is_true(value) ? 4 : 5);
    } else {
        return false;
    }
    return true;
}

static bool put_list(sheet_t *sheet, const json_t *list, char separator)
{
    const json_t *one;
    size_t index;

    json_array_foreach(list, index, one)
    {
        if (index > 0)
            put(sheet, &separator, 1);
        if (!put_scalar(sheet, one, separator))
            return false;
    }
    return true;
}

/* One step of a pointer (RFC 6901), through members only; ~1 is '/', ~0 is '~'. */
static const json_t *step(const json_t *from, const char *name, size_t len)
{
    char plain[128];
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        bool is_escape = name[i] == '~' && i + 1 < len && (name[i + 1] == '0' || name[i + 1] == '1');

        if (count == sizeof(plain))
            return NULL;
        plain[count++] = !is_escape ? name[i] : name[i + 1] == '1' ? '/' : '~';
        i += is_escape;
    }
    return json_object_getn(from, plain, count);
}

static const json_t *find(const json_t *claims, sheaf_p_str_t name)
{
    const char *at = name.base, *end = name.base + name.len;

    if (name.len == 0 || *at != '/')
        return json_object_getn(claims, name.base, name.len);
    while (claims != NULL && at < end) {
        const char *slash = memchr(at + 1, '/', (size_t)(end - at - 1));
        const char *stop = slash != NULL ? slash : end;

        claims = step(claims, at + 1, (size_t)(stop - at - 1));
        at = stop;
    }
    return claims;
}

static bool has_controls(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
            return true;
    return false;
}

bool jwt_claims_text(const json_t *claims, sheaf_p_str_t name, char separator, char dst[JWT_CLAIM_MAX], size_t *ret_len)
{
    const json_t *value = find(claims, name);
    sheet_t sheet = {.dst = dst};
    bool is_there = json_is_array(value) ? put_list(&sheet, value, separator) : put_scalar(&sheet, value, '\0');

    if (!is_there || sheet.is_over || has_controls(dst, sheet.len))
        return false;
    *ret_len = sheet.len;
    return true;
}
