/* unit/codec/bulks.h - the kit with an endpoint of `kind: bulk`; no cmocka, so fuzzers use it too.
 *
 *   each: {id: "${item/id}", method: POST, url: "/users/${item/id}?q=${item/q:-0}", headers: {x-name: "${item/name:-none}"},
 *          body: {all: "${item}", note: "id ${item/id}"}} */
#ifndef SHEAF_TESTS_CODEC_BULKS_H
#define SHEAF_TESTS_CODEC_BULKS_H

#include "gateway/http/stencil.h"
#include "tests/unit/codec/kit.h"

static inline sheaf_stencil_t *bulks_text(kit_t *kit, const char *text, bool is_url)
{
    sheaf_stencil_t *stencil;

    if (sheaf_stencil_parse(kit->snapshot.pool, sheaf_str_of(text), is_url, &stencil, NULL) != SHEAF_OK)
        abort();
    return stencil;
}

static inline sheaf_stencil_t *bulks_body(kit_t *kit)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(kit->snapshot.pool);

    sheaf_stencil_maker_put(maker, SHEAF_STR("{\"all\":"));
    if (sheaf_stencil_maker_put_string(maker, SHEAF_STR("${item}"), NULL) != SHEAF_OK)
        abort();
    sheaf_stencil_maker_put(maker, SHEAF_STR(",\"note\":"));
    if (sheaf_stencil_maker_put_string(maker, SHEAF_STR("id ${item/id}"), NULL) != SHEAF_OK)
        abort();
    sheaf_stencil_maker_put(maker, SHEAF_STR("}"));
    return sheaf_stencil_maker_end(maker);
}

static inline void bulks_init(kit_t *kit)
{
    sheaf_each_conf_t *each = &kit->endpoint.each;

    kit_init(kit);
    kit->endpoint.kind = SHEAF_KIND_BULK;
    kit->endpoint.method = each->method = SHEAF_STR("POST");
    each->id = bulks_text(kit, "${item/id}", false);
    each->url = bulks_text(kit, "/users/${item/id}?q=${item/q:-0}", true);
    each->headers.items = sheaf_pool_zalloc(kit->snapshot.pool, sizeof(*each->headers.items));
    each->headers.items[0].name = SHEAF_STR("x-name");
    each->headers.items[0].value = bulks_text(kit, "${item/name:-none}", false);
    each->headers.count = 1;
    each->body = bulks_body(kit);
}

#endif
