#include "gateway/http/problem.h"

#include <stdio.h>

#include "gateway/http/message.h"

typedef struct pen {
    char *start;
    char *at;
} pen_t;

static void put(pen_t *pen, const char *text)
{
    size_t len = strlen(text);

    memcpy(pen->at, text, len);
    pen->at += len;
}

static void put_escaped_byte(pen_t *pen, char c)
{
    static const char digits[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        *pen->at++ = '\\';
        *pen->at++ = c;
    } else if ((uint8_t)c < 0x20) {
        put(pen, "\\u00");
        *pen->at++ = digits[(uint8_t)c >> 4];
        *pen->at++ = digits[(uint8_t)c & 15];
    } else {
        *pen->at++ = c;
    }
}

/* A JSON string; every byte that is not UTF-8 becomes U+FFFD, a detail that was cut in a character too. */
static void put_string(pen_t *pen, const char *text)
{
    sheaf_str_t rest = sheaf_str_of(text);

    *pen->at++ = '"';
    while (rest.len > 0) {
        size_t valid = sheaf_utf8_valid_prefix(rest);

        for (size_t i = 0; i < valid; i++)
            put_escaped_byte(pen, rest.base[i]);
        rest = sheaf_str(rest.base + valid, rest.len - valid);
        if (rest.len > 0) {
            put(pen, "\xef\xbf\xbd");
            rest = sheaf_str(rest.base + 1, rest.len - 1);
        }
    }
    *pen->at++ = '"';
}

static void put_number(pen_t *pen, const char *name, uint64_t value)
{
    put(pen, name);
    pen->at += sheaf_u64_to_dec(value, pen->at);
}

const sheaf_problem_form_t sheaf_problem_plain = {SHEAF_PROBLEM_MEDIA, "detail", NULL};

static void put_status(pen_t *pen, const sheaf_problem_form_t *form, const sheaf_fail_t *fail)
{
    if (form->status == NULL) {
        put_number(pen, ",\"status\":", sheaf_err_status(fail->err));
        return;
    }
    put(pen, ",\"status\":");
    put_string(pen, form->status);
}

static void put_sentence(pen_t *pen, const sheaf_problem_form_t *form, const sheaf_fail_t *fail)
{
    if (fail->detail[0] == 0 && form == &sheaf_problem_plain)
        return;
    put(pen, ",\"");
    put(pen, form->sentence);
    put(pen, "\":");
    put_string(pen, fail->detail[0] != 0 ? fail->detail : sheaf_err_title(fail->err));
}

size_t sheaf_problem_write_as(const sheaf_problem_form_t *form, const sheaf_fail_t *fail, char *dst)
{
    pen_t pen = {dst, dst};

    put(&pen, "{\"type\":\"urn:sheaf:problem:");
    put(&pen, sheaf_err_slug(fail->err));
    put(&pen, "\",\"title\":");
    put_string(&pen, sheaf_err_title(fail->err));
    put_status(&pen, form, fail);
    put_sentence(&pen, form, fail);
    if (fail->item[0] != 0) {
        put(&pen, ",\"item\":");
        put_string(&pen, fail->item);
    }
    if (fail->has_pointer) {
        put(&pen, ",\"pointer\":");
        put_string(&pen, fail->pointer);
    }
    if (fail->line > 0)
        put_number(&pen, ",\"line\":", fail->line);
    if (fail->column > 0)
        put_number(&pen, ",\"column\":", fail->column);
    put(&pen, "}");
    SHEAF_ASSERT((size_t)(pen.at - pen.start) <= SHEAF_PROBLEM_MAX);
    return (size_t)(pen.at - pen.start);
}

size_t sheaf_problem_write_own(uint32_t status, const char *slug, const char *detail, char *dst)
{
    pen_t pen = {dst, dst};
    char type[128], sentence[512];

    snprintf(type, sizeof(type), "urn:sheaf:problem:%s", slug);
    snprintf(sentence, sizeof(sentence), "%s", detail);
    put(&pen, "{\"type\":");
    put_string(&pen, type);
    put(&pen, ",\"title\":");
    put_string(&pen, sheaf_status_reason((uint16_t)status));
    put_number(&pen, ",\"status\":", status);
    if (sentence[0] != 0) {
        put(&pen, ",\"detail\":");
        put_string(&pen, sentence);
    }
    put(&pen, "}");
    SHEAF_ASSERT((size_t)(pen.at - pen.start) <= SHEAF_PROBLEM_MAX);
    return (size_t)(pen.at - pen.start);
}

size_t sheaf_problem_write(const sheaf_fail_t *fail, char *dst)
{
    return sheaf_problem_write_as(&sheaf_problem_plain, fail, dst);
}
