#include "gateway/codec/multipart.h"

/* --- delimiters --- */

typedef struct delimiter {
    size_t start; /* of its line */
    size_t end;   /* behind its line */
    bool closes;
} delimiter_t;

/* What may stand behind the boundary on its line: two dashes and anything, or blanks and a line break. */
static bool ends_well(sheaf_str_t text, size_t at, delimiter_t *delimiter)
{
    if (text.len - at >= 2 && memcmp(text.base + at, "--", 2) == 0) {
        delimiter->closes = true;
        delimiter->end = at + 2;
        return true;
    }
    while (at < text.len && (text.base[at] == ' ' || text.base[at] == '\t'))
        at++;
    if (at < text.len && text.base[at] == '\r')
        at++;
    delimiter->closes = false;
    delimiter->end = at + 1;
    return at < text.len && text.base[at] == '\n';
}

static bool find_delimiter(const sheaf_multipart_t *multipart, size_t from, delimiter_t *ret)
{
    sheaf_str_t text = multipart->text, boundary = multipart->boundary;

    while (from < text.len) {
        const char *found = memmem(text.base + from, text.len - from, boundary.base, boundary.len);
        size_t at;

        if (found == NULL)
            return false;
        at = (size_t)(found - text.base);
        from = at + 1;
        if (at < 2 || memcmp(found - 2, "--", 2) != 0 || (at > 2 && found[-3] != '\n'))
            continue;
        ret->start = at - 2;
        if (ret->start >= multipart->at && ends_well(text, at + boundary.len, ret))
            return true;
    }
    return false;
}

/* Without the line break that belongs to the delimiter at `end`. Behind a delimiter line that ends in a bare LF all do:
 * a CR is content then. */
static sheaf_str_t content(sheaf_str_t text, size_t start, size_t end)
{
    bool is_lf = text.base[start - 2] != '\r'; /* a delimiter and its line break stand before */

    if (end > start && text.base[end - 1] == '\n')
        end--;
    if (!is_lf && end > start && text.base[end - 1] == '\r')
        end--;
    return sheaf_str(text.base + start, end - start);
}

int sheaf_multipart_next(sheaf_multipart_t *multipart, sheaf_str_t *ret_part)
{
    delimiter_t delimiter;
    size_t start;

    if (multipart->is_closed)
        return 0;
    if (!multipart->is_open) {
        if (!find_delimiter(multipart, 0, &delimiter))
            return -1;
        multipart->is_open = true;
        multipart->is_closed = delimiter.closes;
        multipart->at = delimiter.end;
        if (delimiter.closes)
            return 0;
    }
    start = multipart->at;
    if (!find_delimiter(multipart, start, &delimiter))
        return -1;
    *ret_part = content(multipart->text, start, delimiter.start);
    multipart->at = delimiter.end;
    multipart->is_closed = delimiter.closes;
    return 1;
}

/* --- lines and fields --- */

sheaf_str_t sheaf_multipart_line(sheaf_str_t *rest)
{
    sheaf_str_t line = sheaf_str_cut(rest, '\n');

    if (line.len > 0 && line.base[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_folded(sheaf_str_t rest)
{
    return rest.len > 0 && (rest.base[0] == ' ' || rest.base[0] == '\t');
}

/* The lines of one field, line breaks and all, off `*rest`; `*ret_lines` of them. */
static sheaf_str_t take_lines(sheaf_str_t *rest, uint32_t *ret_lines)
{
    const char *start = rest->base;
    sheaf_str_t line;

    *ret_lines = 0;
    do {
        line = sheaf_multipart_line(rest);
        *ret_lines += 1;
    } while (is_folded(*rest));
    return sheaf_str(start, (size_t)(line.base - start) + line.len);
}

/* A folded value with a space for each fold: in one copy, however many there are. */
static sheaf_str_t unfold(sheaf_pool_t *pool, sheaf_str_t lines)
{
    char *value = sheaf_pool_alloc(pool, lines.len), *at = value;

    while (lines.len > 0) {
        sheaf_str_t line = sheaf_str_trim(sheaf_multipart_line(&lines));

        if (line.len == 0)
            continue;
        if (at > value)
            *at++ = ' ';
        memcpy(at, line.base, line.len);
        at += line.len;
    }
    return sheaf_str(value, (size_t)(at - value));
}

static bool take_field(sheaf_pool_t *pool, sheaf_str_t lines, bool is_folded, sheaf_headers_t *fields)
{
    sheaf_str_t value = lines;
    sheaf_str_t name = sheaf_str_cut(&value, ':');

    if (value.base == NULL || !sheaf_header_name_is_valid(name))
        return false;
    value = is_folded ? unfold(pool, value) : sheaf_str_trim(value);
    if (!sheaf_header_value_is_valid(value))
        return false;
    sheaf_headers_add(fields, pool, sheaf_header_lower(pool, name), value);
    return true;
}

/* A blank line ends the fields and belongs to them. */
static bool take_blank_line(sheaf_str_t *rest)
{
    sheaf_str_t before = *rest;

    if (sheaf_multipart_line(rest).len == 0)
        return true;
    *rest = before;
    return false;
}

bool sheaf_multipart_fields(sheaf_pool_t *pool, sheaf_str_t *rest, sheaf_headers_t *ret_fields, const char **ret_why)
{
    uint32_t count = 0, lines;

    while (rest->len > 0 && !take_blank_line(rest)) {
        sheaf_str_t before = *rest, field = take_lines(rest, &lines);

        count += lines;
        *ret_why = count > SHEAF_MULTIPART_FIELDS_MAX ? "there are too many header fields" : "this is no header field";
        if (count > SHEAF_MULTIPART_FIELDS_MAX || !take_field(pool, field, lines > 1, ret_fields)) {
            *rest = before;
            return false;
        }
    }
    return true;
}
