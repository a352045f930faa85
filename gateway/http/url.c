#include "gateway/http/url.h"

typedef enum kind {
    KIND_CONTROL = 0,
    KIND_PLAIN, /* may stand in path and query as it is: unreserved, sub-delims, ":" and "@" (RFC 3986 3.3) */
    KIND_SLASH,
    KIND_QUESTION,
    KIND_PERCENT,
    KIND_ENCODE, /* what a browser would percent-encode for its user, and so do we */
    KIND_FRAGMENT,
    KIND_BACKSLASH, /* some servers read it as a slash, so there is no harmless reading */
} kind_t;

static const uint8_t kinds[256] = {
    [' '] = KIND_ENCODE,
    ['!'] = KIND_PLAIN,
    ['"'] = KIND_ENCODE,
    ['#'] = KIND_FRAGMENT,
    ['$'] = KIND_PLAIN,
    ['%'] = KIND_PERCENT,
    ['&' ... '.'] = KIND_PLAIN,
    ['/'] = KIND_SLASH,
    ['0' ... ';'] = KIND_PLAIN,
    ['<'] = KIND_ENCODE,
    ['='] = KIND_PLAIN,
    ['>'] = KIND_ENCODE,
    ['?'] = KIND_QUESTION,
    ['@' ... 'Z'] = KIND_PLAIN,
    ['['] = KIND_ENCODE,
    ['\\'] = KIND_BACKSLASH,
    [']' ... '^'] = KIND_ENCODE,
    ['_'] = KIND_PLAIN,
    ['`'] = KIND_ENCODE,
    ['a' ... 'z'] = KIND_PLAIN,
    ['{' ... '}'] = KIND_ENCODE,
    ['~'] = KIND_PLAIN,
    [0x80 ... 0xff] = KIND_ENCODE,
};

/* What is being written: path bytes from `root` on, or a query. */
typedef struct writer {
    char *root;
    char *segment; /* where the open segment begins: just after a slash */
    char *at;
    uint8_t encoded; /* the byte just written percent-encoded; 0 when the last one was not */
} writer_t;

static sheaf_err_t refuse(sheaf_fail_t *fail, const char *why)
{
    return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "%s", why);
}

/* First bytes of UTF-8 sequences that may be overlong: a slash written as C0 AF or E0 80 AF. */
static bool may_be_overlong(uint8_t byte)
{
    return byte == 0xc0 || byte == 0xc1 || byte == 0xe0 || byte == 0xf0;
}

static bool is_overlong(uint8_t first, uint8_t second)
{
    if (first == 0xc0 || first == 0xc1)
        return second >= 0x80 && second <= 0xbf;
    return (first == 0xe0 && second >= 0x80 && second <= 0x9f) || (first == 0xf0 && second >= 0x80 && second <= 0x8f);
}

