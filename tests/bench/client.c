#include "tests/bench/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *number; /* NULL: posts are not numbered */
static unsigned long long posts;

void die(const char *why)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
    exit(1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    client_t *client = handle->data;

    (void)suggested;
    answer_room(&client->answer, ret_buf);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    client_t *client = stream->data;

    (void)buf;
    if (len < 0)
        die(uv_strerror((int)len));
    client->answer.len += (size_t)len;
    if (answer_is_whole(&client->answer))
        client->on_answer(client);
}

void client_number(const uv_buf_t *post)
{
    posts = uv_hrtime(); /* nor like those of an earlier run */
    number = memmem(post->base, post->len, CLIENT_NUMBER, sizeof(CLIENT_NUMBER) - 1);
}

static void put_number(void)
{
    char digits[sizeof(CLIENT_NUMBER)];

    if (number == NULL)
        return;
    snprintf(digits, sizeof(digits), "%016llx", posts++);
    memcpy(number, digits, sizeof(digits) - 1);
}

static void client_write(client_t *client)
{
    put_number();
    answer_reset(&client->answer);
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, client->post, 1, NULL) != 0)
        die("cannot write");
}

void client_post(client_t *client)
{
    client->sent_ns = uv_hrtime();
    client_write(client);
}

static void on_connected(uv_connect_t *req, int status)
{
    if (status != 0)
        die(uv_strerror(status));
    uv_tcp_nodelay((uv_tcp_t *)req->handle, 1);
    uv_read_start(req->handle, on_alloc, on_read);
    client_write(req->handle->data);
}

void client_connect(uv_loop_t *loop, const struct sockaddr_in *address, const uv_buf_t *post,
                    void (*on_answer)(client_t *client))
{
    client_t *client = calloc(1, sizeof(*client));

    if (client == NULL)
        abort();
    client->post = post;
    client->on_answer = on_answer;
    client->sent_ns = uv_hrtime();
    uv_tcp_init(loop, &client->tcp);
    client->tcp.data = client;
    if (uv_tcp_connect(&client->connect, &client->tcp, (const struct sockaddr *)address, on_connected) != 0)
        die("cannot connect");
}
