#include "gateway/codec/element.h"

#include <stdio.h>

#include "gateway/base/pointer.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/plan.h"
#include "gateway/http/stencil.h"

/* The only source of an `each` is the item: blueprint.c has seen to it. */
static bool fill(void *data, const sheaf_hole_t *hole, sheaf_pool_t *pool, sheaf_filling_t *ret_filling)
{
    const sheaf_element_t *element = data;

    *ret_filling = (sheaf_filling_t){element->text, element->is_json};
    if (hole->path.len == 0)
        return true;
    return element->is_json && sheaf_pointer_find(element->text, hole->path, pool, &ret_filling->text);
}

typedef struct maker {
    sheaf_element_t element;
    sheaf_pool_t *pool;
    sheaf_draft_t *draft;
} maker_t;

/* Absent when the stencil is, or when something was wrong before or is now. */
static sheaf_str_t make(maker_t *maker, const sheaf_stencil_t *stencil, size_t limit_bytes)
{
    sheaf_str_t text = SHEAF_STR_NONE;
    sheaf_fail_t fail;

    if (stencil == NULL || maker->draft->err != SHEAF_OK)
        return text;
    maker->draft->err = sheaf_stencil_fill(stencil, fill, &maker->element, limit_bytes, maker->pool, &text, &fail);
    if (maker->draft->err != SHEAF_OK)
        snprintf(maker->draft->detail, sizeof(maker->draft->detail), "%.*s", (int)sizeof(maker->draft->detail) - 1,
                 fail.detail);
    return text;
}

static void make_headers(maker_t *maker, const sheaf_fields_t *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        sheaf_str_t value = make(maker, fields->items[i].value, SHEAF_ITEM_HEADERS_MAX);

        if (value.base != NULL)
            sheaf_headers_add(&maker->draft->headers, maker->pool, fields->items[i].name, value);
    }
}

void sheaf_element_draft(const sheaf_endpoint_conf_t *endpoint, const sheaf_element_t *element, sheaf_pool_t *pool,
                         sheaf_draft_t *draft)
{
    const sheaf_each_conf_t *each = &endpoint->each;
    maker_t maker = {*element, pool, draft};

    draft->method = each->method;
    draft->id = make(&maker, each->id, SHEAF_ITEM_URL_MAX);
    draft->url = make(&maker, each->url, SHEAF_ITEM_URL_MAX);
    make_headers(&maker, &each->headers);
    draft->body = make(&maker, each->body, endpoint->max_body_bytes);
    draft->has_body = draft->body_is_json = draft->body.base != NULL;
}
