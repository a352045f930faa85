/* base/error.h - what went wrong, where, and why.
 *
 * sheaf_err_t is the what (errors.def); sheaf_fail_t adds the where and the why. A function that can fail returns the
 * err and fills `fail` only then. What only a bug can do is a SHEAF_ASSERT, which stays on in release builds. */
#ifndef SHEAF_BASE_ERROR_H
#define SHEAF_BASE_ERROR_H

#include "gateway/base/str.h"

typedef enum sheaf_err {
    SHEAF_OK = 0,
#define X(name, status, slug, title) SHEAF_ERR_##name,
#include "gateway/base/errors.def"
#undef X
    SHEAF_ERR_COUNT
} sheaf_err_t;

typedef struct sheaf_fail {
    sheaf_err_t err;
    char detail[256];  /* one sentence for a person, UTF-8, NUL-terminated, cut when longer */
    char pointer[256]; /* RFC 6901, into the document as sent; "" = the whole document; see has_pointer */
    bool has_pointer;
    char item[129];        /* the id of the item that it is about, NUL-terminated; "" = none */
    uint32_t line, column; /* from 1, columns in characters; 0 = unknown */
} sheaf_fail_t;

uint16_t sheaf_err_status(sheaf_err_t err);
const char *sheaf_err_slug(sheaf_err_t err);
const char *sheaf_err_title(sheaf_err_t err);

/* Fills err and detail and returns err, so that `return sheaf_fail(fail, SHEAF_ERR_X, "...")` reads well.
 * Clears pointer, item, line and column. `fail` may be NULL. */
sheaf_err_t sheaf_fail(sheaf_fail_t *fail, sheaf_err_t err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

_Noreturn void sheaf_assert_failed(const char *what, const char *file, int line);
#define SHEAF_ASSERT(claim) ((claim) ? (void)0 : sheaf_assert_failed(#claim, __FILE__, __LINE__))

#endif
