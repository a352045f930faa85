/* bench/load.c - posts one batch over and over, and believes no answer it has not read.
 *
 *   load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]
 *
 * Each connection posts the bytes of BODY_FILE to /batch, reads the whole answer (Content-Length or chunked), counts
 * MARK in it (it must stand there N times) and posts again. HEADER is one more field of the request. Prints
 * {"batches":..,"bad":..,"seconds":..,"p50_us":..,"p99_us":..}; exits 1 when an answer was bad. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LATENCIES 4000000u

typedef struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    char *in; /* the answer so far; of a chunked one without the chunk lines it has passed */
    size_t len, size;
    size_t body_at; /* 0: the head is not whole */
    size_t end_at;  /* where the answer ends; of a chunked one, where the next chunk line begins */
    bool is_chunked;
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

    client->len = client->body_at = client->end_at = 0;
    client->sent_ns = uv_hrtime();
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, NULL) != 0)
        die("cannot write");
}

static unsigned count_marks(const char *bytes, size_t len)
{
    size_t mark_len = strlen(load.mark);
    const char *end = bytes + len, *at;
    unsigned count = 0;

    for (; (at = memmem(bytes, (size_t)(end - bytes), load.mark, mark_len)) != NULL; bytes = at + mark_len)
        count++;
    return count;
}

static void on_answer(client_t *client)
{
    uint64_t now_ns = uv_hrtime();
    unsigned marks = count_marks(client->in + client->body_at, client->end_at - client->body_at);

    if (marks != load.n && load.bad++ == 0)
        fprintf(stderr, "load: %u of %u items are good: %.*s\n", marks, load.n,
                client->len < 2000 ? (int)client->len : 2000, client->in);
    load.latencies_us[load.batches++ % LATENCIES] = (uint32_t)((now_ns - client->sent_ns) / 1000);
    if (now_ns <= load.stop_ns)
        post_batch(client);
    else if (--load.running == 0) /* every batch is whole: none is charged to the gateway without being counted */
        report(now_ns);
}

/* Finds out how the answer ends; false while the head is not whole. */
static bool read_head(client_t *client)
{
    const char *end = memmem(client->in, client->len, "\r\n\r\n", 4), *length;

    if (end == NULL)
        return false;
    client->in[client->len] = '\0';
    length = strcasestr(client->in, "\r\ncontent-length:");
    client->body_at = client->end_at = (size_t)(end + 4 - client->in);
    client->is_chunked = length == NULL || length > end;
    if (!client->is_chunked)
        client->end_at += strtoul(length + 17, NULL, 10);
    return true;
}

/* Cuts the chunk line at end_at out of the bytes. 1: another chunk follows; 0: not whole yet; -1: it was the last. */
static int cut_chunk_line(client_t *client)
{
    char *line = client->in + client->end_at + (client->end_at > client->body_at ? 2 : 0), *end;
    size_t chunk, cut;

    if (line >= client->in + client->len)
        return 0;
    end = memmem(line, (size_t)(client->in + client->len - line), "\r\n", 2);
    if (end == NULL)
        return 0;
    chunk = strtoul(line, NULL, 16);
    cut = (size_t)(end + 2 - (client->in + client->end_at));
    if (chunk == 0)
        return client->in + client->len >= end + 4 ? -1 : 0;
    memmove(client->in + client->end_at, end + 2, (size_t)(client->in + client->len - (end + 2)));
    client->len -= cut;
    client->end_at += chunk;
    return 1;
}

static bool is_whole(client_t *client)
{
    int more = 1;

    if (client->body_at == 0 && !read_head(client))
        return false;
    if (!client->is_chunked)
        return client->len >= client->end_at;
    while (more == 1 && client->len >= client->end_at)
        more = cut_chunk_line(client);
    return more == -1;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    client_t *client = handle->data;

    (void)suggested;
    if (client->size - client->len < 65536) {
        client->size = client->size * 2 + 131072;
        client->in = realloc(client->in, client->size + 1);
    }
    *ret_buf = uv_buf_init(client->in + client->len, (unsigned)(client->size - client->len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    client_t *client = stream->data;

    (void)buf;
    if (len < 0)
        die(uv_strerror((int)len));
    client->len += (size_t)len;
    if (is_whole(client))
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

static void read_post(const char *path, const char *type, const char *accept, const char *more)
{
    FILE *file = fopen(path, "rb");
    size_t body_len, head_len;
    char *body;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die("cannot read the batch");
    body_len = (size_t)ftell(file);
    rewind(file);
    body = malloc(body_len);
    load.post = malloc(body_len + strlen(type) + strlen(accept) + strlen(more) + 256);
    if (fread(body, 1, body_len, file) != body_len)
        die("cannot read the batch");
    head_len = (size_t)sprintf(load.post,
                               "POST /batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n"
                               "Accept: %s\r\n%s%sContent-Length: %zu\r\n\r\n",
                               type, accept, more, *more == '\0' ? "" : "\r\n", body_len);
    memcpy(load.post + head_len, body, body_len);
    load.post_len = head_len + body_len;
    free(body);
    fclose(file);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;

    if (argc != 9 && argc != 10)
        die("usage: load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]");
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    read_post(argv[2], argv[3], argv[4], argc == 10 ? argv[9] : "");
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
