#include "gateway/http/relocate.h"

#include "gateway/http/hosts.h"
#include "gateway/http/template.h"

#define ATTRIBUTES_MAX 32 /* of one cookie */

/* --- the way back --- */

typedef struct piece { /* of the match */
    sheaf_template_segment_t segment;
    uint32_t from; /* a parameter: which one of the rewrite's */
} piece_t;

struct sheaf_way_back {
    bool is_blocked;
    bool is_slashed;               /* the match has a trailing slash */
    uint32_t from_count, to_count; /* without an empty last literal, the trailing slash */
    sheaf_template_segment_t *from;
    piece_t *to;
};

static uint32_t count_of(const sheaf_template_t *template)
{
    const sheaf_template_segment_t *last = &template->segments[template->count - 1];

    return template->count - (last->kind == SHEAF_SEGMENT_LITERAL && last->text.len == 0);
}

/* Which parameter of `from` has the name and the kind of `segment`; UINT32_MAX: none. */
static uint32_t find_param(const sheaf_template_t *from, const sheaf_template_segment_t *segment)
{
    uint32_t place = 0;

    for (uint32_t i = 0; i < from->count; i++) {
        if (from->segments[i].kind == SHEAF_SEGMENT_LITERAL)
            continue;
        if (from->segments[i].kind == segment->kind && sheaf_str_eq(from->segments[i].text, segment->text))
            return place;
        place++;
    }
    return UINT32_MAX;
}

sheaf_way_back_t *sheaf_way_back_new(sheaf_pool_t *pool, sheaf_str_t match, sheaf_str_t rewrite)
{
    sheaf_way_back_t *way = sheaf_pool_zalloc(pool, sizeof(*way));
    sheaf_template_t from, to;
    sheaf_fail_t fail;

    if (sheaf_template_parse(pool, rewrite, &from, &fail) != SHEAF_OK ||
        sheaf_template_parse(pool, match, &to, &fail) != SHEAF_OK) {
        way->is_blocked = true;
        return way;
    }
    way->from_count = count_of(&from);
    way->to_count = count_of(&to);
    way->is_slashed = way->to_count < to.count;
    way->from = sheaf_pool_alloc(pool, (way->from_count + 1) * sizeof(*way->from));
    way->to = sheaf_pool_alloc(pool, (way->to_count + 1) * sizeof(*way->to));
    memcpy(way->from, from.segments, way->from_count * sizeof(*way->from));
    for (uint32_t i = 0; i < way->to_count; i++) {
        way->to[i] = (piece_t){to.segments[i], 0};
        if (to.segments[i].kind == SHEAF_SEGMENT_LITERAL)
            continue;
        way->to[i].from = find_param(&from, &to.segments[i]);
        way->is_blocked |= way->to[i].from == UINT32_MAX;
    }
    return way;
}

/* All paths are below "/": there a rewrite means it alone, and not what the backend has beside it. */
static bool is_root(const sheaf_way_back_t *way)
{
    return way->from_count == 0;
}

/* The values of the parameters in `path`; what is left of it begins with a slash or is empty. A rest may lack its slash:
 * "/inner" is the folder that a rewrite to /inner/{rest...} leads into. */
static bool match_path(const sheaf_way_back_t *way, sheaf_str_t path, sheaf_str_t *params, sheaf_str_t *ret_rest)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < way->from_count; i++) {
        const sheaf_template_segment_t *segment = &way->from[i];
        const char *slash;
        sheaf_str_t text;

        if (segment->kind == SHEAF_SEGMENT_REST && path.len == 0) {
            params[count] = *ret_rest = SHEAF_STR("");
            return true;
        }
        if (path.len == 0 || path.base[0] != '/')
            return false;
        path = sheaf_str(path.base + 1, path.len - 1);
        if (segment->kind == SHEAF_SEGMENT_REST) {
            params[count] = path;
            *ret_rest = SHEAF_STR("");
            return true;
        }
        slash = path.len > 0 ? memchr(path.base, '/', path.len) : NULL;
        text = sheaf_str(path.base, slash != NULL ? (size_t)(slash - path.base) : path.len);
        if (segment->kind == SHEAF_SEGMENT_LITERAL ? !sheaf_str_eq(text, segment->text) : text.len == 0)
            return false;
        if (segment->kind == SHEAF_SEGMENT_PARAM)
            params[count++] = text;
        path = sheaf_str(path.base + text.len, path.len - text.len);
    }
    *ret_rest = path;
    if (is_root(way)) {
        *ret_rest = way->is_slashed ? path : SHEAF_STR("");
        return sheaf_str_eq(path, SHEAF_STR("/"));
    }
    return path.len == 0 || path.base[0] == '/';
}

static char *put(char *at, sheaf_str_t text)
{
    if (text.len > 0)
        memcpy(at, text.base, text.len);
    return at + text.len;
}

