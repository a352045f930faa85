#include "gateway/http/message.h"

#define METHOD_MAX 32

static bool is_one_of(sheaf_str_t text, const sheaf_str_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sheaf_str_eq(text, words[i]))
            return true;
    }
    return false;
}

bool sheaf_method_is_safe(sheaf_str_t method)
{
    static const sheaf_str_t safe[] = {{"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}};

    return is_one_of(method, safe, SHEAF_COUNT(safe));
}

bool sheaf_method_is_idempotent(sheaf_str_t method)
{
    static const sheaf_str_t idempotent[] = {{"PUT", 3}, {"DELETE", 6}};

    return sheaf_method_is_safe(method) || is_one_of(method, idempotent, SHEAF_COUNT(idempotent));
}

bool sheaf_method_takes_body(sheaf_str_t method)
{
    return !sheaf_str_eq(method, SHEAF_STR("GET")) && !sheaf_str_eq(method, SHEAF_STR("HEAD"));
}

bool sheaf_method_normalise(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_method)
{
    static const sheaf_str_t known[] = {{"GET", 3}, {"POST", 4}, {"PUT", 3}, {"PATCH", 5}, {"DELETE", 6}, {"HEAD", 4}};
    char *upper;

    for (size_t i = 0; i < SHEAF_COUNT(known); i++) {
        if (sheaf_str_ieq(text, known[i])) {
            *ret_method = known[i];
            return true;
        }
    }
    if (text.len == 0 || text.len > METHOD_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] <= ' ' || text.base[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", text.base[i]) != NULL)
            return false;
    }
    upper = sheaf_pool_alloc(pool, text.len);
    for (size_t i = 0; i < text.len; i++)
        upper[i] = text.base[i] >= 'a' && text.base[i] <= 'z' ? (char)(text.base[i] & ~0x20) : text.base[i];
    *ret_method = sheaf_str(upper, text.len);
    return true;
}

/* --- statuses: the IANA registry --- */

static const char *const reasons[600] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [418] = "I'm a teapot",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [499] = "Client Closed Request", /* not registered: nginx's word for what only logs and metrics see */
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [510] = "Not Extended",
    [511] = "Network Authentication Required",
};

const char *sheaf_status_reason(uint16_t status)
{
    return status < SHEAF_COUNT(reasons) && reasons[status] != NULL ? reasons[status] : "Unknown";
}

bool sheaf_status_has_no_body(uint16_t status)
{
    return status < 200 || status == 204 || status == 205 || status == 304;
}
