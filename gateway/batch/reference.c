#include "gateway/batch/reference.h"

#include "gateway/base/pointer.h"

typedef struct compiler {
    sheaf_item_t *item;
    sheaf_pool_t *pool;
    struct sheaf_recipe *recipe;
    sheaf_fail_t *fail;
} compiler_t;

/* --- one reference --- */

static bool is_id_char(char c)
{
    return (c >= '0' && c <= '9') || (sheaf_lower(c) >= 'a' && sheaf_lower(c) <= 'z') || c == '_' || c == '-';
}

static bool parse_part(sheaf_pool_t *pool, sheaf_str_t part, sheaf_reference_t *reference)
{
    if (sheaf_str_starts(part, SHEAF_STR("body"))) {
        reference->kind = SHEAF_REFERENCE_BODY;
        reference->path = sheaf_str(part.base + 4, part.len - 4);
        return sheaf_pointer_is_valid(reference->path);
    }
    if (sheaf_str_starts(part, SHEAF_STR("headers."))) {
        sheaf_str_t name = sheaf_str(part.base + 8, part.len - 8);

        reference->kind = SHEAF_REFERENCE_HEADER;
        if (!sheaf_header_name_is_valid(name))
            return false;
        reference->path = sheaf_header_lower(pool, name);
        return true;
    }
    reference->kind = SHEAF_REFERENCE_STATUS;
    return sheaf_str_eq(part, SHEAF_STR("status"));
}

bool sheaf_reference_parse(sheaf_pool_t *pool, sheaf_str_t text, sheaf_reference_t *ret_reference)
{
    size_t len = 0;

    while (len < text.len && is_id_char(text.base[len]))
        len++;
    if (len == 0 || len + 1 >= text.len || text.base[len] != '.')
        return false;
    *ret_reference = (sheaf_reference_t){.text = text, .id = sheaf_str(text.base, len)};
    return parse_part(pool, sheaf_str(text.base + len + 1, text.len - len - 1), ret_reference);
}

/* --- pieces --- */

static void add_piece(compiler_t *compiler, sheaf_template_t *into, sheaf_str_t text,
                      const sheaf_reference_t *reference)
{
    sheaf_piece_t *piece = sheaf_pool_alloc(compiler->pool, sizeof(*piece));

    *piece = (sheaf_piece_t){text, reference, NULL};
    if (into->last == NULL)
        into->first = piece;
    else
        into->last->next = piece;
    into->last = piece;
}

static bool find_edge(const sheaf_item_t *item, sheaf_str_t id, uint32_t *ret_edge)
{
    for (uint32_t i = 0; i < item->depends_on_count; i++) {
        if (!sheaf_str_eq(item->depends_on[i].id, id))
            continue;
        *ret_edge = i;
        return true;
    }
    return false;
}

static sheaf_str_t shown(sheaf_str_t text)
{
    return sheaf_str(text.base, text.len < 96 ? text.len : 96);
}

static void mark_edge(sheaf_edge_t *edge, const sheaf_reference_t *reference)
{
    edge->is_named = true;
    if (reference->kind != SHEAF_REFERENCE_STATUS)
        edge->is_read = true;
}

/* Adds a parsed reference whose edge is known. */
static sheaf_err_t add_reference(compiler_t *compiler, sheaf_template_t *into, const sheaf_reference_t *reference)
{
    sheaf_reference_t *kept;

    if (++compiler->recipe->count > SHEAF_REFERENCES_MAX)
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE, "the item has more than %u references",
                          SHEAF_REFERENCES_MAX);
    kept = sheaf_pool_alloc(compiler->pool, sizeof(*kept));
    *kept = *reference;
    if (kept->kind != SHEAF_REFERENCE_EACH)
        mark_edge(&compiler->item->depends_on[kept->edge], kept);
    add_piece(compiler, into, SHEAF_STR_NONE, kept);
    return SHEAF_OK;
}

