#include "config/blueprint.h"

#include <stdlib.h>

#include "config/value.h"
#include "gateway/http/header.h"
#include "gateway/http/message.h"
#include "gateway/http/stencil.h"
#include "gateway/http/template.h"

#define ID_MAX 128

typedef struct check {
    sheaf_report_t *report;
    sheaf_pool_t *pool;
    const sheaf_yaml_t *node; /* the endpoint, or the item that is looked at */
    sheaf_endpoint_conf_t *endpoint;
    sheaf_item_conf_t *item; /* NULL: each */
} check_t;

/* Where a member is written; the section's own place when it is not. */
static sheaf_mark_t mark_of(const check_t *check, sheaf_str_t name)
{
    const sheaf_yaml_t *node = sheaf_yaml_get(check->node, name);

    return node != NULL ? node->mark : check->node->mark;
}

/* --- where values come from --- */

static sheaf_edge_conf_t *find_edge(const sheaf_item_conf_t *item, sheaf_str_t id)
{
    for (uint32_t i = 0; i < item->dependsOn.count; i++)
        if (sheaf_str_eq(item->dependsOn.items[i].id, id))
            return &item->dependsOn.items[i];
    return NULL;
}

/* body/POINTER, status and headers.NAME, as behind the id in a batch. */
static bool is_part(sheaf_str_t path)
{
    return sheaf_str_eq(path, SHEAF_STR("status")) || sheaf_str_eq(path, SHEAF_STR("body")) ||
           sheaf_str_starts(path, SHEAF_STR("body/")) ||
           (sheaf_str_starts(path, SHEAF_STR("headers.")) && path.len > sizeof("headers.") - 1);
}

static bool is_param(const check_t *check, sheaf_str_t name)
{
    sheaf_template_t template;

    if (sheaf_template_parse(check->pool, check->endpoint->path, &template, NULL) != SHEAF_OK)
        return true; /* told already */
    for (uint32_t i = 0; i < template.count; i++)
        if (template.segments[i].kind != SHEAF_SEGMENT_LITERAL && sheaf_str_eq(template.segments[i].text, name))
            return true;
    return false;
}

/* What says who the client is, and what only goes for the connection, is not for items. */
static bool is_withheld(const check_t *check, sheaf_str_t name)
{
    unsigned withheld = SHEAF_HEADER_TRUST | SHEAF_HEADER_HOP_BY_HOP | SHEAF_HEADER_FRAMING;

    return !sheaf_header_name_is_valid(name) ||
           (sheaf_header_classify(sheaf_header_lower(check->pool, name)) & withheld) != 0;
}

/* What the request supplies. NULL, or what is wrong with the hole; "" when the source is none of these. */
static const char *refuse_supply(const check_t *check, const sheaf_hole_t *hole)
{
    bool is_body = sheaf_str_eq(hole->source, SHEAF_STR("body"));

    if (is_body)
        return hole->is_named ? "`${body}` takes a JSON pointer: ${body/NAME}" : NULL;
    if (sheaf_str_eq(hole->source, SHEAF_STR("params"))) {
        if (!hole->is_named)
            return "`${params}` takes a name: ${params.NAME}";
        return is_param(check, hole->path) ? NULL : "the endpoint's path has no such parameter";
    }
    if (!sheaf_str_eq(hole->source, SHEAF_STR("query")) && !sheaf_str_eq(hole->source, SHEAF_STR("headers")))
        return "";
    if (sheaf_str_eq(hole->source, SHEAF_STR("headers")) && hole->is_named && is_withheld(check, hole->path))
        return "a header of the connection, or one that clients could lie in, is not passed on";
    return hole->is_named ? NULL : "`${query}` and `${headers}` take a name: ${query.NAME}";
}

static const char *refuse_reference(const check_t *check, sheaf_hole_t *hole)
{
    if (sheaf_str_eq(hole->source, SHEAF_STR("each")) && check->item->forEach.base != NULL)
        hole->is_reference = !hole->is_named;
    else if (find_edge(check->item, hole->source) != NULL)
        hole->is_reference = hole->is_named && is_part(hole->path);
    else
        return "the request supplies params, query, headers and body, and `dependsOn` lists no such item";
    if (!hole->is_reference)
        return "refer to ID.body/POINTER, ID.status or ID.headers.NAME, and with forEach to each/POINTER";
    if (hole->fallback.base != NULL)
        return "a reference to another item has no default";
    return hole->place == SHEAF_PLACE_STRING ? "within a longer text of a body no item can be referred to" : NULL;
}

