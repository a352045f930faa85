#include "tests/plugins/host_inside.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Hosts are few and tests are short: all things that live, of every host, are looked through. */
static host_t *hosts[16];

static host_thing_t *of_host(host_t *host, uint64_t value)
{
    for (host_thing_t *thing = host == NULL ? NULL : host->things; thing != NULL; thing = thing->next)
        if (thing->value == value)
            return thing;
    return NULL;
}

host_thing_t *host_thing(sheaf_p_ref_t ref)
{
    host_thing_t *thing = NULL;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]) && thing == NULL; i++)
        thing = of_host(hosts[i], ref.value);
    return thing;
}

void host_known(host_t *host, host_t *instead)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (hosts[i] == host) {
            hosts[i] = instead;
            return;
        }
    host_wrong("too many hosts", NULL);
}

host_field_t **host_head(host_thing_t *thing, sheaf_p_part_t part)
{
    if (part == SHEAF_P_CLIENT || part == SHEAF_P_REPLY)
        thing = thing->request;
    return &thing->heads[part];
}

void host_field_add(host_field_t **head, const char *name, const char *value, size_t len)
{
    host_field_t *field = host_alloc(sizeof(*field));

    field->name = host_copy(name, strlen(name));
    field->value = host_copy(value, len);
    field->value_len = len;
    while (*head != NULL)
        head = &(*head)->next;
    *head = field;
}

void host_field_remove(host_field_t **head, const char *name)
{
    while (*head != NULL) {
        host_field_t *field = *head;

        if (strcasecmp(field->name, name) != 0) {
            head = &field->next;
            continue;
        }
        *head = field->next;
        free(field->name);
        free(field->value);
        free(field);
    }
}

void host_fields_free(host_field_t **head)
{
    while (*head != NULL) {
        host_field_t *field = *head;

        *head = field->next;
        free(field->name);
        free(field->value);
        free(field);
    }
}

/* --- heads --- */

static int api_header(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, uint32_t nth, sheaf_p_str_t *ret_value)
{
    host_thing_t *thing = host_thing(ref);

    *ret_value = sheaf_p_str(NULL, 0);
    if (thing == NULL)
        return 0;
    for (host_field_t *field = *host_head(thing, part); field != NULL; field = field->next)
        if (strcasecmp(field->name, name) == 0 && nth-- == 0) {
            *ret_value = host_lend(thing->host, field->value, field->value_len);
            return 1;
        }
    return 0;
}

static int api_header_at(sheaf_p_ref_t ref, sheaf_p_part_t part, uint32_t index, sheaf_p_str_t *ret_name,
                         sheaf_p_str_t *ret_value)
{
    host_thing_t *thing = host_thing(ref);
    host_field_t *field = thing == NULL ? NULL : *host_head(thing, part);

    for (; field != NULL && index > 0; index--)
        field = field->next;
    *ret_name = *ret_value = sheaf_p_str(NULL, 0);
    if (field == NULL)
        return 0;
    *ret_name = host_lend(thing->host, field->name, strlen(field->name));
    *ret_value = host_lend(thing->host, field->value, field->value_len);
    return 1;
}

static int is_ours(const char *name)
{
    static const char *const ours[] = {
        "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "upgrade",        "forwarded",         "host",       "expect"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcasecmp(name, ours[i]) == 0)
            return 1;
    return strncasecmp(name, "x-forwarded-", 12) == 0;
}

static int is_field(const char *name, sheaf_p_str_t value)
{
    if (*name == '\0' || is_ours(name))
        return 0;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL)
            return 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return 0;
    }
    return value.len == 0 ||
           (!isspace((unsigned char)value.base[0]) && !isspace((unsigned char)value.base[value.len - 1]));
}

static int may_change(const host_thing_t *thing, sheaf_p_part_t part)
{
    switch (part) {
    case SHEAF_P_QUESTION:
        return thing->is_item && thing->in_item && !thing->outcome.is_answered;
    case SHEAF_P_RESULT:
        return thing->is_item && (thing->in_result || thing->outcome.is_answered);
    case SHEAF_P_REPLY:
        return 1;
    default:
        return 0;
    }
}

static int change(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, const sheaf_p_str_t *value, int keeps)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL || !may_change(thing, part) || !is_field(name, value == NULL ? sheaf_p_str("", 0) : *value))
        return -1;
    if (!keeps)
        host_field_remove(host_head(thing, part), name);
    if (value != NULL)
        host_field_add(host_head(thing, part), name, value->base, value->len);
    return 0;
}

static int api_header_set(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value)
{
    return change(ref, part, name, &value, 0);
}

static int api_header_add(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value)
{
    return change(ref, part, name, &value, 1);
}

static int api_header_remove(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name)
{
    return change(ref, part, name, NULL, 0);
}

/* --- bodies and queries --- */

/* A direct answer is streamed. */
static int shows_body(const host_thing_t *thing)
{
    if (thing->in_body)
        return thing->is_whole;
    return !thing->request->numbers[SHEAF_P_IS_DIRECT] || thing->outcome.is_answered;
}

