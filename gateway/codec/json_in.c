/* codec/json_in.c - the JSON batch (DESIGN section 3): one pass that validates, then cursors that cut it up.
 *
 * The envelope's members are read before its items, wherever they stand, because its headers decide how an item's body
 * is understood. Strings without escapes and JSON bodies are slices of the document. */
#include "gateway/codec/codec.h"

#include <stdio.h>

#include "gateway/base/base64.h"

#define MAX_DEPTH 64

typedef struct reader {
    sheaf_batch_t *batch;
    sheaf_pool_t *pool;
    sheaf_fail_t *fail;
    sheaf_str_t doc;
    sheaf_json_t requests; /* the array of items */
    bool is_bare;          /* the document is that array */

    /* the item being read; in_item says whether there is one */
    bool in_item;
    uint32_t index;
    sheaf_draft_t draft;
    sheaf_json_t body;
    sheaf_str_t content_type; /* the item's, else the envelope's */
    sheaf_str_t default_type; /* the envelope's */
    bool is_base64;
} reader_t;

typedef sheaf_err_t (*take_t)(reader_t *reader, sheaf_json_t value);

typedef struct member {
    sheaf_str_t name;
    take_t take;
} member_t;

#define NO_INDEX UINT32_MAX

/* A place below the item (or the envelope): member/name/index, with what is not there left absent or NO_INDEX. */
typedef struct place {
    const char *at; /* into the document, for line and column */
    const char *member;
    sheaf_str_t name;
    uint32_t index;
} place_t;

/* --- pointers (RFC 6901) --- */

static void pointer_add(sheaf_fail_t *fail, sheaf_str_t token)
{
    size_t len = strlen(fail->pointer), size = sizeof(fail->pointer);
    size_t start = len;

    if (len + 1 < size)
        fail->pointer[len++] = '/';
    for (size_t i = 0; i < token.len && len + 2 < size; i++) {
        char c = token.base[i];

        if (c == '~' || c == '/') {
            fail->pointer[len++] = '~';
            fail->pointer[len++] = c == '~' ? '0' : '1';
        } else {
            fail->pointer[len++] = c;
        }
    }
    len = start + sheaf_utf8_valid_prefix(sheaf_str(fail->pointer + start, len - start)); /* cut between characters */
    fail->pointer[len] = '\0';
}

static void pointer_add_index(sheaf_fail_t *fail, uint32_t index)
{
    char digits[20];

    pointer_add(fail, sheaf_str(digits, sheaf_u64_to_dec(index, digits)));
}

/* Adds the where to what sheaf_fail() has said; returns the err again. */
static sheaf_err_t locate(const reader_t *reader, place_t place)
{
    sheaf_fail_t *fail = reader->fail;

    if (fail == NULL)
        return SHEAF_ERR_INTERNAL;
    fail->has_pointer = true;
    fail->pointer[0] = '\0';
    if (reader->in_item && !reader->is_bare)
        pointer_add(fail, SHEAF_STR("requests"));
    if (reader->in_item)
        pointer_add_index(fail, reader->index);
    if (place.member != NULL)
        pointer_add(fail, sheaf_str_of(place.member));
    if (place.name.base != NULL)
        pointer_add(fail, place.name);
    if (place.index != NO_INDEX)
        pointer_add_index(fail, place.index);
    sheaf_json_position(reader->doc, (size_t)(place.at - reader->doc.base), &fail->line, &fail->column);
    return fail->err;
}

static place_t at_member(const char *member, sheaf_json_t value)
{
    return (place_t){.at = value.base, .member = member, .index = NO_INDEX};
}

static sheaf_err_t wrong_type(const reader_t *reader, place_t place, const char *wanted)
{
    if (place.member != NULL)
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%s\" takes %s", place.member, wanted);
    else
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "%s is wanted here", wanted);
    return locate(reader, place);
}

static bool is_type(sheaf_json_t value, sheaf_json_type_t type)
{
    return sheaf_json_type(value) == type;
}

