#include "gateway/run/openapi.h"

#include <jansson.h>
#include <stdlib.h>

#include "gateway/codec/codec.h"
#include "gateway/http/problem.h"

/* --- schemas that all endpoints share --- */

static json_t *ref(const char *name)
{
    return json_pack("{s:s++}", "$ref", "#/components/schemas/", name, "");
}

/* What goes for every string that the configuration does not choose. */
static json_t *text(const char *description)
{
    return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

static json_t *whole_number(json_int_t least, const char *description)
{
    return json_pack("{s:s, s:I, s:s}", "type", "integer", "minimum", least, "description", description);
}

static json_t *one_of(const char *first, const char *second, const char *description)
{
    return json_pack("{s:[s,s], s:s}", "enum", first, second, "description", description);
}

static json_t *request_headers_schema(void)
{
    return json_pack("{s:s, s:{s:[{s:s}, {s:s, s:{s:s}}]}}", "type", "object", "additionalProperties", "oneOf", "type",
                     "string", "type", "array", "items", "type", "string");
}

static json_t *edge_schema(void)
{
    return json_pack("{s:[s], s:{s:o, s:{s:s, s:{s:[{s:s}, {s:s, s:i, s:i}]}}}}", "required", "id", "properties", "id",
                     text("The item that must have settled."), "status", "type", "array", "items", "oneOf", "pattern",
                     "^[1-5]xx$", "type", "integer", "minimum", 100, "maximum", 599);
}

static json_t *item_schema(void)
{
    json_t *members = json_object();

    json_object_set_new(members, "id", text("Names the item in the answer. Default: its index."));
    json_object_set_new(members, "method", text("GET when absent, in any case."));
    json_object_set_new(members, "url", text("Path and query of a route."));
    json_object_set_new(members, "headers", request_headers_schema());
    json_object_set_new(members, "body", json_pack("{s:s}", "description", "Any JSON value, or a string by the type."));
    json_object_set_new(members, "bodyEncoding", json_pack("{s:s}", "const", "base64"));
    json_object_set_new(
        members, "dependsOn",
        json_pack("{s:s, s:{s:[{s:s}, o]}}", "type", "array", "items", "oneOf", "type", "string", edge_schema()));
    json_object_set_new(members, "timeout", text("A duration such as 500ms or 2s."));
    json_object_set_new(members, "forEach",
                        text("Runs the item once per element of an array in the answer of another: list.body/items."));
    json_object_set_new(members, "atomicityGroup", text("A change set that the item is part of."));
    return json_pack("{s:s, s:[s], s:o}", "type", "object", "required", "url", "properties", members);
}

static json_t *result_schema(void)
{
    json_t *members = json_object();

    json_object_set_new(members, "id", text("Of the item."));
    json_object_set_new(members, "index", whole_number(0, "Of the element, in the answer to a bulk."));
    json_object_set_new(members, "atomicityGroup", text("Of the item, when it is part of a change set."));
    json_object_set_new(members, "status", whole_number(100, "HTTP status of the item's own answer."));
    json_object_set_new(members, "headers",
                        json_pack("{s:s, s:s}", "type", "object", "description", "End-to-end header fields."));
    json_object_set_new(members, "body",
                        json_pack("{s:s}", "description", "JSON as the backend wrote it, text, or base64."));
    json_object_set_new(members, "bodyEncoding", json_pack("{s:s}", "const", "base64"));
    json_object_set_new(members, "elapsedMs",
                        json_pack("{s:s, s:s}", "type", "number", "description", "From launch to answer."));
    json_object_set_new(members, "sameAs", text("With status 208: the id of the item that has the answer."));
    return json_pack("{s:s, s:[s,s,s], s:o}", "type", "object", "required", "id", "status", "headers", "properties",
                     members);
}

static json_t *results_schema(void)
{
    json_t *summary = json_object();

    json_object_set_new(summary, "total", whole_number(0, "Items of the batch."));
    json_object_set_new(summary, "succeeded", whole_number(0, "Items with a status below 400."));
    json_object_set_new(summary, "failed", whole_number(0, "Items with a status of 400 or more."));
    return json_pack("{s:s, s:[s,s], s:{s:{s:s, s:o}, s:{s:s, s:o}}}", "type", "object", "required", "responses",
                     "summary", "properties", "responses", "type", "array", "items", ref("Result"), "summary", "type",
                     "object", "properties", summary);
}

static json_t *problem_types(void)
{
    json_t *types = json_array();

    for (int err = SHEAF_OK + 1; err < SHEAF_ERR_COUNT; err++)
        if (sheaf_err_status((sheaf_err_t)err) != 0)
            json_array_append_new(types, json_pack("s++", "urn:sheaf:problem:", sheaf_err_slug((sheaf_err_t)err), ""));
    return types;
}

static json_t *problem_schema(void)
{
    json_t *members = json_object();

    json_object_set_new(members, "type", json_pack("{s:o}", "enum", problem_types()));
    json_object_set_new(members, "title", text("What the type means."));
    json_object_set_new(members, "status", whole_number(400, "The HTTP status."));
    json_object_set_new(members, "detail", text("What is wrong in this case."));
    json_object_set_new(members, "pointer", text("Where in the batch, as a JSON pointer (RFC 6901)."));
    json_object_set_new(members, "line", whole_number(1, "Line of the batch as sent."));
    json_object_set_new(members, "column", whole_number(1, "Column of the batch as sent, in characters."));
    return json_pack("{s:s, s:[s,s,s], s:o}", "type", "object", "required", "type", "title", "status", "properties",
                     members);
}

static json_t *components(void)
{
    return json_pack("{s:{s:o, s:o, s:o, s:o}}", "schemas", "Item", item_schema(), "Result", result_schema(), "Results",
                     results_schema(), "Problem", problem_schema());
}

/* --- one endpoint --- */

/* The envelope, with the limits of the endpoint; a bare array of items is one too. */
static json_t *batch_schema(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *items = json_pack("{s:s, s:I, s:o}", "type", "array", "maxItems", (json_int_t)endpoint->max_items, "items",
                              ref("Item"));
    json_t *members = json_object();

    json_object_set(members, "requests", items);
    json_object_set_new(members, "headers", request_headers_schema());
    json_object_set_new(members, "timeout", text("A duration such as 2s; the endpoint's if that is less."));
    json_object_set_new(members, "onError", one_of("continue", "stop", "What happens after a failed item."));
    json_object_set_new(members, "order", one_of("request", "completion", "Order of the results."));
    json_object_set_new(members, "repeat", one_of("full", "reported", "How a shared answer is given again."));
    json_object_set_new(
        members, "parallel",
        json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 1, "maximum", (json_int_t)endpoint->parallel));
    return json_pack("{s:[{s:s, s:[s], s:o}, o]}", "oneOf", "type", "object", "required", "requests", "properties",
                     members, items);
}

