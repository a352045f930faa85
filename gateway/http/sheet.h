/* http/sheet.h - text that is put together up to a limit, each value written so that it stays where it is put.
 *
 * The caller owns it: zero-initialise, begin as often as wanted, fini (or take the bytes: base is malloc'ed). What comes
 * beyond the limit is left out and is_over says so. */
#ifndef SHEAF_HTTP_SHEET_H
#define SHEAF_HTTP_SHEET_H

#include "gateway/base/pool.h"

typedef struct sheaf_sheet {
    char *base;
    size_t len, size, limit;
    bool is_over; /* more came than `limit` */
} sheaf_sheet_t;

/* Starts anew; the memory stays. */
void sheaf_sheet_begin(sheaf_sheet_t *sheet, size_t limit_bytes);
void sheaf_sheet_fini(sheaf_sheet_t *sheet);

static inline sheaf_str_t sheaf_sheet_text(const sheaf_sheet_t *sheet)
{
    return sheaf_str(sheet->base, sheet->len);
}

void sheaf_sheet_put(sheaf_sheet_t *sheet, sheaf_str_t text);
/* Everything but unreserved characters percent-encoded (RFC 3986 2.1): one segment, or one value of a query. */
void sheaf_sheet_put_encoded(sheaf_sheet_t *sheet, sheaf_str_t text);
/* As the inside of a JSON string; bytes that are not UTF-8 are read as ISO-8859-1, as in results. */
void sheaf_sheet_put_escaped(sheaf_sheet_t *sheet, sheaf_str_t text);
/* The same between quotes. */
void sheaf_sheet_put_quoted(sheaf_sheet_t *sheet, sheaf_str_t text);

#endif
