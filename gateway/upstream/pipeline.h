/* upstream/pipeline.h - exchanges behind others on a conn that speaks HTTP/1.1 (RFC 9112 9.3.2).
 *
 *   first: its answer comes  <-  second  <-  third           answers belong to flights in the order of sending
 *
 * Only where the upstream opts in; only safe requests without a body, behind their like; only on a conn that has carried a
 * whole exchange; and only when no conn is idle and no other one may be opened. Whatever puts the order in doubt (an
 * answer that is not whole, one that is refused or cancelled, a conn that does not stay) ends the conn with the first
 * flight; those behind it are cut: they are sent again, each alone. So are those that stand behind an answer that takes
 * long while there is another place for them, or others that came later are served; and nobody goes behind such an
 * answer. Calls the keeper's on_cut and on_stuck.
 *
 * What no order can tell: an answer that the backend makes up behind another one, while others are asked, is the next
 * one's. Without pipelining bytes behind an answer end the conn. */
#ifndef SHEAF_UPSTREAM_PIPELINE_H
#define SHEAF_UPSTREAM_PIPELINE_H

#include "gateway/upstream/conn.h"

#define SHEAF_PIPELINE_MAX 16 /* flights on a conn, at most */

/* It may stand behind another one. */
bool sheaf_pipeline_suits(const sheaf_exchange_t *exchange);

/* The conn takes one more behind those it has. */
bool sheaf_pipeline_takes(const sheaf_conn_t *conn);

/* The request of `flight` has been written behind others, or will be before the loop sleeps. */
void sheaf_pipeline_joined(sheaf_flight_t *flight);

/* The first flight has alighted, and its answer was whole: the next one, if there is one, is due. */
void sheaf_pipeline_advance(sheaf_conn_t *conn);

/* All flights but `first` (NULL: all) alight and are sent again; the conn takes no other one. */
void sheaf_pipeline_cut(sheaf_conn_t *conn, const sheaf_flight_t *first);

/* Nobody waits for this flight any more; its answer would stand before the next one, so all but the first are cut. False:
 * it is the first, and still aboard: the conn cannot do without it. */
bool sheaf_pipeline_leave(sheaf_flight_t *flight);

/* When to look again whether the first answer holds up others; SHEAF_NEVER where there are none. When it is time, the
 * keeper hears of it. */
uint64_t sheaf_pipeline_watch(sheaf_conn_t *conn);

#endif
