/* run/plugfacts.c - what plugins may know of a request or an item: texts and numbers. */
#include <inttypes.h>

#include "gateway/batch/forwarded.h"
#include "gateway/run/plughost_inside.h"

sheaf_pool_t *sheaf_plug_scratch(void)
{
    sheaf_the_plughost->is_used = true;
    return sheaf_the_plughost->scratch;
}

const sheaf_outer_t *sheaf_plug_outer(const sheaf_guest_t *guest)
{
    return guest->caller->batch->outer;
}

const sheaf_item_t *sheaf_plug_item(const sheaf_guest_t *guest)
{
    if (guest->item != NULL || !guest->caller->is_direct || guest->caller->batch->count == 0)
        return guest->item;
    return sheaf_batch_item(guest->caller->batch, 0);
}

/* --- texts --- */

static const uint8_t *client_of(sheaf_guest_t *guest)
{
    sheaf_guest_t *request = guest->request != NULL ? guest->request : guest;

    if (!request->knows_client)
        sheaf_forwarded_client(request->caller->batch, request->client);
    request->knows_client = true;
    return request->client;
}

static sheaf_str_t ip_text(const uint8_t ip[16])
{
    char text[SHEAF_IP_TEXT_MAX];

    sheaf_ip_print(ip, text);
    return sheaf_pool_dup(sheaf_plug_scratch(), sheaf_str_of(text));
}

static sheaf_str_t query_of(sheaf_str_t target)
{
    const char *mark = target.len == 0 ? NULL : memchr(target.base, '?', target.len);

    return mark == NULL ? SHEAF_STR_NONE : sheaf_str(mark + 1, target.len - (size_t)(mark + 1 - target.base));
}

static sheaf_str_t error_of(const sheaf_guest_t *guest)
{
    if (guest->item != NULL)
        return guest->item->err == SHEAF_OK ? SHEAF_STR_NONE : sheaf_str_of(sheaf_err_slug(guest->item->err));
    return guest->caller->error == NULL ? SHEAF_STR_NONE : sheaf_str_of(guest->caller->error);
}

static sheaf_str_t text_of_item(const sheaf_guest_t *guest, const sheaf_item_t *item, sheaf_p_text_t what)
{
    const sheaf_conf_t *conf = &guest->guests->snapshot->conf;

    switch (what) {
    case SHEAF_P_METHOD:
        return item->exchange.method;
    case SHEAF_P_PATH:
        return item->path;
    case SHEAF_P_QUERY:
        return query_of(item->exchange.target);
    case SHEAF_P_TARGET:
        return item->exchange.target;
    case SHEAF_P_ROUTE:
        return item->route == NULL ? SHEAF_STR_NONE : item->route->match;
    case SHEAF_P_UPSTREAM_NAME:
        return item->route == NULL ? SHEAF_STR_NONE : conf->upstreams.items[item->exchange.upstream].map_key;
    default:
        return guest->item == NULL ? SHEAF_STR_NONE : item->id; /* ITEM_ID */
    }
}

static sheaf_str_t text_of_request(sheaf_guest_t *guest, sheaf_p_text_t what)
{
    const sheaf_outer_t *outer = sheaf_plug_outer(guest);

    switch (what) {
    case SHEAF_P_REQUEST_ID:
        return outer->id.base != NULL ? outer->id
                                      : sheaf_pool_printf(sheaf_plug_scratch(), "%016" PRIx64, guest->caller->id);
    case SHEAF_P_METHOD:
        return outer->method;
    case SHEAF_P_PATH:
        return outer->path;
    case SHEAF_P_QUERY:
        return outer->query;
    case SHEAF_P_ENDPOINT:
        return guest->caller->is_direct ? SHEAF_STR_NONE : guest->caller->batch->endpoint->path;
    case SHEAF_P_CLIENT_IP:
        return ip_text(client_of(guest));
    case SHEAF_P_PEER_IP:
        return ip_text(outer->peer);
    case SHEAF_P_SCHEME:
        return sheaf_forwarded_scheme(guest->caller->batch);
    case SHEAF_P_HOST:
        return outer->host;
    case SHEAF_P_ERROR:
        return error_of(guest);
    case SHEAF_P_CERTIFICATE:
        return outer->identity == NULL ? SHEAF_STR_NONE : outer->identity->subject;
    default:
        return SHEAF_STR_NONE;
    }
}

static bool is_of_item(sheaf_p_text_t what)
{
    return what == SHEAF_P_METHOD || what == SHEAF_P_PATH || what == SHEAF_P_QUERY || what == SHEAF_P_TARGET ||
           what == SHEAF_P_ROUTE || what == SHEAF_P_UPSTREAM_NAME || what == SHEAF_P_ITEM_ID;
}

