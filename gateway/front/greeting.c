#include "gateway/front/greeting.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    sheaf_front_t *front;
    sheaf_link_t link; /* in front->greetings */
    uv_poll_t poll;
    int fd;
    sheaf_deadline_t deadline;
    sheaf_greeting_cb on_done;
    void *data;
    size_t len; /* of the header, so far */
    char bytes[SHEAF_PROXY_HEADER_MOST];
} greeting_t;

static void on_readable(uv_poll_t *poll, int status, int events);             /* more of the header     */
static void on_too_late(sheaf_deadline_t *deadline);                          /* or nothing             */
static void finish(greeting_t *greeting, const sheaf_proxy_header_t *header); /* the one way out    */

static void on_poll_closed(uv_handle_t *handle)
{
    free(SHEAF_OWNER(handle, greeting_t, poll));
}

/* header NULL: there is none. */
static void finish(greeting_t *greeting, const sheaf_proxy_header_t *header)
{
    sheaf_front_t *front = greeting->front;
    int fd = greeting->fd;

    sheaf_list_remove(&greeting->link);
    front->greeting_count--;
    sheaf_deadline_clear(front->env.deadlines, &greeting->deadline);
    uv_close((uv_handle_t *)&greeting->poll, on_poll_closed); /* lets go of the descriptor at once */
    if (header == NULL) {
        close(fd);
        fd = -1;
    }
    greeting->on_done(greeting->data, fd, header);
    sheaf_front_stir(front);
}

static void refuse(greeting_t *greeting, sheaf_metric_t why)
{
    sheaf_count(greeting->front->env.metrics, why, 1);
    finish(greeting, NULL);
}

static void on_too_late(sheaf_deadline_t *deadline)
{
    refuse(SHEAF_OWNER(deadline, greeting_t, deadline), SHEAF_METRIC_PROXY_INCOMPLETE);
}

/* Bytes that were peeked at belong to the header: off the queue with them. */
static bool consume(greeting_t *greeting, size_t count)
{
    while (count > 0) {
        ssize_t got = recv(greeting->fd, greeting->bytes + greeting->len, count, MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        greeting->len += (size_t)got;
        count -= (size_t)got;
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    greeting_t *greeting = SHEAF_OWNER(poll, greeting_t, poll);
    size_t room = sizeof(greeting->bytes) - greeting->len;
    sheaf_proxy_header_t header;
    ssize_t got = recv(greeting->fd, greeting->bytes + greeting->len, room, MSG_PEEK | MSG_DONTWAIT);

    (void)status; /* recv tells */
    (void)events;
    sheaf_clock_refresh(greeting->front->env.clock);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        refuse(greeting, SHEAF_METRIC_PROXY_INCOMPLETE);
        return;
    }
    switch (sheaf_proxy_header_parse(sheaf_str(greeting->bytes, greeting->len + (size_t)got), &header)) {
    case SHEAF_PROXY_PARTIAL: /* all of it is the header's; left in the queue it would wake us again and again */
        if (!consume(greeting, (size_t)got))
            refuse(greeting, SHEAF_METRIC_PROXY_INCOMPLETE);
        return;
    case SHEAF_PROXY_COMPLETE:
        if (consume(greeting, header.len - greeting->len))
            finish(greeting, &header);
        else
            refuse(greeting, SHEAF_METRIC_PROXY_INCOMPLETE);
        return;
    case SHEAF_PROXY_BAD:
        refuse(greeting, SHEAF_METRIC_PROXY_INVALID);
        return;
    }
}

bool sheaf_greeting_start(sheaf_front_t *front, int fd, sheaf_greeting_cb on_done, void *data)
{
    const sheaf_limits_conf_t *limits = &front->epoch->env.snapshot->conf.limits;
    greeting_t *greeting = sheaf_zalloc(sizeof(*greeting));

    if (uv_poll_init(front->env.loop, &greeting->poll, fd) != 0) {
        close(fd);
        free(greeting);
        return false;
    }
    greeting->front = front;
    greeting->fd = fd;
    greeting->on_done = on_done;
    greeting->data = data;
    greeting->deadline.on_expired = on_too_late;
    sheaf_list_push_back(&front->greetings, &greeting->link);
    front->greeting_count++;
    uv_poll_start(&greeting->poll, UV_READABLE, on_readable);
    sheaf_deadline_set(front->env.deadlines, &greeting->deadline,
                       front->env.clock->now_ms + limits->handshake_timeout_ms);
    return true;
}

void sheaf_greeting_hurry(sheaf_front_t *front)
{
    uint64_t latest_ms = front->env.clock->now_ms + SHEAF_GREETING_HURRY_MS;

    for (sheaf_link_t *link = front->greetings.next; link != &front->greetings; link = link->next) {
        greeting_t *greeting = SHEAF_OWNER(link, greeting_t, link);

        if (greeting->deadline.at_ms > latest_ms)
            sheaf_deadline_set(front->env.deadlines, &greeting->deadline, latest_ms);
    }
}

void sheaf_greeting_end_all(sheaf_front_t *front)
{
    while (!sheaf_list_is_empty(&front->greetings))
        finish(SHEAF_OWNER(front->greetings.next, greeting_t, link), NULL);
}
