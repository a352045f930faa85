/* bench/slow.c - servers that take their time: one process, many ports.
 *
 *   slow SERVERS DELAY_US [LATE_US EVERY]
 *
 * Prints the ports it took, one line. A request is answered with 79 bytes of JSON after DELAY_US microseconds, and
 * once in EVERY requests, by chance (the same chances in every run), after LATE_US. GET /count is answered at once with
 * {"requests":..,"late":..,"cancelled":..}: requests since the start without those for the count, those of them that were
 * late, those whose peer went away first. Only GET, one request at a time on a connection. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "

static const char answer[] =
    HEAD "79\r\n\r\n"
         "{\"id\":7,\"name\":\"Ada Lovelace\",\"mail\":\"ada@example.org\",\"roles\":[\"admin\",\"dev\"]}";

typedef struct queue queue_t;

typedef struct conn {
    uv_tcp_t tcp;
    queue_t *queue; /* where its request waits; NULL: it has none */
    uint64_t due_ns;
    size_t matched; /* how much of the empty line that ends a head has come */
    TAILQ_ENTRY(conn) next;
} conn_t;

/* Requests that wait equally long: the first to come is the first to go. A timerfd, for a millisecond is too coarse. */
struct queue {
    TAILQ_HEAD(, conn) waiting;
    uint64_t delay_ns;
    uv_poll_t poll;
    int timer;
};

static queue_t usual, late;
static unsigned every;
static struct {
    unsigned long requests, late, cancelled;
} counts;

static void die(const char *why)
{
    fprintf(stderr, "slow: %s\n", why);
    exit(1);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_conn(conn_t *conn)
{
    if (conn->queue != NULL) {
        TAILQ_REMOVE(&conn->queue->waiting, conn, next);
        counts.cancelled++;
    }
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void say(conn_t *conn, const char *bytes, size_t len)
{
    uv_buf_t buf = uv_buf_init((char *)(size_t)bytes, (unsigned)len);

    if (uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1) != (int)len)
        close_conn(conn); /* the peer has just gone */
}

/* the time an answer takes */

static void arm(queue_t *queue)
{
    uint64_t due_ns = TAILQ_FIRST(&queue->waiting)->due_ns;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(due_ns / 1000000000u), .tv_nsec = (long)(due_ns % 1000000000u)}};

    if (timerfd_settime(queue->timer, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        die("timerfd_settime");
}

static void on_due(uv_poll_t *poll, int status, int events)
{
    queue_t *queue = poll->data;
    uint64_t ticks, now_ns = uv_hrtime();
    conn_t *conn;

    (void)status, (void)events;
    if (read(queue->timer, &ticks, sizeof(ticks)) < 0)
        return;
    while ((conn = TAILQ_FIRST(&queue->waiting)) != NULL && conn->due_ns <= now_ns) {
        TAILQ_REMOVE(&queue->waiting, conn, next);
        conn->queue = NULL;
        say(conn, answer, sizeof(answer) - 1);
    }
    if (conn != NULL)
        arm(queue);
}

static void open_queue(uv_loop_t *loop, queue_t *queue, const char *delay_us)
{
    TAILQ_INIT(&queue->waiting);
    queue->delay_ns = strtoull(delay_us, NULL, 10) * 1000;
    queue->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    queue->poll.data = queue;
    if (queue->timer < 0 || uv_poll_init(loop, &queue->poll, queue->timer) != 0)
        die("timerfd");
    uv_poll_start(&queue->poll, UV_READABLE, on_due);
}

static bool is_late(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift64 */

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return every > 0 && state % every == 0;
}

static void take_time(conn_t *conn)
{
    queue_t *queue = is_late() ? &late : &usual;
    bool was_empty = TAILQ_EMPTY(&queue->waiting);

    counts.requests++;
    counts.late += queue == &late;
    conn->queue = queue;
    conn->due_ns = uv_hrtime() + queue->delay_ns;
    TAILQ_INSERT_TAIL(&queue->waiting, conn, next);
    if (was_empty)
        arm(queue);
}

/* requests */

static void say_counts(conn_t *conn)
{
    char body[128], all[256];
    int len = sprintf(body, "{\"requests\":%lu,\"late\":%lu,\"cancelled\":%lu}", counts.requests, counts.late,
                      counts.cancelled);

    say(conn, all, (size_t)sprintf(all, HEAD "%d\r\n\r\n%s", len, body));
}

/* Whether a head has ended: its last bytes are the last ones that came. */
static bool ends_head(conn_t *conn, const char *bytes, size_t len)
{
    for (const char *end = bytes + len; bytes < end && conn->matched < 4; bytes++)
        conn->matched = *bytes == "\r\n\r\n"[conn->matched] ? conn->matched + 1 : *bytes == '\r';
    if (conn->matched < 4)
        return false;
    conn->matched = 0;
    return true;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    conn_t *conn = stream->data;

    if (len < 0)
        close_conn(conn);
    else if (!ends_head(conn, buf->base, (size_t)len))
        return;
    else if (len > 10 && memcmp(buf->base, "GET /count", 10) == 0)
        say_counts(conn);
    else if (conn->queue != NULL)
        die("a second request came before the first was answered");
    else
        take_time(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char shared[65536];

    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(shared, sizeof(shared));
}

static void on_connection(uv_stream_t *listener, int status)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn == NULL || status != 0)
        die("cannot take a connection");
    uv_tcp_init(listener->loop, &conn->tcp);
    conn->tcp.data = conn;
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
        close_conn(conn);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

static int listen_on(uv_loop_t *loop, uv_tcp_t *listener)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, listener);
    if (uv_tcp_bind(listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)listener, 4096, on_connection) != 0)
        die("cannot listen");
    uv_tcp_getsockname(listener, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t *listeners;
    int servers;

    if (argc != 3 && argc != 5)
        die("usage: slow SERVERS DELAY_US [LATE_US EVERY]");
    signal(SIGPIPE, SIG_IGN);
    open_queue(loop, &usual, argv[2]);
    open_queue(loop, &late, argc == 5 ? argv[3] : "0");
    every = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    servers = atoi(argv[1]);
    listeners = calloc((size_t)servers, sizeof(*listeners));
    for (int i = 0; i < servers; i++)
        printf("%d%c", listen_on(loop, &listeners[i]), i + 1 < servers ? ' ' : '\n');
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
