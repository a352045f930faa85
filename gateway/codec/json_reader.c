#include "gateway/codec/json_reader.h"

#include <stdio.h>

#include "gateway/codec/word.h"

/* --- pointers (RFC 6901) --- */

static void pointer_add_index(sheaf_fail_t *fail, uint32_t index)
{
    char digits[20];

    sheaf_json_pointer_add(fail, sheaf_str(digits, sheaf_u64_to_dec(index, digits)));
}

/* Adds the where to what sheaf_fail() has said; returns the err again. */
sheaf_err_t sheaf_reader_locate(const sheaf_reader_t *reader, sheaf_reader_place_t place)
{
    sheaf_fail_t *fail = reader->fail;

    if (fail == NULL)
        return SHEAF_ERR_INTERNAL;
    fail->has_pointer = true;
    fail->pointer[0] = '\0';
    if (reader->in_item && !reader->is_bare)
        sheaf_json_pointer_add(fail, sheaf_str_of(reader->list != NULL ? reader->list : "requests"));
    if (reader->in_item)
        pointer_add_index(fail, reader->index);
    if (place.member != NULL)
        sheaf_json_pointer_add(fail, sheaf_str_of(place.member));
    if (place.name.base != NULL)
        sheaf_json_pointer_add(fail, place.name);
    if (place.index != SHEAF_READER_NO_INDEX)
        pointer_add_index(fail, place.index);
    sheaf_json_position(reader->doc, (size_t)(place.at - reader->doc.base), &fail->line, &fail->column);
    return fail->err;
}

sheaf_reader_place_t sheaf_reader_at(const char *member, sheaf_json_t value)
{
    return (sheaf_reader_place_t){.at = value.base, .member = member, .index = SHEAF_READER_NO_INDEX};
}

sheaf_err_t sheaf_reader_wrong_type(const sheaf_reader_t *reader, sheaf_reader_place_t place, const char *wanted)
{
    if (place.member != NULL)
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%s\" takes %s", place.member, wanted);
    else
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "%s is wanted here", wanted);
    return sheaf_reader_locate(reader, place);
}

/* --- values that several members share --- */

sheaf_err_t sheaf_reader_string(sheaf_reader_t *reader, const char *member, sheaf_json_t value, sheaf_str_t *ret_text)
{
    if (!sheaf_reader_is(value, SHEAF_JSON_STRING))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at(member, value), "a string");
    *ret_text = sheaf_json_string(value, reader->pool);
    return SHEAF_OK;
}

sheaf_err_t sheaf_reader_timeout(sheaf_reader_t *reader, sheaf_json_t value, uint64_t *ret_ms)
{
    sheaf_str_t text;
    uint64_t ms;

    if (!sheaf_reader_is(value, SHEAF_JSON_STRING))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("timeout", value),
                                       "a duration as a string, such as \"500ms\"");
    text = sheaf_json_string(value, reader->pool);
    if (!sheaf_word_duration(text, &ms))
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"timeout\" takes a duration such as \"500ms\", \"2s\" or \"1m\"");
    else if (ms == 0)
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"timeout\" must be longer than 0");
    else {
        *ret_ms = ms;
        return SHEAF_OK;
    }
    return sheaf_reader_locate(reader, sheaf_reader_at("timeout", value));
}

/* One of two words; `*ret_is_second` says which. */
sheaf_err_t sheaf_reader_word(sheaf_reader_t *reader, const char *member, sheaf_json_t value, const char *first,
                              const char *second, bool *ret_is_second)
{
    sheaf_str_t word;
    sheaf_err_t err = sheaf_reader_string(reader, member, value, &word);

    if (err != SHEAF_OK)
        return err;
    *ret_is_second = sheaf_str_eq(word, sheaf_str_of(second));
    if (*ret_is_second || sheaf_str_eq(word, sheaf_str_of(first)))
        return SHEAF_OK;
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"%s\" takes \"%s\" or \"%s\"", member, first, second);
    return sheaf_reader_locate(reader, sheaf_reader_at(member, value));
}

/* --- headers: of an item or of the envelope --- */

static bool header_text(sheaf_reader_t *reader, sheaf_json_t value, sheaf_str_t *ret_text)
{
    sheaf_json_type_t type = sheaf_json_type(value);
    bool is_scalar = type == SHEAF_JSON_NUMBER || type == SHEAF_JSON_TRUE || type == SHEAF_JSON_FALSE;

    if (type != SHEAF_JSON_STRING && !(is_scalar && reader->takes_scalars))
        return false;
    *ret_text = type == SHEAF_JSON_STRING ? sheaf_json_string(value, reader->pool) : value;
    return true;
}

/* The envelope's own headers are nobody else's fault: a bad one is refused here. An item's are left to the item. */
static sheaf_err_t add_header(sheaf_reader_t *reader, sheaf_reader_place_t place, sheaf_headers_t *headers,
                              sheaf_json_t value)
{
    sheaf_str_t text, name = place.name;

    if (!header_text(reader, value, &text)) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a header takes a string or an array of strings");
        return sheaf_reader_locate(reader, place);
    }
    if (!reader->in_item && !(sheaf_header_name_is_valid(name) && sheaf_header_value_is_valid(text))) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "this is no valid header field");
        return sheaf_reader_locate(reader, place);
    }
    if (!reader->in_item)
        name = sheaf_header_lower(reader->pool, name);
    sheaf_headers_add(headers, reader->pool, name, text);
    return SHEAF_OK;
}

static sheaf_err_t add_header_values(sheaf_reader_t *reader, sheaf_reader_place_t place, sheaf_headers_t *headers,
                                     sheaf_json_t values)
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

