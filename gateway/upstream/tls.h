/* upstream/tls.h - TLS towards a backend, without I/O: bytes in, bytes out.
 *
 *   socket --sheaf_tls_read()--> plain text               sheaf_tls_seal() --> sheaf_tls_output() --> socket
 *
 *   HANDSHAKE --both sides are done--> OPEN --close_notify--> ENDED
 *       \__________________________________\________________> FAILED
 *
 * The handshake goes by itself: what is read answers, the answer is output. A peer is what conns to one server share:
 * the context (made when the configuration is checked, config/trust.h), the name that its certificate must bear, the
 * newest session (the next conn resumes it), and a sentence about the last failure, which outlives the conn that
 * failed. A session that is resumed begets the next one, and none of them shows a certificate: an hour after the last
 * one was seen a conn begins afresh. */
#ifndef SHEAF_UPSTREAM_TLS_H
#define SHEAF_UPSTREAM_TLS_H

#include "gateway/base/str.h"

#define SHEAF_TLS_RECORD_SIZE ((size_t)17 << 10) /* the largest record with all that is around it */
#define SHEAF_TLS_RESUME_MS   3600000            /* a certificate counts for so long, then it is asked for again */
#define SHEAF_TLS_MAX_OUTPUT  ((size_t)1 << 20)  /* what a backend that does not read may make us hold */

struct ssl_ctx_st;

typedef struct sheaf_tls_peer sheaf_tls_peer_t;
typedef struct sheaf_tls sheaf_tls_t;

typedef enum sheaf_tls_state {
    SHEAF_TLS_HANDSHAKE,
    SHEAF_TLS_OPEN,
    SHEAF_TLS_ENDED,  /* the backend said so: nothing was cut off */
    SHEAF_TLS_FAILED, /* the peer's detail says why */
} sheaf_tls_state_t;

/* `context` is held (config/trust.h). `name` is the host name or address that the certificate must be for; copied. */
sheaf_tls_peer_t *sheaf_tls_peer_new(struct ssl_ctx_st *context, sheaf_str_t name);
/* Another one of the same context and name. */
sheaf_tls_peer_t *sheaf_tls_peer_like(const sheaf_tls_peer_t *peer);
void sheaf_tls_peer_free(sheaf_tls_peer_t *peer); /* NULL is fine */

/* What the next conn offers by ALPN; HTTP/1.1 alone until this is called. */
void sheaf_tls_peer_offer(sheaf_tls_peer_t *peer, bool is_h2, bool is_http1);

/* What failed last, as a sentence that does not name the server; until the next failure, as long as the peer. */
const char *sheaf_tls_peer_detail(const sheaf_tls_peer_t *peer);

/* Begins the handshake at `now_ms` of the clock: its first bytes are output. `peer` must outlive it. */
sheaf_tls_t *sheaf_tls_new(sheaf_tls_peer_t *peer, uint64_t now_ms);
/* Its session stays good, even when nobody said goodbye; not after FAILED. NULL is fine. */
void sheaf_tls_free(sheaf_tls_t *tls);

/* Takes all of `bytes` from the backend; what of it is plain text lands in `dst`, which has room for
 * len + SHEAF_TLS_RECORD_SIZE. Look for output afterwards, whatever the state is: an alert may tell the backend why. */
sheaf_tls_state_t sheaf_tls_read(sheaf_tls_t *tls, const char *bytes, size_t len, char *dst, size_t *ret_len);

sheaf_tls_state_t sheaf_tls_state(const sheaf_tls_t *tls);
/* Once it is open: both sides agreed to HTTP/2. */
bool sheaf_tls_is_h2(const sheaf_tls_t *tls);
/* Once it is open: an earlier session was taken up. */
bool sheaf_tls_is_resumed(const sheaf_tls_t *tls);

/* Plain text for the backend: becomes output. False: it is not open, or too much waits already. */
bool sheaf_tls_seal(sheaf_tls_t *tls, const char *bytes, size_t len);
/* Says goodbye (close_notify), if it is open: becomes output. */
void sheaf_tls_goodbye(sheaf_tls_t *tls);

/* Bytes for the backend, borrowed until the next call; all of them are to be sent, then drained. */
sheaf_str_t sheaf_tls_output(const sheaf_tls_t *tls);
void sheaf_tls_drained(sheaf_tls_t *tls);

#endif
