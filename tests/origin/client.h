/* origin/client.h - one connection to the origin, and the request being answered on it. */
#ifndef SHEAF_ORIGIN_CLIENT_H
#define SHEAF_ORIGIN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct client {
    uv_tcp_t tcp; /* its data is the client */
    uv_timer_t timer;
    int open_handles;
    char *in; /* bytes not yet taken; a whole request lies at its start while one is answered */
    size_t in_len, request_len;
    unsigned answered; /* requests answered on this connection */
    bool is_busy, ends_after_write;
    /* the request being answered; all of them point into `in` */
    char *method, *target, *headers, *body;
    size_t headers_len, body_len;
    const char *rest; /* the target behind the behaviour's name, without its slash */
    unsigned drips;
} client_t;

/* What happened since the start or the last /reset-count. */
typedef struct counts {
    unsigned long served, cancelled;            /* cancelled: the peer went away before its answer was complete */
    unsigned open, opened, flying, most_flying; /* connections; requests being answered */
} counts_t;

extern counts_t counts;

/* Does what `path` says (behaviours); it begins with a slash. */
void behave(client_t *client, const char *path);

void on_connection(uv_stream_t *listener, int status);

/* Closes the connection; a request being answered counts as cancelled. */
void close_client(client_t *client);
/* Marks the request as answered: its last bytes are about to be sent, or never will be. */
void end_request(client_t *client);
/* Sends some bytes of an answer. */
void send_bytes(client_t *client, const void *bytes, size_t len);
/* Sends the last bytes of an answer as they are; `ends` = closes the connection after them. */
void send_raw(client_t *client, const char *text, bool ends);
/* A well-formed answer; `type` may be NULL, `extra` is header lines, each with its CRLF. HEAD gets its head. */
void send_answer(client_t *client, int status, const char *type, const char *extra, const void *body, size_t len);

#endif