static const char *refuse_hole(const check_t *check, sheaf_hole_t *hole)
{
    const char *why;

    if (check->item == NULL)
        return sheaf_str_eq(hole->source, SHEAF_STR("item")) && !hole->is_named
                   ? NULL
                   : "an element supplies ${item} and ${item/JSON/POINTER}";
    why = refuse_supply(check, hole);
    return why != NULL && *why == '\0' ? refuse_reference(check, hole) : why;
}

static void check_stencil(const check_t *check, sheaf_stencil_t *stencil, sheaf_mark_t mark)
{
    if (stencil == NULL)
        return;
    stencil->is_scanned = check->item != NULL && check->item->dependsOn.count > 0;
    for (uint32_t i = 0; i < stencil->count; i++) {
        sheaf_hole_t *hole = stencil->pieces[i].hole;
        const char *why = hole != NULL ? refuse_hole(check, hole) : NULL;

        if (why != NULL)
            sheaf_report_error(check->report, mark, "`${%.*s}`: %s", SHEAF_VALUE_ARG(hole->text), why);
    }
}

static void check_fields(const check_t *check, const sheaf_fields_t *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        check_stencil(check, fields->items[i].value, fields->items[i].mark);
}

static void check_body(const check_t *check, sheaf_str_t method, sheaf_stencil_t *body)
{
    check_stencil(check, body, mark_of(check, SHEAF_STR("body")));
    if (body != NULL && method.base != NULL && !sheaf_method_takes_body(method))
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("body")), "%.*s takes no body",
                           SHEAF_STR_ARG(method));
}

/* --- the elements of a bulk --- */

static void check_bulk(check_t *check)
{
    sheaf_endpoint_conf_t *endpoint = check->endpoint;
    sheaf_each_conf_t *each = &endpoint->each;
    const sheaf_yaml_t *node = sheaf_yaml_get(check->node, SHEAF_STR("each"));

    if (node == NULL || node->kind == SHEAF_YAML_NULL) {
        sheaf_report_error(check->report, node != NULL ? node->name_mark : check->node->mark,
                           "missing key `each` of this endpoint: a bulk says what an "
                           "element becomes");
        return;
    }
    if (each->method.base == NULL)
        each->method = endpoint->method;
    check->node = node;
    check_stencil(check, each->id, mark_of(check, SHEAF_STR("id")));
    check_stencil(check, each->url, mark_of(check, SHEAF_STR("url")));
    check_fields(check, &each->headers);
    check_body(check, each->method, each->body);
}

/* --- the items of an aggregate --- */

static const sheaf_item_conf_t *find_item(const sheaf_endpoint_conf_t *endpoint, sheaf_str_t id, uint32_t below)
{
    for (uint32_t i = 0; i < below; i++)
        if (sheaf_str_eq(endpoint->items.items[i].id, id))
            return &endpoint->items.items[i];
    return NULL;
}

static bool is_supply(sheaf_str_t id)
{
    static const char *const words[] = {"params", "query", "headers", "body", "each"};

    for (size_t i = 0; i < SHEAF_COUNT(words); i++)
        if (sheaf_str_eq(id, sheaf_str_of(words[i])))
            return true;
    return false;
}

static bool is_id(sheaf_str_t id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = sheaf_lower(id.base[i]);

        if (c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9'))
            return false;
    }
    return id.len > 0 && id.len <= ID_MAX;
}

static void check_id(const check_t *check, uint32_t index)
{
    sheaf_str_t id = check->item->id;
    const sheaf_item_conf_t *twin = find_item(check->endpoint, id, index);
    sheaf_mark_t mark = mark_of(check, SHEAF_STR("id"));

    if (id.base == NULL) /* told already */
        return;
    if (!is_id(id))
        sheaf_report_error(check->report, mark, "the id `%.*s` must be 1 to 128 letters, digits, `_` and `-`",
                           SHEAF_VALUE_ARG(id));
    else if (is_supply(id))
        sheaf_report_error(check->report, mark, "the id `%.*s` is what values of the request are called by",
                           SHEAF_VALUE_ARG(id));
    else if (twin != NULL)
        sheaf_report_error(check->report, mark, "the id `%.*s` is taken by the item in line %u", SHEAF_VALUE_ARG(id),
                           twin->mark.line);
}

static void check_edges(const check_t *check)
{
    const sheaf_edges_t *edges = &check->item->dependsOn;

    for (uint32_t i = 0; i < edges->count; i++) {
        const sheaf_edge_conf_t *edge = &edges->items[i];

        if (edge->id.base == NULL)
            continue;
        if (find_item(check->endpoint, edge->id, check->endpoint->items.count) == NULL)
            sheaf_report_error(check->report, edge->mark, "no item has the id `%.*s`", SHEAF_VALUE_ARG(edge->id));
        else if (find_edge(check->item, edge->id) != edge)
            sheaf_report_error(check->report, edge->mark, "`%.*s` stands twice", SHEAF_VALUE_ARG(edge->id));
    }
}

