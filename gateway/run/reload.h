/* run/reload.h - a configuration that was read and checked but is not in use yet.
 *
 * One struct for both sides: the supervisor (or a worker alone) reads it from the file, a worker receives it from its
 * supervisor. Nothing changes until it is committed; a bad file leaves everything as it was. */
#ifndef SHEAF_RUN_RELOAD_H
#define SHEAF_RUN_RELOAD_H

#include "gateway/run/control.h"
#include "gateway/run/shares.h"

typedef struct sheaf_reload {
    sheaf_snapshot_t *snapshot; /* NULL: nothing is pending */
    sheaf_sockets_t sockets;    /* of the new configuration; those the old one has too are shared with it */
    sheaf_shares_t shares;      /* of its plugins; those that were there before are shared too */
    char *text;                 /* as read; NULL on the receiving side */
    size_t text_len;
} sheaf_reload_t;

/* Reads `path`, checks it, opens the sockets that `old` (NULL: none) does not have, and makes the memory that `old_shares`
 * (NULL: none) does not have. Errors are printed on stderr. */
sheaf_err_t sheaf_reload_read(sheaf_reload_t *reload, const char *path, const sheaf_sockets_t *old,
                              const sheaf_shares_t *old_shares);

/* Takes over text, files and sockets of a PREPARE note (closes its descriptors whatever happens). */
sheaf_err_t sheaf_reload_receive(sheaf_reload_t *reload, const sheaf_note_t *note, const sheaf_sockets_t *old);

/* PREPARE for a worker whose sockets are `old`; note.fds[0] is to be closed by the caller after sending. */
bool sheaf_reload_note(const sheaf_reload_t *reload, const sheaf_sockets_t *old, sheaf_note_t *ret_note);

/* Lets go of it. `in_use`: sockets to keep open; NULL when all of reload's are in use now (after a commit). */
void sheaf_reload_forget(sheaf_reload_t *reload, const sheaf_sockets_t *in_use);

#endif
