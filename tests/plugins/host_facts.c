#include "tests/plugins/host_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *fact(const host_thing_t *thing, sheaf_p_text_t what)
{
    return thing->texts[what] != NULL ? thing->texts[what] : thing->request->texts[what];
}

static int api_text(sheaf_p_ref_t ref, sheaf_p_text_t what, sheaf_p_str_t *ret_text)
{
    host_thing_t *thing = host_thing(ref);
    const char *text = thing == NULL || (size_t)what >= HOST_TEXTS ? NULL : fact(thing, what);

    if (text != NULL && what == SHEAF_P_QUERY)
        text = thing->texts[what]; /* an item without a query has none */
    *ret_text = text == NULL ? sheaf_p_str(NULL, 0) : host_lend(thing->host, text, strlen(text));
    return text != NULL;
}

static int api_number(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t *ret_number)
{
    host_thing_t *thing = host_thing(ref);

    *ret_number = 0;
    if (thing == NULL || (size_t)what >= HOST_NUMBERS)
        return 0;
    if (!thing->has_number[what])
        thing = thing->request;
    *ret_number = thing->numbers[what];
    return thing->has_number[what];
}

static int api_client_address(sheaf_p_ref_t ref, uint8_t ret_address[16])
{
    host_thing_t *thing = host_thing(ref);
    const char *text = thing == NULL ? NULL : fact(thing, SHEAF_P_CLIENT_IP);
    uint32_t bits;

    memset(ret_address, 0, 16);
    return text != NULL && host_network(text, ret_address, &bits);
}

static sheaf_p_ref_t api_request_of(sheaf_p_ref_t ref)
{
    host_thing_t *thing = host_thing(ref);

    return (sheaf_p_ref_t){thing == NULL ? 0 : thing->request->value};
}

/* --- attributes and templates --- */

/* As many as Sheaf has room for. */
#define HOST_ATTRIBUTES_MAX 64

static int api_set(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t value)
{
    host_thing_t *thing = host_thing(ref);
    uint32_t count = 0;

    if (thing == NULL || *name == '\0')
        return -1;
    for (const host_field_t *field = thing->attributes; field != NULL; field = field->next)
        count++;
    if (count >= HOST_ATTRIBUTES_MAX)
        return -1;
    host_field_remove(&thing->attributes, name);
    host_field_add(&thing->attributes, name, value.base, value.len);
    return 0;
}

static host_field_t *attribute(host_thing_t *thing, const char *name)
{
    for (host_field_t *field = thing->attributes; field != NULL; field = field->next)
        if (strcasecmp(field->name, name) == 0)
            return field;
    return thing->request == thing ? NULL : attribute(thing->request, name);
}

static int api_get(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t *ret_value)
{
    host_thing_t *thing = host_thing(ref);
    host_field_t *field = thing == NULL ? NULL : attribute(thing, name);

    *ret_value = field == NULL ? sheaf_p_str(NULL, 0) : host_lend(thing->host, field->value, field->value_len);
    return field != NULL;
}

static const char *const texts[HOST_TEXTS] = {"request_id", "method",        "path",     "query",   "target",
                                              "route",      "upstream_name", "endpoint", "item_id", "client_ip",
                                              "peer_ip",    "scheme",        "host",     "error",   "certificate"};
static const char *const numbers[HOST_NUMBERS] = {"status",     "items",       "index",     "is_direct",
                                                  "elapsed_us", "bytes_in",    "bytes_out", "http_version",
                                                  "body_bytes", "upstream_id", "left_ms"};
static const char *const parts[] = {"header.", "question.", "result.", "reply."};

static int number_text(sheaf_p_ref_t ref, sheaf_p_number_t what, sheaf_p_str_t *ret_value)
{
    char text[24];
    int64_t number;

    if (!api_number(ref, what, &number))
        return 0;
    snprintf(text, sizeof(text), "%lld", (long long)number);
    *ret_value = host_lend(host_thing(ref)->host, text, strlen(text));
    return 1;
}

static int variable(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t *ret_value)
{
    for (int i = 0; i < 4; i++)
        if (strncmp(name, parts[i], strlen(parts[i])) == 0)
            return host_api()->header(ref, (sheaf_p_part_t)i, name + strlen(parts[i]), 0, ret_value);
    if (strncmp(name, "attr.", 5) == 0)
        return api_get(ref, name + 5, ret_value) && ret_value->len > 0;
    for (int i = 0; i < HOST_TEXTS; i++)
        if (strcmp(name, texts[i]) == 0)
            return api_text(ref, (sheaf_p_text_t)i, ret_value);
    for (int i = 0; i < HOST_NUMBERS; i++)
        if (strcmp(name, numbers[i]) == 0)
            return number_text(ref, (sheaf_p_number_t)i, ret_value);
    host_wrong("no such variable", name);
}

static int api_expand(sheaf_p_ref_t ref, sheaf_p_str_t text, sheaf_p_str_t *ret_text)
{
    host_thing_t *thing = host_thing(ref);
    char out[8192];
    size_t len = 0;

    *ret_text = sheaf_p_str(NULL, 0);
    for (size_t i = 0; thing != NULL && i < text.len; i++) {
        const char *end = i + 1 < text.len && text.base[i] == '$' && text.base[i + 1] == '{'
                              ? memchr(text.base + i, '}', text.len - i)
                              : NULL;
        sheaf_p_str_t value = {text.base + i, 1};

        if (end != NULL) {
            char name[128] = "";

            snprintf(name, sizeof(name), "%.*s", (int)(end - text.base - (ptrdiff_t)i - 2), text.base + i + 2);
            i = (size_t)(end - text.base);
            if (!variable(ref, name, &value))
                return 0;
        }
        if (len + value.len > sizeof(out))
            host_wrong("a template makes too much", NULL);
        memcpy(out + len, value.base, value.len);
        len += value.len;
    }
    if (thing != NULL)
        *ret_text = host_lend(thing->host, out, len);
    return thing != NULL;
}

void host_facts_api(sheaf_p_api_t *api)
{
    api->text = api_text;
    api->number = api_number;
    api->client_address = api_client_address;
    api->request_of = api_request_of;
    api->set = api_set;
    api->get = api_get;
    api->expand = api_expand;
}