/* The elements, or an object that holds them. */
static json_t *bulk_schema(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *items = json_pack("{s:s, s:I}", "type", "array", "maxItems", (json_int_t)endpoint->max_items);
    json_t *object =
        json_pack("{s:s, s:[s], s:{s:O}}", "type", "object", "required", "items", "properties", "items", items);

    return json_pack("{s:[o, o]}", "oneOf", items, object);
}

/* {"application/json": {"schema": ...}, ...} of a list "a, b, c": formats that are not JSON have no schema. */
static json_t *content(const char *list, json_t *schema)
{
    json_t *media = json_object();
    sheaf_str_t rest = sheaf_str_of(list);

    while (rest.len > 0) {
        const char *comma = memchr(rest.base, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.base);
        bool is_json = sheaf_str_eq(sheaf_str(rest.base, len), SHEAF_STR("application/json"));

        json_object_setn_new(media, rest.base, len, is_json ? json_pack("{s:O}", "schema", schema) : json_object());
        len = comma == NULL ? len : len + 2;
        rest = sheaf_str(rest.base + len, rest.len - len);
    }
    json_decref(schema);
    return media;
}

static const char *status_of(const sheaf_endpoint_conf_t *endpoint)
{
    return endpoint->status == SHEAF_STATUS_200 ? "200" : endpoint->status == SHEAF_STATUS_202 ? "202" : "207";
}

