#include "plugins/cache/cache_validate.h"
#include "plugins/cache/cache_date.h"
#include "plugins/cache/cache_text.h"

#include <string.h>

/* Between two hops (RFC 9110 7.6.1), Sheaf's to write, or about one question. */
static const char *const not_kept[] = {"connection",
                                       "keep-alive",
                                       "proxy-connection",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "content-length",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "proxy-authentication-info",
                                       "age",
                                       "cache-status",
                                       "set-cookie",
                                       "set-cookie2",
                                       "x-request-id",
                                       "traceresponse",
                                       "server-timing",
                                       "ratelimit",
                                       "ratelimit-policy",
                                       "retry-after",
                                       "alt-svc",
                                       NULL};
/* What belongs to the body is the stored answer's (3.2). */
static const char *const body_fields[] = {
    "content-encoding", "content-type", "content-range", "content-length", "content-md5", "etag", NULL};

int cache_validate_is_beyond(const cache_head_t *question)
{
    return cache_head_has(question, "range") || cache_head_has(question, "if-range") ||
           cache_head_has(question, "if-match") || cache_head_has(question, "if-unmodified-since");
}

int cache_validate_is_conditional(const cache_head_t *question)
{
    return cache_head_has(question, "if-none-match") || cache_head_has(question, "if-modified-since");
}

/* RFC 9110 8.8.3.2: weak comparison. */
static sheaf_p_str_t opaque(sheaf_p_str_t etag)
{
    if (etag.len > 2 && etag.base[0] == 'W' && etag.base[1] == '/')
        return sheaf_p_str(etag.base + 2, etag.len - 2);
    return etag;
}

static int is_etag(sheaf_p_str_t etag)
{
    etag = opaque(etag);
    return etag.len >= 2 && etag.base[0] == '"' && etag.base[etag.len - 1] == '"';
}

/* Commas may stand in an entity tag, which knows no backslash: so the list is walked tag by tag. */
static int take_etag(sheaf_p_str_t *rest, sheaf_p_str_t *ret_etag)
{
    const char *end;
    size_t skip = 0;

    while (rest->len > 0 && (rest->base[0] == ' ' || rest->base[0] == '\t' || rest->base[0] == ',')) {
        rest->base++;
        rest->len--;
    }
    if (rest->len > 2 && rest->base[0] == 'W' && rest->base[1] == '/')
        skip = 2;
    if (rest->len < skip + 2 || rest->base[skip] != '"')
        return 0;
    end = memchr(rest->base + skip + 1, '"', rest->len - skip - 1);
    if (end == NULL)
        return 0;
    *ret_etag = sheaf_p_str(rest->base, (size_t)(end - rest->base) + 1);
    rest->len -= ret_etag->len;
    rest->base += ret_etag->len;
    return 1;
}

static int matches_any(const cache_head_t *question, sheaf_p_str_t stored)
{
    sheaf_p_str_t value, etag;

    for (uint32_t i = 0; cache_head_find(question, "if-none-match", i, &value); i++) {
        if (cache_text_is(cache_text_trim(value), "*"))
            return 1;
        while (take_etag(&value, &etag))
            if (is_etag(stored) && cache_text_eq(opaque(etag), opaque(stored)))
                return 1;
    }
    return 0;
}

int cache_validate_is_not_modified(const cache_head_t *question, const cache_head_t *stored, int64_t date_s)
{
    int64_t since_s, modified_s = date_s;
    sheaf_p_str_t value;

    cache_head_find(stored, "etag", 0, &value);
    if (cache_head_has(question, "if-none-match"))
        return matches_any(question, cache_text_trim(value));
    if (!cache_head_find(question, "if-modified-since", 0, &value) || !cache_date_read(value, date_s, &since_s))
        return 0;
    if (cache_head_find(stored, "last-modified", 0, &value) && !cache_date_read(value, date_s, &modified_s))
        return 0;
    return modified_s <= since_s;
}

int cache_validate_is_about(const cache_head_t *not_modified, const cache_head_t *stored)
{
    sheaf_p_str_t a, b;

    if (cache_head_find(not_modified, "etag", 0, &a))
        return cache_head_find(stored, "etag", 0, &b) && cache_text_eq(opaque(a), opaque(b));
    if (cache_head_find(not_modified, "last-modified", 0, &a))
        return cache_head_find(stored, "last-modified", 0, &b) && cache_text_eq(a, b);
    return 1;
}

/* 3.1, and RFC 9110 7.6.1: what Connection names is for the next hop alone. */
static int is_named_by_connection(sheaf_p_str_t name, const cache_head_t *answer)
{
    sheaf_p_str_t value, element;
    char lower[128];

    for (uint32_t i = 0; cache_head_find(answer, "connection", i, &value); i++)
        while (cache_text_element(&value, &element)) {
            if (element.len >= sizeof(lower))
                continue;
            memcpy(lower, element.base, element.len);
            lower[element.len] = '\0';
            if (cache_text_is(name, lower))
                return 1;
        }
    return 0;
}

int cache_validate_is_kept(sheaf_p_str_t name, const cache_head_t *answer)
{
    return !cache_text_is_one_of(name, not_kept) && !is_named_by_connection(name, answer);
}

static int is_updated(const char *name, const cache_head_t *not_modified)
{
    sheaf_p_str_t text = {name, strlen(name)};

    return cache_validate_is_kept(text, not_modified) && !cache_text_is_one_of(text, body_fields);
}

/* Adds those of `from` that are of the 304 (`takes_new`), or those it does not replace. */
static int copy_fields(cache_head_t *dst, const cache_head_t *from, const cache_head_t *not_modified, int takes_new)
{
    sheaf_p_str_t value;
    const char *name;
    size_t at = 0;

    while (cache_head_next(from, &at, &name, &value)) {
        int is_new = is_updated(name, not_modified) && cache_head_has(not_modified, name);

        if (is_new == takes_new && cache_head_add(dst, sheaf_p_str(name, strlen(name)), value) != 0)
            return -1;
    }
    return 0;
}

int cache_validate_refresh(cache_head_t *stored, const cache_head_t *not_modified)
{
    cache_head_t head = {0};

    if (copy_fields(&head, stored, not_modified, 0) != 0 || copy_fields(&head, not_modified, not_modified, 1) != 0) {
        cache_head_free(&head);
        return -1;
    }
    cache_head_take(stored, &head);
    return 0;
}
