#include "gateway/front/visit.h"

#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/batch/direct.h"
#include "gateway/front/admission.h"
#include "gateway/front/asking.h"
#include "gateway/front/guard/flow.h"
#include "gateway/front/peer.h"
#include "gateway/front/squeeze.h"
#include "gateway/front/tls.h"
#include "gateway/front/watchdog.h"

#define LARGE_BYTES (1u << 20)

static void on_request_gone(void *chunk);

static const char *outcome_of(const sheaf_visit_t *visit)
{
    if (visit->refused != SHEAF_OK)
        return "refused";
    if (visit->is_given)
        return "plugin";
    if (visit->is_cut_short)
        return "cut";
    return visit->is_answered ? "complete" : "abandoned";
}

static sheaf_metric_t ending_of(const sheaf_visit_t *visit)
{
    if (visit->is_cut_short)
        return SHEAF_METRIC_REQUESTS_CUT;
    return visit->is_answered ? SHEAF_METRIC_REQUESTS_OK : SHEAF_METRIC_REQUESTS_ABANDONED;
}

static void count(const sheaf_visit_t *visit, uint64_t us)
{
    sheaf_metrics_t *metrics = visit->front->env.metrics;

    sheaf_count(metrics, SHEAF_METRIC_BYTES_OUT, visit->sent_bytes);
    if (visit->refused != SHEAF_OK || visit->is_given)
        return; /* counted when it was */
    if (visit->is_direct) {
        sheaf_count(metrics, ending_of(visit), 1);
        sheaf_observe_us(metrics, SHEAF_HISTOGRAM_REQUEST_SECONDS, us);
        return;
    }
    sheaf_count(metrics, visit->is_answered ? SHEAF_METRIC_BATCHES_OK : SHEAF_METRIC_BATCHES_ABANDONED, 1);
    sheaf_observe_us(metrics, SHEAF_HISTOGRAM_BATCH_SECONDS, us);
}

static void log_tls(sheaf_log_line_t *line, const sheaf_visit_t *visit)
{
    const sheaf_identity_t *identity = visit->outer.identity;

    if (visit->tls_version != NULL)
        sheaf_log_str(line, "tls", sheaf_str_of(visit->tls_version));
    if (identity == NULL)
        return;
    sheaf_log_str(line, "subject", identity->subject);
    if (identity->names.count > 0)
        sheaf_log_str(line, "san", identity->names.items[0]);
    sheaf_log_str(line, "fingerprint", identity->fingerprint);
}

sheaf_str_t sheaf_visit_id(const sheaf_visit_t *visit)
{
    return visit->outer.id.base != NULL ? visit->outer.id : sheaf_str(visit->id_text, sizeof(visit->id_text) - 1);
}

static void log_who(sheaf_log_line_t *line, const sheaf_visit_t *visit)
{
    sheaf_log_str(line, "id", sheaf_visit_id(visit));
    sheaf_peer_log(line, visit->outer.peer);
    log_tls(line, visit);
}

static void log_batch(sheaf_log_line_t *line, const sheaf_visit_t *visit)
{
    if (visit->endpoint != NULL)
        sheaf_log_str(line, "endpoint", visit->endpoint->path);
    if (visit->encode.encoder != NULL)
        sheaf_log_str(line, "format", sheaf_str_of(visit->encode.encoder->name));
    sheaf_log_u64(line, "items", visit->batch == NULL ? 0 : sheaf_batch_results(visit->batch));
    sheaf_log_u64(line, "2xx", visit->classes[2]);
    sheaf_log_u64(line, "3xx", visit->classes[3]);
    sheaf_log_u64(line, "4xx", visit->classes[4]);
    sheaf_log_u64(line, "5xx", visit->classes[5]);
}

static void log_request(sheaf_log_line_t *line, const sheaf_visit_t *visit)
{
    const sheaf_item_t *item;

    if (visit->batch == NULL)
        return; /* what is known of the request went with it */
    item = sheaf_batch_item(visit->batch, 0);
    sheaf_log_str(line, "method", visit->outer.method);
    sheaf_log_str(line, "path", visit->outer.path);
    if (item->route != NULL)
        sheaf_log_str(line, "route", item->route->match);
}

static sheaf_err_t error_of(const sheaf_visit_t *visit)
{
    if (visit->refused != SHEAF_OK || !visit->is_direct || visit->batch == NULL)
        return visit->refused;
    return sheaf_batch_item(visit->batch, 0)->err;
}

