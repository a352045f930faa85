#include "gateway/batch/expand.h"

#include <stdlib.h>

#include "gateway/batch/inherit.h"
#include "gateway/batch/lookup.h"
#include "gateway/batch/plan.h"
#include "gateway/batch/reference.h"
#include "gateway/http/sheet.h"

typedef struct expansion {
    sheaf_item_t *item;
    sheaf_fail_t *fail;
    sheaf_lookup_t lookup;
    sheaf_str_t query; /* of a Location, to go behind the path */
    sheaf_sheet_t sheet;
} expansion_t;

/* --- the url --- */

static sheaf_err_t put_location(expansion_t *expansion, const sheaf_reference_t *reference)
{
    sheaf_url_t url;
    sheaf_err_t err = sheaf_lookup_location(&expansion->lookup, reference, &url);

    if (err != SHEAF_OK)
        return err;
    sheaf_sheet_put(&expansion->sheet, url.path);
    expansion->query = url.query;
    return SHEAF_OK;
}

/* Puts the values in; `ends` takes for each reference in the path where its value ends. */
static sheaf_err_t put_url(expansion_t *expansion, size_t *ends, const sheaf_reference_t **whose, uint32_t *ret_count)
{
    bool in_query = false;

    for (const sheaf_piece_t *piece = expansion->item->recipe->url.first; piece != NULL; piece = piece->next) {
        sheaf_str_t value;
        sheaf_err_t err;

        if (piece->reference == NULL) {
            sheaf_sheet_put(&expansion->sheet, piece->text);
            in_query = in_query || (piece->text.len > 0 && memchr(piece->text.base, '?', piece->text.len) != NULL);
            continue;
        }
        if (piece->reference->kind == SHEAF_REFERENCE_LOCATION) {
            err = put_location(expansion, piece->reference);
        } else {
            err = sheaf_lookup_scalar(&expansion->lookup, piece->reference, &value);
            if (err == SHEAF_OK)
                sheaf_sheet_put_encoded(&expansion->sheet, value);
            if (!in_query) {
                whose[*ret_count] = piece->reference;
                ends[(*ret_count)++] = expansion->sheet.len;
            }
        }
        if (err != SHEAF_OK)
            return err;
    }
    if (expansion->query.base != NULL) {
        sheaf_sheet_put(&expansion->sheet, in_query ? SHEAF_STR("&") : SHEAF_STR("?"));
        sheaf_sheet_put(&expansion->sheet, expansion->query);
    }
    return SHEAF_OK;
}

static sheaf_err_t make_url(expansion_t *expansion)
{
    size_t ends[SHEAF_REFERENCES_MAX];
    const sheaf_reference_t *whose[SHEAF_REFERENCES_MAX];
    uint32_t count = 0;
    sheaf_err_t err;

    sheaf_sheet_begin(&expansion->sheet, SHEAF_ITEM_URL_MAX);
    err = put_url(expansion, ends, whose, &count);
    if (err != SHEAF_OK)
        return err;
    if (expansion->sheet.is_over)
        return sheaf_fail(expansion->fail, SHEAF_ERR_ITEM_URL, "the url with its values is longer than %u bytes",
                          SHEAF_ITEM_URL_MAX);
    for (uint32_t i = 0; i < count; i++)
        if (sheaf_url_names_nothing(sheaf_sheet_text(&expansion->sheet), ends[i]))
            return sheaf_lookup_fail(&expansion->lookup, whose[i],
                                     "found a value that makes a segment of the url empty, . or ..");
    expansion->item->url_text = sheaf_pool_dup(expansion->item->pool, sheaf_sheet_text(&expansion->sheet));
    return sheaf_plan_url(expansion->item, expansion->fail);
}

/* --- headers --- */

static sheaf_err_t make_value(expansion_t *expansion, const sheaf_template_t *value, sheaf_str_t *ret_text)
{
    sheaf_sheet_begin(&expansion->sheet, SHEAF_ITEM_HEADERS_MAX);
    for (const sheaf_piece_t *piece = value->first; piece != NULL; piece = piece->next) {
        sheaf_str_t text = piece->text;

        if (piece->reference != NULL) {
            sheaf_err_t err = sheaf_lookup_scalar(&expansion->lookup, piece->reference, &text);

            if (err != SHEAF_OK)
                return err;
            if (sheaf_header_value_span(text.base, text.len) < text.len)
                return sheaf_lookup_fail(&expansion->lookup, piece->reference, "found a value with control characters");
        }
        sheaf_sheet_put(&expansion->sheet, text);
    }
    if (expansion->sheet.is_over)
        return sheaf_fail(expansion->fail, SHEAF_ERR_ITEM_TOO_LARGE, "the headers are larger than 64 KiB");
    *ret_text = sheaf_pool_dup(expansion->item->pool, sheaf_sheet_text(&expansion->sheet));
    return SHEAF_OK;
}

