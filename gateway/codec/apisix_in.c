/* codec/apisix_in.c - the batches of Apache APISIX's batch-requests plugin.
 *
 *   {"query":{"q":"1"}, "headers":{"k":"v"}, "timeout":500,
 *    "pipeline":[{"method":"POST","path":"/a","query":{"q":"2"},"headers":{},"body":"text","version":1.1}]}
 *
 * The envelope's query and headers are defaults for every item; `timeout` is in milliseconds. Unknown members are ignored
 * in the envelope and refused in an item, as there. */
#include <stdio.h>

#include "gateway/batch/plan.h"
#include "gateway/codec/dialect_in.h"

#define QUERY_MOST 256 /* parameters of one query: an item's are compared with the envelope's */

/* One parameter, ready to be put into a url. */
typedef struct param {
    sheaf_str_t name;
    sheaf_str_t text; /* name=value, more than once for an array; empty: nothing is sent */
} param_t;

typedef struct query {
    param_t params[QUERY_MOST];
    uint32_t count;
} query_t;

typedef struct apisix {
    sheaf_reader_t reader;
    query_t common, own;
} apisix_t;

/* A url that is being put together; what is too long for an item is not written. */
typedef struct url {
    char text[SHEAF_ITEM_URL_MAX];
    size_t len;
    bool is_full;
} url_t;

/* --- query parameters, encoded as ngx.encode_args does --- */

static void url_init(url_t *url)
{
    url->len = 0; /* the text is left as it is: it is large, and there are many */
    url->is_full = false;
}

static void url_put(url_t *url, sheaf_str_t text)
{
    if (text.len > sizeof(url->text) - url->len) {
        url->is_full = true;
        return;
    }
    if (text.len > 0)
        memcpy(url->text + url->len, text.base, text.len);
    url->len += text.len;
}

static void url_put_encoded(url_t *url, sheaf_str_t text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len && !url->is_full; i++) {
        unsigned char c = (unsigned char)text.base[i];
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (sheaf_url_is_unreserved(text.base[i]))
            url_put(url, sheaf_str(&text.base[i], 1));
        else
            url_put(url, sheaf_str(encoded, sizeof(encoded)));
    }
}

/* name=value; true is a name alone, false and null are nothing. False for what is no value. */
static bool put_param(sheaf_reader_t *reader, url_t *url, sheaf_str_t name, sheaf_json_t value)
{
    sheaf_json_type_t type = sheaf_json_type(value);

    if (type == SHEAF_JSON_FALSE || type == SHEAF_JSON_NULL)
        return true;
    if (type == SHEAF_JSON_ARRAY || type == SHEAF_JSON_OBJECT)
        return false;
    if (url->len > 0)
        url_put(url, SHEAF_STR("&"));
    url_put_encoded(url, name);
    if (type == SHEAF_JSON_TRUE)
        return true;
    url_put(url, SHEAF_STR("="));
    url_put_encoded(url, type == SHEAF_JSON_STRING ? sheaf_json_string(value, reader->pool) : value);
    return true;
}

static bool put_params(sheaf_reader_t *reader, url_t *url, sheaf_str_t name, sheaf_json_t value)
{
    sheaf_json_iter_t iter;
    sheaf_json_t element;

    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return put_param(reader, url, name, value);
    iter = sheaf_json_iter(value);
    while (!url->is_full && sheaf_json_next_element(&iter, &element))
        if (!put_param(reader, url, name, element))
            return false;
    return true;
}

static sheaf_err_t add_param(sheaf_reader_t *reader, query_t *query, sheaf_str_t name, sheaf_json_t value)
{
    sheaf_reader_place_t place = sheaf_reader_at("query", value);
    url_t text;

    url_init(&text);
    place.name = name;
    if (query->count == QUERY_MOST)
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "a query takes at most %d parameters", QUERY_MOST);
    else if (!put_params(reader, &text, name, value))
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER,
                   "a query parameter takes a string, a number, true, false or an array of those");
    else if (text.is_full)
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "a query parameter takes at most %u bytes", SHEAF_ITEM_URL_MAX);
    else {
        query->params[query->count++] = (param_t){name, sheaf_pool_dup(reader->pool, sheaf_str(text.text, text.len))};
        return SHEAF_OK;
    }
    return sheaf_reader_locate(reader, place);
}

static sheaf_err_t take_query(sheaf_reader_t *reader, sheaf_json_t object, query_t *query)
{
    sheaf_json_iter_t iter;
    sheaf_json_t name, value;
    sheaf_err_t err = SHEAF_OK;

    if (!sheaf_reader_is(object, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("query", object), "an object of names and values");
    iter = sheaf_json_iter(object);
    while (err == SHEAF_OK && sheaf_json_next_member(&iter, &name, &value))
        err = add_param(reader, query, sheaf_json_string(name, reader->pool), value);
    return err;
}

static bool has_param(const query_t *query, sheaf_str_t name)
{
    for (uint32_t i = 0; i < query->count; i++)
        if (sheaf_str_eq(query->params[i].name, name))
            return true;
    return false;
}

/* --- the envelope --- */

static sheaf_err_t batch_query(sheaf_reader_t *reader, sheaf_json_t value)
{
    return take_query(reader, value, &SHEAF_OWNER(reader, apisix_t, reader)->common);
}

static sheaf_err_t batch_headers(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_headers(reader, value, &reader->batch->headers, &reader->default_type);
}

/* There it is the patience for each read; here the whole batch is over by then, and who answered in time has a result. */
static sheaf_err_t batch_timeout(sheaf_reader_t *reader, sheaf_json_t value)
{
    uint64_t ms;

    if (!sheaf_reader_is(value, SHEAF_JSON_NUMBER))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("timeout", value), "milliseconds as a whole number");
    if (!sheaf_json_u64(value, &ms) || ms == 0) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"timeout\" takes milliseconds as a whole number of 1 or more");
        return sheaf_reader_locate(reader, sheaf_reader_at("timeout", value));
    }
    if (ms < reader->batch->timeout_ms)
        reader->batch->timeout_ms = ms;
    return SHEAF_OK;
}

