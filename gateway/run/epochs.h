/* run/epochs.h - the configurations in use in a worker: the newest, and older ones that something still runs in.
 *
 *   open --> the front holds it, and each visit --last drop--> plugins close --copies for mirrors ended--> gone
 *
 * Each has a view on the upstreams, its plugins and its mirrors. */
#ifndef SHEAF_RUN_EPOCHS_H
#define SHEAF_RUN_EPOCHS_H

#include "gateway/front/front.h"
#include "gateway/run/plughost.h"
#include "gateway/upstream/upstream.h"

typedef struct sheaf_epochs {
    sheaf_link_t list;
    sheaf_upstreams_t *upstreams;
} sheaf_epochs_t;

void sheaf_epochs_init(sheaf_epochs_t *epochs, sheaf_upstreams_t *upstreams);

/* `lent` has clock, deadlines, soon and metrics; the rest is made here. Takes over `guests` (NULL: no plugins). Nobody holds
 * it yet. */
sheaf_epoch_t *sheaf_epochs_open(sheaf_epochs_t *epochs, const sheaf_batch_env_t *lent, sheaf_snapshot_t *snapshot,
                                 sheaf_guests_t *guests);

/* The worker ends: copies for mirrors are cancelled, those of all epochs, and no more are made. */
void sheaf_epochs_cut_mirrors(sheaf_epochs_t *epochs);

#endif
