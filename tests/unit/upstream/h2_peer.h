/* upstream/h2_peer.h - the other side of HTTP/2, frame by frame: says what a test tells it to, right or wrong, and takes
 * apart what it hears. */
#ifndef SHEAF_TESTS_H2_PEER_H
#define SHEAF_TESTS_H2_PEER_H

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define PEER_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

typedef struct peer_bytes {
    char *bytes;
    size_t len, size;
} peer_bytes_t;

typedef struct peer_frame {
    uint8_t type, flags;
    int32_t id;
    size_t len;
    const uint8_t *payload;
} peer_frame_t;

typedef struct peer {
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    peer_bytes_t said, heard;
    size_t taken; /* of what was heard */
    bool has_preface;
} peer_t;

static inline void bytes_add(peer_bytes_t *to, const void *bytes, size_t len)
{
    if (to->len + len > to->size) {
        to->size = 2 * (to->len + len);
        to->bytes = sheaf_realloc(to->bytes, to->size);
    }
    if (len != 0)
        memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static inline void peer_init(peer_t *peer)
{
    memset(peer, 0, sizeof(*peer));
    SHEAF_ASSERT(nghttp2_hd_deflate_new(&peer->deflater, 4096) == 0);
    SHEAF_ASSERT(nghttp2_hd_inflate_new(&peer->inflater) == 0);
}

static inline void peer_fini(peer_t *peer)
{
    nghttp2_hd_deflate_del(peer->deflater);
    nghttp2_hd_inflate_del(peer->inflater);
    free(peer->said.bytes);
    free(peer->heard.bytes);
}

/* --- what it says --- */

static inline void put_u32(uint8_t *dst, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        dst[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void peer_says(peer_t *peer, uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t len)
{
    uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags};

    put_u32(head + 5, (uint32_t)id);
    bytes_add(&peer->said, head, sizeof(head));
    bytes_add(&peer->said, payload, len);
}

static inline void peer_setting(peer_t *peer, uint16_t what, uint32_t value)
{
    uint8_t entry[6] = {(uint8_t)(what >> 8), (uint8_t)what};

    put_u32(entry + 2, value);
    peer_says(peer, NGHTTP2_SETTINGS, 0, 0, entry, sizeof(entry));
}

/* Its SETTINGS, and that it has seen ours. */
static inline void peer_hello(peer_t *peer)
{
    peer_says(peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    peer_says(peer, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
}

static inline void peer_u32(peer_t *peer, uint8_t type, int32_t id, uint32_t value)
{
    uint8_t payload[4];

    put_u32(payload, value);
    peer_says(peer, type, 0, id, payload, sizeof(payload));
}

static inline void peer_goaway(peer_t *peer, int32_t last_id, uint32_t code)
{
    uint8_t payload[8];

    put_u32(payload, (uint32_t)last_id);
    put_u32(payload + 4, code);
    peer_says(peer, NGHTTP2_GOAWAY, 0, 0, payload, sizeof(payload));
}

/* "name: value" lines, one field each, as they are; returns the block, which the caller frees. */
static inline uint8_t *peer_block(peer_t *peer, const char *lines, size_t *ret_len)
{
    nghttp2_nv fields[512];
    size_t count = 0, room;
    sheaf_str_t rest = sheaf_str_of(lines);
    uint8_t *block;
    ssize_t len;

    while (rest.base != NULL && rest.len != 0 && count < SHEAF_COUNT(fields)) {
        sheaf_str_t line = sheaf_str_cut(&rest, '\n');
        const char *colon = line.len > 1 ? memchr(line.base + 1, ':', line.len - 1) : NULL;
        size_t name = colon != NULL ? (size_t)(colon - line.base) : line.len;
        size_t from = name + 2 < line.len ? name + 2 : line.len;

        fields[count++] = (nghttp2_nv){(uint8_t *)line.base, (uint8_t *)line.base + from, name, line.len - from, 0};
    }
    room = nghttp2_hd_deflate_bound(peer->deflater, fields, count);
    block = sheaf_alloc(room + 1);
    len = nghttp2_hd_deflate_hd(peer->deflater, block, room, fields, count);
    SHEAF_ASSERT(len >= 0);
    *ret_len = (size_t)len;
    return block;
}

/* In as many frames as it takes. */
static inline void peer_head(peer_t *peer, int32_t id, bool is_last, const char *lines)
{
    size_t len, most = 16384;
    uint8_t *block = peer_block(peer, lines, &len), end = is_last ? NGHTTP2_FLAG_END_STREAM : 0;

    for (size_t at = 0; at == 0 || at < len; at += most) {
        size_t piece = len - at < most ? len - at : most;
        uint8_t flags = (uint8_t)((at == 0 ? end : 0) | (at + piece == len ? NGHTTP2_FLAG_END_HEADERS : 0));

        peer_says(peer, at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, flags, id, block + at, piece);
    }
    free(block);
}

static inline void peer_data(peer_t *peer, int32_t id, bool is_last, const char *text)
{
    peer_says(peer, NGHTTP2_DATA, is_last ? NGHTTP2_FLAG_END_STREAM : 0, id, text, strlen(text));
}

static inline void peer_answer(peer_t *peer, int32_t id, const char *text)
{
    peer_head(peer, id, false, ":status: 200\ncontent-type: text/plain");
    peer_data(peer, id, true, text);
}

/* --- what it hears --- */

static inline void peer_hears(peer_t *peer, const char *bytes, size_t len)
{
    bytes_add(&peer->heard, bytes, len);
    if (!peer->has_preface && peer->heard.len >= sizeof(PEER_PREFACE) - 1) {
        SHEAF_ASSERT(memcmp(peer->heard.bytes, PEER_PREFACE, sizeof(PEER_PREFACE) - 1) == 0);
        peer->has_preface = true;
        peer->taken = sizeof(PEER_PREFACE) - 1;
    }
}

/* The next whole frame; false: there is none. Good until more is heard. */
static inline bool peer_next(peer_t *peer, peer_frame_t *ret_frame)
{
    const uint8_t *at = (const uint8_t *)peer->heard.bytes + peer->taken;
    size_t left = peer->heard.len - peer->taken;

    if (!peer->has_preface || left < 9)
        return false;
    ret_frame->len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
    if (left < 9 + ret_frame->len)
        return false;
    ret_frame->type = at[3];
    ret_frame->flags = at[4];
    ret_frame->id = (int32_t)((uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8]);
    ret_frame->payload = at + 9;
    peer->taken += 9 + ret_frame->len;
    return true;
}

static inline uint32_t get_u32(const uint8_t *src)
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
}

/* The fields of a HEADERS frame as "name: value" lines; the caller frees them. */
static inline char *peer_fields(peer_t *peer, const peer_frame_t *frame)
{
    peer_bytes_t text = {0};
    const uint8_t *at = frame->payload, *end = at + frame->len;
    int flags = 0;

    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(peer->inflater, &field, &flags, at, (size_t)(end - at), 1);

        SHEAF_ASSERT(used >= 0);
        at += used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            bytes_add(&text, field.name, field.namelen);
            bytes_add(&text, ": ", 2);
            bytes_add(&text, field.value, field.valuelen);
            bytes_add(&text, "\n", 1);
        }
    }
    nghttp2_hd_inflate_end_headers(peer->inflater);
    bytes_add(&text, "", 1);
    return text.bytes;
}

#endif
