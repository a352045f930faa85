#include "config/form.h"

#include "config/value.h"
#include "gateway/base/json.h"
#include "gateway/http/header.h"
#include "gateway/http/stencil.h"

#define FIELDS_MAX   64
#define EDGES_MAX    1000
#define STATUSES_MAX 64

typedef struct form {
    sheaf_pool_t *pool;
    sheaf_report_t *report;
    const sheaf_key_t *key;
} form_t;

bool sheaf_form_is(sheaf_key_kind_t kind, sheaf_yaml_kind_t node)
{
    switch (kind) {
    case SHEAF_KIND_OF_STENCIL:
    case SHEAF_KIND_OF_URL:
        return node == SHEAF_YAML_SCALAR;
    case SHEAF_KIND_OF_FIELDS:
        return node == SHEAF_YAML_MAPPING;
    case SHEAF_KIND_OF_EDGES:
        return node == SHEAF_YAML_SEQUENCE;
    case SHEAF_KIND_OF_STATUSES:
        return node == SHEAF_YAML_SEQUENCE || node == SHEAF_YAML_SCALAR;
    default:
        return kind == SHEAF_KIND_OF_BODY || kind == SHEAF_KIND_OF_JSON;
    }
}

static bool is_too_many(const form_t *form, const sheaf_yaml_t *node, uint32_t most)
{
    if (node->count > most)
        sheaf_report_error(form->report, node->mark, "`%.*s` holds more than %u items", SHEAF_STR_ARG(form->key->name),
                           most);
    return node->count > most;
}

static sheaf_stencil_t *load_text(const form_t *form, const sheaf_yaml_t *node, bool is_url)
{
    sheaf_stencil_t *stencil = NULL;
    sheaf_fail_t fail;

    if (sheaf_stencil_parse(form->pool, node->text, is_url, &stencil, &fail) != SHEAF_OK)
        sheaf_report_error(form->report, node->mark, "%s", fail.detail);
    return stencil;
}

/* --- JSON --- */

typedef struct writer {
    const form_t *form;
    sheaf_stencil_maker_t *maker;
    bool has_holes; /* "${" in a text begins one */
    bool is_bad;
} writer_t;

static void write_value(writer_t *writer, const sheaf_yaml_t *node);

/* YAML's core schema, as far as JSON has the same: true, false, null and numbers; all else is text. */
static bool is_literal(const sheaf_yaml_t *node)
{
    char first = node->text.len > 0 ? node->text.base[0] : '\0';

    if (!node->is_plain)
        return false;
    if (first == '-' || (first >= '0' && first <= '9'))
        return sheaf_json_check(node->text, 1, NULL) == SHEAF_OK;
    return sheaf_str_eq(node->text, SHEAF_STR("true")) || sheaf_str_eq(node->text, SHEAF_STR("false"));
}

static void write_scalar(writer_t *writer, const sheaf_yaml_t *node)
{
    sheaf_fail_t fail;

    if (is_literal(node))
        sheaf_stencil_maker_put(writer->maker, node->text);
    else if (!writer->has_holes)
        sheaf_stencil_maker_put_name(writer->maker, node->text);
    else if (sheaf_stencil_maker_put_string(writer->maker, node->text, &fail) != SHEAF_OK) {
        sheaf_report_error(writer->form->report, node->mark, "%s", fail.detail);
        writer->is_bad = true;
    }
}

/* A YAML tree is at most SHEAF_YAML_MAX_DEPTH deep, and so is this. */
static void write_children(writer_t *writer, const sheaf_yaml_t *node, const char *open, const char *close)
{
    sheaf_stencil_maker_put(writer->maker, sheaf_str_of(open));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next) {
        if (child != node->first)
            sheaf_stencil_maker_put(writer->maker, SHEAF_STR(","));
        if (node->kind == SHEAF_YAML_MAPPING) {
            sheaf_stencil_maker_put_name(writer->maker, child->name);
            sheaf_stencil_maker_put(writer->maker, SHEAF_STR(":"));
        }
        write_value(writer, child);
    }
    sheaf_stencil_maker_put(writer->maker, sheaf_str_of(close));
}

static void write_value(writer_t *writer, const sheaf_yaml_t *node)
{
    if (node->is_bad)
        writer->is_bad = true;
    else if (node->kind == SHEAF_YAML_NULL)
        sheaf_stencil_maker_put(writer->maker, SHEAF_STR("null"));
    else if (node->kind == SHEAF_YAML_SCALAR)
        write_scalar(writer, node);
    else if (node->kind == SHEAF_YAML_SEQUENCE)
        write_children(writer, node, "[", "]");
    else
        write_children(writer, node, "{", "}");
}

/* NULL when something is wrong; told already. */
static sheaf_stencil_t *load_json(const form_t *form, const sheaf_yaml_t *node, bool has_holes)
{
    writer_t writer = {form, sheaf_stencil_maker_new(form->pool), has_holes, false};
    sheaf_stencil_t *stencil;

    write_value(&writer, node);
    stencil = sheaf_stencil_maker_end(writer.maker);
    return writer.is_bad ? NULL : stencil;
}

static sheaf_str_t load_plain_json(const form_t *form, const sheaf_yaml_t *node)
{
    const sheaf_stencil_t *stencil = load_json(form, node, false);

    return stencil != NULL ? stencil->pieces[0].text : SHEAF_STR_NONE;
}

/* --- header fields --- */

