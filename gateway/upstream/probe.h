/* upstream/probe.h - one question to a server: how are you? A GET on a conn of its own, closed after it.
 *
 *   start --(lookup)--> dial --> open --> answer --> on_done
 *      \_____________ failure, or the time is over ____^
 *
 * It asks one address of the server; where a name has several, the next probe asks the next one. It goes the way of any
 * exchange, TLS, sessions and HTTP/2 included, but past the group: it takes no place of max_connections, waits for
 * nobody, and is none of what flies at the server. Of a body no more than SHEAF_PROBE_BODY_MOST is read: then the
 * status decides. */
#ifndef SHEAF_UPSTREAM_PROBE_H
#define SHEAF_UPSTREAM_PROBE_H

#include "gateway/upstream/conn.h"

#define SHEAF_PROBE_BODY_MOST ((size_t)64 << 10)

typedef struct sheaf_probe sheaf_probe_t;

typedef struct sheaf_probe_result {
    sheaf_err_t err;    /* SHEAF_OK: an answer came */
    uint16_t status;    /* of it */
    const char *detail; /* a sentence or "", borrowed for the call */
} sheaf_probe_result_t;

struct sheaf_probe {
    sheaf_conn_env_t *env;
    sheaf_server_t server;  /* one that only probes know, borrowed */
    sheaf_server_t *lender; /* of it, which does not become another one while a probe is under way */
    uint8_t protocol;       /* SHEAF_PROTOCOL_... */
    sheaf_header_t header;
    sheaf_exchange_t exchange;
    sheaf_conn_t *conn; /* NULL: nothing is under way */
    sheaf_deadline_t deadline;
    sheaf_probe_result_t result;
    size_t body_len;
    void (*on_done)(sheaf_probe_t *probe, const sheaf_probe_result_t *result); /* may start it again */
};

/* `protocol` is what the upstream's servers speak, SHEAF_PROTOCOL_... */
void sheaf_probe_init(sheaf_probe_t *probe, sheaf_conn_env_t *env, uint8_t protocol,
                      void (*on_done)(sheaf_probe_t *probe, const sheaf_probe_result_t *result));
void sheaf_probe_fini(sheaf_probe_t *probe); /* ends it, too */

/* Asks `server`, always the same one; on_done follows within `timeout_ms`, never from inside. None may be under way.
 * `path` lives until it is over. */
void sheaf_probe_start(sheaf_probe_t *probe, sheaf_server_t *server, sheaf_str_t path, uint64_t timeout_ms);

/* Ends it now; on_done does not follow. Fine when none is under way. */
void sheaf_probe_cancel(sheaf_probe_t *probe);

#endif