/* The one line per batch, or per direct request. */
static void log_visit(const sheaf_visit_t *visit, uint64_t us)
{
    sheaf_err_t err = error_of(visit);
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_INFO, visit->is_direct ? "request" : "batch");
    if (!line.is_on)
        return;
    log_who(&line, visit);
    if (visit->is_direct)
        log_request(&line, visit);
    else
        log_batch(&line, visit);
    sheaf_log_u64(&line, "status", visit->status);
    if (err != SHEAF_OK)
        sheaf_log_str(&line, "error", sheaf_str_of(sheaf_err_slug(err)));
    sheaf_log_u64(&line, "bytes_in", visit->caller.body_bytes);
    sheaf_log_u64(&line, "bytes_out", visit->sent_bytes);
    sheaf_log_u64(&line, "ms", us / 1000);
    sheaf_log_str(&line, "outcome", sheaf_str_of(outcome_of(visit)));
    sheaf_log_end(&line);
}

/* A direct request that was not refused. */
static bool is_served(const sheaf_visit_t *visit)
{
    return visit->is_direct && visit->refused == SHEAF_OK;
}

static void visit_free(sheaf_visit_t *visit)
{
    sheaf_front_t *front = visit->front;

    /* OVERLOADED: a connection that is cut already still drops thousands of requests on us, none worth a line */
    if ((visit->refused != SHEAF_OK && visit->refused != SHEAF_ERR_OVERLOADED) || visit->encode.encoder != NULL ||
        is_served(visit) || visit->is_given) {
        uint64_t us = sheaf_clock_monotonic_us(NULL) - visit->begun_us;

        count(visit, us);
        log_visit(visit, us);
    }
    sheaf_asking_end(visit);
    sheaf_admission_leave(visit);
    sheaf_squeeze_free(visit->squeeze);
    sheaf_out_fini(&visit->out);
    sheaf_soon_cancel(&visit->respond);
    sheaf_watchdog_disarm(visit);
    if (visit->batch != NULL)
        sheaf_batch_free(visit->batch);
    sheaf_epoch_drop(visit->epoch);
    sheaf_list_remove(&visit->link);
    sheaf_identity_drop(visit->outer.identity);
    free(visit);
    sheaf_front_stir(front);
}

/* The finaliser of splitmix64: neighbours in time do not look alike, and no two ids of a worker are the same. */
static uint64_t make_id(uint64_t number)
{
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

static void write_id(uint64_t id, char ret_text[17])
{
    for (int i = 0; i < 16; i++)
        ret_text[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
    ret_text[16] = '\0';
}

sheaf_visit_t *sheaf_visit_new(sheaf_front_t *front, h2o_req_t *req)
{
    sheaf_visit_t *visit = sheaf_zalloc(sizeof(*visit));
    sheaf_visit_t **chunk = h2o_mem_alloc_shared(&req->pool, sizeof(*chunk), on_request_gone);

    *chunk = visit;
    sheaf_clock_refresh(front->env.clock);
    visit->front = front;
    visit->req = req;
    visit->client = sheaf_client_of(req);
    sheaf_client_request_begun(visit->client);
    visit->epoch = front->epoch;
    visit->epoch->holds++;
    visit->id = make_id(front->id_base + ++front->visit_count);
    write_id(visit->id, visit->id_text);
    visit->begun_us = sheaf_clock_monotonic_us(NULL);
    visit->is_done = true; /* until a batch is started */
    memcpy(visit->outer.peer, visit->client->ip, sizeof(visit->outer.peer));
    visit->outer.identity = sheaf_identity_hold(sheaf_tls_identity(visit->client));
    visit->tls_version = sheaf_tls_version(visit->client);
    sheaf_out_init(&visit->out);
    sheaf_watchdog_init(visit);
    sheaf_list_push_back(&front->visits, &visit->link);
    sheaf_front_mind_memory(front);
    return visit;
}

static sheaf_str_t str_of(h2o_iovec_t v)
{
    return sheaf_str(v.base, v.len);
}

static sheaf_str_t type_of(h2o_req_t *req)
{
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_TYPE, -1);

    return at < 0 ? SHEAF_STR_NONE : str_of(req->headers.entries[at].value);
}

static sheaf_str_t query_of(h2o_req_t *req, sheaf_pool_t *pool)
{
    if (req->query_at >= req->path.len)
        return SHEAF_STR_NONE;
    return sheaf_pool_dup(pool, sheaf_str(req->path.base + req->query_at + 1, req->path.len - req->query_at - 1));
}

/* Where a request of HTTP/1.0 has none, libh2o lends it the name of its only host. */
static sheaf_str_t host_of(h2o_req_t *req, sheaf_pool_t *pool)
{
    bool is_lent = req->authority.base == req->conn->hosts[0]->authority.hostport.base;

    return is_lent ? SHEAF_STR_NONE : sheaf_pool_dup(pool, str_of(req->authority));
}

/* A name that others gave: short, and nothing in it that a log or a shell would take for more. */
static bool is_id(sheaf_str_t id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!sheaf_url_is_unreserved(id.base[i]) && strchr("+/=:@", id.base[i]) == NULL)
            return false;
    return id.len > 0 && id.len <= SHEAF_REQUEST_ID_MAX;
}

