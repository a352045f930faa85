#include "gateway/front/refusal.h"

#include "gateway/front/lingering.h"
#include "gateway/front/responder.h"

typedef struct {
    h2o_filter_t super;
    sheaf_front_t *front;
} refusal_t;

typedef struct {
    h2o_ostream_t super;
    h2o_iovec_t body;
} swap_t;

static void explain(sheaf_front_t *front, sheaf_client_t *client, int status, sheaf_fail_t *fail)
{
    if (sheaf_objection_take(&client->objection, fail))
        return;
    switch (status) {
    case 413:
        sheaf_front_say_too_large(front, fail);
        break;
    case 417:
        sheaf_fail(fail, SHEAF_ERR_EXPECTATION, "only 100-continue can be expected");
        break;
    case 404:
        sheaf_fail(fail, SHEAF_ERR_NOT_FOUND, "no endpoint has this path");
        break;
    case 400:
        sheaf_fail(fail, SHEAF_ERR_BAD_REQUEST, "the request is not valid HTTP");
        break;
    default:
        sheaf_fail(fail, SHEAF_ERR_INTERNAL, "the request could not be handled");
        break;
    }
}

/* libh2o sends its text in one piece. */
static void send_ours(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
    swap_t *swap = (swap_t *)(void *)self;

    (void)bufs;
    h2o_ostream_send_next(self, req, &swap->body, count > 0 ? 1 : 0, state);
}

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    sheaf_front_t *front = ((refusal_t *)(void *)self)->front;
    sheaf_visit_t *visit = sheaf_visit_new(front, req);
    sheaf_fail_t fail;
    swap_t *swap;

    explain(front, visit->client, req->res.status, &fail);
    if (req->version < 0x200 && !req->http1_is_persistent)
        sheaf_lingering_keep(visit->client);
    req->res.headers.size = 0;
    swap = (swap_t *)(void *)sheaf_h2o_add_ostream(req, sizeof(*swap), slot);
    swap->body = sheaf_responder_prepare_refusal(visit, &fail);
    swap->super.do_send = send_ours;
    h2o_setup_next_ostream(req, &swap->super.next);
}

void sheaf_refusal_register(sheaf_front_t *front, h2o_hostconf_t *host)
{
    refusal_t *refusal = (refusal_t *)(void *)h2o_create_filter(&host->fallback_path, sizeof(*refusal));

    refusal->super.on_setup_ostream = on_setup_ostream;
    refusal->front = front;
}
