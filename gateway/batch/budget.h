/* batch/budget.h - what a batch may hold in memory: whether one more item may fly (DESIGN section 2, back-pressure by
 * launch). An item reserves the most its answer can hold; the first unsent result, and what it waits for, may exceed. */
#ifndef SHEAF_BATCH_BUDGET_H
#define SHEAF_BATCH_BUDGET_H

#include "gateway/batch/batch.h"

/* Bytes: the most that the answer of `item` can hold. */
uint64_t sheaf_budget_need(const sheaf_item_t *item);

/* May `item` fly now, as far as memory goes? */
bool sheaf_budget_lets(const sheaf_batch_t *batch, const sheaf_item_t *item);

#endif
