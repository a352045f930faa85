#include "gateway/run/openapi.h"

#include <jansson.h>
#include <stdlib.h>

#include "gateway/codec/codec.h"
#include "gateway/http/problem.h"
#include "gateway/http/stencil.h"

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
    return json_pack("{s:s, s:[s], s:{s:o, s:{s:s, s:{s:[{s:s, s:s}, {s:s, s:i, s:i}]}}}}", "type", "object",
                     "required", "id", "properties", "id", text("The item that must have settled."), "status", "type",
                     "array", "items", "oneOf", "type", "string", "pattern", "^[1-5]xx$", "type", "integer", "minimum",
                     100, "maximum", 599);
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
    json_object_set_new(members, "item", text("The id of the item that it is about."));
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

/* --- what the dialects of other gateways speak --- */

static bool is_dialect(const sheaf_endpoint_conf_t *endpoint)
{
    return endpoint->dialect == SHEAF_DIALECT_APISIX || endpoint->dialect == SHEAF_DIALECT_TYK;
}

static json_t *some_object(const char *description)
{
    return json_pack("{s:s, s:s}", "type", "object", "description", description);
}

static json_t *apisix_schema(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *item = json_pack("{s:o, s:o, s:o, s:o, s:o}", "path", text("Path and query of a route."), "method",
                             text("GET when absent."), "query", some_object("Parameters of the query."), "headers",
                             some_object("Header fields."), "body", text("Sent as it is."));

    return json_pack("{s:s, s:[s], s:{s:o, s:o, s:o, s:{s:s, s:i, s:I, s:{s:s, s:o}}}}", "type", "object", "required",
                     "pipeline", "properties", "query", some_object("Of every item."), "headers",
                     some_object("Of every item."), "timeout", whole_number(1, "Milliseconds, of the whole batch."),
                     "pipeline", "type", "array", "minItems", 1, "maxItems", (json_int_t)endpoint->max_items, "items",
                     "type", "object", "properties", item);
}

static json_t *tyk_schema(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *item =
        json_pack("{s:o, s:o, s:o, s:o}", "relative_url", text("Path and query below the endpoint's base."), "method",
                  text("GET when absent."), "headers", some_object("Header fields."), "body", text("Sent as it is."));

    return json_pack("{s:s, s:{s:{s:s, s:s}, s:{s:s, s:I, s:{s:s, s:o}}}}", "type", "object", "properties",
                     "suppress_parallel_execution", "type", "boolean", "description", "One after another.", "requests",
                     "type", "array", "maxItems", (json_int_t)endpoint->max_items, "items", "type", "object",
                     "properties", item);
}

static json_t *dialect_results(const sheaf_endpoint_conf_t *endpoint)
{
    bool is_tyk = endpoint->dialect == SHEAF_DIALECT_TYK;
    json_t *members = json_pack("{s:o, s:o, s:{s:s}}", "headers", some_object("End-to-end header fields."), "body",
                                text("As the backend wrote it, or base64."), "bodyEncoding", "const", "base64");

    json_object_set_new(members, is_tyk ? "code" : "status",
                        whole_number(100, "HTTP status of the item's own answer."));
    if (is_tyk)
        json_object_set_new(members, "relative_url", text("Of the item."));
    else
        json_object_set_new(members, "reason", text("The phrase of the status."));
    return json_pack("{s:s, s:{s:s, s:o}}", "type", "array", "items", "type", "object", "properties", members);
}

static json_t *dialect_refusal(const sheaf_endpoint_conf_t *endpoint)
{
    const char *sentence = endpoint->dialect == SHEAF_DIALECT_TYK ? "message" : "error_msg";
    json_t *schema =
        json_pack("{s:s, s:[s,s], s:{s:o, s:o}}", "type", "object", "required", "type", sentence, "properties", "type",
                  json_pack("{s:o}", "enum", problem_types()), sentence, text("What is wrong in this case."));

    return json_pack("{s:s, s:{s:{s:o}, s:{s:o}}}", "description",
                     "The batch could not be understood: nothing was sent.", "content", "application/json", "schema",
                     schema, SHEAF_PROBLEM_MEDIA, "schema", ref("Problem"));
}

/* --- one endpoint --- */

/* The envelope, with the limits of the endpoint; a bare array of items is one too. */
static json_t *envelope_schema(const sheaf_endpoint_conf_t *endpoint)
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

static json_t *batch_schema(const sheaf_endpoint_conf_t *endpoint)
{
    if (endpoint->dialect == SHEAF_DIALECT_APISIX)
        return apisix_schema(endpoint);
    return endpoint->dialect == SHEAF_DIALECT_TYK ? tyk_schema(endpoint) : envelope_schema(endpoint);
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
    if (is_dialect(endpoint))
        return "200";
    return endpoint->status == SHEAF_STATUS_200 ? "200" : endpoint->status == SHEAF_STATUS_202 ? "202" : "207";
}

