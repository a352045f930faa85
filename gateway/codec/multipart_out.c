/* codec/multipart_out.c - results as multipart/mixed, one application/http part each (OData 4.01 11.7.4).
 *
 * Strict, because its readers cut by hand: CRLF only, nothing before the first delimiter, no empty reason, no head
 * without a field, a body even where it is empty. The boundaries come from a nonce that no backend can guess, so they
 * are not in any body and nothing has to be looked through. */
#include "gateway/batch/forwarded.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/href.h"
#include "gateway/codec/pen.h"
#include "gateway/codec/text.h"

#define BATCH_PREFIX "batchresponse_" /* neither is the beginning of the other */
#define SET_PREFIX   "changesetresponse_"
#define NONCE_DIGITS 32

typedef struct state {
    char batch[sizeof(BATCH_PREFIX) + NONCE_DIGITS]; /* the boundaries */
    char set[sizeof(SET_PREFIX) + NONCE_DIGITS];
    char content_type[sizeof("multipart/mixed; boundary=" BATCH_PREFIX) + NONCE_DIGITS];
    uint32_t open_set;
    bool is_over; /* the batch has stopped: nothing that follows was processed */
} state_t;

static size_t expected_len(const sheaf_item_t *item)
{
    size_t len = 256 + item->label.len;

    for (uint32_t i = 0; i < item->answer.count; i++)
        len += item->answer.entries[i].name.len + item->answer.entries[i].value.len + 4;
    return item->body != NULL && item->body->len < 1024 ? len + item->body->len : len;
}

/* --- header fields --- */

/* Names whose usual form is not Word-Word. */
static sheaf_str_t usual_name(sheaf_str_t name)
{
    static const struct {
        sheaf_str_t lower, usual;
    } names[] = {
        {{"etag", 4}, {"ETag", 4}},
        {{"www-authenticate", 16}, {"WWW-Authenticate", 16}},
        {{"odata-version", 13}, {"OData-Version", 13}},
        {{"odata-entityid", 14}, {"OData-EntityId", 14}},
        {{"dataserviceversion", 18}, {"DataServiceVersion", 18}},
    };

    for (size_t i = 0; i < SHEAF_COUNT(names); i++)
        if (sheaf_str_eq(names[i].lower, name))
            return names[i].usual;
    return SHEAF_STR_NONE;
}

static void put_name(sheaf_pen_t *pen, sheaf_str_t name)
{
    sheaf_str_t usual = usual_name(name);

    if (usual.base != NULL)
        sheaf_pen_put(pen, usual);
    else
        sheaf_pen_field_name(pen, name);
}

static void put_headers(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    for (uint32_t i = 0; i < item->answer.count; i++) {
        put_name(pen, item->answer.entries[i].name);
        SHEAF_PEN(pen, ": ");
        sheaf_pen_put(pen, item->answer.entries[i].value);
        SHEAF_PEN(pen, "\r\n");
    }
}

/* A 204 has no Content-Length (RFC 9110 8.6), and that of a body which is not shown would be wrong for readers that trust
 * it. But a head must hold a field: then it is the one that a gateway may always add. */