/* The byte that the three characters at `at` stand for, or -1. */
static int percent_value(sheaf_str_t text, size_t at)
{
    int high, low;

    if (text.len - at < 3)
        return -1;
    high = sheaf_hex_value(text.base[at + 1]);
    low = sheaf_hex_value(text.base[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* --- the fast way: nearly every url is normalised already, and then nothing is copied --- */

/* True when the triple at `at` stays as it is: upper-case hex, nothing to decode, nothing to refuse. */
static bool percent_is_normal(sheaf_str_t text, size_t at)
{
    int value = percent_value(text, at);

    if (value <= 0 || sheaf_url_is_unreserved((char)value) || may_be_overlong((uint8_t)value))
        return false;
    return text.base[at + 1] < 'a' && text.base[at + 2] < 'a';
}

static bool query_is_normal(sheaf_str_t query)
{
    for (size_t i = 0; i < query.len; i++) {
        uint8_t kind = kinds[(uint8_t)query.base[i]];

        if (kind == KIND_PLAIN || kind == KIND_SLASH || kind == KIND_QUESTION)
            continue;
        if (kind != KIND_PERCENT || !percent_is_normal(query, i))
            return false;
        i += 2;
    }
    return true;
}

static bool read_normal(sheaf_str_t text, sheaf_url_t *ret_url)
{
    bool has_encoded_slash = false;
    size_t at = 1;

    if (text.base[0] != '/' || (text.len > 1 && text.base[1] == '/'))
        return false;
    for (; at < text.len && text.base[at] != '?'; at++) {
        char byte = text.base[at];
        uint8_t kind = kinds[(uint8_t)byte];

        if (kind == KIND_SLASH || (kind == KIND_PLAIN && (byte != '.' || text.base[at - 1] != '/')))
            continue; /* a segment that begins with a dot takes the slow way, whether it is a dot segment or not */
        if (kind != KIND_PERCENT || !percent_is_normal(text, at))
            return false;
        has_encoded_slash |= memcmp(text.base + at, "%2F", 3) == 0 || memcmp(text.base + at, "%5C", 3) == 0;
        at += 2;
    }
    sheaf_str_t query = at < text.len ? sheaf_str(text.base + at + 1, text.len - at - 1) : SHEAF_STR_NONE;

    if (!query_is_normal(query))
        return false;
    *ret_url = (sheaf_url_t){sheaf_str(text.base, at), query, has_encoded_slash};
    return true;
}

/* --- the slow way --- */

static sheaf_err_t put_encoded(writer_t *writer, uint8_t byte, sheaf_fail_t *fail)
{
    static const char digits[] = "0123456789ABCDEF";

    if (byte == 0)
        return refuse(fail, "the url holds a percent-encoded NUL");
    if (is_overlong(writer->encoded, byte))
        return refuse(fail, "the url holds an overlong UTF-8 sequence");

    *writer->at++ = '%';
    *writer->at++ = digits[byte >> 4];
    *writer->at++ = digits[byte & 15];
    writer->encoded = byte;
    return SHEAF_OK;
}

static void put_plain(writer_t *writer, char byte)
{
    *writer->at++ = byte;
    writer->encoded = 0;
}

/* Writes the character at `*at`, which is neither a slash nor the question mark that ends a path, and steps over it. */
static sheaf_err_t put_next(writer_t *writer, sheaf_str_t text, size_t *at, sheaf_fail_t *fail)
{
    char byte = text.base[*at];
    int value;

    switch ((kind_t)kinds[(uint8_t)byte]) {
    case KIND_CONTROL:
        return refuse(fail, "the url holds a control character");
    case KIND_FRAGMENT:
        return refuse(fail, "the url holds a fragment");
    case KIND_BACKSLASH:
        return refuse(fail, "the url holds a backslash");
    case KIND_ENCODE:
        *at += 1;
        return put_encoded(writer, (uint8_t)byte, fail);
    case KIND_PERCENT:
        value = percent_value(text, *at);
        if (value < 0)
            return refuse(fail, "the url holds a malformed percent-encoding");
        *at += 3;
        if (!sheaf_url_is_unreserved((char)value))
            return put_encoded(writer, (uint8_t)value, fail);
        put_plain(writer, (char)value);
        return SHEAF_OK;
    default:
        *at += 1;
        put_plain(writer, byte);
        return SHEAF_OK;
    }
}

/* "..;x": servlet containers cut parameters off before they remove dot segments, and leave the route's prefix. */
static bool is_dots_with_parameters(const writer_t *writer)
{
    sheaf_str_t rest = sheaf_str(writer->segment, (size_t)(writer->at - writer->segment));
    uint32_t dots = 0;

    for (; dots < 2 && sheaf_str_starts(rest, SHEAF_STR(".")); dots++)
        rest = sheaf_str(rest.base + 1, rest.len - 1);
    return dots > 0 && (sheaf_str_starts(rest, SHEAF_STR(";")) || sheaf_str_starts(rest, SHEAF_STR("%3B")));
}

/* Ends the open segment. Dot segments go at once (RFC 3986 5.2.4), so that "/a/../b" never grows beyond its input and
 * the walk back only passes bytes that it removes: linear in all. */
static sheaf_err_t end_segment(writer_t *writer, bool has_slash, sheaf_fail_t *fail)
{
    size_t len = (size_t)(writer->at - writer->segment);
    bool is_dot = len == 1 && writer->segment[0] == '.';
    bool is_dots = len == 2 && memcmp(writer->segment, "..", 2) == 0;

    writer->encoded = 0;
    if (is_dots_with_parameters(writer))
        return refuse(fail, "the url holds a dot segment with parameters");
    if (!is_dot && !is_dots) {
        if (has_slash)
            *writer->at++ = '/';
        writer->segment = writer->at;
        return SHEAF_OK;
    }
    if (is_dots && writer->segment > writer->root + 1) {
        writer->segment--;
        while (writer->segment[-1] != '/')
            writer->segment--;
    }
    writer->at = writer->segment;
    return SHEAF_OK;
}

/* Writes the path in front of `?`, `*at` ends behind it. */
static sheaf_err_t write_path(writer_t *writer, sheaf_str_t text, size_t *at, sheaf_fail_t *fail)
{
    sheaf_err_t err = SHEAF_OK;

    while (err == SHEAF_OK && *at < text.len && text.base[*at] != '?') {
        if (text.base[*at] != '/') {
            err = put_next(writer, text, at, fail);
            continue;
        }
        err = end_segment(writer, true, fail);
        *at += 1;
    }
    if (err == SHEAF_OK)
        err = end_segment(writer, false, fail);
    if (err != SHEAF_OK)
        return err;
    /* "/.//host" and "/a/..//host" end up here: sent as they are, some servers would read a host */
    if (writer->at - writer->root > 1 && writer->root[1] == '/')
        return refuse(fail, "the url's path begins with //");
    return SHEAF_OK;
}

static sheaf_err_t write_query(writer_t *writer, sheaf_str_t text, size_t at, sheaf_fail_t *fail)
{
    sheaf_err_t err = SHEAF_OK;

    writer->encoded = 0;
    while (at < text.len && err == SHEAF_OK)
        err = put_next(writer, text, &at, fail);
    return err;
}

/* RFC 3986 4.2: a colon in the first segment of a relative reference makes it a scheme. */
static bool has_scheme(sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] == ':')
            return true;
        if (text.base[i] == '/' || text.base[i] == '?' || text.base[i] == '#')
            return false;
    }
    return false;
}

