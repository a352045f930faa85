/* upstream/secure.c - see secure.h. */
#include "gateway/upstream/secure.h"

#include "gateway/upstream/writing.h"

#define PIECE_SIZE ((size_t)64 << 10)

static int flush_output(sheaf_conn_t *conn)
{
    sheaf_str_t out = sheaf_tls_output(conn->tls);
    int status = sheaf_writing_put(conn, out.base, out.len);

    sheaf_tls_drained(conn->tls);
    return status;
}

static int seal_piece(sheaf_conn_t *conn)
{
    sheaf_str_t *rest = &conn->unsent;
    size_t len = rest->len < PIECE_SIZE ? rest->len : PIECE_SIZE;

    if (!sheaf_tls_seal(conn->tls, rest->base, len))
        return UV_EPROTO;
    *rest = sheaf_str(rest->base + len, rest->len - len);
    return 0;
}

int sheaf_secure_flush(sheaf_conn_t *conn)
{
    int status = 0;

    while (!conn->is_writing && !conn->is_half_broken && status == 0) {
        if (sheaf_tls_output(conn->tls).len != 0)
            status = flush_output(conn);
        else if (conn->unsent.len != 0)
            status = seal_piece(conn);
        else
            break;
    }
    return status;
}

int sheaf_secure_write(sheaf_conn_t *conn, const char *bytes, size_t len)
{
    if (!sheaf_tls_seal(conn->tls, bytes, len))
        return UV_EPROTO;
    conn->has_written = conn->is_writing; /* it waits behind what is on its way */
    return sheaf_secure_flush(conn);
}

void sheaf_secure_end(sheaf_conn_t *conn)
{
    if (conn->is_writing || conn->is_half_broken)
        return;
    sheaf_tls_goodbye(conn->tls);
    if (sheaf_tls_output(conn->tls).len != 0)
        flush_output(conn);
}
