/* upstream/h1.h - HTTP/1.1 towards a backend, without I/O: one request out, one answer in (RFC 9112).
 *
 *   bytes read --sheaf_h1_next()--> SHEAF_H1_HEAD, SHEAF_H1_BODY*, SHEAF_H1_DONE
 *
 * An answer is pulled: the caller asks for the next event until it gets MORE (the input is used up) or DONE or BAD.
 * What an event hands out is borrowed from the input and good until the next call. A head that lies whole in one read
 * is parsed where it is; one that comes in pieces is gathered, up to 64 KiB. */
#ifndef SHEAF_UPSTREAM_H1_H
#define SHEAF_UPSTREAM_H1_H

#include "gateway/http/exchange.h"
#include "gateway/http/wire.h"

#define SHEAF_H1_MAX_HEAD    ((size_t)64 << 10)
#define SHEAF_H1_MAX_INTERIM 16 /* 1xx answers before the final one; a 101 is refused, nobody asked for it */

/* --- the request --- */

/* Room that sheaf_h1_write_head() needs at most. `host_line` is " HTTP/1.1\r\nhost: AUTHORITY\r\n" of the server, for
 * exchanges that have no host of their own. */
#define SHEAF_H1_HOST_START " HTTP/1.1\r\nhost: "
size_t sheaf_h1_head_room(const sheaf_exchange_t *exchange, sheaf_str_t host_line);

/* Writes the head with its empty line to `dst`; returns its length. The body follows as it is. */
size_t sheaf_h1_write_head(const sheaf_exchange_t *exchange, sheaf_str_t host_line, char *dst);

/* --- the answer --- */

typedef enum sheaf_h1_event {
    SHEAF_H1_MORE, /* the input is used up and the answer is not complete */
    SHEAF_H1_HEAD, /* the final head is in the sheaf_wire_head_t that was handed in */
    SHEAF_H1_BODY, /* a run of body bytes, never empty */
    SHEAF_H1_DONE, /* the answer is complete; bytes from *at on belong to nobody */
    SHEAF_H1_BAD,  /* refused; *ret_why says why */
} sheaf_h1_event_t;

typedef struct sheaf_h1 {
    uint8_t phase;                /* private */
    uint8_t interim_count;        /* private */
    bool was_head;                /* private: the request was HEAD */
    bool has_bytes;               /* any byte of an answer has come */
    bool is_persistent;           /* after DONE: the conn may carry another exchange */
    uint32_t keepalive_timeout_s; /* after HEAD; UINT32_MAX when the backend did not say */
    uint64_t left;                /* private: of a body with a length */
    sheaf_wire_chunks_t chunks;
    char *held; /* private: the pieces of a head */
    size_t held_len, held_size;
} sheaf_h1_t;

/* Gets ready for the answer to `method`. Zero-initialised before the first use; call fini after the last. */
void sheaf_h1_begin(sheaf_h1_t *h1, sheaf_str_t method);
void sheaf_h1_fini(sheaf_h1_t *h1);

/* The next event of the bytes `*at` to `end` (they may be changed in place); advances `*at`. `head` is scratch that may
 * be shared by all answers of a worker. */
sheaf_h1_event_t sheaf_h1_next(sheaf_h1_t *h1, char **at, char *end, sheaf_wire_head_t *head, sheaf_str_t *ret_body,
                               const char **ret_why);

/* The backend closed: true when that is how the answer ends (a body without a length). */
bool sheaf_h1_ends_at_eof(const sheaf_h1_t *h1);

#endif