/* "each" is the element, "each/POINTER" something in it. */
static bool parse_each(sheaf_str_t text, sheaf_reference_t *ret_reference)
{
    if (!sheaf_str_starts(text, SHEAF_STR("each")))
        return false;
    *ret_reference = (sheaf_reference_t){.kind = SHEAF_REFERENCE_EACH, .text = text};
    ret_reference->path = sheaf_str(text.base + 4, text.len - 4);
    return sheaf_pointer_is_valid(ret_reference->path);
}

static sheaf_err_t take_reference(compiler_t *compiler, sheaf_template_t *into, sheaf_str_t text)
{
    sheaf_reference_t reference;

    if (text.len > SHEAF_REFERENCE_SIZE_MAX)
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE, "the reference \"%.*s...\" is longer than %u bytes",
                          SHEAF_STR_ARG(shown(text)), SHEAF_REFERENCE_SIZE_MAX);
    if (compiler->recipe->each != NULL && parse_each(text, &reference))
        return add_reference(compiler, into, &reference);
    if (!sheaf_reference_parse(compiler->pool, text, &reference))
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE,
                          "\"%.*s\" is no reference: ID.body/POINTER, ID.status and ID.headers.NAME are",
                          SHEAF_STR_ARG(shown(text)));
    if (!find_edge(compiler->item, reference.id, &reference.edge))
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE,
                          "the reference \"%.*s\" names an item that \"dependsOn\" does not list",
                          SHEAF_STR_ARG(shown(text)));
    return add_reference(compiler, into, &reference);
}

/* --- text: urls and header values --- */

/* Where "${" next stands at or behind `at`; text.len when nowhere. */
static size_t next_mark(sheaf_str_t text, size_t at)
{
    for (; at + 1 < text.len; at++)
        if (text.base[at] == '$' && text.base[at + 1] == '{')
            return at;
    return text.len;
}

static sheaf_err_t take_text(compiler_t *compiler, sheaf_template_t *into, sheaf_str_t text)
{
    size_t done = 0, mark = next_mark(text, 0);

    if (mark == text.len && into->first == NULL)
        return SHEAF_OK; /* nothing to resolve */
    for (; mark < text.len; mark = next_mark(text, mark)) {
        bool is_literal = mark > done && text.base[mark - 1] == '$';
        const char *close;
        sheaf_err_t err;

        /* of "$${" one '$' is dropped, and the rest is text */
        add_piece(compiler, into, sheaf_str(text.base + done, mark - done - is_literal), NULL);
        done = mark;
        mark += 2;
        if (is_literal)
            continue;
        close = memchr(text.base + mark, '}', text.len - mark);
        if (close == NULL)
            return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE, "\"${\" without \"}\"; \"$${\" stands for itself");
        err = take_reference(compiler, into, sheaf_str(text.base + mark, (size_t)(close - text.base) - mark));
        if (err != SHEAF_OK)
            return err;
        done = mark = (size_t)(close - text.base) + 1;
    }
    add_piece(compiler, into, sheaf_str(text.base + done, text.len - done), NULL);
    return SHEAF_OK;
}

/* A value must not become part of an escape: no '%' may stand open where a reference begins. */
static bool has_open_percent(const sheaf_template_t *url)
{
    for (const sheaf_piece_t *piece = url->first; piece != NULL; piece = piece->next) {
        sheaf_str_t text = piece->text;

        if (piece->next != NULL && text.len > 0 &&
            memchr(text.base + text.len - (text.len > 1 ? 2 : 1), '%', text.len > 1 ? 2 : 1) != NULL)
            return true;
    }
    return false;
}

