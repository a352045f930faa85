#include "gateway/front/watchdog.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
    if (!visit->is_done) /* else there are only bytes to write, and the writes will tell */
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

/* On HTTP/2 other streams move the connection too: it speaks for this answer only once all of it became frames. */
static bool has_moved(sheaf_visit_t *visit)
{
    uint64_t framed = visit->req->bytes_sent;
    int queued = queued_bytes(sheaf_client_fd(visit->client));
    bool is_framed = framed >= visit->sent_bytes + visit->flying_bytes;
    bool has = framed != visit->framed_bytes || (is_framed && queued != visit->queued_bytes);

    visit->framed_bytes = framed;
    visit->queued_bytes = queued;
    return has;
}

static void arm_progress(sheaf_visit_t *visit)
{
    uint64_t timeout_ms = visit->epoch->env.snapshot->conf.limits.send_timeout_ms;

    sheaf_deadline_set(visit->front->env.deadlines, &visit->progress, visit->front->env.clock->now_ms + timeout_ms / 2);
}

/* Half a timeout has passed. The first look only takes the measure: two more without a move are a stall. */
static void on_half_time(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, progress);

    visit->still_halves = has_moved(visit) ? 0 : visit->still_halves + 1;
    if (visit->still_halves < 2) {
        arm_progress(visit);
        return;
    }
    sheaf_count(visit->front->env.metrics, SHEAF_METRIC_CLIENT_STALLS, 1);
    sheaf_visit_end(visit);
}

void sheaf_watchdog_init(sheaf_visit_t *visit)
{
    visit->progress.on_expired = on_half_time;
}

void sheaf_watchdog_progress(sheaf_visit_t *visit, bool is_waiting)
{
    visit->still_halves = 0;
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
