/* codec/merge_out.c - the items of an aggregate as one JSON object, a member for each (response: merge).
 *
 *   {"user":{"id":7},"lastOrders":[]}      200, Sheaf-Complete: false (the second is a fallback)
 *
 * A part succeeds with 2xx. Its body stands verbatim where it is valid JSON, as a string where it is text, else as
 * {"bodyEncoding":"base64","contentType":...,"body":...}; null where there is none. For a part that failed stands its
 * fallback; where it is required there is no answer but 502. */
#include "gateway/codec/codec.h"
#include "gateway/codec/json_result.h"
#include "gateway/codec/text.h"
#include "gateway/http/cache_control.h"
#include "gateway/http/stencil.h"

#define VARY_MOST 32 /* names; more is as good as * */

/* The items of the configuration come first in the batch, in their order, and nothing else does. */
static const sheaf_item_conf_t *conf_of(const sheaf_item_t *item)
{
    return &item->batch->endpoint->items.items[item->index];
}

static bool has_succeeded(const sheaf_item_t *item)
{
    return item->status / 100 == 2;
}

static bool is_complete(const sheaf_batch_t *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (!has_succeeded(sheaf_batch_item(batch, i)))
            return false;
    return true;
}

/* --- a part without which there is no answer --- */

static bool merge_refuses(const sheaf_item_t *item, sheaf_fail_t *fail)
{
    int room = (int)sizeof(fail->item) - 1;

    if (has_succeeded(item) || !conf_of(item)->required)
        return false;
    sheaf_fail(fail, SHEAF_ERR_PART_FAILED, "the required part \"%.*s\" failed with status %u%s%.*s",
               SHEAF_STR_ARG(item->id), item->status, item->detail.len > 0 ? ": " : "", SHEAF_STR_ARG(item->detail));
    snprintf(fail->item, sizeof(fail->item), "%.*s", (int)item->id.len < room ? (int)item->id.len : room,
             item->id.base);
    return true;
}

/* --- caching --- */

/* Who does not say how long it is fresh, and who failed, may not be stored: a cache would keep what is missing. Nor may
 * what changes something: it would change nothing the next time. */
static bool may_be_stored(const sheaf_item_t *item)
{
    sheaf_str_t method = item->exchange.method;

    return has_succeeded(item) && (sheaf_str_eq(method, SHEAF_STR("GET")) || sheaf_str_eq(method, SHEAF_STR("HEAD")));
}

/* What goes for the part alone is said, so that it outlives the others: what another part permits shared caches (RFC 9111
 * 3.5) is not for what this client's credentials brought. */
static void spell_out(const sheaf_item_t *item, sheaf_cache_control_t *part)
{
    if (sheaf_headers_find(item->batch->outer->headers, SHEAF_STR("authorization")) != NULL)
        sheaf_cache_control_authorize(part);
    if (sheaf_headers_find(&item->answer, SHEAF_STR("expires")) != NULL)
        sheaf_cache_control_expire(part);
}

static void join_cache_control(sheaf_cache_control_t *all, const sheaf_item_t *item)
{
    sheaf_cache_control_t part = {0};
    const sheaf_header_t *age = sheaf_headers_find(&item->answer, SHEAF_STR("age"));

    for (uint32_t i = 0; i < item->answer.count; i++)
        if (sheaf_str_eq(item->answer.entries[i].name, SHEAF_STR("cache-control")))
            sheaf_cache_control_read(item->answer.entries[i].value, &part);
    if (age != NULL)
        sheaf_cache_control_age(age->value, &part);
    spell_out(item, &part);
    sheaf_cache_control_join(all, may_be_stored(item) ? &part : NULL);
}

static sheaf_str_t cache_control_of(const sheaf_batch_t *batch, sheaf_pool_t *pool)
{
    sheaf_cache_control_t all = {0};
    char text[SHEAF_CACHE_CONTROL_MAX];

    if (!sheaf_str_eq(batch->endpoint->method, SHEAF_STR("GET")))
        return SHEAF_STR("no-store");
    for (uint32_t i = 0; i < batch->count; i++)
        join_cache_control(&all, sheaf_batch_item(batch, i));
    return sheaf_pool_dup(pool, sheaf_str(text, sheaf_cache_control_write(&all, text)));
}

typedef struct vary {
    sheaf_str_t names[VARY_MOST];
    uint32_t count;
    bool is_any;
} vary_t;

static void vary_by(vary_t *vary, sheaf_str_t name)
{
    for (uint32_t i = 0; i < vary->count; i++)
        if (sheaf_str_ieq(vary->names[i], name))
            return;
    vary->is_any = vary->is_any || vary->count == VARY_MOST || sheaf_str_eq(name, SHEAF_STR("*"));
    if (name.len > 0 && !vary->is_any)
        vary->names[vary->count++] = name;
}

/* What the parts say, and what the configuration reads besides: no backend knows of that. */
static void vary_by_stencil(vary_t *vary, const sheaf_stencil_t *stencil)
{
    for (uint32_t i = 0; stencil != NULL && i < stencil->count; i++) {
        const sheaf_hole_t *hole = stencil->pieces[i].hole;

        if (hole != NULL && !hole->is_reference && sheaf_str_eq(hole->source, SHEAF_STR("headers")))
            vary_by(vary, hole->path);
    }
}