sheaf_err_t sheaf_reader_headers(sheaf_reader_t *reader, sheaf_json_t object, sheaf_headers_t *headers,
                                 sheaf_str_t *type)
{
    sheaf_json_t name, value;
    sheaf_json_iter_t iter;

    if (!sheaf_reader_is(object, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("headers", object),
                                       "an object of header names and values");
    iter = sheaf_json_iter(object);
    while (sheaf_json_next_member(&iter, &name, &value)) {
        sheaf_reader_place_t place = sheaf_reader_at("headers", value);
        uint32_t before = headers->count;
        sheaf_err_t err;

        if (sheaf_reader_is(value, SHEAF_JSON_NULL))
            continue;
        place.name = sheaf_json_string(name, reader->pool);
        err = sheaf_reader_is(value, SHEAF_JSON_ARRAY) ? add_header_values(reader, place, headers, value)
                                                       : add_header(reader, place, headers, value);
        if (err != SHEAF_OK)
            return err;
        if (headers->count > before && sheaf_str_ieq(place.name, SHEAF_STR("content-type")))
            *type = headers->entries[before].value;
    }
    return SHEAF_OK;
}

/* --- objects by their tables --- */

/* What a name that is none of `members` may have been meant as; NULL when nothing is near. */
static const sheaf_reader_member_t *nearest(const sheaf_reader_member_t *members, size_t count, sheaf_str_t name)
{
    const sheaf_reader_member_t *best = NULL;
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

static sheaf_err_t unknown_member(const sheaf_reader_t *reader, const sheaf_reader_member_t *members, size_t count,
                                  sheaf_json_t source)
{
    sheaf_str_t name = sheaf_json_string(source, reader->pool);
    const sheaf_reader_member_t *near = nearest(members, count, name);
    sheaf_str_t shown = sheaf_str(name.base, name.len > 40 ? 40 : name.len);
    const char *what = reader->in_item ? "an item" : "a batch";

    shown.len = sheaf_utf8_valid_prefix(shown);
    if (near != NULL)
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%.*s\" is no member of %s; did you mean \"%s\"?",
                   SHEAF_STR_ARG(shown), what, near->name.base);
    else
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "\"%.*s\" is no member of %s", SHEAF_STR_ARG(shown), what);
    return sheaf_reader_locate(reader,
                               (sheaf_reader_place_t){.at = source.base, .name = name, .index = SHEAF_READER_NO_INDEX});
}

static const sheaf_reader_member_t *find_member(const sheaf_reader_t *reader, const sheaf_reader_member_t *members,
                                                size_t count, sheaf_str_t name)
{
    for (size_t i = 0; i < count; i++)
        if (reader->ignores_case ? sheaf_str_ieq(members[i].name, name) : sheaf_str_eq(members[i].name, name))
            return &members[i];
    return NULL;
}

sheaf_err_t sheaf_reader_members(sheaf_reader_t *reader, sheaf_json_t object, const sheaf_reader_member_t *members,
                                 size_t count)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, value;

    while (sheaf_json_next_member(&iter, &source, &value)) {
        sheaf_str_t name = sheaf_json_string(source, reader->pool);
        const sheaf_reader_member_t *member = find_member(reader, members, count, name);
        sheaf_err_t err;

        if (member == NULL && name.len > 0 && name.base[0] == '@')
            continue; /* annotations (OData JSON 4.5) */
        if (member == NULL && (reader->ignores_unknown || reader->batch->prefer.handling == SHEAF_HANDLING_LENIENT))
            continue;
        if (member == NULL)
            return unknown_member(reader, members, count, source);
        if (sheaf_reader_is(value, SHEAF_JSON_NULL) && !member->takes_null)
            continue;
        if ((err = member->take(reader, value)) != SHEAF_OK)
            return err;
    }
    reader->members = iter;
    return SHEAF_OK;
}

/* --- what the batch found: an item and a member, walked to again --- */

sheaf_json_t sheaf_reader_nth(sheaf_json_t array, uint32_t n)
{
    sheaf_json_iter_t iter = sheaf_json_iter(array);
    sheaf_json_t element = array;

    for (uint32_t i = 0; i <= n && sheaf_json_next_element(&iter, &element); i++)
        ;
    return element;
}

sheaf_json_t sheaf_reader_member_of(const sheaf_reader_t *reader, sheaf_json_t object, const char *name)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, value;

    while (sheaf_json_next_member(&iter, &source, &value))
        if (sheaf_str_eq(sheaf_json_string(source, reader->pool), sheaf_str_of(name)))
            return value;
    return object;
}

sheaf_err_t sheaf_reader_locate_fault(sheaf_reader_t *reader, sheaf_json_t item)
{
    const sheaf_fault_t *fault = &reader->batch->fault;
    const char *member = fault->member == SHEAF_FAULT_ID           ? "id"
                         : fault->member == SHEAF_FAULT_DEPENDS_ON ? "dependsOn"
                                                                   : NULL;
    sheaf_json_t value = member != NULL ? sheaf_reader_member_of(reader, item, member) : item;
    sheaf_reader_place_t place;

    reader->in_item = true;
    reader->index = fault->item;
    if (value.base == item.base)
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, item));
    place = sheaf_reader_at(member, value);
    if (fault->member == SHEAF_FAULT_DEPENDS_ON && sheaf_reader_is(value, SHEAF_JSON_ARRAY)) {
        place.index = fault->at;
        place.at = sheaf_reader_nth(value, fault->at).base;
    }
    return sheaf_reader_locate(reader, place);
}
