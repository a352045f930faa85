#include "gateway/batch/forwarded.h"

static bool is_wanted(const sheaf_header_t *field, sheaf_str_t name)
{
    sheaf_str_t value = sheaf_str_trim(field->value);

    return sheaf_str_eq(field->name, name) && value.len > 0 && sheaf_header_value_is_valid(value);
}

/* All fields called `name`, joined with ", " (RFC 9110 5.3), in one copy however many there are; absent when there is none. */
static sheaf_str_t joined(const sheaf_batch_t *batch, sheaf_str_t name)
{
    const sheaf_headers_t *outer = batch->outer->headers;
    size_t len = 0;
    char *all, *at;

    for (uint32_t i = 0; i < outer->count; i++)
        len += is_wanted(&outer->entries[i], name) ? sheaf_str_trim(outer->entries[i].value).len + 2 : 0;
    if (len == 0)
        return SHEAF_STR_NONE;
    all = at = sheaf_pool_alloc(batch->pool, len);
    for (uint32_t i = 0; i < outer->count; i++) {
        sheaf_str_t value = sheaf_str_trim(outer->entries[i].value);

        if (!is_wanted(&outer->entries[i], name))
            continue;
        if (at > all)
            at = mempcpy(at, ", ", 2);
        at = mempcpy(at, value.base, value.len);
    }
    return sheaf_str(all, (size_t)(at - all));
}

/* --- Via --- */

/* The next element of a Via value without its comments (RFC 9110 7.6.3; commas in comments part nothing). */
static sheaf_str_t next_via(sheaf_str_t *rest)
{
    uint32_t depth = 0;
    size_t len = 0, i = 0;

    for (; i < rest->len; i++) {
        char c = rest->base[i];

        if (c == ',' && depth == 0)
            break;
        if (depth > 0 && c == '\\') {
            i++;
            continue;
        }
        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        if (depth == 0 && c != ')')
            len = len == i ? i + 1 : len; /* only what stands before the first comment */
    }
    sheaf_str_t element = sheaf_str_trim(sheaf_str(rest->base, len));
    *rest = i < rest->len ? sheaf_str(rest->base + i + 1, rest->len - i - 1) : SHEAF_STR_NONE;
    return element;
}

static bool is_loop(sheaf_str_t via)
{
    while (via.len > 0) {
        sheaf_str_t element = next_via(&via);
        const char *gap = element.len == 0 ? NULL : memchr(element.base, ' ', element.len);
        sheaf_str_t by;

        if (gap == NULL)
            continue;
        by = sheaf_str_trim(sheaf_str(gap, element.len - (size_t)(gap - element.base)));
        if (sheaf_str_ieq(by, SHEAF_STR(SHEAF_PSEUDONYM)))
            return true;
    }
    return false;
}

/* --- trust headers: the gateway's own --- */

static sheaf_str_t ip_text(sheaf_pool_t *pool, const uint8_t ip[16])
{
    char text[SHEAF_IP_TEXT_MAX];

    sheaf_ip_print(ip, text);
    return sheaf_pool_dup(pool, sheaf_str_of(text));
}

static bool is_trusted(const sheaf_batch_t *batch, const uint8_t ip[16])
{
    const sheaf_cidrs_t *trusted = &batch->env.snapshot->conf.trusted_proxies;

    return sheaf_cidr_has(trusted->items, trusted->count, ip);
}

/* An X-Forwarded-For element: an address, with a port or brackets as some proxies write them. */
static bool parse_hop(sheaf_str_t hop, uint8_t ret_ip[16])
{
    const char *colon;

    if (hop.len > 0 && hop.base[0] == '[') {
        const char *close = memchr(hop.base, ']', hop.len);

        return close != NULL && sheaf_ip_parse(sheaf_str(hop.base + 1, (size_t)(close - hop.base) - 1), ret_ip);
    }
    if (sheaf_ip_parse(hop, ret_ip))
        return true;
    colon = hop.len == 0 ? NULL : memchr(hop.base, ':', hop.len);
    return colon != NULL && sheaf_ip_parse(sheaf_str(hop.base, (size_t)(colon - hop.base)), ret_ip);
}

/* The right-most address in `forwarded` that is no trusted proxy, else the peer. Behind an element that is no address
 * nobody knows who wrote the rest: the search ends there. */
