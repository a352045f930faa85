#include "gateway/codec/text.h"

#include "gateway/base/eight.h"

bool sheaf_text_is_there(const sheaf_item_t *item)
{
    if (item->body == NULL || item->body->len == 0)
        return false;
    if (sheaf_item_leaves_body_out(item) || sheaf_status_has_no_body(item->status) || item->status == 205)
        return false;
    return !sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD"));
}

/* Completes the character that `carry` holds `len` bytes of with bytes of `*rest`. False when it is none. What is
 * still incomplete after all bytes stays in carry; `*len` is 0 once it is whole. */
static bool complete_char(char carry[4], size_t *len, sheaf_str_t *rest)
{
    while (*len > 0 && rest->len > 0) {
        if (*len == 4)
            return false;
        carry[(*len)++] = *rest->base;
        *rest = sheaf_str(rest->base + 1, rest->len - 1);
        if (sheaf_utf8_valid_prefix(sheaf_str(carry, *len)) == *len)
            *len = 0;
    }
    return true;
}

bool sheaf_text_is_utf8(const sheaf_buf_t *body)
{
    char carry[4];
    size_t carried = 0;

    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next) {
        sheaf_str_t rest = sheaf_str(chunk->bytes, chunk->len);
        size_t valid;

        if (!complete_char(carry, &carried, &rest))
            return false;
        if (rest.len == 0)
            continue;
        valid = sheaf_utf8_valid_prefix(rest);
        carried = rest.len - valid;
        if (carried >= 4)
            return false;
        memcpy(carry, rest.base + valid, carried);
    }
    return carried == 0;
}

/* One byte further: `*tail` is how much of EF BF (the start of U+FFFE and U+FFFF) has just been seen. */
static bool xml_byte(unsigned char c, unsigned *tail)
{
    if (*tail == 2 && c >= 0xbe)
        return false;
    *tail = c == 0xef ? 1 : *tail == 1 && c == 0xbf ? 2 : 0;
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
}

/* Eight bytes that are ASCII and no controls: most of most bodies. */
static bool is_plain_word(const char *bytes)
{
    uint64_t word = sheaf_eight_at(bytes);

    return ((word & SHEAF_EIGHT_HIGH) | sheaf_eight_below(word, 0x20)) == 0;
}

bool sheaf_text_is_xml(const sheaf_buf_t *body)
{
    unsigned tail = 0;
    bool is_ascii = true;

    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next) {
        for (size_t i = 0; i < chunk->len;) {
            if (chunk->len - i >= sizeof(uint64_t) && is_plain_word(chunk->bytes + i)) {
                i += sizeof(uint64_t);
                tail = 0;
                continue;
            }
            is_ascii = is_ascii && (unsigned char)chunk->bytes[i] < 0x80;
            if (!xml_byte((unsigned char)chunk->bytes[i++], &tail))
                return false;
        }
    }
    return is_ascii || sheaf_text_is_utf8(body);
}
