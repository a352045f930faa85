#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/un.h>

#include "gateway/http/header.h"
#include "gateway/http/template.h"
#include "gateway/http/url.h"

#define PATH_MAX_BYTES 2048
#define HOST_MAX_BYTES 253 /* RFC 1035 2.3.4, without the root dot */

/* --- numbers with units --- */

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit_t;

static const unit_t durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
static const unit_t sizes[] = {{"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};

/* Digits and one of `units`; `*ret_has_unit` is false for digits alone. */
static bool scan_unit(sheaf_str_t text, const unit_t *units, size_t count, uint64_t *ret_value, bool *ret_has_unit)
{
    size_t digits = 0;
    uint64_t number;
    sheaf_str_t tail;

    while (digits < text.len && text.base[digits] >= '0' && text.base[digits] <= '9')
        digits++;
    if (!sheaf_str_to_u64(sheaf_str(text.base, digits), &number))
        return false;
    tail = sheaf_str(text.base + digits, text.len - digits);
    *ret_has_unit = tail.len > 0;
    *ret_value = number;
    if (tail.len == 0)
        return true;
    for (size_t i = 0; i < count; i++)
        if (sheaf_str_eq(tail, sheaf_str_of(units[i].name)))
            return !__builtin_mul_overflow(number, units[i].factor, ret_value);
    return false;
}

static const char *show_unit(uint64_t value, const unit_t *units, size_t count, char buffer[SHEAF_VALUE_SHOWN])
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (value > 0 && value % units[i].factor == 0)
            best = i;
    snprintf(buffer, SHEAF_VALUE_SHOWN, "%" PRIu64 "%s", value / units[best].factor, units[best].name);
    return buffer;
}

const char *sheaf_value_show_duration(uint64_t ms, char buffer[SHEAF_VALUE_SHOWN])
{
    if (ms == 0)
        return memcpy(buffer, "0s", 3);
    return show_unit(ms, durations, SHEAF_COUNT(durations), buffer);
}

const char *sheaf_value_show_size(uint64_t bytes, char buffer[SHEAF_VALUE_SHOWN])
{
    return show_unit(bytes, sizes, SHEAF_COUNT(sizes), buffer);
}

sheaf_err_t sheaf_value_duration(sheaf_str_t text, uint64_t *ret_ms, sheaf_fail_t *fail)
{
    bool has_unit = false;
    uint64_t ms;

    if (!scan_unit(text, durations, SHEAF_COUNT(durations), &ms, &has_unit))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "`%.*s` is no duration: write a whole number and ms, s, m or h, for example 250ms",
                          SHEAF_VALUE_ARG(text));
    if (!has_unit)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the duration `%.*s` has no unit: write ms, s, m or h behind it",
                          SHEAF_VALUE_ARG(text));
    *ret_ms = ms;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_size(sheaf_str_t text, uint64_t *ret_bytes, sheaf_fail_t *fail)
{
    bool has_unit;

    if (scan_unit(text, sizes, SHEAF_COUNT(sizes), ret_bytes, &has_unit))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                      "`%.*s` is no size: write a whole number and B, KiB, MiB or GiB, for example 64KiB",
                      SHEAF_VALUE_ARG(text));
}

sheaf_err_t sheaf_value_percent(sheaf_str_t text, uint64_t *ret_percent, sheaf_fail_t *fail)
{
    static const unit_t percents[] = {{"%", 1}};
    bool has_unit = false;
    uint64_t percent;

    if (!scan_unit(text, percents, 1, &percent, &has_unit) || !has_unit)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "`%.*s` is no percentage: write a whole number and %%, for example 20%%",
                          SHEAF_VALUE_ARG(text));
    *ret_percent = percent;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_number(sheaf_str_t text, uint64_t *ret_value, sheaf_fail_t *fail)
{
    if (sheaf_str_to_u64(text, ret_value))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no whole number", SHEAF_VALUE_ARG(text));
}

