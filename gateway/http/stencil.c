#include "gateway/http/stencil.h"

#include <stdlib.h>

#include "gateway/base/json.h"
#include "gateway/base/pointer.h"
#include "gateway/http/header.h"
#include "gateway/http/sheet.h"
#include "gateway/http/url.h"

#define DEFAULT_MAX_DEPTH 64

/* --- a hole as it is written --- */

static bool is_source_char(char c)
{
    return (c >= '0' && c <= '9') || (sheaf_lower(c) >= 'a' && sheaf_lower(c) <= 'z') || c == '_' || c == '-';
}

/* What a sentence shows of a long text; it ends with a whole character. */
static sheaf_str_t beginning(sheaf_str_t text, size_t most)
{
    text.len = text.len < most ? text.len : most;
    text.len = sheaf_utf8_valid_prefix(text);
    return text;
}

static sheaf_err_t refuse_hole(sheaf_fail_t *fail, sheaf_str_t text)
{
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`${%.*s}` is none of ${SOURCE}, ${SOURCE.NAME} and ${SOURCE/POINTER}",
                      SHEAF_STR_ARG(beginning(text, 64)));
}

/* What follows the source: nothing, a name or a pointer. */
static bool parse_path(sheaf_str_t rest, sheaf_hole_t *hole)
{
    hole->is_named = rest.len > 0 && rest.base[0] == '.';
    hole->path = hole->is_named ? sheaf_str(rest.base + 1, rest.len - 1) : rest;
    return hole->is_named ? hole->path.len > 0 : sheaf_pointer_is_valid(rest);
}

static sheaf_err_t parse_hole(sheaf_str_t text, sheaf_place_t place, sheaf_hole_t *hole, sheaf_fail_t *fail)
{
    const char *dash = text.len > 0 ? memmem(text.base, text.len, ":-", 2) : NULL;
    sheaf_str_t what = dash != NULL ? sheaf_str(text.base, (size_t)(dash - text.base)) : text;
    size_t len = 0;

    while (len < what.len && is_source_char(what.base[len]))
        len++;
    *hole = (sheaf_hole_t){.text = text, .source = sheaf_str(what.base, len), .place = place};
    if (len == 0 || !parse_path(sheaf_str(what.base + len, what.len - len), hole))
        return refuse_hole(fail, text);
    if (dash != NULL)
        hole->fallback = sheaf_str(dash + 2, (size_t)(text.base + text.len - dash - 2));
    return SHEAF_OK;
}

/* --- putting a stencil together --- */

struct sheaf_stencil_maker {
    sheaf_pool_t *pool;
    sheaf_stencil_t *stencil;
    uint32_t size;
    sheaf_sheet_t text; /* before the next hole */
};

sheaf_stencil_maker_t *sheaf_stencil_maker_new(sheaf_pool_t *pool)
{
    sheaf_stencil_maker_t *maker = sheaf_zalloc(sizeof(*maker));

    maker->pool = pool;
    maker->stencil = sheaf_pool_zalloc(pool, sizeof(*maker->stencil));
    maker->stencil->is_json = true;
    sheaf_sheet_begin(&maker->text, SIZE_MAX);
    return maker;
}

static void end_piece(sheaf_stencil_maker_t *maker, sheaf_hole_t *hole)
{
    sheaf_stencil_t *stencil = maker->stencil;
    sheaf_stencil_piece_t *pieces;

    if (stencil->count == maker->size) {
        maker->size = maker->size == 0 ? 2 : maker->size * 4;
        pieces = sheaf_pool_alloc(maker->pool, maker->size * sizeof(*pieces));
        if (stencil->count > 0)
            memcpy(pieces, stencil->pieces, stencil->count * sizeof(*pieces));
        stencil->pieces = pieces;
    }
    stencil->pieces[stencil->count].text = sheaf_pool_dup(maker->pool, sheaf_sheet_text(&maker->text));
    stencil->pieces[stencil->count++].hole = hole;
    sheaf_sheet_begin(&maker->text, SIZE_MAX);
}

sheaf_stencil_t *sheaf_stencil_maker_end(sheaf_stencil_maker_t *maker)
{
    sheaf_stencil_t *stencil = maker->stencil;

    end_piece(maker, NULL);
    sheaf_sheet_fini(&maker->text);
    free(maker);
    return stencil;
}

