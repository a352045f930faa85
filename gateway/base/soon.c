#include "gateway/base/soon.h"

void sheaf_soon_init(sheaf_soon_t *soon)
{
    soon->ring = (sheaf_task_t){.next = &soon->ring, .prev = &soon->ring};
}

void sheaf_soon(sheaf_soon_t *soon, sheaf_task_t *task)
{
    if (task->next != NULL)
        return;
    task->next = &soon->ring;
    task->prev = soon->ring.prev;
    task->prev->next = task;
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

/* Taken off before it runs: a task may queue itself again, or be freed by what it does. */
uint32_t sheaf_soon_drain(sheaf_soon_t *soon, uint32_t most)
{
    uint32_t ran = 0;

    for (; ran < most && !sheaf_soon_is_empty(soon); ran++) {
        sheaf_task_t *task = soon->ring.next;
        sheaf_soon_cancel(task);
        task->run(task);
    }
    return ran;
}