/* A direct request that was refused while it was planned has not become an item in every respect: then it is as it came. */
static bool is_as_it_came(const sheaf_guest_t *guest, const sheaf_item_t *item, sheaf_p_text_t what)
{
    if (item == NULL || !is_of_item(what))
        return true;
    if (!guest->caller->is_direct)
        return false;
    return what == SHEAF_P_METHOD || (what == SHEAF_P_QUERY && item->exchange.target.base == NULL) ||
           (what == SHEAF_P_PATH && item->path.base == NULL);
}

int sheaf_plugfacts_text(sheaf_p_ref_t ref, sheaf_p_text_t what, sheaf_p_str_t *ret_text)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    const sheaf_item_t *item;
    sheaf_str_t text;

    *ret_text = sheaf_p_str("", 0);
    if (guest == NULL)
        return 0;
    item = sheaf_plug_item(guest);
    text = is_as_it_came(guest, item, what) ? text_of_request(guest, what) : text_of_item(guest, item, what);
    *ret_text = sheaf_plug_str(text);
    return text.base != NULL;
}

/* --- numbers --- */

static uint64_t elapsed_us(const sheaf_guest_t *guest)
{
    sheaf_clock_t *clock = guest->guests->host->env.clock;
    uint64_t since = guest->item != NULL ? guest->item->sent_us : guest->caller->begun_us;
    uint64_t now = sheaf_clock_us(clock);

    return since == 0 || now < since ? 0 : now - since;
}

/* It had none before it was about to be sent. */
static int64_t left_ms(const sheaf_guest_t *guest)
{
    uint64_t now_ms = guest->guests->host->env.clock->now_ms, deadline_ms;

    if (guest->item == NULL || guest->item->exchange.deadline_ms == 0)
        return -1;
    deadline_ms = guest->item->exchange.deadline_ms;
    return deadline_ms > now_ms ? (int64_t)(deadline_ms - now_ms) : 0;
}

static int http_version(const sheaf_guest_t *guest)
{
    const sheaf_outer_t *outer = sheaf_plug_outer(guest);

    return outer->is_http2 ? 20 : outer->is_http1_0 ? 10 : 11;
}

static int64_t status_of(const sheaf_guest_t *guest)
{
    if (guest->item == NULL)
        return guest->caller->status;
    if (guest->stage >= SHEAF_STAGE_RESULT && !guest->is_given)
        return guest->item->status;
    return guest->is_given ? guest->given.status : 0;
}

static int64_t number_of(const sheaf_guest_t *guest, sheaf_p_number_t what)
{
    const sheaf_item_t *item = guest->item;

    switch (what) {
    case SHEAF_P_STATUS:
        return status_of(guest);
    case SHEAF_P_ITEMS:
        return guest->caller->is_sealed || guest->caller->is_direct ? (int64_t)guest->caller->batch->total : -1;
    case SHEAF_P_INDEX:
        return item == NULL ? -1 : (int64_t)item->index;
    case SHEAF_P_IS_DIRECT:
        return guest->caller->is_direct;
    case SHEAF_P_ELAPSED_US:
        return (int64_t)elapsed_us(guest);
    case SHEAF_P_BYTES_IN:
        return (int64_t)guest->caller->body_bytes;
    case SHEAF_P_BYTES_OUT:
        return (int64_t)guest->caller->sent_bytes;
    case SHEAF_P_HTTP_VERSION:
        return http_version(guest);
    case SHEAF_P_BODY_BYTES:
        return item == NULL ? -1 : item->body == NULL ? 0 : (int64_t)item->body->len;
    case SHEAF_P_UPSTREAM_ID:
        return item == NULL || item->route == NULL ? -1 : (int64_t)item->exchange.upstream;
    case SHEAF_P_LEFT_MS:
        return left_ms(guest);
    }
    return -1;
}

int sheaf_plugfacts_number(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t *ret_number)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);
    int64_t number = guest == NULL ? -1 : number_of(guest, what);
    bool is_known = number >= 0 && (what != SHEAF_P_STATUS || number > 0);

    *ret_number = is_known ? number : 0;
    return is_known;
}

/* A Unix socket has no address of its peer, and 0.0.0.0 stands in for it: none is a client's. */
static bool is_somebody(const uint8_t ip[16])
{
    static const uint8_t nobody[16] = {0}, nobody_mapped[16] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip, nobody, 16) != 0 && memcmp(ip, nobody_mapped, 16) != 0;
}

int sheaf_plugfacts_client_address(sheaf_p_ref_t ref, uint8_t ret_address[16])
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);

    if (guest == NULL)
        return 0;
    memcpy(ret_address, client_of(guest), 16);
    return is_somebody(ret_address);
}
