#include "access_log_format.h"

#include <string.h>

static const struct {
    const char *name;
    access_log_kind_t kind;
    uint32_t what;
} variables[] = {
    {"time", ACCESS_LOG_TIME, 0},
    {"kind", ACCESS_LOG_KIND, 0},
    {"url", ACCESS_LOG_URL, 0},
    {"duration_ms", ACCESS_LOG_DURATION_MS, 0},
    {"request_id", ACCESS_LOG_TEXT, SHEAF_P_REQUEST_ID},
    {"method", ACCESS_LOG_TEXT, SHEAF_P_METHOD},
    {"path", ACCESS_LOG_TEXT, SHEAF_P_PATH},
    {"query", ACCESS_LOG_TEXT, SHEAF_P_QUERY},
    {"target", ACCESS_LOG_TEXT, SHEAF_P_TARGET},
    {"route", ACCESS_LOG_TEXT, SHEAF_P_ROUTE},
    {"upstream_name", ACCESS_LOG_TEXT, SHEAF_P_UPSTREAM_NAME},
    {"endpoint", ACCESS_LOG_TEXT, SHEAF_P_ENDPOINT},
    {"item_id", ACCESS_LOG_TEXT, SHEAF_P_ITEM_ID},
    {"client_ip", ACCESS_LOG_TEXT, SHEAF_P_CLIENT_IP},
    {"peer_ip", ACCESS_LOG_TEXT, SHEAF_P_PEER_IP},
    {"scheme", ACCESS_LOG_TEXT, SHEAF_P_SCHEME},
    {"host", ACCESS_LOG_TEXT, SHEAF_P_HOST},
    {"error", ACCESS_LOG_TEXT, SHEAF_P_ERROR},
    {"certificate", ACCESS_LOG_TEXT, SHEAF_P_CERTIFICATE},
    {"status", ACCESS_LOG_NUMBER, SHEAF_P_STATUS},
    {"items", ACCESS_LOG_NUMBER, SHEAF_P_ITEMS},
    {"index", ACCESS_LOG_NUMBER, SHEAF_P_INDEX},
    {"is_direct", ACCESS_LOG_NUMBER, SHEAF_P_IS_DIRECT},
    {"elapsed_us", ACCESS_LOG_NUMBER, SHEAF_P_ELAPSED_US},
    {"bytes_in", ACCESS_LOG_NUMBER, SHEAF_P_BYTES_IN},
    {"bytes_out", ACCESS_LOG_NUMBER, SHEAF_P_BYTES_OUT},
    {"http_version", ACCESS_LOG_HTTP, SHEAF_P_HTTP_VERSION},
    {"body_bytes", ACCESS_LOG_NUMBER, SHEAF_P_BODY_BYTES},
};

static const struct {
    const char *prefix;
    access_log_kind_t kind;
    uint32_t what;
} families[] = {
    {"header.", ACCESS_LOG_HEADER, SHEAF_P_CLIENT},
    {"question.", ACCESS_LOG_HEADER, SHEAF_P_QUESTION},
    {"result.", ACCESS_LOG_HEADER, SHEAF_P_RESULT},
    {"reply.", ACCESS_LOG_HEADER, SHEAF_P_REPLY},
    {"attr.", ACCESS_LOG_ATTRIBUTE, 0},
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

static bool name_copied(const char *base, size_t len, char *ret_name)
{
    if (len == 0 || len >= ACCESS_LOG_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_byte(base[i]))
            return false;
    memcpy(ret_name, base, len);
    ret_name[len] = 0;
    return true;
}

static bool variable_read(const char *base, size_t len, access_log_piece_t *ret_piece)
{
    access_log_piece_t piece = {.literal = {base, len}};

    if (!name_copied(base, len, piece.name))
        return false;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        if (strcmp(piece.name, variables[i].name) != 0)
            continue;
        piece.kind = variables[i].kind;
        piece.what = variables[i].what;
        *ret_piece = piece;
        return true;
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const size_t prefix_len = strlen(families[i].prefix);

        if (strncmp(piece.name, families[i].prefix, prefix_len) != 0 || len == prefix_len)
            continue;
        piece.kind = families[i].kind;
        piece.what = families[i].what;
        *ret_piece = piece;
        return true;
    }
    return false;
}

static access_log_piece_t *next_piece(access_log_format_t *format)
{
    return format->count < ACCESS_LOG_PIECES_MAX ? &format->pieces[format->count++] : NULL;
}

static bool add_literal(access_log_format_t *format, const char *base, size_t len)
{
    access_log_piece_t *piece = len == 0 ? NULL : next_piece(format);

    if (piece != NULL)
        *piece = (access_log_piece_t){.kind = ACCESS_LOG_LITERAL, .literal = {base, len}};
    return len == 0 || piece != NULL;
}

const char *access_log_format_read(sheaf_p_str_t text, access_log_format_t *ret_format)
{
    size_t from = 0;

    ret_format->count = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.base + i, *end;
        access_log_piece_t *piece;

        if ((uint8_t)*at < 0x20)
            return "has a control character in it";
        if (*at != '$' || text.len - i < 2 || at[1] != '{')
            continue;
        end = memchr(at, '}', text.len - i);
        if (i > from && at[-1] == '$') { /* $${: the first one goes, the rest is literal */
            if (!add_literal(ret_format, text.base + from, i - 1 - from))
                return "has more than 64 pieces";
            from = i;
            continue;
        }
        if (!add_literal(ret_format, text.base + from, i - from) || (piece = next_piece(ret_format)) == NULL)
            return "has more than 64 pieces";
        if (end == NULL || !variable_read(at + 2, (size_t)(end - at) - 2, piece))
            return "has a ${...} that is not known; see the page of access_log";
        i = (size_t)(end - text.base);
        from = i + 1;
    }
    return add_literal(ret_format, text.base + from, text.len - from) ? NULL : "has more than 64 pieces";
}

const char *access_log_fields_read(const sheaf_p_str_t *names, uint32_t count, access_log_format_t *ret_format)
{
    if (count > ACCESS_LOG_PIECES_MAX)
        return "are more than 64";
    for (ret_format->count = 0; ret_format->count < count; ret_format->count++)
        if (!variable_read(names[ret_format->count].base, names[ret_format->count].len,
                           &ret_format->pieces[ret_format->count]))
            return "name what is not known; see the page of access_log";
    return NULL;
}

const char *access_log_argument(const access_log_piece_t *piece)
{
    return strchr(piece->name, '.') + 1;
}
