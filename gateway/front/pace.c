#include "gateway/front/pace.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/goaway.h"

#define TOLD_MS 1000 /* between GOAWAY and the end of an idle connection */

static uint64_t body_due_at(const sheaf_client_t *client, const sheaf_limits_conf_t *limits)
{
    const sheaf_pace_t *pace = &client->pace;

    if (pace->body_since_ms == 0)
        return SHEAF_NEVER;
    return pace->body_since_ms + limits->body_timeout_ms + pace->body_bytes * 1000 / limits->body_rate_bytes;
}

static uint64_t due_at(const sheaf_client_t *client)
{
    const sheaf_limits_conf_t *limits = sheaf_front_limits(client->front);
    const sheaf_pace_t *pace = &client->pace;
    uint64_t body_ms = body_due_at(client, limits), head_ms = pace->since_ms + limits->head_timeout_ms;

    switch (pace->phase) {
    case SHEAF_PHASE_HANDSHAKE:
        return pace->since_ms + limits->handshake_timeout_ms;
    case SHEAF_PHASE_HEAD: /* of another request, perhaps, beside a body */
        return head_ms < body_ms ? head_ms : body_ms;
    case SHEAF_PHASE_BODY:
        return body_ms;
    case SHEAF_PHASE_IDLE:
        return pace->since_ms + limits->idle_timeout_ms + (pace->is_told ? TOLD_MS : 0);
    default:
        return SHEAF_NEVER;
    }
}

/* A node that fires too early is set again then. */
static void arm(sheaf_client_t *client)
{
    uint64_t due_ms = due_at(client);

    if (due_ms == SHEAF_NEVER ||
        (sheaf_deadline_is_set(&client->pace.deadline) && client->pace.deadline.at_ms <= due_ms))
        return;
    sheaf_deadline_set(client->front->env.deadlines, &client->pace.deadline, due_ms);
}

static sheaf_metric_t metric_of(sheaf_phase_t phase)
{
    if (phase == SHEAF_PHASE_IDLE)
        return SHEAF_METRIC_CLIENT_IDLE;
    if (phase == SHEAF_PHASE_HANDSHAKE)
        return SHEAF_METRIC_TLS_TIMEOUT;
    return phase == SHEAF_PHASE_HEAD ? SHEAF_METRIC_REFUSED_SLOW_HEAD : SHEAF_METRIC_REFUSED_SLOW_BODY;
}

static void on_due(sheaf_deadline_t *node)
{
    sheaf_client_t *client = SHEAF_OWNER(node, sheaf_client_t, pace.deadline);

    if (client->front->env.clock->now_ms < due_at(client)) {
        arm(client);
        return;
    }
    if (client->pace.phase == SHEAF_PHASE_IDLE && client->frames.is_http2 && !client->pace.is_told) {
        client->pace.is_told = true;
        sheaf_goaway_tell(client);
        arm(client);
        return;
    }
    sheaf_count(client->front->env.metrics, metric_of(client->pace.phase), 1);
    sheaf_client_cut(client);
}

void sheaf_pace_init(sheaf_client_t *client)
{
    client->pace.deadline.on_expired = on_due;
    client->pace.phase = SHEAF_PHASE_HEAD;
    client->pace.since_ms = client->front->env.clock->now_ms;
    if (!client->is_admin)
        arm(client);
}

void sheaf_pace_enter(sheaf_client_t *client, sheaf_phase_t phase)
{
    if (client->pace.phase == phase || client->is_admin)
        return;
    client->pace.phase = phase;
    client->pace.since_ms = client->front->env.clock->now_ms;
    if (phase == SHEAF_PHASE_BODY && client->pace.body_since_ms == 0) {
        client->pace.body_since_ms = client->pace.since_ms;
        client->pace.body_bytes = 0;
    } else if (phase == SHEAF_PHASE_BUSY || phase == SHEAF_PHASE_IDLE) {
        client->pace.body_since_ms = 0;
    }
    arm(client);
}

void sheaf_pace_body(sheaf_client_t *client, size_t bytes)
{
    client->pace.body_bytes += bytes;
}

void sheaf_pace_end(sheaf_client_t *client)
{
    sheaf_deadline_clear(client->front->env.deadlines, &client->pace.deadline);
}
