#include "gateway/front/visit.h"

#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/front/watchdog.h"

static void on_request_gone(void *chunk);

static void log_visit(const sheaf_visit_t *visit)
{
    const sheaf_batch_t *batch = visit->batch;
    sheaf_metrics_t *metrics = visit->front->env.metrics;
    uint64_t us = sheaf_clock_monotonic_us(NULL) - batch->started_us;
    sheaf_log_line_t line;
    char id[17];

    sheaf_count(metrics, batch->is_abandoned ? SHEAF_METRIC_BATCHES_ABANDONED : SHEAF_METRIC_BATCHES_OK, 1);
    sheaf_count(metrics, SHEAF_METRIC_BYTES_OUT, visit->sent_bytes);
    sheaf_observe_us(metrics, SHEAF_HISTOGRAM_BATCH_SECONDS, us);
    sheaf_log_begin(&line, SHEAF_LOG_INFO, "batch");
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)visit->id);
    sheaf_log_str(&line, "id", sheaf_str(id, 16));
    sheaf_log_str(&line, "client", sheaf_watchdog_peer_text(visit));
    sheaf_log_str(&line, "endpoint", batch->endpoint->path);
    sheaf_log_str(&line, "format", sheaf_str_of(visit->encode.encoder->name));
    sheaf_log_u64(&line, "status", visit->status);
    sheaf_log_u64(&line, "items", batch->count);
    sheaf_log_u64(&line, "2xx", visit->classes[2]);
    sheaf_log_u64(&line, "3xx", visit->classes[3]);
    sheaf_log_u64(&line, "4xx", visit->classes[4]);
    sheaf_log_u64(&line, "5xx", visit->classes[5]);
    sheaf_log_u64(&line, "bytes_in", visit->body_bytes);
    sheaf_log_u64(&line, "bytes_out", visit->sent_bytes);
    sheaf_log_u64(&line, "ms", us / 1000);
    sheaf_log_str(&line, "outcome", batch->is_abandoned ? SHEAF_STR("abandoned") : SHEAF_STR("complete"));
    sheaf_log_end(&line);
}

static void visit_free(sheaf_visit_t *visit)
{
    sheaf_front_t *front = visit->front;

    if (visit->batch != NULL && visit->batch->is_started)
        log_visit(visit);
    sheaf_out_fini(&visit->out);
    sheaf_soon_cancel(&visit->respond);
    sheaf_watchdog_disarm(visit);
    if (visit->batch != NULL)
        sheaf_batch_free(visit->batch);
    sheaf_epoch_drop(visit->epoch);
    sheaf_list_remove(&visit->link);
    free(visit);
    sheaf_front_stir(front);
}

sheaf_visit_t *sheaf_visit_new(sheaf_front_t *front, h2o_req_t *req)
{
    sheaf_visit_t *visit = sheaf_zalloc(sizeof(*visit));
    sheaf_visit_t **chunk = h2o_mem_alloc_shared(&req->pool, sizeof(*chunk), on_request_gone);

    *chunk = visit;
    visit->front = front;
    visit->req = req;
    visit->client = sheaf_client_of(req);
    visit->client->requests++;
    visit->epoch = front->epoch;
    visit->epoch->holds++;
    visit->id = front->id_base + ++front->visit_count;
    visit->is_done = true; /* until a batch is started */
    sheaf_out_init(&visit->out);
    sheaf_watchdog_init(visit);
    sheaf_list_push_back(&front->visits, &visit->link);
    return visit;
}

void sheaf_visit_batch_over(sheaf_visit_t *visit)
{
    visit->is_done = true;
    if (visit->req == NULL)
        visit_free(visit);
}

/* libh2o is done with the request: answered to its end, or its client went away. */
static void on_request_gone(void *chunk)
{
    sheaf_visit_t *visit = *(sheaf_visit_t **)chunk;
    const sheaf_limits_conf_t *limits = &visit->epoch->env.snapshot->conf.limits;
    bool is_abandoned = !visit->is_final;

    if (is_abandoned)
        sheaf_count(visit->front->env.metrics, SHEAF_METRIC_CLIENT_ABORTS, 1);
    else
        visit->sent_bytes += visit->flying_bytes;
    sheaf_client_request_over(visit->client, is_abandoned, (uint32_t)limits->aborts);
    visit->req = NULL;
    visit->client = NULL;
    sheaf_watchdog_disarm(visit);
    sheaf_soon_cancel(&visit->respond);
    if (visit->is_done)
        visit_free(visit);
    else
        sheaf_batch_abandon(visit->batch); /* on_done frees the visit */
}

/* With the descriptor shut down every write fails, which is the one thing that makes libh2o close an HTTP/1 connection
 * whose request is in our hands (fact 10). */
void sheaf_visit_end(sheaf_visit_t *visit)
{
    if (visit->req == NULL)
        return;
    if (!visit->is_done)
        sheaf_batch_abandon(visit->batch);
    sheaf_client_cut(visit->client);
    if (visit->is_sending || visit->is_final)
        return; /* that write fails and ends it */
    if (!visit->is_started) {
        visit->is_started = true;
        visit->req->http1_is_persistent = 0;
        visit->req->res.status = 503;
        visit->req->res.reason = "Service Unavailable";
        h2o_start_response(visit->req, &visit->generator);
    }
    visit->is_sending = true;
    h2o_send(visit->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

void sheaf_visit_end_all(sheaf_front_t *front)
{
    for (sheaf_link_t *link = front->visits.next, *next; link != &front->visits; link = next) {
        next = link->next;
        sheaf_visit_end(SHEAF_OWNER(link, sheaf_visit_t, link));
    }
}