/* OData 4.01 Protocol 11.7.3.1: a url that begins with $ID, or /$ID, of an item it depends on. */
static sheaf_err_t take_leading_id(compiler_t *compiler, sheaf_str_t *url)
{
    size_t start = url->len > 0 && url->base[0] == '/', end;
    sheaf_reference_t reference = {.kind = SHEAF_REFERENCE_LOCATION};

    if (start >= url->len || url->base[start] != '$')
        return SHEAF_OK;
    for (end = start; end < url->len && url->base[end] != '/' && url->base[end] != '?'; end++)
        ;
    reference.text = sheaf_str(url->base + start, end - start);
    reference.id = sheaf_str(url->base + start + 1, end - start - 1);
    if (!find_edge(compiler->item, reference.id, &reference.edge))
        return SHEAF_OK; /* $metadata and its like */
    *url = sheaf_str(url->base + end, url->len - end);
    return add_reference(compiler, &compiler->recipe->url, &reference);
}

static sheaf_err_t take_url(compiler_t *compiler, sheaf_str_t url)
{
    sheaf_err_t err = take_leading_id(compiler, &url);

    if (err == SHEAF_OK)
        err = take_text(compiler, &compiler->recipe->url, url);
    if (err == SHEAF_OK && has_open_percent(&compiler->recipe->url))
        return sheaf_fail(compiler->fail, SHEAF_ERR_ITEM_URL, "the url holds a malformed percent-encoding");
    return err;
}

/* OData 4.01 Protocol 11.7.3.2: If-Match: $ID stands for the ETag of that item's answer. */
static sheaf_err_t take_etag(compiler_t *compiler, sheaf_template_t *into, const sheaf_header_t *header)
{
    sheaf_str_t value = sheaf_str_trim(header->value);
    sheaf_reference_t reference = {.kind = SHEAF_REFERENCE_HEADER, .text = value, .path = SHEAF_STR("etag")};

    if (value.len < 2 || value.base[0] != '$' ||
        (!sheaf_str_ieq(header->name, SHEAF_STR("if-match")) &&
         !sheaf_str_ieq(header->name, SHEAF_STR("if-none-match"))))
        return SHEAF_OK;
    reference.id = sheaf_str(value.base + 1, value.len - 1);
    if (!find_edge(compiler->item, reference.id, &reference.edge))
        return SHEAF_OK;
    return add_reference(compiler, into, &reference);
}

static sheaf_err_t take_headers(compiler_t *compiler, const sheaf_headers_t *headers)
{
    sheaf_template_t *values;
    bool has_any = false;

    if (headers->count == 0)
        return SHEAF_OK;
    values = sheaf_pool_zalloc(compiler->pool, headers->count * sizeof(*values));
    for (uint32_t i = 0; i < headers->count; i++) {
        sheaf_err_t err = take_etag(compiler, &values[i], &headers->entries[i]);

        if (err == SHEAF_OK && values[i].first == NULL)
            err = take_text(compiler, &values[i], headers->entries[i].value);
        if (err != SHEAF_OK)
            return err;
        has_any = has_any || values[i].first != NULL;
    }
    compiler->recipe->headers = *headers;
    compiler->recipe->values = has_any ? values : NULL;
    return SHEAF_OK;
}

/* --- JSON bodies --- */

/* The value of `name` when `object` has that member and no other. What any other name stands for is not looked at. */
static bool is_only_member(sheaf_json_t object, const char *name, sheaf_json_t *ret_value)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, other;

    return sheaf_json_next_element(&iter, &source) && sheaf_json_string_is(source, sheaf_str_of(name)) &&
           sheaf_json_next_element(&iter, ret_value) && !sheaf_json_next_element(&iter, &other);
}

/* What of the body has become pieces: up to `done`. */
static sheaf_err_t replace(compiler_t *compiler, const char **done, sheaf_json_t object, sheaf_json_t value,
                           bool is_literal)
{
    sheaf_template_t *body = &compiler->recipe->body;
    sheaf_err_t err = SHEAF_OK;

    add_piece(compiler, body, sheaf_str(*done, (size_t)(object.base - *done)), NULL);
    *done = object.base + object.len;
    if (is_literal)
        add_piece(compiler, body, value, NULL);
    else if (sheaf_json_type(value) != SHEAF_JSON_STRING)
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE, "\"$result\" takes a reference as a string");
    else
        err = take_reference(compiler, body, sheaf_json_string(value, compiler->pool));
    return err;
}

