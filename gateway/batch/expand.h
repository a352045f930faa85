/* batch/expand.h - makes the question of an item with references, when what it depends on has settled.
 *
 * Each place has its own encoding: in a url a value is one segment or one query value (all but unreserved characters
 * percent-encoded), in a header its text without controls, in a JSON body its source text, verbatim. The url is then
 * normalised and routed as any other, and the limits on urls, headers and bodies hold for what came out. */
#ifndef SHEAF_BATCH_EXPAND_H
#define SHEAF_BATCH_EXPAND_H

#include "gateway/batch/batch.h"
#include "gateway/batch/reference.h"

/* Fills the exchange of `item`, which has a recipe. UNRESOLVED names the reference that found nothing, or nothing that
 * fits its place; other errs are those of sheaf_plan_item. The body made is the item's until sheaf_expand_drop. */
sheaf_err_t sheaf_expand_item(sheaf_item_t *item, sheaf_fail_t *fail);

/* The array that a forEach item names, as source text that stays until sheaf_expand_leave. UNRESOLVED when none is there. */
sheaf_err_t sheaf_expand_array(sheaf_item_t *item, const sheaf_reference_t *array, sheaf_json_t *ret_array,
                               sheaf_fail_t *fail);

/* The item has read all it will of others, or never will: what waited for that is given back. More than once is fine. */
void sheaf_expand_leave(sheaf_item_t *item);

/* The item's question is over: frees the body made for it. */
void sheaf_expand_drop(sheaf_item_t *item);

#endif
