/* front/watchdog.h - what libh2o does not watch: a client that hangs up, a client that does not read.
 *
 * While a handler owns an HTTP/1 request libh2o does not read its socket, so a FIN or RST is noticed only at the next
 * write (libh2o.md fact 10). A uv_poll_t on a dup()ed descriptor asks for UV_DISCONNECT, armed only when a batch
 * outlives its linger. A client that shuts down its sending side counts as gone: that is what EPOLLRDHUP can tell, and
 * what browsers, mobile stacks and proxies mean by it; one whose batch is done is served to the end. HTTP/2 connections
 * are read all the time and need none of it. libh2o has no send timeout either (fact 11): while an h2o_send is under way the
 * answer waits for its client, and is looked at each half of limits.send_timeout that it waited. That the send has not
 * ended says little: libuv hears that a socket takes bytes again only when a good part of its buffer (megabytes) is free,
 * so a slow reader would look like a dead one. What counts is how many bytes left the queue in the kernel, or on HTTP/2
 * went through the window it waits for, and what patience.h says to that. A stream whose own window does not open is
 * reset alone (guard/flow.h); what holds up the whole connection ends it, so there the answers of one connection are
 * judged by what it takes of all of them: a hundred that share a slow line are not slow. */
#ifndef SHEAF_FRONT_WATCHDOG_H
#define SHEAF_FRONT_WATCHDOG_H

#include "gateway/front/visit.h"

void sheaf_watchdog_init(sheaf_visit_t *visit);

/* The batch outlived its linger: watch for the hang-up from now on. */
void sheaf_watchdog_arm(sheaf_visit_t *visit);

/* Bytes were handed over, and the answer waits for its client; or they were taken. */
void sheaf_watchdog_progress(sheaf_visit_t *visit, bool is_waiting);

/* Stops everything. Fine more than once. */
void sheaf_watchdog_disarm(sheaf_visit_t *visit);

#endif
