#include "gateway/http/hpack.h"

#include <stdbool.h>

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} reader_t;

/* RFC 7541 5.1, with as many continuation bytes as libh2o accepts. False when it is cut or too large. */
static bool read_integer(reader_t *reader, unsigned prefix_bits, uint32_t *ret_value)
{
    uint32_t most = (1u << prefix_bits) - 1, value;

    if (reader->at == reader->end)
        return false;
    value = *reader->at++ & most;
    for (unsigned shift = 0; value >= most; shift += 7) {
        uint8_t byte;

        if (reader->at == reader->end || shift > 21)
            return false;
        byte = *reader->at++;
        value += (uint32_t)(byte & 127) << shift;
        if ((byte & 128) == 0)
            break;
    }
    *ret_value = value;
    return true;
}

static bool skip_string(reader_t *reader)
{
    uint32_t len;

    if (!read_integer(reader, 7, &len) || len > (size_t)(reader->end - reader->at))
        return false;
    reader->at += len;
    return true;
}

/* 6.2: an index, or 0 and a name; then a value. */
static bool skip_literal(reader_t *reader, unsigned prefix_bits)
{
    uint32_t index;

    if (!read_integer(reader, prefix_bits, &index))
        return false;
    return (index != 0 || skip_string(reader)) && skip_string(reader);
}

size_t sheaf_hpack_count(const uint8_t *block, size_t len)
{
    reader_t reader = {block, block + len};
    size_t count = 0;
    uint32_t ignored;
    bool is_whole = true;

    while (is_whole && reader.at < reader.end) {
        uint8_t first = *reader.at;

        if ((first & 0xe0) == 0x20) { /* 6.3: a change of the table's size is no field */
            is_whole = read_integer(&reader, 5, &ignored);
            continue;
        }
        if (first >= 0x80)
            is_whole = read_integer(&reader, 7, &ignored);
        else
            is_whole = skip_literal(&reader, first >= 0x40 ? 6 : 4);
        count++;
    }
    return count;
}
