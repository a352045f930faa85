#include "gateway/http/header.h"

#include "gateway/base/eight.h"

/* RFC 9110 5.6.2: token bytes, each with its lower-case form. */
const char sheaf_token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',   ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',   ['F'] = 'f', ['G'] = 'g',
    ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',   ['N'] = 'n', ['O'] = 'o',
    ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',   ['V'] = 'v', ['W'] = 'w',
    ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',   ['d'] = 'd', ['e'] = 'e',
    ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',   ['l'] = 'l', ['m'] = 'm',
    ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',   ['t'] = 't', ['u'] = 'u',
    ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

void sheaf_headers_add(sheaf_headers_t *headers, sheaf_pool_t *pool, sheaf_str_t name, sheaf_str_t value)
{
    if (headers->count == headers->size) {
        uint32_t size = headers->size > 0 ? headers->size * 2 : 8;
        sheaf_header_t *entries = sheaf_pool_alloc(pool, size * sizeof(*entries));

        if (headers->count > 0)
            memcpy(entries, headers->entries, headers->count * sizeof(*entries));
        headers->entries = entries;
        headers->size = size;
    }
    headers->entries[headers->count++] = (sheaf_header_t){name, value};
}

const sheaf_header_t *sheaf_headers_find(const sheaf_headers_t *headers, sheaf_str_t name)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        if (sheaf_str_eq(headers->entries[i].name, name))
            return &headers->entries[i];
    }
    return NULL;
}

bool sheaf_header_name_is_valid(sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (sheaf_token_lower[(uint8_t)name.base[i]] == 0)
            return false;
    }
    return name.len > 0;
}

static bool is_control(char c)
{
    return ((uint8_t)c < 0x20 && c != '\t') || c == 0x7f;
}

