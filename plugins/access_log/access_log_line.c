#include "access_log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define VALUE_ROOM (ACCESS_LOG_VALUE_MAX + 1) /* one more than is shown: so it is seen that there is more */

static const char *const secret_headers[] = {"authorization", "proxy-authorization", "cookie",
                                             "set-cookie",    "x-api-key",           "api-key",
                                             "x-auth-token",  "x-access-token"};
static const char *const url_headers[] = {"referer", "location", "content-location"};
static const sheaf_p_str_t secret_queries[] = {
    {"access_token", 12},  {"api_key", 7},   {"api-key", 7},  {"apikey", 6},         {"token", 5},
    {"id_token", 8},       {"jwt", 3},       {"password", 8}, {"refresh_token", 13}, {"secret", 6},
    {"client_secret", 13}, {"signature", 9}, {"sig", 3},      {"code", 4},
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_secret_header(const access_log_secrets_t *secrets, const char *name)
{
    if (is_one_of(name, secret_headers, sizeof(secret_headers) / sizeof(secret_headers[0])))
        return true;
    for (uint32_t i = 0; i < secrets->header_count; i++)
        if (secrets->headers[i].len == strlen(name) && strncasecmp(secrets->headers[i].base, name, strlen(name)) == 0)
            return true;
    return false;
}

/* Twice: what is configured, and what is masked always. */
static sheaf_p_str_t masked(const access_log_secrets_t *secrets, sheaf_p_str_t text, bool is_url, char *buffer)
{
    char half[VALUE_ROOM];
    size_t (*mask)(sheaf_p_str_t, const sheaf_p_str_t *, uint32_t, char *, size_t) =
        is_url ? access_log_mask_url : access_log_mask_query;
    const size_t len =
        mask(text, secret_queries, sizeof(secret_queries) / sizeof(secret_queries[0]), half, sizeof(half));

    return sheaf_p_str(buffer,
                       mask(sheaf_p_str(half, len), secrets->queries, secrets->query_count, buffer, VALUE_ROOM));
}

static bool time_of(const access_log_line_t *line, char *buffer, sheaf_p_str_t *ret)
{
    const time_t now = (time_t)line->api->wall_s(line->worker);
    struct tm tm;

    gmtime_r(&now, &tm);
    *ret = sheaf_p_str(buffer, strftime(buffer, VALUE_ROOM, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return true;
}

static bool kind_of(const access_log_line_t *line, sheaf_p_ref_t ref, sheaf_p_str_t *ret)
{
    int64_t is_direct = 0;

    line->api->number(ref, SHEAF_P_IS_DIRECT, &is_direct);
    *ret = line->is_item ? sheaf_p_str("item", 4) : is_direct ? sheaf_p_str("direct", 6) : sheaf_p_str("request", 7);
    return true;
}

static bool url_of(const access_log_line_t *line, sheaf_p_ref_t ref, char *buffer, sheaf_p_str_t *ret)
{
    char whole[VALUE_ROOM];
    sheaf_p_str_t path, query;
    int len;

    if (line->api->text(ref, SHEAF_P_PATH, &path) != 1)
        return false;
    if (line->api->text(ref, SHEAF_P_QUERY, &query) != 1 || query.len == 0) {
        *ret = path;
        return true;
    }
    len = snprintf(whole, sizeof(whole), "%.*s?%.*s", path.len > VALUE_ROOM ? VALUE_ROOM : (int)path.len, path.base,
                   query.len > VALUE_ROOM ? VALUE_ROOM : (int)query.len, query.base);
    *ret = masked(line->secrets, sheaf_p_str(whole, (size_t)len < sizeof(whole) ? (size_t)len : sizeof(whole) - 1),
                  true, buffer);
    return true;
}

static bool text_of(const access_log_line_t *line, sheaf_p_ref_t ref, uint32_t what, char *buffer, sheaf_p_str_t *ret)
{
    const char *kept = what == SHEAF_P_ROUTE           ? ACCESS_LOG_ROUTE
                       : what == SHEAF_P_UPSTREAM_NAME ? ACCESS_LOG_UPSTREAM
                                                       : NULL;

    if (line->api->text(ref, (sheaf_p_text_t)what, ret) != 1 || ret->len == 0)
        return kept != NULL && line->api->get(ref, kept, ret) == 1;
    if (what == SHEAF_P_QUERY || what == SHEAF_P_TARGET)
        *ret = masked(line->secrets, *ret, what == SHEAF_P_TARGET, buffer);
    return true;
}

static bool header_of(const access_log_line_t *line, sheaf_p_ref_t ref, const access_log_piece_t *piece, char *buffer,
                      sheaf_p_str_t *ret)
{
    const char *name = access_log_argument(piece);

    if (line->api->header(ref, (sheaf_p_part_t)piece->what, name, 0, ret) != 1)
        return false;
    if (is_secret_header(line->secrets, name))
        *ret = sheaf_p_str(ACCESS_LOG_MASK, strlen(ACCESS_LOG_MASK));
    else if (is_one_of(name, url_headers, sizeof(url_headers) / sizeof(url_headers[0])))
        *ret = masked(line->secrets, *ret, true, buffer);
    return true;
}

/* Returns false if there is no such value. Numbers go into the buffer as they are written. */
static bool value_of(const access_log_line_t *line, sheaf_p_ref_t ref, const access_log_piece_t *piece, char *buffer,
                     sheaf_p_str_t *ret)
{
    int64_t number = 0;
    const sheaf_p_number_t what =
        piece->kind == ACCESS_LOG_DURATION_MS ? SHEAF_P_ELAPSED_US : (sheaf_p_number_t)piece->what;

    switch (piece->kind) {
    case ACCESS_LOG_TIME:
        return time_of(line, buffer, ret);
    case ACCESS_LOG_KIND:
        return kind_of(line, ref, ret);
    case ACCESS_LOG_URL:
        return url_of(line, ref, buffer, ret);
    case ACCESS_LOG_TEXT:
        return text_of(line, ref, piece->what, buffer, ret);
    case ACCESS_LOG_HEADER:
        return header_of(line, ref, piece, buffer, ret);
    case ACCESS_LOG_ATTRIBUTE:
        return line->api->get(ref, access_log_argument(piece), ret) == 1;
    default:
        break;
    }
    if (line->api->number(ref, what, &number) != 1)
        return false;
    if (piece->kind == ACCESS_LOG_DURATION_MS)
        *ret = sheaf_p_str(
            buffer, (size_t)snprintf(buffer, VALUE_ROOM, "%" PRId64 ".%03" PRId64, number / 1000, number % 1000));
    else if (piece->kind == ACCESS_LOG_HTTP)
        *ret =
            sheaf_p_str(buffer, (size_t)snprintf(buffer, VALUE_ROOM, "%" PRId64 ".%" PRId64, number / 10, number % 10));
    else
        *ret = sheaf_p_str(buffer, (size_t)snprintf(buffer, VALUE_ROOM, "%" PRId64, number));
    return true;
}

static bool is_number(const access_log_piece_t *piece)
{
    return piece->kind == ACCESS_LOG_NUMBER || piece->kind == ACCESS_LOG_DURATION_MS;
}

/* A member that does not fit is left out whole, so that what stands is JSON. */
static void put_member(access_log_out_t *out, const access_log_piece_t *piece, sheaf_p_str_t value)
{
    const size_t begin = out->len;
    const bool was_cut = out->is_cut;

    out->is_cut = false;
    access_log_put(out, begin > 1 ? ",\"" : "\"", begin > 1 ? 2 : 1);
    access_log_put(out, piece->name, strlen(piece->name));
    access_log_put(out, is_number(piece) ? "\":" : "\":\"", is_number(piece) ? 2 : 3);
    access_log_put_json(out, value);
    if (!is_number(piece))
        access_log_put(out, "\"", 1);
    if (out->is_cut)
        out->len = begin;
    out->is_cut = was_cut || out->is_cut;
}

static void put_piece(const access_log_line_t *line, sheaf_p_ref_t ref, const access_log_piece_t *piece,
                      access_log_out_t *out)
{
    char buffer[VALUE_ROOM];
    sheaf_p_str_t value;
    const bool is_there = value_of(line, ref, piece, buffer, &value);

    if (line->is_json && is_there)
        put_member(out, piece, value);
    else if (!line->is_json && is_there)
        access_log_put_text(out, value);
    else if (!line->is_json)
        access_log_put(out, "-", 1);
}

size_t access_log_line_write(const access_log_line_t *line, sheaf_p_ref_t ref, char *ret_bytes)
{
    static const char cut[] = ",\"cut\":true";
    access_log_out_t out = {.base = ret_bytes, .room = ACCESS_LOG_LINE_MAX - sizeof(cut) - 2};

    if (line->is_json)
        access_log_put(&out, "{", 1);
    for (uint32_t i = 0; i < line->format->count; i++) {
        const access_log_piece_t *piece = &line->format->pieces[i];

        if (piece->kind == ACCESS_LOG_LITERAL)
            access_log_put(&out, piece->literal.base, piece->literal.len);
        else
            put_piece(line, ref, piece, &out);
    }
    out.room = ACCESS_LOG_LINE_MAX;
    if (line->is_json && out.is_cut)
        memcpy(out.base + out.len, cut, sizeof(cut) - 1), out.len += sizeof(cut) - 1;
    if (line->is_json)
        out.base[out.len++] = '}';
    out.base[out.len++] = '\n';
    return out.len;
}
