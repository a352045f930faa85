/* batch/ids.h - from an item's id to its index, in constant time whatever ids a client thinks up.
 *
 * Open addressing over a keyed hash (SipHash-1-3, the key drawn once per process), so that nobody can choose ids that
 * collide. The strings are borrowed. */
#ifndef SHEAF_BATCH_IDS_H
#define SHEAF_BATCH_IDS_H

#include "gateway/base/str.h"

typedef struct sheaf_ids sheaf_ids_t;

#define SHEAF_IDS_NONE UINT32_MAX

sheaf_ids_t *sheaf_ids_new(void);
void sheaf_ids_free(sheaf_ids_t *ids);

/* False when `id` stands already. */
bool sheaf_ids_add(sheaf_ids_t *ids, sheaf_str_t id, uint32_t index);

/* SHEAF_IDS_NONE when nobody has it. NULL is the ids of a batch whose first item has not been added: nobody's. */
uint32_t sheaf_ids_find(const sheaf_ids_t *ids, sheaf_str_t id);

/* 1 to 128 characters of valid UTF-8 without controls. NULL when fine, else what is wrong. */
const char *sheaf_ids_refusal(sheaf_str_t id);
/* It ends in `[digits]`, as only the elements of a forEach item do: where a batch can hold one, others may not. */
bool sheaf_ids_is_of_element(sheaf_str_t id);

/* Hash of any text under the key of this process: no client can choose texts that collide. */
uint32_t sheaf_ids_hash(sheaf_str_t text);

#endif