size_t sheaf_header_value_span(const char *bytes, size_t len)
{
    size_t at = 0;

#ifdef __SSE2__
    while (len - at >= 16) {
        __m128i word = sheaf_sixteen_at(bytes + at);
        unsigned controls = sheaf_sixteen_bits(sheaf_sixteen_below(word, 0x20) | sheaf_sixteen_equal(word, 0x7f));

        if (controls == 0) {
            at += 16;
            continue;
        }
        at += (size_t)__builtin_ctz(controls);
        if (is_control(bytes[at]))
            return at;
        at++; /* over a tab */
    }
#endif
    while (len - at >= sizeof(uint64_t)) {
        uint64_t word = sheaf_eight_at(bytes + at);
        uint64_t controls = sheaf_eight_below(word, 0x20) | sheaf_eight_equal(word, 0x7f);

        if (controls == 0) {
            at += sizeof(uint64_t);
            continue;
        }
        at += sheaf_eight_first(controls);
        if (is_control(bytes[at]))
            return at;
        at++; /* over a tab */
    }
    while (at < len && !is_control(bytes[at]))
        at++;
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool sheaf_header_value_is_valid(sheaf_str_t value)
{
    if (value.len == 0)
        return true;
    if (is_blank(value.base[0]) || is_blank(value.base[value.len - 1]))
        return false;
    return sheaf_header_value_span(value.base, value.len) == value.len;
}

sheaf_str_t sheaf_header_lower(sheaf_pool_t *pool, sheaf_str_t name)
{
    size_t at = 0;
    char *lower;

    while (at < name.len && sheaf_lower(name.base[at]) == name.base[at])
        at++;
    if (at == name.len)
        return name;

    lower = sheaf_pool_alloc(pool, name.len);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = sheaf_lower(name.base[i]);
    return sheaf_str(lower, name.len);
}

/* --- classes: a switch on the first byte leaves two or three comparisons of known length --- */

#define IS(name, literal) ((name).len == sizeof(literal) - 1 && memcmp((name).base, literal, sizeof(literal) - 1) == 0)
#define STARTS(name, literal)                                                                                          \
    ((name).len >= sizeof(literal) - 1 && memcmp((name).base, literal, sizeof(literal) - 1) == 0)

/* Names begin with "x" here. Many backends turn `-` and `_` into the same variable name, so both are one to us. */
static unsigned classify_extension(sheaf_str_t name)
{
    static const sheaf_str_t prefixes[] = {
        {"x-forwarded-", 12}, {"x-original-", 11}, {"x-real-ip", 9}, {"x-rewrite-url", 13}, {"x-request-id", 12}};
    char dashed[14];
    size_t len = name.len < sizeof(dashed) ? name.len : sizeof(dashed);

    for (size_t i = 0; i < len; i++)
        dashed[i] = name.base[i] == '_' ? '-' : name.base[i];
    for (size_t i = 0; i < SHEAF_COUNT(prefixes); i++) {
        bool is_open = prefixes[i].base[prefixes[i].len - 1] == '-';

        if (len >= prefixes[i].len && (is_open || name.len == prefixes[i].len) &&
            memcmp(dashed, prefixes[i].base, prefixes[i].len) == 0)
            return SHEAF_HEADER_TRUST;
    }
    return SHEAF_HEADER_END_TO_END;
}

/* What frames a message or ends with the connection is caught in its other spelling too: behind CGI and WSGI both are one
 * variable. `Proxy` would become HTTP_PROXY there (CVE-2016-5385). */
static unsigned classify_alias(sheaf_str_t name)
{
    if (IS(name, "content_length"))
        return SHEAF_HEADER_NOT_INHERITED | SHEAF_HEADER_FRAMING;
    return IS(name, "transfer_encoding") || IS(name, "keep_alive") || IS(name, "http2_settings") || IS(name, "proxy") ||
                   IS(name, "proxy_connection") || IS(name, "proxy_authenticate") || IS(name, "proxy_authorization")
               ? SHEAF_HEADER_HOP_BY_HOP
               : SHEAF_HEADER_END_TO_END;
}

static unsigned classify_content(sheaf_str_t name)
{
    if (IS(name, "content-length"))
        return SHEAF_HEADER_NOT_INHERITED | SHEAF_HEADER_FRAMING | SHEAF_HEADER_NOT_IN_RESULT;
    return SHEAF_HEADER_NOT_INHERITED | (IS(name, "content-location") ? SHEAF_HEADER_PLACE : 0);
}

static unsigned classify_proxy(sheaf_str_t name)
{
    bool is_hop = IS(name, "proxy-connection") || IS(name, "proxy-authenticate") || IS(name, "proxy-authorization");

    return is_hop ? SHEAF_HEADER_HOP_BY_HOP : classify_alias(name);
}

unsigned sheaf_header_classify(sheaf_str_t name)
{
    switch (name.len > 0 ? name.base[0] : 0) {
    case 'a':
        return IS(name, "accept") || IS(name, "accept-encoding") ? SHEAF_HEADER_NOT_INHERITED : 0;
    case 'c':
        if (STARTS(name, "content-"))
            return classify_content(name);
        return IS(name, "connection") ? SHEAF_HEADER_HOP_BY_HOP : classify_alias(name);
    case 'd':
        return IS(name, "date") ? SHEAF_HEADER_NOT_IN_RESULT : 0;
    case 'e':
        return IS(name, "expect") ? SHEAF_HEADER_NOT_INHERITED | SHEAF_HEADER_FRAMING : 0;
    case 'f':
        return IS(name, "forwarded") ? SHEAF_HEADER_TRUST : 0;
    case 'h':
        if (IS(name, "host"))
            return SHEAF_HEADER_NOT_INHERITED | SHEAF_HEADER_FRAMING;
        return IS(name, "http2-settings") ? SHEAF_HEADER_HOP_BY_HOP : classify_alias(name);
    case 'i':
        return STARTS(name, "if-") || IS(name, "idempotency-key") ? SHEAF_HEADER_NOT_INHERITED : 0;
    case 'k':
        return IS(name, "keep-alive") ? SHEAF_HEADER_HOP_BY_HOP : classify_alias(name);
    case 'l':
        return IS(name, "location") ? SHEAF_HEADER_PLACE : 0;
    case 'p':
        if (IS(name, "prefer"))
            return SHEAF_HEADER_NOT_INHERITED;
        return classify_proxy(name);
    case 'r':
        if (IS(name, "refresh"))
            return SHEAF_HEADER_PLACE;
        return IS(name, "range") ? SHEAF_HEADER_NOT_INHERITED : 0;
    case 's':
        if (IS(name, "set-cookie"))
            return SHEAF_HEADER_PLACE;
        return IS(name, "server") ? SHEAF_HEADER_NOT_IN_RESULT : 0;
    case 't':
        if (IS(name, "te") || IS(name, "trailer") || IS(name, "transfer-encoding"))
            return SHEAF_HEADER_HOP_BY_HOP;
        return classify_alias(name);
    case 'u':
        return IS(name, "upgrade") ? SHEAF_HEADER_HOP_BY_HOP : 0;
    case 'v':
        return IS(name, "via") ? SHEAF_HEADER_VIA : 0;
    case 'x':
        return classify_extension(name);
    default:
        return SHEAF_HEADER_END_TO_END;
    }
}

bool sheaf_header_list_has(sheaf_str_t list, sheaf_str_t name)
{
    while (list.base != NULL) {
        if (sheaf_str_ieq(sheaf_str_trim(sheaf_str_cut(&list, ',')), name))
            return true;
    }
    return false;
}

uint32_t sheaf_header_list_count(sheaf_str_t list)
{
    uint32_t count = 0;

    while (list.base != NULL) {
        sheaf_str_cut(&list, ',');
        count++;
    }
    return count;
}