static void vary_by_item(vary_t *vary, const sheaf_item_t *item)
{
    const sheaf_item_conf_t *conf = conf_of(item);

    vary_by_stencil(vary, conf->url);
    vary_by_stencil(vary, conf->body);
    for (uint32_t i = 0; i < conf->headers.count; i++)
        vary_by_stencil(vary, conf->headers.items[i].value);
    for (uint32_t i = 0; i < item->answer.count; i++) {
        sheaf_str_t rest = item->answer.entries[i].value;

        if (!sheaf_str_eq(item->answer.entries[i].name, SHEAF_STR("vary")))
            continue;
        while (rest.base != NULL)
            vary_by(vary, sheaf_str_trim(sheaf_str_cut(&rest, ',')));
    }
}

static sheaf_str_t vary_of(const sheaf_batch_t *batch, sheaf_pool_t *pool)
{
    sheaf_str_t text = SHEAF_STR("");
    vary_t vary = {.count = 0};

    for (uint32_t i = 0; i < batch->count; i++)
        vary_by_item(&vary, sheaf_batch_item(batch, i));
    if (vary.is_any)
        return SHEAF_STR("*");
    for (uint32_t i = 0; i < vary.count; i++)
        text =
            sheaf_pool_printf(pool, "%.*s%s%.*s", SHEAF_STR_ARG(text), i > 0 ? ", " : "", SHEAF_STR_ARG(vary.names[i]));
    return text;
}

static void merge_head(const sheaf_encode_t *encode, sheaf_pool_t *pool, sheaf_headers_t *ret_headers)
{
    const sheaf_batch_t *batch = encode->batch;
    sheaf_str_t vary = vary_of(batch, pool);

    sheaf_headers_add(ret_headers, pool, SHEAF_STR("cache-control"), cache_control_of(batch, pool));
    if (vary.len > 0)
        sheaf_headers_add(ret_headers, pool, SHEAF_STR("vary"), vary);
    sheaf_headers_add(ret_headers, pool, SHEAF_STR("sheaf-complete"),
                      is_complete(batch) ? SHEAF_STR("true") : SHEAF_STR("false"));
}

/* --- the document --- */

/* A coding that could not be undone must be told: nobody could read the bytes. */
static void put_coding(sheaf_pen_t *pen, const sheaf_header_t *coding)
{
    if (coding == NULL)
        return;
    SHEAF_PEN(pen, ",\"contentEncoding\":\"");
    sheaf_pen_json_field(pen, coding->value);
    sheaf_pen_byte(pen, '"');
}

static void put_base64(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    SHEAF_PEN(pen, "{\"bodyEncoding\":\"base64\",\"contentType\":");
    if (item->content_type.base == NULL) {
        SHEAF_PEN(pen, "null");
    } else {
        sheaf_pen_byte(pen, '"');
        sheaf_pen_json_field(pen, item->content_type);
        sheaf_pen_byte(pen, '"');
    }
    put_coding(pen, sheaf_headers_find(&item->answer, SHEAF_STR("content-encoding")));
    SHEAF_PEN(pen, ",\"body\":\"");
    sheaf_pen_base64(pen, item->body);
    SHEAF_PEN(pen, "\"}");
}

static void put_part(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    bool is_text = item->kind == SHEAF_MEDIA_TEXT || item->kind == SHEAF_MEDIA_XML;

    if (!has_succeeded(item) && conf_of(item)->fallback.base != NULL)
        sheaf_pen_put(pen, conf_of(item)->fallback);
    else if (!has_succeeded(item) || !sheaf_text_is_there(item))
        SHEAF_PEN(pen, "null");
    else if (item->kind == SHEAF_MEDIA_JSON && item->json_is_valid)
        sheaf_pen_buf(pen, item->body);
    else if (is_text && sheaf_text_is_utf8(item->body))
        sheaf_json_result_text(pen, item->body);
    else
        put_base64(pen, item);
}

static void merge_begin(sheaf_encode_t *encode)
{
    (void)encode;
}

static void merge_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    (void)item;
    encode->count++;
}

static void merge_end(sheaf_encode_t *encode)
{
    const sheaf_batch_t *batch = encode->batch;
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, 512);
    for (uint32_t i = 0; i < batch->count; i++) {
        const sheaf_item_t *item = sheaf_batch_item(batch, i);
        const sheaf_item_conf_t *conf = conf_of(item);

        sheaf_pen_put(&pen, i == 0 ? SHEAF_STR("{\"") : SHEAF_STR(",\""));
        sheaf_pen_json(&pen, conf->as.base != NULL ? conf->as : conf->id);
        SHEAF_PEN(&pen, "\":");
        put_part(&pen, item);
    }
    sheaf_pen_byte(&pen, '}');
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_merge_out = {
    .name = "merge",
    .content_type = "application/json",
    .lingers = true,
    .status = 200,
    .is_whole = true,
    .head = merge_head,
    .refuses = merge_refuses,
    .begin = merge_begin,
    .item = merge_item,
    .end = merge_end,
};
