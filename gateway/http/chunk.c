/* The chunked half of wire.h: one byte at a time but for the data, which is handed out in runs. */
#include "gateway/http/wire.h"

#define MAX_SIZE_DIGITS     15 /* 2^60 bytes; no overflow to think about */
#define MAX_EXTENSION_BYTES 256
#define MAX_TRAILER_BYTES   8192
#define MAX_TRAILERS        100

/*   SIZE -> (BLANK|EXTENSION) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                                   \-- size 0 --> LINE -> NAME -> VALUE -> VALUE_LF -> LINE ...
 *                                                   \--> LAST_LF -> DONE                          */
enum {
    STATE_SIZE, /* zero-initialised chunks begin here */
    STATE_BLANK,
    STATE_EXTENSION,
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_LINE,
    STATE_NAME,
    STATE_VALUE,
    STATE_VALUE_LF,
    STATE_LAST_LF,
    STATE_DONE,
    STATE_BROKEN,
};

static bool is_text(char c)
{
    return sheaf_header_value_span(&c, 1) == 1;
}

static uint8_t counted(sheaf_wire_chunks_t *chunks, uint16_t limit, uint8_t next)
{
    return ++chunks->extra > limit ? STATE_BROKEN : next;
}

static uint8_t after_size(sheaf_wire_chunks_t *chunks, char c)
{
    int digit = sheaf_hex_value(c);

    if (digit >= 0) {
        if (++chunks->digits > MAX_SIZE_DIGITS)
            return STATE_BROKEN;
        chunks->left = chunks->left * 16 + (uint64_t)digit;
        return STATE_SIZE;
    }
    if (chunks->digits == 0)
        return STATE_BROKEN;
    if (c == '\r')
        return STATE_SIZE_LF;
    if (c == ';')
        return STATE_EXTENSION;
    return !chunks->is_strict && (c == ' ' || c == '\t') ? STATE_BLANK : STATE_BROKEN;
}

static uint8_t after_extension(sheaf_wire_chunks_t *chunks, char c)
{
    if (c == '\r')
        return STATE_SIZE_LF;
    if (chunks->state == STATE_BLANK && c != ' ' && c != '\t' && c != ';')
        return STATE_BROKEN;
    if (!is_text(c))
        return STATE_BROKEN;
    return counted(chunks, MAX_EXTENSION_BYTES, c == ';' ? STATE_EXTENSION : chunks->state);
}

static uint8_t after_size_line(sheaf_wire_chunks_t *chunks, char c)
{
    chunks->digits = 0;
    chunks->extra = 0;
    if (c != '\n')
        return STATE_BROKEN;
    return chunks->left > 0 ? STATE_DATA : STATE_LINE;
}

/* Trailer lines keep the grammar of header lines (RFC 9112 7.1.2). */
static uint8_t in_trailers(sheaf_wire_chunks_t *chunks, char c)
{
    switch (chunks->state) {
    case STATE_LINE:
        if (c == '\r')
            return STATE_LAST_LF;
        if (++chunks->digits > MAX_TRAILERS)
            return STATE_BROKEN;
        return sheaf_token_lower[(uint8_t)c] != 0 ? counted(chunks, MAX_TRAILER_BYTES, STATE_NAME) : STATE_BROKEN;
    case STATE_NAME:
        if (c == ':')
            return counted(chunks, MAX_TRAILER_BYTES, STATE_VALUE);
        return sheaf_token_lower[(uint8_t)c] != 0 ? counted(chunks, MAX_TRAILER_BYTES, STATE_NAME) : STATE_BROKEN;
    case STATE_VALUE:
        if (c == '\r')
            return STATE_VALUE_LF;
        return is_text(c) ? counted(chunks, MAX_TRAILER_BYTES, STATE_VALUE) : STATE_BROKEN;
    case STATE_VALUE_LF:
        return c == '\n' ? counted(chunks, MAX_TRAILER_BYTES, STATE_LINE) : STATE_BROKEN;
    default: /* STATE_LAST_LF */
        return c == '\n' ? STATE_DONE : STATE_BROKEN;
    }
}

static uint8_t next_state(sheaf_wire_chunks_t *chunks, char c)
{
    switch (chunks->state) {
    case STATE_SIZE:
        return after_size(chunks, c);
    case STATE_BLANK:
    case STATE_EXTENSION:
        return after_extension(chunks, c);
    case STATE_SIZE_LF:
        return after_size_line(chunks, c);
    case STATE_DATA_CR:
        return c == '\r' ? STATE_DATA_LF : STATE_BROKEN;
    case STATE_DATA_LF:
        return c == '\n' ? STATE_SIZE : STATE_BROKEN;
    default:
        return in_trailers(chunks, c);
    }
}

static sheaf_str_t take_data(sheaf_wire_chunks_t *chunks, const char **at, const char *end)
{
    size_t here = (size_t)(end - *at);
    sheaf_str_t run = {*at, chunks->left < here ? (size_t)chunks->left : here};

    *at += run.len;
    chunks->left -= run.len;
    if (chunks->left == 0)
        chunks->state = STATE_DATA_CR;
    return run;
}

sheaf_str_t sheaf_wire_next_chunk(sheaf_wire_chunks_t *chunks, const char **at, const char *end, int *ret_state)
{
    *ret_state = 0;
    while (*at < end && chunks->state < STATE_DONE) {
        if (chunks->state == STATE_DATA)
            return take_data(chunks, at, end);
        chunks->state = next_state(chunks, **at);
        if (chunks->state != STATE_BROKEN)
            ++*at;
    }
    if (chunks->state >= STATE_DONE)
        *ret_state = chunks->state == STATE_DONE ? 1 : -1;
    return sheaf_str(*at, 0);
}
