/* codec/pen.c - escaping is a search for the next byte that needs it; the runs between are copied whole. */
#include "gateway/codec/pen.h"

#include "gateway/base/base64.h"
#include "gateway/base/eight.h"

#define PEN_LEAST        64
#define PEN_COPIED_BYTES 1024 /* bodies below this are copied, like sheaf_out_buf does */

void sheaf_pen_open(sheaf_pen_t *pen, sheaf_out_t *out, size_t expected)
{
    size_t room = expected < PEN_LEAST ? PEN_LEAST : expected > SHEAF_PEN_ROOM ? SHEAF_PEN_ROOM : expected;

    pen->out = out;
    pen->start = pen->at = sheaf_out_reserve(out, room);
    pen->end = pen->start + room;
}

void sheaf_pen_close(sheaf_pen_t *pen)
{
    sheaf_out_commit(pen->out, (size_t)(pen->at - pen->start));
    pen->start = pen->at = pen->end = NULL;
}

void sheaf_pen_refill(sheaf_pen_t *pen, size_t need)
{
    if ((size_t)(pen->end - pen->at) >= need)
        return;
    sheaf_pen_close(pen);
    sheaf_pen_open(pen, pen->out, need < 1024 ? 1024 : need);
}

void sheaf_pen_put_large(sheaf_pen_t *pen, sheaf_str_t s)
{
    sheaf_pen_close(pen);
    sheaf_out_str(pen->out, s);
    sheaf_pen_open(pen, pen->out, 512);
}

void sheaf_pen_u64(sheaf_pen_t *pen, uint64_t value)
{
    sheaf_pen_refill(pen, 20);
    pen->at += sheaf_u64_to_dec(value, pen->at);
}

void sheaf_pen_field_name(sheaf_pen_t *pen, sheaf_str_t name)
{
    bool starts_word = true;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];

        sheaf_pen_byte(pen, starts_word && c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c);
        starts_word = c == '-';
    }
}

void sheaf_pen_ms(sheaf_pen_t *pen, uint64_t us)
{
    sheaf_pen_u64(pen, us / 1000);
    sheaf_pen_byte(pen, '.');
    for (uint64_t digit = 100; digit > 0; digit /= 10)
        sheaf_pen_byte(pen, (char)('0' + us / digit % 10));
}

void sheaf_pen_buf(sheaf_pen_t *pen, sheaf_buf_t *buf)
{
    if (buf->len < PEN_COPIED_BYTES) {
        for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next)
            if (chunk->len > 0)
                sheaf_pen_put(pen, sheaf_str(chunk->bytes, chunk->len));
        return;
    }
    sheaf_pen_close(pen);
    sheaf_out_buf(pen->out, buf);
    sheaf_pen_open(pen, pen->out, PEN_LEAST);
}

void sheaf_pen_base64(sheaf_pen_t *pen, const sheaf_buf_t *buf)
{
    sheaf_base64_t state = {.count = 0};

    sheaf_pen_close(pen);
    for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next)
        sheaf_base64_feed(&state, chunk->bytes, chunk->len, pen->out);
    sheaf_base64_finish(&state, pen->out);
    sheaf_pen_open(pen, pen->out, PEN_LEAST);
}

/* --- JSON --- */

/* Marks controls, quotes, backslashes and (with_high) what is not ASCII. */
static inline uint64_t needs_care(uint64_t word, uint64_t with_high)
{
    return sheaf_eight_below(word, 0x20) | sheaf_eight_equal(word, '"') | sheaf_eight_equal(word, '\\') |
           (word & with_high);
}

/* Length of the start of `s` that a JSON string can hold as it is; with SHEAF_EIGHT_HIGH only ASCII counts. */
static size_t json_plain(sheaf_str_t s, uint64_t with_high)
{
    size_t at = 0;

    for (; at + sizeof(uint64_t) <= s.len; at += sizeof(uint64_t)) {
        uint64_t marks = needs_care(sheaf_eight_at(s.base + at), with_high);

        if (marks != 0)
            return at + sheaf_eight_first(marks);
    }
    for (; at < s.len; at++) {
        unsigned char c = (unsigned char)s.base[at];

        if (c < 0x20 || c == '"' || c == '\\' || (c >= 0x80 && with_high != 0))
            break;
    }
    return at;
}

