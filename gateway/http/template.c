#include "gateway/http/template.h"

#include "gateway/http/router.h"
#include "gateway/http/url.h"

static sheaf_err_t refuse(sheaf_fail_t *fail, const char *why, sheaf_str_t segment)
{
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "%s: \"%.*s\"", why, SHEAF_STR_ARG(segment));
}

static bool is_letter(char c)
{
    return sheaf_lower(c) >= 'a' && sheaf_lower(c) <= 'z';
}

static bool is_name(sheaf_str_t name)
{
    if (name.len == 0 || (!is_letter(name.base[0]) && name.base[0] != '_'))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char c = name.base[i];

        if (!is_letter(c) && c != '_' && c != '-' && (c < '0' || c > '9'))
            return false;
    }
    return true;
}

static bool has_byte(sheaf_str_t text, char byte)
{
    return text.len > 0 && memchr(text.base, byte, text.len) != NULL;
}

/* `{name}` or `{name...}`. */
static sheaf_err_t parse_param(sheaf_str_t text, sheaf_template_segment_t *ret_segment, sheaf_fail_t *fail)
{
    sheaf_str_t name = sheaf_str(text.base + 1, text.len - 2);
    bool is_rest = sheaf_str_ends(name, SHEAF_STR("..."));

    if (is_rest)
        name.len -= 3;
    if (!is_name(name))
        return refuse(fail, "a parameter's name must be letters, digits, _ and -", text);
    *ret_segment = (sheaf_template_segment_t){is_rest ? SHEAF_SEGMENT_REST : SHEAF_SEGMENT_PARAM, name};
    return SHEAF_OK;
}

/* Runs the literal through the url room: what matches must look the way paths do after it. */
static sheaf_err_t parse_literal(sheaf_pool_t *pool, sheaf_str_t text, sheaf_template_segment_t *ret_segment,
                                 sheaf_fail_t *fail)
{
    sheaf_str_t path = sheaf_pool_printf(pool, "/%.*s", SHEAF_STR_ARG(text));
    sheaf_fail_t why;
    sheaf_url_t url;

    *ret_segment = (sheaf_template_segment_t){SHEAF_SEGMENT_LITERAL, text};
    if (text.len == 0)
        return SHEAF_OK;
    if (has_byte(text, '{') || has_byte(text, '}'))
        return refuse(fail, "a parameter takes a whole segment, as {name}", text);
    if (sheaf_url_normalise(pool, path, SHEAF_STR("/"), path.len, &url, &why) != SHEAF_OK)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "a segment that no path can have (%s): \"%.*s\"", why.detail,
                          SHEAF_STR_ARG(text));
    if (url.query.base != NULL)
        return refuse(fail, "a template is a path without a query", text);
    if (url.path.len == 1)
        return refuse(fail, "dot segments are removed from paths before they are matched", text);
    ret_segment->text = sheaf_str(url.path.base + 1, url.path.len - 1);
    return SHEAF_OK;
}

static sheaf_err_t parse_segment(sheaf_pool_t *pool, sheaf_str_t text, sheaf_template_segment_t *ret_segment,
                                 sheaf_fail_t *fail)
{
    if (text.len >= 2 && text.base[0] == '{' && text.base[text.len - 1] == '}')
        return parse_param(text, ret_segment, fail);
    return parse_literal(pool, text, ret_segment, fail);
}

static bool has_param(const sheaf_template_t *template, sheaf_str_t name)
{
    for (uint32_t i = 0; i < template->count; i++) {
        if (template->segments[i].kind != SHEAF_SEGMENT_LITERAL && sheaf_str_eq(template->segments[i].text, name))
            return true;
    }
    return false;
}

static sheaf_err_t add_segment(sheaf_template_t *template, sheaf_template_segment_t segment, sheaf_fail_t *fail)
{
    if (template->count > 0 && template->segments[template->count - 1].kind == SHEAF_SEGMENT_REST)
        return refuse(fail, "only the last segment may be a rest", template->segments[template->count - 1].text);
    if (template->count == SHEAF_TEMPLATE_MAX_SEGMENTS)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "more than %d segments", SHEAF_TEMPLATE_MAX_SEGMENTS);
    if (segment.kind != SHEAF_SEGMENT_LITERAL) {
        if (has_param(template, segment.text))
            return refuse(fail, "two parameters of one name", segment.text);
        if (++template->param_count > SHEAF_ROUTER_MAX_PARAMS)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "more than %d parameters", SHEAF_ROUTER_MAX_PARAMS);
    }
    template->segments[template->count++] = segment;
    return SHEAF_OK;
}

sheaf_err_t sheaf_template_parse(sheaf_pool_t *pool, sheaf_str_t text, sheaf_template_t *ret_template,
                                 sheaf_fail_t *fail)
{
    sheaf_template_t *template = ret_template;
    sheaf_template_segment_t segment;
    sheaf_err_t err = SHEAF_OK;

    template->count = 0;
    template->param_count = 0;
    if (text.len == 0 || text.base[0] != '/')
        return refuse(fail, "a path template begins with /", text);
    text = sheaf_str(text.base + 1, text.len - 1);
    while (text.base != NULL && err == SHEAF_OK) {
        err = parse_segment(pool, sheaf_str_cut(&text, '/'), &segment, fail);
        if (err == SHEAF_OK)
            err = add_segment(template, segment, fail);
    }
    return err;
}

uint32_t sheaf_template_param(sheaf_str_t text, sheaf_str_t name)
{
    uint32_t place = 0;

    while (text.base != NULL) {
        sheaf_str_t segment = sheaf_str_cut(&text, '/');

        if (segment.len < 2 || segment.base[0] != '{')
            continue;
        segment = sheaf_str(segment.base + 1, segment.len - 2);
        if (sheaf_str_ends(segment, SHEAF_STR("...")))
            segment.len -= 3;
        if (sheaf_str_eq(segment, name))
            return place;
        place++;
    }
    return SHEAF_TEMPLATE_NO_PARAM;
}
