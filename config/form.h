/* config/form.h - values that become parts of items: stencils, JSON made of YAML, header fields, edges, statuses.
 *
 * What stands in them is checked by blueprint.c, once the whole endpoint is known. */
#ifndef SHEAF_CONFIG_FORM_H
#define SHEAF_CONFIG_FORM_H

#include "config/table.h"
#include "config/yaml.h"

/* Does this room load a key of that kind from a node of that kind? */
bool sheaf_form_is(sheaf_key_kind_t kind, sheaf_yaml_kind_t node);

/* `member` is what keys.def says of the kind; findings go to `report`. */
void sheaf_form_load(sheaf_pool_t *pool, sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node,
                     void *member);

#endif