/* Believed of a trusted proxy alone, and only if it says one thing. */
static sheaf_str_t id_of(const sheaf_visit_t *visit, sheaf_pool_t *pool)
{
    const sheaf_cidrs_t *trusted = &visit->epoch->env.snapshot->conf.trusted_proxies;
    sheaf_str_t id = SHEAF_STR_NONE;
    uint32_t count = 0;

    for (uint32_t i = 0; i < visit->headers.count && trusted->count > 0; i++) {
        if (!sheaf_str_eq(visit->headers.entries[i].name, SHEAF_STR("x-request-id")))
            continue;
        id = visit->headers.entries[i].value;
        count++;
    }
    if (count == 1 && is_id(id) && sheaf_cidr_has(trusted->items, trusted->count, visit->outer.peer))
        return id;
    return sheaf_pool_dup(pool, sheaf_str(visit->id_text, sizeof(visit->id_text) - 1));
}

void sheaf_visit_take_outer(sheaf_visit_t *visit, sheaf_pool_t *pool)
{
    h2o_req_t *req = visit->req;
    sheaf_outer_t *outer = &visit->outer;
    sheaf_str_t type = type_of(req);

    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        sheaf_str_t name = sheaf_pool_dup(pool, str_of(*header->name));

        sheaf_headers_add(&visit->headers, pool, sheaf_header_lower(pool, name),
                          sheaf_pool_dup(pool, str_of(header->value)));
    }
    outer->headers = &visit->headers;
    outer->id = id_of(visit, pool);
    outer->scheme = visit->client->tls != NULL ? SHEAF_STR("https") : SHEAF_STR("http"); /* :scheme is hearsay */
    outer->host = host_of(req, pool);
    outer->method = sheaf_pool_dup(pool, str_of(req->method));
    outer->path = sheaf_pool_dup(pool, outer->path);
    for (uint32_t i = 0; i < outer->param_count; i++)
        outer->params[i] = sheaf_pool_dup(pool, outer->params[i]);
    outer->query = query_of(req, pool);
    outer->content_type = type.base != NULL ? sheaf_pool_dup(pool, type) : SHEAF_STR_NONE;
    outer->is_http2 = req->version >= 0x200;
    outer->is_http1_0 = req->version == 0x100;
}

void sheaf_visit_batch_over(sheaf_visit_t *visit)
{
    visit->is_done = true;
    if (visit->req == NULL)
        visit_free(visit);
}

/* For an answer that its backend broke off the client can do nothing. */
static sheaf_ending_t client_ending_of(const sheaf_visit_t *visit)
{
    if (visit->is_cut_short)
        return SHEAF_ENDING_REFUSED;
    if (!visit->is_answered)
        return SHEAF_ENDING_ABANDONED;
    return visit->refused != SHEAF_OK ? SHEAF_ENDING_REFUSED : SHEAF_ENDING_ANSWERED;
}

