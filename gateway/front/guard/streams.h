/* guard/streams.h - uv_read_start and uv_write, replaced: the sockets of clients.
 *
 * Whose bytes: libh2o's parsers and its frame decoder are not told which connection they work for. All of them run below
 * libuv's read or write callback, so those remember the socket.
 * Fact 4 (libh2o.md): a read of nothing (EAGAIN) drops a TLS connection: it is not passed on.
 * Fact 5: a write that fails at once is never reported, and its socket never closed: the failure comes a turn later.
 * Fact 6: ciphertext that becomes nothing readable is kept without bound: more than 128 KiB of it ends the connection.
 * Streams that libh2o does not read or write (our backends') are passed on untouched. */
#ifndef SHEAF_FRONT_GUARD_STREAMS_H
#define SHEAF_FRONT_GUARD_STREAMS_H

#include "gateway/base/soon.h"
#include "gateway/front/guard/guard.h"

/* Per connection. */
typedef struct sheaf_stream {
    uv_read_cb on_read; /* libh2o's */
    size_t silent_bytes;
    sheaf_task_t late; /* reports a write that failed at once */
    uv_write_t *late_write;
    int late_status;
} sheaf_stream_t;

struct sheaf_client;

void sheaf_stream_init(sheaf_stream_t *stream);

/* The client whose bytes are being worked on, NULL outside of its callbacks and once it is gone. */
struct sheaf_client *sheaf_stream_client(void);

/* libh2o has closed the socket of `client`. */
void sheaf_stream_forget(struct sheaf_client *client);

#endif