/* --- values that several members share --- */

static sheaf_err_t take_string(reader_t *reader, const char *member, sheaf_json_t value, sheaf_str_t *ret_text)
{
    if (!is_type(value, SHEAF_JSON_STRING))
        return wrong_type(reader, at_member(member, value), "a string");
    *ret_text = sheaf_json_string(value, reader->pool);
    return SHEAF_OK;
}

/* "500ms", "2s", "1m"; false for anything else. What does not fit into 64 bits is no duration. */
static bool parse_duration(sheaf_str_t text, uint64_t *ret_ms)
{
    static const struct {
        sheaf_str_t unit;
        uint64_t ms;
    } units[] = {{{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60000}};
    uint64_t count;

    for (size_t i = 0; i < SHEAF_COUNT(units); i++) {
        if (!sheaf_str_ends(text, units[i].unit))
            continue;
        text.len -= units[i].unit.len;
        if (!sheaf_str_to_u64(text, &count) || count > UINT64_MAX / 60000)
            return false;
        *ret_ms = count * units[i].ms;
        return true;
    }
    return false;
}

static sheaf_err_t take_timeout(reader_t *reader, sheaf_json_t value, uint64_t *ret_ms)
{
    sheaf_str_t text;
    uint64_t ms;

    if (!is_type(value, SHEAF_JSON_STRING))
        return wrong_type(reader, at_member("timeout", value), "a duration as a string, such as \"500ms\"");
    text = sheaf_json_string(value, reader->pool);
    if (!parse_duration(text, &ms))
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"timeout\" takes a duration such as \"500ms\", \"2s\" or \"1m\"");
    else if (ms == 0)
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"timeout\" must be longer than 0");
    else {
        *ret_ms = ms;
        return SHEAF_OK;
    }
    return locate(reader, at_member("timeout", value));
}

/* One of two words; `*ret_is_second` says which. */
static sheaf_err_t take_word(reader_t *reader, const char *member, sheaf_json_t value, const char *first,
                             const char *second, bool *ret_is_second)
{
    sheaf_str_t word;
    sheaf_err_t err = take_string(reader, member, value, &word);

    if (err != SHEAF_OK)
        return err;
    *ret_is_second = sheaf_str_eq(word, sheaf_str_of(second));
    if (*ret_is_second || sheaf_str_eq(word, sheaf_str_of(first)))
        return SHEAF_OK;
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"%s\" takes \"%s\" or \"%s\"", member, first, second);
    return locate(reader, at_member(member, value));
}

/* --- headers: of an item or of the envelope --- */

/* The envelope's own headers are nobody else's fault: a bad one is refused here. An item's are left to the item. */
static sheaf_err_t add_header(reader_t *reader, place_t place, sheaf_headers_t *headers, sheaf_json_t value)
{
    sheaf_str_t text, name = place.name;

    if (!is_type(value, SHEAF_JSON_STRING)) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a header takes a string or an array of strings");
        return locate(reader, place);
    }
    text = sheaf_json_string(value, reader->pool);
    if (!reader->in_item && !(sheaf_header_name_is_valid(name) && sheaf_header_value_is_valid(text))) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "this is no valid header field");
        return locate(reader, place);
    }
    if (!reader->in_item)
        name = sheaf_header_lower(reader->pool, name);
    sheaf_headers_add(headers, reader->pool, name, text);
    return SHEAF_OK;
}

static sheaf_err_t add_header_values(reader_t *reader, place_t place, sheaf_headers_t *headers, sheaf_json_t values)
{
    sheaf_json_iter_t iter = sheaf_json_iter(values);
    sheaf_json_t value;

    for (place.index = 0; sheaf_json_next_element(&iter, &value); place.index++) {
        sheaf_err_t err;

        place.at = value.base;
        if ((err = add_header(reader, place, headers, value)) != SHEAF_OK)
            return err;
    }
    return SHEAF_OK;
}

