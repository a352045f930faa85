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

/* A sentence that was cut must not end in half a character: it goes into JSON and XML. */
static void drop_half_character(char *text, size_t len)
{
    size_t lead = len;

    while (lead > 0 && len - lead < 3 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80)
        lead--;
    if (lead > 0 && (unsigned char)text[lead - 1] >= 0xC0 && sheaf_utf8_sequence(text + lead - 1, text + len) == 0)
        text[lead - 1] = '\0';
}

sheaf_err_t sheaf_fail(sheaf_fail_t *fail, sheaf_err_t err, const char *format, ...)
{
    if (fail == NULL)
        return err;
    fail->err = err;
    fail->pointer[0] = '\0';
    fail->has_pointer = false;
    fail->line = fail->column = 0;

    va_list args;
    va_start(args, format);
    int len = vsnprintf(fail->detail, sizeof(fail->detail), format, args);
    va_end(args);
    if (len >= (int)sizeof(fail->detail))
        drop_half_character(fail->detail, sizeof(fail->detail) - 1);
    return err;
}

_Noreturn void sheaf_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "sheaf: %s:%d: a bug: not (%s)\n", file, line, what);
    abort();
}
