#include "gateway/batch/lookup.h"

#include "gateway/base/pointer.h"
#include "gateway/batch/plan.h"
#include "gateway/batch/stretch.h"

/* --- how far it may look --- */

#define STEPS_ITEM                                                                                                     \
    UINT64_C(1000000)  /* and one for every byte of max_item_body: the last value of any answer can be found */
#define STEPS_BATCH  8 /* times what one item may take */
#define STEPS_ALWAYS UINT64_C(20000) /* for each item, whatever the others took */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most_steps(const sheaf_batch_t *batch)
{
    uint64_t each = STEPS_ITEM + batch->endpoint->max_item_body_bytes;
    uint64_t all = each < UINT64_MAX / STEPS_BATCH ? each * STEPS_BATCH : UINT64_MAX;
    uint64_t left = smaller(each, all > batch->walked_steps ? all - batch->walked_steps : 0);

    return left > STEPS_ALWAYS ? left : STEPS_ALWAYS;
}

void sheaf_lookup_begin(sheaf_lookup_t *ret_lookup, const sheaf_item_t *item, sheaf_fail_t *fail)
{
    uint64_t most = most_steps(item->batch);

    *ret_lookup = (sheaf_lookup_t){item, fail, .scratch = sheaf_pool_new(), .steps = most, .most = most};
}

void sheaf_lookup_end(sheaf_lookup_t *lookup)
{
    sheaf_stretch_walked(lookup->item->batch, lookup->most - lookup->steps);
    sheaf_stretch_copied(lookup->item->batch, lookup->copied_bytes);
    sheaf_pool_free(lookup->scratch);
}

/* --- values --- */

sheaf_err_t sheaf_lookup_fail(const sheaf_lookup_t *lookup, const sheaf_reference_t *reference, const char *why)
{
    size_t len = reference->text.len < 128 ? reference->text.len : 128;

    return sheaf_fail(lookup->fail, SHEAF_ERR_UNRESOLVED, "the reference \"%.*s\" %s", (int)len, reference->text.base,
                      why);
}

/* The body in one run of bytes: as it lies when it is one chunk, else copied, once however often it is referred to. */
static sheaf_str_t flatten(sheaf_lookup_t *lookup, uint32_t edge, const sheaf_buf_t *body)
{
    sheaf_str_t *flat;
    char *copy;

    if (body->first.next == NULL)
        return sheaf_str(body->first.bytes, body->len);
    if (lookup->flats == NULL)
        lookup->flats = sheaf_pool_zalloc(lookup->scratch, lookup->item->depends_on_count * sizeof(*flat));
    flat = &lookup->flats[edge];
    if (flat->base == NULL) {
        copy = sheaf_pool_alloc(lookup->scratch, body->len);
        sheaf_buf_copy(body, copy);
        lookup->copied_bytes += body->len;
        *flat = sheaf_str(copy, body->len);
    }
    return *flat;
}

static sheaf_err_t find_below(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_json_t root,
                              sheaf_found_t *ret_value)
{
    ret_value->is_json = true;
    if (sheaf_pointer_walk(root, reference->path, lookup->scratch, &lookup->steps, &ret_value->text)) {
        lookup->copied_bytes += ret_value->text.len; /* to where it is wanted */
        return SHEAF_OK;
    }
    return sheaf_lookup_fail(lookup, reference,
                             lookup->steps == 0 ? "is too far in, with what others looked through" : "found nothing");
}

static sheaf_err_t find_in_body(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, const sheaf_item_t *from,
                                sheaf_found_t *ret_value)
{
    if (from->body == NULL)
        return sheaf_lookup_fail(lookup, reference, "found no body");
    if (!from->json_is_valid)
        return sheaf_lookup_fail(lookup, reference, "found a body that is not JSON");
    return find_below(lookup, reference, sheaf_json_root(flatten(lookup, reference->edge, from->body)), ret_value);
}

