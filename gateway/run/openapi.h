/* run/openapi.h - `sheaf openapi`: what the endpoints of a configuration are, as an OpenAPI 3.1 description.
 *
 * One path per endpoint, its formats and limits as they are configured, the members of batches and results as JSON
 * Schema (draft 2020-12, as OpenAPI 3.1 wants it), the types of problem documents. Routes are not described: what
 * stands behind them is the backends' to tell. */
#ifndef SHEAF_RUN_OPENAPI_H
#define SHEAF_RUN_OPENAPI_H

#include <stdio.h>

#include "config/snapshot.h"

/* Writes the document, indented, with a line break at its end. False when memory or `file` refused. */
bool sheaf_openapi_print(const sheaf_snapshot_t *snapshot, FILE *file);

#endif