static void put_length(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    bool has_body = sheaf_text_is_there(item);

    if (!has_body &&
        (sheaf_status_has_no_body(item->status) || sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD")))) {
        if (item->answer.count == 0)
            SHEAF_PEN(pen, "Via: 1.1 " SHEAF_PSEUDONYM "\r\n");
        return;
    }
    SHEAF_PEN(pen, "Content-Length: ");
    sheaf_pen_u64(pen, has_body ? item->body->len : 0);
    SHEAF_PEN(pen, "\r\n");
}

/* `<x>` is answered `<response-x>` (Google), a bare one echoed (OData). Who did not write multipart has ids. */
static void put_content_id(sheaf_pen_t *pen, const sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_str_t label = item->label;

    if (!encode->batch->is_multipart)
        label = sheaf_href_encode(item->pool, item->id, SHEAF_HREF_NAME);
    if (label.len == 0)
        return;
    SHEAF_PEN(pen, "Content-ID: ");
    if (label.len >= 2 && label.base[0] == '<' && label.base[label.len - 1] == '>') {
        SHEAF_PEN(pen, "<response-");
        label = sheaf_str(label.base + 1, label.len - 1);
    }
    sheaf_pen_put(pen, label);
    SHEAF_PEN(pen, "\r\n");
}

/* --- delimiters --- */

static void put_delimiter(sheaf_pen_t *pen, const char *boundary, const char *behind)
{
    SHEAF_PEN(pen, "--");
    sheaf_pen_put(pen, sheaf_str_of(boundary));
    sheaf_pen_put(pen, sheaf_str_of(behind));
}

static void close_set(sheaf_pen_t *pen, state_t *state)
{
    if (state->open_set != 0)
        put_delimiter(pen, state->set, "--\r\n");
    state->open_set = 0;
}

static void open_part(sheaf_pen_t *pen, state_t *state, uint32_t set)
{
    if (state->open_set != set)
        close_set(pen, state);
    if (set != 0 && state->open_set == 0) {
        put_delimiter(pen, state->batch, "\r\nContent-Type: multipart/mixed; boundary=");
        sheaf_pen_put(pen, sheaf_str_of(state->set));
        SHEAF_PEN(pen, "\r\n\r\n");
        state->open_set = set;
    }
    put_delimiter(pen, set != 0 ? state->set : state->batch, "\r\n");
}

/* --- the encoder --- */

static void name_boundary(char *dst, const char *prefix, const uint8_t *nonce)
{
    static const char digits[] = "0123456789abcdef";

    dst = stpcpy(dst, prefix);
    for (int i = 0; i < NONCE_DIGITS / 2; i++) {
        *dst++ = digits[nonce[i] >> 4];
        *dst++ = digits[nonce[i] & 15];
    }
    *dst = '\0';
}

static void multipart_begin(sheaf_encode_t *encode)
{
    state_t *state = sheaf_pool_zalloc(encode->batch->pool, sizeof(*state));

    name_boundary(state->batch, BATCH_PREFIX, encode->nonce);
    name_boundary(state->set, SET_PREFIX, encode->nonce);
    snprintf(state->content_type, sizeof(state->content_type), "multipart/mixed; boundary=%s", state->batch);
    encode->state = state;
}

static const char *multipart_content_type(const sheaf_encode_t *encode)
{
    return ((const state_t *)encode->state)->content_type;
}

/* Not processed: not there (OData 4.01 11.7.4). Where one item runs after another that is all behind the first failure,
 * also what failed without being tried. */
static bool is_absent(const sheaf_encode_t *encode, const sheaf_item_t *item)
{
    const sheaf_batch_t *batch = encode->batch;
    state_t *state = encode->state;
    bool is_absent = batch->is_multipart && (state->is_over || item->err == SHEAF_ERR_STOPPED);

    if (batch->stops_on_error && batch->parallel == 1 && sheaf_item_has_failed(item))
        state->is_over = true;
    return is_absent;
}

static void multipart_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_pen_t pen;

    if (is_absent(encode, item))
        return;
    encode->count++;
    sheaf_pen_open(&pen, encode->out, expected_len(item));
    open_part(&pen, encode->state, item->set);
    SHEAF_PEN(&pen, "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    put_content_id(&pen, encode, item);
    SHEAF_PEN(&pen, "\r\nHTTP/1.1 ");
    sheaf_pen_u64(&pen, item->status);
    sheaf_pen_byte(&pen, ' ');
    sheaf_pen_put(&pen, sheaf_str_of(sheaf_status_reason(item->status)));
    SHEAF_PEN(&pen, "\r\n");
    put_headers(&pen, item);
    put_length(&pen, item);
    SHEAF_PEN(&pen, "\r\n");
    if (sheaf_text_is_there(item))
        sheaf_pen_buf(&pen, item->body);
    SHEAF_PEN(&pen, "\r\n");
    sheaf_pen_close(&pen);
}

static void multipart_end(sheaf_encode_t *encode)
{
    state_t *state = encode->state;
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, 128);
    close_set(&pen, state);
    put_delimiter(&pen, state->batch, "--\r\n");
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_multipart_out = {
    .name = "multipart",
    .content_type = "multipart/mixed",
    .lingers = true,
    .wants_nonce = true,
    .content_type_of = multipart_content_type,
    .begin = multipart_begin,
    .item = multipart_item,
    .end = multipart_end,
};
