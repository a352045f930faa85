/* run/handover.h - listening sockets that were open before this process began, keys, and the word that it is ready.
 *
 *   SHEAF_HANDOVER="PID READY_FD\nFD client 127.0.0.1:8080\nFD admin 127.0.0.1:9090\nFD tickets -\n"
 *       from a Sheaf that starts its successor (upgrade.h): addresses as it had them in its configuration, and a copy
 *       of the keys of its session tickets, so that clients resume across the change
 *   LISTEN_PID, LISTEN_FDS
 *       from systemd's socket activation (sd_listen_fds(3)): descriptors from 3 on, known by what they are bound to
 *
 * Both are for the process they name only, and are removed from the environment once read. */
#ifndef SHEAF_RUN_HANDOVER_H
#define SHEAF_RUN_HANDOVER_H

#include "gateway/front/tickets.h"
#include "gateway/run/sockets.h"

/* What came with the environment, close-on-exec and non-blocking; those of systemd have no text. Call once. */
void sheaf_handover_take(sheaf_sockets_t *ret_sockets);

/* Closes those of `taken` that no address of the configuration asked for, and says so. */
void sheaf_handover_close_unused(const sheaf_sockets_t *taken, const sheaf_sockets_t *used);

/* Fills `tickets` with the keys that came, if any did. Without them clients shake hands once in full. */
void sheaf_handover_take_tickets(sheaf_tickets_t *tickets, uint64_t now_ms);

/* Every worker accepts: the predecessor may go. Nothing happens without one. */
void sheaf_handover_ready(void);

/* The predecessor may still have connections, and files open for them: sends it the signal, once it had that word and while
 * it lives. Nothing happens without one. */
void sheaf_handover_pass_on(int number);

/* In a worker: that word is not its to say. */
void sheaf_handover_forget(void);

/* In the new process, before exec: leaves the sockets open for it, copies the keys and names all in the environment. */
bool sheaf_handover_give(const sheaf_sockets_t *sockets, const sheaf_tickets_t *tickets, int ready_fd);

#endif
