/* origin/client.c - connections and requests of the origin: HTTP/1.1, keep-alive, one request at a time.
 *
 *   on_read -> take_request -> behave -> (send_* | timer -> behave) -> on_written -> take_request */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/origin/client.h"

typedef struct write_job {
    uv_write_t req;
    char bytes[];
} write_job_t;

counts_t counts;

static void take_request(client_t *client);

/* connections */

static void on_closed(uv_handle_t *handle)
{
    client_t *client = handle->data;

    if (--client->open_handles > 0)
        return;
    free(client->in);
    free(client);
}

void close_client(client_t *client)
{
    if (uv_is_closing((uv_handle_t *)&client->tcp))
        return;
    counts.open--;
    if (client->is_busy) {
        counts.flying--;
        counts.cancelled++;
    }
    uv_close((uv_handle_t *)&client->tcp, on_closed);
    uv_close((uv_handle_t *)&client->timer, on_closed);
}

void end_request(client_t *client)
{
    if (client->is_busy)
        counts.flying--;
    client->is_busy = false;
    client->answered++;
}

static void on_written(uv_write_t *req, int status)
{
    client_t *client = req->handle->data;

    free(req); /* the first member of its job */
    if (status != 0 || (client->ends_after_write && !client->is_busy))
        close_client(client);
    else if (!client->is_busy && !uv_is_closing((uv_handle_t *)&client->tcp))
        take_request(client);
}

void send_bytes(client_t *client, const void *bytes, size_t len)
{
    write_job_t *job = malloc(sizeof(*job) + len);
    uv_buf_t buf = uv_buf_init(job->bytes, (unsigned)len);

    memcpy(job->bytes, bytes, len);
    if (uv_write(&job->req, (uv_stream_t *)&client->tcp, &buf, 1, on_written) != 0) {
        free(job);
        close_client(client);
    }
}

/* Sends the last bytes of an answer as they are. */
static void send_last(client_t *client, const char *bytes, size_t len)
{
    end_request(client);
    send_bytes(client, bytes, len);
}

void send_raw(client_t *client, const char *text, bool ends)
{
    client->ends_after_write = ends;
    send_last(client, text, strlen(text));
}

void send_answer(client_t *client, int status, const char *type, const char *extra, const void *body, size_t len)
{
    bool is_bodiless = status == 204 || status == 304;
    char *all = malloc(len + strlen(extra) + 512);
    int head = sprintf(all, "HTTP/1.1 %d Because\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nServer: origin\r\n", status);

    if (type != NULL && !is_bodiless)
        head += sprintf(all + head, "Content-Type: %s\r\n", type);
    if (!is_bodiless)
        head += sprintf(all + head, "Content-Length: %zu\r\n", len);
    head += sprintf(all + head, "%s\r\n", extra);
    if (strcmp(client->method, "HEAD") == 0 || is_bodiless)
        len = 0;
    memcpy(all + head, body, len);
    send_last(client, all, (size_t)head + len);
    free(all);
}

/* requests */

/* Cuts the head at `in` into NUL-ended pieces: request line and header lines. */
static bool cut_head(client_t *client, size_t head_len)
{
    char *line_end = memmem(client->in, head_len, "\r\n", 2);
    char *space = memchr(client->in, ' ', (size_t)(line_end - client->in));
    char *second = space == NULL ? NULL : memchr(space + 1, ' ', (size_t)(line_end - space - 1));

    if (second == NULL)
        return false;
    *space = *second = *line_end = '\0';
    client->method = client->in;
    client->target = space + 1;
    client->headers = line_end + 2;
    client->headers_len = (size_t)(client->in + head_len - 2 - client->headers);
    for (char *at = client->headers; at < client->headers + client->headers_len; at++)
        if (*at == '\r')
            *at = '\0';
    return true;
}

/* Starts on the next request if all of it is there. */
static void take_request(client_t *client)
{
    char *head_end, *length;
    size_t head_len;

    client->in_len -= client->request_len;
    memmove(client->in, client->in + client->request_len, client->in_len);
    client->in[client->in_len] = '\0';
    client->request_len = 0;
    head_end = memmem(client->in, client->in_len, "\r\n\r\n", 4);
    if (head_end == NULL)
        return;
    head_len = (size_t)(head_end + 4 - client->in);
    length = strcasestr(client->in, "\r\ncontent-length:");
    client->body_len = length == NULL || length > head_end ? 0 : strtoul(length + 17, NULL, 10);
    if (client->in_len - head_len < client->body_len)
        return;
    if (!cut_head(client, head_len)) {
        close_client(client);
        return;
    }
    client->body = client->in + head_len;
    client->request_len = head_len + client->body_len;
    client->is_busy = true;
    client->ends_after_write = false;
    if (++counts.flying > counts.most_flying)
        counts.most_flying = counts.flying;
    behave(client, client->target);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char shared[65536];

    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(shared, sizeof(shared));
}

/* While an answer is being made the pieces of its request point into `in`, so arriving bytes wait in the kernel. */
static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    client_t *client = stream->data;
    char *grown;

    if (len < 0) {
        close_client(client);
        return;
    }
    if (client->is_busy || len == 0) /* pipelined: not needed, not supported */
        return;
    grown = realloc(client->in, client->in_len + (size_t)len + 1);
    if (grown == NULL)
        abort();
    memcpy(grown + client->in_len, buf->base, (size_t)len);
    client->in = grown;
    client->in_len += (size_t)len;
    take_request(client);
}

void on_connection(uv_stream_t *listener, int status)
{
    client_t *client = calloc(1, sizeof(*client));

    uv_tcp_init(listener->loop, &client->tcp);
    uv_timer_init(listener->loop, &client->timer);
    client->tcp.data = client->timer.data = client;
    client->open_handles = 2;
    counts.open++;
    counts.opened++;
    if (status != 0 || uv_accept(listener, (uv_stream_t *)&client->tcp) != 0) {
        close_client(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
}