static int api_body(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t *ret_body)
{
    host_thing_t *thing = host_thing(ref);

    *ret_body = sheaf_p_str(NULL, 0);
    if (thing != NULL && part == SHEAF_P_CLIENT)
        thing = thing->request;
    if (thing == NULL || part == SHEAF_P_REPLY || (part == SHEAF_P_RESULT && !shows_body(thing)))
        return 0;
    if (thing->bodies[part] == NULL)
        return part == SHEAF_P_RESULT && thing->in_body;
    *ret_body = host_lend(thing->host, thing->bodies[part], strlen(thing->bodies[part]));
    return 1;
}

static int api_body_set(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_p_str_t body)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL || part != SHEAF_P_QUESTION || !may_change(thing, part))
        return -1;
    free(thing->bodies[part]);
    thing->bodies[part] = host_copy(body.base, body.len);
    return 0;
}

static int api_keep_body(sheaf_p_ref_t ref, uint64_t max_bytes)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL || !thing->in_result)
        return -1;
    if (thing->bodies[SHEAF_P_RESULT] != NULL && strlen(thing->bodies[SHEAF_P_RESULT]) > max_bytes)
        return -1;
    for (const host_field_t *field = thing->heads[SHEAF_P_RESULT]; field != NULL; field = field->next)
        if (strcasecmp(field->name, "content-length") == 0 && strtoull(field->value, NULL, 10) > max_bytes)
            return -1;
    thing->is_kept = 1;
    thing->kept = (int64_t)max_bytes;
    return 0;
}

static size_t query_cut(char *target, const char *name)
{
    char *mark = strchr(target, '?'), *at = mark == NULL ? NULL : mark + 1, *to = at;
    size_t len = strlen(name), count = 0;

    while (at != NULL && *at != '\0') {
        size_t piece = strcspn(at, "&");

        if (piece >= len && strncmp(at, name, len) == 0 && (piece == len || at[len] == '=')) {
            count++;
        } else {
            if (to != mark + 1)
                *to++ = '&';
            memmove(to, at, piece);
            to += piece;
        }
        at += piece + (at[piece] == '&');
    }
    if (mark != NULL)
        *(to == mark + 1 ? mark : to) = '\0';
    return count;
}

/* Of names as they are written: what is encoded is the real host's to know. */
static int api_query_remove(sheaf_p_ref_t ref, const char *name)
{
    host_thing_t *thing = host_thing(ref);
    char *query;
    size_t count;

    if (thing == NULL || !may_change(thing, SHEAF_P_QUESTION))
        return -1;
    count = query_cut(thing->texts[SHEAF_P_TARGET], name);
    free(thing->texts[SHEAF_P_QUERY]);
    query = strchr(thing->texts[SHEAF_P_TARGET], '?');
    thing->texts[SHEAF_P_QUERY] = query == NULL ? NULL : host_copy(query + 1, strlen(query + 1));
    return (int)count;
}

/* --- answers --- */

/* Nothing remains of the answer that was here. */
static void replace(host_thing_t *thing, sheaf_p_str_t body)
{
    host_fields_free(&thing->heads[SHEAF_P_RESULT]);
    free(thing->bodies[SHEAF_P_RESULT]);
    thing->bodies[SHEAF_P_RESULT] = host_copy(body.base, body.len);
    thing->is_replaced = 1;
}

static int api_answer(sheaf_p_ref_t ref, uint32_t status, const char *content_type, sheaf_p_str_t body)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL)
        return -1;
    if (thing->outcome.is_answered || (thing->outcome.is_resumed && !thing->in_result)) {
        thing->outcome.faults++;
        return -1;
    }
    if (thing->in_result)
        replace(thing, body);
    thing->outcome.is_answered = 1;
    thing->outcome.is_waiting = 0;
    thing->outcome.status = status;
    thing->outcome.content_type = content_type == NULL ? NULL : host_copy(content_type, strlen(content_type));
    thing->outcome.body = host_copy(body.base, body.len);
    thing->has_number[SHEAF_P_STATUS] = 1;
    thing->numbers[SHEAF_P_STATUS] = status;
    return 0;
}

static int api_problem(sheaf_p_ref_t ref, uint32_t status, const char *slug, const char *detail)
{
    if (api_answer(ref, status, "application/problem+json", sheaf_p_str("", 0)) != 0)
        return -1;
    host_thing(ref)->outcome.slug = host_copy(slug, strlen(slug));
    host_thing(ref)->outcome.detail = host_copy(detail, strlen(detail));
    return 0;
}

static int api_resume(sheaf_p_ref_t ref)
{
    host_thing_t *thing = host_thing(ref);

    if (thing == NULL)
        return -1;
    if (!thing->outcome.is_waiting && thing->outcome.is_resumed)
        thing->outcome.faults++;
    thing->outcome.is_waiting = 0;
    thing->outcome.is_resumed = 1;
    return 0;
}

void host_heads_api(sheaf_p_api_t *api)
{
    api->header = api_header;
    api->header_at = api_header_at;
    api->header_set = api_header_set;
    api->header_add = api_header_add;
    api->header_remove = api_header_remove;
    api->body = api_body;
    api->body_set = api_body_set;
    api->keep_body = api_keep_body;
    api->query_remove = api_query_remove;
    api->answer = api_answer;
    api->problem = api_problem;
    api->resume = api_resume;
}