sheaf_err_t sheaf_lookup_value(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_found_t *ret_value)
{
    const sheaf_item_t *item = lookup->item;
    const sheaf_item_t *from;
    const sheaf_header_t *header;

    if (reference->kind == SHEAF_REFERENCE_EACH)
        return find_below(lookup, reference, item->each, ret_value);
    from = sheaf_batch_item(item->batch, item->depends_on[reference->edge].blocker);
    if (reference->kind == SHEAF_REFERENCE_BODY)
        return find_in_body(lookup, reference, from, ret_value);
    if (reference->kind == SHEAF_REFERENCE_STATUS) {
        ret_value->text = sheaf_pool_printf(lookup->scratch, "%u", (unsigned)from->status);
        ret_value->is_json = true;
        return SHEAF_OK;
    }
    header = sheaf_headers_find(&from->answer, reference->path);
    if (header == NULL)
        return sheaf_lookup_fail(lookup, reference, "found no such header");
    *ret_value = (sheaf_found_t){header->value, false};
    return SHEAF_OK;
}

sheaf_err_t sheaf_lookup_scalar(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_str_t *ret_text)
{
    sheaf_found_t value;
    sheaf_err_t err = sheaf_lookup_value(lookup, reference, &value);
    const char *why;

    if (err != SHEAF_OK)
        return err;
    *ret_text = value.text;
    if (!value.is_json)
        return SHEAF_OK;
    why = sheaf_json_scalar(value.text, lookup->scratch, ret_text);
    return why == NULL ? SHEAF_OK : sheaf_lookup_fail(lookup, reference, why);
}

/* --- where the thing is that another item made --- */

/* Takes scheme and authority off; false when they are not those the client itself speaks to. */
static bool is_ours(const sheaf_batch_t *batch, sheaf_str_t *location)
{
    sheaf_str_t rest = *location, authority;
    const char *mark = rest.len == 0 ? NULL : memmem(rest.base, rest.len, "://", 3);
    size_t skip = 0, end;

    if (sheaf_str_starts(rest, SHEAF_STR("//")))
        skip = 2;
    else if (mark != NULL && memchr(rest.base, '/', rest.len) == mark + 1 &&
             memchr(rest.base, '?', (size_t)(mark - rest.base)) == NULL)
        skip = (size_t)(mark - rest.base) + 3;
    if (skip == 0)
        return true; /* relative; one with another scheme does not pass as a url */
    rest = sheaf_str(rest.base + skip, rest.len - skip);
    for (end = 0; end < rest.len && rest.base[end] != '/' && rest.base[end] != '?'; end++)
        ;
    authority = sheaf_str(rest.base, end);
    *location = end < rest.len ? sheaf_str(rest.base + end, rest.len - end) : SHEAF_STR("/");
    return authority.len > 0 && sheaf_str_ieq(authority, batch->outer->host);
}

/* RFC 3986 5.2.3: relative references start in the folder of what they were found at. */
static sheaf_str_t folder_of(sheaf_str_t path)
{
    const char *slash = memrchr(path.base, '/', path.len);

    return sheaf_str(path.base, slash == NULL ? 0 : (size_t)(slash - path.base) + 1);
}

sheaf_err_t sheaf_lookup_location(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_url_t *ret_url)
{
    const sheaf_item_t *item = lookup->item;
    const sheaf_batch_t *batch = item->batch;
    const sheaf_item_t *from = sheaf_batch_item(batch, item->depends_on[reference->edge].blocker);
    const sheaf_header_t *header = sheaf_headers_find(&from->answer, SHEAF_STR("location"));
    sheaf_str_t location;

    if (sheaf_url_normalise(lookup->scratch, from->url_text, batch->base, SHEAF_ITEM_URL_MAX, ret_url, NULL) !=
        SHEAF_OK)
        return sheaf_lookup_fail(lookup, reference, "names an item without a usable url");
    if (header != NULL) {
        location = header->value;
        location = sheaf_str_cut(&location, '#');
        if (!is_ours(batch, &location))
            return sheaf_lookup_fail(lookup, reference, "found a Location at another authority");
        if (location.len > 0 && sheaf_url_normalise(lookup->scratch, location, folder_of(ret_url->path),
                                                    SHEAF_ITEM_URL_MAX, ret_url, NULL) != SHEAF_OK)
            return sheaf_lookup_fail(lookup, reference, "found a Location that is no usable url");
    }
    return SHEAF_OK;
}