static sheaf_err_t take_headers(reader_t *reader, sheaf_json_t object, sheaf_headers_t *headers, sheaf_str_t *type)
{
    sheaf_json_t name, value;
    sheaf_json_iter_t iter;

    if (!is_type(object, SHEAF_JSON_OBJECT))
        return wrong_type(reader, at_member("headers", object), "an object of header names and values");
    iter = sheaf_json_iter(object);
    while (sheaf_json_next_member(&iter, &name, &value)) {
        place_t place = at_member("headers", value);
        uint32_t before = headers->count;
        sheaf_err_t err;

        if (is_type(value, SHEAF_JSON_NULL))
            continue;
        place.name = sheaf_json_string(name, reader->pool);
        err = is_type(value, SHEAF_JSON_ARRAY) ? add_header_values(reader, place, headers, value)
                                               : add_header(reader, place, headers, value);
        if (err != SHEAF_OK)
            return err;
        if (headers->count > before && sheaf_str_ieq(place.name, SHEAF_STR("content-type")))
            *type = headers->entries[before].value;
    }
    return SHEAF_OK;
}

/* --- the members of an item --- */

static sheaf_err_t item_id(reader_t *reader, sheaf_json_t value)
{
    return take_string(reader, "id", value, &reader->draft.id);
}

static sheaf_err_t item_method(reader_t *reader, sheaf_json_t value)
{
    return take_string(reader, "method", value, &reader->draft.method);
}

static sheaf_err_t item_url(reader_t *reader, sheaf_json_t value)
{
    return take_string(reader, "url", value, &reader->draft.url);
}

static sheaf_err_t item_headers(reader_t *reader, sheaf_json_t value)
{
    return take_headers(reader, value, &reader->draft.headers, &reader->content_type);
}

static sheaf_err_t item_body(reader_t *reader, sheaf_json_t value)
{
    reader->body = value;
    return SHEAF_OK;
}

static sheaf_err_t item_body_encoding(reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t word;
    sheaf_err_t err = take_string(reader, "bodyEncoding", value, &word);

    if (err != SHEAF_OK)
        return err;
    if (sheaf_str_eq(word, SHEAF_STR("base64"))) {
        reader->is_base64 = true;
        return SHEAF_OK;
    }
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"bodyEncoding\" takes \"base64\"");
    return locate(reader, at_member("bodyEncoding", value));
}

/* "2xx" is a class, 409 (a number or a string) one status. */
static bool take_status(reader_t *reader, sheaf_json_t value, uint16_t *ret_status)
{
    sheaf_str_t text = is_type(value, SHEAF_JSON_STRING) ? sheaf_json_string(value, reader->pool) : value;
    uint64_t status;

    if (text.len == 3 && text.base[0] >= '1' && text.base[0] <= '5' && memcmp(text.base + 1, "xx", 2) == 0) {
        *ret_status = (uint16_t)(text.base[0] - '0');
        return true;
    }
    if (!sheaf_str_to_u64(text, &status) || status < 100 || status > 599)
        return false;
    *ret_status = (uint16_t)status;
    return true;
}

static sheaf_err_t edge_statuses(reader_t *reader, place_t place, sheaf_json_t value, sheaf_edge_t *edge)
{
    sheaf_json_iter_t iter;
    sheaf_json_t element;
    uint16_t *statuses;

    place.at = value.base;
    if (!is_type(value, SHEAF_JSON_ARRAY))
        return wrong_type(reader, place, "\"status\" as an array such as [\"2xx\", 409]");
    statuses = sheaf_pool_alloc(reader->pool, value.len * sizeof(*statuses));
    iter = sheaf_json_iter(value);
    while (sheaf_json_next_element(&iter, &element)) {
        place.at = element.base;
        if (!take_status(reader, element, &statuses[edge->status_count++]))
            return wrong_type(reader, place, "statuses such as \"2xx\" or 409");
    }
    edge->statuses = statuses;
    return SHEAF_OK;
}

