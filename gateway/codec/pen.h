/* codec/pen.h - writes an encoder's punctuation, strings and bodies straight into a sheaf_out_t.
 *
 * A pen reserves room in the out and fills it in place; one reserve and one commit carry a whole small item. While a
 * pen is open nobody else writes to its out: close it first (sheaf_pen_buf does so by itself). */
#ifndef SHEAF_CODEC_PEN_H
#define SHEAF_CODEC_PEN_H

#include "gateway/base/out.h"

typedef struct sheaf_pen {
    sheaf_out_t *out;
    char *start, *at, *end; /* the reserved room, and how far it is filled */
} sheaf_pen_t;

#define SHEAF_PEN_ROOM 4096 /* most that can be reserved at once */

/* `expected` is a guess of what will be written before the close: too small only costs another reserve. */
void sheaf_pen_open(sheaf_pen_t *pen, sheaf_out_t *out, size_t expected);
void sheaf_pen_close(sheaf_pen_t *pen);

/* At least `need` (at most SHEAF_PEN_ROOM) free bytes at pen->at. */
void sheaf_pen_refill(sheaf_pen_t *pen, size_t need);

/* What does not fit into the room goes around it. */
void sheaf_pen_put_large(sheaf_pen_t *pen, sheaf_str_t s);

static inline void sheaf_pen_put(sheaf_pen_t *pen, sheaf_str_t s)
{
    if ((size_t)(pen->end - pen->at) < s.len) {
        sheaf_pen_put_large(pen, s);
        return;
    }
    memcpy(pen->at, s.base, s.len);
    pen->at += s.len;
}

static inline void sheaf_pen_byte(sheaf_pen_t *pen, char c)
{
    if (pen->at == pen->end)
        sheaf_pen_refill(pen, 1);
    *pen->at++ = c;
}

#define SHEAF_PEN(pen, literal) sheaf_pen_put(pen, SHEAF_STR(literal))

void sheaf_pen_u64(sheaf_pen_t *pen, uint64_t value);

/* Microseconds as milliseconds with three decimals. */
void sheaf_pen_ms(sheaf_pen_t *pen, uint64_t us);

/* A field name in the case that HTTP/1 writers have: "content-type" as "Content-Type". */
void sheaf_pen_field_name(sheaf_pen_t *pen, sheaf_str_t name);

/* All bytes of `buf`: copied when small, held when large. */
void sheaf_pen_buf(sheaf_pen_t *pen, sheaf_buf_t *buf);

/* All bytes of `buf` in base64, without line breaks. */
void sheaf_pen_base64(sheaf_pen_t *pen, const sheaf_buf_t *buf);

/* --- JSON: the inside of a string, without its quotes --- */

/* `s` is valid UTF-8, or a piece of it. */
void sheaf_pen_json(sheaf_pen_t *pen, sheaf_str_t s);
/* A header value: UTF-8, or read as ISO-8859-1 when it is not. */
void sheaf_pen_json_field(sheaf_pen_t *pen, sheaf_str_t value);

/* --- XML: character data and the inside of attribute values in double quotes --- */

typedef enum sheaf_pen_place {
    SHEAF_PEN_TEXT = 1,
    SHEAF_PEN_ATTRIBUTE = 2,
} sheaf_pen_place_t;

/* `s` is valid UTF-8 or a piece of it, and holds only what XML 1.0 can carry. */
void sheaf_pen_xml(sheaf_pen_t *pen, sheaf_str_t s, sheaf_pen_place_t place);
/* Any bytes: read as UTF-8, or as ISO-8859-1 when they are not; what XML 1.0 cannot carry becomes U+FFFD. */
void sheaf_pen_xml_field(sheaf_pen_t *pen, sheaf_str_t value, sheaf_pen_place_t place);

#endif