/* Documents from clients are at most 64 deep, and so is this. */
static sheaf_err_t take_value(compiler_t *compiler, const char **done, sheaf_json_t value)
{
    sheaf_json_type_t type = sheaf_json_type(value);
    sheaf_json_iter_t iter;
    sheaf_json_t name, inner;
    sheaf_err_t err = SHEAF_OK;

    if (type != SHEAF_JSON_ARRAY && type != SHEAF_JSON_OBJECT)
        return SHEAF_OK;
    if (type == SHEAF_JSON_OBJECT && is_only_member(value, "$literal", &inner))
        return replace(compiler, done, value, inner, true);
    if (type == SHEAF_JSON_OBJECT && is_only_member(value, "$result", &inner))
        return replace(compiler, done, value, inner, false);
    iter = sheaf_json_iter(value);
    while (err == SHEAF_OK && (type == SHEAF_JSON_ARRAY ? sheaf_json_next_element(&iter, &inner)
                                                        : sheaf_json_next_member(&iter, &name, &inner)))
        err = take_value(compiler, done, inner);
    return err;
}

static bool may_hold_any(sheaf_str_t body)
{
    return body.len > 0 && (memchr(body.base, '$', body.len) != NULL || memchr(body.base, '\\', body.len) != NULL);
}

static sheaf_err_t take_body(compiler_t *compiler, sheaf_json_t body)
{
    const char *done = body.base;
    sheaf_err_t err;

    if (!may_hold_any(body))
        return SHEAF_OK;
    err = take_value(compiler, &done, body);
    if (err == SHEAF_OK && done != body.base)
        add_piece(compiler, &compiler->recipe->body, sheaf_str(done, (size_t)(body.base + body.len - done)), NULL);
    return err;
}

/* What forEach names: the body of an item it depends on, or an array in it. */
static sheaf_err_t take_for_each(compiler_t *compiler, sheaf_str_t text)
{
    sheaf_reference_t *reference = sheaf_pool_alloc(compiler->pool, sizeof(*reference));

    if (text.base == NULL)
        return SHEAF_OK;
    if (text.len > SHEAF_REFERENCE_SIZE_MAX || !sheaf_reference_parse(compiler->pool, text, reference) ||
        reference->kind != SHEAF_REFERENCE_BODY)
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE, "\"forEach\" takes a reference such as ID.body/POINTER");
    if (!find_edge(compiler->item, reference->id, &reference->edge))
        return sheaf_fail(compiler->fail, SHEAF_ERR_REFERENCE,
                          "\"forEach\" names an item that \"dependsOn\" does not list");
    mark_edge(&compiler->item->depends_on[reference->edge], reference);
    compiler->recipe->each = reference;
    return SHEAF_OK;
}

sheaf_err_t sheaf_reference_compile(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail)
{
    struct sheaf_recipe recipe = {0};
    compiler_t compiler = {item, item->pool, &recipe, fail};
    sheaf_err_t err;

    if (item->depends_on_count == 0)
        return SHEAF_OK;
    err = take_for_each(&compiler, draft->for_each);
    if (err == SHEAF_OK)
        err = take_url(&compiler, draft->url);
    if (err == SHEAF_OK)
        err = take_headers(&compiler, &draft->headers);
    if (err == SHEAF_OK && draft->has_body && draft->body_is_value)
        err = take_body(&compiler, draft->body);
    if (err != SHEAF_OK ||
        (recipe.url.first == NULL && recipe.values == NULL && recipe.body.first == NULL && recipe.each == NULL))
        return err;
    item->recipe = sheaf_pool_alloc(item->pool, sizeof(recipe));
    *item->recipe = recipe;
    return SHEAF_OK;
}
