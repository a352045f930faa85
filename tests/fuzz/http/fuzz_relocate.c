/* What a backend says of places, turned back: nothing that is turned may name another host, and nothing may hold what was
 * not there. Input: match, newline, rewrite, newline, value. */
#include <stdlib.h>

#include "gateway/http/header.h"
#include "gateway/http/relocate.h"

static void insist(bool claim)
{
    if (!claim)
        abort();
}

static bool is_own(const void *data, const sheaf_place_t *place)
{
    return sheaf_str_eq(place->host, SHEAF_STR("a.b")) && place->port == 0;
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    return sheaf_str_eq(host, SHEAF_STR("a.b"));
}

/* Where it is asked, every folder is there without its slash. */
static bool leads(const void *data, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t own)
{
    insist(path.len > 0 && path.base[0] == '/' && own.len > 0 && own.base[own.len - 1] != '/');
    return true;
}

static void insist_local(sheaf_str_t url)
{
    insist(url.len > 0 && url.base[0] == '/');
    insist(url.len == 1 || (url.base[1] != '/' && url.base[1] != '\\'));
    for (size_t i = 0; i < url.len; i++)
        insist((unsigned char)url.base[i] > ' ' && url.base[i] != '\\');
}

static void check(const sheaf_view_t *view, sheaf_pool_t *pool, sheaf_str_t value)
{
    sheaf_str_t made;

    if (sheaf_relocate_url(view, pool, value, &made))
        insist_local(made);
    if (sheaf_relocate_refresh(view, pool, value, &made))
        insist(sheaf_header_value_span(made.base, made.len) == made.len);
    if (sheaf_relocate_cookie(view, pool, value, &made)) {
        insist(sheaf_header_value_span(made.base, made.len) == made.len);
        insist(made.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t value = sheaf_str((const char *)data, size);
    sheaf_str_t match = sheaf_str_cut(&value, '\n'), rewrite = sheaf_str_cut(&value, '\n');
    sheaf_view_t view = {.is_own = is_own, .is_backend = is_backend, .leads = leads};

    if (value.base != NULL && sheaf_header_value_is_valid(value)) {
        check(&view, pool, value);
        view.way = sheaf_way_back_new(pool, match, rewrite);
        check(&view, pool, value);
    }
    sheaf_pool_free(pool);
    return 0;
}