static sheaf_err_t edge_member(reader_t *reader, place_t place, sheaf_json_t name, sheaf_json_t value,
                               sheaf_edge_t *edge)
{
    sheaf_str_t word = sheaf_json_string(name, reader->pool);

    if (sheaf_str_eq(word, SHEAF_STR("id")) && is_type(value, SHEAF_JSON_STRING)) {
        edge->id = sheaf_json_string(value, reader->pool);
        return SHEAF_OK;
    }
    if (sheaf_str_eq(word, SHEAF_STR("status")))
        return edge_statuses(reader, place, value, edge);
    place.at = name.base;
    return wrong_type(reader, place, "ids, or objects with \"id\" (a string) and \"status\"");
}

/* "a", or {"id":"a","status":["2xx",409]}. */
static sheaf_err_t add_dependency(reader_t *reader, sheaf_json_t value, sheaf_edge_t *edge, uint32_t at)
{
    place_t place = at_member("dependsOn", value);
    sheaf_json_iter_t iter;
    sheaf_json_t name, member;
    sheaf_err_t err = SHEAF_OK;

    place.index = at;
    if (is_type(value, SHEAF_JSON_STRING)) {
        edge->id = sheaf_json_string(value, reader->pool);
        return SHEAF_OK;
    }
    if (!is_type(value, SHEAF_JSON_OBJECT))
        return wrong_type(reader, place, "an array of ids as strings, or of objects with \"id\" and \"status\"");
    iter = sheaf_json_iter(value);
    while (err == SHEAF_OK && sheaf_json_next_member(&iter, &name, &member))
        err = edge_member(reader, place, name, member, edge);
    if (err == SHEAF_OK && edge->id.base == NULL)
        return wrong_type(reader, place, "objects that have an \"id\"");
    return err;
}

