/* upstream/h2_request.c - how a request goes out over HTTP/2 (RFC 9113 8.3.1); see h2.h. */
#include <stdlib.h>

#include "gateway/upstream/h2_inside.h"

#define FIELDS_NEARLY 64 /* requests with fewer fields need no allocation */

static ssize_t on_body_wanted(nghttp2_session *session, int32_t id, uint8_t *dst, size_t room, uint32_t *flags,
                              nghttp2_data_source *source, void *data)
{
    sheaf_h2_t *h2 = data;
    sheaf_h2_stream_t *stream = sheaf_h2_find(h2, id);
    size_t len;

    (void)session;
    (void)source;
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    len = stream->body.len < room ? stream->body.len : room;
    memcpy(dst, stream->body.base, len);
    stream->body = sheaf_str(stream->body.base + len, stream->body.len - len);
    if (stream->body.len == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    sheaf_h2_earn(h2, SHEAF_H2_FRAMES_A_HEAD); /* window updates come back for it */
    return (ssize_t)len;
}

/* The session copies neither names nor values: it writes them when the request goes out, and never when it was cancelled
 * before. */
static nghttp2_nv field(sheaf_str_t name, sheaf_str_t value)
{
    return (nghttp2_nv){.name = (uint8_t *)name.base,
                        .namelen = name.len,
                        .value = (uint8_t *)(value.base != NULL ? value.base : ""),
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static size_t put_fields(nghttp2_nv *dst, const sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < headers->count; i++)
        dst[i] = field(headers->entries[i].name, headers->entries[i].value);
    return headers->count;
}

static size_t field_room(const sheaf_exchange_t *exchange)
{
    return 6 + exchange->headers.count + (exchange->shared != NULL ? exchange->shared->list.count : 0);
}

/* `length` has room for 20 digits, `request_id` for SHEAF_REQUEST_ID_ROOM; both are copied. */
static size_t write_fields(const sheaf_h2_t *h2, const sheaf_exchange_t *exchange, nghttp2_nv *fields, char *length,
                           char *request_id)
{
    size_t count = 0;

    fields[count++] = field(SHEAF_STR(":method"), exchange->method);
    fields[count++] = field(SHEAF_STR(":scheme"), h2->setup.scheme);
    fields[count++] =
        field(SHEAF_STR(":authority"), exchange->host.base != NULL ? exchange->host : h2->setup.authority);
    fields[count++] = field(SHEAF_STR(":path"), exchange->target);
    count += put_fields(fields + count, &exchange->headers);
    if (exchange->shared != NULL)
        count += put_fields(fields + count, &exchange->shared->list);
    if (exchange->request_id.base != NULL) {
        fields[count] =
            field(SHEAF_STR("x-request-id"), sheaf_str(request_id, sheaf_exchange_write_id(exchange, request_id)));
        fields[count++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    if (exchange->has_body) {
        fields[count] =
            field(SHEAF_STR("content-length"), sheaf_str(length, sheaf_u64_to_dec(exchange->body.len, length)));
        fields[count++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
    return count;
}

int32_t sheaf_h2_request(sheaf_h2_t *h2, const sheaf_exchange_t *exchange, sheaf_h2_stream_t *stream)
{
    nghttp2_data_provider body = {.read_callback = on_body_wanted};
    nghttp2_nv near[FIELDS_NEARLY], *fields = near;
    size_t room = field_room(exchange), count;
    char length[20], request_id[SHEAF_REQUEST_ID_ROOM];
    int32_t id;

    if (room > FIELDS_NEARLY)
        fields = sheaf_alloc(room * sizeof(*fields));
    count = write_fields(h2, exchange, fields, length, request_id);
    id = nghttp2_submit_request(h2->session, NULL, fields, count, stream->body.len != 0 ? &body : NULL, stream);
    if (fields != near)
        free(fields);
    return id;
}
