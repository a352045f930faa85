/* run/supervisor.h - the process that keeps the workers.
 *
 * No event loop of a library, no threads: one poll(2) over a signalfd and the control sockets. It opens the listening
 * sockets and keeps them open, forks the workers, replaces a dead one at once (with back-off when it dies young),
 * leads reloads (all workers prepare, then all commit) and the drain. libh2o aborts on failed asserts and allocations;
 * a crash must cost one worker's batches and nothing else. */
#ifndef SHEAF_RUN_SUPERVISOR_H
#define SHEAF_RUN_SUPERVISOR_H

#include "gateway/run/reload.h"

/* Serves `config` (taken over) until drained; returns the exit status. Prints the listening lines once all accept. */
int sheaf_supervisor_run(const char *config_path, sheaf_reload_t *config);

#endif