static sheaf_err_t item_depends_on(reader_t *reader, sheaf_json_t value)
{
    sheaf_json_iter_t iter;
    sheaf_json_t element;
    sheaf_edge_t *edges;
    uint32_t count = 0;

    if (!is_type(value, SHEAF_JSON_ARRAY))
        return wrong_type(reader, at_member("dependsOn", value), "an array of ids");
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

static sheaf_err_t item_timeout(reader_t *reader, sheaf_json_t value)
{
    return take_timeout(reader, value, &reader->draft.timeout_ms);
}

static sheaf_err_t item_atomicity_group(reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t group;

    reader->draft.is_in_change_set = true;
    return take_string(reader, "atomicityGroup", value, &group);
}

static sheaf_err_t item_if(reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t condition;

    reader->draft.has_condition = true;
    return take_string(reader, "if", value, &condition);
}

static const member_t item_members[] = {
    {{"id", 2}, item_id},
    {{"method", 6}, item_method},
    {{"url", 3}, item_url},
    {{"headers", 7}, item_headers},
    {{"body", 4}, item_body},
    {{"dependsOn", 9}, item_depends_on},
    {{"timeout", 7}, item_timeout},
    {{"bodyEncoding", 12}, item_body_encoding},
    {{"atomicityGroup", 14}, item_atomicity_group},
    {{"if", 2}, item_if},
};

/* --- an item's body --- */

static void item_refuse_body(reader_t *reader, const char *why)
{
    reader->draft.err = SHEAF_ERR_ITEM_BODY;
    snprintf(reader->draft.detail, sizeof(reader->draft.detail), "%s", why);
}

/* `body: null` is a value to send only where JSON is sent at all; elsewhere null counts as absent. */
static bool is_absent_body(const reader_t *reader, bool is_json)
{
    sheaf_str_t method = reader->draft.method;

    if (reader->body.base == NULL)
        return true;
    if (!is_type(reader->body, SHEAF_JSON_NULL))
        return false;
    if (!is_json || method.base == NULL)
        return true;
    return sheaf_str_ieq(method, SHEAF_STR("GET")) || sheaf_str_ieq(method, SHEAF_STR("HEAD"));
}

static void decode_body(reader_t *reader)
{
    sheaf_str_t text;

    if (!is_type(reader->body, SHEAF_JSON_STRING)) {
        item_refuse_body(reader, "a body of this type, or with bodyEncoding base64, must be a base64 string");
        return;
    }
    text = sheaf_json_string(reader->body, reader->pool);
    if (!sheaf_base64_decode(reader->pool, text, &reader->draft.body))
        item_refuse_body(reader, "the body is not valid base64");
}

static void finish_body(reader_t *reader)
{
    sheaf_str_t type = reader->content_type.base != NULL ? reader->content_type : reader->default_type;
    sheaf_media_kind_t kind = type.base != NULL ? sheaf_media_kind(type) : SHEAF_MEDIA_JSON;
    bool is_json = kind == SHEAF_MEDIA_JSON && !reader->is_base64;

    if (is_absent_body(reader, is_json))
        return;
    reader->draft.has_body = true;
    reader->draft.body_is_json = is_json && type.base == NULL;
    if (is_json)
        reader->draft.body = reader->body;
    else if (reader->is_base64 || kind == SHEAF_MEDIA_BINARY)
        decode_body(reader);
    else if (is_type(reader->body, SHEAF_JSON_STRING))
        reader->draft.body = sheaf_json_string(reader->body, reader->pool);
    else
        item_refuse_body(reader, "a body of a text type must be a string");
}

/* --- objects by their tables --- */

/* What a name that is none of `members` may have been meant as; NULL when nothing is near. */
static const member_t *nearest(const member_t *members, size_t count, sheaf_str_t name)
{
    const member_t *best = NULL;
    uint32_t least = 3; /* more edits than two are another word */

    for (size_t i = 0; i < count; i++) {
        uint32_t distance = sheaf_str_ieq(members[i].name, name) ? 0 : sheaf_str_distance(members[i].name, name);

        if (distance >= least || distance >= members[i].name.len)
            continue;
        best = &members[i];
        least = distance;
    }
    return best;
}

static sheaf_err_t unknown_member(const reader_t *reader, const member_t *members, size_t count, sheaf_json_t source)
{
    sheaf_str_t name = sheaf_json_string(source, reader->pool);
    const member_t *near = nearest(members, count, name);
    sheaf_str_t shown = sheaf_str(name.base, name.len > 40 ? 40 : name.len);
    const char *what = reader->in_item ? "an item" : "a batch";

    shown.len = sheaf_utf8_valid_prefix(shown);
    if (near != NULL)
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%.*s\" is no member of %s; did you mean \"%s\"?",
                   SHEAF_STR_ARG(shown), what, near->name.base);
    else
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%.*s\" is no member of %s", SHEAF_STR_ARG(shown), what);
    return locate(reader, (place_t){.at = source.base, .name = name, .index = NO_INDEX});
}

static const member_t *find_member(const member_t *members, size_t count, sheaf_str_t name)
{
    for (size_t i = 0; i < count; i++)
        if (sheaf_str_eq(members[i].name, name))
            return &members[i];
    return NULL;
}

static sheaf_err_t read_members(reader_t *reader, sheaf_json_t object, const member_t *members, size_t count)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, value;

    while (sheaf_json_next_member(&iter, &source, &value)) {
        sheaf_str_t name = sheaf_json_string(source, reader->pool);
        const member_t *member = find_member(members, count, name);
        sheaf_err_t err;

        if (member == NULL && name.len > 0 && name.base[0] == '@')
            continue; /* annotations (OData JSON 4.5) */
        if (member == NULL)
            return unknown_member(reader, members, count, source);
        if (is_type(value, SHEAF_JSON_NULL) && member->take != item_body)
            continue;
        if ((err = member->take(reader, value)) != SHEAF_OK)
            return err;
    }
    return SHEAF_OK;
}

/* --- the envelope --- */

