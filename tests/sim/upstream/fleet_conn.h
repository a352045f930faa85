/* tests/sim/upstream/fleet_conn.h - conns without sockets, in the place of gateway/upstream/conn.c and handshake.c: what
 * becomes of a dial or a request is asked of the fleet's `fate` when it begins. */
#ifndef SHEAF_TESTS_FLEET_CONN_H
#define SHEAF_TESTS_FLEET_CONN_H

#include "tests/sim/upstream/fleet.h"

/* It has one thing at a time that is to happen. */
typedef struct ship {
    sheaf_conn_t conn; /* first: a ship is a conn */
    fleet_t *fleet;
    sheaf_link_t link; /* in fleet->conns */
    sheaf_deadline_t event;
    sheaf_task_t burial;
    fate_t fate;
} ship_t;

extern fleet_t *the_fleet; /* conns are made by rooms that know nothing of it */

#endif
