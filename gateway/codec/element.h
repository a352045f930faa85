/* codec/element.h - what an element of a bulk becomes: an item, by the stencils of the endpoint's `each`. */
#ifndef SHEAF_CODEC_ELEMENT_H
#define SHEAF_CODEC_ELEMENT_H

#include "gateway/batch/batch.h"

/* JSON source text that passed sheaf_json_check, or plain text (an id of the query). */
typedef struct sheaf_element {
    sheaf_str_t text;
    bool is_json;
} sheaf_element_t;

/* Fills `draft`. What has to be made comes from `pool`; all else are slices of the element and of the configuration. What
 * the element lacks is told by draft->err. */
void sheaf_element_draft(const sheaf_endpoint_conf_t *endpoint, const sheaf_element_t *element, sheaf_pool_t *pool,
                         sheaf_draft_t *draft);

#endif
