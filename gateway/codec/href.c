#include "gateway/codec/href.h"

#include "gateway/batch/ids.h"
#include "gateway/http/url.h"

/* --- the set: open addressing, at most three quarters full --- */

/* The slot that holds `href`, or the free one where it belongs. */
static sheaf_str_t *find(const sheaf_hrefs_t *hrefs, sheaf_str_t href)
{
    uint32_t mask = hrefs->size - 1;
    uint32_t at = sheaf_ids_hash(href) & mask;

    while (hrefs->slots[at].base != NULL && !sheaf_str_eq(hrefs->slots[at], href))
        at = (at + 1) & mask;
    return &hrefs->slots[at];
}

static void grow(sheaf_hrefs_t *hrefs, sheaf_pool_t *pool)
{
    sheaf_hrefs_t larger = {.count = hrefs->count, .size = hrefs->size == 0 ? 64 : hrefs->size * 2};

    larger.slots = sheaf_pool_zalloc(pool, larger.size * sizeof(*larger.slots));
    for (uint32_t i = 0; i < hrefs->size; i++)
        if (hrefs->slots[i].base != NULL)
            *find(&larger, hrefs->slots[i]) = hrefs->slots[i];
    *hrefs = larger;
}

bool sheaf_hrefs_add(sheaf_hrefs_t *hrefs, sheaf_pool_t *pool, sheaf_str_t href)
{
    sheaf_str_t *slot;

    if (hrefs->count >= hrefs->size / 4 * 3)
        grow(hrefs, pool);
    slot = find(hrefs, href);
    if (slot->base != NULL)
        return false;
    *slot = href;
    hrefs->count++;
    return true;
}

/* --- percent-encoding --- */

#define IN_PATH 1 /* pchar, "/" and "?" (RFC 3986 appendix A) */
#define IN_URI  2 /* and "#", "[", "]" */
#define IN_NAME 4 /* unreserved only */
#define IN_ALL  (IN_PATH | IN_URI | IN_NAME)

/* Which kinds a byte may stand in; `%` depends on what follows. */
static const uint8_t standing[256] = {
    ['!'] = IN_PATH | IN_URI, ['#'] = IN_URI,
    ['$'] = IN_PATH | IN_URI, ['&' ... ','] = IN_PATH | IN_URI, /* & ' ( ) * + , */
    ['-' ... '.'] = IN_ALL,   ['/'] = IN_PATH | IN_URI,
    ['0' ... '9'] = IN_ALL,   [':' ... ';'] = IN_PATH | IN_URI,
    ['='] = IN_PATH | IN_URI, ['?' ... '@'] = IN_PATH | IN_URI,
    ['A' ... 'Z'] = IN_ALL,   ['['] = IN_URI,
    [']'] = IN_URI,           ['_'] = IN_ALL,
    ['a' ... 'z'] = IN_ALL,   ['~'] = IN_ALL,
};

static inline bool may_stand(sheaf_str_t s, size_t at, sheaf_href_kind_t kind)
{
    static const uint8_t places[] = {
        [SHEAF_HREF_PATH] = IN_PATH, [SHEAF_HREF_URI] = IN_URI, [SHEAF_HREF_NAME] = IN_NAME};

    if (s.base[at] == '%' && kind != SHEAF_HREF_NAME)
        return at + 2 < s.len && sheaf_hex_value(s.base[at + 1]) >= 0 && sheaf_hex_value(s.base[at + 2]) >= 0;
    return (standing[(unsigned char)s.base[at]] & places[kind]) != 0;
}

sheaf_str_t sheaf_href_encode(sheaf_pool_t *pool, sheaf_str_t text, sheaf_href_kind_t kind)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t bad = 0, len = 0;
    char *dst;

    for (size_t i = 0; i < text.len; i++)
        bad += !may_stand(text, i, kind);
    if (bad == 0)
        return text;

    dst = sheaf_pool_alloc(pool, text.len + 2 * bad);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];

        if (may_stand(text, i, kind)) {
            dst[len++] = (char)c;
            continue;
        }
        dst[len++] = '%';
        dst[len++] = hex[c >> 4];
        dst[len++] = hex[c & 0xf];
    }
    return sheaf_str(dst, len);
}

/* --- an item's own href --- */

/* Absolute, and no segment begins with a dot, plain or encoded: such a path may hold dot segments, which an href must
 * not (RFC 4918 8.3). */
static bool is_plain_path(sheaf_str_t text)
{
    if (text.len == 0 || text.base[0] != '/')
        return false;
    for (size_t i = 0; i + 1 < text.len && text.base[i] != '?'; i++) {
        if (text.base[i] != '/')
            continue;
        if (text.base[i + 1] == '.' || text.base[i + 1] == '%')
            return false;
    }
    return true;
}

sheaf_str_t sheaf_href_of(sheaf_pool_t *pool, const sheaf_item_t *item)
{
    sheaf_url_t url;

    if (item->err != SHEAF_ERR_ITEM_URL && is_plain_path(item->url_text))
        return sheaf_href_encode(pool, item->url_text, SHEAF_HREF_PATH);
    if (sheaf_url_normalise(pool, item->url_text, item->batch->base, SIZE_MAX, &url, NULL) != SHEAF_OK)
        return SHEAF_STR_NONE;
    if (url.query.base != NULL)
        url.path = sheaf_pool_printf(pool, "%.*s?%.*s", SHEAF_STR_ARG(url.path), SHEAF_STR_ARG(url.query));
    return sheaf_href_encode(pool, url.path, SHEAF_HREF_PATH);
}
