/* config/doubt.h - what an upstream may say and yet cannot mean.
 *
 * Every value is in its range, but two of them contradict each other (an error), or a key that was written changes
 * nothing (a warning): whoever wrote it believes to be protected by it. */
#ifndef SHEAF_CONFIG_DOUBT_H
#define SHEAF_CONFIG_DOUBT_H

#include "config/snapshot.h"
#include "config/yaml.h"

/* `node` is the upstream's mapping, from which `upstream` was loaded. */
void sheaf_doubt_upstream(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node);

/* Whether `retry_unsafe` of a route, when it is written, has anything to allow. `node` is the route's mapping. */
void sheaf_doubt_route(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                       const sheaf_yaml_t *node);

#endif
