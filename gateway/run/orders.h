/* run/orders.h - the signals that a supervisor hears: what operators send, and that a child ended.
 *
 * They are blocked and wait in a descriptor, so that nothing is interrupted by one. */
#ifndef SHEAF_RUN_ORDERS_H
#define SHEAF_RUN_ORDERS_H

#include <signal.h>
#include <stdbool.h>

typedef struct sheaf_orders {
    int fd; /* readable: one waits */
    sigset_t signals;
} sheaf_orders_t;

/* Hears them from here on. False when the system refuses. */
bool sheaf_orders_open(sheaf_orders_t *orders);

/* The next signal that waits; 0: none. */
int sheaf_orders_next(const sheaf_orders_t *orders);

/* In a worker: they are the supervisor's alone. */
void sheaf_orders_leave(sheaf_orders_t *orders);

#endif
