/* codec/json_item.c - one item of a JSON batch: its members, its edges, its body. */
#include "gateway/base/base64.h"
#include "gateway/batch/ids.h"
#include "gateway/codec/json_reader.h"
#include "gateway/codec/word.h"

/* --- the members of an item --- */

static sheaf_err_t item_id(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_string(reader, "id", value, &reader->draft.id);
}

static sheaf_err_t item_method(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_string(reader, "method", value, &reader->draft.method);
}

static sheaf_err_t item_url(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_string(reader, "url", value, &reader->draft.url);
}

static sheaf_err_t item_headers(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_headers(reader, value, &reader->draft.headers, &reader->content_type);
}

static sheaf_err_t item_body(sheaf_reader_t *reader, sheaf_json_t value)
{
    reader->body = value;
    return SHEAF_OK;
}

static sheaf_err_t item_body_encoding(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t word;
    sheaf_err_t err = sheaf_reader_string(reader, "bodyEncoding", value, &word);

    if (err != SHEAF_OK)
        return err;
    if (sheaf_str_eq(word, SHEAF_STR("base64"))) {
        reader->is_base64 = true;
        return SHEAF_OK;
    }
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"bodyEncoding\" takes \"base64\"");
    return sheaf_reader_locate(reader, sheaf_reader_at("bodyEncoding", value));
}

/* A number or a string. */
static bool take_status(sheaf_reader_t *reader, sheaf_json_t value, uint16_t *ret_status)
{
    return sheaf_word_status(sheaf_reader_is(value, SHEAF_JSON_STRING) ? sheaf_json_string(value, reader->pool) : value,
                             ret_status);
}

static sheaf_err_t edge_statuses(sheaf_reader_t *reader, sheaf_reader_place_t place, sheaf_json_t value,
                                 sheaf_edge_t *edge)
{
    sheaf_json_iter_t iter;
    sheaf_json_t element;
    uint16_t *statuses;

    place.at = value.base;
    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return sheaf_reader_wrong_type(reader, place, "\"status\" as an array such as [\"2xx\", 409]");
    statuses = sheaf_pool_alloc(reader->pool, value.len * sizeof(*statuses));
    iter = sheaf_json_iter(value);
    while (sheaf_json_next_element(&iter, &element)) {
        place.at = element.base;
        if (!take_status(reader, element, &statuses[edge->status_count++]))
            return sheaf_reader_wrong_type(reader, place, "statuses such as \"2xx\" or 409");
    }
    edge->statuses = edge->status_count > 0 ? statuses : NULL;
    return SHEAF_OK;
}

static sheaf_err_t edge_member(sheaf_reader_t *reader, sheaf_reader_place_t place, sheaf_json_t name,
                               sheaf_json_t value, sheaf_edge_t *edge)
{
    sheaf_str_t word = sheaf_json_string(name, reader->pool);

    if (sheaf_str_eq(word, SHEAF_STR("id")) && sheaf_reader_is(value, SHEAF_JSON_STRING)) {
        edge->id = sheaf_json_string(value, reader->pool);
        return SHEAF_OK;
    }
    if (sheaf_str_eq(word, SHEAF_STR("status")))
        return sheaf_reader_is(value, SHEAF_JSON_NULL) ? SHEAF_OK : edge_statuses(reader, place, value, edge);
    place.at = name.base;
    return sheaf_reader_wrong_type(reader, place, "ids, or objects with \"id\" (a string) and \"status\"");
}

/* "a", or {"id":"a","status":["2xx",409]}. */
static sheaf_err_t add_dependency(sheaf_reader_t *reader, sheaf_json_t value, sheaf_edge_t *edge, uint32_t at)
{
    sheaf_reader_place_t place = sheaf_reader_at("dependsOn", value);
    sheaf_json_iter_t iter;
    sheaf_json_t name, member;
    sheaf_err_t err = SHEAF_OK;

    place.index = at;
    if (sheaf_reader_is(value, SHEAF_JSON_STRING)) {
        edge->id = sheaf_json_string(value, reader->pool);
        return SHEAF_OK;
    }
    if (!sheaf_reader_is(value, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, place,
                                       "an array of ids as strings, or of objects with \"id\" and \"status\"");
    iter = sheaf_json_iter(value);
    while (err == SHEAF_OK && sheaf_json_next_member(&iter, &name, &member))
        err = edge_member(reader, place, name, member, edge);
    if (err == SHEAF_OK && edge->id.base == NULL)
        return sheaf_reader_wrong_type(reader, place, "objects that have an \"id\"");
    return err;
}

static sheaf_err_t item_depends_on(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_json_iter_t iter;
    sheaf_json_t element;
    sheaf_edge_t *edges;
    uint32_t count = 0;

    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("dependsOn", value), "an array of ids");
    for (iter = sheaf_json_iter(value); sheaf_json_next_element(&iter, &element); count++)
        ;
    edges = sheaf_pool_zalloc(reader->pool, (count + 1) * sizeof(*edges));
    iter = sheaf_json_iter(value);
    for (uint32_t i = 0; sheaf_json_next_element(&iter, &element); i++) {
        sheaf_err_t err = add_dependency(reader, element, &edges[i], i);

        if (err != SHEAF_OK)
            return err;
    }
    reader->draft.depends_on = edges;
    reader->draft.depends_on_count = count;
    return SHEAF_OK;
}

