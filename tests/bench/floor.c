/* bench/floor.c - the floor under every gateway: a bare libuv client with no gateway around it.
 *
 *   floor PORT N GROUPS SECONDS
 *
 * GROUPS batches run at once; each sends N ready-made requests over min(N, 64) keep-alive connections, waits until all
 * N are answered, and starts again. No timeouts, no headers to read: an answer must begin with "HTTP/1.1 200" and is as
 * long as the first one was. Prints {"items":..,"batches":..,"cpu_us_per_item":..,"seconds":..}. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define PARALLEL 64

static const char question[] = "GET /items/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char good[] = "HTTP/1.1 200";

typedef struct group {
    struct conn *conns;
    unsigned count, unsent, open; /* connections; questions not yet sent; answers not yet here */
} group_t;

typedef struct conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    group_t *group;
    size_t got; /* bytes of the answer that is coming */
} conn_t;

static struct {
    unsigned n;
    size_t answer_len;
    unsigned long items, batches, unconnected;
    uint64_t started_ns, started_cpu_ns;
    double seconds;
    struct sockaddr_in address;
} bench;

static void die(const char *why)
{
    fprintf(stderr, "floor: %s\n", why);
    exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_question(conn_t *conn)
{
    uv_buf_t buf = uv_buf_init((char *)(size_t)question, sizeof(question) - 1);

    conn->group->unsent--;
    if (uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1) != (int)buf.len)
        die("short write");
}

static void start_batch(group_t *group)
{
    group->unsent = group->open = bench.n;
    for (unsigned i = 0; i < group->count; i++)
        send_question(&group->conns[i]);
}

static void report(void)
{
    double seconds = (double)(now_ns(CLOCK_MONOTONIC) - bench.started_ns) / 1e9;
    double cpu_us = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - bench.started_cpu_ns) / 1e3;

    printf("{\"items\":%lu,\"batches\":%lu,\"cpu_us_per_item\":%.4f,\"seconds\":%.3f}\n", bench.items, bench.batches,
           cpu_us / (double)bench.items, seconds);
    exit(0);
}

static void on_answer(conn_t *conn)
{
    group_t *group = conn->group;

    conn->got = 0;
    bench.items++;
    if (group->unsent > 0)
        send_question(conn);
    if (--group->open > 0)
        return;
    bench.batches++;
    if (uv_now(conn->tcp.loop) * 1000000u > bench.started_ns + (uint64_t)(bench.seconds * 1e9))
        report();
    start_batch(group);
}

/* The first answer tells how long all of them are: its head and the Content-Length in it. */
static size_t answer_len(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4), *length = memmem(bytes, len, "Content-Length:", 15);

    if (end == NULL || length == NULL)
        die("the first answer did not come whole");
    return (size_t)(end + 4 - bytes) + strtoul(length + 15, NULL, 10);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    conn_t *conn = stream->data;

    if (len < 0)
        die(uv_strerror((int)len));
    if (len == 0)
        return;
    if (conn->got == 0 && (len < 12 || memcmp(buf->base, good, 12) != 0))
        die("an answer is not 200");
    if (bench.answer_len == 0)
        bench.answer_len = answer_len(buf->base, (size_t)len);
    conn->got += (size_t)len;
    if (conn->got > bench.answer_len)
        die("an answer is too long");
    if (conn->got == bench.answer_len)
        on_answer(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char shared[65536];

    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(shared, sizeof(shared));
}

static void start_all(group_t *groups, unsigned count)
{
    bench.started_ns = now_ns(CLOCK_MONOTONIC);
    bench.started_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < count; i++)
        start_batch(&groups[i]);
}

static group_t *all_groups;
static unsigned group_count;

static void on_connected(uv_connect_t *req, int status)
{
    if (status != 0)
        die(uv_strerror(status));
    uv_tcp_nodelay((uv_tcp_t *)req->handle, 1);
    uv_read_start(req->handle, on_alloc, on_read);
    if (--bench.unconnected == 0)
        start_all(all_groups, group_count);
}

static void open_group(uv_loop_t *loop, group_t *group)
{
    group->count = bench.n < PARALLEL ? bench.n : PARALLEL;
    group->conns = calloc(group->count, sizeof(conn_t));
    bench.unconnected += group->count;
    for (unsigned i = 0; i < group->count; i++) {
        conn_t *conn = &group->conns[i];
        conn->group = group;
        conn->tcp.data = conn;
        uv_tcp_init(loop, &conn->tcp);
        conn->tcp.data = conn;
        uv_tcp_connect(&conn->connect, &conn->tcp, (struct sockaddr *)&bench.address, on_connected);
    }
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();

    if (argc != 5)
        die("usage: floor PORT N GROUPS SECONDS");
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &bench.address);
    bench.n = (unsigned)atoi(argv[2]);
    group_count = (unsigned)atoi(argv[3]);
    bench.seconds = atof(argv[4]);
    all_groups = calloc(group_count, sizeof(group_t));
    for (unsigned i = 0; i < group_count; i++)
        open_group(loop, &all_groups[i]);
    return uv_run(loop, UV_RUN_DEFAULT);
}
