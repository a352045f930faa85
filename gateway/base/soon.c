#include "gateway/base/soon.h"

void sheaf_soon_init(sheaf_soon_t *soon)
{
    soon->ring.next = soon->ring.prev = &soon->ring;
}

void sheaf_soon(sheaf_soon_t *soon, sheaf_task_t *task)
{
    if (task->next != NULL)
        return;
    task->next = &soon->ring;
    task->prev = soon->ring.prev;
    soon->ring.prev->next = task;
    soon->ring.prev = task;
}

void sheaf_soon_cancel(sheaf_task_t *task)
{
    if (task->next == NULL)
        return;
    task->next->prev = task->prev;
    task->prev->next = task->next;
    task->next = task->prev = NULL;
}

bool sheaf_soon_is_empty(const sheaf_soon_t *soon)
{
    return soon->ring.next == &soon->ring;
}

uint32_t sheaf_soon_drain(sheaf_soon_t *soon, uint32_t most)
{
    uint32_t ran = 0;

    while (ran < most && !sheaf_soon_is_empty(soon)) {
        sheaf_task_t *task = soon->ring.next;
        sheaf_soon_cancel(task); /* idle before it runs: it may queue itself again, or free its owner */
        task->run(task);
        ran++;
    }
    return ran;
}
