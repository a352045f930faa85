#include "gateway/front/guard/goaway.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"

#if SHEAF_GUARD_IS_ON

static void say(h2o_http2_conn_t *conn, uint32_t last_stream)
{
    h2o_http2_encode_goaway_frame(&conn->_write.buf, last_stream, 0, (h2o_iovec_t){NULL, 0});
    h2o_http2_conn_request_write(conn);
}

static void say_last(h2o_http2_conn_t *conn, sheaf_client_t *client)
{
    client->frames.last_stream = conn->pull_stream_ids.max_open;
    say(conn, client->frames.last_stream);
}

static void step(h2o_http2_conn_t *conn, sheaf_client_t *client)
{
    sheaf_frames_t *frames = &client->frames;
    uint64_t now_ms = client->front->env.clock->now_ms;

    if (!frames->is_http2) /* its SETTINGS have not come, and ours go first (RFC 9113 3.4) */
        return;
    if (frames->noticed_ms == 0 && frames->last_stream == UINT32_MAX) { /* an idle one has had its last word */
        frames->noticed_ms = now_ms;
        say(conn, INT32_MAX);
    } else if (frames->last_stream == UINT32_MAX && now_ms - frames->noticed_ms >= SHEAF_GOAWAY_NOTICE_MS) {
        say_last(conn, client);
    } else if (frames->last_stream != UINT32_MAX && conn->num_streams.pull.open == 0) {
        sheaf_client_retire(client);
    }
}

/* libh2o may have let go of the connection while TLS is still ending: only what is in its list is one. */
void sheaf_goaway_tell(sheaf_client_t *client)
{
    h2o_linklist_t *conns = &client->front->clients_face.context.http2._conns;

    for (h2o_linklist_t *node = conns->next; node != conns; node = node->next) {
        h2o_http2_conn_t *conn = H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _conns, node);

        if (conn->sock == client->sock && conn->state < H2O_HTTP2_CONN_STATE_HALF_CLOSED)
            say_last(conn, client);
    }
}

void sheaf_goaway_step(sheaf_front_t *front)
{
    h2o_linklist_t *conns = &front->clients_face.context.http2._conns;

    for (h2o_linklist_t *node = conns->next; node != conns; node = node->next) {
        h2o_http2_conn_t *conn = H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _conns, node);

        if (conn->state < H2O_HTTP2_CONN_STATE_HALF_CLOSED && conn->sock->on_close.data != NULL)
            step(conn, conn->sock->on_close.data);
    }
}

#else

void sheaf_goaway_tell(sheaf_client_t *client)
{
    (void)client;
}

void sheaf_goaway_step(sheaf_front_t *front)
{
    h2o_context_request_shutdown(&front->clients_face.context);
}

#endif
