/* run/sockets.h - the listening sockets of one configuration, each open once for all processes.
 *
 * The supervisor opens one socket per address and keeps it; workers accept from inherited copies (or, after a reload,
 * from copies that came over the control socket). No SO_REUSEPORT: a dead or stuck worker would keep its share. */
#ifndef SHEAF_RUN_SOCKETS_H
#define SHEAF_RUN_SOCKETS_H

#include "config/snapshot.h"

#define SHEAF_SOCKETS_MAX 65 /* 64 listeners and the admin one */

typedef struct sheaf_socket {
    char text[112]; /* the address as configured: the identity across reloads; "": of systemd, see handover.h */
    bool is_admin;
    int fd;
} sheaf_socket_t;

typedef struct sheaf_sockets {
    sheaf_socket_t items[SHEAF_SOCKETS_MAX];
    uint32_t count;
} sheaf_sockets_t;

/* Fills `ret_new` with one socket per address of `conf`, in the order listeners then admin. Those that `old` has
 * already (NULL: none) keep their descriptor. The rest are taken from `received` in that order or, when it is NULL,
 * opened. On failure what was opened here is closed again, `received` ones too. */
sheaf_err_t sheaf_sockets_open(const sheaf_conf_t *conf, const sheaf_sockets_t *old, const int *received,
                               uint32_t received_count, sheaf_sockets_t *ret_new, sheaf_fail_t *fail);

/* The descriptor of the same address in `sockets`, or -1. */
int sheaf_sockets_find(const sheaf_sockets_t *sockets, const sheaf_socket_t *like);

/* Closes those of `sockets` that `keep` (NULL: none) does not have. */
void sheaf_sockets_close(const sheaf_sockets_t *sockets, const sheaf_sockets_t *keep);

/* After a reload: sockets that stayed open get the mode that is configured now. */
void sheaf_sockets_set_modes(const sheaf_conf_t *conf);

/* Prints "listening on ADDRESS" per client listener, "admin on ADDRESS" for the admin one, with the real port. */
void sheaf_sockets_announce(const sheaf_sockets_t *sockets);

/* The port that socket `index` is bound to; 0 when it has none. */
uint16_t sheaf_sockets_port(const sheaf_sockets_t *sockets, uint32_t index);

#endif
