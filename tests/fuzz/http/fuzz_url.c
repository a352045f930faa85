/* A normalised url is safe, and normalising it again changes nothing. Input: base, newline, url; or just a url. */
#include <stdlib.h>

#include "gateway/http/url.h"

static void insist(bool claim)
{
    if (!claim)
        abort();
}

static void insist_clean(sheaf_str_t text, bool is_path)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];

        insist(c > ' ' && c < 0x7f && strchr("\"#<>[\\]^`{|}", c) == NULL && !(is_path && c == '?'));
        insist(c != '%' || (i + 2 < text.len && memcmp(text.base + i, "%00", 3) != 0));
    }
}

static void insist_no_dot_segments(sheaf_str_t path)
{
    insist(path.len > 0 && path.base[0] == '/' && (path.len == 1 || path.base[1] != '/'));
    while (path.base != NULL) {
        sheaf_str_t segment = sheaf_str_cut(&path, '/');

        insist(!sheaf_str_eq(segment, SHEAF_STR(".")) && !sheaf_str_eq(segment, SHEAF_STR("..")));
        insist(!sheaf_str_starts(segment, SHEAF_STR(".;")) && !sheaf_str_starts(segment, SHEAF_STR("..;")));
    }
}

static sheaf_str_t join(sheaf_pool_t *pool, const sheaf_url_t *url)
{
    if (url->query.base == NULL)
        return url->path;
    return sheaf_pool_printf(pool, "%.*s?%.*s", SHEAF_STR_ARG(url->path), SHEAF_STR_ARG(url->query));
}

static void check(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t base)
{
    sheaf_url_t url, again;
    sheaf_fail_t fail;

    if (sheaf_url_normalise(pool, text, base, 8192, &url, &fail) != SHEAF_OK)
        return;
    insist_clean(url.path, true);
    insist_no_dot_segments(url.path);
    if (url.query.base != NULL)
        insist_clean(url.query, false);
    insist(sheaf_url_normalise(pool, join(pool, &url), SHEAF_STR("/"), SIZE_MAX, &again, &fail) == SHEAF_OK);
    insist(sheaf_str_eq(url.path, again.path) && sheaf_str_eq(url.query, again.query));
    insist((url.query.base == NULL) == (again.query.base == NULL));
    insist(url.has_encoded_slash == again.has_encoded_slash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t text = {(const char *)data, size};
    sheaf_str_t rest = text, line = sheaf_str_cut(&rest, '\n');
    sheaf_url_t base;

    if (rest.base != NULL && sheaf_url_normalise(pool, line, SHEAF_STR("/"), 8192, &base, NULL) == SHEAF_OK &&
        base.path.base[base.path.len - 1] == '/')
        check(pool, rest, base.path);
    check(pool, text, SHEAF_STR("/"));
    sheaf_pool_free(pool);
    return 0;
}
