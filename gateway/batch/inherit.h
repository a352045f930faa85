/* batch/inherit.h - which headers an item sends: item > envelope > outer, plus the gateway's own.
 *
 *   outer request --filter--> \
 *   envelope ---------------->  batch->shared (list and HTTP/1 bytes, built once)  --> every item
 *   gateway's own ----------> /        \_ an item that names one of them gets a block without those
 *
 * Trust headers (X-Forwarded-*, Forwarded, X-Real-IP, ...) never pass from a client; the gateway writes its own.
 * Via is appended to (RFC 9110 7.6.3). */
#ifndef SHEAF_BATCH_INHERIT_H
#define SHEAF_BATCH_INHERIT_H

#include "gateway/batch/batch.h"

/* Headers of one item, with what it inherits, and of the envelope: bytes; fields that are its own. */
#define SHEAF_ITEM_HEADERS_MAX (64u * 1024u)
#define SHEAF_ITEM_FIELDS_MAX  256u

/* Takes over from `from` what a client may set (names in any case; lower-cased into the batch's pool). Hop-by-hop
 * headers, those that Connection lists, framing, trust headers and Via are left out; several Cookie fields become one.
 * ITEM_HEADER or ITEM_TOO_LARGE with a sentence on refusal. */
sheaf_err_t sheaf_inherit_own(sheaf_pool_t *pool, const sheaf_headers_t *from, sheaf_headers_t *ret_own,
                              sheaf_fail_t *fail);

/* Builds batch->shared. VALUE or TOO_LARGE when the envelope's headers are not acceptable, LOOP when the request has
 * been here before, INHERITED (counted) when one item would inherit more bytes than limits.inherited, or all of them
 * together more than the endpoint's max_inherited. */
sheaf_err_t sheaf_inherit_build(sheaf_batch_t *batch, sheaf_fail_t *fail);

/* How many items may inherit what these do before it is more than max_inherited. After build. */
uint64_t sheaf_inherit_most_items(const sheaf_batch_t *batch);

/* Would the item send the inherited field `name` as things stand: neither overridden nor hidden? */
bool sheaf_inherit_shows(const sheaf_item_t *item, sheaf_str_t name);

/* Does the item's route let a client's field `name` pass? */
bool sheaf_inherit_passes(const sheaf_item_t *item, sheaf_str_t name);

/* Is what the item sends, its own headers and those it inherits, within SHEAF_ITEM_HEADERS_MAX? After build. */
bool sheaf_inherit_fits(const sheaf_item_t *item);

/* Sets exchange.shared before an item flies, and takes out of its own and the client's headers what its route does not
 * let pass, but for what hooks vouch for; lets go of `shared` when the item has landed. */
void sheaf_inherit_attach(sheaf_item_t *item);
void sheaf_inherit_detach(sheaf_item_t *item);

/* Lets go of what the batch keeps for that; no item may be attached. */
void sheaf_inherit_fini(sheaf_batch_t *batch);

#endif
