#include "gateway/front/watchdog.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gateway/front/guard/flow.h"

#define STALL_HALVES 2 /* of limits.send_timeout */

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
static int queued_bytes(int fd)
{
    int queued = 0;

    return ioctl(fd, SIOCOUTQ, &queued) == 0 ? queued : 0;
}

static struct sheaf_look look_at(const sheaf_visit_t *visit)
{
    return (struct sheaf_look){
        .framed_bytes = visit->req->bytes_sent,
        .written_bytes = visit->client->sock->bytes_written,
        .window_updates = visit->client->frames.window_updates,
        .queued_bytes = queued_bytes(sheaf_client_fd(visit->client)),
    };
}

static bool has_kernel_moved(const struct sheaf_look *now, const struct sheaf_look *last)
{
    return now->queued_bytes != last->queued_bytes || now->written_bytes != last->written_bytes;
}

/* On HTTP/2 other streams move the connection too: it speaks for this answer only where the answer waits for it. Frames
 * that need no window go out through a shut one, so there only the client's updates count. */
static bool has_moved(const sheaf_visit_t *visit, const struct sheaf_look *now)
{
    if (now->framed_bytes != visit->look.framed_bytes)
        return true;
    switch (sheaf_flow_of(visit->req)) {
    case SHEAF_FLOW_STREAM:
        return false;
    case SHEAF_FLOW_CONN:
        return now->window_updates != visit->look.window_updates;
    default:
        return has_kernel_moved(now, &visit->look);
    }
}

static void arm_progress(sheaf_visit_t *visit)
{
    uint64_t timeout_ms = visit->epoch->env.snapshot->conf.limits.send_timeout_ms;

    sheaf_deadline_set(visit->front->env.deadlines, &visit->progress, visit->front->env.clock->now_ms + timeout_ms / 2);
}

static uint32_t next_count(uint32_t halves, bool has_moved)
{
    return has_moved ? 0 : halves + 1;
}

/* The connection is held to blame only for what it did not do for the whole time: what the answer waits for may have
 * been another thing half a timeout ago. */
static bool is_stall(const sheaf_visit_t *visit, sheaf_flow_t flow)
{
    if (visit->still_halves < STALL_HALVES)
        return false;
    if (flow == SHEAF_FLOW_STREAM)
        return true;
    return (flow == SHEAF_FLOW_CONN ? visit->shut_halves : visit->stuck_halves) >= STALL_HALVES;
}

/* Half a timeout has passed. The first look only takes the measure: two more without a move are a stall. */
static void on_half_time(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, progress);
    struct sheaf_look now = look_at(visit), *last = &visit->look;
    bool is_first = !visit->has_looked;

    visit->still_halves = next_count(visit->still_halves, is_first || has_moved(visit, &now));
    visit->shut_halves = next_count(visit->shut_halves, is_first || now.window_updates != last->window_updates);
    visit->stuck_halves = next_count(visit->stuck_halves, is_first || has_kernel_moved(&now, last));
    visit->has_looked = true;
    visit->look = now;
    if (is_stall(visit, sheaf_flow_of(visit->req)))
        sheaf_visit_end_stalled(visit, visit->stuck_halves >= STALL_HALVES && sheaf_flow_is_writing(visit->req));
    else
        arm_progress(visit);
}

void sheaf_watchdog_init(sheaf_visit_t *visit)
{
    visit->progress.on_expired = on_half_time;
}

void sheaf_watchdog_progress(sheaf_visit_t *visit, bool is_waiting)
{
    visit->has_looked = false;
    visit->still_halves = visit->shut_halves = visit->stuck_halves = 0;
    if (is_waiting)
        arm_progress(visit);
    else
        sheaf_deadline_clear(visit->front->env.deadlines, &visit->progress);
}

void sheaf_watchdog_disarm(sheaf_visit_t *visit)
{
    close_hangup(visit);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->progress);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->linger);
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->gather);
}
