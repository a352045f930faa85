/* run/notify.h - what a service manager is told, by sd_notify(3)'s datagram and without its library.
 *
 * READY=1, RELOADING=1, STOPPING=1, MAINPID=N, STATUS=... to the socket that NOTIFY_SOCKET names, a path or an abstract
 * name. Without the variable nothing happens; a manager that does not listen is none of our trouble. */
#ifndef SHEAF_RUN_NOTIFY_H
#define SHEAF_RUN_NOTIFY_H

/* One or more assignments, a line each. For the main process only. */
void sheaf_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A reload began: RELOADING=1 with the time that Type=notify-reload wants. READY=1 ends it. */
void sheaf_notify_reloading(void);

#endif