static sheaf_err_t add_hole(sheaf_stencil_maker_t *maker, sheaf_str_t text, sheaf_place_t place, sheaf_fail_t *fail)
{
    sheaf_hole_t *hole = sheaf_pool_alloc(maker->pool, sizeof(*hole));

    if (maker->stencil->count == SHEAF_STENCIL_MAX_HOLES)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "more than %u `${...}`", SHEAF_STENCIL_MAX_HOLES);
    end_piece(maker, hole);
    return parse_hole(sheaf_pool_dup(maker->pool, text), place, hole, fail);
}

static void put_literal(sheaf_stencil_maker_t *maker, sheaf_str_t text, sheaf_place_t place)
{
    if (place == SHEAF_PLACE_STRING)
        sheaf_sheet_put_escaped(&maker->text, text);
    else
        sheaf_sheet_put(&maker->text, text);
}

/* A value must not become part of an escape: no '%' may stand open where a hole begins. */
static bool has_open_percent(sheaf_str_t text)
{
    size_t tail = text.len < 2 ? text.len : 2;

    return tail > 0 && memchr(text.base + text.len - tail, '%', tail) != NULL;
}

static bool has_query(sheaf_str_t text)
{
    return text.len > 0 && memchr(text.base, '?', text.len) != NULL;
}

/* Text with holes; of "$${" one '$' is dropped, and the rest is text. */
static sheaf_err_t add_text(sheaf_stencil_maker_t *maker, sheaf_str_t text, sheaf_place_t place, sheaf_fail_t *fail)
{
    const char *at = text.base, *end = text.base + text.len, *open, *close;

    while (at < end && (open = memmem(at, (size_t)(end - at), "${", 2)) != NULL) {
        bool is_literal = open > at && open[-1] == '$';
        sheaf_str_t before = sheaf_str(at, (size_t)(open - at) - is_literal);
        sheaf_err_t err;

        put_literal(maker, before, place);
        if (place == SHEAF_PLACE_PATH && has_query(before))
            place = SHEAF_PLACE_QUERY;
        if (is_literal) {
            put_literal(maker, SHEAF_STR("${"), place);
            at = open + 2;
            continue;
        }
        close = memchr(open, '}', (size_t)(end - open));
        if (close == NULL)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`${` is not closed by `}`; `$${` stands for itself");
        if (maker->stencil->is_url && has_open_percent(sheaf_sheet_text(&maker->text)))
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "a percent-encoding is open where `${` begins");
        err = add_hole(maker, sheaf_str(open + 2, (size_t)(close - open) - 2), place, fail);
        if (err != SHEAF_OK)
            return err;
        at = close + 1;
    }
    put_literal(maker, sheaf_str(at, (size_t)(end - at)), place);
    return SHEAF_OK;
}

sheaf_err_t sheaf_stencil_parse(sheaf_pool_t *pool, sheaf_str_t text, bool is_url, sheaf_stencil_t **ret_stencil,
                                sheaf_fail_t *fail)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);
    sheaf_stencil_t *stencil;
    sheaf_err_t err;

    maker->stencil->is_json = false;
    maker->stencil->is_url = is_url;
    err = add_text(maker, text, is_url ? SHEAF_PLACE_PATH : SHEAF_PLACE_TEXT, fail);
    stencil = sheaf_stencil_maker_end(maker);
    if (err == SHEAF_OK)
        *ret_stencil = stencil;
    return err;
}

void sheaf_stencil_maker_put(sheaf_stencil_maker_t *maker, sheaf_str_t json)
{
    sheaf_sheet_put(&maker->text, json);
}

void sheaf_stencil_maker_put_name(sheaf_stencil_maker_t *maker, sheaf_str_t text)
{
    sheaf_sheet_put_quoted(&maker->text, text);
}

static bool is_one_hole(sheaf_str_t text)
{
    return sheaf_str_starts(text, SHEAF_STR("${")) && memchr(text.base, '}', text.len) == text.base + text.len - 1;
}

sheaf_err_t sheaf_stencil_maker_put_string(sheaf_stencil_maker_t *maker, sheaf_str_t text, sheaf_fail_t *fail)
{
    sheaf_err_t err;

    if (is_one_hole(text))
        return add_hole(maker, sheaf_str(text.base + 2, text.len - 3), SHEAF_PLACE_VALUE, fail);
    sheaf_sheet_put(&maker->text, SHEAF_STR("\""));
    err = add_text(maker, text, SHEAF_PLACE_STRING, fail);
    sheaf_sheet_put(&maker->text, SHEAF_STR("\""));
    return err;
}