static json_t *responses(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *results = json_pack("{s:s, s:o}", "description",
                                "Every item's own status, headers and body. Items that failed are among them.",
                                "content", content(sheaf_codec_encodable(endpoint), ref("Results")));
    json_t *problem = json_pack("{s:s, s:o}", "description", "The batch could not be understood: nothing was sent.",
                                "content", content(SHEAF_PROBLEM_MEDIA, ref("Problem")));

    json_object_set_new(json_object_get(json_object_get(problem, "content"), SHEAF_PROBLEM_MEDIA), "schema",
                        ref("Problem"));
    return json_pack("{s:o, s:o}", status_of(endpoint), results, "default", problem);
}

static json_t *request_body(const sheaf_endpoint_conf_t *endpoint)
{
    bool is_bulk = endpoint->kind == SHEAF_KIND_BULK;

    return json_pack(
        "{s:b, s:o}", "required", !is_bulk, "content",
        content(sheaf_codec_decodable(endpoint), is_bulk ? bulk_schema(endpoint) : batch_schema(endpoint)));
}

static json_t *ids_parameter(void)
{
    return json_pack("[{s:s, s:s, s:s, s:s, s:b, s:{s:s, s:{s:s}}}]", "name", "ids", "in", "query", "description",
                     "The elements, instead of a body.", "style", "form", "explode", 0, "schema", "type", "array",
                     "items", "type", "string");
}

static json_t *operation(const sheaf_endpoint_conf_t *endpoint)
{
    bool is_bulk = endpoint->kind == SHEAF_KIND_BULK;
    json_t *made = json_object();

    json_object_set_new(made, "summary", json_string(is_bulk ? "Many elements in one" : "Many requests in one"));
    json_object_set_new(made, "description",
                        json_sprintf("At most %llu items and %llu bytes, %llu ms for all of them.",
                                     (unsigned long long)endpoint->max_items,
                                     (unsigned long long)endpoint->max_body_bytes,
                                     (unsigned long long)endpoint->timeout_ms));
    if (is_bulk)
        json_object_set_new(made, "parameters", ids_parameter());
    json_object_set_new(made, "requestBody", request_body(endpoint));
    json_object_set_new(made, "responses", responses(endpoint));
    return made;
}

/* Endpoints that share a path differ in their method. */
static void add_endpoint(json_t *paths, const sheaf_endpoint_conf_t *endpoint)
{
    json_t *item = json_object_getn(paths, endpoint->path.base, endpoint->path.len);
    char method[33];
    size_t len = endpoint->method.len < sizeof(method) ? endpoint->method.len : sizeof(method) - 1;

    for (size_t i = 0; i < len; i++)
        method[i] = sheaf_lower(endpoint->method.base[i]);
    if (item == NULL) {
        item = json_object();
        json_object_setn_new(paths, endpoint->path.base, endpoint->path.len, item);
    }
    json_object_setn_new(item, method, len, operation(endpoint));
}

static json_t *document(const sheaf_snapshot_t *snapshot)
{
    json_t *paths = json_object();

    for (uint32_t i = 0; i < snapshot->conf.endpoints.count; i++)
        add_endpoint(paths, &snapshot->conf.endpoints.items[i]);
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:o}", "openapi", "3.1.0", "info", "title", "Batches of requests",
                     "version", SHEAF_VERSION, "paths", paths, "components", components());
}

bool sheaf_openapi_print(const sheaf_snapshot_t *snapshot, FILE *file)
{
    json_t *root = document(snapshot);
    bool is_ok = root != NULL && json_dumpf(root, file, JSON_INDENT(2)) == 0 && fputc('\n', file) != EOF;

    json_decref(root);
    return is_ok;
}
