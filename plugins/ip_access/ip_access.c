/* plugins/ip_access/ip_access.c - who may come, by the address of the true client.
 *
 * The same question is asked of a request and of each of its items: on a route the plugin sees a batch's items only, at the top
 * or on an endpoint it sees the request first, and what it refuses there never has items. */
#include "plugins/ip_access/ip_access_list.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_ALLOW, KEY_DENY, KEY_STATUS };
enum { COUNTER_REFUSED };

typedef struct ip_access {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const sheaf_p_value_t *allow, *deny;
    uint32_t status;
} ip_access_t;

/* An address that is not known is in no network that could let it in. */
static int is_welcome(const ip_access_t *self, sheaf_p_ref_t ref)
{
    uint8_t address[16];

    if (!self->api->client_address(ref, address))
        return 0;
    if (ip_access_in(self->deny->networks, self->deny->count, address))
        return 0;
    return !self->allow->is_set || ip_access_in(self->allow->networks, self->allow->count, address);
}

static sheaf_p_verdict_t on_ask(void *data, sheaf_p_ref_t ref)
{
    ip_access_t *self = data;

    if (is_welcome(self, ref))
        return SHEAF_P_PASS;
    self->api->count(self->worker, COUNTER_REFUSED, 1);
    self->api->problem(ref, self->status, "address-refused", "The client's address is not allowed here.");
    return SHEAF_P_ANSWER;
}

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    if (values[KEY_ALLOW].is_set || values[KEY_DENY].is_set)
        return 0;
    strcpy(fail->key, "allow");
    strcpy(fail->why, "neither allow nor deny is set: every client would pass");
    return -1;
}

static void *open_one(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    ip_access_t *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        strcpy(fail->why, "no memory");
        return NULL;
    }
    self->api = open->api;
    self->worker = open->worker;
    self->allow = &open->values[KEY_ALLOW];
    self->deny = &open->values[KEY_DENY];
    self->status = (uint32_t)open->values[KEY_STATUS].number;
    return self;
}

static const sheaf_p_key_t keys[] = {
    {.name = "allow",
     .type = SHEAF_P_NETWORKS,
     .manual = "Networks whose clients pass. When it is written, no other client does."},
    {.name = "deny",
     .type = SHEAF_P_NETWORKS,
     .manual = "Networks whose clients are refused, also when allow names them."},
    {.name = "status",
     .type = SHEAF_P_NUMBER,
     .preset = "403",
     .min = 400,
     .max = 499,
     .manual = "Status of a refusal; 404 hides that there is something."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    {"refused", "Requests and items refused for their client's address."},
    {NULL, NULL},
};

SHEAF_PLUGIN(ip_access) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "ip_access",
    .version = "1.0",
    .manual = "Allows and denies clients by the networks of their addresses.",
    .keys = keys,
    .counters = counters,
    .check = check,
    .open = open_one,
    .close = free,
    .on_request = on_ask,
    .on_item = on_ask,
};
