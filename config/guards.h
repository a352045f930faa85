/* config/guards.h - whether plugins can keep what a route relies on them for.
 *
 *   required   a route must not be without it (`require`), nor with one that lets pass whom it is there to stop
 *   blind      one that is asked about requests and not about items: a batch would get past it
 *   behind     one that is asked after a plugin which may have answered already, with what others were answered
 *   unheard    a route keeps from one what it goes by (Cache-Control, Vary)
 *
 * All of these are errors: whoever wrote such a configuration believes to be protected by it. A warning is
 *
 *   beside     one that is asked about what comes by way of an endpoint, and the same routes answer direct requests
 *   astray     one on a route whose paths, with a slash more or less at their end, lead past it to the same place */
#ifndef SHEAF_CONFIG_GUARDS_H
#define SHEAF_CONFIG_GUARDS_H

#include "config/snapshot.h"
#include "config/yaml.h"

/* `root` is the tree `snapshot` was loaded from; its routes can be looked up. */
void sheaf_guards_check(sheaf_report_t *report, const sheaf_yaml_t *root, const sheaf_snapshot_t *snapshot);

#endif
