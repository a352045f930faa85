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

static bool is_folded(sheaf_str_t line)
{
    return line.len > 0 && (line.base[0] == ' ' || line.base[0] == '\t');
}

static sheaf_str_t joined(sheaf_pool_t *pool, sheaf_str_t value, sheaf_str_t more)
{
    more = sheaf_str_trim(more);
    return more.len == 0 ? value : sheaf_pool_printf(pool, "%.*s %.*s", SHEAF_STR_ARG(value), SHEAF_STR_ARG(more));
}

static bool take_field(sheaf_pool_t *pool, sheaf_str_t line, sheaf_headers_t *fields)
{
    sheaf_str_t value = line;
    sheaf_str_t name = sheaf_str_cut(&value, ':');

    value = value.base == NULL ? value : sheaf_str_trim(value);
    if (value.base == NULL || !sheaf_header_name_is_valid(name) || !sheaf_header_value_is_valid(value))
        return false;
    sheaf_headers_add(fields, pool, sheaf_header_lower(pool, name), value);
    return true;
}

bool sheaf_multipart_fields(sheaf_pool_t *pool, sheaf_str_t *rest, sheaf_headers_t *ret_fields, const char **ret_why)
{
    uint32_t lines = 0;

    while (rest->len > 0) {
        sheaf_str_t before = *rest, line = sheaf_multipart_line(rest);
        bool is_good = true;

        if (line.len == 0)
            return true;
        *ret_why = "there are too many header fields";
        if (lines++ < SHEAF_MULTIPART_FIELDS_MAX) {
            *ret_why = "this is no header field";
            if (is_folded(line) && ret_fields->count > 0) {
                sheaf_header_t *last = &ret_fields->entries[ret_fields->count - 1];

                is_good = sheaf_header_value_is_valid(sheaf_str_trim(line));
                last->value = joined(pool, last->value, line);
            } else {
                is_good = take_field(pool, line, ret_fields);
            }
        } else {
            is_good = false;
        }
        if (!is_good) {
            *rest = before;
            return false;
        }
    }
    return true;
}
