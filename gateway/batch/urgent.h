/* batch/urgent.h - the first result that is not sent yet, and everything it waits for: they fly before others, and may exceed
 * the budget, so that no batch waits for itself. */
#ifndef SHEAF_BATCH_URGENT_H
#define SHEAF_BATCH_URGENT_H

#include "gateway/batch/batch.h"

/* Marks them, each once in a batch's life; those that are ready move from `ready` to `urgent`. */
void sheaf_urgent_mark(sheaf_batch_t *batch);

#endif