bool sheaf_way_back_apply(const sheaf_way_back_t *way, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t *ret_path)
{
    sheaf_str_t params[SHEAF_ROUTER_MAX_PARAMS], rest;
    size_t room = 1;
    char *start, *at;

    if (way->is_blocked || !match_path(way, path, params, &rest))
        return false;
    for (uint32_t i = 0; i < way->to_count; i++)
        room += 1 + (way->to[i].segment.kind == SHEAF_SEGMENT_LITERAL ? way->to[i].segment.text.len
                                                                      : params[way->to[i].from].len);
    start = at = sheaf_pool_alloc(pool, room + rest.len);
    for (uint32_t i = 0; i < way->to_count; i++) {
        *at++ = '/';
        at = put(at,
                 way->to[i].segment.kind == SHEAF_SEGMENT_LITERAL ? way->to[i].segment.text : params[way->to[i].from]);
    }
    at = put(at, rest);
    if (at == start)
        *at++ = '/';
    *ret_path = sheaf_str(start, (size_t)(at - start));
    return true;
}

/* --- urls --- */

/* Browsers drop tabs and line breaks and take a backslash for a slash: what holds such is not understood alike by all. */
static bool is_plain(sheaf_str_t url)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.base[i] <= ' ' || url.base[i] == 0x7f || url.base[i] == '\\')
            return false;
    return true;
}

static bool starts_with(sheaf_str_t text, sheaf_str_t lower)
{
    return text.len >= lower.len && sheaf_str_ieq(sheaf_str(text.base, lower.len), lower);
}

/* How many bytes there are before one of `ends`. */
static size_t span(sheaf_str_t text, const char *ends)
{
    size_t len = 0;

    while (len < text.len && strchr(ends, text.base[len]) == NULL)
        len++;
    return len;
}

static sheaf_str_t behind(sheaf_str_t text, size_t len)
{
    return sheaf_str(text.base + len, text.len - len);
}

bool sheaf_relocate_authority(sheaf_str_t authority, char room[256], sheaf_place_t *ret_place)
{
    size_t digits = 0;
    uint64_t port = 0;

    while (digits < authority.len && authority.base[authority.len - 1 - digits] >= '0' &&
           authority.base[authority.len - 1 - digits] <= '9')
        digits++;
    if (digits < authority.len && authority.base[authority.len - 1 - digits] == ':' && digits > 0 &&
        (!sheaf_str_to_u64(behind(authority, authority.len - digits), &port) || port > UINT16_MAX))
        return false;
    if (span(authority, "@") < authority.len || !sheaf_host_fold(authority, room, &ret_place->host))
        return false;
    ret_place->port = (uint32_t)port;
    return true;
}

/* A url in two: what it names before its path, in `room`, and the rest; false when that is not our own. A path alone is, and
 * names nothing. */
static bool cut_authority(const sheaf_view_t *view, sheaf_str_t url, char room[SHEAF_HOST_MAX + 1],
                          sheaf_place_t *ret_place, sheaf_str_t *ret_path)
{
    size_t len;

    *ret_place = (sheaf_place_t){0};
    if (starts_with(url, SHEAF_STR("http://")) || starts_with(url, SHEAF_STR("https://"))) {
        len = span(url, ":");
        ret_place->scheme = len == 5 ? SHEAF_STR("https") : SHEAF_STR("http");
        url = behind(url, len + 3);
    } else if (sheaf_str_starts(url, SHEAF_STR("//")))
        url = behind(url, 2);
    else {
        *ret_path = url;
        return url.len > 0 && url.base[0] == '/';
    }
    len = span(url, "/?#");
    if (!sheaf_relocate_authority(sheaf_str(url.base, len), room, ret_place) || !view->is_own(view->data, ret_place))
        return false;
    *ret_path = behind(url, len);
    return true;
}

static bool has_slash(sheaf_str_t path)
{
    return path.len > 0 && path.base[path.len - 1] == '/';
}

/* The client's path for one of the backend. A folder has got its slash, for the route answers with it: unless another route
 * leads to what the backend named. One that takes slashes away would send its client in circles otherwise. */
static bool turn(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t *ret_path)
{
    sheaf_str_t bare;

    *ret_path = path;
    if (view->way == NULL)
        return true;
    if (!sheaf_way_back_apply(view->way, pool, path, ret_path))
        return false;
    bare = sheaf_str(ret_path->base, ret_path->len - 1);
    if (view->leads != NULL && has_slash(*ret_path) && !has_slash(path) && bare.len > 0 &&
        view->leads(view->data, pool, bare, path))
        *ret_path = bare;
    return true;
}

/* What is written before the path all the same. */
static sheaf_str_t kept_of(const sheaf_view_t *view, sheaf_pool_t *pool, const sheaf_place_t *place,
                           sheaf_str_t written, sheaf_str_t target)
{
    if (view->keeps == NULL || place->scheme.base == NULL)
        return SHEAF_STR("");
    target.len = span(target, "#");
    written = view->keeps(view->data, pool, place, written, target);
    return written.base == NULL ? SHEAF_STR("") : written;
}

