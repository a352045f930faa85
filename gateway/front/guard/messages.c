#include "gateway/front/guard/messages.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"
#include "gateway/front/guard/shadow.h"
#include "gateway/front/guard/streams.h"
#include "gateway/http/header.h"
#include "gateway/http/hpack.h"
#include "gateway/http/wire.h"

static sheaf_str_t str_of(h2o_iovec_t v)
{
    return sheaf_str(v.base, v.len);
}

static bool is_target(sheaf_str_t path, sheaf_str_t method)
{
    if (sheaf_str_eq(path, SHEAF_STR("*")))
        return sheaf_str_eq(method, SHEAF_STR("OPTIONS"));
    for (size_t i = 0; i < path.len; i++) {
        if (path.base[i] <= ' ' || path.base[i] >= 0x7f || path.base[i] == '#')
            return false;
    }
    return path.len > 0 && path.base[0] == '/';
}

/* RFC 9113 8.2.2: what says how the connection is used has no meaning here. libh2o knows some of them. */
static bool is_of_connection(sheaf_str_t name)
{
    return sheaf_str_eq(name, SHEAF_STR("connection")) || sheaf_str_eq(name, SHEAF_STR("keep-alive")) ||
           sheaf_str_eq(name, SHEAF_STR("proxy-connection")) || sheaf_str_eq(name, SHEAF_STR("transfer-encoding")) ||
           sheaf_str_eq(name, SHEAF_STR("upgrade"));
}

/* Names are lower-case on HTTP/2; what a value may hold is RFC 9113 8.2.1. */
static const char *fault_of_field(sheaf_str_t name, sheaf_str_t value)
{
    if (!sheaf_header_name_is_valid(name))
        return "a header name that is no token";
    for (size_t i = 0; i < name.len; i++) {
        if (name.base[i] >= 'A' && name.base[i] <= 'Z')
            return "a header name in upper case";
    }
    if (is_of_connection(name))
        return "a header field of the connection";
    return sheaf_header_value_is_valid(value) ? NULL : "a header value with a byte that may not be there";
}

static const char *fault_of_head(const h2o_req_t *req)
{
    sheaf_str_t method = str_of(req->input.method), path = str_of(req->input.path),
                authority = str_of(req->input.authority);

    if (!sheaf_header_name_is_valid(method) || method.len > 32)
        return ":method is no token";
    if (sheaf_str_eq(method, SHEAF_STR("CONNECT")))
        return "CONNECT is not for a gateway";
    if (!is_target(path, method))
        return ":path is not a path";
    if (authority.base == NULL)
        return "no :authority";
    return sheaf_wire_host_is_valid(authority) ? NULL : ":authority is not a host";
}

bool sheaf_message_is_malformed(const h2o_req_t *req, size_t size_most, sheaf_objection_t *ret_objection)
{
    size_t size = req->input.path.len + req->input.authority.len;
    const char *why = fault_of_head(req);

    for (size_t i = 0; i < req->headers.size && why == NULL; i++) {
        const h2o_header_t *field = &req->headers.entries[i];

        size += field->name->len + field->value.len;
        why = fault_of_field(str_of(*field->name), str_of(field->value));
    }
    if (why == NULL && size <= size_most)
        return false;
    *ret_objection = why != NULL ? (sheaf_objection_t){SHEAF_ERR_BAD_REQUEST, why}
                                 : (sheaf_objection_t){SHEAF_ERR_HEAD_TOO_LARGE, "a head that is too large"};
    return true;
}

/* Drops every field of `name` but the first. */
static void keep_first(h2o_req_t *req, const h2o_iovec_t *name)
{
    bool is_first = true;
    size_t kept = 0;

    for (size_t i = 0; i < req->headers.size; i++) {
        bool is_one = req->headers.entries[i].name == name;

        if (!is_one || is_first)
            req->headers.entries[kept++] = req->headers.entries[i];
        is_first = is_first && !is_one;
    }
    req->headers.size = kept;
}

void sheaf_message_join_cookies(h2o_req_t *req)
{
    ssize_t first = h2o_find_header(&req->headers, H2O_TOKEN_COOKIE, -1);

    if (first < 0 || h2o_find_header(&req->headers, H2O_TOKEN_COOKIE, first) < 0)
        return;
    req->headers.entries[first].value = sheaf_h2o_join(req, H2O_TOKEN_COOKIE, "; ");
    keep_first(req, &H2O_TOKEN_COOKIE->buf);
}

#if SHEAF_GUARD_IS_ON

typedef int (*parse_t)(h2o_req_t *, h2o_hpack_header_table_t *, const uint8_t *, size_t, int *, size_t *,
                       h2o_cache_digests_t **, const char **);

/* Decoded for the sake of the table, looked at by nobody. Whatever is wrong with them ends the connection. */
static int drop_trailers(parse_t real, h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *block,
                         size_t len, size_t *content_length, h2o_cache_digests_t **digests, const char **err_desc)
{
    size_t before = req->headers.size;
    int status = real(req, table, block, len, NULL, content_length, digests, err_desc);

    req->headers.size = before;
    return status == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR ? H2O_HTTP2_ERROR_PROTOCOL : status;
}

#define NEEDED                                                                                                         \
    (H2O_HPACK_PARSE_HEADERS_METHOD_EXISTS | H2O_HPACK_PARSE_HEADERS_PATH_EXISTS |                                     \
     H2O_HPACK_PARSE_HEADERS_SCHEME_EXISTS)

static h2o_http2_stream_t *stream_of(h2o_req_t *req)
{
    return H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
}

