#include "gateway/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    uint16_t status;
    const char *slug, *title;
} errors[SHEAF_ERR_COUNT] = {
    [SHEAF_OK] = {200, "ok", "OK"},
#define X(name, status, slug, title) [SHEAF_ERR_##name] = {status, slug, title},
#include "gateway/base/errors.def"
#undef X
};

uint16_t sheaf_err_status(sheaf_err_t err)
{
    return errors[err].status;
}

const char *sheaf_err_slug(sheaf_err_t err)
{
    return errors[err].slug;
}

const char *sheaf_err_title(sheaf_err_t err)
{
    return errors[err].title;
}

/* A sentence that was cut must not end in half a character. */
static void drop_half(char *text)
{
    text[sheaf_utf8_valid_prefix(sheaf_str_of(text))] = '\0';
}

sheaf_err_t sheaf_fail(sheaf_fail_t *fail, sheaf_err_t err, const char *format, ...)
{
    va_list args;

    if (fail == NULL)
        return err;
    fail->err = err;
    fail->pointer[0] = fail->item[0] = '\0';
    fail->has_pointer = false;
    fail->line = fail->column = 0;
    va_start(args, format);
    int len = vsnprintf(fail->detail, sizeof(fail->detail), format, args);
    va_end(args);
    if (len >= (int)sizeof(fail->detail))
        drop_half(fail->detail);
    return err;
}

void sheaf_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: bug: %s does not hold\n", file, line, what);
    abort();
}
