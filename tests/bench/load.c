/* bench/load.c - posts one batch over and over, and believes no answer it has not read.
 *
 *   load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]
 *
 * Each connection posts the bytes of BODY_FILE to /batch, reads the whole answer (Content-Length or chunked), counts
 * MARK in it (it must stand there N times) and posts again. HEADER is one more field of the request. Prints
 * {"batches":..,"bad":..,"seconds":..,"p50_us":..,"p99_us":..}; exits 1 when an answer was bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/answer.h"

#define LATENCIES 4000000u

typedef struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    answer_t answer;
    uint64_t sent_ns;
} client_t;

static struct {
    char *post;
    size_t post_len;
    const char *mark;
    unsigned n;
    uint64_t started_ns, stop_ns;
    unsigned long batches, bad;
    int running; /* connections that still post */
    uint32_t *latencies_us;
} load;

static void die(const char *why)
{
    fprintf(stderr, "load: %s\n", why);
    exit(1);
}

static int by_value(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void report(uint64_t now_ns)
{
    size_t count = load.batches < LATENCIES ? load.batches : LATENCIES;

    qsort(load.latencies_us, count, sizeof(uint32_t), by_value);
    printf("{\"batches\":%lu,\"bad\":%lu,\"seconds\":%.3f,\"p50_us\":%u,\"p99_us\":%u}\n", load.batches, load.bad,
           (double)(now_ns - load.started_ns) / 1e9, load.latencies_us[count / 2], load.latencies_us[count * 99 / 100]);
    exit(load.bad > 0);
}

static void post_batch(client_t *client)
{
    uv_buf_t buf = uv_buf_init(load.post, (unsigned)load.post_len);

    answer_reset(&client->answer);
    client->sent_ns = uv_hrtime();
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL) != 0)
        die("cannot write");
}

/* What a batch that is not as it should be looks like: from before the first problem in it, or else from its start. */
static void tell_bad(const answer_t *answer, unsigned marks)
{
    const char *problem = memmem(answer->in, answer->len, "urn:sheaf:problem", 17);
    size_t at = problem == NULL || problem - answer->in < 200 ? 0 : (size_t)(problem - answer->in) - 200;

    fprintf(stderr, "load: %u of %u items are good: %.*s\n", marks, load.n,
            answer->len - at < 2000 ? (int)(answer->len - at) : 2000, answer->in + at);
}

static void on_answer(client_t *client)
{
    answer_t *answer = &client->answer;
    uint64_t now_ns = uv_hrtime();
    unsigned marks = answer_count(answer, load.mark);

    if (marks != load.n && load.bad++ == 0)
        tell_bad(answer, marks);
    load.latencies_us[load.batches++ % LATENCIES] = (uint32_t)((now_ns - client->sent_ns) / 1000);
    if (now_ns <= load.stop_ns)
        post_batch(client);
    else if (--load.running == 0) /* every batch is whole: none is charged to the gateway without being counted */
        report(now_ns);
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
        on_answer(client);
}

static void on_connected(uv_connect_t *req, int status)
{
    if (status != 0)
        die(uv_strerror(status));
    uv_tcp_nodelay((uv_tcp_t *)req->handle, 1);
    uv_read_start(req->handle, on_alloc, on_read);
    post_batch(req->handle->data);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;

    if (argc != 9 && argc != 10)
        die("usage: load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]");
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    load.post = post_read(argv[2], argv[3], argv[4], argc == 10 ? argv[9] : "", &load.post_len);
    if (load.post == NULL)
        die("cannot read the batch");
    load.mark = argv[5];
    load.n = (unsigned)atoi(argv[6]);
    load.latencies_us = malloc(LATENCIES * sizeof(uint32_t));
    load.started_ns = uv_hrtime();
    load.stop_ns = load.started_ns + (uint64_t)(atof(argv[8]) * 1e9);
    load.running = atoi(argv[7]);
    for (int i = 0; i < load.running; i++) {
        client_t *client = calloc(1, sizeof(*client));
        uv_tcp_init(loop, &client->tcp);
        client->tcp.data = client;
        uv_tcp_connect(&client->connect, &client->tcp, (struct sockaddr *)&address, on_connected);
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