static sheaf_err_t item_for_each(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_string(reader, "forEach", value, &reader->draft.for_each);
}

/* Who runs for each element of an item's answer depends on that item, whether it says so or not. */
static void depend_on_array(sheaf_reader_t *reader)
{
    sheaf_draft_t *draft = &reader->draft;
    sheaf_str_t rest = draft->for_each, id = sheaf_str_cut(&rest, '.');
    sheaf_edge_t *edges;

    if (draft->for_each.base == NULL)
        return;
    for (uint32_t i = 0; i < draft->depends_on_count; i++)
        if (sheaf_str_eq(draft->depends_on[i].id, id))
            return;
    edges = sheaf_pool_zalloc(reader->pool, (draft->depends_on_count + 1) * sizeof(*edges));
    if (draft->depends_on_count > 0)
        memcpy(edges, draft->depends_on, draft->depends_on_count * sizeof(*edges));
    edges[draft->depends_on_count++].id = id;
    draft->depends_on = edges;
}

static sheaf_err_t item_timeout(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_timeout(reader, value, &reader->draft.timeout_ms);
}

static sheaf_err_t item_atomicity_group(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t group = SHEAF_STR("");
    sheaf_err_t err = sheaf_reader_string(reader, "atomicityGroup", value, &group);

    reader->draft.is_in_change_set = true;
    if (err == SHEAF_OK)
        reader->draft.group = group;
    reader->draft.set = sheaf_ids_hash(group) | 1; /* only neighbours are compared: a nested answer in multipart */
    return err;
}

static sheaf_err_t item_if(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t condition;

    reader->draft.has_condition = true;
    return sheaf_reader_string(reader, "if", value, &condition);
}

static const sheaf_reader_member_t item_members[] = {
    {{"id", 2}, item_id, false},
    {{"method", 6}, item_method, false},
    {{"url", 3}, item_url, false},
    {{"headers", 7}, item_headers, false},
    {{"body", 4}, item_body, true},
    {{"dependsOn", 9}, item_depends_on, false},
    {{"forEach", 7}, item_for_each, false},
    {{"timeout", 7}, item_timeout, false},
    {{"bodyEncoding", 12}, item_body_encoding, false},
    {{"atomicityGroup", 14}, item_atomicity_group, false},
    {{"if", 2}, item_if, false},
};

/* --- an item's body --- */

static void item_refuse_body(sheaf_reader_t *reader, const char *why)
{
    reader->draft.err = SHEAF_ERR_ITEM_BODY;
    snprintf(reader->draft.detail, sizeof(reader->draft.detail), "%s", why);
}

/* `body: null` is a value to send only where JSON is sent at all; elsewhere null counts as absent. */
static bool is_absent_body(const sheaf_reader_t *reader, bool is_json)
{
    sheaf_str_t method = reader->draft.method;

    if (reader->body.base == NULL)
        return true;
    if (!sheaf_reader_is(reader->body, SHEAF_JSON_NULL))
        return false;
    if (!is_json || method.base == NULL)
        return true;
    return sheaf_str_ieq(method, SHEAF_STR("GET")) || sheaf_str_ieq(method, SHEAF_STR("HEAD"));
}

static void decode_body(sheaf_reader_t *reader)
{
    sheaf_str_t text;

    if (!sheaf_reader_is(reader->body, SHEAF_JSON_STRING)) {
        item_refuse_body(reader, "a body of this type, or with bodyEncoding base64, must be a base64 string");
        return;
    }
    text = sheaf_json_string(reader->body, reader->pool);
    if (!sheaf_base64_decode(reader->pool, text, &reader->draft.body))
        item_refuse_body(reader, "the body is not valid base64");
}

static void finish_body(sheaf_reader_t *reader)
{
    sheaf_str_t type = reader->content_type.base != NULL ? reader->content_type : reader->default_type;
    sheaf_media_kind_t kind = type.base != NULL ? sheaf_media_kind(type) : SHEAF_MEDIA_JSON;
    bool is_json = kind == SHEAF_MEDIA_JSON && !reader->is_base64;

    if (is_absent_body(reader, is_json))
        return;
    reader->draft.has_body = true;
    reader->draft.body_is_json = is_json && type.base == NULL;
    reader->draft.body_is_value = is_json;
    if (is_json)
        reader->draft.body = reader->body;
    else if (reader->is_base64 || kind == SHEAF_MEDIA_BINARY)
        decode_body(reader);
    else if (sheaf_reader_is(reader->body, SHEAF_JSON_STRING))
        reader->draft.body = sheaf_json_string(reader->body, reader->pool);
    else
        item_refuse_body(reader, "a body of a text type must be a string");
}

sheaf_err_t sheaf_reader_item(sheaf_reader_t *reader, sheaf_json_t item)
{
    sheaf_err_t err;

    memset(&reader->draft, 0, sizeof(reader->draft));
    reader->body = reader->content_type = SHEAF_STR_NONE;
    reader->is_base64 = false;
    if (!sheaf_reader_is(item, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at(NULL, item), "an item as an object");
    if ((err = sheaf_reader_members(reader, item, item_members, SHEAF_COUNT(item_members))) != SHEAF_OK)
        return err;
    if (reader->draft.url.base == NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the item has no \"url\"");
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, item));
    }
    depend_on_array(reader);
    finish_body(reader);
    return SHEAF_OK;
}
