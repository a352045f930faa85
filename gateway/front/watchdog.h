/* front/watchdog.h - what libh2o does not watch: a client that hangs up, a client that does not read.
 *
 * While a handler owns an HTTP/1 request libh2o does not read its socket, so a FIN or RST is noticed only at the next
 * write (libh2o.md fact 10). A uv_poll_t on a dup()ed descriptor asks for UV_DISCONNECT, armed only when a batch
 * outlives its linger. A client that shuts down its sending side counts as gone: that is what EPOLLRDHUP can tell, and
 * what browsers, mobile stacks and proxies mean by it; one whose batch is done is served to the end. HTTP/2 connections
 * are read all the time and need none of it. libh2o has no send timeout either (fact 11): every h2o_send arms one. Its
 * end is not the end of the answer: libuv hears that a socket takes bytes again only when a good part of its buffer
 * (megabytes) is free, so a slow reader would look like a dead one. What counts is that the queue in the kernel moves,
 * or on HTTP/2 that the window opens. A stream whose own window stays shut is reset alone (guard/flow.h); what stops
 * the whole connection ends it. */
#ifndef SHEAF_FRONT_WATCHDOG_H
#define SHEAF_FRONT_WATCHDOG_H

#include "gateway/front/visit.h"

void sheaf_watchdog_init(sheaf_visit_t *visit);

/* The batch outlived its linger: watch for the hang-up from now on. */
void sheaf_watchdog_arm(sheaf_visit_t *visit);

/* Bytes were handed over, or taken. */
void sheaf_watchdog_progress(sheaf_visit_t *visit, bool is_waiting);

/* Stops everything. Fine more than once. */
void sheaf_watchdog_disarm(sheaf_visit_t *visit);

#endif