static void json_escape(sheaf_pen_t *pen, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char *const shorts = "\bb\tt\nn\ff\rr\"\"\\\\";

    sheaf_pen_refill(pen, 6);
    *pen->at++ = '\\';
    for (const char *s = shorts; *s != '\0'; s += 2) {
        if (*s != c)
            continue;
        *pen->at++ = s[1];
        return;
    }
    memcpy(pen->at, "u00", 3);
    pen->at[3] = hex[(c >> 4) & 0xf];
    pen->at[4] = hex[c & 0xf];
    pen->at += 5;
}

static sheaf_str_t skip(sheaf_str_t s, size_t len)
{
    return sheaf_str(s.base + len, s.len - len);
}

void sheaf_pen_json(sheaf_pen_t *pen, sheaf_str_t s)
{
    while (s.len > 0) {
        size_t plain = json_plain(s, 0);

        sheaf_pen_put(pen, sheaf_str(s.base, plain));
        s = skip(s, plain);
        if (s.len == 0)
            return;
        json_escape(pen, s.base[0]);
        s = skip(s, 1);
    }
}

/* U+0080 to U+00FF as UTF-8. */
static void put_latin1(sheaf_pen_t *pen, unsigned char c)
{
    sheaf_pen_refill(pen, 2);
    *pen->at++ = (char)(0xc0 | (c >> 6));
    *pen->at++ = (char)(0x80 | (c & 0x3f));
}

static void json_latin1(sheaf_pen_t *pen, sheaf_str_t s)
{
    while (s.len > 0) {
        size_t plain = json_plain(s, SHEAF_EIGHT_HIGH);

        sheaf_pen_put(pen, sheaf_str(s.base, plain));
        s = skip(s, plain);
        if (s.len == 0)
            return;
        if ((unsigned char)s.base[0] >= 0x80)
            put_latin1(pen, (unsigned char)s.base[0]);
        else
            json_escape(pen, s.base[0]);
        s = skip(s, 1);
    }
}

void sheaf_pen_json_field(sheaf_pen_t *pen, sheaf_str_t value)
{
    size_t plain = json_plain(value, SHEAF_EIGHT_HIGH);
    sheaf_str_t rest;

    if (value.len == 0)
        return;
    sheaf_pen_put(pen, sheaf_str(value.base, plain));
    if (plain == value.len)
        return;

    rest = skip(value, plain); /* what came before is ASCII, so the rest decides */
    if (sheaf_utf8_valid_prefix(rest) == rest.len)
        sheaf_pen_json(pen, rest);
    else
        json_latin1(pen, rest);
}

/* --- XML --- */

#define XML_HIGH 4 /* not ASCII */
#define XML_BAD  8 /* XML 1.0 cannot carry it (2.2) */

/* Which places a byte cannot stand in as it is. A raw CR would be read back as LF (2.11), raw tabs and line ends in
 * attributes as spaces (3.3.3); a raw `>` could end a CDATA section that is none (2.4). */
static const uint8_t xml_classes[256] = {
    [0x00 ... 0x08] = XML_BAD,
    ['\t'] = SHEAF_PEN_ATTRIBUTE,
    ['\n'] = SHEAF_PEN_ATTRIBUTE,
    [0x0b ... 0x0c] = XML_BAD,
    ['\r'] = SHEAF_PEN_TEXT | SHEAF_PEN_ATTRIBUTE,
    [0x0e ... 0x1f] = XML_BAD,
    ['"'] = SHEAF_PEN_ATTRIBUTE,
    ['&'] = SHEAF_PEN_TEXT | SHEAF_PEN_ATTRIBUTE,
    ['<'] = SHEAF_PEN_TEXT | SHEAF_PEN_ATTRIBUTE,
    ['>'] = SHEAF_PEN_TEXT | SHEAF_PEN_ATTRIBUTE,
    [0x80 ... 0xff] = XML_HIGH,
};

