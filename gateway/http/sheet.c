#include "gateway/http/sheet.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/http/url.h"

void sheaf_sheet_begin(sheaf_sheet_t *sheet, size_t limit_bytes)
{
    sheet->len = 0;
    sheet->limit = limit_bytes;
    sheet->is_over = false;
}

void sheaf_sheet_fini(sheaf_sheet_t *sheet)
{
    free(sheet->base);
    *sheet = (sheaf_sheet_t){0};
}

static void put(sheaf_sheet_t *sheet, const char *bytes, size_t len)
{
    sheet->is_over = sheet->is_over || len > sheet->limit - sheet->len;
    if (sheet->is_over || len == 0)
        return;
    if (sheet->len + len > sheet->size) {
        sheet->size = (sheet->len + len) * 2;
        sheet->base = sheaf_realloc(sheet->base, sheet->size);
    }
    memcpy(sheet->base + sheet->len, bytes, len);
    sheet->len += len;
}

void sheaf_sheet_put(sheaf_sheet_t *sheet, sheaf_str_t text)
{
    put(sheet, text.base, text.len);
}

void sheaf_sheet_put_encoded(sheaf_sheet_t *sheet, sheaf_str_t text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};

        if (sheaf_url_is_unreserved(text.base[i]))
            put(sheet, &text.base[i], 1);
        else
            put(sheet, code, sizeof(code));
    }
}

void sheaf_sheet_put_escaped(sheaf_sheet_t *sheet, sheaf_str_t text)
{
    bool is_utf8 = sheaf_utf8_valid_prefix(text) == text.len;
    char code[8];

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];

        if (c == '"' || c == '\\')
            put(sheet, "\\", 1);
        if (c < 0x20) {
            snprintf(code, sizeof(code), "\\u%04x", c);
            put(sheet, code, 6);
        } else if (c >= 0x80 && !is_utf8) {
            code[0] = (char)(0xc0 | (c >> 6));
            code[1] = (char)(0x80 | (c & 0x3f));
            put(sheet, code, 2);
        } else {
            put(sheet, &text.base[i], 1);
        }
    }
}

void sheaf_sheet_put_quoted(sheaf_sheet_t *sheet, sheaf_str_t text)
{
    put(sheet, "\"", 1);
    sheaf_sheet_put_escaped(sheet, text);
    put(sheet, "\"", 1);
}