static json_t *problem_response(const char *description)
{
    json_t *problem =
        json_pack("{s:s, s:o}", "description", description, "content", content(SHEAF_PROBLEM_MEDIA, ref("Problem")));

    json_object_set_new(json_object_get(json_object_get(problem, "content"), SHEAF_PROBLEM_MEDIA), "schema",
                        ref("Problem"));
    return problem;
}

static json_t *merged_schema(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *members = json_object();

    for (uint32_t i = 0; i < endpoint->items.count; i++) {
        const sheaf_item_conf_t *item = &endpoint->items.items[i];
        sheaf_str_t name = item->as.base != NULL ? item->as : item->id;

        json_object_setn_new(members, name.base, name.len,
                             json_pack("{s:s}", "description",
                                       item->required ? "The body of a part that is always there."
                                                      : "The body of a part, or what stands in for one that failed."));
    }
    return json_pack("{s:s, s:o}", "type", "object", "properties", members);
}

static json_t *merged_responses(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *merged = json_pack("{s:s, s:o}", "description", "The bodies of all parts in one object.", "content",
                               content(sheaf_codec_encodable(endpoint), merged_schema(endpoint)));

    json_object_set_new(merged, "headers",
                        json_pack("{s:{s:s, s:{s:s}}}", "Sheaf-Complete", "description",
                                  "false when something stands in for a part that failed.", "schema", "type",
                                  "boolean"));
    return json_pack("{s:o, s:o, s:o}", "200", merged, "502",
                     problem_response("A part without which there is no answer failed: item is its id."), "default",
                     problem_response("The request could not be understood: nothing was sent."));
}

static bool is_merged(const sheaf_endpoint_conf_t *endpoint)
{
    return endpoint->kind == SHEAF_KIND_AGGREGATE && endpoint->response == SHEAF_RESPONSE_MERGE;
}

static json_t *results_of(const sheaf_endpoint_conf_t *endpoint)
{
    if (is_dialect(endpoint))
        return dialect_results(endpoint);
    if (endpoint->envelope != SHEAF_ENVELOPE_DATA)
        return ref("Results");
    return json_pack("{s:s, s:[s,s], s:{s:{s:i}, s:o}}", "type", "object", "required", "status", "data", "properties",
                     "status", "const", atoi(status_of(endpoint)), "data", ref("Results"));
}

static json_t *responses(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *results, *refusal;

    if (is_merged(endpoint))
        return merged_responses(endpoint);
    results = json_pack("{s:s, s:o}", "description",
                        "Every item's own status, headers and body. Items that failed are among them.", "content",
                        content(sheaf_codec_encodable(endpoint), results_of(endpoint)));
    refusal = is_dialect(endpoint) ? dialect_refusal(endpoint)
                                   : problem_response("The batch could not be understood: nothing was sent.");
    if (endpoint->status == SHEAF_STATUS_MIXED) /* any status may be that of all items */
        json_object_update_missing(json_object_get(refusal, "content"), json_object_get(results, "content"));
    return json_pack("{s:o, s:o}", status_of(endpoint), results, "default", refusal);
}

/* NULL when requests have none. */
static json_t *request_body(const sheaf_endpoint_conf_t *endpoint)
{
    const char *media = sheaf_codec_decodable(endpoint);
    json_t *schema = endpoint->kind == SHEAF_KIND_BULK        ? bulk_schema(endpoint)
                     : endpoint->kind == SHEAF_KIND_AGGREGATE ? json_object()
                                                              : batch_schema(endpoint);
    bool is_required = endpoint->kind == SHEAF_KIND_BATCH;

    if (*media != '\0')
        return json_pack("{s:b, s:o}", "required", is_required, "content", content(media, schema));
    json_decref(schema);
    return NULL;
}

/* --- parameters --- */

static json_t *ids_parameter(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:{s:s, s:{s:s}}}", "name", "ids", "in", "query", "description",
                     "The elements, instead of a body.", "style", "form", "explode", 0, "schema", "type", "array",
                     "items", "type", "string");
}

/* Names of headers have no case, others do. */
static bool is_parameter(const json_t *known, const char *in, sheaf_str_t name)
{
    sheaf_str_t its_name = sheaf_str_of(json_string_value(json_object_get(known, "name")));

    if (strcmp(json_string_value(json_object_get(known, "in")), in) != 0)
        return false;
    return strcmp(in, "header") == 0 ? sheaf_str_ieq(its_name, name) : sheaf_str_eq(its_name, name);
}