bool sheaf_relocate_url(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value)
{
    sheaf_str_t path, tail, made, written, kept;
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t place;
    const char *dot;

    if (!is_plain(value) || !cut_authority(view, value, room, &place, &path))
        return false;
    written = sheaf_str(value.base, value.len - path.len);
    tail = behind(path, span(path, "?#"));
    path.len -= tail.len;
    if (path.len == 0)
        path = SHEAF_STR("/");
    if (!turn(view, pool, path, &made))
        return false;
    /* "//x" would name a host (RFC 3986 4.2) */
    dot = made.len > 1 && made.base[1] == '/' ? "/." : "";
    made = sheaf_pool_printf(pool, "%s%.*s%.*s", dot, SHEAF_STR_ARG(made), SHEAF_STR_ARG(tail));
    kept = kept_of(view, pool, &place, written, made);
    if (kept.len > 0)
        made = sheaf_pool_printf(pool, "%.*s%.*s", SHEAF_STR_ARG(kept), SHEAF_STR_ARG(made));
    if (sheaf_str_eq(made, value))
        return false;
    *ret_value = made;
    return true;
}

/* "5; url=/x", as browsers read it. */
bool sheaf_relocate_refresh(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value)
{
    size_t start = span(value, ";,");
    sheaf_str_t url, made;

    while (start < value.len && strchr("; ,\t", value.base[start]) != NULL)
        start++;
    if (!starts_with(behind(value, start), SHEAF_STR("url")))
        return false;
    start += 3;
    start += span(behind(value, start), "=");
    if (start >= value.len)
        return false;
    start++;
    while (start < value.len && strchr(" \t'\"", value.base[start]) != NULL)
        start++;
    url = behind(value, start);
    url.len = span(url, "'\"");
    if (!sheaf_relocate_url(view, pool, url, &made))
        return false;
    *ret_value = sheaf_pool_printf(pool, "%.*s%.*s%.*s", (int)start, value.base, SHEAF_STR_ARG(made),
                                   SHEAF_STR_ARG(behind(value, start + url.len)));
    return true;
}

/* --- cookies (RFC 6265 5.2) --- */

static bool is_for_backend(const sheaf_view_t *view, sheaf_str_t domain)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_str_t host;

    if (domain.len > 0 && domain.base[0] == '.')
        domain = behind(domain, 1);
    return sheaf_host_fold(domain, room, &host) && view->is_backend(view->data, host);
}

/* A browser sends a cookie of /inner to /inner/x, too, but one of /inner/ not to /inner: the slash is not ours to add. One
 * of "/" is for the whole host wherever its backend has it; below a page it would be lost. */
static bool turn_path(const sheaf_way_back_t *way, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t *ret_path)
{
    if (is_root(way) || path.len == 0 || path.base[0] != '/' || !sheaf_way_back_apply(way, pool, path, ret_path))
        return false;
    if (ret_path->len > 1 && ret_path->base[ret_path->len - 1] == '/' && path.base[path.len - 1] != '/')
        ret_path->len--;
    return true;
}

/* What becomes of one attribute; absent: it goes. */
static sheaf_str_t turn_attribute(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t attribute, bool keeps_path)
{
    sheaf_str_t value = attribute, name = sheaf_str_trim(sheaf_str_cut(&value, '=')), path;

    if (value.base == NULL)
        return attribute;
    value = sheaf_str_trim(value);
    if (sheaf_str_ieq(name, SHEAF_STR("domain")) && is_for_backend(view, value))
        return SHEAF_STR_NONE;
    if (!keeps_path && view->way != NULL && sheaf_str_ieq(name, SHEAF_STR("path")) &&
        turn_path(view->way, pool, value, &path))
        return sheaf_pool_printf(pool, " %.*s=%.*s", SHEAF_STR_ARG(name), SHEAF_STR_ARG(path));
    return attribute;
}

/* Each attribute costs a copy of what stands before it: no cookie has so many, only an attack on us. */
static bool has_many(sheaf_str_t value)
{
    uint32_t count = 0;

    for (size_t i = 0; i < value.len; i++)
        count += value.base[i] == ';';
    return count > ATTRIBUTES_MAX;
}

bool sheaf_relocate_cookie(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t *ret_value)
{
    sheaf_str_t rest = value, made = sheaf_str_cut(&rest, ';');
    bool is_host_only = starts_with(sheaf_str_trim(made), SHEAF_STR("__host-")); /* Path=/ is part of the promise */

    if (has_many(value))
        return false;
    while (rest.base != NULL) {
        sheaf_str_t kept = turn_attribute(view, pool, sheaf_str_cut(&rest, ';'), is_host_only);

        if (kept.base != NULL)
            made = sheaf_pool_printf(pool, "%.*s;%.*s", SHEAF_STR_ARG(made), SHEAF_STR_ARG(kept));
    }
    if (sheaf_str_eq(made, value))
        return false;
    *ret_value = made;
    return true;
}

bool sheaf_relocate(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t name, sheaf_str_t value,
                    sheaf_str_t *ret_value)
{
    if (sheaf_str_eq(name, SHEAF_STR("set-cookie")))
        return sheaf_relocate_cookie(view, pool, value, ret_value);
    if (sheaf_str_eq(name, SHEAF_STR("refresh")))
        return sheaf_relocate_refresh(view, pool, value, ret_value);
    return sheaf_relocate_url(view, pool, value, ret_value);
}
