#include "gateway/front/chunked.h"

#include <stdio.h>

#include "gateway/base/error.h"

#define BUFS_MOST 96

typedef struct {
    h2o_ostream_t super;
    char size_line[20];
} framing_t;

static void send_chunk(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
    framing_t *framing = (framing_t *)(void *)self;
    h2o_iovec_t framed[BUFS_MOST];
    size_t len = 0, used = 0;

    SHEAF_ASSERT(count + 3 <= BUFS_MOST);
    for (size_t i = 0; i < count; i++)
        len += bufs[i].len;
    req->bytes_sent += len;
    if (len > 0) {
        framed[used++] = h2o_iovec_init(
            framing->size_line, (size_t)snprintf(framing->size_line, sizeof(framing->size_line), "%zx\r\n", len));
        memcpy(framed + used, bufs, count * sizeof(*bufs));
        used += count;
        framed[used++] = h2o_iovec_init(H2O_STRLIT("\r\n"));
    }
    /* an answer that failed ends without its last chunk: the client must not take it for whole */
    if (state == H2O_SEND_STATE_FINAL)
        framed[used++] = h2o_iovec_init(H2O_STRLIT("0\r\n\r\n"));
    if (used == 0 && count > 0) /* nothing, to get the head on its way */
        framed[used++] = h2o_iovec_init(NULL, 0);
    h2o_ostream_send_next(self, req, framed, used, state);
}

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    framing_t *framing;

    (void)self; /* and no h2o_setup_next_ostream: libh2o's own filter is not wanted */
    if (req->version >= 0x200 || req->res.content_length != SIZE_MAX || req->res.status == 204 ||
        req->res.status == 304 || h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")))
        return;
    if (req->version != 0x101) {
        req->http1_is_persistent = 0; /* HTTP/1.0 knows the end of a body only by the end of the connection */
        return;
    }
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL, H2O_STRLIT("chunked"));
    sheaf_h2o_count_ourselves(req);
    framing = (framing_t *)(void *)sheaf_h2o_add_ostream(req, sizeof(*framing), slot);
    framing->super.do_send = send_chunk;
}

void sheaf_chunked_register(h2o_pathconf_t *path)
{
    h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup_ostream; /* the latest is the first */
}
