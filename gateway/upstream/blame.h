/* upstream/blame.h - what is said of a server that failed: to the owner of the exchange, and in the log.
 *
 *   10.0.0.7:8080: connection refused        to the owner: the server, then what happened
 *   {"event":"server failed","upstream":"orders","server":"10.0.0.7:8080","error":"refused",...}
 *
 * A server may become another one (service.h) or go before the owner hears, so words are copied, never borrowed from it.
 * What is retried or answered by another server is logged all the same: the owner will not hear of it. */
#ifndef SHEAF_UPSTREAM_BLAME_H
#define SHEAF_UPSTREAM_BLAME_H

#include "gateway/upstream/server.h"

#define SHEAF_BLAME_SIZE     320  /* more than a problem's detail holds */
#define SHEAF_BLAME_QUIET_MS 1000 /* after a line, of one server */

/* Writes the sentence into `dst` and returns it. An empty `detail` is what the error is called. Names that are not found and
 * our own want of sockets are no server's: their `detail` stands alone. */
const char *sheaf_blame_say(char dst[SHEAF_BLAME_SIZE], const sheaf_server_t *server, sheaf_err_t err,
                            const char *detail);

/* A copy of it, for free(). */
char *sheaf_blame_copy(const char *words);

/* One line a second for each server at the most; the next one says how many were left out ("more"). `address` is the one
 * of its addresses that failed; NULL, or one of a unix socket: not told. */
void sheaf_blame_log(sheaf_str_t upstream, sheaf_server_t *server, const sheaf_sockaddr_t *address, sheaf_err_t err,
                     const char *detail, uint64_t now_ms);

#endif