static sheaf_err_t batch_requests(reader_t *reader, sheaf_json_t value)
{
    if (!is_type(value, SHEAF_JSON_ARRAY))
        return wrong_type(reader, at_member("requests", value), "an array of items");
    reader->requests = value;
    return SHEAF_OK;
}

static sheaf_err_t batch_headers(reader_t *reader, sheaf_json_t value)
{
    return take_headers(reader, value, &reader->batch->headers, &reader->default_type);
}

static sheaf_err_t batch_timeout(reader_t *reader, sheaf_json_t value)
{
    uint64_t ms;
    sheaf_err_t err = take_timeout(reader, value, &ms);

    if (err == SHEAF_OK && ms < reader->batch->timeout_ms)
        reader->batch->timeout_ms = ms;
    return err;
}

static sheaf_err_t batch_on_error(reader_t *reader, sheaf_json_t value)
{
    return take_word(reader, "onError", value, "continue", "stop", &reader->batch->stops_on_error);
}

static sheaf_err_t batch_order(reader_t *reader, sheaf_json_t value)
{
    bool is_completion;
    sheaf_err_t err = take_word(reader, "order", value, "request", "completion", &is_completion);

    if (err == SHEAF_OK)
        reader->batch->order = is_completion ? SHEAF_ORDER_COMPLETION : SHEAF_ORDER_REQUEST;
    return err;
}

static sheaf_err_t batch_parallel(reader_t *reader, sheaf_json_t value)
{
    uint64_t parallel;

    if (!is_type(value, SHEAF_JSON_NUMBER))
        return wrong_type(reader, at_member("parallel", value), "a whole number");
    if (!sheaf_json_u64(value, &parallel) || parallel == 0) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"parallel\" takes a whole number of 1 or more");
        return locate(reader, at_member("parallel", value));
    }
    if (parallel < reader->batch->parallel)
        reader->batch->parallel = (uint32_t)parallel;
    return SHEAF_OK;
}

static const member_t batch_members[] = {
    {{"requests", 8}, batch_requests}, {{"headers", 7}, batch_headers}, {{"timeout", 7}, batch_timeout},
    {{"onError", 7}, batch_on_error},  {{"order", 5}, batch_order},     {{"parallel", 8}, batch_parallel},
};

/* --- what the batch found: an item and a member, walked to again --- */

static sheaf_json_t nth_element(sheaf_json_t array, uint32_t n)
{
    sheaf_json_iter_t iter = sheaf_json_iter(array);
    sheaf_json_t element = array;

    for (uint32_t i = 0; i <= n && sheaf_json_next_element(&iter, &element); i++)
        ;
    return element;
}

/* The value of `name` in `object`, or `object` itself when it has none (an id that is its index). */
static sheaf_json_t member_of(const reader_t *reader, sheaf_json_t object, const char *name)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, value;

    while (sheaf_json_next_member(&iter, &source, &value))
        if (sheaf_str_eq(sheaf_json_string(source, reader->pool), sheaf_str_of(name)))
            return value;
    return object;
}

/* Too many items, or the envelope's headers; what lies in the outer request (a loop) has no place in the document. */
static sheaf_err_t locate_envelope(reader_t *reader, const char *member)
{
    sheaf_json_t root = sheaf_json_root(reader->doc), value;

    if (reader->fail->err == SHEAF_ERR_LOOP)
        return SHEAF_ERR_LOOP;
    reader->in_item = false;
    value = reader->is_bare ? root : member_of(reader, root, member);
    return locate(reader, at_member(value.base == root.base ? NULL : member, value));
}

