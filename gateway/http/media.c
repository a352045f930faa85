/* The media type half of message.h (RFC 9110 8.3 and 12.5.1). */
#include "gateway/http/header.h"
#include "gateway/http/message.h"

static void skip_blanks(sheaf_str_t *rest)
{
    while (rest->len > 0 && (rest->base[0] == ' ' || rest->base[0] == '\t'))
        *rest = sheaf_str(rest->base + 1, rest->len - 1);
}

static bool skip_byte(sheaf_str_t *rest, char byte)
{
    if (rest->len == 0 || rest->base[0] != byte)
        return false;
    *rest = sheaf_str(rest->base + 1, rest->len - 1);
    return true;
}

/* May be empty. */
static sheaf_str_t take_token(sheaf_str_t *rest)
{
    size_t len = 0;

    while (len < rest->len && sheaf_token_lower[(uint8_t)rest->base[len]] != 0)
        len++;
    sheaf_str_t token = {rest->base, len};

    *rest = sheaf_str(rest->base + len, rest->len - len);
    return token;
}

/* Up to a blank or a ';': boundaries with '=', '/' or '(' in them stand unquoted in the field. */
static sheaf_str_t take_word(sheaf_str_t *rest)
{
    size_t len = 0;

    while (len < rest->len && rest->base[len] != ';' && rest->base[len] != ' ' && rest->base[len] != '\t')
        len++;
    sheaf_str_t word = {rest->base, len};

    *rest = sheaf_str(rest->base + len, rest->len - len);
    return word;
}

/* A quoted-string, which begins at `rest`; the text between the quotes, escapes as they are. */
static bool take_quoted(sheaf_str_t *rest, sheaf_str_t *ret_text)
{
    size_t at = 1;

    while (at < rest->len && rest->base[at] != '"')
        at += rest->base[at] == '\\' ? 2 : 1;
    if (at >= rest->len)
        return false;
    *ret_text = sheaf_str(rest->base + 1, at - 1);
    *rest = sheaf_str(rest->base + at + 1, rest->len - at - 1);
    return true;
}

/* Takes `OWS ; OWS name=value` off `rest`; empty parameters ("a/b;;c=d", "a/b;") are allowed (5.6.6) and give an empty
 * name. False when something else stands there. */
static bool take_param(sheaf_str_t *rest, sheaf_str_t *ret_name, sheaf_str_t *ret_value)
{
    skip_blanks(rest);
    if (!skip_byte(rest, ';'))
        return false;
    skip_blanks(rest);
    *ret_name = take_token(rest);
    *ret_value = SHEAF_STR_NONE;
    if (ret_name->len == 0)
        return true;
    if (!skip_byte(rest, '='))
        return false;
    if (rest->len > 0 && rest->base[0] == '"')
        return take_quoted(rest, ret_value);
    *ret_value = sheaf_str_ieq(*ret_name, SHEAF_STR("boundary")) ? take_word(rest) : take_token(rest);
    return ret_value->len > 0;
}

bool sheaf_media_parse(sheaf_str_t value, sheaf_media_t *ret_media)
{
    sheaf_str_t rest = sheaf_str_trim(value), name, text;
    sheaf_media_t media = {.charset = SHEAF_STR_NONE};

    media.type = take_token(&rest);
    if (media.type.len == 0 || !skip_byte(&rest, '/'))
        return false;
    media.subtype = take_token(&rest);
    if (media.subtype.len == 0)
        return false;
    while (rest.len > 0) {
        if (!take_param(&rest, &name, &text))
            return false;
        if (media.charset.base == NULL && sheaf_str_ieq(name, SHEAF_STR("charset")))
            media.charset = text;
    }
    *ret_media = media;
    return true;
}

static sheaf_str_t without_escapes(sheaf_pool_t *pool, sheaf_str_t text)
{
    char *copy;
    size_t len = 0;

    if (text.len == 0 || memchr(text.base, '\\', text.len) == NULL)
        return text;
    copy = sheaf_pool_alloc(pool, text.len);
    for (size_t i = 0; i < text.len; i++) {
        i += text.base[i] == '\\' && i + 1 < text.len;
        copy[len++] = text.base[i];
    }
    return sheaf_str(copy, len);
}

bool sheaf_media_param(sheaf_pool_t *pool, sheaf_str_t value, const char *name, sheaf_str_t *ret_text)
{
    sheaf_str_t rest = sheaf_str_trim(value), found, text;
    sheaf_media_t media;

    if (!sheaf_media_parse(value, &media))
        return false;
    sheaf_str_cut(&rest, '/');
    take_token(&rest);
    while (rest.len > 0 && take_param(&rest, &found, &text)) {
        if (!sheaf_str_ieq(found, sheaf_str_of(name)))
            continue;
        *ret_text = without_escapes(pool, text);
        return true;
    }
    return false;
}

bool sheaf_media_is(const sheaf_media_t *media, const char *type_slash_subtype)
{
    sheaf_str_t subtype = sheaf_str_of(type_slash_subtype);
    sheaf_str_t type = sheaf_str_cut(&subtype, '/');

    return sheaf_str_ieq(media->type, type) && sheaf_str_ieq(media->subtype, subtype);
}

static bool is_ends(sheaf_str_t text, sheaf_str_t suffix)
{
    return text.len >= suffix.len && sheaf_str_ieq(sheaf_str(text.base + text.len - suffix.len, suffix.len), suffix);
}