/* What the item is called in a merged answer. */
static sheaf_str_t name_of(const sheaf_item_conf_t *item)
{
    return item->as.base != NULL ? item->as : item->id;
}

static void check_merged(const check_t *check, uint32_t index)
{
    const sheaf_item_conf_t *items = check->endpoint->items.items;

    for (uint32_t i = 0; i < index && name_of(check->item).base != NULL; i++) {
        if (!sheaf_str_eq(name_of(&items[i]), name_of(check->item)) || sheaf_str_eq(items[i].id, check->item->id))
            continue;
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("as")),
                           "the member `%.*s` is what the item in line %u becomes",
                           SHEAF_VALUE_ARG(name_of(check->item)), items[i].mark.line);
        return;
    }
    if (check->item->forEach.base != NULL)
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("forEach")),
                           "`forEach` gives many answers, `response: merge` has one place for them");
}

static bool runs_on_edge(const sheaf_item_conf_t *item)
{
    sheaf_str_t rest = item->forEach;

    return find_edge(item, sheaf_str_cut(&rest, '.')) != NULL;
}

static void check_item(check_t *check, uint32_t index)
{
    sheaf_item_conf_t *item = check->item = &check->endpoint->items.items[index];

    check_id(check, index);
    check_edges(check);
    if (item->forEach.base != NULL && !runs_on_edge(item))
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("forEach")),
                           "`forEach` takes the answer of an item that `dependsOn` lists");
    check_stencil(check, item->url, mark_of(check, SHEAF_STR("url")));
    check_fields(check, &item->headers);
    check_body(check, item->method, item->body);
    if (check->endpoint->response == SHEAF_RESPONSE_MERGE)
        check_merged(check, index);
}

/* The items that each one waits for, by their indices, one after another; what is not there is left out. */
typedef struct waits {
    uint32_t *blockers; /* of item i: from starts[i] to starts[i + 1] */
    uint32_t *starts;
    bool *is_away;
} waits_t;

static void list_waits(const sheaf_endpoint_conf_t *endpoint, waits_t *waits)
{
    uint32_t count = endpoint->items.count, total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += endpoint->items.items[i].dependsOn.count;
    *waits = (waits_t){sheaf_alloc((total + 1) * sizeof(uint32_t)), sheaf_alloc((count + 1) * sizeof(uint32_t)),
                       sheaf_zalloc(count)};
    total = waits->starts[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        const sheaf_edges_t *edges = &endpoint->items.items[i].dependsOn;

        for (uint32_t k = 0; k < edges->count; k++) {
            const sheaf_item_conf_t *other = find_item(endpoint, edges->items[k].id, count);

            if (other != NULL)
                waits->blockers[total++] = (uint32_t)(other - endpoint->items.items);
        }
        waits->starts[i + 1] = total;
    }
}

/* What item `index` waits for and is not away; `none` when it is all away. */
static uint32_t blocker_of(const waits_t *waits, uint32_t index, uint32_t none)
{
    for (uint32_t k = waits->starts[index]; k < waits->starts[index + 1]; k++)
        if (!waits->is_away[waits->blockers[k]])
            return waits->blockers[k];
    return none;
}

/* Takes away what waits for nothing that is left, again and again. Returns the first that stays; `count` when none. */
static uint32_t take_away(const waits_t *waits, uint32_t count)
{
    uint32_t stays = 0;
    bool has_moved = true;

    while (has_moved) {
        has_moved = false;
        for (uint32_t i = count; i-- > 0;) {
            if (waits->is_away[i])
                continue;
            waits->is_away[i] = blocker_of(waits, i, count) == count;
            has_moved = has_moved || waits->is_away[i];
        }
    }
    while (stays < count && waits->is_away[stays])
        stays++;
    return stays;
}

/* What stays waits for itself, or for one that does: as many steps as there are items end on a
 * circle, and as many again pass all of it. */
static void check_circle(const check_t *check)
{
    const sheaf_endpoint_conf_t *endpoint = check->endpoint;
    uint32_t count = endpoint->items.count, at;
    waits_t waits;

    list_waits(endpoint, &waits);
    at = take_away(&waits, count);
    for (uint32_t i = 0; i < count && at < count; i++)
        at = blocker_of(&waits, at, count);
    for (uint32_t i = 0, on = at; i < count && at < count; i++) {
        on = blocker_of(&waits, on, count);
        at = on < at ? on : at;
    }
    if (at < count)
        sheaf_report_error(check->report, endpoint->items.items[at].mark, "the item `%.*s` waits for itself",
                           SHEAF_VALUE_ARG(endpoint->items.items[at].id));
    free(waits.blockers);
    free(waits.starts);
    free(waits.is_away);
}