/* Bytes that the normalised form takes at most. */
static size_t room_for(sheaf_str_t text, sheaf_str_t base)
{
    size_t room = base.len + text.len;

    for (size_t i = 0; i < text.len; i++)
        room += kinds[(uint8_t)text.base[i]] == KIND_ENCODE ? 2 : 0;
    return room;
}

/* Asked of the finished path: dot segments may have removed one, the base may have brought one. */
static bool holds_encoded_slash(sheaf_str_t path)
{
    return memmem(path.base, path.len, "%2F", 3) != NULL || memmem(path.base, path.len, "%5C", 3) != NULL;
}

static sheaf_err_t rewrite(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t base, sheaf_url_t *ret_url,
                           sheaf_fail_t *fail)
{
    char *bytes = sheaf_pool_alloc(pool, room_for(text, base) + 1);
    bool is_absolute = text.base[0] == '/';
    sheaf_str_t start = is_absolute ? SHEAF_STR("/") : base;
    writer_t writer = {.root = bytes, .segment = bytes + start.len, .at = bytes + start.len};
    size_t at = is_absolute ? 1 : 0;
    sheaf_url_t url = {.query = SHEAF_STR_NONE};
    sheaf_err_t err;

    memcpy(bytes, start.base, start.len);
    err = write_path(&writer, text, &at, fail);
    if (err != SHEAF_OK)
        return err;
    url.path = sheaf_str(bytes, (size_t)(writer.at - bytes));
    if (at < text.len) {
        const char *query = writer.at;

        err = write_query(&writer, text, at + 1, fail);
        if (err != SHEAF_OK)
            return err;
        url.query = sheaf_str(query, (size_t)(writer.at - query));
    }
    url.has_encoded_slash = holds_encoded_slash(url.path);
    *ret_url = url;
    return SHEAF_OK;
}