sheaf_err_t sheaf_value_bool(sheaf_str_t text, bool *ret_value, sheaf_fail_t *fail)
{
    bool is_true = sheaf_str_eq(text, SHEAF_STR("true"));

    if (!is_true && !sheaf_str_eq(text, SHEAF_STR("false")))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is neither true nor false", SHEAF_VALUE_ARG(text));
    *ret_value = is_true;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_mode(sheaf_str_t text, uint32_t *ret_mode, sheaf_fail_t *fail)
{
    bool is_mode = text.len == 3 || (text.len == 4 && text.base[0] == '0');
    uint32_t mode = 0;

    for (size_t i = 0; i < text.len && is_mode; i++) {
        is_mode = text.base[i] >= '0' && text.base[i] <= '7';
        mode = mode << 3 | (uint32_t)(text.base[i] - '0');
    }
    if (!is_mode || mode == 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "`%.*s` are no permissions: write three octal digits, for example 0660",
                          SHEAF_VALUE_ARG(text));
    *ret_mode = mode;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_workers(sheaf_str_t text, uint64_t max, uint64_t *ret_count, sheaf_fail_t *fail)
{
    cpu_set_t cpus;

    if (!sheaf_str_eq(text, SHEAF_STR("auto"))) {
        if (sheaf_str_to_u64(text, ret_count))
            return SHEAF_OK;
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is neither a whole number nor auto", SHEAF_VALUE_ARG(text));
    }
    *ret_count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint64_t)CPU_COUNT(&cpus) : 1;
    if (*ret_count > max)
        *ret_count = max;
    return SHEAF_OK;
}

/* --- paths, methods --- */

sheaf_err_t sheaf_value_path(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_path, sheaf_fail_t *fail)
{
    sheaf_url_t url;
    sheaf_fail_t why;

    if (text.len == 0 || text.base[0] != '/')
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` must start with `/`", SHEAF_VALUE_ARG(text));
    if (sheaf_url_normalise(pool, text, SHEAF_STR("/"), PATH_MAX_BYTES, &url, &why) != SHEAF_OK)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` cannot be used: %s", SHEAF_VALUE_ARG(text),
                          why.detail);
    if (url.query.base != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` must not have a query", SHEAF_VALUE_ARG(text));
    if (url.has_encoded_slash)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` must not hold an encoded slash",
                          SHEAF_VALUE_ARG(text));
    *ret_path = sheaf_pool_dup(pool, url.path);
    return SHEAF_OK;
}

/* The template as it is matched: its literals as a normalised path has them. */
static sheaf_str_t write_template(sheaf_pool_t *pool, const sheaf_template_t *template)
{
    sheaf_str_t path = SHEAF_STR("");

    for (uint32_t i = 0; i < template->count; i++) {
        sheaf_str_t text = template->segments[i].text;
        bool is_param = template->segments[i].kind == SHEAF_SEGMENT_PARAM;

        path =
            sheaf_pool_printf(pool, is_param ? "%.*s/{%.*s}" : "%.*s/%.*s", SHEAF_STR_ARG(path), SHEAF_STR_ARG(text));
    }
    return path;
}

