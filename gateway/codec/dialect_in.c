#include "gateway/codec/dialect_in.h"

#define MAX_DEPTH 64

/* --- members that both have --- */

sheaf_err_t sheaf_dialect_take_list(sheaf_reader_t *reader, sheaf_json_t value)
{
    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at(reader->list, value), "an array of items");
    reader->requests = value;
    return SHEAF_OK;
}

sheaf_err_t sheaf_dialect_take_method(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_err_t err = sheaf_reader_string(reader, "method", value, &reader->draft.method);

    if (err == SHEAF_OK && reader->draft.method.len == 0)
        reader->draft.method = SHEAF_STR_NONE; /* what an encoder of either client writes for "not set" */
    return err;
}

sheaf_err_t sheaf_dialect_take_headers(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_headers(reader, value, &reader->draft.headers, &reader->content_type);
}

sheaf_err_t sheaf_dialect_take_body(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_err_t err = sheaf_reader_string(reader, "body", value, &reader->draft.body);

    reader->draft.has_body = err == SHEAF_OK && reader->draft.body.len > 0;
    return err;
}

sheaf_err_t sheaf_dialect_take_bool(sheaf_reader_t *reader, const char *member, sheaf_json_t value, bool *ret_is_true)
{
    *ret_is_true = sheaf_reader_is(value, SHEAF_JSON_TRUE);
    if (*ret_is_true || sheaf_reader_is(value, SHEAF_JSON_FALSE))
        return SHEAF_OK;
    return sheaf_reader_wrong_type(reader, sheaf_reader_at(member, value), "true or false");
}

/* --- the batch --- */

/* The value of `name` in the envelope; the envelope itself when it has none. */
static sheaf_json_t envelope_member(const sheaf_reader_t *reader, const char *name)
{
    sheaf_json_t root = sheaf_json_root(reader->doc), source, value;
    sheaf_json_iter_t iter = sheaf_json_iter(root);

    while (sheaf_json_next_member(&iter, &source, &value))
        if (sheaf_str_ieq(sheaf_json_string(source, reader->pool), sheaf_str_of(name)))
            return value;
    return root;
}

/* Without ids and dependencies the batch can only mind the number of items, the envelope's headers, or what lies in the
 * outer request and has no place in the document. */
static sheaf_err_t locate_fault(sheaf_reader_t *reader)
{
    const char *member = reader->batch->fault.member == SHEAF_FAULT_ITEMS ? reader->list : "headers";
    sheaf_json_t root = sheaf_json_root(reader->doc), value;

    if (reader->fail->err == SHEAF_ERR_LOOP || reader->fail->err == SHEAF_ERR_INHERITED)
        return reader->fail->err;
    reader->in_item = false;
    value = envelope_member(reader, member);
    return sheaf_reader_locate(reader, sheaf_reader_at(value.base == root.base ? NULL : member, value));
}

static sheaf_err_t read_item(sheaf_reader_t *reader, const sheaf_dialect_in_t *dialect, sheaf_json_t item)
{
    sheaf_err_t err;

    memset(&reader->draft, 0, sizeof(reader->draft));
    reader->content_type = SHEAF_STR_NONE;
    if (!sheaf_reader_is(item, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at(NULL, item), "an item as an object");
    if ((err = sheaf_reader_members(reader, item, dialect->item_members, dialect->item_member_count)) != SHEAF_OK)
        return err;
    if ((err = dialect->finish(reader, item)) != SHEAF_OK)
        return err;
    return sheaf_batch_add(reader->batch, &reader->draft, reader->fail) == SHEAF_OK ? SHEAF_OK : locate_fault(reader);
}

static sheaf_err_t read_items(sheaf_reader_t *reader, const sheaf_dialect_in_t *dialect)
{
    sheaf_json_iter_t iter = sheaf_json_iter(reader->requests);
    sheaf_json_t item;

    reader->ignores_unknown = dialect->ignores_unknown;
    for (reader->index = 0; sheaf_json_next_element(&iter, &item); reader->index++) {
        sheaf_err_t err;

        reader->in_item = true;
        if ((err = read_item(reader, dialect, item)) != SHEAF_OK)
            return err;
    }
    reader->in_item = false;
    return sheaf_batch_seal(reader->batch, reader->fail) == SHEAF_OK ? SHEAF_OK : locate_fault(reader);
}

sheaf_err_t sheaf_dialect_read(sheaf_reader_t *reader, const sheaf_dialect_in_t *dialect)
{
    sheaf_json_t root;
    sheaf_err_t err = sheaf_json_check(reader->doc, MAX_DEPTH, reader->fail);

    if (err != SHEAF_OK)
        return err;
    reader->list = dialect->list;
    reader->ignores_unknown = true;
    reader->batch->order = SHEAF_ORDER_REQUEST;
    root = sheaf_json_root(reader->doc);
    if (!sheaf_reader_is(root, SHEAF_JSON_OBJECT)) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a batch is an object with \"%s\"", dialect->list);
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, root));
    }
    if ((err = sheaf_reader_members(reader, root, dialect->batch_members, dialect->batch_member_count)) != SHEAF_OK)
        return err;
    if (reader->requests.base != NULL)
        return read_items(reader, dialect);
    sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the batch has no \"%s\"", dialect->list);
    return sheaf_reader_locate(reader, sheaf_reader_at(NULL, root));
}