/* Each once; without a default anywhere it must be there. */
static void add_parameter(json_t *parameters, const char *in, sheaf_str_t name, bool is_required)
{
    json_t *known;
    size_t i;

    json_array_foreach(parameters, i, known)
    {
        if (!is_parameter(known, in, name))
            continue;
        if (is_required)
            json_object_set_new(known, "required", json_true());
        return;
    }
    json_array_append_new(parameters, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", name.base, name.len, "in", in,
                                                "required", is_required, "schema", "type", "string"));
}

static void add_path_parameters(json_t *parameters, sheaf_str_t path)
{
    while (path.base != NULL) {
        sheaf_str_t segment = sheaf_str_cut(&path, '/');

        if (segment.len > 2 && segment.base[0] == '{')
            add_parameter(parameters, "path", sheaf_str(segment.base + 1, segment.len - 2), true);
    }
}

static void add_supplied(json_t *parameters, const sheaf_stencil_t *stencil)
{
    for (uint32_t i = 0; stencil != NULL && i < stencil->count; i++) {
        const sheaf_hole_t *hole = stencil->pieces[i].hole;

        if (hole == NULL || hole->is_reference)
            continue;
        if (sheaf_str_eq(hole->source, SHEAF_STR("query")))
            add_parameter(parameters, "query", hole->path, hole->fallback.base == NULL);
        if (sheaf_str_eq(hole->source, SHEAF_STR("headers")))
            add_parameter(parameters, "header", hole->path, hole->fallback.base == NULL);
    }
}

static json_t *parameters_of(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *parameters = json_array();

    add_path_parameters(parameters, endpoint->path);
    if (endpoint->kind == SHEAF_KIND_BULK)
        json_array_append_new(parameters, ids_parameter());
    for (uint32_t i = 0; i < endpoint->items.count; i++) {
        const sheaf_item_conf_t *item = &endpoint->items.items[i];

        add_supplied(parameters, item->url);
        add_supplied(parameters, item->body);
        for (uint32_t k = 0; k < item->headers.count; k++)
            add_supplied(parameters, item->headers.items[k].value);
    }
    return parameters;
}

static const char *summary_of(const sheaf_endpoint_conf_t *endpoint)
{
    if (endpoint->kind == SHEAF_KIND_AGGREGATE)
        return "Many answers in one";
    return endpoint->kind == SHEAF_KIND_BULK ? "Many elements in one" : "Many requests in one";
}

static json_t *operation(const sheaf_endpoint_conf_t *endpoint)
{
    json_t *made = json_object(), *body = request_body(endpoint), *parameters = parameters_of(endpoint);

    json_object_set_new(made, "summary", json_string(summary_of(endpoint)));
    json_object_set_new(made, "description",
                        json_sprintf("At most %llu items and %llu bytes, %llu ms for all of them.",
                                     (unsigned long long)endpoint->max_items,
                                     (unsigned long long)endpoint->max_body_bytes,
                                     (unsigned long long)endpoint->timeout_ms));
    if (json_array_size(parameters) > 0)
        json_object_set(made, "parameters", parameters);
    if (body != NULL)
        json_object_set_new(made, "requestBody", body);
    json_object_set_new(made, "responses", responses(endpoint));
    json_decref(parameters);
    return made;
}

/* The member that holds an operation: a path item has places for seven methods that endpoints can have; others are
 * told as an extension, which is what OpenAPI 3.1 lets a document add. */
static json_t *member_name(sheaf_str_t method)
{
    static const char *const known[] = {"get", "put", "post", "delete", "head", "patch", "trace"};
    char name[33];
    size_t len = method.len < sizeof(name) ? method.len : sizeof(name) - 1;

    for (size_t i = 0; i < len; i++)
        name[i] = sheaf_lower(method.base[i]);
    for (size_t i = 0; i < SHEAF_COUNT(known); i++)
        if (sheaf_str_eq(sheaf_str(name, len), sheaf_str_of(known[i])))
            return json_string(known[i]);
    return json_sprintf("x-%.*s", (int)len, name);
}

/* Endpoints that share a path differ in their method. */
static void add_endpoint(json_t *paths, const sheaf_endpoint_conf_t *endpoint)
{
    json_t *item = json_object_getn(paths, endpoint->path.base, endpoint->path.len);
    json_t *name = member_name(endpoint->method);

    if (item == NULL) {
        item = json_object();
        json_object_setn_new(paths, endpoint->path.base, endpoint->path.len, item);
    }
    json_object_set_new(item, json_string_value(name), operation(endpoint));
    json_decref(name);
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