static void real_ip(const sheaf_batch_t *batch, sheaf_str_t forwarded, uint8_t ret_ip[16])
{
    memcpy(ret_ip, batch->outer->peer, 16);
    while (forwarded.len > 0) {
        const char *comma = memrchr(forwarded.base, ',', forwarded.len);
        size_t start = comma == NULL ? 0 : (size_t)(comma - forwarded.base) + 1;
        sheaf_str_t hop = sheaf_str_trim(sheaf_str(forwarded.base + start, forwarded.len - start));
        uint8_t ip[16];

        if (!parse_hop(hop, ip))
            return;
        if (!is_trusted(batch, ip)) {
            memcpy(ret_ip, ip, 16);
            return;
        }
        forwarded.len = comma == NULL ? 0 : start - 1;
    }
}

void sheaf_forwarded_client(sheaf_batch_t *batch, uint8_t ret_ip[16])
{
    bool is_believed = is_trusted(batch, batch->outer->peer);

    real_ip(batch, is_believed ? joined(batch, SHEAF_STR("x-forwarded-for")) : SHEAF_STR_NONE, ret_ip);
}

/* A chain of proxies may have written a list: the first one stood next to the client. */
sheaf_str_t sheaf_forwarded_scheme(const sheaf_batch_t *batch)
{
    const sheaf_outer_t *outer = batch->outer;
    const sheaf_header_t *told =
        is_trusted(batch, outer->peer) ? sheaf_headers_find(outer->headers, SHEAF_STR("x-forwarded-proto")) : NULL;
    sheaf_str_t list = told != NULL ? told->value : SHEAF_STR_NONE, scheme = sheaf_str_trim(sheaf_str_cut(&list, ','));

    if (sheaf_str_ieq(scheme, SHEAF_STR("https")))
        return SHEAF_STR("https");
    return sheaf_str_ieq(scheme, SHEAF_STR("http")) ? SHEAF_STR("http") : outer->scheme;
}

static void add_own(sheaf_batch_t *batch, sheaf_str_t name, sheaf_str_t believed, sheaf_str_t own)
{
    sheaf_str_t value = believed.len > 0 ? believed : own;

    if (value.len > 0 && sheaf_header_value_is_valid(value))
        sheaf_headers_add(&batch->shared.list, batch->pool, name, value);
}

static void add_trust(sheaf_batch_t *batch)
{
    const sheaf_outer_t *outer = batch->outer;
    sheaf_str_t peer = ip_text(batch->pool, outer->peer);
    bool is_believed = is_trusted(batch, outer->peer);
    sheaf_str_t chain = is_believed ? joined(batch, SHEAF_STR("x-forwarded-for")) : SHEAF_STR_NONE;
    sheaf_str_t proto = is_believed ? joined(batch, SHEAF_STR("x-forwarded-proto")) : SHEAF_STR_NONE;
    sheaf_str_t host = is_believed ? joined(batch, SHEAF_STR("x-forwarded-host")) : SHEAF_STR_NONE;
    sheaf_str_t longer = SHEAF_STR_NONE;
    uint8_t client[16];

    if (chain.len > 0)
        longer = sheaf_pool_printf(batch->pool, "%.*s, %.*s", SHEAF_STR_ARG(chain), SHEAF_STR_ARG(peer));
    add_own(batch, SHEAF_STR("x-forwarded-for"), longer, peer);
    add_own(batch, SHEAF_STR("x-forwarded-proto"), proto, outer->scheme);
    add_own(batch, SHEAF_STR("x-forwarded-host"), host, outer->host);
    real_ip(batch, chain, client);
    add_own(batch, SHEAF_STR("x-real-ip"), ip_text(batch->pool, client), peer);
}

/* --- the whole --- */

sheaf_err_t sheaf_forwarded_check(sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    if (!is_loop(joined(batch, SHEAF_STR("via"))))
        return SHEAF_OK;
    batch->fault = (sheaf_fault_t){UINT32_MAX, SHEAF_FAULT_ITEM, 0};
    return sheaf_fail(fail, SHEAF_ERR_LOOP, "Via names this gateway already");
}

void sheaf_forwarded_add(sheaf_batch_t *batch)
{
    sheaf_str_t via = joined(batch, SHEAF_STR("via"));
    sheaf_str_t mine = batch->outer->is_http2 ? SHEAF_STR("2 " SHEAF_PSEUDONYM) : SHEAF_STR("1.1 " SHEAF_PSEUDONYM);

    add_trust(batch);
    if (via.len > 0)
        mine = sheaf_pool_printf(batch->pool, "%.*s, %.*s", SHEAF_STR_ARG(via), SHEAF_STR_ARG(mine));
    sheaf_headers_add(&batch->shared.list, batch->pool, SHEAF_STR("via"), mine);
}
