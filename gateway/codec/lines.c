#include "gateway/codec/lines.h"

#include <stdio.h>

#include "gateway/base/json.h"

static bool is_blank(sheaf_str_t line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.base[i] != ' ' && line.base[i] != '\t' && line.base[i] != '\r')
            return false;
    return true;
}

bool sheaf_lines_next(sheaf_lines_t *lines, sheaf_str_t *ret_line)
{
    while (lines->at < lines->end) {
        size_t left = (size_t)(lines->end - lines->at);
        const char *feed = memchr(lines->at, '\n', left);
        sheaf_str_t line = sheaf_str(lines->at, feed == NULL ? left : (size_t)(feed - lines->at));

        lines->at = feed == NULL ? lines->end : feed + 1;
        if (is_blank(line))
            continue;
        *ret_line = line;
        return true;
    }
    return false;
}

void sheaf_lines_prefix(sheaf_fail_t *fail, sheaf_str_t token)
{
    char below[sizeof(fail->pointer)];

    snprintf(below, sizeof(below), "%s", fail->pointer);
    fail->pointer[0] = '\0';
    sheaf_json_pointer_add(fail, token);
    strncat(fail->pointer, below, sizeof(fail->pointer) - 1 - strlen(fail->pointer));
}

sheaf_err_t sheaf_lines_locate(sheaf_str_t doc, sheaf_str_t line, uint32_t index, sheaf_fail_t *fail)
{
    uint32_t line_of, column_of;
    char digits[20];

    sheaf_json_position(doc, (size_t)(line.base - doc.base), &line_of, &column_of);
    fail->line = line_of;
    sheaf_lines_prefix(fail, sheaf_str(digits, sheaf_u64_to_dec(index, digits)));
    return fail->err;
}
