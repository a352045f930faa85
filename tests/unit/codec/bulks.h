/* unit/codec/bulks.h - stencils for endpoints of `kind: bulk`; no cmocka, so fuzzers use it too. */
#ifndef SHEAF_TESTS_CODEC_BULKS_H
#define SHEAF_TESTS_CODEC_BULKS_H

#include <stdlib.h>

#include "gateway/http/stencil.h"

static inline sheaf_stencil_t *bulks_text(sheaf_pool_t *pool, const char *text, bool is_url)
{
    sheaf_stencil_t *stencil;

    if (sheaf_stencil_parse(pool, sheaf_str_of(text), is_url, &stencil, NULL) != SHEAF_OK)
        abort();
    return stencil;
}

static inline void bulks_put(sheaf_stencil_maker_t *maker, const char *text)
{
    if (sheaf_stencil_maker_put_string(maker, sheaf_str_of(text), NULL) != SHEAF_OK)
        abort();
}

/* A body that is one string: "${item}" is the element itself. */
static inline sheaf_stencil_t *bulks_value(sheaf_pool_t *pool, const char *text)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);

    bulks_put(maker, text);
    return sheaf_stencil_maker_end(maker);
}

/* {"all": the element, "note": "id ${item/id}"} */
static inline sheaf_stencil_t *bulks_object(sheaf_pool_t *pool)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);

    sheaf_stencil_maker_put(maker, SHEAF_STR("{\"all\":"));
    bulks_put(maker, "${item}");
    sheaf_stencil_maker_put(maker, SHEAF_STR(",\"note\":"));
    bulks_put(maker, "id ${item/id}");
    sheaf_stencil_maker_put(maker, SHEAF_STR("}"));
    return sheaf_stencil_maker_end(maker);
}

#endif
