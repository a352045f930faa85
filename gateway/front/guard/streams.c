#include "gateway/front/guard/streams.h"

#include <dlfcn.h>

#include "gateway/front/client.h"

#define SMALL_BODY  (16u << 10)
#define SILENT_MOST (128u << 10)

static sheaf_client_t *current;

sheaf_client_t *sheaf_stream_client(void)
{
    return current;
}

#if SHEAF_GUARD_IS_ON

static uv_write_cb on_written_of_libh2o;

/* libh2o hands libuv functions of its own: that is how its streams are told from ours. */
static bool is_known(void *const known[4], void *function)
{
    return function == known[0] || function == known[1] || function == known[2] || function == known[3];
}

static bool is_of_libh2o(void *function)
{
    static void *theirs[4], *others[4];
    static unsigned their_count, other_count;
    Dl_info libh2o, it;

    if (is_known(theirs, function))
        return true;
    if (is_known(others, function))
        return false;
    if (dladdr(function, &it) != 0 && dladdr(sheaf_guard_real("h2o_socket_close"), &libh2o) != 0 &&
        it.dli_fbase == libh2o.dli_fbase) {
        theirs[their_count++ % 4] = function;
        return true;
    }
    others[other_count++ % 4] = function;
    return false;
}

static sheaf_client_t *client_of(uv_stream_t *stream)
{
    h2o_socket_t *sock = stream->data;

    return sock->on_close.data;
}

/* --- reading --- */

static bool is_too_silent(sheaf_client_t *client, ssize_t got)
{
    if (got <= 0 || client->sock->ssl == NULL)
        return false;
    client->stream.silent_bytes += (size_t)got;
    return client->stream.silent_bytes > SILENT_MOST;
}

/* libh2o cannot be told in the middle of an HTTP/1 body to stop: a small one comes to its end and gets its 503 from the
 * handler, a large one is cut off. HTTP/2 requests are cut short by frames.c. */
static bool has_no_room(sheaf_client_t *client)
{
    return !client->frames.is_http2 && client->pace.phase == SHEAF_PHASE_BODY && client->pace.body_bytes > SMALL_BODY &&
           sheaf_front_memory(client->front) == SHEAF_MEMORY_FULL;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    sheaf_client_t *client = client_of(stream), *before = current;

    if (client == NULL)
        return;
    sheaf_clock_refresh(client->front->env.clock);
    if (got == 0) {
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_GUARD_EMPTY_READS, 1);
        return;
    }
    if (got > 0 && has_no_room(client)) {
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_MEMORY, 1);
        got = UV_EOF;
    }
    if (is_too_silent(client, got)) {
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_CIPHERTEXT, 1);
        got = UV_EOF;
    }
    if (got > 0 && !client->frames.is_http2) /* there only DATA counts */
        sheaf_pace_body(client, (size_t)got);
    current = client;
    client->stream.on_read(stream, got, buf);
    if (current == client && client->sock->bytes_read > 0)
        client->stream.silent_bytes = 0;
    current = before;
}

SHEAF_GUARD_REPLACES int uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc, uv_read_cb read)
{
    static int (*real)(uv_stream_t *, uv_alloc_cb, uv_read_cb);

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("uv_read_start");
    if (!is_of_libh2o((void *)alloc))
        return real(stream, alloc, read);
    sheaf_guard_fired(SHEAF_GUARD_READS);
    if (client_of(stream) == NULL)
        return real(stream, alloc, read);
    client_of(stream)->stream.on_read = read;
    return real(stream, alloc, on_read);
}

/* --- writing --- */

static void on_written(uv_write_t *write, int status)
{
    sheaf_client_t *before = current;

    current = client_of(write->handle); /* NULL once it was closed: libh2o's callback knows that too */
    on_written_of_libh2o(write, status);
    current = before;
}

static void on_late(sheaf_task_t *task)
{
    sheaf_stream_t *stream = SHEAF_OWNER(task, sheaf_stream_t, late);

    on_written(stream->late_write, stream->late_status);
}

SHEAF_GUARD_REPLACES int uv_write(uv_write_t *write, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count,
                                  uv_write_cb on_done)
{
    static int (*real)(uv_write_t *, uv_stream_t *, const uv_buf_t *, unsigned, uv_write_cb);
    sheaf_client_t *client;
    int status;

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("uv_write");
    if (!is_of_libh2o((void *)on_done))
        return real(write, stream, bufs, count, on_done);
    sheaf_guard_fired(SHEAF_GUARD_WRITES);
    client = client_of(stream);
    if (client == NULL)
        return real(write, stream, bufs, count, on_done);
    on_written_of_libh2o = on_done;
    status = real(write, stream, bufs, count, on_written);
    if (status == 0)
        return 0;
    sheaf_count(client->front->env.metrics, SHEAF_METRIC_GUARD_LATE_WRITES, 1);
    write->handle = stream;
    client->stream.late_write = write;
    client->stream.late_status = status;
    sheaf_soon(client->front->env.soon, &client->stream.late);
    return 0;
}

void sheaf_stream_init(sheaf_stream_t *stream)
{
    stream->late.run = on_late;
}

#else

void sheaf_stream_init(sheaf_stream_t *stream)
{
    (void)stream;
}

#endif

void sheaf_stream_forget(sheaf_client_t *client)
{
    if (current == client)
        current = NULL;
    sheaf_soon_cancel(&client->stream.late);
    client->sock->on_close.data = NULL;
}
