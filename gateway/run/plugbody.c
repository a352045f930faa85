/* run/plugbody.c - the bodies that plugins see, change, and have kept. */
#include "gateway/run/plughost_inside.h"

static int give_buf(const sheaf_buf_t *buf, sheaf_p_str_t *ret_body)
{
    char *bytes;

    if (buf->first.next == NULL) {
        *ret_body = sheaf_p_str(buf->first.bytes, buf->len);
        return 1;
    }
    bytes = sheaf_pool_alloc(sheaf_plug_scratch(), buf->len);
    sheaf_buf_copy(buf, bytes);
    *ret_body = sheaf_p_str(bytes, buf->len);
    return 1;
}

/* Once it is known whether it came whole, what is empty is an answer too. */
static int kept_body(const sheaf_guest_t *guest, sheaf_p_str_t *ret_body)
{
    const sheaf_kept_t *kept = &guest->caller->kept;
    const sheaf_buf_t *buf = guest->caller->is_direct ? kept->body : guest->item->body;

    if (guest->is_replaced || (guest->caller->is_direct && kept->state != SHEAF_KEPT_WHOLE))
        return 0;
    return buf == NULL ? 1 : give_buf(buf, ret_body);
}

static int result_body(const sheaf_guest_t *guest, sheaf_p_str_t *ret_body)
{
    const sheaf_item_t *item = guest->item;

    if (item == NULL || guest->stage < SHEAF_STAGE_RESULT)
        return 0;
    if (guest->stage == SHEAF_STAGE_BODY)
        return kept_body(guest, ret_body);
    return item->body == NULL || item->body->len == 0 ? 0 : give_buf(item->body, ret_body);
}

int sheaf_plugbody(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t *ret_body)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);
    sheaf_str_t body = SHEAF_STR_NONE;

    *ret_body = sheaf_p_str("", 0);
    if (guest == NULL)
        return 0;
    if (part == SHEAF_P_RESULT)
        return result_body(guest, ret_body);
    if (guest->caller->is_direct && guest->caller->batch->is_abandoned)
        return 0; /* a request that is gone took its body along */
    if (part == SHEAF_P_CLIENT)
        body = guest->caller->body;
    else if (part == SHEAF_P_QUESTION && guest->item != NULL && guest->item->exchange.has_body)
        body = guest->item->exchange.body;
    *ret_body = sheaf_plug_str(body);
    return body.len > 0;
}

int sheaf_plugbody_set(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t body)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    sheaf_exchange_t *exchange;

    if (guest == NULL || guest->item == NULL || part != SHEAF_P_QUESTION || guest->stage != SHEAF_STAGE_ITEM ||
        !sheaf_guest_is_open(guest) || body.len > guest->item->route->max_body_bytes)
        return -1;
    exchange = &guest->item->exchange;
    exchange->body = sheaf_pool_dup(guest->item->pool, sheaf_str(body.base, body.len));
    exchange->has_body = true;
    return 0;
}

/* As far as it is known; what has no body says the length of another one. */
static uint64_t length_of(const sheaf_guest_t *guest)
{
    const sheaf_item_t *item = guest->item;

    if (item->body != NULL)
        return item->body->len;
    if (!guest->caller->is_direct || guest->caller->length == UINT64_MAX || sheaf_status_has_no_body(item->status) ||
        sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD")))
        return 0;
    return guest->caller->length;
}

int sheaf_plugbody_keep(sheaf_p_ref_t ref, uint64_t max_bytes)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);

    if (guest == NULL || guest->item == NULL || !guest->is_told || length_of(guest) > max_bytes)
        return -1;
    guest->is_keeping = true;
    if (guest->caller->is_direct)
        sheaf_kept_ask(&guest->caller->kept, max_bytes);
    return 0;
}
