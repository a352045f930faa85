/* Header blocks, one behind the other on one connection: libh2o's decoder and ours see the same fields, their tables
 * stay in step, and a message that is found well-formed holds nothing that could end a line elsewhere.
 * The input is a row of blocks, each behind its length (16 bits, big endian). */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "gateway/front/guard/internal.h"
#include "gateway/front/guard/messages.h"
#include "gateway/front/guard/shadow.h"

#if SHEAF_GUARD_IS_ON

static void insist(bool claim)
{
    if (!claim)
        abort();
}

static bool is_same(h2o_iovec_t a, const uint8_t *base, size_t len)
{
    return a.len == len && (len == 0 || memcmp(a.base, base, len) == 0);
}

/* libh2o keeps some fields elsewhere or not at all; those it lists are the block's, in its order. */
static void compare(nghttp2_hd_inflater *inflater, const h2o_req_t *req, const sheaf_shadow_seen_t *seen,
                    const uint8_t *block, size_t len)
{
    h2o_iovec_t method = req->input.method, path = req->input.path;
    uint32_t hosts = 0, lengths = 0;
    size_t at = 0;
    int flags = 0;

    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, block, len, 1);

        insist(used >= 0);
        block += used;
        len -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
            continue;
        hosts += field.namelen == 4 && memcmp(field.name, "host", 4) == 0;
        lengths += field.namelen == 14 && memcmp(field.name, "content-length", 14) == 0;
        if (field.namelen == 7 && memcmp(field.name, ":method", 7) == 0)
            insist(is_same(method, field.value, field.valuelen));
        if (field.namelen == 5 && memcmp(field.name, ":path", 5) == 0)
            insist(is_same(path, field.value, field.valuelen));
        if (field.namelen == 10 && memcmp(field.name, ":authority", 10) == 0)
            insist(is_same(req->input.authority, field.value, field.valuelen));
        if (at < req->headers.size && is_same(*req->headers.entries[at].name, field.name, field.namelen) &&
            is_same(req->headers.entries[at].value, field.value, field.valuelen))
            at++;
    }
    nghttp2_hd_inflate_end_headers(inflater);
    insist(at == req->headers.size);
    insist(hosts == seen->hosts && lengths == seen->content_lengths);
}

static void look_at_message(h2o_req_t *req)
{
    sheaf_objection_t objection = {SHEAF_OK, NULL};
    size_t cookies = 0;

    if (sheaf_message_is_malformed(req, 4096, &objection)) {
        insist(objection.err != SHEAF_OK && objection.why != NULL);
        return;
    }
    insist(memchr(req->input.path.base, '\n', req->input.path.len) == NULL);
    sheaf_message_join_cookies(req);
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *field = &req->headers.entries[i];

        insist(field->name->len > 0 && memchr(field->name->base, ':', field->name->len) == NULL);
        insist(field->value.len == 0 || (memchr(field->value.base, '\n', field->value.len) == NULL &&
                                         memchr(field->value.base, '\0', field->value.len) == NULL));
        cookies += field->name == &H2O_TOKEN_COOKIE->buf;
    }
    insist(cookies <= 1);
}

/* False: the connection is over. */
static bool read_block(h2o_hpack_header_table_t *table, sheaf_shadow_t *shadow, nghttp2_hd_inflater *third,
                       const uint8_t *block, size_t len)
{
    h2o_req_t req;
    size_t content_length = SIZE_MAX;
    h2o_cache_digests_t *digests = NULL;
    const char *why = NULL;
    sheaf_shadow_seen_t seen;
    int map = 0, status;
    bool goes_on;

    memset(&req, 0, sizeof(req));
    h2o_mem_init_pool(&req.pool);
    goes_on = sheaf_shadow_read(shadow, block, len, &seen);
    status = goes_on ? h2o_hpack_parse_headers(&req, table, block, len, &map, &content_length, &digests, &why) : -1;
    goes_on = goes_on && (status == 0 || status == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR);
    if (goes_on) {
        compare(third, &req, &seen, block, len);
        look_at_message(&req);
    }
    if (digests != NULL)
        h2o_cache_digests_destroy(digests);
    h2o_mem_clear_pool(&req.pool);
    return goes_on;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    h2o_hpack_header_table_t table = {.hpack_capacity = 4096, .hpack_max_capacity = 4096};
    sheaf_shadow_t shadow = {NULL};
    nghttp2_hd_inflater *third;
    bool goes_on = true;

    insist(nghttp2_hd_inflate_new(&third) == 0);
    while (goes_on && size >= 2) {
        size_t len = (size_t)data[0] << 8 | data[1], most = size - 2;
        uint8_t *block;

        len = len < most ? len : most;
        block = malloc(len + 1);
        memcpy(block, data + 2, len);
        goes_on = read_block(&table, &shadow, third, block, len);
        free(block);
        data += 2 + len;
        size -= 2 + len;
    }
    nghttp2_hd_inflate_del(third);
    sheaf_shadow_fini(&shadow);
    h2o_hpack_dispose_header_table(&table);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return 0;
}

#endif
