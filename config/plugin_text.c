#include "config/plugin_text.h"

#define NAME_MAX_BYTES 128

static const char *const texts[] = {
    [SHEAF_P_REQUEST_ID] = "request_id",
    [SHEAF_P_METHOD] = "method",
    [SHEAF_P_PATH] = "path",
    [SHEAF_P_QUERY] = "query",
    [SHEAF_P_TARGET] = "target",
    [SHEAF_P_ROUTE] = "route",
    [SHEAF_P_UPSTREAM_NAME] = "upstream_name",
    [SHEAF_P_ENDPOINT] = "endpoint",
    [SHEAF_P_ITEM_ID] = "item_id",
    [SHEAF_P_CLIENT_IP] = "client_ip",
    [SHEAF_P_PEER_IP] = "peer_ip",
    [SHEAF_P_SCHEME] = "scheme",
    [SHEAF_P_HOST] = "host",
    [SHEAF_P_ERROR] = "error",
    [SHEAF_P_CERTIFICATE] = "certificate",
};

static const char *const numbers[] = {
    [SHEAF_P_STATUS] = "status",         [SHEAF_P_ITEMS] = "items",
    [SHEAF_P_INDEX] = "index",           [SHEAF_P_IS_DIRECT] = "is_direct",
    [SHEAF_P_ELAPSED_US] = "elapsed_us", [SHEAF_P_BYTES_IN] = "bytes_in",
    [SHEAF_P_BYTES_OUT] = "bytes_out",   [SHEAF_P_HTTP_VERSION] = "http_version",
    [SHEAF_P_BODY_BYTES] = "body_bytes", [SHEAF_P_UPSTREAM_ID] = "upstream_id",
    [SHEAF_P_LEFT_MS] = "left_ms",
};

static const struct {
    const char *prefix;
    sheaf_p_part_t part;
} parts[] = {{"header.", SHEAF_P_CLIENT},
             {"question.", SHEAF_P_QUESTION},
             {"result.", SHEAF_P_RESULT},
             {"reply.", SHEAF_P_REPLY}};

static bool find_word(const char *const *words, size_t count, sheaf_str_t name, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!sheaf_str_eq(name, sheaf_str_of(words[i])))
            continue;
        *ret_index = i;
        return true;
    }
    return false;
}

static bool take_prefix(sheaf_str_t *name, const char *prefix)
{
    size_t len = strlen(prefix);

    if (!sheaf_str_starts(*name, sheaf_str_of(prefix)) || name->len == len || name->len > NAME_MAX_BYTES)
        return false;
    *name = sheaf_str(name->base + len, name->len - len);
    return true;
}

static bool name_piece(sheaf_str_t name, sheaf_piece_t *ret_piece)
{
    *ret_piece = (sheaf_piece_t){SHEAF_PIECE_TEXT, name, 0};
    if (find_word(texts, SHEAF_COUNT(texts), name, &ret_piece->what))
        return true;
    ret_piece->kind = SHEAF_PIECE_NUMBER;
    if (find_word(numbers, SHEAF_COUNT(numbers), name, &ret_piece->what))
        return true;
    ret_piece->kind = SHEAF_PIECE_ATTRIBUTE;
    if (take_prefix(&ret_piece->text, "attr."))
        return true;
    ret_piece->kind = SHEAF_PIECE_HEADER;
    for (size_t i = 0; i < SHEAF_COUNT(parts); i++) {
        ret_piece->what = parts[i].part;
        if (take_prefix(&ret_piece->text, parts[i].prefix))
            return true;
    }
    return false;
}

static void skip(sheaf_str_t *text, size_t len)
{
    *text = sheaf_str(text->base + len, text->len - len);
}

static bool take_named(sheaf_str_t *rest, sheaf_piece_t *ret_piece, sheaf_fail_t *fail)
{
    const char *end = memchr(rest->base, '}', rest->len);
    sheaf_str_t name;

    if (end == NULL) {
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "a `${` has no `}`");
        return false;
    }
    name = sheaf_str(rest->base + 2, (size_t)(end - rest->base) - 2);
    if (!name_piece(name, ret_piece)) {
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "`${%.*s}` names nothing that is known",
                   (int)(name.len < 64 ? name.len : 64), name.base);
        return false;
    }
    skip(rest, name.len + 3);
    return true;
}

bool sheaf_plugin_text_next(sheaf_str_t *rest, sheaf_piece_t *ret_piece, sheaf_fail_t *fail)
{
    size_t len = 0;

    if (rest->len == 0)
        return false;
    if (sheaf_str_starts(*rest, SHEAF_STR("$${"))) {
        *ret_piece = (sheaf_piece_t){SHEAF_PIECE_LITERAL, sheaf_str(rest->base + 1, 2), 0};
        skip(rest, 3);
        return true;
    }
    if (sheaf_str_starts(*rest, SHEAF_STR("${")))
        return take_named(rest, ret_piece, fail);
    do
        len++;
    while (len < rest->len && rest->base[len] != '$');
    *ret_piece = (sheaf_piece_t){SHEAF_PIECE_LITERAL, sheaf_str(rest->base, len), 0};
    skip(rest, len);
    return true;
}

sheaf_err_t sheaf_plugin_text_check(sheaf_str_t text, sheaf_fail_t *fail)
{
    sheaf_piece_t piece;

    while (sheaf_plugin_text_next(&text, &piece, fail))
        ;
    return text.len == 0 ? SHEAF_OK : SHEAF_ERR_CONFIG;
}
