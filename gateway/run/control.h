/* run/control.h - what supervisor and worker say to each other, over one SOCK_SEQPACKET pair per worker.
 *
 *   supervisor                                worker
 *      |   <------------------ READY ------------|   accepts from all sockets
 *      |--- PREPARE (pack, new sockets) -------->|   loads the new snapshot, keeps serving the old one
 *      |   <------ PREPARED or REFUSED ----------|
 *      |--- COMMIT (all said PREPARED) --------->|   new epoch; or ABORT: forgets it
 *      |--- UNREADY ---------------------------->|   /readyz says 503
 *      |--- DRAIN ------------------------------>|   stops accepting, finishes, exits 0
 *      |--- RETIRE ----------------------------->|   the same for one that is not needed any more, because of a
 *      |                                         |   reload or a new binary: the gateway stays
 *      |                                         |   ready, so it leaves the admin socket too
 *      |--- REOPEN ---------------------------->|   plugins open anew what they have open by name
 *      |   <---------------- REOPENED -----------|   before that it is told of no further one
 *
 * A configuration, its text and the files that it names, travels as a memfd that holds a pack (config/files.h): the first
 * descriptor of PREPARE; then come new listening sockets in the order of sheaf_sockets_open, and last the memory that plugins
 * share, in the order of sheaf_shares_open, all of it. */
#ifndef SHEAF_RUN_CONTROL_H
#define SHEAF_RUN_CONTROL_H

#include "gateway/run/sockets.h"

typedef enum sheaf_note_kind {
    SHEAF_NOTE_READY = 1,
    SHEAF_NOTE_PREPARE,
    SHEAF_NOTE_PREPARED,
    SHEAF_NOTE_REFUSED,
    SHEAF_NOTE_COMMIT,
    SHEAF_NOTE_ABORT,
    SHEAF_NOTE_UNREADY,
    SHEAF_NOTE_DRAIN,
    SHEAF_NOTE_RETIRE,
    SHEAF_NOTE_REOPEN,
    SHEAF_NOTE_REOPENED,
} sheaf_note_kind_t;

#define SHEAF_NOTE_FDS_MAX (1 + SHEAF_SOCKETS_MAX + SHEAF_PLUGINS_SHARED_MAX) /* the kernel takes 253 */

typedef struct sheaf_note {
    uint32_t kind;
    uint32_t generation; /* of PREPARE and its answers */
    uint32_t fd_count;
    int fds[SHEAF_NOTE_FDS_MAX]; /* PREPARE: the pack, new sockets, shared memory; the receiver owns its copies */
} sheaf_note_t;

/* Two connected ends, close-on-exec and non-blocking. */
bool sheaf_control_pair(int ret_ends[2]);

/* False when the other end is gone or its queue is full (it is stuck then). */
bool sheaf_control_send(int fd, const sheaf_note_t *note);

/* 1: a note came; 0: none waits; -1: the other end is gone. */
int sheaf_control_receive(int fd, sheaf_note_t *ret_note);

/* A memfd that holds `text`; -1 when the system refuses. */
int sheaf_control_text_fd(sheaf_str_t text);

/* Reads a whole file (or memfd, from its start) of at most `limit_bytes`; malloc'ed, false with errno set. */
bool sheaf_control_read_fd(int fd, size_t limit_bytes, char **ret_text, size_t *ret_len);

#endif
