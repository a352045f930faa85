/* run/supervisor.h - the process that keeps the workers.
 *
 * No event loop of a library, no threads: one poll(2) over a signalfd and the control sockets. It opens the listening
 * sockets and keeps them open, keeps the workers (crew.h), leads reloads (all workers prepare, then all commit), the drain,
 * and the change to a new binary. libh2o aborts on failed asserts and allocations;
 * a crash must cost one worker's batches and nothing else. */
#ifndef SHEAF_RUN_SUPERVISOR_H
#define SHEAF_RUN_SUPERVISOR_H

#include "gateway/run/privileges.h"
#include "gateway/run/reload.h"

/* Serves `config` (taken over) until drained, with workers of those privileges; returns the exit status. Prints the
 * listening lines once all accept. */
int sheaf_supervisor_run(const char *config_path, sheaf_reload_t *config, const sheaf_privileges_t *privileges);

#endif