/* --- filling it --- */

typedef struct filler {
    const sheaf_stencil_t *stencil;
    sheaf_pool_t *pool;
    sheaf_sheet_t sheet;
    sheaf_fail_t *fail;
} filler_t;

static sheaf_err_t refuse_value(const filler_t *filler, const sheaf_hole_t *hole, const char *why)
{
    return sheaf_fail(filler->fail, SHEAF_ERR_ITEM_DATA, "\"${%.*s}\" %s", SHEAF_STR_ARG(beginning(hole->text, 128)),
                      why);
}

static bool ends_in_dollar(const filler_t *filler)
{
    return sheaf_str_ends(sheaf_sheet_text(&filler->sheet), SHEAF_STR("$"));
}

/* A "${" in text that is scanned for references, also one whose '$' stands there already. */
static void put_unscanned(filler_t *filler, sheaf_str_t text)
{
    const char *at = text.base, *end = text.base + text.len, *open;

    if (sheaf_str_starts(text, SHEAF_STR("{")) && ends_in_dollar(filler))
        sheaf_sheet_put(&filler->sheet, SHEAF_STR("$"));
    while (at < end && (open = memmem(at, (size_t)(end - at), "${", 2)) != NULL) {
        sheaf_sheet_put(&filler->sheet, sheaf_str(at, (size_t)(open - at)));
        sheaf_sheet_put(&filler->sheet, SHEAF_STR("$${"));
        at = open + 2;
    }
    sheaf_sheet_put(&filler->sheet, sheaf_str(at, (size_t)(end - at)));
}

static void put_value(filler_t *filler, const sheaf_filling_t *filling)
{
    if (!filling->is_json) {
        sheaf_sheet_put_quoted(&filler->sheet, filling->text);
        return;
    }
    if (filler->stencil->is_scanned) /* no "$result" in it is one */
        sheaf_sheet_put(&filler->sheet, SHEAF_STR("{\"$literal\":"));
    sheaf_sheet_put(&filler->sheet, filling->text);
    if (filler->stencil->is_scanned)
        sheaf_sheet_put(&filler->sheet, SHEAF_STR("}"));
}

static sheaf_err_t put_plain(filler_t *filler, const sheaf_hole_t *hole, const sheaf_filling_t *filling)
{
    sheaf_str_t text = filling->text;
    const char *why = filling->is_json ? sheaf_json_scalar(filling->text, filler->pool, &text) : NULL;

    if (why != NULL)
        return refuse_value(filler, hole, why);
    if (hole->place == SHEAF_PLACE_STRING)
        sheaf_sheet_put_escaped(&filler->sheet, text);
    else if (hole->place != SHEAF_PLACE_TEXT)
        sheaf_sheet_put_encoded(&filler->sheet, text);
    else if (text.len > 0 && sheaf_header_value_span(text.base, text.len) < text.len)
        return refuse_value(filler, hole, "found a value with control characters");
    else if (filler->stencil->is_scanned)
        put_unscanned(filler, text);
    else
        sheaf_sheet_put(&filler->sheet, text);
    return SHEAF_OK;
}

static bool is_json(sheaf_str_t text)
{
    return sheaf_json_check(text, DEFAULT_MAX_DEPTH, NULL) == SHEAF_OK;
}

static sheaf_err_t put_reference(filler_t *filler, const sheaf_hole_t *hole)
{
    bool is_value = hole->place == SHEAF_PLACE_VALUE;

    if (!is_value && ends_in_dollar(filler)) /* "$${" would be none */
        return refuse_value(filler, hole, "stands behind a value that ends in $");
    sheaf_sheet_put(&filler->sheet, is_value ? SHEAF_STR("{\"$result\":") : SHEAF_STR("${"));
    if (is_value)
        sheaf_sheet_put_quoted(&filler->sheet, hole->text);
    else
        sheaf_sheet_put(&filler->sheet, hole->text);
    sheaf_sheet_put(&filler->sheet, SHEAF_STR("}"));
    return SHEAF_OK;
}

