/* run/plughost.h - plugins in a worker: opened, asked, closed.
 *
 *   worker     plughost          one per process: handles, what hooks may ask for (plugapi, plugwait)
 *   epoch      guests            the instances of one configuration, behind the hooks that batches and the front know
 *   place(s)   sheaf_p_worker    one instance: what its open() returned, its timers, watches and calls
 *   request    guest             what is known of one request or item while it lives (plugask)
 *
 * guests are opened while a reload is prepared, so that a plugin can refuse it, and used from the commit on. */
#ifndef SHEAF_RUN_PLUGHOST_H
#define SHEAF_RUN_PLUGHOST_H

#include <uv.h>

#include "gateway/batch/hooks.h"
#include "gateway/run/privileges.h"

typedef struct sheaf_plughost sheaf_plughost_t;
typedef struct sheaf_guests sheaf_guests_t;

typedef struct sheaf_plughost_env {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_soon_t *soon;
    sheaf_metrics_t *metrics;       /* may be NULL */
    sheaf_metrics_region_t *region; /* may be NULL */
    uint32_t worker_number;
} sheaf_plughost_env_t;

/* Lets configurations name shared objects; relative paths are relative to the folder of `config_path`. Once, at start. */
void sheaf_plughost_register(const char *config_path);

/* One per process. */
sheaf_plughost_t *sheaf_plughost_new(const sheaf_plughost_env_t *env);
/* All guests are closed; watches that were stopped are gone once the loop has run. */
void sheaf_plughost_free(sheaf_plughost_t *host);

/* SIGUSR1: all that are open, whether in use or not, open anew what they have open by name. */
void sheaf_plughost_reopen(sheaf_plughost_t *host);

/* Opens all plugins of `snapshot` (borrowed until close); `shared_fds` has the memory of each by number (-1: none
 * is wanted); NULL: theirs is private. NULL when one refuses, and `fail` says which and why; also when there are none: fail->err is SHEAF_OK. */
sheaf_guests_t *sheaf_guests_open(sheaf_plughost_t *host, sheaf_snapshot_t *snapshot, const int *shared_fds,
                                  sheaf_fail_t *fail);
/* Requests go through `dispatch` from here on; those that were made before are sent. */
void sheaf_guests_use(sheaf_guests_t *guests, sheaf_dispatch_t *dispatch);
/* What batches and the front ask; NULL for NULL. */
sheaf_hooks_t *sheaf_guests_hooks(sheaf_guests_t *guests);
/* No request knows them any more. Before their dispatch is closed. NULL is fine. */
void sheaf_guests_close(sheaf_guests_t *guests);

/* Would all plugins of `snapshot` open? Asked in a process of its own that becomes whom the workers will be, so that a
 * file which is made then is theirs (NULL: it stays who it is). Says on stderr why not. */
bool sheaf_plughost_try(sheaf_snapshot_t *snapshot, const sheaf_privileges_t *privileges);

#endif