static sheaf_media_kind_t kind_of(const sheaf_media_t *media)
{
    static const sheaf_str_t texts[] = {
        {"x-www-form-urlencoded", 21}, {"javascript", 10}, {"x-javascript", 12}, {"ecmascript", 10}};
    bool is_text = sheaf_str_ieq(media->type, SHEAF_STR("text"));
    bool is_application = sheaf_str_ieq(media->type, SHEAF_STR("application"));

    if (is_ends(media->subtype, SHEAF_STR("+json")))
        return SHEAF_MEDIA_JSON;
    if (is_ends(media->subtype, SHEAF_STR("+xml")))
        return SHEAF_MEDIA_XML;
    if (!is_text && !is_application)
        return SHEAF_MEDIA_BINARY;
    if (sheaf_str_ieq(media->subtype, SHEAF_STR("json")))
        return SHEAF_MEDIA_JSON;
    if (sheaf_str_ieq(media->subtype, SHEAF_STR("xml")))
        return SHEAF_MEDIA_XML;
    for (size_t i = 0; is_application && i < SHEAF_COUNT(texts); i++) {
        if (sheaf_str_ieq(media->subtype, texts[i]))
            return SHEAF_MEDIA_TEXT;
    }
    return is_text ? SHEAF_MEDIA_TEXT : SHEAF_MEDIA_BINARY;
}

sheaf_media_kind_t sheaf_media_kind(sheaf_str_t content_type)
{
    sheaf_media_t media;

    if (sheaf_str_eq(content_type, SHEAF_STR("application/json"))) /* what nearly every answer says */
        return SHEAF_MEDIA_JSON;
    if (content_type.len == 0 || !sheaf_media_parse(content_type, &media))
        return SHEAF_MEDIA_BINARY;
    if (media.charset.base != NULL && !sheaf_str_ieq(media.charset, SHEAF_STR("utf-8")) &&
        !sheaf_str_ieq(media.charset, SHEAF_STR("us-ascii")))
        return SHEAF_MEDIA_BINARY;
    return kind_of(&media);
}

/* --- Accept --- */

/* Cuts the element before the next comma that stands outside quotes. */
static sheaf_str_t cut_element(sheaf_str_t *rest)
{
    bool is_quoted = false;
    size_t at = 0;

    for (; at < rest->len && (is_quoted || rest->base[at] != ','); at++) {
        if (rest->base[at] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && rest->base[at] == '\\' && at + 1 < rest->len)
            at++;
    }
    sheaf_str_t element = {rest->base, at};

    *rest = at < rest->len ? sheaf_str(rest->base + at + 1, rest->len - at - 1) : SHEAF_STR_NONE;
    return element;
}

/* "1", "0.25", and ".2", which old Java clients send: thousandths; false when it is none. */
static bool read_quality(sheaf_str_t text, uint32_t *ret_quality)
{
    uint32_t quality = 0, weight = 1000;
    bool has_point = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];

        if (c == '.' && !has_point && i <= 1) {
            has_point = true;
            weight = 100;
        } else if (c >= '0' && c <= '9' && weight > 0 && (has_point || i == 0)) {
            quality += (uint32_t)(c - '0') * weight;
            weight = has_point ? weight / 10 : weight;
        } else {
            return false;
        }
    }
    if (text.len == 0 || quality > 1000 || (text.len == 1 && has_point))
        return false;
    *ret_quality = quality;
    return true;
}

/* How closely a range fits: 0 not at all, 1 any, 2 the type, 3 the subtype too. A bare "*" is read as any. Parameters
 * of a range (odata.metadata=minimal) say nothing about our types, which have none, and do not keep it from fitting. */
static uint32_t range_fit(sheaf_str_t *range, sheaf_str_t type, sheaf_str_t subtype)
{
    sheaf_str_t wanted = take_token(range), wanted_sub;
    bool is_any = sheaf_str_eq(wanted, SHEAF_STR("*"));

    if (!skip_byte(range, '/'))
        return is_any ? 1 : 0;
    wanted_sub = take_token(range);
    if (is_any)
        return sheaf_str_eq(wanted_sub, SHEAF_STR("*")) ? 1 : 0;
    if (!sheaf_str_ieq(wanted, type))
        return 0;
    if (sheaf_str_eq(wanted_sub, SHEAF_STR("*")))
        return 2;
    return sheaf_str_ieq(wanted_sub, subtype) ? 3 : 0;
}

/* The first `q` of a range; false when the parameters are broken. */
static bool range_quality(sheaf_str_t params, uint32_t *ret_quality)
{
    sheaf_str_t name, value;
    bool has_quality = false;

    *ret_quality = 1000;
    while (params.len > 0) {
        if (!take_param(&params, &name, &value))
            return false;
        if (has_quality || !sheaf_str_ieq(name, SHEAF_STR("q")))
            continue;
        if (!read_quality(value, ret_quality))
            return false;
        has_quality = true;
    }
    return true;
}

uint32_t sheaf_accept_quality(sheaf_str_t accept, const char *type_slash_subtype)
{
    sheaf_str_t subtype = sheaf_str_of(type_slash_subtype);
    sheaf_str_t type = sheaf_str_cut(&subtype, '/');
    uint32_t best_fit = 0, best = 0;

    if (sheaf_str_trim(accept).len == 0)
        return 1000;
    while (accept.base != NULL) {
        sheaf_str_t range = sheaf_str_trim(cut_element(&accept));
        uint32_t fit = range_fit(&range, type, subtype), quality;

        if (fit == 0 || fit < best_fit || !range_quality(range, &quality))
            continue;
        if (fit > best_fit || quality > best)
            best = quality;
        best_fit = fit;
    }
    return best;
}