static void load_field(const form_t *form, const sheaf_yaml_t *node, sheaf_fields_t *fields)
{
    sheaf_field_conf_t *field = &fields->items[fields->count];

    if (!sheaf_header_name_is_valid(node->name))
        sheaf_report_error(form->report, node->name_mark, "`%.*s` is no header name", SHEAF_VALUE_ARG(node->name));
    else if (node->kind != SHEAF_YAML_SCALAR)
        sheaf_report_error(form->report, node->mark, "the header `%.*s` must be a single value",
                           SHEAF_VALUE_ARG(node->name));
    else {
        field->name = sheaf_header_lower(form->pool, sheaf_pool_dup(form->pool, node->name));
        field->value = load_text(form, node, false);
        field->mark = node->mark;
        fields->count += field->value != NULL;
    }
}

static void load_fields(const form_t *form, const sheaf_yaml_t *node, sheaf_fields_t *fields)
{
    if (is_too_many(form, node, FIELDS_MAX))
        return;
    fields->items = sheaf_pool_zalloc(form->pool, (node->count + 1) * sizeof(*fields->items));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next)
        if (!child->is_bad)
            load_field(form, child, fields);
}

/* --- edges --- */

/* 200, or 2xx for a whole class. */
static bool parse_status(sheaf_str_t text, uint16_t *ret_status)
{
    uint64_t value;

    if (text.len == 3 && text.base[0] >= '1' && text.base[0] <= '5' && sheaf_lower(text.base[1]) == 'x' &&
        sheaf_lower(text.base[2]) == 'x') {
        *ret_status = (uint16_t)(text.base[0] - '0');
        return true;
    }
    if (sheaf_value_number(text, &value, NULL) != SHEAF_OK || value < 100 || value > 599)
        return false;
    *ret_status = (uint16_t)value;
    return true;
}

static void load_status(const form_t *form, const sheaf_yaml_t *node, sheaf_statuses_t *statuses)
{
    if (node->kind == SHEAF_YAML_SCALAR && parse_status(node->text, &statuses->items[statuses->count]))
        statuses->count++;
    else
        sheaf_report_error(form->report, node->mark, "a status is a number from 100 to 599, or a class such as 2xx");
}

/* One of them, or a list; `name` is the key's. */
static void load_statuses(const form_t *form, const sheaf_yaml_t *node, sheaf_str_t name, sheaf_statuses_t *statuses)
{
    bool is_list = node->kind == SHEAF_YAML_SEQUENCE;

    if (is_too_many(form, node, STATUSES_MAX))
        return;
    if (is_list && node->count == 0) {
        sheaf_report_error(form->report, node->mark, "`%.*s` needs at least one item", SHEAF_STR_ARG(name));
        return;
    }
    statuses->items = sheaf_pool_zalloc(form->pool, (node->count + 1) * sizeof(*statuses->items));
    if (!is_list)
        load_status(form, node, statuses);
    for (const sheaf_yaml_t *child = node->first; is_list && child != NULL; child = child->next)
        load_status(form, child, statuses);
}

static void load_edge_statuses(const form_t *form, const sheaf_yaml_t *node, sheaf_edge_conf_t *edge)
{
    sheaf_statuses_t statuses = {NULL, 0};

    load_statuses(form, node, node->name, &statuses);
    edge->statuses = statuses.items;
    edge->status_count = statuses.count;
}

static void load_edge(const form_t *form, const sheaf_yaml_t *node, sheaf_edge_conf_t *edge)
{
    const sheaf_yaml_t *id = node->kind == SHEAF_YAML_MAPPING ? sheaf_yaml_get(node, SHEAF_STR("id")) : node;

    edge->mark = node->mark;
    if (id == NULL || id->kind != SHEAF_YAML_SCALAR) {
        sheaf_report_error(form->report, node->mark, "an item of `%.*s` is an id, or a mapping of `id` and `status`",
                           SHEAF_STR_ARG(form->key->name));
        return;
    }
    edge->id = sheaf_pool_dup(form->pool, id->text);
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next) {
        if (sheaf_str_eq(child->name, SHEAF_STR("status")))
            load_edge_statuses(form, child, edge);
        else if (child != id)
            sheaf_report_error(form->report, child->name_mark, "unknown key `%.*s`; known here: id, status",
                               SHEAF_VALUE_ARG(child->name));
    }
}

static void load_edges(const form_t *form, const sheaf_yaml_t *node, sheaf_edges_t *edges)
{
    if (is_too_many(form, node, EDGES_MAX))
        return;
    edges->items = sheaf_pool_zalloc(form->pool, (node->count + 1) * sizeof(*edges->items));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next)
        if (!child->is_bad)
            load_edge(form, child, &edges->items[edges->count++]);
}

void sheaf_form_load(sheaf_pool_t *pool, sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node,
                     void *member)
{
    form_t form = {pool, report, key};

    switch (key->kind) {
    case SHEAF_KIND_OF_FIELDS:
        load_fields(&form, node, member);
        break;
    case SHEAF_KIND_OF_EDGES:
        load_edges(&form, node, member);
        break;
    case SHEAF_KIND_OF_STATUSES:
        load_statuses(&form, node, key->name, member);
        break;
    case SHEAF_KIND_OF_JSON:
        *(sheaf_str_t *)member = load_plain_json(&form, node);
        break;
    case SHEAF_KIND_OF_BODY:
        *(sheaf_stencil_t **)member = load_json(&form, node, true);
        break;
    default:
        *(sheaf_stencil_t **)member = load_text(&form, node, key->kind == SHEAF_KIND_OF_URL);
        break;
    }
}
