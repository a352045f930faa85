#include "tests/plugins/host_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- hooks --- */

static void check_verdict(const host_thing_t *thing, sheaf_p_verdict_t verdict)
{
    const char *name = thing->host->plugin->name;

    if (verdict == SHEAF_P_PASS && thing->outcome.is_answered)
        host_wrong("passes what it has answered", name);
    if (verdict == SHEAF_P_ANSWER && !thing->outcome.is_answered)
        host_wrong("says that it has answered and has not", name);
    if (verdict != SHEAF_P_PASS && verdict != SHEAF_P_ANSWER && verdict != SHEAF_P_LATER)
        host_wrong("says what is no verdict", name);
}

static sheaf_p_verdict_t ask(sheaf_p_ref_t ref, sheaf_p_verdict_t (*hook)(void *self, sheaf_p_ref_t ref))
{
    host_thing_t *thing = host_living(ref);
    sheaf_p_verdict_t verdict;

    if (hook == NULL)
        return SHEAF_P_PASS;
    thing->outcome.is_resumed = 0;
    verdict = hook(thing->host->self, ref);
    host_loans_end(thing->host);
    check_verdict(thing, verdict);
    thing->outcome.is_waiting = verdict == SHEAF_P_LATER && !thing->outcome.is_answered && !thing->outcome.is_resumed;
    if (verdict == SHEAF_P_PASS)
        thing->in_item = 0;
    return verdict;
}

sheaf_p_verdict_t host_ask_request(sheaf_p_ref_t ref)
{
    return ask(ref, host_living(ref)->host->plugin->on_request);
}

sheaf_p_verdict_t host_ask_batch(sheaf_p_ref_t ref)
{
    return ask(ref, host_living(ref)->host->plugin->on_batch);
}

sheaf_p_verdict_t host_ask_item(sheaf_p_ref_t ref)
{
    host_living(ref)->in_item = 1;
    return ask(ref, host_living(ref)->host->plugin->on_item);
}

void host_result(sheaf_p_ref_t ref, uint32_t status)
{
    host_thing_t *thing = host_living(ref);

    if (status != 0)
        host_number(ref, SHEAF_P_STATUS, status);
    thing->in_item = 0;
    thing->in_result = 1;
    if (thing->host->plugin->on_result != NULL)
        thing->host->plugin->on_result(thing->host->self, ref);
    thing->in_result = 0;
    host_loans_end(thing->host);
    if (!thing->request->numbers[SHEAF_P_IS_DIRECT] || thing->is_replaced)
        host_passed(ref, 1);
}

void host_passed(sheaf_p_ref_t ref, int is_whole)
{
    host_thing_t *thing = host_living(ref);

    if (!thing->is_kept)
        return;
    thing->is_kept = 0;
    thing->in_body = 1;
    thing->is_whole = is_whole;
    if (thing->host->plugin->on_body != NULL)
        thing->host->plugin->on_body(thing->host->self, ref);
    thing->in_body = 0;
    host_loans_end(thing->host);
}

int64_t host_kept(sheaf_p_ref_t ref)
{
    const host_thing_t *thing = host_living(ref);

    return thing->is_kept ? thing->kept : -1;
}

void host_reopen(host_t *host)
{
    if (host->plugin->on_reopen != NULL)
        host->plugin->on_reopen(host->self);
    host_loans_end(host);
}

void host_done(sheaf_p_ref_t ref)
{
    host_thing_t *request = host_living(ref)->request, **at;
    host_t *host = request->host;

    for (host_thing_t *thing = host->things; thing != NULL; thing = thing->next)
        if (thing->request == request && thing->is_kept)
            host_passed((sheaf_p_ref_t){thing->value}, 0);
    ref.value = request->value;
    if (host->plugin->on_done != NULL)
        host->plugin->on_done(host->self, ref);
    host_loans_end(host);
    for (at = &host->things; *at != NULL;) {
        host_thing_t *thing = *at;

        if (thing->request != request || thing == request) {
            at = &thing->next;
            continue;
        }
        *at = thing->next;
        host_thing_free(thing);
    }
    for (at = &host->things; *at != request;)
        at = &(*at)->next;
    *at = request->next;
    host_thing_free(request);
}

/* --- outcomes --- */

host_outcome_t host_outcome(sheaf_p_ref_t ref)
{
    host_outcome_t outcome = host_living(ref)->outcome;

    outcome.content_type = outcome.content_type == NULL ? "" : outcome.content_type;
    outcome.body = outcome.body == NULL ? "" : outcome.body;
    outcome.slug = outcome.slug == NULL ? "" : outcome.slug;
    outcome.detail = outcome.detail == NULL ? "" : outcome.detail;
    return outcome;
}

const char *host_field(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name)
{
    host_thing_t *thing = host_living(ref);
    const char *sep = "";
    char text[8192] = "";
    size_t len = 0;

    for (host_field_t *field = *host_head(thing, part); field != NULL; field = field->next)
        if (strcasecmp(field->name, name) == 0) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", sep, field->value);
            sep = ", ";
            if (len >= sizeof(text))
                host_wrong("too much of one field", name);
        }
    return host_lend(thing->host, text, len + 1).base;
}

const char *host_attribute_of(sheaf_p_ref_t ref, const char *name)
{
    sheaf_p_str_t value = {NULL, 0};
    host_thing_t *thing = host_living(ref);
    const char *text;
    char *copy;

    if (!host_api()->get(ref, name, &value))
        return "";
    copy = host_copy(value.base, value.len);
    text = host_lend(thing->host, copy, value.len + 1).base;
    free(copy);
    return text;
}

uint64_t host_counted(host_t *host, const char *counter)
{
    for (uint32_t i = 0; host->plugin->counters != NULL && host->plugin->counters[i].name != NULL; i++)
        if (strcmp(host->plugin->counters[i].name, counter) == 0)
            return host->counted[i];
    host_wrong("no such counter", counter);
}

const char *host_logged(host_t *host)
{
    free(host->told);
    host->told = host->log;
    host->log = NULL;
    return host->told == NULL ? "" : host->told;
}
