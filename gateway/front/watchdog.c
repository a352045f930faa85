#include "gateway/front/watchdog.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gateway/front/guard/flow.h"

/* --- hang-up --- */

typedef struct {
    uv_poll_t poll;
    int fd; /* our own copy: libuv allows one watcher per descriptor */
} hangup_t;

static void on_hangup_closed(uv_handle_t *handle)
{
    hangup_t *hangup = SHEAF_OWNER(handle, hangup_t, poll);

    close(hangup->fd);
    free(hangup);
}

static void close_hangup(sheaf_visit_t *visit)
{
    if (visit->hangup == NULL)
        return;
    uv_close((uv_handle_t *)visit->hangup, on_hangup_closed);
    visit->hangup = NULL;
}

/* An RST arrives as status UV_EBADF, a FIN as UV_DISCONNECT. */
static void on_hangup(uv_poll_t *poll, int status, int events)
{
    sheaf_visit_t *visit = poll->data;

    if (status == 0 && (events & UV_DISCONNECT) == 0)
        return;
    close_hangup(visit);
    if (!visit->is_done || visit->is_held) /* else there are only bytes to write, and the writes will tell */
        sheaf_visit_end(visit);
}

void sheaf_watchdog_arm(sheaf_visit_t *visit)
{
    hangup_t *hangup;
    int fd;

    if (visit->hangup != NULL || visit->outer.is_http2 || visit->req == NULL)
        return;
    fd = dup(sheaf_client_fd(visit->client));
    if (fd < 0)
        return; /* out of descriptors: the next write will tell */
    hangup = sheaf_zalloc(sizeof(*hangup));
    hangup->fd = fd;
    if (uv_poll_init(visit->front->env.loop, &hangup->poll, fd) != 0) {
        close(fd);
        free(hangup);
        return;
    }
    hangup->poll.data = visit;
    visit->hangup = &hangup->poll;
    uv_poll_start(&hangup->poll, UV_DISCONNECT, on_hangup);
}

/* --- progress --- */

/* Bytes that lie in the kernel because the peer has not taken them. */
static uint64_t queued_bytes(int fd)
{
    int queued = 0;

    return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint64_t)queued : 0;
}

/* Never less than at the last look: what TLS adds, and what the kernel counts beside bytes, may hide some for a while. */
static uint64_t taken_bytes(const sheaf_visit_t *visit)
{
    const sheaf_client_t *client = visit->client;
    uint64_t given = client->sock->bytes_written, last = visit->look.taken_bytes;
    uint64_t waiting = uv_stream_get_write_queue_size(client->uv) + queued_bytes(sheaf_client_fd(client));

    return given > waiting && given - waiting > last ? given - waiting : last;
}

static struct sheaf_look look_at(const sheaf_visit_t *visit)
{
    return (struct sheaf_look){
        .framed_bytes = visit->req->bytes_sent,
        .data_bytes = sheaf_flow_data(visit->req),
        .taken_bytes = taken_bytes(visit),
        .given_bytes = visit->client->sock->bytes_written,
    };
}

/* Nobody is to blame for a window while the bytes that shut it have not even arrived. */
static sheaf_flow_t flow_of(const sheaf_visit_t *visit)
{
    sheaf_flow_t flow = sheaf_flow_of(visit->req);
    uint64_t shut_at_bytes = flow == SHEAF_FLOW_STREAM ? visit->framed_at_bytes : visit->data_at_bytes;

    if (flow != SHEAF_FLOW_STREAM && flow != SHEAF_FLOW_CONN)
        return flow;
    return visit->look.taken_bytes < shut_at_bytes ? SHEAF_FLOW_TURN : flow;
}

static uint64_t most_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the client took of what the answer waits for. On HTTP/2 other streams move the connection too: it speaks for this
 * answer only where the answer waits for it. Frames that need no window go out through a shut one, so there only what
 * went through the window counts. */
static uint64_t moved_bytes(sheaf_flow_t flow, const struct sheaf_look *now, const struct sheaf_look *last)
{
    uint64_t framed = now->framed_bytes - last->framed_bytes;

    switch (flow) {
    case SHEAF_FLOW_STREAM:
        return framed;
    case SHEAF_FLOW_CONN:
        return most_of(framed, now->data_bytes - last->data_bytes);
    default:
        return most_of(framed, now->taken_bytes - last->taken_bytes);
    }
}

