#include "gateway/http/policy.h"

static bool is_of_the_body(sheaf_str_t name)
{
    return sheaf_str_eq(name, SHEAF_STR("content-type")) || sheaf_str_eq(name, SHEAF_STR("content-encoding")) ||
           sheaf_str_eq(name, SHEAF_STR("content-length"));
}

static char dashed(char c)
{
    return c == '_' ? '-' : c;
}

/* Are the first `len` bytes the same but for `_` and `-`? */
static bool is_alike(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (dashed(a[i]) != dashed(b[i]))
            return false;
    return true;
}

static bool denies(sheaf_str_t pattern, sheaf_str_t name)
{
    if (pattern.base[pattern.len - 1] == '*')
        return name.len >= pattern.len - 1 && is_alike(name.base, pattern.base, pattern.len - 1);
    return name.len == pattern.len && is_alike(name.base, pattern.base, name.len);
}

static bool allows(sheaf_str_t pattern, sheaf_str_t name)
{
    if (pattern.base[pattern.len - 1] == '*')
        return sheaf_str_starts(name, sheaf_str(pattern.base, pattern.len - 1));
    return sheaf_str_eq(name, pattern);
}

static bool is_allowed(const sheaf_policy_t *policy, sheaf_str_t name)
{
    if (policy->allow == NULL || sheaf_str_eq(name, SHEAF_STR("accept-encoding")))
        return true;
    for (uint32_t i = 0; i < policy->allow_count; i++)
        if (allows(policy->allow[i], name))
            return true;
    return false;
}

static bool is_credential(sheaf_str_t name)
{
    return sheaf_str_eq(name, SHEAF_STR("authorization")) || sheaf_str_eq(name, SHEAF_STR("cookie"));
}

bool sheaf_policy_passes(const sheaf_policy_t *policy, sheaf_str_t name)
{
    if (is_of_the_body(name))
        return true;
    if (policy->drops_credentials && is_credential(name))
        return false;
    for (uint32_t i = 0; i < policy->deny_count; i++)
        if (denies(policy->deny[i], name))
            return false;
    return is_allowed(policy, name);
}

static bool stays(const sheaf_policy_t *policy, const sheaf_headers_t *except, sheaf_str_t name)
{
    return sheaf_policy_passes(policy, name) || (except != NULL && sheaf_headers_find(except, name) != NULL);
}

void sheaf_policy_filter(const sheaf_policy_t *policy, const sheaf_headers_t *except, sheaf_pool_t *pool,
                         sheaf_headers_t *headers)
{
    uint32_t kept = 0;
    sheaf_headers_t left = {0};

    while (kept < headers->count && stays(policy, except, headers->entries[kept].name))
        kept++;
    if (kept == headers->count)
        return;
    for (uint32_t i = 0; i < headers->count; i++)
        if (i < kept || stays(policy, except, headers->entries[i].name))
            sheaf_headers_add(&left, pool, headers->entries[i].name, headers->entries[i].value);
    *headers = left;
}

sheaf_err_t sheaf_policy_check(sheaf_str_t pattern, bool is_denied, sheaf_fail_t *fail)
{
    bool has_star = sheaf_str_ends(pattern, SHEAF_STR("*"));
    sheaf_str_t name = sheaf_str(pattern.base, pattern.len - has_star);
    int shown = (int)(pattern.len < 64 ? pattern.len : 64);

    /* a star may stand in a token, but no name of a field that anybody uses has one */
    if ((name.len == 0 && !has_star) ||
        (name.len > 0 && (!sheaf_header_name_is_valid(name) || memchr(name.base, '*', name.len) != NULL)))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no header name, nor the beginning of one, as x-internal-*",
                          shown, pattern.base);
    if (is_denied && is_of_the_body(pattern))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` always passes: a body cannot be read without it", shown,
                          pattern.base);
    return SHEAF_OK;
}
