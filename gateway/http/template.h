/* http/template.h - path templates, as routes match them and rewrites write them.
 *
 *   /files/{kind}/{rest...}   literal "files", parameter "kind", rest "rest"
 *
 * A segment is a literal, a parameter or a rest; a rest stands last. Literals are brought to the form that a normalised
 * path has (percent-encoded, upper-case hex), so that a template may be written as people write paths. Parameter names
 * are [A-Za-z_][A-Za-z0-9_-]*, each at most once. A trailing slash is an empty last literal. */
#ifndef SHEAF_HTTP_TEMPLATE_H
#define SHEAF_HTTP_TEMPLATE_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define SHEAF_TEMPLATE_MAX_SEGMENTS 64

typedef enum sheaf_segment_kind { SHEAF_SEGMENT_LITERAL, SHEAF_SEGMENT_PARAM, SHEAF_SEGMENT_REST } sheaf_segment_kind_t;

typedef struct sheaf_template_segment {
    sheaf_segment_kind_t kind;
    sheaf_str_t text; /* the literal, or the name */
} sheaf_template_segment_t;

typedef struct sheaf_template {
    uint32_t count;
    uint32_t param_count; /* a rest counts too */
    sheaf_template_segment_t segments[SHEAF_TEMPLATE_MAX_SEGMENTS];
} sheaf_template_t;

/* Texts are slices of `text` or land in `pool`. SHEAF_ERR_CONFIG and a sentence when it is malformed. */
sheaf_err_t sheaf_template_parse(sheaf_pool_t *pool, sheaf_str_t text, sheaf_template_t *ret_template,
                                 sheaf_fail_t *fail);

/* The place of the parameter `name` among those of the template `text`, which is not malformed, as a match counts them.
 * SHEAF_TEMPLATE_NO_PARAM when it has none of that name. */
#define SHEAF_TEMPLATE_NO_PARAM UINT32_MAX
uint32_t sheaf_template_param(sheaf_str_t text, sheaf_str_t name);

#endif
