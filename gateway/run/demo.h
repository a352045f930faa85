/* run/demo.h - `sheaf demo`: a gateway and three services to play with, on loopback, from one command.
 *
 * The services (users, orders, catalog; fixed data, small random latencies) run in a child process on free ports; the
 * gateway runs in this process on config/demo.yaml, which is built in. --once posts a sample batch to itself, prints
 * the request and its 207, and ends. */
#ifndef SHEAF_RUN_DEMO_H
#define SHEAF_RUN_DEMO_H

#include <stdbool.h>

/* Returns the exit status. */
int sheaf_demo_run(bool is_once);

#endif