static sheaf_err_t batch_pipeline(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_err_t err = sheaf_dialect_take_list(reader, value);
    sheaf_json_iter_t iter;
    sheaf_json_t item;

    if (err != SHEAF_OK)
        return err;
    iter = sheaf_json_iter(value);
    if (sheaf_json_next_element(&iter, &item))
        return SHEAF_OK;
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"pipeline\" takes at least one item");
    return sheaf_reader_locate(reader, sheaf_reader_at("pipeline", value));
}

static const sheaf_reader_member_t batch_members[] = {
    {{"pipeline", 8}, batch_pipeline, false},
    {{"query", 5}, batch_query, false},
    {{"headers", 7}, batch_headers, false},
    {{"timeout", 7}, batch_timeout, false},
};

/* --- an item --- */

static sheaf_err_t item_path(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_err_t err = sheaf_reader_string(reader, "path", value, &reader->draft.url);

    if (err != SHEAF_OK || reader->draft.url.len > 0)
        return err;
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"path\" must not be empty");
    return sheaf_reader_locate(reader, sheaf_reader_at("path", value));
}

static sheaf_err_t item_query(sheaf_reader_t *reader, sheaf_json_t value)
{
    return take_query(reader, value, &SHEAF_OWNER(reader, apisix_t, reader)->own);
}

/* Which HTTP the backend speaks is the upstream's affair; only what the plugin would refuse is refused. */
static sheaf_err_t item_version(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_str_t text = sheaf_reader_is(value, SHEAF_JSON_STRING) ? sheaf_json_string(value, reader->pool) : value;

    if (sheaf_str_eq(text, SHEAF_STR("1.1")) || sheaf_str_eq(text, SHEAF_STR("1.0")) ||
        sheaf_str_eq(text, SHEAF_STR("1")))
        return SHEAF_OK;
    sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"version\" takes 1.0 or 1.1");
    return sheaf_reader_locate(reader, sheaf_reader_at("version", value));
}

/* How a backend's certificate is verified says the upstream, never a client. */
static sheaf_err_t item_ssl_verify(sheaf_reader_t *reader, sheaf_json_t value)
{
    bool is_ignored;

    return sheaf_dialect_take_bool(reader, "ssl_verify", value, &is_ignored);
}

static const sheaf_reader_member_t item_members[] = {
    {{"method", 6}, sheaf_dialect_take_method, false},
    {{"path", 4}, item_path, false},
    {{"query", 5}, item_query, false},
    {{"headers", 7}, sheaf_dialect_take_headers, false},
    {{"body", 4}, sheaf_dialect_take_body, false},
    {{"version", 7}, item_version, false},
    {{"ssl_verify", 10}, item_ssl_verify, false},
};

/* A path may bring a query of its own. */
static void url_put_param(url_t *url, const param_t *param, bool *has_query)
{
    if (param->text.len == 0)
        return;
    url_put(url, *has_query ? SHEAF_STR("&") : SHEAF_STR("?"));
    url_put(url, param->text);
    *has_query = true;
}

static void build_url(const apisix_t *apisix, url_t *url)
{
    sheaf_str_t path = apisix->reader.draft.url;
    bool has_query = path.len > 0 && memchr(path.base, '?', path.len) != NULL;

    url_put(url, path);
    for (uint32_t i = 0; i < apisix->own.count; i++)
        url_put_param(url, &apisix->own.params[i], &has_query);
    for (uint32_t i = 0; i < apisix->common.count && !url->is_full; i++)
        if (!has_param(&apisix->own, apisix->common.params[i].name))
            url_put_param(url, &apisix->common.params[i], &has_query);
}

static sheaf_err_t finish(sheaf_reader_t *reader, sheaf_json_t item)
{
    apisix_t *apisix = SHEAF_OWNER(reader, apisix_t, reader);
    url_t url;

    if (reader->draft.url.base == NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the item has no \"path\"");
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, item));
    }
    if (apisix->own.count == 0 && apisix->common.count == 0)
        return SHEAF_OK;
    url_init(&url);
    build_url(apisix, &url);
    apisix->own.count = 0;
    if (!url.is_full) {
        reader->draft.url = sheaf_pool_dup(reader->pool, sheaf_str(url.text, url.len));
        return SHEAF_OK;
    }
    reader->draft.err = SHEAF_ERR_ITEM_URL;
    snprintf(reader->draft.detail, sizeof(reader->draft.detail), "path and query are longer than %u bytes",
             SHEAF_ITEM_URL_MAX);
    return SHEAF_OK;
}

static const sheaf_dialect_in_t dialect = {
    .list = "pipeline",
    .batch_members = batch_members,
    .batch_member_count = SHEAF_COUNT(batch_members),
    .item_members = item_members,
    .item_member_count = SHEAF_COUNT(item_members),
    .ignores_unknown = false,
    .finish = finish,
};

static sheaf_err_t apisix_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    apisix_t *apisix = sheaf_pool_zalloc(batch->pool, sizeof(*apisix));

    apisix->reader =
        (sheaf_reader_t){.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    apisix->reader.takes_scalars = true;
    return sheaf_dialect_read(&apisix->reader, &dialect);
}

const sheaf_decoder_t sheaf_apisix_in = {.name = "apisix", .decode = apisix_decode, .answers_with = &sheaf_apisix_out};
