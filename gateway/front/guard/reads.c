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
    static uv_alloc_cb theirs[2], others[2];
    Dl_info libh2o, it;

    if (alloc == theirs[0] || alloc == theirs[1])
        return true;
    if (alloc == others[0] || alloc == others[1])
        return false;
    if (dladdr((void *)alloc, &it) != 0 && dladdr(sheaf_guard_real("h2o_socket_close"), &libh2o) != 0 &&
        it.dli_fbase == libh2o.dli_fbase) {
        theirs[theirs[0] != NULL] = alloc;
        return true;
    }
    others[others[0] != NULL] = alloc;
    return false;
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
