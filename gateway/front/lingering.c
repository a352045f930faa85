#include "gateway/front/lingering.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENT_MS      5000
#define TOTAL_MS       30000
#define READS_PER_TURN 16

typedef struct {
    uv_poll_t poll;
    int fd;
    sheaf_front_t *front;
    sheaf_link_t link; /* in front->lingering */
    sheaf_deadline_t silence;
    uint64_t end_ms;
} lingering_t;

void sheaf_lingering_keep(sheaf_client_t *client)
{
    if (client->lingering_fd < 0 && client->front->lingering_count < SHEAF_LINGERING_MOST)
        client->lingering_fd = dup(sheaf_client_fd(client));
}

static void on_closed(uv_handle_t *handle)
{
    lingering_t *lingering = SHEAF_OWNER(handle, lingering_t, poll);

    close(lingering->fd);
    free(lingering);
}

static void end(lingering_t *lingering)
{
    sheaf_front_t *front = lingering->front;

    sheaf_list_remove(&lingering->link);
    front->lingering_count--;
    sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_LINGERING, -1);
    sheaf_deadline_clear(front->env.deadlines, &lingering->silence);
    uv_close((uv_handle_t *)&lingering->poll, on_closed);
}

static void on_silence(sheaf_deadline_t *node)
{
    end(SHEAF_OWNER(node, lingering_t, silence));
}

static void arm(lingering_t *lingering)
{
    uint64_t at_ms = lingering->front->env.clock->now_ms + SILENT_MS;

    sheaf_deadline_set(lingering->front->env.deadlines, &lingering->silence,
                       at_ms < lingering->end_ms ? at_ms : lingering->end_ms);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    static char nowhere[64 << 10];
    lingering_t *lingering = SHEAF_OWNER(poll, lingering_t, poll);

    (void)events;
    sheaf_clock_refresh(lingering->front->env.clock);
    for (int i = 0; status == 0 && i < READS_PER_TURN; i++) {
        ssize_t got =
            recv(lingering->fd, nowhere, sizeof(nowhere), MSG_TRUNC | MSG_DONTWAIT); /* TCP: not even copied */

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0) {
            end(lingering);
            return;
        }
    }
    if (status != 0)
        end(lingering);
    else
        arm(lingering);
}

void sheaf_lingering_start(sheaf_front_t *front, int fd)
{
    lingering_t *lingering = sheaf_zalloc(sizeof(*lingering));

    if (front->is_closing || uv_poll_init(front->env.loop, &lingering->poll, fd) != 0) {
        close(fd);
        free(lingering);
        return;
    }
    lingering->fd = fd;
    lingering->front = front;
    lingering->end_ms = front->env.clock->now_ms + TOTAL_MS;
    lingering->silence.on_expired = on_silence;
    sheaf_list_push_back(&front->lingering, &lingering->link);
    front->lingering_count++;
    sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_LINGERING, 1);
    shutdown(fd, SHUT_WR);
    uv_poll_start(&lingering->poll, UV_READABLE, on_readable);
    arm(lingering);
}

void sheaf_lingering_end_all(sheaf_front_t *front)
{
    while (!sheaf_list_is_empty(&front->lingering))
        end(SHEAF_OWNER(front->lingering.next, lingering_t, link));
}
