/* base/soon.h - the soon-queue: what must not run inside the call that asked for it.
 *
 * Tasks are intrusive and run in order, once each, in the worker's next drain (after the I/O callbacks of a loop
 * turn). Queueing a task that is queued already does nothing. A task may queue itself or others again: those run in
 * the same drain, bounded by the worker. Zero-initialised tasks are idle; set run before queueing. */
#ifndef SHEAF_BASE_SOON_H
#define SHEAF_BASE_SOON_H

#include "gateway/base/str.h"

typedef struct sheaf_task {
    struct sheaf_task *next, *prev;
    void (*run)(struct sheaf_task *task);
} sheaf_task_t;

typedef struct sheaf_soon {
    sheaf_task_t ring; /* sentinel */
} sheaf_soon_t;

void sheaf_soon_init(sheaf_soon_t *soon);
void sheaf_soon(sheaf_soon_t *soon, sheaf_task_t *task);
void sheaf_soon_cancel(sheaf_task_t *task); /* idle tasks are fine */
bool sheaf_soon_is_empty(const sheaf_soon_t *soon);

/* Runs tasks until the queue is empty or `most` have run; returns how many ran. */
uint32_t sheaf_soon_drain(sheaf_soon_t *soon, uint32_t most);

#endif