/* libh2o is done with the request: answered to its end, or its client went away. */
static void on_request_gone(void *chunk)
{
    sheaf_visit_t *visit = *(sheaf_visit_t **)chunk;

    /* on HTTP/2 libh2o counts the bytes that became frames: what it took may still have waited for the client's window */
    visit->is_answered = visit->is_final && !visit->is_reset && !visit->client->is_cut &&
                         visit->req->bytes_sent >= visit->sent_bytes + visit->flying_bytes;
    if (visit->is_answered)
        visit->sent_bytes += visit->flying_bytes;
    else if (!visit->is_cut_short)
        sheaf_count(visit->front->env.metrics, SHEAF_METRIC_CLIENT_ABORTS, 1);
    sheaf_client_request_over(visit->client, client_ending_of(visit));
    if (visit->caller.body.base == visit->req->entity.base)
        visit->caller.body = SHEAF_STR_NONE; /* libh2o takes it along */
    visit->req = NULL;
    visit->client = NULL;
    sheaf_watchdog_disarm(visit);
    sheaf_soon_cancel(&visit->respond);
    if (visit->is_done) {
        visit_free(visit);
        return;
    }
    sheaf_batch_abandon(visit->batch); /* on_done frees the visit */
    if (visit->is_direct)
        sheaf_direct_forget_body(visit->batch);
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

void sheaf_visit_end_stalled(sheaf_visit_t *visit, bool is_stuck)
{
    sheaf_metrics_t *metrics = visit->front->env.metrics;

    sheaf_count(metrics, SHEAF_METRIC_CLIENT_STALLS, 1);
    visit->is_reset = true;
    if (!is_stuck && sheaf_flow_reset(visit->req)) { /* on_request_gone did the rest */
        sheaf_count(metrics, SHEAF_METRIC_CLIENT_RESETS, 1);
        return;
    }
    visit->is_reset = false;
    sheaf_visit_end(visit);
}

void sheaf_visit_end_all(sheaf_front_t *front)
{
    for (sheaf_link_t *link = front->visits.next, *next; link != &front->visits; link = next) {
        sheaf_visit_t *visit = SHEAF_OWNER(link, sheaf_visit_t, link);

        next = link->next;
        if (!visit->is_done) /* on_client_abort: finish_unsafe ends here too */
            sheaf_deadline_set(front->env.deadlines, &visit->batch->deadline, front->env.clock->now_ms);
        sheaf_visit_end(visit);
    }
}

bool sheaf_visit_lose_kept(sheaf_front_t *front)
{
    bool is_any = false;

    for (sheaf_link_t *link = front->visits.next; link != &front->visits; link = link->next) {
        sheaf_visit_t *visit = SHEAF_OWNER(link, sheaf_visit_t, link);

        if (visit->caller.kept.state != SHEAF_KEPT_KEEPING)
            continue;
        sheaf_kept_lose(&visit->caller.kept);
        sheaf_hooks_tell_body(sheaf_batch_item(visit->batch, 0)); /* its client may not read on for long: others wait */
        is_any = true;
    }
    return is_any;
}

/* A direct answer is held by its visit, the results of a batch by the batch. */
static uint64_t held_bytes(const sheaf_visit_t *visit)
{
    uint64_t waiting = visit->is_direct ? visit->out.len : 0;

    return visit->batch == NULL ? waiting : waiting + visit->batch->held_bytes;
}

static bool may_end(const sheaf_visit_t *visit)
{
    return visit->req != NULL && !visit->client->is_cut;
}

/* Many answers of one connection, each of them small, are as much as one that is large. */
static void add_up(sheaf_front_t *front)
{
    for (sheaf_link_t *link = front->clients.next; link != &front->clients; link = link->next)
        SHEAF_OWNER(link, sheaf_client_t, link)->held_bytes = 0;
    for (sheaf_link_t *link = front->visits.next; link != &front->visits; link = link->next) {
        sheaf_visit_t *visit = SHEAF_OWNER(link, sheaf_visit_t, link);

        if (may_end(visit))
            visit->client->held_bytes += held_bytes(visit);
    }
}

static sheaf_visit_t *largest_of(sheaf_front_t *front)
{
    sheaf_visit_t *largest = NULL;

    for (sheaf_link_t *link = front->visits.next; link != &front->visits; link = link->next) {
        sheaf_visit_t *visit = SHEAF_OWNER(link, sheaf_visit_t, link);

        if (may_end(visit) && (largest == NULL || visit->client->held_bytes > largest->client->held_bytes))
            largest = visit;
    }
    return largest != NULL && largest->client->held_bytes >= LARGE_BYTES ? largest : NULL;
}

void sheaf_visit_end_largest(sheaf_front_t *front)
{
    sheaf_visit_t *largest;

    add_up(front);
    largest = largest_of(front);
    if (largest == NULL)
        return;
    sheaf_count(front->env.metrics, SHEAF_METRIC_REFUSED_MEMORY, 1);
    sheaf_log(SHEAF_LOG_WARN, "memory",
              "limits.memory is reached: the connection whose answers hold most (%llu bytes) is given up",
              (unsigned long long)largest->client->held_bytes);
    sheaf_visit_end(largest);
}
