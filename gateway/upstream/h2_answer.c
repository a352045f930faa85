/* upstream/h2_answer.c - see h2_answer.h. */
#include "gateway/upstream/h2_answer.h"

#include "gateway/upstream/h2.h"

#define FIELD_COST 32 /* RFC 9113 6.5.2 */

void sheaf_h2_block_clear(sheaf_h2_block_t *block)
{
    for (uint32_t i = 0; i < block->held; i++)
        nghttp2_rcbuf_decref(block->bufs[i]);
    block->held = block->count = 0;
}

void sheaf_h2_block_begin(sheaf_h2_block_t *block)
{
    sheaf_h2_block_clear(block);
    block->why = NULL;
    block->size = 0;
    block->status = 0;
    block->has_length = false;
    block->content_length = UINT64_MAX;
}

static sheaf_str_t str_of(nghttp2_rcbuf *buf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(buf);

    return sheaf_str((const char *)vec.base, vec.len);
}

static void hold(sheaf_h2_block_t *block, nghttp2_rcbuf *buf)
{
    nghttp2_rcbuf_incref(buf);
    block->bufs[block->held++] = buf;
}

static const char *take_status(sheaf_h2_block_t *block, sheaf_str_t value)
{
    uint64_t status;

    if (block->status != 0)
        return "more than one :status";
    if (value.len != 3 || !sheaf_str_to_u64(value, &status) || status < 100 || status > 599)
        return "a status outside 100 to 599";
    block->status = (uint16_t)status;
    return NULL;
}

static const char *take_pseudo(sheaf_h2_block_t *block, sheaf_str_t name, sheaf_str_t value)
{
    if (block->count != 0)
        return "a pseudo field behind others";
    if (!sheaf_str_eq(name, SHEAF_STR(":status")))
        return "a pseudo field other than :status";
    return take_status(block, value);
}

static const char *take_length(sheaf_h2_block_t *block, sheaf_str_t value)
{
    if (block->has_length)
        return "more than one Content-Length";
    if (!sheaf_str_to_u64(value, &block->content_length) || block->content_length > INT64_MAX)
        return "a malformed Content-Length";
    block->has_length = true;
    return NULL;
}

static bool is_lower_token(sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (sheaf_token_lower[(uint8_t)name.base[i]] != name.base[i] || name.base[i] == '\0')
            return false;
    }
    return name.len > 0;
}

/* RFC 9113 8.2.2: what belongs to a connection has no place here. Few names are of these lengths. */
static const char *judge_name(sheaf_str_t name)
{
    bool is_of_conn = false;

    if (!is_lower_token(name))
        return "a header name that is no lower-case token";
    switch (name.len) {
    case 7:
        is_of_conn = memcmp(name.base, "upgrade", 7) == 0;
        break;
    case 10:
        is_of_conn = memcmp(name.base, "connection", 10) == 0 || memcmp(name.base, "keep-alive", 10) == 0;
        break;
    case 16:
        is_of_conn = memcmp(name.base, "proxy-connection", 16) == 0;
        break;
    case 17:
        is_of_conn = memcmp(name.base, "transfer-encoding", 17) == 0;
        break;
    default:
        break;
    }
    return is_of_conn ? "a field of HTTP/1 connections" : NULL;
}

static const char *take_field(sheaf_h2_block_t *block, sheaf_str_t name, sheaf_str_t value)
{
    const char *why = judge_name(name);

    if (why != NULL)
        return why;
    if (!sheaf_header_value_is_valid(value))
        return "a header value that holds a control or ends in white space";
    if (block->count == SHEAF_WIRE_MAX_HEADERS)
        return "too many header fields";
    block->headers[block->count++] = (sheaf_header_t){name, value};
    if (name.len == 14 && memcmp(name.base, "content-length", 14) == 0)
        return take_length(block, value);
    return NULL;
}

void sheaf_h2_block_add(sheaf_h2_block_t *block, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    sheaf_str_t name_str = str_of(name), value_str = str_of(value);
    uint32_t before = block->count;

    if (block->why != NULL)
        return;
    block->size += name_str.len + value_str.len + FIELD_COST;
    if (block->size > SHEAF_H2_MAX_HEAD)
        block->why = "the head is larger than 64 KiB";
    else if (name_str.len > 0 && name_str.base[0] == ':')
        block->why = take_pseudo(block, name_str, value_str);
    else
        block->why = take_field(block, name_str, value_str);
    if (block->count == before)
        return;
    hold(block, name);
    hold(block, value);
}

/* RFC 9110 15.2: skipped, but not for ever. */
static const char *take_interim(sheaf_h2_answer_t *answer, const sheaf_h2_block_t *block, bool is_last)
{
    if (block->status == 101)
        return "101 without an upgrade";
    if (is_last)
        return "a 1xx answer and nothing behind it";
    return ++answer->interim_count > SHEAF_H2_MAX_INTERIM ? "too many 1xx answers" : NULL;
}

const char *sheaf_h2_answer_block(sheaf_h2_answer_t *answer, const sheaf_h2_block_t *block, bool is_last,
                                  bool *ret_is_head)
{
    *ret_is_head = false;
    if (block->why != NULL)
        return block->why;
    if (answer->has_head && block->status != 0)
        return "a :status in trailers";
    if (answer->has_head)
        return is_last ? NULL : "trailers that are not the end";
    if (block->status == 0)
        return "an answer without :status";
    if (block->status < 200)
        return take_interim(answer, block, is_last);

    answer->has_head = true;
    answer->has_no_body = answer->was_head || block->status == 204 || block->status == 304;
    answer->content_length = block->content_length;
    *ret_is_head = true;
    return NULL;
}

const char *sheaf_h2_answer_data(sheaf_h2_answer_t *answer, size_t len)
{
    if (!answer->has_head)
        return "a body before its head";
    if (answer->has_no_body)
        return "a body where none may be";
    answer->got += len;
    return answer->got > answer->content_length ? "a body longer than its Content-Length" : NULL;
}

const char *sheaf_h2_answer_end(const sheaf_h2_answer_t *answer)
{
    if (!answer->has_head)
        return "the end before a head";
    if (answer->has_no_body || answer->content_length == UINT64_MAX || answer->got == answer->content_length)
        return NULL;
    return "a body shorter than its Content-Length";
}