sheaf_err_t sheaf_value_template(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_path, sheaf_fail_t *fail)
{
    sheaf_template_t template;
    sheaf_fail_t why;

    if (text.len == 0 || text.base[0] != '/' || memchr(text.base, '{', text.len) == NULL)
        return sheaf_value_path(pool, text, ret_path, fail);
    if (text.len > PATH_MAX_BYTES)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path is longer than %d bytes", PATH_MAX_BYTES);
    if (sheaf_template_parse(pool, text, &template, &why) != SHEAF_OK)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` cannot be used: %s", SHEAF_VALUE_ARG(text),
                          why.detail);
    if (template.segments[template.count - 1].kind == SHEAF_SEGMENT_REST)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path `%.*s` cannot be used: a parameter stands for one segment",
                          SHEAF_VALUE_ARG(text));
    *ret_path = write_template(pool, &template);
    return SHEAF_OK;
}

/* tchar, RFC 9110 5.6.2 */
static bool is_token(sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = sheaf_lower(text.base[i]);

        if (c == '\0' || ((c < 'a' || c > 'z') && (c < '0' || c > '9') && strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

sheaf_err_t sheaf_value_method(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_method, sheaf_fail_t *fail)
{
    char *upper;

    if (!is_token(text) || text.len > 32)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no method", SHEAF_VALUE_ARG(text));
    upper = sheaf_pool_alloc(pool, text.len);
    for (size_t i = 0; i < text.len; i++)
        upper[i] = (char)(text.base[i] >= 'a' && text.base[i] <= 'z' ? text.base[i] & ~0x20 : text.base[i]);
    *ret_method = sheaf_str(upper, text.len);
    if (sheaf_str_eq(*ret_method, SHEAF_STR("CONNECT")) || sheaf_str_eq(*ret_method, SHEAF_STR("TRACE")))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "%.*s is never forwarded", SHEAF_STR_ARG(*ret_method));
    return SHEAF_OK;
}

/* --- addresses --- */

static bool is_ip(sheaf_str_t text, bool is_v6)
{
    uint8_t ip[16];

    return sheaf_ip_parse(text, ip) && (memchr(text.base, ':', text.len) != NULL) == is_v6;
}

typedef struct host_port {
    sheaf_str_t host; /* without brackets */
    sheaf_str_t port; /* absent when there is none */
    bool is_bracketed;
} host_port_t;

/* Only cuts; false when brackets are not a pair or something other than a port follows them. */
static bool split_host_port(sheaf_str_t text, host_port_t *ret)
{
    const char *close, *colon;
    size_t after;

    *ret = (host_port_t){.port = SHEAF_STR_NONE};
    if (text.len > 0 && text.base[0] == '[') {
        close = memchr(text.base, ']', text.len);
        if (close == NULL)
            return false;
        ret->is_bracketed = true;
        ret->host = sheaf_str(text.base + 1, (size_t)(close - text.base) - 1);
        after = (size_t)(close - text.base) + 1;
        if (after == text.len)
            return true;
        ret->port = sheaf_str(text.base + after + 1, text.len - after - 1);
        return text.base[after] == ':';
    }
    colon = text.len > 0 ? memrchr(text.base, ':', text.len) : NULL;
    ret->host = sheaf_str(text.base, colon != NULL ? (size_t)(colon - text.base) : text.len);
    if (colon != NULL)
        ret->port = sheaf_str(colon + 1, text.len - ret->host.len - 1);
    return true;
}

static sheaf_err_t read_port(sheaf_str_t text, uint64_t min, uint16_t *ret_port, sheaf_fail_t *fail)
{
    uint64_t port;

    if (!sheaf_str_to_u64(text, &port) || port < min || port > 65535)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the port `%.*s` must be a number between %d and 65535",
                          SHEAF_VALUE_ARG(text), (int)min);
    *ret_port = (uint16_t)port;
    return SHEAF_OK;
}

static sheaf_err_t read_unix(sheaf_pool_t *pool, sheaf_str_t path, sheaf_address_t *ret_address, sheaf_fail_t *fail)
{
    const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

    if (path.len == 0 || path.base[0] != '/')
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path of a unix socket must be absolute: unix:/path");
    if (path.len >= room)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the path of a unix socket must be shorter than %zu bytes", room);
    ret_address->host = sheaf_pool_dup(pool, path);
    ret_address->is_unix = true;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_address(sheaf_pool_t *pool, sheaf_str_t text, sheaf_address_t *ret_address, sheaf_fail_t *fail)
{
    sheaf_address_t address = {.text = sheaf_pool_dup(pool, text)};
    host_port_t cut;
    sheaf_err_t err;

    if (sheaf_str_starts(text, SHEAF_STR("unix:"))) {
        err = read_unix(pool, sheaf_str(text.base + 5, text.len - 5), &address, fail);
    } else if (!split_host_port(text, &cut) || (cut.host.len > 0 && !is_ip(cut.host, cut.is_bracketed))) {
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "`%.*s` is no address: write 127.0.0.1:8080, [::1]:8080, :8080 or unix:/path",
                          SHEAF_VALUE_ARG(text));
    } else if (cut.port.base == NULL) {
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the address `%.*s` has no port", SHEAF_VALUE_ARG(text));
    } else {
        address.host = sheaf_pool_dup(pool, cut.host);
        err = read_port(cut.port, 0, &address.port, fail);
    }
    if (err == SHEAF_OK)
        *ret_address = address;
    return err;
}

sheaf_err_t sheaf_value_cidr(sheaf_str_t text, sheaf_cidr_t *ret_cidr, bool *ret_had_host_bits, sheaf_fail_t *fail)
{
    sheaf_str_t rest = text, ip = sheaf_str_cut(&rest, '/');
    bool is_v4 = ip.len > 0 && memchr(ip.base, ':', ip.len) == NULL;
    uint64_t width = is_v4 ? 32 : 128, bits = width;
    sheaf_cidr_t cidr;

    if (!sheaf_ip_parse(ip, cidr.bytes))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "`%.*s` is no network: write an address or a prefix like 10.0.0.0/8 or fd00::/8",
                          SHEAF_VALUE_ARG(text));
    if (rest.base != NULL && (!sheaf_str_to_u64(rest, &bits) || bits > width))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the prefix length of `%.*s` must be a number between 0 and %d",
                          SHEAF_VALUE_ARG(text), (int)width);
    cidr.bits = (uint8_t)(bits + (128 - width));
    *ret_had_host_bits = false;
    for (uint32_t bit = cidr.bits; bit < 128; bit++) {
        uint8_t mask = (uint8_t)(0x80u >> (bit % 8));

        *ret_had_host_bits |= (cidr.bytes[bit / 8] & mask) != 0;
        cidr.bytes[bit / 8] = (uint8_t)(cidr.bytes[bit / 8] & ~mask);
    }
    *ret_cidr = cidr;
    return SHEAF_OK;
}

/* --- servers --- */

static bool is_host_name(sheaf_str_t host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = sheaf_lower(host.base[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.')
            return false;
        if (c == '.' && (i == 0 || host.base[i - 1] == '.'))
            return false;
    }
    return host.len > 0 && host.len <= HOST_MAX_BYTES;
}

/* A name that is all digits and dots can only be meant as an IPv4 address (WHATWG URL, "ends in a number"). */
static bool is_meant_as_ipv4(sheaf_str_t host)
{
    for (size_t i = 0; i < host.len; i++)
        if ((host.base[i] < '0' || host.base[i] > '9') && host.base[i] != '.')
            return false;
    return true;
}

static sheaf_err_t check_host(const host_port_t *cut, sheaf_str_t text, sheaf_fail_t *fail)
{
    if (cut->is_bracketed ? is_ip(cut->host, true)
                          : is_host_name(cut->host) && (!is_meant_as_ipv4(cut->host) || is_ip(cut->host, false)))
        return SHEAF_OK;
    if (!cut->is_bracketed && cut->host.len > 0 && memchr(cut->host.base, ':', cut->host.len) != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "an IPv6 address stands in brackets: http://[::1]:8080");
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the server `%.*s` has no valid host", SHEAF_VALUE_ARG(text));
}

/* What stands before the authority; `*ret_authority` is what is left. */
static sheaf_err_t cut_scheme(sheaf_str_t text, sheaf_str_t *ret_authority, bool *ret_is_tls, sheaf_fail_t *fail)
{
    size_t scheme;

    *ret_is_tls = sheaf_str_starts(text, SHEAF_STR("https://"));
    scheme = *ret_is_tls ? 8 : 7;
    if (!*ret_is_tls && !sheaf_str_starts(text, SHEAF_STR("http://")))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the server `%.*s` must start with http://, https:// or unix:/",
                          SHEAF_VALUE_ARG(text));
    *ret_authority = sheaf_str(text.base + scheme, text.len - scheme);
    if (memchr(ret_authority->base, '@', ret_authority->len) != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "a server has no user and no password: write http://host:port");
    if (memchr(ret_authority->base, '/', ret_authority->len) != NULL ||
        memchr(ret_authority->base, '?', ret_authority->len) != NULL ||
        memchr(ret_authority->base, '#', ret_authority->len) != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "a server has no path: write http://host:port and give the route a `rewrite`");
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_host(sheaf_str_t text, sheaf_fail_t *fail)
{
    uint8_t ip[16];

    if (sheaf_ip_parse(text, ip) || (is_host_name(text) && !is_meant_as_ipv4(text)))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is neither a host name nor an address", SHEAF_VALUE_ARG(text));
}

/* The path of unix:/path and http://unix:/path; absent for anything else. */
static sheaf_str_t unix_path(sheaf_str_t text)
{
    if (sheaf_str_starts(text, SHEAF_STR("http://")))
        text = sheaf_str(text.base + 7, text.len - 7);
    return sheaf_str_starts(text, SHEAF_STR("unix:/")) ? sheaf_str(text.base + 5, text.len - 5) : SHEAF_STR_NONE;
}

static sheaf_err_t read_unix_server(sheaf_pool_t *pool, sheaf_str_t path, sheaf_server_url_t *ret_server,
                                    sheaf_fail_t *fail)
{
    sheaf_address_t address;
    sheaf_err_t err = read_unix(pool, path, &address, fail);

    if (err == SHEAF_OK)
        *ret_server = (sheaf_server_url_t){.host = address.host, .authority = SHEAF_STR("localhost"), .is_unix = true};
    return err;
}

sheaf_err_t sheaf_value_server(sheaf_pool_t *pool, sheaf_str_t text, sheaf_server_url_t *ret_server, sheaf_fail_t *fail)
{
    sheaf_server_url_t server = {.port = 0};
    sheaf_str_t authority;
    host_port_t cut;
    char *host;

    if (unix_path(text).base != NULL)
        return read_unix_server(pool, unix_path(text), ret_server, fail);
    if (cut_scheme(text, &authority, &server.is_tls, fail) != SHEAF_OK)
        return SHEAF_ERR_CONFIG;
    server.port = server.is_tls ? 443 : 80;
    if (!split_host_port(authority, &cut))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the server `%.*s` has no valid host", SHEAF_VALUE_ARG(text));
    if (check_host(&cut, text, fail) != SHEAF_OK)
        return SHEAF_ERR_CONFIG;
    if (cut.port.base != NULL && read_port(cut.port, 1, &server.port, fail) != SHEAF_OK)
        return SHEAF_ERR_CONFIG;
    host = sheaf_pool_cstr(pool, cut.host); /* names are case-insensitive: one spelling for comparing and for Host */
    for (size_t i = 0; i < cut.host.len; i++)
        host[i] = sheaf_lower(host[i]);
    server.has_port = cut.port.base != NULL;
    server.host = sheaf_str(host, cut.host.len);
    server.authority = sheaf_pool_printf(pool, cut.is_bracketed ? "[%s]" : "%s", host);
    if (server.port != (server.is_tls ? 443 : 80))
        server.authority = sheaf_pool_printf(pool, "%.*s:%u", SHEAF_STR_ARG(server.authority), server.port);
    *ret_server = server;
    return SHEAF_OK;
}

sheaf_err_t sheaf_value_hash(sheaf_pool_t *pool, sheaf_str_t text, sheaf_hash_by_t *ret_hash, sheaf_fail_t *fail)
{
    sheaf_str_t rest = text, word = sheaf_str_cut(&rest, ' '), name = sheaf_str_trim(rest);

    if (rest.base == NULL && sheaf_str_eq(word, SHEAF_STR("path")))
        *ret_hash = (sheaf_hash_by_t){.what = SHEAF_HASH_BY_PATH};
    else if (rest.base == NULL && sheaf_str_eq(word, SHEAF_STR("id")))
        *ret_hash = (sheaf_hash_by_t){.what = SHEAF_HASH_BY_ID};
    else if (sheaf_str_eq(word, SHEAF_STR("header")) && sheaf_header_name_is_valid(name))
        *ret_hash = (sheaf_hash_by_t){SHEAF_HASH_BY_HEADER, sheaf_header_lower(pool, sheaf_pool_dup(pool, name))};
    else
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`hash` must be path, id or header NAME, not `%.*s`",
                          SHEAF_VALUE_ARG(text));
    return SHEAF_OK;
}
