/* guard/reads.h - uv_read_start, replaced: whose bytes libh2o is looking at.
 *
 * libh2o's parsers and its frame decoder are not told which connection they work for. All of them run below libuv's read
 * callback, so that callback remembers the socket. Streams that libh2o does not read (our backends') are passed on. */
#ifndef SHEAF_FRONT_GUARD_READS_H
#define SHEAF_FRONT_GUARD_READS_H

#include "gateway/front/guard/guard.h"

/* The client's socket whose bytes are being read, NULL outside of a read. */
h2o_socket_t *sheaf_reads_current(void);

#endif
