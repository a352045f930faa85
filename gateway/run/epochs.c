#include "gateway/run/epochs.h"

#include <stdlib.h>

#include "gateway/batch/mirror.h"

typedef struct {
    sheaf_epoch_t epoch;
    sheaf_link_t link;
    sheaf_guests_t *guests;
} owner_t;

static void on_mirrors_ended(void *data)
{
    owner_t *owner = data;

    sheaf_list_remove(&owner->link);
    sheaf_upstreams_close(owner->epoch.env.dispatch);
    sheaf_snapshot_drop(owner->epoch.env.snapshot);
    free(owner);
}

static void on_last_drop(sheaf_epoch_t *epoch)
{
    owner_t *owner = SHEAF_OWNER(epoch, owner_t, epoch);

    sheaf_guests_close(owner->guests);
    sheaf_mirrors_end(epoch->env.mirrors, on_mirrors_ended, owner);
}

void sheaf_epochs_init(sheaf_epochs_t *epochs, sheaf_upstreams_t *upstreams)
{
    sheaf_list_init(&epochs->list);
    epochs->upstreams = upstreams;
}

sheaf_epoch_t *sheaf_epochs_open(sheaf_epochs_t *epochs, const sheaf_batch_env_t *lent, sheaf_snapshot_t *snapshot,
                                 sheaf_guests_t *guests)
{
    owner_t *owner = sheaf_zalloc(sizeof(*owner));
    sheaf_batch_env_t *env = &owner->epoch.env;

    *env = *lent;
    env->snapshot = sheaf_snapshot_hold(snapshot);
    env->dispatch = sheaf_upstreams_open(epochs->upstreams, snapshot);
    env->hooks = sheaf_guests_hooks(guests);
    env->mirrors = sheaf_mirrors_new(env);
    owner->guests = guests;
    sheaf_guests_use(guests, env->dispatch);
    owner->epoch.on_last_drop = on_last_drop;
    sheaf_list_push_back(&epochs->list, &owner->link);
    return &owner->epoch;
}

void sheaf_epochs_cut_mirrors(sheaf_epochs_t *epochs)
{
    for (sheaf_link_t *link = epochs->list.next, *next; link != &epochs->list; link = next) {
        owner_t *owner = SHEAF_OWNER(link, owner_t, link);

        next = link->next; /* an epoch that only its copies kept goes with them */
        if (owner->epoch.env.mirrors != NULL)
            sheaf_mirrors_cut(owner->epoch.env.mirrors);
    }
}
