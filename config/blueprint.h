/* config/blueprint.h - what bulk and aggregate endpoints make their items of: settled and checked as a whole. */
#ifndef SHEAF_CONFIG_BLUEPRINT_H
#define SHEAF_CONFIG_BLUEPRINT_H

#include "config/snapshot.h"
#include "config/yaml.h"

/* Settles the methods of `endpoint` and of what it makes, tells holes that data fills from references between items, and
 * reports what cannot work. `node` is where the endpoint is written. */
void sheaf_blueprint_check(sheaf_report_t *report, sheaf_pool_t *pool, const sheaf_yaml_t *node,
                           sheaf_endpoint_conf_t *endpoint);

#endif
