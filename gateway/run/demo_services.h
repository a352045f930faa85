/* run/demo_services.h - the backends of the demo: a small HTTP/1.1 server on the worker's kind of loop.
 *
 * Good enough for a demo and nothing else: whole requests of at most 16 KiB, keep-alive, no pipelining. */
#ifndef SHEAF_RUN_DEMO_SERVICES_H
#define SHEAF_RUN_DEMO_SERVICES_H

#include <stdint.h>

#define SHEAF_DEMO_USERS    0
#define SHEAF_DEMO_ORDERS   1
#define SHEAF_DEMO_CATALOG  2
#define SHEAF_DEMO_SERVICES 3

/* Opens a listening socket on a free port of loopback for each service; false when the system refuses. */
int sheaf_demo_services_open(int fds[SHEAF_DEMO_SERVICES], uint16_t ports[SHEAF_DEMO_SERVICES]);

/* Serves until the process is killed. */
void sheaf_demo_services_run(const int fds[SHEAF_DEMO_SERVICES]);

#endif