static sheaf_err_t make_headers(expansion_t *expansion)
{
    sheaf_item_t *item = expansion->item;
    const struct sheaf_recipe *recipe = item->recipe;
    sheaf_headers_t made = {0};
    size_t len = 0;
    sheaf_err_t err = SHEAF_OK;

    for (uint32_t i = 0; i < recipe->headers.count && err == SHEAF_OK; i++) {
        sheaf_str_t value = recipe->headers.entries[i].value;

        if (recipe->values[i].first != NULL)
            err = make_value(expansion, &recipe->values[i], &value);
        len += value.len;
        if (err == SHEAF_OK && len > SHEAF_ITEM_HEADERS_MAX)
            err = sheaf_fail(expansion->fail, SHEAF_ERR_ITEM_TOO_LARGE, "the headers are larger than 64 KiB");
        sheaf_headers_add(&made, expansion->lookup.scratch, recipe->headers.entries[i].name, value);
    }
    if (err == SHEAF_OK)
        err = sheaf_inherit_own(item->pool, &made, &item->exchange.headers, expansion->fail);
    return err == SHEAF_OK ? sheaf_plan_own_headers(item, expansion->fail) : err;
}

/* --- the body --- */

static sheaf_err_t make_body(expansion_t *expansion)
{
    sheaf_item_t *item = expansion->item;

    sheaf_sheet_begin(&expansion->sheet, item->route->max_body_bytes);
    for (const sheaf_piece_t *piece = item->recipe->body.first; piece != NULL && !expansion->sheet.is_over;
         piece = piece->next) {
        sheaf_found_t value = {piece->text, true};

        if (piece->reference != NULL) {
            sheaf_err_t err = sheaf_lookup_value(&expansion->lookup, piece->reference, &value);

            if (err != SHEAF_OK)
                return err;
        }
        if (value.is_json)
            sheaf_sheet_put(&expansion->sheet, value.text);
        else
            sheaf_sheet_put_quoted(&expansion->sheet, value.text);
    }
    if (expansion->sheet.is_over)
        return sheaf_fail(expansion->fail, SHEAF_ERR_ITEM_TOO_LARGE,
                          "the body with its values is larger than the %llu bytes the route takes",
                          (unsigned long long)item->route->max_body_bytes);
    item->made_body = expansion->sheet.base;
    item->exchange.body = sheaf_sheet_text(&expansion->sheet);
    item->batch->reserved_bytes += expansion->sheet.len; /* until it is dropped */
    item->made_body_size = expansion->sheet.len;
    expansion->sheet = (sheaf_sheet_t){0};
    return SHEAF_OK;
}

/* --- the whole --- */

static sheaf_err_t make(expansion_t *expansion)
{
    sheaf_item_t *item = expansion->item;
    const struct sheaf_recipe *recipe = item->recipe;
    sheaf_err_t err = SHEAF_OK;

    if (recipe->url.first != NULL)
        err = make_url(expansion);
    if (err == SHEAF_OK && recipe->values != NULL)
        err = make_headers(expansion);
    if (err == SHEAF_OK && recipe->body.first != NULL)
        return make_body(expansion);
    return err == SHEAF_OK ? sheaf_plan_body_size(item, expansion->fail) : err;
}

sheaf_err_t sheaf_expand_item(sheaf_item_t *item, sheaf_fail_t *fail)
{
    expansion_t expansion = {.item = item, .fail = fail};
    sheaf_err_t err;

    sheaf_lookup_begin(&expansion.lookup, item, fail);
    err = make(&expansion);
    sheaf_sheet_fini(&expansion.sheet);
    sheaf_lookup_end(&expansion.lookup);
    return err;
}

sheaf_err_t sheaf_expand_array(sheaf_item_t *item, const sheaf_reference_t *array, sheaf_json_t *ret_array,
                               sheaf_fail_t *fail)
{
    sheaf_lookup_t lookup;
    sheaf_found_t value;
    sheaf_err_t err;

    sheaf_lookup_begin(&lookup, item, fail);
    err = sheaf_lookup_value(&lookup, array, &value);
    if (err == SHEAF_OK && sheaf_json_type(value.text) != SHEAF_JSON_ARRAY)
        err = sheaf_lookup_fail(&lookup, array, "found no array");
    *ret_array = value.text;
    if (err == SHEAF_OK && lookup.flats != NULL) { /* it lies in a copy that goes with the scratch */
        item->made_body = sheaf_alloc(value.text.len);
        memcpy(item->made_body, value.text.base, value.text.len);
        item->made_body_size = value.text.len;
        item->batch->reserved_bytes += value.text.len;
        *ret_array = sheaf_str(item->made_body, value.text.len);
    }
    sheaf_lookup_end(&lookup);
    return err;
}

/* Elements read through the item they come from: the last one to have read lets go for all. */
static void leave_whole(sheaf_item_t *element)
{
    sheaf_item_t *whole = sheaf_batch_item(element->batch, element->whole);

    if (element->has_left)
        return;
    element->has_left = true;
    if (--whole->inside > 0)
        return;
    sheaf_expand_leave(whole);
    sheaf_expand_drop(whole);
}

void sheaf_expand_leave(sheaf_item_t *item)
{
    if (item->is_element) {
        leave_whole(item);
        return;
    }
    for (uint32_t i = 0; i < item->depends_on_count; i++) {
        sheaf_edge_t *edge = &item->depends_on[i];

        if (!edge->is_read)
            continue;
        edge->is_read = false;
        sheaf_item_unread(sheaf_batch_item(item->batch, edge->blocker));
    }
}

void sheaf_expand_drop(sheaf_item_t *item)
{
    item->batch->reserved_bytes -= item->made_body_size;
    item->made_body_size = 0;
    free(item->made_body);
    item->made_body = NULL;
}