static sheaf_err_t put_hole(filler_t *filler, const sheaf_hole_t *hole, sheaf_fill_fn *fill, void *data)
{
    sheaf_filling_t filling;

    if (hole->is_reference)
        return put_reference(filler, hole);
    if (!fill(data, hole, filler->pool, &filling)) {
        if (hole->fallback.base == NULL)
            return refuse_value(filler, hole, "found nothing");
        filling = (sheaf_filling_t){hole->fallback, hole->place == SHEAF_PLACE_VALUE && is_json(hole->fallback)};
    }
    if (hole->place != SHEAF_PLACE_VALUE)
        return put_plain(filler, hole, &filling);
    put_value(filler, &filling);
    return SHEAF_OK;
}

/* References are left to the batch, which looks at the segment again once it knows all of it. */
static sheaf_err_t check_segment(filler_t *filler, const sheaf_hole_t *hole, size_t end)
{
    if (hole->place == SHEAF_PLACE_PATH && !hole->is_reference &&
        sheaf_url_names_nothing(sheaf_sheet_text(&filler->sheet), end))
        return refuse_value(filler, hole, "found a value that makes a segment of the url empty, . or ..");
    return SHEAF_OK;
}

static void put_text(filler_t *filler, sheaf_str_t text)
{
    if (filler->stencil->is_scanned && !filler->stencil->is_json)
        put_unscanned(filler, text);
    else
        sheaf_sheet_put(&filler->sheet, text);
}

static sheaf_err_t fill_all(filler_t *filler, sheaf_fill_fn *fill, void *data)
{
    const sheaf_stencil_t *stencil = filler->stencil;
    size_t ends[SHEAF_STENCIL_MAX_HOLES];
    sheaf_err_t err = SHEAF_OK;

    for (uint32_t i = 0; i < stencil->count && err == SHEAF_OK; i++) {
        put_text(filler, stencil->pieces[i].text);
        if (stencil->pieces[i].hole == NULL)
            break;
        err = put_hole(filler, stencil->pieces[i].hole, fill, data);
        ends[i] = filler->sheet.len;
    }
    if (err == SHEAF_OK && filler->sheet.is_over)
        return sheaf_fail(filler->fail, SHEAF_ERR_ITEM_TOO_LARGE, "what the data makes is larger than %zu bytes",
                          filler->sheet.limit);
    for (uint32_t i = 0; stencil->is_url && i < stencil->count && err == SHEAF_OK; i++)
        if (stencil->pieces[i].hole != NULL)
            err = check_segment(filler, stencil->pieces[i].hole, ends[i]);
    return err;
}

/* The whole of the data, as it lies: nothing is copied. */
static bool is_verbatim(const sheaf_stencil_t *stencil, sheaf_fill_fn *fill, void *data, size_t limit_bytes,
                        sheaf_pool_t *pool, sheaf_str_t *ret_text)
{
    const sheaf_stencil_piece_t *first = &stencil->pieces[0];
    sheaf_filling_t filling;

    if (stencil->count == 1 && !stencil->is_scanned && first->text.len <= limit_bytes) {
        *ret_text = first->text;
        return true;
    }
    if (stencil->count != 2 || stencil->is_scanned || first->hole->place != SHEAF_PLACE_VALUE || first->text.len > 0 ||
        stencil->pieces[1].text.len > 0 || first->hole->is_reference)
        return false;
    if (!fill(data, first->hole, pool, &filling) || !filling.is_json || filling.text.len > limit_bytes)
        return false;
    *ret_text = filling.text;
    return true;
}

sheaf_err_t sheaf_stencil_fill(const sheaf_stencil_t *stencil, sheaf_fill_fn *fill, void *data, size_t limit_bytes,
                               sheaf_pool_t *pool, sheaf_str_t *ret_text, sheaf_fail_t *fail)
{
    filler_t filler = {.stencil = stencil, .pool = pool, .fail = fail};
    sheaf_err_t err;

    if (is_verbatim(stencil, fill, data, limit_bytes, pool, ret_text))
        return SHEAF_OK;
    sheaf_sheet_begin(&filler.sheet, limit_bytes);
    err = fill_all(&filler, fill, data);
    if (err == SHEAF_OK)
        *ret_text = sheaf_pool_dup(pool, sheaf_sheet_text(&filler.sheet));
    sheaf_sheet_fini(&filler.sheet);
    return err;
}