/* libh2o resets the stream of a request that lacks a pseudo-header, or that is one too many. */
static bool will_be_reset(const h2o_req_t *req, int pseudo_headers)
{
    const h2o_http2_conn_t *conn = (const h2o_http2_conn_t *)(const void *)req->conn;

    return (pseudo_headers & NEEDED) != NEEDED ||
           conn->num_streams.pull.open > H2O_HTTP2_SETTINGS_HOST.max_concurrent_streams;
}

/* A request that came after the GOAWAY that said which would be the last: its client knows that it was not taken. */
static bool is_too_late(const sheaf_client_t *client, h2o_req_t *req)
{
    return stream_of(req)->stream_id > client->frames.last_stream;
}

/* libh2o resets what lacks pseudo-headers, with PROTOCOL_ERROR unless frames.c is told otherwise. */
static void refuse(sheaf_client_t *client, h2o_req_t *req, int *pseudo_headers)
{
    sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_LATE, 1);
    sheaf_frames_refuse(&client->frames, stream_of(req)->stream_id, stream_of(req)->_req_body != NULL);
    *pseudo_headers = 0;
}

/* libh2o answers this error with a 400, through the filter that refusal.c has set up. */
static int answer_fault(sheaf_client_t *client, h2o_req_t *req, const char **err_desc)
{
    h2o_http2_stream_t *stream = stream_of(req);

    sheaf_count(
        client->front->env.metrics,
        client->objection.err == SHEAF_ERR_OVERLOADED ? SHEAF_METRIC_REFUSED_MEMORY : SHEAF_METRIC_REFUSED_HTTP2, 1);
    if (stream->_req_body != NULL)
        sheaf_cuts_add(&client->frames.cuts, req, stream->stream_id, SHEAF_ERR_BAD_REQUEST);
    *err_desc = client->objection.why;
    return H2O_HTTP2_ERROR_INVALID_HEADER_CHAR;
}

/* Nothing follows such a head, and libh2o counts no bytes then (RFC 9113 8.1.1). */
static bool lacks_content(h2o_req_t *req)
{
    const h2o_http2_stream_t *stream = stream_of(req);

    return stream->_req_body == NULL && stream->_expected_content_length != SIZE_MAX &&
           stream->_expected_content_length > 0;
}

/* What only the second reader saw. A Host alone is the authority (RFC 9113 8.3.1). */
static const char *fault_of_seen(h2o_req_t *req, const sheaf_shadow_seen_t *seen)
{
    sheaf_str_t host = sheaf_str(seen->host, seen->host_len);

    if (!seen->is_http)
        return ":scheme is neither http nor https";
    if (seen->hosts > 1 || seen->content_lengths > 1)
        return seen->hosts > 1 ? "more than one Host" : "more than one Content-Length";
    if (lacks_content(req))
        return "a Content-Length, and no content";
    if (seen->hosts == 1 && req->input.authority.base == NULL)
        req->input.authority = h2o_strdup(&req->pool, host.base, host.len);
    if (seen->hosts == 1 && !sheaf_str_ieq(host, str_of(req->input.authority)))
        return "a Host that is not :authority";
    return NULL;
}

static int finish(sheaf_client_t *client, h2o_req_t *req, const sheaf_shadow_seen_t *seen, int status,
                  const char **err_desc)
{
    size_t size_most = sheaf_front_limits(client->front)->headers_size_bytes;
    const char *why = fault_of_seen(req, seen);

    if (why != NULL)
        client->objection = (sheaf_objection_t){SHEAF_ERR_BAD_REQUEST, why};
    else if (sheaf_front_memory(client->front) == SHEAF_MEMORY_FULL)
        client->objection = (sheaf_objection_t){SHEAF_ERR_OVERLOADED, SHEAF_FRONT_NO_MEMORY};
    else if (status == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR)
        client->objection = (sheaf_objection_t){SHEAF_ERR_BAD_REQUEST, "a header with a byte that may not be there"};
    else if (!sheaf_message_is_malformed(req, size_most, &client->objection)) {
        sheaf_message_join_cookies(req);
        return 0;
    }
    return answer_fault(client, req, err_desc);
}

SHEAF_GUARD_REPLACES int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *block,
                                                 size_t len, int *pseudo_headers, size_t *content_length,
                                                 h2o_cache_digests_t **digests, const char **err_desc)
{
    static parse_t real;
    sheaf_client_t *client = sheaf_stream_client();
    sheaf_shadow_seen_t seen;
    int status;

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("h2o_hpack_parse_headers");
    sheaf_guard_fired(SHEAF_GUARD_HPACK);
    if (client == NULL)
        return real(req, table, block, len, pseudo_headers, content_length, digests, err_desc);
    if (sheaf_hpack_count(block, len) > sheaf_front_limits(client->front)->headers) {
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_HEADERS, 1);
        *err_desc = "too many header fields";
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    }
    if (!sheaf_shadow_read(&client->shadow, block, len, &seen))
        return H2O_HTTP2_ERROR_COMPRESSION;
    if (pseudo_headers == NULL)
        return drop_trailers(real, req, table, block, len, content_length, digests, err_desc);
    status = real(req, table, block, len, pseudo_headers, content_length, digests, err_desc);
    if (status != 0 && status != H2O_HTTP2_ERROR_INVALID_HEADER_CHAR)
        return status;
    if (is_too_late(client, req))
        refuse(client, req, pseudo_headers);
    if (will_be_reset(req, *pseudo_headers))
        return sheaf_frames_pay(client, 1) ? status : H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    return finish(client, req, &seen, status, err_desc);
}

#endif
