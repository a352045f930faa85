/* codec/aggregate_in.c - the request to an aggregate: what the configuration says is asked, with what the request
 * supplies filled in.
 *
 *   ${params.x}   a segment of the path, percent-decoded       ${headers.x}  a field, the first of that name
 *   ${query.x}    the first value of that name, decoded        ${body/...}   a value of the JSON body
 *
 * What is missing is the fault of its item alone. Nothing that is supplied is more than data where it lands: the stencil
 * takes care of that. */
#include "gateway/base/pointer.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/plan.h"
#include "gateway/codec/json_reader.h"
#include "gateway/http/query.h"
#include "gateway/http/stencil.h"
#include "gateway/http/template.h"

#define MADE_BODY_SPARE (64u * 1024u) /* what an item's body may have besides what the request brings */

typedef struct supply {
    sheaf_batch_t *batch;
    sheaf_json_t body; /* absent when none was sent */
    sheaf_fail_t *fail;
} supply_t;

/* --- what fills a hole --- */

/* What is malformed stands for itself. */
static sheaf_str_t decoded(sheaf_str_t encoded, bool plus_is_space, sheaf_pool_t *pool)
{
    sheaf_str_t text;

    return sheaf_query_decode(encoded, plus_is_space, pool, &text) ? text : encoded;
}

static bool find_param(const sheaf_batch_t *batch, sheaf_str_t name, sheaf_pool_t *pool, sheaf_str_t *ret_text)
{
    const sheaf_outer_t *outer = batch->outer;
    uint32_t place = sheaf_template_param(batch->endpoint->path, name);

    if (place >= outer->param_count) /* also SHEAF_TEMPLATE_NO_PARAM */
        return false;
    *ret_text = decoded(outer->params[place], false, pool);
    return true;
}

static bool find_query(const sheaf_outer_t *outer, sheaf_str_t name, sheaf_pool_t *pool, sheaf_str_t *ret_text)
{
    sheaf_str_t encoded;

    if (!sheaf_query_find(outer->query, name, &encoded))
        return false;
    *ret_text = decoded(encoded, true, pool);
    return true;
}

/* What only the gateway itself may say about the client is not read from the client. */
static bool find_header(const sheaf_outer_t *outer, sheaf_str_t name, sheaf_str_t *ret_text)
{
    for (uint32_t i = 0; i < outer->headers->count; i++) {
        const sheaf_header_t *header = &outer->headers->entries[i];

        if (!sheaf_str_ieq(header->name, name))
            continue;
        if (sheaf_header_classify(header->name) & (SHEAF_HEADER_TRUST | SHEAF_HEADER_HOP_BY_HOP))
            return false;
        *ret_text = header->value;
        return true;
    }
    return false;
}

static bool fill(void *data, const sheaf_hole_t *hole, sheaf_pool_t *pool, sheaf_filling_t *ret_filling)
{
    const supply_t *supply = data;
    const sheaf_outer_t *outer = supply->batch->outer;

    ret_filling->is_json = sheaf_str_eq(hole->source, SHEAF_STR("body"));
    if (ret_filling->is_json)
        return supply->body.base != NULL && sheaf_pointer_find(supply->body, hole->path, pool, &ret_filling->text);
    if (sheaf_str_eq(hole->source, SHEAF_STR("params")))
        return find_param(supply->batch, hole->path, pool, &ret_filling->text);
    if (sheaf_str_eq(hole->source, SHEAF_STR("query")))
        return find_query(outer, hole->path, pool, &ret_filling->text);
    return sheaf_str_eq(hole->source, SHEAF_STR("headers")) && find_header(outer, hole->path, &ret_filling->text);
}

/* --- an item --- */

static bool has_data(const sheaf_stencil_t *stencil)
{
    for (uint32_t i = 0; i < stencil->count; i++)
        if (stencil->pieces[i].hole != NULL && !stencil->pieces[i].hole->is_reference)
            return true;
    return false;
}

/* An If-Match of $ID stands for the ETag of that item: for the configuration to say, not for the request. */
static sheaf_err_t check_etag(const supply_t *supply, const sheaf_field_conf_t *field, sheaf_str_t value)
{
    bool is_condition =
        sheaf_str_eq(field->name, SHEAF_STR("if-match")) || sheaf_str_eq(field->name, SHEAF_STR("if-none-match"));

    if (!is_condition || !field->value->is_scanned || !sheaf_str_starts(value, SHEAF_STR("$")) ||
        sheaf_str_starts(value, SHEAF_STR("${")) || !has_data(field->value))
        return SHEAF_OK;
    return sheaf_fail(supply->fail, SHEAF_ERR_ITEM_DATA, "what fills %.*s is no entity tag",
                      SHEAF_STR_ARG(field->name));
}

static sheaf_err_t fill_headers(supply_t *supply, const sheaf_fields_t *fields, sheaf_draft_t *draft)
{
    sheaf_pool_t *pool = supply->batch->pool;
    sheaf_err_t err = SHEAF_OK;
    sheaf_str_t value;

    for (uint32_t i = 0; i < fields->count && err == SHEAF_OK; i++) {
        err = sheaf_stencil_fill(fields->items[i].value, fill, supply, SHEAF_ITEM_HEADERS_MAX, pool, &value,
                                 supply->fail);
        if (err == SHEAF_OK)
            err = check_etag(supply, &fields->items[i], value = sheaf_str_trim(value));
        if (err == SHEAF_OK)
            sheaf_headers_add(&draft->headers, pool, fields->items[i].name, value);
    }
    return err;
}

