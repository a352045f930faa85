#include "gateway/front/guard/reads.h"

#include <dlfcn.h>

#include "gateway/front/client.h"

#if SHEAF_GUARD_IS_ON

static h2o_socket_t *current;

h2o_socket_t *sheaf_reads_current(void)
{
    return current;
}

/* libh2o hands libuv one of its own functions to get memory from: one for clear text, one for TLS. */
static bool is_of_libh2o(uv_alloc_cb alloc)
{
    static uv_alloc_cb known[2];
    Dl_info theirs, ours;

    if (alloc == known[0] || alloc == known[1])
        return true;
    if (dladdr((void *)alloc, &theirs) == 0 || dladdr(sheaf_guard_real("h2o_socket_close"), &ours) == 0 ||
        theirs.dli_fbase != ours.dli_fbase)
        return false;
    known[known[0] != NULL] = alloc;
    return true;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    h2o_socket_t *sock = stream->data, *before = current;
    sheaf_client_t *client = sock->on_close.data;

    current = sock;
    client->on_read(stream, got, buf); /* the client may be gone after it */
    current = before;
}

SHEAF_GUARD_REPLACES int uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc, uv_read_cb read)
{
    static int (*real)(uv_stream_t *, uv_alloc_cb, uv_read_cb);

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("uv_read_start");
    if (!is_of_libh2o(alloc))
        return real(stream, alloc, read);
    ((sheaf_client_t *)((h2o_socket_t *)stream->data)->on_close.data)->on_read = read;
    return real(stream, alloc, on_read);
}

#else

h2o_socket_t *sheaf_reads_current(void)
{
    return NULL;
}

#endif
