#include "gateway/batch/stretch.h"

void sheaf_stretch_count(sheaf_batch_t *batch)
{
    batch->answered++;
}

void sheaf_stretch_walked(sheaf_batch_t *batch, uint64_t steps)
{
    batch->walked_here += steps;
    batch->walked_steps += steps;
}

void sheaf_stretch_copied(sheaf_batch_t *batch, uint64_t bytes)
{
    batch->walked_here += bytes / SHEAF_STRETCH_COPY;
}

static void on_next_turn(sheaf_deadline_t *node)
{
    sheaf_batch_t *batch = SHEAF_OWNER(node, sheaf_batch_t, next_turn);

    batch->answered = 0;
    batch->walked_here = 0;
    sheaf_soon(batch->env.soon, &batch->pump);
}

/* A time that is due is met in the next turn only, after the sockets were looked at; what is queued would run in this one. */
bool sheaf_stretch_is_over(sheaf_batch_t *batch)
{
    if (batch->answered < SHEAF_STRETCH_ITEMS && batch->walked_here < SHEAF_STRETCH_STEPS)
        return false;
    batch->next_turn.on_expired = on_next_turn;
    if (!sheaf_deadline_is_set(&batch->next_turn))
        sheaf_deadline_set(batch->env.deadlines, &batch->next_turn, batch->env.clock->now_ms);
    return true;
}

void sheaf_stretch_fini(sheaf_batch_t *batch)
{
    sheaf_deadline_clear(batch->env.deadlines, &batch->next_turn);
}