static sheaf_err_t fill_body(supply_t *supply, const sheaf_stencil_t *body, sheaf_draft_t *draft)
{
    size_t limit_bytes = (size_t)supply->batch->endpoint->max_body_bytes + MADE_BODY_SPARE;

    if (body == NULL)
        return SHEAF_OK;
    draft->has_body = draft->body_is_json = draft->body_is_value = true;
    return sheaf_stencil_fill(body, fill, supply, limit_bytes, supply->batch->pool, &draft->body, supply->fail);
}

static sheaf_err_t fill_draft(supply_t *supply, const sheaf_item_conf_t *conf, sheaf_draft_t *draft)
{
    sheaf_err_t err =
        sheaf_stencil_fill(conf->url, fill, supply, SHEAF_ITEM_URL_MAX, supply->batch->pool, &draft->url, supply->fail);

    if (err != SHEAF_OK)
        draft->url = SHEAF_STR("/"); /* results name one */
    if (err == SHEAF_OK)
        err = fill_headers(supply, &conf->headers, draft);
    return err == SHEAF_OK ? fill_body(supply, conf->body, draft) : err;
}

static void take_edges(sheaf_pool_t *pool, const sheaf_edges_t *edges, sheaf_draft_t *draft)
{
    sheaf_edge_t *copies;

    if (edges->count == 0)
        return;
    copies = sheaf_pool_zalloc(pool, edges->count * sizeof(*copies));
    for (uint32_t i = 0; i < edges->count; i++) {
        copies[i].id = edges->items[i].id;
        copies[i].statuses = edges->items[i].statuses;
        copies[i].status_count = edges->items[i].status_count;
    }
    draft->depends_on = copies;
    draft->depends_on_count = edges->count;
}

static sheaf_err_t add_item(supply_t *supply, const sheaf_item_conf_t *conf)
{
    sheaf_draft_t draft = {.id = conf->id, .method = conf->method, .timeout_ms = conf->timeout_ms};

    draft.for_each = conf->forEach;
    take_edges(supply->batch->pool, &conf->dependsOn, &draft);
    draft.err = fill_draft(supply, conf, &draft);
    if (draft.err != SHEAF_OK) {
        draft.has_body = false;
        snprintf(draft.detail, sizeof(draft.detail), "%.*s", (int)sizeof(draft.detail) - 1, supply->fail->detail);
        draft.detail[sheaf_utf8_valid_prefix(sheaf_str_of(draft.detail))] = '\0';
    }
    return sheaf_batch_add(supply->batch, &draft, supply->fail);
}

/* --- the request --- */

/* Whatever is sent must be JSON: what a browser may send across sites without asking is not. */
static sheaf_err_t check_body(const sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_str_t type = batch->outer->content_type;

    if (type.base != NULL && sheaf_media_kind(type) != SHEAF_MEDIA_JSON)
        return sheaf_fail(fail, SHEAF_ERR_MEDIA_TYPE, "supported: application/json");
    if (type.base == NULL && body.len > 0)
        return sheaf_fail(fail, SHEAF_ERR_MEDIA_TYPE,
                          "the request does not say what its body is; supported: "
                          "application/json");
    return type.base == NULL ? SHEAF_OK : sheaf_json_check(body, SHEAF_READER_MAX_DEPTH, fail);
}

static sheaf_err_t take_body(supply_t *supply, sheaf_str_t body)
{
    sheaf_str_t method = supply->batch->endpoint->method;
    sheaf_err_t err;

    if (!sheaf_method_takes_body(method))
        return body.len == 0 ? SHEAF_OK
                             : sheaf_fail(supply->fail, SHEAF_ERR_BAD_REQUEST, "a request with %.*s takes no body here",
                                          SHEAF_STR_ARG(method));
    err = check_body(supply->batch, body, supply->fail);
    if (err == SHEAF_OK && body.len > 0)
        supply->body = sheaf_json_root(body);
    return err;
}

static sheaf_err_t aggregate_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    const sheaf_endpoint_conf_t *endpoint = batch->endpoint;
    sheaf_fail_t unasked;
    supply_t supply = {.batch = batch, .fail = fail != NULL ? fail : &unasked};
    sheaf_err_t err = take_body(&supply, body);

    if (endpoint->response == SHEAF_RESPONSE_MERGE)
        batch->prefer.returns = SHEAF_RETURN_UNSAID; /* the bodies are the answer */
    for (uint32_t i = 0; i < endpoint->items.count && err == SHEAF_OK; i++)
        err = add_item(&supply, &endpoint->items.items[i]);
    return err == SHEAF_OK ? sheaf_batch_seal(batch, supply.fail) : err;
}

const sheaf_decoder_t sheaf_aggregate_in = {.name = "aggregate", .decode = aggregate_decode};
