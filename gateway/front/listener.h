/* front/listener.h - accepting from sockets that the supervisor opened. */
#ifndef SHEAF_FRONT_LISTENER_H
#define SHEAF_FRONT_LISTENER_H

#include "gateway/front/inside.h"

sheaf_err_t sheaf_listener_open(sheaf_front_t *front, int fd, sheaf_str_t address, bool is_admin, sheaf_fail_t *fail);

/* A new epoch: every listener looks up its own section of the configuration. */
void sheaf_listener_bind_all(sheaf_front_t *front);

/* Closes the listener on `fd`; -1: all for clients, -2: really all. */
void sheaf_listener_close(sheaf_front_t *front, int fd);
#define SHEAF_LISTENERS_CLIENT (-1)
#define SHEAF_LISTENERS_ALL    (-2)

#endif