static const sheaf_limits_conf_t *limits_of(const sheaf_visit_t *visit)
{
    return &visit->epoch->env.snapshot->conf.limits;
}

/* The looks come each half of the timeout that was spent waiting, in however many pieces. */
static void arm_progress(sheaf_visit_t *visit)
{
    uint64_t half_ms = limits_of(visit)->send_timeout_ms / 2, now_ms = visit->front->env.clock->now_ms;
    uint64_t rest_ms = half_ms > visit->waited_ms ? half_ms - visit->waited_ms : 1;

    visit->waits_since_ms = now_ms;
    sheaf_deadline_set(visit->front->env.deadlines, &visit->progress, now_ms + rest_ms);
}

static void stop_waiting(sheaf_visit_t *visit)
{
    if (!sheaf_deadline_is_set(&visit->progress))
        return;
    visit->waited_ms += visit->front->env.clock->now_ms - visit->waits_since_ms;
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->progress);
}

static bool is_lost(const sheaf_visit_t *visit, sheaf_patience_t *patience, uint64_t moved)
{
    const sheaf_limits_conf_t *limits = limits_of(visit);

    return !sheaf_patience_spend(patience, limits->send_timeout_ms, limits->send_rate_bytes, moved, visit->waited_ms);
}

/* The first look only takes the measure. */
static void begin_looking(sheaf_visit_t *visit, const struct sheaf_look *now)
{
    uint64_t timeout_ms = limits_of(visit)->send_timeout_ms;

    visit->has_looked = true;
    visit->look = *now;
    visit->framed_at_bytes = visit->data_at_bytes = now->given_bytes;
    sheaf_patience_init(&visit->patience, timeout_ms);
    sheaf_patience_init(&visit->window_patience, timeout_ms);
    sheaf_patience_init(&visit->kernel_patience, timeout_ms);
}

/* The connection is held to blame only for what it did not do for the whole time: what the answer waits for may have
 * been another thing half a timeout ago. */
static bool is_stall(sheaf_visit_t *visit, const struct sheaf_look *now, bool *ret_is_stuck)
{
    struct sheaf_look last = visit->look;
    bool is_shut = is_lost(visit, &visit->window_patience, now->data_bytes - last.data_bytes);
    bool is_stuck = is_lost(visit, &visit->kernel_patience, now->taken_bytes - last.taken_bytes);
    sheaf_flow_t flow;

    visit->look = *now;
    if (now->framed_bytes != last.framed_bytes)
        visit->framed_at_bytes = now->given_bytes;
    if (now->data_bytes != last.data_bytes)
        visit->data_at_bytes = now->given_bytes;
    flow = flow_of(visit);
    *ret_is_stuck = is_stuck && sheaf_flow_is_writing(visit->req);
    if (!is_lost(visit, &visit->patience, moved_bytes(flow, now, &last)))
        return false;
    if (flow == SHEAF_FLOW_STREAM)
        return true;
    return flow == SHEAF_FLOW_CONN ? is_shut : is_stuck;
}

static void on_half_time(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, progress);
    struct sheaf_look now = look_at(visit);
    bool is_stuck;

    visit->waited_ms = limits_of(visit)->send_timeout_ms / 2; /* what a clock that was late adds is not the client's */
    if (!visit->has_looked) {
        begin_looking(visit, &now);
    } else if (is_stall(visit, &now, &is_stuck)) {
        sheaf_visit_end_stalled(visit, is_stuck);
        return;
    }
    visit->waited_ms = 0;
    arm_progress(visit);
}

void sheaf_watchdog_init(sheaf_visit_t *visit)
{
    visit->progress.on_expired = on_half_time;
}

void sheaf_watchdog_progress(sheaf_visit_t *visit, bool is_waiting)
{
    if (is_waiting)
        arm_progress(visit);
    else
        stop_waiting(visit);
}

void sheaf_watchdog_disarm(sheaf_visit_t *visit)
{
    close_hangup(visit);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->progress);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->linger);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->gather);
}