/* What shapes a multistatus means nothing to an answer that is 200 and has a shape of its own. */
static void refuse_shapes(const check_t *check, const char *beside)
{
    static const char *const names[] = {"status", "order", "envelope", "timing"};

    for (size_t i = 0; i < SHEAF_COUNT(names); i++) {
        const sheaf_yaml_t *node = sheaf_yaml_get(check->node, sheaf_str_of(names[i]));

        if (node != NULL)
            sheaf_report_error(check->report, node->name_mark, "`%s` is not for `%s`", names[i], beside);
    }
}

static void check_aggregate(check_t *check)
{
    const sheaf_yaml_t *list = sheaf_yaml_get(check->node, SHEAF_STR("items")), *node = check->node;
    sheaf_endpoint_conf_t *endpoint = check->endpoint;

    if (endpoint->items.count == 0) {
        sheaf_report_error(check->report, node->mark,
                           "missing key `items` of this endpoint: an aggregate says what is "
                           "asked");
        return;
    }
    if (endpoint->items.count > endpoint->max_items)
        sheaf_report_error(check->report, list->mark, "`items` holds more than `max_items`");
    if (endpoint->response == SHEAF_RESPONSE_MERGE &&
        endpoint->max_item_body_bytes > endpoint->budget_bytes / endpoint->items.count)
        sheaf_report_error(
            check->report, mark_of(check, SHEAF_STR("response")),
            "a merged answer is written once all items are there: `budget` must hold `max_item_body` for "
            "each of them");
    if (endpoint->response == SHEAF_RESPONSE_MERGE)
        refuse_shapes(check, "response: merge");
    check->node = list->first;
    for (uint32_t i = 0; i < endpoint->items.count; i++, check->node = check->node->next)
        check_item(check, i);
    check->node = node;
    check_circle(check);
}

/* --- the endpoint --- */

static void refuse_key(const check_t *check, const char *name, const char *kind)
{
    const sheaf_yaml_t *node = sheaf_yaml_get(check->node, sheaf_str_of(name));

    if (node != NULL)
        sheaf_report_error(check->report, node->name_mark, "`%s` is for `kind: %s`", name, kind);
}

static void check_method(const check_t *check)
{
    sheaf_endpoint_conf_t *endpoint = check->endpoint;
    sheaf_str_t method = endpoint->method;

    if (method.base == NULL) {
        endpoint->method = endpoint->kind == SHEAF_KIND_AGGREGATE ? SHEAF_STR("GET") : SHEAF_STR("POST");
        return;
    }
    if (sheaf_str_eq(method, SHEAF_STR("OPTIONS")) || sheaf_str_eq(method, SHEAF_STR("HEAD")) ||
        (endpoint->kind == SHEAF_KIND_BULK && !sheaf_method_takes_body(method)))
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("method")), "no %s is sent with %.*s",
                           endpoint->kind == SHEAF_KIND_BULK ? "bulk" : "request to an aggregate",
                           SHEAF_STR_ARG(method));
}

static void check_dialect(const check_t *check)
{
    uint8_t dialect = check->endpoint->dialect;

    if (dialect != SHEAF_DIALECT_APISIX && dialect != SHEAF_DIALECT_TYK)
        return;
    if (check->endpoint->kind != SHEAF_KIND_BATCH)
        sheaf_report_error(check->report, mark_of(check, SHEAF_STR("dialect")), "this dialect knows batches only");
    refuse_shapes(check, dialect == SHEAF_DIALECT_TYK ? "dialect: tyk" : "dialect: apisix");
}

void sheaf_blueprint_check(sheaf_report_t *report, sheaf_pool_t *pool, const sheaf_yaml_t *node,
                           sheaf_endpoint_conf_t *endpoint)
{
    check_t check = {.report = report, .pool = pool, .node = node, .endpoint = endpoint};

    if (endpoint->kind == SHEAF_KIND_BATCH)
        refuse_key(&check, "method", "bulk and kind: aggregate");
    check_dialect(&check);
    if (endpoint->kind != SHEAF_KIND_BULK)
        refuse_key(&check, "each", "bulk");
    if (endpoint->kind != SHEAF_KIND_AGGREGATE) {
        refuse_key(&check, "items", "aggregate");
        refuse_key(&check, "response", "aggregate");
    }
    check_method(&check);
    if (endpoint->kind == SHEAF_KIND_BULK)
        check_bulk(&check);
    if (endpoint->kind == SHEAF_KIND_AGGREGATE)
        check_aggregate(&check);
}
