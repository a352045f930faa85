#include "gateway/front/h2o.h"

#include <string.h>

#define BETWEEN_LEN 2

static size_t joined_len(const h2o_req_t *req, const h2o_token_t *name, size_t *ret_count)
{
    size_t len = 0;

    *ret_count = 0;
    for (ssize_t at = -1; (at = h2o_find_header(&req->headers, name, at)) >= 0; ++*ret_count)
        len += req->headers.entries[at].value.len + BETWEEN_LEN;
    return len;
}

h2o_iovec_t sheaf_h2o_join(h2o_req_t *req, const h2o_token_t *name, const char *between)
{
    size_t count, room = joined_len(req, name, &count);
    h2o_iovec_t joined = {NULL, 0};

    if (count == 1)
        return req->headers.entries[h2o_find_header(&req->headers, name, -1)].value;
    if (count > 0)
        joined.base = sheaf_h2o_alloc(&req->pool, room);
    for (ssize_t at = -1; (at = h2o_find_header(&req->headers, name, at)) >= 0;) {
        h2o_iovec_t value = req->headers.entries[at].value;

        if (joined.len > 0) {
            memcpy(joined.base + joined.len, between, BETWEEN_LEN);
            joined.len += BETWEEN_LEN;
        }
        memcpy(joined.base + joined.len, value.base, value.len);
        joined.len += value.len;
    }
    return joined;
}
