#include "gateway/http/cache_control.h"

#include <stdio.h>

#include "gateway/http/header.h"

#define LONGEST_S 2147483648u /* RFC 9111 1.2.2: more is taken for that */

/* --- reading --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static sheaf_str_t take_token(const char **at, const char *end)
{
    const char *start = *at;

    while (*at < end && sheaf_token_lower[(unsigned char)**at] != 0)
        ++*at;
    return sheaf_str(start, (size_t)(*at - start));
}

/* A quoted string without its quotes; escapes stay, no argument that counts has any. False when it does not end. */
static bool take_quoted(const char **at, const char *end, sheaf_str_t *ret_text)
{
    const char *start = ++*at;

    while (*at < end && **at != '"')
        *at += **at == '\\' && end - *at > 1 ? 2 : 1;
    if (*at >= end)
        return false;
    *ret_text = sheaf_str(start, (size_t)(*at - start));
    ++*at;
    return true;
}

static uint32_t seconds_of(sheaf_str_t text)
{
    uint64_t value;

    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] < '0' || text.base[i] > '9')
            return 0;
    if (text.len > 10)
        return LONGEST_S;
    return !sheaf_str_to_u64(text, &value) ? 0 : value > LONGEST_S ? LONGEST_S : (uint32_t)value;
}

static void shorten(bool *has, uint32_t *lifetime_s, uint32_t to_s)
{
    if (!*has || to_s < *lifetime_s)
        *lifetime_s = to_s;
    *has = true;
}

static void take(sheaf_cache_control_t *control, sheaf_str_t name, sheaf_str_t argument)
{
    control->is_there = true;
    if (sheaf_str_ieq(name, SHEAF_STR("no-store")))
        control->no_store = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("no-cache")))
        control->no_cache = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("private")))
        control->is_private = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("public")))
        control->is_public = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("must-revalidate")))
        control->must_revalidate = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("proxy-revalidate")))
        control->proxy_revalidate = true;
    else if (sheaf_str_ieq(name, SHEAF_STR("max-age")))
        shorten(&control->has_max_age, &control->max_age_s, seconds_of(argument));
    else if (sheaf_str_ieq(name, SHEAF_STR("s-maxage")))
        shorten(&control->has_s_maxage, &control->s_maxage_s, seconds_of(argument));
}

static void skip(const char **at, const char *end, bool commas)
{
    while (*at < end && (is_space(**at) || (commas && **at == ',')))
        ++*at;
}

/* One directive: token, token=token or token="text", and what ends it. */
static bool take_directive(const char **at, const char *end, sheaf_cache_control_t *control)
{
    sheaf_str_t name = take_token(at, end), argument = SHEAF_STR("");

    if (name.len == 0)
        return false;
    if (*at < end && **at == '=') {
        ++*at;
        if (*at < end && **at == '"') {
            if (!take_quoted(at, end, &argument))
                return false;
        } else {
            argument = take_token(at, end);
        }
    }
    take(control, name, argument);
    skip(at, end, false);
    return *at == end || **at == ',';
}

void sheaf_cache_control_read(sheaf_str_t value, sheaf_cache_control_t *control)
{
    const char *at = value.base, *end = value.base + value.len;

    if (value.len == 0)
        return;
    for (skip(&at, end, true); at < end; skip(&at, end, true)) {
        if (take_directive(&at, end, control))
            continue;
        control->is_there = control->no_store = true;
        return;
    }
}

static uint32_t less(uint32_t lifetime_s, uint32_t age_s)
{
    return lifetime_s > age_s ? lifetime_s - age_s : 0;
}

void sheaf_cache_control_age(sheaf_str_t age, sheaf_cache_control_t *control)
{
    uint64_t value;
    uint32_t age_s = sheaf_str_to_u64(age, &value) && value < LONGEST_S ? (uint32_t)value : LONGEST_S;

    control->max_age_s = less(control->max_age_s, age_s);
    control->s_maxage_s = less(control->s_maxage_s, age_s);
}

void sheaf_cache_control_authorize(sheaf_cache_control_t *control)
{
    if (!control->is_public && !control->must_revalidate && !control->has_s_maxage)
        control->is_private = true;
}

void sheaf_cache_control_expire(sheaf_cache_control_t *control)
{
    control->has_max_age = true; /* max_age_s is 0 when there was none */
}

/* --- several --- */

/* For how long a shared cache may take it for fresh; 0 when nothing is said. */
static uint32_t shared_lifetime(const sheaf_cache_control_t *control)
{
    return control->has_s_maxage ? control->s_maxage_s : control->max_age_s;
}

static void join_lifetimes(sheaf_cache_control_t *all, const sheaf_cache_control_t *part)
{
    uint32_t all_s = shared_lifetime(all), part_s = shared_lifetime(part);

    all->has_s_maxage = all->has_s_maxage || part->has_s_maxage;
    all->s_maxage_s = !all->has_s_maxage ? 0 : all_s < part_s ? all_s : part_s;
    /* who names no lifetime has none once another does: max_age_s is 0 then */
    all->max_age_s = all->max_age_s < part->max_age_s ? all->max_age_s : part->max_age_s;
    all->has_max_age = all->has_max_age || part->has_max_age;
}

void sheaf_cache_control_join(sheaf_cache_control_t *all, const sheaf_cache_control_t *part)
{
    if (part == NULL || !part->is_there) {
        all->is_there = all->no_store = true;
        return;
    }
    if (!all->is_there) {
        *all = *part;
        return;
    }
    all->no_store |= part->no_store;
    all->no_cache |= part->no_cache;
    all->is_private |= part->is_private;
    all->is_public &= part->is_public;
    all->must_revalidate |= part->must_revalidate;
    all->proxy_revalidate |= part->proxy_revalidate;
    join_lifetimes(all, part);
}

/* --- writing --- */

static void put(char *dst, size_t *len, bool stands, const char *directive, bool has_seconds, uint32_t seconds)
{
    const char *comma = *len > 0 ? ", " : "";
    size_t room = SHEAF_CACHE_CONTROL_MAX - *len;

    if (stands && has_seconds)
        *len += (size_t)snprintf(dst + *len, room, "%s%s=%u", comma, directive, seconds);
    else if (stands)
        *len += (size_t)snprintf(dst + *len, room, "%s%s", comma, directive);
}

size_t sheaf_cache_control_write(const sheaf_cache_control_t *control, char *dst)
{
    bool is_fresh = !control->no_cache;
    size_t len = 0;

    if (!control->no_store) {
        put(dst, &len, control->no_cache, "no-cache", false, 0);
        put(dst, &len, control->is_private, "private", false, 0);
        put(dst, &len, control->is_public && !control->is_private, "public", false, 0);
        put(dst, &len, control->has_max_age && is_fresh, "max-age", true, control->max_age_s);
        put(dst, &len, control->has_s_maxage && is_fresh && !control->is_private, "s-maxage", true,
            control->s_maxage_s);
        put(dst, &len, control->must_revalidate, "must-revalidate", false, 0);
        put(dst, &len, control->proxy_revalidate && !control->must_revalidate, "proxy-revalidate", false, 0);
    }
    put(dst, &len, len == 0, "no-store", false, 0);
    return len;
}
