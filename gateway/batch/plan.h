/* batch/plan.h - what is known about items before anything flies: where each goes, and who waits for whom.
 *
 * Adding an item routes it; what makes it unable to run is noted in the item (err, detail) and comes out when its turn
 * comes. Sealing resolves ids, refuses circles (Kahn's algorithm) and leaves each item with its blockers counted. */
#ifndef SHEAF_BATCH_PLAN_H
#define SHEAF_BATCH_PLAN_H

#include "gateway/batch/batch.h"

#define SHEAF_ITEM_URL_MAX (8u * 1024u)

/* Fills the question of `item` from `draft`: method, target, route, headers, body. SHEAF_OK, or the err the item
 * settles with; `fail` has the sentence. */
sheaf_err_t sheaf_plan_item(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail);

/* Parts of that, for items whose question is made later (expand): normalises and routes item->url_text; what follows from
 * the headers an item has of its own; whether its body is one the route takes. */
sheaf_err_t sheaf_plan_url(sheaf_item_t *item, sheaf_fail_t *fail);
sheaf_err_t sheaf_plan_own_headers(sheaf_item_t *item, sheaf_fail_t *fail);
sheaf_err_t sheaf_plan_body_size(const sheaf_item_t *item, sheaf_fail_t *fail);

/* Resolves depends_on of all items. DEPENDENCY or CYCLE; batch->fault says where. Linear in items and edges. */
sheaf_err_t sheaf_plan_link(sheaf_batch_t *batch, sheaf_fail_t *fail);

/* Once the inherited headers are known: the default Content-Type of items with a body, and ITEM_TOO_LARGE for items whose
 * headers are too large together with what they inherit. */
void sheaf_plan_headers(sheaf_batch_t *batch);

/* The same for one item that is fed to a running batch. */
void sheaf_plan_item_headers(sheaf_item_t *item);

#endif