static sheaf_err_t locate_fault(reader_t *reader)
{
    const sheaf_fault_t *fault = &reader->batch->fault;
    const char *member = fault->member == SHEAF_FAULT_ID           ? "id"
                         : fault->member == SHEAF_FAULT_DEPENDS_ON ? "dependsOn"
                                                                   : NULL;
    sheaf_json_t item, value;
    place_t place;

    if (fault->item == UINT32_MAX || fault->member == SHEAF_FAULT_ITEMS)
        return locate_envelope(reader, fault->member == SHEAF_FAULT_ITEMS ? "requests" : "headers");
    reader->in_item = true;
    reader->index = fault->item;
    item = nth_element(reader->requests, fault->item);
    value = member != NULL ? member_of(reader, item, member) : item;
    if (value.base == item.base)
        return locate(reader, at_member(NULL, item));
    place = at_member(member, value);
    if (fault->member == SHEAF_FAULT_DEPENDS_ON && is_type(value, SHEAF_JSON_ARRAY)) {
        place.index = fault->at;
        place.at = nth_element(value, fault->at).base;
    }
    return locate(reader, place);
}

/* --- items, one by one --- */

static sheaf_err_t read_item(reader_t *reader, sheaf_json_t item)
{
    sheaf_err_t err;

    memset(&reader->draft, 0, sizeof(reader->draft));
    reader->body = reader->content_type = SHEAF_STR_NONE;
    reader->is_base64 = false;
    if (!is_type(item, SHEAF_JSON_OBJECT))
        return wrong_type(reader, at_member(NULL, item), "an item as an object");
    if ((err = read_members(reader, item, item_members, SHEAF_COUNT(item_members))) != SHEAF_OK)
        return err;
    if (reader->draft.url.base == NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the item has no \"url\"");
        return locate(reader, at_member(NULL, item));
    }
    finish_body(reader);
    if (sheaf_batch_add(reader->batch, &reader->draft, reader->fail) != SHEAF_OK)
        return locate_fault(reader);
    return SHEAF_OK;
}

static sheaf_err_t read_items(reader_t *reader)
{
    sheaf_json_iter_t iter = sheaf_json_iter(reader->requests);
    sheaf_json_t item;

    reader->in_item = true;
    for (reader->index = 0; sheaf_json_next_element(&iter, &item); reader->index++) {
        sheaf_err_t err = read_item(reader, item);

        if (err != SHEAF_OK)
            return err;
    }
    reader->in_item = false;
    if (sheaf_batch_seal(reader->batch, reader->fail) != SHEAF_OK)
        return locate_fault(reader);
    return SHEAF_OK;
}

static sheaf_err_t read_envelope(reader_t *reader, sheaf_json_t root)
{
    sheaf_err_t err;

    if (is_type(root, SHEAF_JSON_ARRAY)) {
        reader->is_bare = true;
        reader->requests = root;
        return SHEAF_OK;
    }
    if (!is_type(root, SHEAF_JSON_OBJECT)) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a batch is an object with \"requests\", or an array of items");
        return locate(reader, at_member(NULL, root));
    }
    if ((err = read_members(reader, root, batch_members, SHEAF_COUNT(batch_members))) != SHEAF_OK)
        return err;
    if (reader->requests.base == NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the batch has no \"requests\"");
        return locate(reader, at_member(NULL, root));
    }
    return SHEAF_OK;
}

/* RFC 8259 8.1: texts must not begin with a byte order mark, and are UTF-8. */
static bool has_byte_order_mark(sheaf_str_t doc)
{
    return sheaf_str_starts(doc, SHEAF_STR("\xef\xbb\xbf")) || sheaf_str_starts(doc, SHEAF_STR("\xff\xfe")) ||
           sheaf_str_starts(doc, SHEAF_STR("\xfe\xff"));
}

static sheaf_err_t json_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    sheaf_err_t err;

    if (has_byte_order_mark(body)) {
        sheaf_fail(reader.fail, SHEAF_ERR_SYNTAX, "the batch begins with a byte order mark; send UTF-8 without one");
        return locate(&reader, at_member(NULL, body));
    }
    if ((err = sheaf_json_check(body, MAX_DEPTH, reader.fail)) != SHEAF_OK)
        return err;
    if ((err = read_envelope(&reader, sheaf_json_root(body))) != SHEAF_OK)
        return err;
    return read_items(&reader);
}

const sheaf_decoder_t sheaf_json_in = {.name = "json", .decode = json_decode};