sheaf_err_t sheaf_url_normalise(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t base, size_t limit_bytes,
                                sheaf_url_t *ret_url, sheaf_fail_t *fail)
{
    if (text.len == 0)
        return refuse(fail, "the url is empty");
    if (text.len > limit_bytes)
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "the url is longer than %zu bytes", limit_bytes);
    if (read_normal(text, ret_url))
        return SHEAF_OK;
    if (text.len > 1 && text.base[0] == '/' && text.base[1] == '/')
        return refuse(fail, "the url begins with //: it may not name a host");
    if (text.base[0] != '/' && has_scheme(text))
        return refuse(fail, "the url is absolute: a path is wanted, not a host");
    return rewrite(pool, text, base, ret_url, fail);
}

/* --- other readings --- */

sheaf_str_t sheaf_url_bare(sheaf_pool_t *pool, sheaf_str_t path)
{
    bool is_parameter = false;
    char *bytes, *at;

    if (memchr(path.base, ';', path.len) == NULL && memmem(path.base, path.len, "//", 2) == NULL)
        return path;
    bytes = at = sheaf_pool_alloc(pool, path.len);
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.base[i];

        is_parameter = byte != '/' && (is_parameter || byte == ';');
        if (!is_parameter && (byte != '/' || at == bytes || at[-1] != '/'))
            *at++ = byte;
    }
    return sheaf_str(bytes, (size_t)(at - bytes));
}

/* Bytes of the slash that `path` has at `at`, as it is or encoded; 0: none. */
static size_t any_slash(sheaf_str_t path, size_t at)
{
    if (path.base[at] == '/')
        return 1;
    if (path.len - at < 3 || (memcmp(path.base + at, "%2F", 3) != 0 && memcmp(path.base + at, "%5C", 3) != 0))
        return 0;
    return 3;
}

static bool is_dot_segment(sheaf_str_t segment)
{
    sheaf_str_t name = sheaf_str_cut(&segment, ';');
    const char *escaped = name.len == 0 ? NULL : memmem(name.base, name.len, "%3B", 3);

    if (escaped != NULL)
        name.len = (size_t)(escaped - name.base);
    return sheaf_str_eq(name, SHEAF_STR(".")) || sheaf_str_eq(name, SHEAF_STR(".."));
}

bool sheaf_url_hides_dots(sheaf_str_t path)
{
    size_t start = 0, slash;

    for (size_t at = 0; at < path.len; at++) {
        slash = any_slash(path, at);
        if (slash == 0)
            continue;
        if (is_dot_segment(sheaf_str(path.base + start, at - start)))
            return true;
        start = at + slash;
        at = start - 1;
    }
    return is_dot_segment(sheaf_str(path.base + start, path.len - start));
}

/* --- the name of a segment --- */

static bool is_dot(sheaf_str_t text, size_t *at)
{
    if (text.base[*at] == '.') {
        *at += 1;
        return true;
    }
    if (*at + 3 > text.len || text.base[*at] != '%' || text.base[*at + 1] != '2' ||
        sheaf_lower(text.base[*at + 2]) != 'e')
        return false;
    *at += 3;
    return true;
}

bool sheaf_url_names_nothing(sheaf_str_t path, size_t at)
{
    size_t start = at, end = at;
    unsigned dots = 0;

    while (start > 0 && path.base[start - 1] != '/')
        start--;
    while (end < path.len && path.base[end] != '/' && path.base[end] != '?')
        end++;
    path.len = end;
    while (start < end && is_dot(path, &start))
        dots++;
    return start == end && dots <= 2;
}