/* Eight bytes that can stand anywhere `mask` means: ASCII, no controls, none of `<` `>` `&`, in attributes no quote.
 * Setting one bit makes two of them the same, so that one comparison finds both. */
static bool is_xml_plain_word(const char *bytes, unsigned mask)
{
    uint64_t word = sheaf_eight_at(bytes);
    uint64_t angles = word | SHEAF_EIGHT('<' ^ '>');
    uint64_t ampersands = mask & SHEAF_PEN_ATTRIBUTE ? word | SHEAF_EIGHT('"' ^ '&') : word;

    return ((word & SHEAF_EIGHT_HIGH) | sheaf_eight_below(word, 0x20) | sheaf_eight_equal(angles, '>') |
            sheaf_eight_equal(ampersands, '&')) == 0;
}

static size_t xml_plain(sheaf_str_t s, unsigned mask)
{
    size_t at = 0, end;

    while (at < s.len) {
        end = s.len - at < sizeof(uint64_t) ? s.len : at + sizeof(uint64_t);
        if (end - at == sizeof(uint64_t) && is_xml_plain_word(s.base + at, mask)) {
            at = end;
            continue;
        }
        for (; at < end; at++)
            if ((xml_classes[(unsigned char)s.base[at]] & mask) != 0)
                return at;
    }
    return at;
}

static void xml_escape(sheaf_pen_t *pen, char c)
{
    switch (c) {
    case '&':
        SHEAF_PEN(pen, "&amp;");
        break;
    case '<':
        SHEAF_PEN(pen, "&lt;");
        break;
    case '>':
        SHEAF_PEN(pen, "&gt;");
        break;
    case '"':
        SHEAF_PEN(pen, "&quot;");
        break;
    case '\t':
        SHEAF_PEN(pen, "&#9;");
        break;
    case '\n':
        SHEAF_PEN(pen, "&#10;");
        break;
    case '\r':
        SHEAF_PEN(pen, "&#13;");
        break;
    default:
        SHEAF_PEN(pen, "\xef\xbf\xbd");
    }
}

void sheaf_pen_xml(sheaf_pen_t *pen, sheaf_str_t s, sheaf_pen_place_t place)
{
    while (s.len > 0) {
        size_t plain = xml_plain(s, (unsigned)place | XML_BAD);

        sheaf_pen_put(pen, sheaf_str(s.base, plain));
        s = skip(s, plain);
        if (s.len == 0)
            return;
        xml_escape(pen, s.base[0]);
        s = skip(s, 1);
    }
}

/* Bytes of the UTF-8 character that `first` begins. */
static size_t utf8_len(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* U+FFFE and U+FFFF are the characters above ASCII that XML 1.0 leaves out. */
static bool is_noncharacter(const char *c)
{
    return memcmp(c, "\xef\xbf\xbe", 3) == 0 || memcmp(c, "\xef\xbf\xbf", 3) == 0;
}

static size_t xml_high(sheaf_pen_t *pen, sheaf_str_t s, bool is_utf8)
{
    size_t len = utf8_len((unsigned char)s.base[0]);

    if (!is_utf8) {
        put_latin1(pen, (unsigned char)s.base[0]);
        return 1;
    }
    if (len == 3 && is_noncharacter(s.base))
        xml_escape(pen, '\0');
    else
        sheaf_pen_put(pen, sheaf_str(s.base, len));
    return len;
}

void sheaf_pen_xml_field(sheaf_pen_t *pen, sheaf_str_t value, sheaf_pen_place_t place)
{
    bool is_known = false, is_utf8 = false;

    while (value.len > 0) {
        size_t len = xml_plain(value, (unsigned)place | XML_HIGH | XML_BAD);

        sheaf_pen_put(pen, sheaf_str(value.base, len));
        value = skip(value, len);
        if (value.len == 0)
            return;
        if (!is_known) /* what came before is ASCII, so the rest decides */
            is_utf8 = sheaf_utf8_valid_prefix(value) == value.len;
        is_known = true;
        len = 1;
        if ((unsigned char)value.base[0] >= 0x80)
            len = xml_high(pen, value, is_utf8);
        else
            xml_escape(pen, value.base[0]);
        value = skip(value, len);
    }
}
